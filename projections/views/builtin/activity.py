"""How much happened: facts by day, type and outcome, and how many members were active."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from ledger.wire.entries import OUTCOMES
from ledger.wire.times import day_of, day_text
from projections.answers.members import is_active
from projections.answers.tables import Column, Row, Table, columns
from projections.views.view import FoldStep, Options, Query, RowDeltas, Snapshot, SumTable, View

FACTS = SumTable("facts", columns("day type outcome"), ("facts",))
ACTIVE = SumTable("active", columns("period"), ("members",))


class LastDay(Struct, array_like=True):
    """The local day that a member's clock has reached, in days since 1970-01-01."""

    day: int = -1


class _Typed(Struct, gc=False):
    type: str


_type = msgspec.json.Decoder(_Typed)


def activity(taken: Snapshot, options: Options) -> Table:
    """A row a day, type and outcome, by the day on which the facts occurred."""

    def rows() -> Iterator[Row]:
        for key, (count,) in taken.sums(FACTS.name).items():
            if str(key[0]) <= taken.today and str(key[0]).startswith(options.month or ""):
                yield *key, count

    return taken.table((*FACTS.key, Column("facts", "integer")), rows())


def active(taken: Snapshot, _: Options) -> Table:
    """Members active by day and by month: those whose clock reached it."""
    rows = ((period, count) for (period,), (count,) in taken.sums(ACTIVE.name).items() if str(period) <= taken.today)
    return taken.table(columns("period members:integer"), rows)


class Activity(View):
    """Counts of facts and of active members."""

    name = "activity"
    version = 2
    about = "facts by day, type and outcome; active members by day and month"
    tables = (FACTS, ACTIVE)
    needs_fact = True
    state = LastDay
    queries = (
        Query("activity", "facts by day, type and outcome", activity, frozenset({"month"}), is_by_member=False),
        Query("active", "active members by day and month", active, is_by_member=False),
    )

    def entry(self, step: FoldStep, rows: RowDeltas) -> None:
        """Count a fact, and the member whose clock reaches a new day or month."""
        entry, offset = step.entry, step.book.offset
        assert entry is not None
        key = day_text(day_of(entry.occurred, offset)), _type.decode(entry.fact).type, OUTCOMES[entry.outcome]
        rows.add_to("facts", key, 0, 1, 1)
        if not is_active(entry):
            return
        last = step.subject.state
        reached = day_of(entry.clock, offset)
        if reached > last.day:
            text = day_text(reached)
            rows.add(ACTIVE.name, (text,), 1)
            if last.day < 0 or day_text(last.day)[:7] != text[:7]:
                rows.add(ACTIVE.name, (text[:7],), 1)
            last.day = reached
