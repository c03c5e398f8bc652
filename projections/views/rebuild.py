"""Building views from entry 1: member after member, by processes that share the partitions, into files by one writer.

A member's state is in memory only for the member's own entries, and rows are written in the order of their keys. After
a crash a partition goes on behind the last member that is in. A process sends batches of rows to the writer.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple

from ledger.journal.by_member import grouped_entries, rows_of_span
from ledger.journal.ledger import Ledger
from ledger.journal.odd_values import odd_values_told
from ledger.journal.partition_map import partition_map
from ledger.rulebook.compiled import Programme
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.unreadable import UNREADABLE
from projections.collector import without_collector
from projections.views.by_native import Folded, NativeFold, NativePart, Part, is_native, native_fold
from projections.views.decoding import decoder_for, unreadable
from projections.views.port import Build
from projections.views.sql import MemberRow, TableRows, member_row, table_rows
from projections.views.timed import count, present
from projections.views.view import FoldStep, RowDeltas, View, fold_entry, new_member

BATCH = 10_000  # entries of a transaction
WORTH_PROCESSES = 50_000  # entries; for fewer the start of a process takes longer than it saves
Count = Callable[[str, int], None]  # entries folded into a view


_Row = tuple[int, str, int, bytes]  # sequence, member, number, state
_Members = Iterator[tuple[str, Iterator[_Row]]]
_first, _member_of = itemgetter(0), itemgetter(1)

_Place = tuple[int, str]  # of a partition that is being built: up to where, and the last member that is in
_Waiting = dict[int, _Place]


class MemberBatch(NamedTuple):
    """What some members behind one (`after`) come to: by view the members and rows of its tables.

    `read` is how many entries they have, `last` the last of them, `is_last` says that the partition has no more, and
    `latest` is an instant by which each of them was counted, for views that count.
    """

    after: str
    views: list[tuple[list[MemberRow], TableRows]]
    read: int
    last: str
    latest: int = 0
    is_last: bool = False


def build_whole(ledger: Ledger, builds: Sequence[Build], upto: dict[int, int], jobs: int, count: Count) -> None:
    """Build views up to a place of each partition; one that was begun goes on, up to the places it had then.

    Those that stand alike share one pass.
    """
    for into in builds:
        with into.writing() as batch:
            batch.begin_building(upto)
    with without_collector():
        while True:  # again where another runner began one too, and did not end it
            groups: dict[tuple[tuple[int, _Place], ...], list[Build]] = {}
            for into in builds:
                with into.reading() as batch:
                    groups.setdefault(tuple(sorted(batch.building().items())), []).append(into)
            groups.pop((), None)  # those that are whole
            if not groups:
                return
            for waiting, group in groups.items():
                _build(ledger, group, dict(waiting), jobs, count)


def _build(ledger: Ledger, group: list[Build], waiting: _Waiting, jobs: int, count: Count) -> None:
    views = [into.view for into in group]
    if sum(place for place, _ in waiting.values()) < WORTH_PROCESSES:
        jobs = 1
    parts = partition_map(ledger, jobs, fold_partition, views, waiting, BATCH, partitions=list(waiting))
    for partition, part in parts:
        for into, (members, rows) in zip(group, part.views, strict=True):
            with into.writing() as batch:
                upto, after = batch.building().get(partition, (0, None))
                if after == part.after:  # otherwise another runner has come first
                    batch.write(members, rows)
                    if into.view.counts:
                        batch.counted_at(part.latest)
                    batch.built_to(partition, part.last)
                    if part.is_last:
                        batch.end_building(partition, upto, ledger.journal(partition).link_at(upto))
            count(into.view.name, part.read)


def fold_partition(
    ledger: Ledger, partition: int, views: Sequence[View], waiting: _Waiting, most: int
) -> Iterator[tuple[int, MemberBatch]]:
    """Fold what waits of a partition in batches of whole members with `most` entries, each with its number."""
    upto, after = waiting[partition]
    ready = MemberBatch(after, [([], table_rows(view, RowDeltas(view.tables))) for view in views], 0, after)
    with odd_values_told(ledger):
        for part in _batches(ledger, partition, views, upto, after, most):
            if ready.read:
                yield partition, ready
            ready = part
    yield partition, ready._replace(is_last=True)


def _batches(
    ledger: Ledger, partition: int, views: Sequence[View], upto: int, after: str, most: int
) -> Iterator[MemberBatch]:
    journal, book = ledger.journal(partition), ledger.books().in_partition(partition)
    native = native_fold(book, partition, views)
    in_engine = native if native is not None and all(map(is_native, views)) else None  # no row becomes Python's

    def rows_of(member: str) -> Iterator[_Row]:
        return (row[:4] for row in journal.scan_of(member, upto))

    for span in journal.spans_by_member(upto, after):
        grouped = None if in_engine is None else grouped_entries(in_engine.module, journal, upto, span)
        members = groupby(chain.from_iterable(rows_of_span(journal, upto, span)), _member_of)
        part = None
        while part is None or part.read:
            batch = _Batch(book, native, partition, views, after)
            if in_engine is None or grouped is None:
                part = batch.folded(members, most)
            else:
                part = batch.folded_grouped(in_engine, grouped, rows_of, most)
            if part.read:
                yield part
                after = part.last


class _Batch:
    """Some members of a partition as they are folded into views."""

    def __init__(
        self, book: Programme, native: NativeFold | None, partition: int, views: Sequence[View], after: str
    ) -> None:
        self._book, self._native, self._partition, self._after = book, native, partition, after
        self._parts: list[Part] = [(view, RowDeltas(view.tables), []) for view in views]
        self._by_native: list[NativePart] = []
        self._by_python: list[Part] = []
        for view, rows, into in self._parts:
            if native is not None and is_native(view):
                self._by_native.append((view, rows, into))
            else:
                self._by_python.append((view, rows, into))
        self._decode = decoder_for(views)
        self._now = self._latest = present()

    def folded(self, members: _Members, most: int) -> MemberBatch:
        """Fold the next members, until they have `most` entries."""
        read, last = 0, self._after
        waiting: list[_Row] = []
        for member, entries in members:
            last = member
            if member == PROGRAMME_SUBJECT:
                read += sum(1 for _ in entries)
                continue
            some = list(islice(entries, most))
            if self._native is None or len(some) == most:  # more may follow, which need not be in memory together
                read += self._fold(member, chain(some, entries), self._parts)
            else:
                waiting += some
                read += self._fold(member, some, self._by_python) if self._by_python else len(some)
            if read >= most:
                break
        if self._native is not None and waiting:
            folded = self._native.fold(waiting, self._by_native, self._now)
            of_members = groupby(waiting if folded.handed_back else (), _member_of)
            self._natively_folded(folded, (one for one in of_members if one[0] in folded.handed_back))
        return self._done(read, last)

    def folded_grouped(
        self, native: NativeFold, grouped: Any, rows_of: Callable[[str], Iterator[_Row]], most: int
    ) -> MemberBatch:
        """Fold the next members in the engine's memory, until they have `most` entries; `rows_of` reads a member's."""
        folded = native.fold_grouped(grouped, most, self._by_native, self._now)
        self._natively_folded(folded, ((member, rows_of(member)) for member in folded.handed_back))
        return self._done(folded.entries, folded.members[-1] if folded.members else self._after)

    def _natively_folded(self, folded: Folded, handed_back: Iterable[tuple[str, Iterable[_Row]]]) -> None:
        """Fold those by Python whom the native engine handed back."""
        self._latest = max(self._latest, folded.latest)
        for member, entries in handed_back:
            self._fold(member, entries, self._by_native)
        if folded.handed_back:
            for _, _, into in self._by_native:
                into.sort(key=_first)

    def _done(self, read: int, last: str) -> MemberBatch:
        views = [(into, table_rows(view, rows)) for view, rows, into in self._parts]
        return MemberBatch(self._after, views, read, last, self._latest)

    def _fold(self, member: str, entries: Iterable[_Row], parts: Sequence[Part]) -> int:
        """Fold a member by Python; return how many entries there are."""
        steps = [(view, FoldStep(self._book, new_member(view, member)), rows, into) for view, rows, into in parts]
        read = 0
        for sequence, _, number, state in entries:
            read += 1
            try:
                entry = self._decode(state)
            except UNREADABLE as error:
                raise unreadable(sequence, member, number, error) from None
            for view, step, rows, _ in steps:
                step.entry = entry
                fold_entry(view, step, rows)
        for view, step, rows, into in steps:
            if view.counts:
                count(view, self._book, step.subject, self._now, rows)
                self._latest = max(self._latest, step.subject.clock)
            if view.state is not None:
                into.append(member_row(view, self._partition, step.subject))
        return read
