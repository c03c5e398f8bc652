"""What a merge of two members, or the undoing of one, would move, and why it would not: tried, and nothing is kept."""

from typing import NamedTuple

import msgspec

from ledger.core.account import Account
from ledger.journal.ledger import Ledger
from ledger.wire.entries import ACCEPTED, Told, owner_of
from ledger.wire.facts import MergeAsked
from projections.answers.members import head_of, require_member
from projections.what_if.quote import Quoter

_ASKED = str(MergeAsked.__struct_config__.tag)


class Moving(NamedTuple):
    """What goes with the names that move, of one kind: its lots, and the points in them by where they are."""

    kind: str
    lots: int
    spendable: int
    pending: int
    held: int
    debt: int


class MoveTrial(NamedTuple):
    """What would come of a merge or its undoing: the reason why nothing would, empty where all moves.

    `head` is the account that takes the names in or lets them go, `names` those that move, the one that was asked for
    first, `cards` the cards of theirs that it holds. `balances` are its spendable points before and after, by kind.
    """

    reason: str
    head: str
    names: list[str]
    moving: list[Moving]
    cards: list[str]
    balances: list[tuple[str, int, int]]


def trial_of_merge(ledger: Ledger, member: str, into: str, at: int, source: str) -> MoveTrial:
    """Return what would move if a member became a name of another. Raises `UnknownMember` where there is no other."""
    require_member(ledger, into)
    old, head = Quoter(ledger, member, at), head_of(ledger, into, at)
    decision, _ = old.tried("member.merged", {"into": into}, source)
    reason = decision.reason
    if decision.outcome == ACCEPTED:
        told = next(change for change in decision.changes if isinstance(change, Told) and change.fact == _ASKED)
        reason = Quoter(ledger, head, at).tries(_ASKED.removesuffix(".v1"), msgspec.json.decode(told.data)).reason
    moving, there = _moving(old.account, None), Quoter(ledger, head, at).account
    balances = []
    for of in moving:
        purse = there.purse(of.kind)
        spendable, owed = purse.spendable() + of.spendable, purse.debt + of.debt
        balances.append((of.kind, purse.spendable(), spendable - min(spendable, owed)))
    names = [member, *(old.account.bundle.names if old.account.bundle is not None else ())]
    return MoveTrial(reason, head, names, moving, _cards(old.account, None), balances)


def trial_of_unmerge(ledger: Ledger, head: str, name: str, at: int, source: str) -> MoveTrial:
    """Return what would move if a name became a member of its own again."""
    quoter = Quoter(ledger, head, at)
    decision, after = quoter.tried("member.unmerged", {"name": name}, source)
    before = quoter.account
    known = before.bundle.names if before.bundle is not None else {}
    names = [name]
    for one in names:  # and those that came through it, however far
        names += [other for other, taken in known.items() if taken.through == one]
    moving = _moving(before, frozenset(names))
    balances = [(of.kind, before.purse(of.kind).spendable(), after.purse(of.kind).spendable()) for of in moving]
    return MoveTrial(decision.reason, head, names, moving, _cards(before, frozenset(names)), balances)


def _moving(account: Account, names: frozenset[str] | None) -> list[Moving]:
    """Return what some names have in an account by kind; None is all of it."""
    bundle, found = account.bundle, []
    for kind, purse in sorted(account.purses.items()):
        lots = list(purse.lots.items())
        debt = purse.debt
        if names is not None and bundle is not None:
            lots = [(key, lot) for key, lot in lots if (of := owner_of(key)) and bundle.known[of - 1] in names]
            debt = sum(share.purse(kind).debt for name, share in bundle.shares.items() if name in names)
        free = [(lot.left, bool(lot.pending_until)) for _, lot in lots]
        spendable, pending = (sum(left for left, waits in free if waits == is_pending) for is_pending in (False, True))
        if lots or debt:
            found.append(Moving(kind, len(lots), spendable, pending, sum(lot.held for _, lot in lots), debt))
    return found


def _cards(account: Account, names: frozenset[str] | None) -> list[str]:
    """Return the cards of some names in an account, of terms that are not over; None is all of them."""
    whose = account.bundle.cards if account.bundle is not None else {}
    return [
        term.card
        for membership, terms in sorted(account.terms.items())
        for term in terms
        if not term.ended and (names is None or whose.get(f"{membership}/{term.card}", "") in names)
    ]
