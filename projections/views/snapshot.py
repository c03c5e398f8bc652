"""A view at an instant: what its build keeps, members folded again where they are asked for as they were, and time.

Members whose last entry is behind the instant are folded again from their own entries up to it; for the others what
falls due by the instant is folded on top. Tables over all members are kept by day, so of them a day is the finest
instant that lies in the past: they are read at its end.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.times import DAY, day_of, instant_at
from projections.answers.members import is_member, require_member
from projections.answers.tables import Row
from projections.ticking import Progress, ticking
from projections.views.decoding import decoded, decoder_for
from projections.views.port import ViewStore
from projections.views.runner import check_origin, entries_behind
from projections.views.sql import Batch
from projections.views.timed import count, present
from projections.views.view import (
    Amounts,
    FoldStep,
    Key,
    Known,
    MemberState,
    RowDeltas,
    Snapshot,
    Standing,
    SumTable,
    View,
    fold_entry,
    merged,
    new_member,
    pass_time,
)

TICK_EVERY = 1_000  # members


class Past(JournalError):
    """An instant that lies before what a view can answer for."""


@dataclass(frozen=True)
class ViewSnapshot(Snapshot):
    """A view at an instant, from one consistent state of its build or one member's own entries.

    One of a view that counts is at an instant from which on it is exact.
    """

    _batch: Batch | None = None
    _member: str | None = None

    def members(self) -> Iterator[Known]:
        """As `Snapshot.members` says. Raises `JournalError` where the view keeps no state by member."""
        if self._member is not None:
            known = self._folded(self._member, None)
            if known.subject.number:
                yield known
            return
        if self.view.state is None:
            raise JournalError(
                f"the view {self.view.name} keeps no `state` by member, so there are no members to go through"
            )
        batch, standing = self._batch, self.standing
        assert batch is not None and standing is not None
        groups = {t.name: _Groups(batch.sums(t)) for t in self.view.tables if t.key[0].name == "member"}
        for partition, subject in batch.members():
            rows = {name: group.take(subject.member) for name, group in groups.items()}
            if not is_member(subject.member):
                continue
            if subject.clock > self.as_of:
                known = self._folded(subject.member, standing.positions[partition])
                if known.subject.number:
                    yield known
                continue
            later = RowDeltas(self.view.tables)
            pass_time(self.view, FoldStep(self.book_of(subject.member), subject), self.as_of, later)
            yield Known(subject, {name: merged(found, later.of[name]) for name, found in rows.items()})

    def counted(
        self,
        tick: Progress = lambda _: None,
        tables: Sequence[SumTable] | None = None,
        between: tuple[str, str] | None = None,
    ) -> dict[str, dict[Key, Amounts]]:
        """As `Snapshot.counted` says, of some tables only where they are named; `between` as in `Batch.sums`.

        What fell due since the view looked may add rows that are not between.
        """
        batch, rows = self._batch, RowDeltas(self.view.tables)
        assert batch is not None
        for _, subject in ticking(batch.due_members(self.as_of), tick, every=TICK_EVERY):
            count(self.view, self.book_of(subject.member), subject, self.as_of, rows)
        return {
            table.name: merged(dict(batch.sums(table, between)), rows.of[table.name])
            for table in tables or self.view.tables
        }

    def stored(self, table: SumTable, between: tuple[str, str] | None = None) -> Iterator[tuple[Key, Amounts]]:
        """A table as it stands in the file, what fell due since not counted; `between` as in `Batch.sums`."""
        assert self._batch is not None
        return self._batch.sums(table, between)

    def select(self, query: str, *values: str | int) -> Iterator[Row]:
        """Return the rows of a question in SQL about the build's own tables; `values` take the places of its marks."""
        assert self._batch is not None
        yield from self._batch.stream(query, *values)

    def has_due(self, more_than: int) -> bool:
        """Return True if more than `more_than` members are to be counted anew for the instant."""
        assert self._batch is not None
        return self._batch.has_due(self.as_of, more_than)

    def sums(self, table: str, until: Callable[[MemberState], int] | None = None) -> dict[Key, Amounts]:
        batch = self._batch
        assert batch is not None
        sums = next(t for t in self.view.tables if t.name == table)
        rows = dict(batch.sums(sums))
        later, last = RowDeltas(self.view.tables), self._last() + 1
        for _, subject in batch.members("WHERE due <= ?", last) if self.view.state is not None else ():
            step = FoldStep(self.book_of(subject.member), subject)
            pass_time(self.view, step, until(subject) if until else last, later)
        return merged(rows, later.of[table])

    def _last(self) -> int:
        """The last instant of the day that is over by now; the instant itself where that lies ahead."""
        offset = self.book.offset
        end = instant_at((day_of(self.as_of, offset) + 1) * DAY, offset)
        return max(self.as_of, min(end - 1, present()))

    def _folded(self, member: str, upto: int | None) -> Known:
        """Return a member run to the instant, folded from the entries up to it (and up to a place of the journal)."""
        view = self.view
        decode = decoder_for([view])
        step, rows = FoldStep(self.book_of(member), new_member(view, member)), RowDeltas(view.tables)
        for row in self.ledger.journal(self.ledger.partition_of(member)).each_entry_of(member):
            entry = decoded(decode, row)
            if entry.clock > self.as_of or (upto is not None and row.sequence > upto):
                break
            step.entry = entry
            fold_entry(view, step, rows)
        if step.subject.number:
            pass_time(view, step, self.as_of, rows)
        return Known(
            step.subject, {t.name: merged({}, rows.of[t.name]) for t in view.tables if t.key[0].name == "member"}
        )


@contextmanager
def snapshot(ledger: Ledger, store: ViewStore, view: View, as_of: int | None) -> Iterator[ViewSnapshot]:
    """A view at an instant from its live build, now where none is given.

    Raises `NotBuilt`, `OfAnotherLedger`, and `Past` for an instant before the latest at which a view counted.
    """
    with store.open_live(view) as build, build.reading() as batch:
        check_origin(ledger, build, batch.ends())
        at = present() if as_of is None else as_of
        if view.counts and at < (latest := batch.latest()):
            if as_of is not None:
                raise Past(f"the view {view.name} knows the present: `points stats --as-of` sums the books that were")
            at = latest
        positions = ledger.positions(batch.positions())
        behind = entries_behind(ledger.heads(), positions)
        yield ViewSnapshot(view, ledger, at, Standing(build.version, positions, behind), batch)


def of_member(ledger: Ledger, view: View, member: str, as_of: int) -> ViewSnapshot:
    """Return one member folded from the member's own entries, the last decision included. Raises `UnknownMember`."""
    require_member(ledger, member)
    return ViewSnapshot(view, ledger, as_of, None, _member=member)


class _Groups:
    """Rows of a table in the order of their keys, taken member by member."""

    def __init__(self, rows: Iterator[tuple[Key, Amounts]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def take(self, member: str) -> dict[Key, Amounts]:
        found: dict[Key, Amounts] = {}
        while self._next is not None and str(self._next[0][0]) <= member:
            key, amounts = self._next
            if key[0] == member:
                found[key] = amounts
            self._next = next(self._rows, None)
        return found
