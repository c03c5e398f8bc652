"""What came and went, by member, kind and month: a statement of account."""

from collections.abc import Iterator

from ledger.core import postings
from ledger.core.postings import DEBT, IN_AND_OUT, Posting, growth, postings_of
from ledger.wire.entries import Change
from ledger.wire.times import month_text
from projections.answers.tables import Column, Row, Table, columns
from projections.views.builtin.points import Move, PointsView
from projections.views.view import FoldStep, Key, Known, Options, Query, RowDeltas, Snapshot, SumTable, month_at

MONTHS = SumTable(
    "months",
    columns("member kind month"),
    ("earned", "spent", "given_back", "expired", "clawed_back", "owed", "forfeited", "given", "received"),
)
EARNED, SPENT, GIVEN_BACK, EXPIRED, CLAWED_BACK, OWED, FORFEITED, GIVEN, RECEIVED = range(9)
MOVED = (*IN_AND_OUT, DEBT, postings.FORFEITED, postings.IN_TRANSIT)
PLACES = growth(dict(zip(MOVED, (EARNED, SPENT, EXPIRED, CLAWED_BACK, OWED, FORFEITED, GIVEN), strict=True)))
WIDTH = len(MONTHS.amounts)
SIGNS = (1, -1, 1, -1, -1, 0, -1, -1, 1)  # of each amount in closing = opening + …; debt stands beside the points


def statement(taken: Snapshot, options: Options) -> Table:
    """A row a month in which something moved (or the one month that is asked for)."""
    amounts = ("opening", *MONTHS.amounts[:OWED], "closing", "debt", *MONTHS.amounts[FORFEITED:])
    shown = (*MONTHS.key, *(Column(name, "integer") for name in amounts))
    last = month_at(taken.as_of, taken.book.offset)
    return taken.by_member(shown, lambda known: _months(known, last, options.month))


def _months(known: Known, last: str, wanted: str | None) -> Iterator[Row]:
    kind = None
    closing = debt = 0
    for key in sorted(known.rows[MONTHS.name]):
        amounts = known.rows[MONTHS.name][key]
        if key[1] != kind:
            kind, closing, debt = key[1], 0, 0
        opening = closing
        closing += sum(sign * amount for sign, amount in zip(SIGNS, amounts, strict=True))
        debt += amounts[OWED]
        month = str(key[2])
        if any(amounts) and month <= last and wanted in (None, month):
            yield *key, opening, *amounts[:OWED], closing, debt, *amounts[FORFEITED:]


class Statement(PointsView):
    """Sums by member, kind and month. Held and frozen points are the member's, so they stand in the closing balance."""

    name = "statement"
    version = 4
    about = "opening, earned, spent, expired, clawed back and closing by member, kind and month"
    tables = (MONTHS,)
    moves_by = frozenset({"member", "month"})
    queries = (
        Query(
            "statement",
            "by member, kind and month; --month for one",
            statement,
            frozenset({"month"}),
            keys=("kind", "month"),
        ),
    )

    def change(self, step: FoldStep, change: Change, rows: RowDeltas) -> None:
        """Sum a change that moves points in or out."""
        for posting in postings_of(change, step.subject.state):
            add_to_month(posting, step, rows)

    def moved(self, move: Move, rows: RowDeltas) -> None:
        """Sum the same as `change` does."""
        _add(move, (move.member, move.kind, month_text(move.month)), rows)


def add_to_month(posting: Posting, step: FoldStep, rows: RowDeltas) -> None:
    """Add what a posting moves in or out to the month of the step."""
    if PLACES[posting.source, posting.destination]:
        _add(posting, (step.subject.member, posting.kind, month_at(step.at, step.book.offset)), rows)


def _add(moved: Posting | Move, key: Key, rows: RowDeltas) -> None:
    for place, sign in PLACES[moved.source, moved.destination]:
        if place == SPENT and sign < 0:
            place, sign = GIVEN_BACK, 1
        elif place == GIVEN and sign < 0:
            place, sign = RECEIVED, 1
        rows.add_to(MONTHS.name, key, place, sign * moved.points, WIDTH)
