"""A view of one's own: how many points each rule gave, by month. `points views run --views examples/rule_spend.py`"""

from collections.abc import Iterator

from ledger.wire.entries import Change, Earned
from projections.answers.tables import Row, Table, columns
from projections.views.view import FoldStep, Options, Query, RowDeltas, Snapshot, SumTable, View, month_at

GIVEN = SumTable("given", columns("rule kind month"), ("points", "awards"))


def given(taken: Snapshot, options: Options) -> Table:
    """A row a rule, kind and month, or the one month that is asked for."""

    def rows() -> Iterator[Row]:
        for (rule, kind, month), (points, awards) in taken.sums("given").items():
            if month <= taken.today and options.month in (None, month):
                yield rule, kind, month, points, awards

    return taken.table((*GIVEN.key, *columns("points:integer awards:integer")), rows())


class RuleSpend(View):
    """Points given by rule: no member has a state, for an award says all there is to know."""

    name = "rule-spend"
    version = 1  # raised with every change of the tables or the fold
    about = "points given by each rule, by month"
    tables = (GIVEN,)
    changes = frozenset({Earned})  # nothing else of an entry is decoded
    queries = (Query("rule-spend", "by rule, kind and month", given, frozenset({"month"}), is_by_member=False),)

    def change(self, step: FoldStep, change: Change, rows: RowDeltas) -> None:
        """Add an award to its rule."""
        if isinstance(change, Earned):
            month = month_at(step.at, step.book.offset)
            rows.add("given", (change.rule, change.kind, month), change.points, 1)


VIEWS = (RuleSpend,)
