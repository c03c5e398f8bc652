"""What is owed to members in points: issued, redeemed, expired, clawed back, outstanding by the month it expires in.

Each amount stands under two dates. `day` is when it happened by the member's own clock: a late fact moves the days it
belongs to. `booked` is the month in which the ledger knew: that of the later of `recorded` and clock. `recorded` never
runs back, so a month that every partition has passed is booked for ever, and what is late is booked in a later one,
beside the month it belongs to. What time takes is booked in its own month by what was known at the month's end; should
a later entry tell otherwise, that is taken back in the entry's month.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ledger.core import postings
from ledger.core.account import copy_account
from ledger.core.postings import IN_AND_OUT, Posting, growth, postings_of
from ledger.wire.entries import Change
from ledger.wire.times import day_text, month_of, month_start, month_text
from projections.answers.tables import Row, Table, columns
from projections.views.builtin.points import Move, PointsView
from projections.views.view import (
    Amounts,
    FoldStep,
    MemberState,
    Options,
    Query,
    RowDeltas,
    Snapshot,
    SumTable,
    day_at,
    month_at,
    over_shops,
    pass_time,
    summed,
)

MOVEMENTS = SumTable(
    "movements",
    columns("kind booked day expires"),
    (
        "issued",
        "redeemed",
        "expired",
        "clawed_back",
        "owed",
        "written_off",
        "cash_shortfall_fen",
        "forfeited",
        "in_transit",
    ),
)
ISSUED, REDEEMED, EXPIRED, CLAWED_BACK, OWED, WRITTEN_OFF, CASH, FORFEITED, IN_TRANSIT = range(9)
WIDTH = len(MOVEMENTS.amounts)
FIGURES = (
    *IN_AND_OUT,
    postings.DEBT,
    postings.WRITTEN_OFF,
    postings.CASH_SHORTFALL,
    postings.FORFEITED,
    postings.IN_TRANSIT,
)
PLACES = growth({figure: place for place, figure in enumerate(FIGURES)})
TOTALS = (
    "issued:integer redeemed:integer expired:integer clawed_back:integer outstanding:integer outstanding_fen:integer"
)
NOWHERE = ""  # under `expires`: of what is in no lot (debt, what was written off or kept from a refund)
# A closed month's lines: what each adds to the closing balance, and its amount.
LINES = (
    ("issued", 1, ISSUED),
    ("redeemed", -1, REDEEMED),
    ("expired", -1, EXPIRED),
    ("clawed_back", -1, CLAWED_BACK),
    ("forfeited", -1, FORFEITED),
    ("in_transit", -1, IN_TRANSIT),
)


def outstanding_of(issued: int, *gone: int) -> int:
    """Return what members still have of what was issued, whether spendable, pending or held: the one liability.

    `gone` are the points redeemed, expired, clawed back, forfeited and on their way to others. The books and backtests
    ask it too, and find it by kind and, without what is held, by the month in which open lots expire.
    """
    return issued - sum(gone)


def _left(amounts: Sequence[int]) -> int:
    return outstanding_of(*(amounts[place] for _, _, place in LINES))


def liability(taken: Snapshot, options: Options) -> Table:
    """The totals of each kind, and what breakage was observed and is to be expected."""
    beside = "debt:integer written_off:integer cash_shortfall_fen:integer"
    expected = "breakage_per_10000:integer expected_breakage:integer expected_breakage_fen:integer forfeited:integer"
    expected += " in_transit:integer"
    return taken.table(columns(f"kind {TOTALS} {beside} {expected}"), _liability(taken, options))


def _liability(taken: Snapshot, options: Options) -> Iterator[Row]:
    month = month_at(taken.as_of, taken.book.offset)
    programme = taken.programme
    found = _by_expiry(taken, options)
    keyed = taken.book.nearest(taken.as_of).keyed_kinds if options.by_shop else frozenset()
    for kind in dict.fromkeys([*(kind for kind in programme.kinds if kind not in keyed), *found]):
        cohorts = found.get(kind, {})
        totals = _total(cohorts.values())
        outstanding = _left(totals)
        rate = breakage(cohorts, month)
        expected = None if rate is None else max(outstanding, 0) * rate[0] // rate[1]
        fen = programme.fen_of(kind)
        per_10000 = None if rate is None else rate[0] * 10_000 // rate[1]
        worth = None if expected is None else expected * fen
        beside = totals[OWED], totals[WRITTEN_OFF], totals[CASH]
        lost, on_the_way = totals[FORFEITED], totals[IN_TRANSIT]
        yield (
            kind,
            *totals[:OWED],
            outstanding,
            outstanding * fen,
            *beside,
            per_10000,
            expected,
            worth,
            lost,
            on_the_way,
        )


def breakage(cohorts: dict[str, Amounts], month: str) -> tuple[int, int] | None:
    """Of the points that were to expire in a month that is over, how many did, and how many did or were redeemed.

    None where there are none yet. Points that were clawed back count in neither.
    """
    over = _total(amounts for expires, amounts in cohorts.items() if expires != NOWHERE and expires < month)
    known = over[EXPIRED] + over[REDEEMED]
    return (over[EXPIRED], known) if known > 0 else None


def outstanding(taken: Snapshot, options: Options) -> Table:
    """By kind and the month in which the points expire: what was issued, what became of it, what is left."""
    programme = taken.programme

    def rows() -> Iterator[Row]:
        for kind, cohorts in _by_expiry(taken, options).items():
            fen = programme.fen_of(kind)
            for expires in sorted(cohorts):
                if expires != NOWHERE:
                    left = _left(cohorts[expires])
                    amounts = cohorts[expires]
                    yield kind, expires, *amounts[:OWED], left, left * fen, amounts[FORFEITED]

    return taken.table(columns(f"kind expires {TOTALS} forfeited:integer"), rows())


def _by_expiry(taken: Snapshot, options: Options) -> dict[str, dict[str, Amounts]]:
    """Amounts by kind and month of expiry, of every day up to the instant's."""
    movements = taken.sums(MOVEMENTS.name)
    if not options.by_shop:
        movements = over_shops(movements)
    until_now = (row for row in movements.items() if str(row[0][2]) <= taken.today)
    cohorts = summed(((kind, expires), amounts) for (kind, _, _, expires), amounts in until_now)
    found: dict[str, dict[str, Amounts]] = {}
    for (kind, expires), amounts in cohorts.items():
        found.setdefault(kind, {})[expires] = amounts
    return found


def close(taken: Snapshot, month: int) -> Table:
    """A month's close, a line each, of which `of_earlier_months` is what belongs to months that were closed before.

    The snapshot is taken at the end of the month, or now where the month is not over.
    """
    shown = columns("month kind line points:integer fen:integer of_earlier_months:integer")
    return taken.table(shown, _close(taken, month_text(month), month_start(month + 1, taken.book.offset)))


def _close(taken: Snapshot, month: str, end: int) -> Iterator[Row]:
    programme = taken.book.nearest(end - 1).programme

    def until(subject: MemberState) -> int:
        return min(taken.as_of, end) if _known(subject) < end else 0

    movements = over_shops(taken.sums(MOVEMENTS.name, until)).items()
    opening = summed((kind, amounts) for (kind, booked, _, _), amounts in movements if booked < month)
    of_month = [(kind, day, amounts) for (kind, booked, day, _), amounts in movements if booked == month]
    moved = summed((kind, amounts) for kind, _, amounts in of_month)
    late = summed((kind, amounts) for kind, day, amounts in of_month if day[:7] < month)
    nothing = [0] * WIDTH
    for kind in dict.fromkeys([*programme.kinds, *sorted({*opening, *moved})]):
        fen = programme.fen_of(kind)
        balance = _left(opening.get(kind, nothing))
        yield month, kind, "opening", balance, balance * fen, None
        for line, sign, place in LINES:
            points = sign * moved.get(kind, nothing)[place]
            yield month, kind, line, points, points * fen, sign * late.get(kind, nothing)[place]
            balance += points
        yield month, kind, "closing", balance, balance * fen, None


def _total(rows: Iterable[Amounts]) -> Amounts:
    return summed(("", amounts) for amounts in rows).get("", [0] * WIDTH)


class Liability(PointsView):
    """Movements of points over all members, by kind, month booked, day, and month of expiry."""

    name = "liability"
    version = 4
    about = "points issued, redeemed, expired, clawed back and outstanding, by the month of expiry; the monthly close"
    tables = (MOVEMENTS,)
    moves_by = frozenset({"booked", "day", "expires"})
    queries = (
        Query("liability", "totals by kind, with breakage", liability, frozenset({"by_shop"}), is_by_member=False),
        Query("outstanding", "by kind and month of expiry", outstanding, frozenset({"by_shop"}), is_by_member=False),
    )

    def entry(self, step: FoldStep, rows: RowDeltas) -> None:
        """Where a month has ended since the last entry: book what time took by its end, and take it back now.

        The entry's own changes then book what really became of it, which is the same unless the entry is late.
        """
        subject, entry = step.subject, step.entry
        assert entry is not None
        due = subject.state.next_due_at
        if not subject.number or (due > entry.recorded and due > entry.clock):
            return
        instant, offset = max(entry.recorded, entry.clock), step.book.offset
        now = month_of(instant, offset)
        if now > month_of(_known(subject), offset) and subject.state.next_due_at <= month_start(now, offset):
            projected = RowDeltas(self.tables)
            then = replace(subject, state=copy_account(subject.state))
            pass_time(self, FoldStep(step.book, then), month_start(now, offset), projected)
            booked = month_text(now)
            for (kind, month, day, expires), amounts in projected.of[MOVEMENTS.name].items():
                rows.add(MOVEMENTS.name, (kind, month, day, expires), *amounts)
                rows.add(MOVEMENTS.name, (kind, booked, day, expires), *(-amount for amount in amounts))

    def change(self, step: FoldStep, change: Change, rows: RowDeltas) -> None:
        """Sum a change that moves points in or out."""
        for posting in postings_of(change, step.subject.state):
            if places := PLACES[posting.source, posting.destination]:
                key = self._key(step, posting)
                for place, sign in places:
                    rows.add_to("movements", key, place, sign * (posting.fen or posting.points), WIDTH)

    def moved(self, move: Move, rows: RowDeltas) -> None:
        """Sum the same as `entry` and `change` do."""
        if places := PLACES[move.source, move.destination]:
            expires = NOWHERE if move.expires < 0 else month_text(move.expires)
            key = move.kind, month_text(move.booked), day_text(move.day), expires
            for place, sign in places:
                rows.add_to(MOVEMENTS.name, key, place, sign * move.amount, WIDTH)

    def _key(self, step: FoldStep, posting: Posting) -> tuple[str, str, str, str]:
        entry, offset, known = step.entry, step.book.offset, step.at
        if entry is None:  # time books in its own month, but in none that was over when the last entry came
            known = max(known, _known(step.subject))
        elif (known := entry.recorded) < entry.clock:
            known = entry.clock
        expires = month_at(posting.expires_at - 1, offset) if posting.expires_at else NOWHERE
        return posting.kind, month_at(known, offset), day_at(step.at, offset), expires


def _known(subject: MemberState) -> int:
    return max(subject.recorded, subject.clock)
