"""Building views from entry 1: member after member, by processes that share the partitions, into files by one writer.

A member's state is in memory only for the member's own entries, and rows are written in the order of their keys. After
a crash a partition goes on behind the last member that is in. A process sends batches of rows to the writer.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import NamedTuple

from ledger.journal.ledger import Ledger
from ledger.journal.odd_values import odd_values_told
from ledger.journal.partition_map import partition_map
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.unreadable import UNREADABLE
from projections.collector import without_collector
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
_member_of = itemgetter(1)

_Place = tuple[int, str]  # of a partition that is being built: up to where, and the last member that is in
_Waiting = dict[int, _Place]


class MemberBatch(NamedTuple):
    """What some members behind one (`after`) come to: by view the members and rows of its tables.

    `read` is how many entries they have, `last` the last of them, and `latest` an instant by which each of them was
    counted, for views that count.
    """

    after: str
    views: list[tuple[list[MemberRow], TableRows]]
    read: int
    last: str
    is_last: bool
    latest: int


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
    rows = chain.from_iterable(ledger.journal(partition).rows_by_member(upto, after))
    members = groupby(rows, _member_of)
    is_last = False
    while not is_last:
        with odd_values_told(ledger):
            part = _fold_batch(ledger, views, partition, members, after, most)
        after, is_last = part.last, part.is_last
        yield partition, part


def _fold_batch(
    ledger: Ledger, views: Sequence[View], partition: int, members: _Members, after: str, most: int
) -> MemberBatch:
    book, decode = ledger.books().in_partition(partition), decoder_for(views)
    parts = [(view, RowDeltas(view.tables), list[MemberRow]()) for view in views]
    read, last, is_last = 0, after, True
    now = latest = present()
    for member, entries in members:
        last = member
        if member == PROGRAMME_SUBJECT:
            read += sum(1 for _ in entries)
            continue
        steps = [(view, FoldStep(book, new_member(view, member)), rows, into) for view, rows, into in parts]
        for sequence, _, number, state in entries:
            read += 1
            try:
                entry = decode(state)
            except UNREADABLE as error:
                raise unreadable(sequence, member, number, error) from None
            for view, step, rows, _ in steps:
                step.entry = entry
                fold_entry(view, step, rows)
        for view, step, rows, into in steps:
            if view.counts:
                count(view, book, step.subject, now, rows)
                latest = max(latest, step.subject.clock)
            if view.state is not None:
                into.append(member_row(view, partition, step.subject))
        if read >= most:
            is_last = False
            break
    folded = [(into, table_rows(view, rows)) for view, rows, into in parts]
    return MemberBatch(after, folded, read, last, is_last, latest)
