"""What the first page of the console shows: movements by day, costs by rule, who is active, tiers, cards and spending.

It counts (`projections.views.timed`) and folds at once: what the entries say stands in the tables for good, and what
time alone did since a member's last entry stands there with what the member counts for, until an entry says it. So the
present is read from tables whose size goes with days, rules and tiers, and never with members or facts. Only campaigns
grow with how many there are, and they are read by month.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Struct, field

from ledger.core import postings
from ledger.core.account import NEVER, Account, current_term, term_at
from ledger.core.decisions.forwarding import FORWARDED, HANDED_BACK, WAITS
from ledger.core.postings import IN_AND_OUT, growth, postings_of
from ledger.core.standing import tier_now
from ledger.rulebook.compiled import Programme
from ledger.wire.entries import ACCEPTED, OUTCOMES, Change, DecidedLate, Earned, TierMoved
from ledger.wire.facts import MemberForwarded
from ledger.wire.times import day_of, day_text, month_of, month_start, month_text
from projections.answers.members import is_active, is_alias
from projections.answers.shops import without_shop
from projections.answers.show import open_lots, state_of
from projections.answers.tables import Column, Row, Table, columns
from projections.views.builtin.campaigns import RULE
from projections.views.builtin.points import PointsView
from projections.views.view import (
    FoldStep,
    Options,
    Query,
    RowDeltas,
    Snapshot,
    StateWithAccount,
    SumTable,
    day_at,
    month_at,
)

FIGURES = ("issued", "redeemed", "expired", "clawed_back", "forfeited", "in_transit")
ISSUED, REDEEMED, EXPIRED, CLAWED_BACK, FORFEITED, IN_TRANSIT = range(6)
WIDTH = len(FIGURES)
PLACES = growth({name: place for place, name in enumerate((*IN_AND_OUT, postings.FORFEITED, postings.IN_TRANSIT))})

MOVEMENTS = SumTable("movements", columns("kind day"), FIGURES)
COHORTS = SumTable("cohorts", columns("kind expires"), FIGURES)  # the month in which what moved expires, "" for none
GIVEN = SumTable("given", columns("month kind rule"), ("points", "awards"))
CAMPAIGNS = SumTable("campaigns", columns("month kind campaign"), ("points", "grants"))
ACTIVE = SumTable("active", columns("period"), ("members",))
SPENDING = SumTable("spending", columns("month membership"), ("members", "orders", "paid_fen"))
MOVES = SumTable("moves", columns("month score before after"), ("moves",))
EXPIRING = SumTable("expiring", columns("kind day"), ("points",))  # of open lots: what is held is in none
TIERS = SumTable("tiers", columns("score tier"), ("members",))
CARDS = SumTable("cards", columns("membership state"), ("members",))
PEOPLE = SumTable("people", columns("state"), ("members",))
TABLES = (MOVEMENTS, COHORTS, GIVEN, CAMPAIGNS, ACTIVE, SPENDING, MOVES, EXPIRING, TIERS, CARDS, PEOPLE)
MEMBERS = ("members",)

ORDERED = "order.completed.v1"
FOR_A_NAME = str(MemberForwarded.__struct_config__.tag)


class Watched(StateWithAccount):
    """A member's account, the last local day that the clock reached, and the last month of an order by membership.

    `waiting` says what was paid for orders whose facts wait for a name, by their entries.
    """

    day: int = -1
    ordered: dict[str, int] = field(default_factory=dict)
    waiting: dict[int, int] = field(default_factory=dict)


class _Typed(Struct, gc=False):
    type: str


class _Line(Struct, gc=False):
    paid_fen: int


class _Lines(Struct, gc=False):
    lines: list[_Line] = []
    fact: msgspec.Raw = msgspec.Raw()  # of a fact that came for another name


class _Order(Struct, gc=False):
    data: _Lines


_type = msgspec.json.Decoder(_Typed)
_order = msgspec.json.Decoder(_Order)


def _paid(fact: bytes) -> int | None:
    """Return what was paid for the order that a fact completes, perhaps one that came for another name."""
    kind = _type.decode(fact).type
    if kind == ORDERED:
        return sum(line.paid_fen for line in _order.decode(fact).data.lines)
    return _paid(bytes(_order.decode(fact).data.fact)) if kind == FOR_A_NAME else None


def _spend(step: FoldStep, month: int, paid: int, rows: RowDeltas) -> None:
    """Count an order under each membership that the member has, or under none."""
    state: Watched = step.subject.state
    assert step.entry is not None
    held = [name for name in state.account.terms if term_at(state.account, name, step.entry.clock) is not None]
    for membership in held or ("",):
        is_new = month > state.ordered.get(membership, -1)
        rows.add(SPENDING.name, (month_text(month), membership), int(is_new), 1, paid)
        if is_new:
            state.ordered = {**state.ordered, membership: month}


def _rows_of(table: SumTable) -> Query:
    def rows(taken: Snapshot, _: Options) -> Table:
        found = taken.counted()[table.name].items()
        flat: Iterator[Row] = ((*key, *amounts) for key, amounts in found)
        return taken.table((*table.key, *(Column(name, "integer") for name in table.amounts)), flat)

    return Query(f"overview-{table.name}", _ABOUT[table.name], rows, is_by_member=False)


_ABOUT = {
    MOVEMENTS.name: "points issued, redeemed, expired, clawed back, forfeited and in transit by day and kind, now",
    GIVEN.name: "points given by month, kind and rule, now",
    SPENDING.name: "members with orders, orders and what was paid, by month and membership (empty: none)",
    TIERS.name: "members by score and tier, now",
    MOVES.name: "moves between tiers by month",
}


class Overview(PointsView):
    """Sums over all members, by day and month, and how the members stand now."""

    name = "overview"
    version = 3
    about = "the console's first page: movements by day, costs by rule, active members, tiers, cards and spending"
    tables = TABLES
    needs_fact = True
    state = Watched
    counts = True
    folds_time = True
    queries = tuple(_rows_of(table) for table in (MOVEMENTS, GIVEN, SPENDING, TIERS, MOVES))

    def entry(self, step: FoldStep, rows: RowDeltas) -> None:
        """Count the member whose clock reaches a new day or month, and an order with what was paid for it."""
        entry, zone, state = step.entry, step.book.offset, step.subject.state
        assert entry is not None
        reached = day_of(entry.clock, zone)
        month = month_of(entry.clock, zone)
        if reached > state.day and is_active(entry):
            rows.add(ACTIVE.name, (day_text(reached),), 1)
            if state.day < 0 or day_text(state.day)[:7] != month_text(month):
                rows.add(ACTIVE.name, (month_text(month),), 1)
            state.day = reached
        if entry.outcome == ACCEPTED and is_active(entry):
            paid = _paid(entry.fact)
            if paid is not None and entry.reason == WAITS:
                state.waiting = {**state.waiting, entry.number: paid}
            elif paid is not None:
                _spend(step, month, paid, rows)

    def change(self, step: FoldStep, change: Change, rows: RowDeltas) -> None:
        """Sum a change that moves points in or out, or a tier."""
        zone = step.book.offset
        for posting in postings_of(change, step.subject.state.account):
            moved = PLACES[posting.source, posting.destination]
            if not moved:
                continue
            kind, day = without_shop(posting.kind), day_at(step.at, zone)
            expires = month_at(posting.expires_at - 1, zone) if posting.expires_at else ""
            for place, sign in moved:
                rows.add_to(MOVEMENTS.name, (kind, day), place, sign * posting.points, WIDTH)
                rows.add_to(COHORTS.name, (kind, expires), place, sign * posting.points, WIDTH)
        if type(change) is Earned:
            kind, month = without_shop(change.kind), month_at(step.at, zone)
            rows.add(GIVEN.name, (month, kind, change.rule), change.points, 1)
            if change.rule == RULE:
                rows.add(CAMPAIGNS.name, (month, kind, change.page), change.points, 1)
        elif type(change) is DecidedLate:
            self._decided_late(step, change, rows)
        elif type(change) is TierMoved:
            moves = month_at(step.at, zone), without_shop(change.score), change.before, change.after
            rows.add(MOVES.name, moves, 1)

    def _decided_late(self, step: FoldStep, change: DecidedLate, rows: RowDeltas) -> None:
        """Count an order that waited for a name, if it was decided here."""
        state: Watched = step.subject.state
        paid = state.waiting.get(change.number)
        state.waiting = {number: fen for number, fen in state.waiting.items() if number != change.number}
        if paid is not None and change.outcome == OUTCOMES[ACCEPTED] and change.reason not in (FORWARDED, HANDED_BACK):
            _spend(step, month_of(step.at, step.book.offset), paid, rows)

    def evolve(self, state: Watched, change: Change) -> None:
        """Apply a change to the account."""
        super().evolve(state.account, change)

    def count(self, account: Account, instant: int, book: Programme, rows: RowDeltas) -> None:
        """Add a member's lots by the day on which they end, tiers and cards; another's name is no member beside it."""
        if is_alias(account):
            return
        version = book.nearest(instant)
        rows.add(PEOPLE.name, MEMBERS, 1)
        for kind, purse in account.purses.items():
            for _, lot, end in open_lots(purse):
                if end is not None:
                    rows.add(EXPIRING.name, (without_shop(kind), day_at(end - 1, book.offset)), lot.left)
        for name in version.rankings:
            if name not in version.keyed_scores:
                rows.add(TIERS.name, (name, tier_now(account, version, name, instant)), 1)
        for membership in account.terms:
            term = current_term(account, membership, instant)
            if term is not None:
                rows.add(CARDS.name, (membership, state_of(term, version, instant)), 1)

    def next_count(self, account: Account, book: Programme) -> int:
        """Return when another version begins, or the time of a score passes."""
        return next_time_of_scores(account, book)


def next_time_of_scores(account: Account, book: Programme) -> int:
    """Return when another version begins, or the time of a score passes for a member who has any tier or sums."""
    begins = min((version.since for version in book.versions if version.since > account.clock), default=NEVER)
    if not (account.tiers or account.sums or account.grants or account.tier_holds):
        return begins
    if account.next_month_at > account.clock:
        return min(begins, account.next_month_at)
    return min(begins, month_start(month_of(account.clock, book.offset) + 1, book.offset))
