"""Building a view from entry 1: member after member, in processes by partition, into one file by one writer.

A member's state is in memory for her own entries only, rows are written in the order of their keys, and after a crash
a partition goes on behind the last member that is in. What a process sends to the writer is a batch of rows.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from ledger.entries import Entry
from ledger.facts import PROGRAMME_SUBJECT
from ledger.journal.ledger import Ledger, members_of
from ledger.journal.port import Damaged, EntryRow
from projections.processes import over_partitions
from projections.views.decoding import decoder_of
from projections.views.store import Build, MemberRow, TableRows, member_row, table_rows
from projections.views.view import Rows, States, Step, View, fold_entry, new_member

BATCH = 10_000  # entries of a transaction
WORTH_PROCESSES = 50_000  # entries; for fewer the start of a process takes longer than it saves
Progress = Callable[[int], None]


_Waiting = dict[int, tuple[int, str]]  # by partition, up to which place and the last member that is in


@contextmanager
def without_collector() -> Iterator[None]:
    """What a fold makes has no cycles, and going over it again and again took half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class MemberBatch(NamedTuple):
    """What some members behind one (`after`) come to: their rows, how many entries they have, the last of them."""

    after: str
    members: list[MemberRow]
    rows: TableRows
    read: int
    last: str
    is_last: bool


def build(ledger: Ledger, into: Build, upto: dict[int, int], jobs: int, progress: Progress) -> None:
    """Build a view up to a place of each partition; a build that was begun goes on, up to the places it had then."""
    with into.writing() as batch:
        batch.begin_building(upto)
    with without_collector():
        while waiting := _waiting(into):  # more than once where another runner began it too, and did not end it
            _build(ledger, into, waiting, jobs, progress)


def _waiting(into: Build) -> _Waiting:
    with into.reading() as batch:
        return batch.building()


def _build(ledger: Ledger, into: Build, waiting: _Waiting, jobs: int, progress: Progress) -> None:
    parts: Iterator[_Part]
    if jobs > 1 and sum(place for place, _ in waiting.values()) >= WORTH_PROCESSES:
        named = (into.view.name, into.view.source, waiting, BATCH)
        parts = over_partitions(ledger, jobs, fold_partition, *named, partitions=list(waiting))
    else:
        parts = _one_by_one(ledger, into.view, waiting)
    for partition, part in parts:
        with into.writing() as batch:
            place, after = batch.building().get(partition, (0, None))
            if after == part.after:  # otherwise another runner has come first
                batch.write(part.members, part.rows)
                batch.built_to(partition, part.last)
                if part.is_last:
                    batch.end_building(partition, place)
        progress(part.read)


_Part = tuple[int, MemberBatch]


def _one_by_one(ledger: Ledger, view: View, waiting: _Waiting) -> Iterator[_Part]:
    for partition, (upto, after) in waiting.items():
        for part in fold_members(ledger, view, partition, upto, after):
            yield partition, part


def fold_partition(
    ledger: Ledger, partition: int, name: str, source: str, waiting: _Waiting, batch: int
) -> Iterator[_Part]:
    """Fold what waits of a partition, for a process that finds the view by its name."""
    from projections.views.registry import all_views

    view = all_views((source,) if source else ())[name]
    upto, after = waiting[partition]
    for part in fold_members(ledger, view, partition, upto, after, batch):
        yield partition, part


def fold_members(
    ledger: Ledger, view: View, partition: int, upto: int, after: str, batch: int | None = None
) -> Iterator[MemberBatch]:
    """Fold a partition's members behind one, each up to a place of the journal, in batches of whole members."""
    most = batch or BATCH
    is_last = False
    while not is_last:
        part = _fold_batch(ledger, view, partition, upto, after, most)
        after, is_last = part.last, part.is_last
        yield part


def _fold_batch(ledger: Ledger, view: View, partition: int, upto: int, after: str, most: int) -> MemberBatch:
    book, encode = ledger.book, States(view).encode
    decode = decoder_of(view.changes, view.needs_fact)
    rows = Rows(view.tables)
    members: list[MemberRow] = []
    read, last, is_last = 0, after, True
    for member, entries in members_of(ledger.journal(partition).scan_by_member(after)):
        last = member
        step = Step(book, new_member(view, member))
        for row in entries:
            read += 1
            if row.place <= upto and member != PROGRAMME_SUBJECT:
                step.entry = decoded(decode, row)
                fold_entry(view, step, rows)
        if step.kept.number and view.state is not None:
            members.append(member_row(view, partition, step.kept, encode))
        if read >= most:
            is_last = False
            break
    return MemberBatch(after, members, table_rows(view, rows), read, last, is_last)


def decoded(decode: Callable[[bytes], Entry], row: EntryRow) -> Entry:
    """An entry as far as a fold looks at it. Raises `Damaged` that names its place."""
    try:
        return decode(row.state)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Damaged(f"entry {row.number} of {row.member} (place {row.place}) cannot be read: {error}") from None
