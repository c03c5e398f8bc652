"""What a cart would earn if it completed now, line by line, the most the member may redeem on it, and what cards cost.

A dry run of the same `decide` on a copy of the account: nothing is written, and what it says is what would be decided.
"""

from typing import Any

import msgspec

from ledger.core.account import Account, decode_account, encode_account
from ledger.core.decide import Decision, Limits, decide
from ledger.core.decisions.redemptions import redeemed_fen, shares_of
from ledger.core.draft import Draft, OutOfRange
from ledger.core.fees import bars, price_of
from ledger.core.names import NamedPages
from ledger.core.pages import OrderPage, Page, earned_in
from ledger.journal.ledger import Ledger
from ledger.journal.sql import Journal
from ledger.rulebook.compiled import ASKED, POOL, ProgrammeVersion
from ledger.rulebook.schema import AT_SHOP
from ledger.wire import answers
from ledger.wire.entries import IGNORED, Change, Earned, Scored, Waiting, Withheld
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import change_to_dict
from ledger.wire.fact_codec import BadFact, decode
from ledger.wire.facts import SELF, MemberForwarded
from ledger.wire.name_keys import named
from ledger.wire.times import to_text
from ledger.wire.unreadable import UNREADABLE
from projections.answers.benefits import draft_at
from projections.answers.members import head_of

MOST_FEN = 1 << 53
NO_NAME = "quote"  # of the cart's order where it has none yet, and of what is only tried
_FOR_A_NAME = str(MemberForwarded.__struct_config__.tag)
UNKNOWN = frozenset((f"order/{NO_NAME}", f"redemption/{NO_NAME}"))


class _Overlay:
    """A member's pages as the journal has them, without those of `NO_NAME`, and over them what a dry run writes."""

    def __init__(self, journal: Journal, member: str) -> None:
        self._journal = journal
        self._member = member
        self._written: dict[str, Page] = {}

    def get(self, key: str) -> Page | None:
        """Return a page by its key."""
        if key in self._written:
            return self._written[key]
        return None if named(key)[1] in UNKNOWN else self._journal.page(self._member, key)

    def put(self, key: str, page: Page) -> None:
        """Keep a page for this run."""
        self._written[key] = page

    def enter(self, number: int, changes: list[Change]) -> None:
        """Keep nothing: what is only tried makes no entry."""

    def opened(self, number: int) -> list[Earned]:
        """Return the lots that an entry of the member opened."""
        rows = self._journal.entries_of(self._member, number - 1, 1)
        return earned_in(decode_entry(rows[0].state).changes) if rows and rows[0].number == number else []

    def all_keys(self) -> list[str]:
        """Return the keys of what this run wrote: a move that is tried moves no pages."""
        return sorted(self._written)


class Quoter:
    """Decides facts about one member at an instant without keeping anything.

    One that `follows` decides what is sent to another name of a member in the account where that name lives.
    """

    def __init__(self, ledger: Ledger, member: str, at: int, *, follows: bool = False) -> None:
        self.member = member
        self.at = at
        self._head = head_of(ledger, member, at) if follows else member
        self.book = ledger.book_of(self._head)
        account = ledger.account(self._head, at)
        self.is_known = account is not None
        self.account = account or Account()
        self._journal = ledger.journal(ledger.partition_of(self._head))
        self._state = encode_account(self.account)

    @property
    def version(self) -> ProgrammeVersion:
        """Return the rules that hold at the instant."""
        return self.book.nearest(self.at)

    def tries(self, kind: str, data: Any) -> Decision:
        """Return what would be decided about a fact of this type with this data. Raises `BadFact`."""
        return self.tried(kind, data)[0]

    def tried(self, kind: str, data: Any, source: str = NO_NAME) -> tuple[Decision, Account]:
        """Return what would be decided about a fact, and the account after it. Raises `BadFact`."""
        told = self._fact(f"{kind}.v1", self.member, data, source)
        fact, occurred = decode(msgspec.json.encode(told))
        if self._head != self.member:
            name = self.member
            handed_on = {"frm": name, "name": name, "fact": told, "by": name}
            fact, _ = decode(msgspec.json.encode(self._fact(_FOR_A_NAME, self._head, handed_on, source)))
        account = decode_account(self._state)
        pages = _Overlay(self._journal, self._head)
        try:
            return decide(account, pages, fact, occurred, self.book, recorded=occurred, limits=Limits()), account
        except OutOfRange:  # as the ledger would
            return Decision(IGNORED, "out-of-range", {}, [], self.at, self.version.name), decode_account(self._state)

    def _fact(self, kind: str, subject: str, data: Any, source: str) -> dict[str, Any]:
        head = {"specversion": "1.0", "id": NO_NAME, "source": source, "type": kind}
        return {**head, "subject": subject, "time": to_text(self.at, 0), "data": data}

    def draft(self) -> Draft:
        """Return a decision at the instant that has not begun."""
        account = decode_account(self._state)
        return draft_at(account, self.book, self.at, self._pages(account))

    def _pages(self, account: Account) -> NamedPages:
        pages = NamedPages(_Overlay(self._journal, self._head), account)
        pages.acting = self.member if self._head != self.member else ""
        return pages

    def has_card(self, membership: str) -> bool:
        """Return True if a card of a membership runs or is to come."""
        return any(term.until > self.at for term in self.account.terms.get(membership, ()))

    def page(self, order: str) -> OrderPage | None:
        """Return the page of an order, where the ledger knows it."""
        page = self._pages(self.account).get(f"order/{order}")
        return page if isinstance(page, OrderPage) else None


def products(ledger: Ledger, member: str, at: int) -> answers.Products:
    """Return what each card of the book would cost a member at an instant, and whether the member may open it."""
    quoter = Quoter(ledger, member, at, follows=True)
    version = quoter.version
    draft = quoter.draft()
    offers = []
    for label, (membership, product) in version.products.items():
        why = bars(draft, label) or ""
        if not why and product.trial and (quoter.account.trials.get(membership) or quoter.has_card(membership)):
            why = "trial-used"
        offers.append(answers.CardOffer(membership, label, product.trial, price_of(draft, label), not why, why))
    return answers.Products(member, quoter.is_known, to_text(at, version.offset), version.name, offers)


def quote(ledger: Ledger, member: str, cart: bytes, at: int) -> answers.Quote:
    """Return the quote of a cart, the data of an `order.completed.v1` as JSON, in which `order` may be left out.

    `settlement_fen` beside `lines` is what is to be paid before points (left out: the sum of `paid_fen`).
    Raises `BadFact` where the cart is none.
    """
    try:
        data = msgspec.json.decode(cart)
    except UNREADABLE as error:
        raise BadFact("not-json", str(error)) from None
    if not isinstance(data, dict):
        raise BadFact("bad-fact", 'a cart is an object with "lines"')
    order = {"order": NO_NAME, **data}
    quoter = Quoter(ledger, member, at, follows=True)
    decision = quoter.tries("order.completed", order)
    settlement = data.get("settlement_fen", sum(line["paid_fen"] for line in order["lines"]))
    if type(settlement) is not int or not 0 <= settlement <= MOST_FEN:
        raise BadFact("bad-fact", f"`settlement_fen` is an amount in fen from 0 to {MOST_FEN:,}")
    return answers.Quote(
        member,
        quoter.is_known,
        to_text(at, quoter.version.offset),
        decision.version,
        "accepted" if not decision.outcome else "ignored",
        decision.reason,
        _earnings(decision.changes, quoter.version),
        settlement,
        [
            _most(quoter, use, kind, order, settlement)
            for use, bounds in quoter.version.programme.uses.items()
            if bounds.order
            for kind in (*bounds.kinds, *([""] if len(bounds.kinds) > 1 else []))
        ],
    )


def _earnings(changes: list[Change], version: ProgrammeVersion) -> answers.Earnings:
    """Sums by kind and score, and each award and each rule that gave nothing, by line ("" for the whole order).

    Points that come frozen until a budget answers say in `waits_for` which.
    """
    asked = {change.lot for change in changes if isinstance(change, Waiting) and change.waits == ASKED}
    points: dict[str, int] = {}
    scores: dict[str, int] = {}
    lines: dict[str, list[dict[str, Any]]] = {}
    for change in changes:
        match change:
            case Earned():
                points[change.kind] = points.get(change.kind, 0) + change.points
            case Scored():
                scores[change.score] = scores.get(change.score, 0) + change.points
            case Withheld():
                pass
            case _:
                continue
        award = change_to_dict(change, version.offset)
        if isinstance(change, Earned) and change.lot in asked and (pool := version.rules[change.rule].pool):
            award["waits_for"] = pool.subject.removeprefix(POOL)
        lines.setdefault(change.line, []).append(award)
    return answers.Earnings(points, scores, [answers.QuotedLine(line, awards) for line, awards in lines.items()])


def _most(quoter: Quoter, use: str, kind: str, cart: dict[str, Any], settlement: int) -> answers.MostRedeemable:
    """Return the most points a redemption for this order may ask for, and why no more: the refusal of the next step.

    An empty `kind` is all kinds of the use, in their order; one that is kept for each shop is that of the cart's shop.
    """
    version, order = quoter.version, cart["order"]
    bounds, shop = version.programme.uses[use], cart.get("shop", SELF)
    kinds = tuple(
        f"{one}{AT_SHOP}{shop}" if one in version.keyed_kinds else one for one in ((kind,) if kind else bounds.kinds)
    )
    named = {"shop": shop} if version.keyed_kinds.intersection(bounds.kinds) else {}
    share = quoter.version.shares[use]
    most = sum(quoter.account.purse(one).spendable() for one in kinds)
    if share is not None:
        most = _within(quoter, kinds, int(share * settlement) - _redeemed_fen(quoter, order, kinds[0]))
    if bounds.at_most is not None:
        most = min(most, bounds.at_most)
    step = bounds.exactly or bounds.multiple
    most = max(min(most, bounds.exactly or most), 0) // step * step

    def asks(points: int) -> Decision:
        data = {"redemption": NO_NAME, "kind": kind, "points": points, "use": use, "order": order, **named}
        return quoter.tries("redemption.requested", {**data, "settlement_fen": settlement})

    if most and (full := asks(most)).reason == "cap-full":
        most = max(int(full.figures["cap"]) - int(full.figures["given"]), 0) // step * step
    refused = asks(most + step)
    if most:
        first = asks(most)
        if first.outcome:
            most, refused = 0, first
    no_more = answers.NoMore(refused.reason, refused.figures)
    return answers.MostRedeemable(use, kind, most, _worth(quoter, kinds, most), no_more)


def _redeemed_fen(quoter: Quoter, order: str, kind: str) -> int:
    page = quoter.page(order)
    return redeemed_fen(quoter.draft(), page, kind) if page is not None else 0


def _within(quoter: Quoter, kinds: tuple[str, ...], fen: int) -> int:
    """The most spendable points, taken from kinds in their order, that are worth up to `fen`."""
    points = 0
    for kind in kinds:
        spendable, each = quoter.account.purse(kind).spendable(), quoter.version.programme.fen_of(kind)
        taken = max(min(spendable, fen // each), 0)
        points, fen = points + taken, fen - taken * each
        if taken < spendable:
            break
    return points


def _worth(quoter: Quoter, kinds: tuple[str, ...], points: int) -> int:
    """What points taken from kinds in their order are worth, in fen."""
    programme = quoter.version.programme
    return sum(part * programme.fen_of(kind) for kind, part in shares_of(quoter.draft(), kinds, points))
