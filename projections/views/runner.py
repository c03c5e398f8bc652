"""The runner: builds views member by member, then follows the journals with them in batches.

A build takes one member after the other, up to where each journal stood when it began: a member's state is in memory
for her own entries only, rows are written in the order of their keys, and after a crash it goes on behind the last
member that is in. From there on entries are folded as they stand in the journals; views at the same position share one
pass. A batch is one transaction a file, position included.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import reduce
from operator import or_
from pathlib import Path

import msgspec

from ledger.entries import Entry
from ledger.facts import PROGRAMME_SUBJECT
from ledger.journal.folder import Ledger, members_of
from ledger.journal.port import Damaged, EntryRow
from projections.views.builds import File, Folder, opened, positions_of
from projections.views.decoding import decoder_of
from projections.views.store import Build
from projections.views.view import Kept, Rows, Step, View, fold_entry, new_member

BATCH = 10_000  # entries of a transaction
BATCH_BYTES = 32 << 20  # as they are stored
Progress = Callable[[int], None]
Heads = dict[int, int]


class Stale(Exception):
    """A view that is live in another version than the code has, and so cannot be followed: it is to be rebuilt."""


def heads_of(ledger: Ledger) -> Heads:
    """How many entries each partition has."""
    return {partition: ledger.journal(partition).head().entries for partition in ledger.partitions}


def run(ledger: Ledger, folder: Folder, views: Sequence[View], progress: Progress = lambda _: None) -> dict[str, int]:
    """Bring views to where the journals stand; one that was never built is built first. Entries folded, by view.

    Raises `Stale` where a live view has another version; the others are up to date then.
    """
    folder.make()
    heads = heads_of(ledger)
    ledger.forget_book()  # entries up to these heads name no version that is published later
    done = dict.fromkeys((view.name for view in views), 0)
    total = 0

    def count(names: Iterable[str], entries: int) -> None:
        nonlocal total
        for name in names:
            done[name] += entries
            total += entries
        progress(total)

    stale: list[str] = []
    for view in views:
        if folder.live(view.name) is None:
            path = _unfinished(folder, view) or folder.next_path(view)
            _build(ledger, path, view, heads, lambda n, name=view.name: count([name], n))  # type: ignore[misc]
            folder.switch(view.name, path)
    with ExitStack() as stack:
        builds = []
        for view in views:
            build = stack.enter_context(folder.open_live(view))
            if build.version == view.version:
                builds.append(build)
            else:
                stale.append(f"{view.name} (live: version {build.version}, here: {view.version})")
        for partition, head in heads.items():
            follow(ledger, builds, partition, head, count)
    if stale:
        raise Stale(f"{', '.join(stale)}: `points views rebuild` builds the new version beside the live one")
    return done


def rebuild(ledger: Ledger, folder: Folder, view: View, progress: Progress = lambda _: None) -> File:
    """Build a view beside the live one, or go on with a build that was interrupted; it stands where the live one does.

    Returns the build, which waits for `switch`.
    """
    folder.make()
    path = _unfinished(folder, view)
    if path is None:
        folder.drop_old(view.name)
        waiting = folder.beside(view.name)
        if waiting is not None:
            folder.remove(waiting.path)  # a build that was never switched to gives way to a fresh one
        path = folder.next_path(view)
    heads = _positions_of_live(ledger, folder, view)
    ledger.forget_book()
    total = 0

    def count(entries: int) -> None:
        nonlocal total
        total += entries
        progress(total)

    _build(ledger, path, view, heads, count)
    return next(file for file in folder.files(view.name) if file.path == path)


def _unfinished(folder: Folder, view: View) -> Path | None:
    """The build of this version that was begun beside the live one and is not whole yet."""
    waiting = folder.beside(view.name)
    if waiting is None or waiting.version != view.version:
        return None
    with opened(waiting.path, view, create=True) as build, build.reading() as batch:
        return waiting.path if not batch.is_whole() else None


def _positions_of_live(ledger: Ledger, folder: Folder, view: View) -> Heads:
    """Where the live build stands, or else the journals."""
    live = folder.live(view.name)
    if live is None:
        return heads_of(ledger)
    positions = positions_of(live)
    return {partition: positions.get(partition, 0) for partition in ledger.partitions}


def _build(ledger: Ledger, path: Path, view: View, heads: Heads, progress: Progress) -> None:
    with opened(path, view, create=True) as build:
        with build.writing() as batch:
            batch.begin_building(heads)
            waiting = batch.building()
        for partition, (upto, after) in waiting.items():
            _build_partition(ledger, build, partition, upto, after, progress)


def _build_partition(ledger: Ledger, build: Build, partition: int, upto: int, after: str, progress: Progress) -> None:
    """Fold a partition's members one by one, those behind `after`, each up to a place of the journal."""
    view = build.view
    while True:
        rows = Rows(view.tables)
        members, read, last = _fold_members(ledger, view, partition, upto, after, rows)
        with build.writing() as batch:
            stands = batch.building().get(partition)
            if stands is None:
                return  # another runner has done it
            if stands == (upto, after):
                batch.write(partition, members, rows)
                batch.built_to(partition, last)
                if read < BATCH:
                    batch.end_building(partition, upto)
            else:
                last = stands[1]
        progress(read)
        after = last
        if read < BATCH:
            return


def _fold_members(
    ledger: Ledger, view: View, partition: int, upto: int, after: str, rows: Rows
) -> tuple[dict[str, Kept], int, str]:
    """The members behind one, as many as make a batch: as they are kept, how many entries they have, the last one."""
    book = ledger.book
    decode = decoder_of(view.changes, view.needs_fact)
    members: dict[str, Kept] = {}
    read = 0
    for member, entries in members_of(ledger.journal(partition).scan_by_member(after)):
        after = member
        step = Step(book, new_member(view, member))
        for row in entries:
            read += 1
            if row.place <= upto and member != PROGRAMME_SUBJECT:
                step.entry = decoded(decode, row)
                fold_entry(view, step, rows)
        if step.kept.number:
            members[member] = step.kept
        if read >= BATCH:
            break
    return members, read, after


def follow(
    ledger: Ledger,
    builds: Sequence[Build],
    partition: int,
    head: int,
    count: Callable[[Iterable[str], int], None] = lambda _names, _entries: None,
) -> None:
    """Bring builds to a place of a partition's journal; those at the same position share one pass."""
    while True:
        positions = {}
        for build in builds:
            with build.reading() as batch:
                positions[build] = batch.positions().get(partition, 0)
        behind = [place for place in positions.values() if place < head]
        if not behind:
            return
        after = min(behind)
        group = [build for build, place in positions.items() if place == after]
        upto = min([head, after + BATCH, *(place for place in behind if place > after)])
        folded, upto = _fold_batch(ledger, group, partition, after, upto)
        count([build.view.name for build in folded], upto - after)


def _fold_batch(
    ledger: Ledger, builds: Sequence[Build], partition: int, after: int, upto: int
) -> tuple[list[Build], int]:
    """One batch into several builds: those that stood at `after` (no other runner came first), and the batch's end."""
    views = [build.view for build in builds]
    decode = decoder_of(reduce(or_, (view.changes for view in views)), any(view.needs_fact for view in views))
    entries, upto = _read(ledger, decode, partition, after, upto)
    book = ledger.book
    touched = sorted({entry.member for entry in entries})
    folded = []
    for build in builds:
        with build.writing() as batch:
            if batch.positions().get(partition, 0) != after:
                continue
            rows, members = Rows(build.view.tables), batch.load(touched)
            for entry in entries:
                fold_entry(build.view, Step(book, members[entry.member], entry), rows)
            batch.write(partition, members, rows)
            batch.move(partition, upto)
        folded.append(build)
    return folded, upto


def _read(
    ledger: Ledger, decode: Callable[[bytes], Entry], partition: int, after: int, upto: int
) -> tuple[list[Entry], int]:
    """Entries of members up to a place, or as many as fit in memory, and the place of the last that was read."""
    entries: list[Entry] = []
    room, last = BATCH_BYTES, after
    for row in ledger.journal(partition).scan(after, upto):
        last = row.place
        if row.member != PROGRAMME_SUBJECT:
            entries.append(decoded(decode, row))
        room -= len(row.state)
        if room <= 0:
            return entries, last
    return entries, upto


def decoded(decode: Callable[[bytes], Entry], row: EntryRow) -> Entry:
    """An entry as far as a fold looks at it. Raises `Damaged` that names its place."""
    try:
        return decode(row.state)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Damaged(f"entry {row.number} of {row.member} (place {row.place}) cannot be read: {error}") from None
