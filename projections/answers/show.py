"""One member at an instant: points in lots, scores by part, memberships with what is left of their quotas."""

from typing import Any

from ledger.core.account import Account, Lot, Purse, Term, current_term
from ledger.core.benefits import times_used
from ledger.core.scores import parts_of, tier_of, value_of
from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import Book, Version
from ledger.rulebook.schema import Membership, Score
from ledger.wire.entries import LOT_BITS
from ledger.wire.times import month_text, to_text
from projections.answers.members import account_of


def show_member(ledger: Ledger, member: str, as_of: int, known_at: int | None = None) -> dict[str, Any]:
    """The contract's JSON of a member. Raises `UnknownMember`."""
    account = account_of(ledger, member, as_of, known_at)
    return {"member": member, **account_to_dict(account, ledger.book_known_at(known_at), as_of)}


def account_to_dict(account: Account, book: Book, as_of: int) -> dict[str, Any]:
    """An account that was run to `as_of`, under the version of the book that holds then."""
    version = book.nearest(as_of)
    programme, offset = version.programme, version.offset
    kinds = [*programme.kinds, *(kind for kind in account.purses if kind not in programme.kinds)]
    terms = {name: current_term(account, name, as_of) for name in programme.memberships}
    return {
        "as_of": to_text(as_of, offset),
        "entries": account.number,
        "frozen": account.frozen,
        "points": {kind: _purse(account.purse(kind), offset) for kind in kinds},
        "scores": {
            name: score_to_dict(account, name, score, version.month(as_of)) for name, score in programme.scores.items()
        },
        "memberships": {
            name: _membership(programme.memberships[name], term, version, as_of)
            for name, term in terms.items()
            if term is not None
        },
    }


def open_lots(purse: Purse) -> list[tuple[int, Lot]]:
    """Lots with something left, the soonest to go first."""
    lots = [(key, lot) for key, lot in purse.lots.items() if lot.left]
    return sorted(lots, key=lambda item: (item[1].expires_at, item[0]))


def score_to_dict(account: Account, name: str, score: Score, month: int) -> dict[str, Any]:
    """A score of a month with its tier and parts."""
    value = value_of(account, name, score, month)
    return {
        "value": value,
        "tier": tier_of(score, value),
        "month": month_text(month),
        "parts": parts_of(account, name, score, month),
    }


def score_months(account: Account, name: str, score: Score, month: int) -> dict[str, dict[str, int]]:
    """Points of each part in each month that the score of `month` counts, the oldest first."""
    sums = account.sums.get(name, {})
    return {
        month_text(counted): {part: sums.get(counted, {}).get(part, 0) for part in score.parts}
        for counted in range(month - score.window_months, month)
    }


def state_of(term: Term, instant: int) -> str:
    """A term's state at an instant: trial, active or ended."""
    if not term.start <= instant < term.until:
        return "ended"
    return "trial" if term.trial else "active"


def _purse(purse: Purse, offset: int) -> dict[str, Any]:
    return {
        "spendable": purse.spendable(),
        "pending": purse.pending(),
        "held": purse.held(),
        "debt": purse.debt,
        "lots": [_lot(key, lot, offset) for key, lot in open_lots(purse)],
    }


def _lot(key: int, lot: Lot, offset: int) -> dict[str, Any]:
    view: dict[str, Any] = {
        "entry": key >> LOT_BITS,
        "rule": lot.rule,
        "earned": lot.earned,
        "left": lot.left,
        "earned_at": to_text(lot.earned_at, offset),
        "expires_at": to_text(lot.expires_at, offset),
    }
    if lot.pending_until:
        view["pending"] = True
        view["pending_until"] = to_text(lot.pending_until, offset)
    return view


def _membership(membership: Membership, term: Term, version: Version, as_of: int) -> dict[str, Any]:
    state = state_of(term, as_of)
    quotas: dict[str, int] = {}
    if state != "ended":
        for label, benefit in membership.benefits.items():
            quota = (benefit.quota or {}).get(term.product)
            if quota is not None:
                used = times_used(term, label, benefit, version.month(as_of))
                quotas[label] = max(quota - used, 0)
    return {
        "state": state,
        "product": term.product,
        "from": to_text(term.start, version.offset),
        "until": to_text(term.until, version.offset),
        "quotas": quotas,
    }
