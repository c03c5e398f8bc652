"""The runner: builds views that were never built, then follows the journals with them in batches.

Entries are folded as they stand in the journals; views at the same position share one pass, and decode an entry once. A
batch is one transaction per file, position included.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from ledger.errors import CannotRunNow
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.entries import Entry
from ledger.wire.facts import PROGRAMME_SUBJECT
from projections.collector import without_collector
from projections.views.decoding import decoded, decoder_for
from projections.views.port import Build, BuildName, ViewStore
from projections.views.rebuild import BATCH, Count, build_whole, link_at
from projections.views.sql import table_rows
from projections.views.timed import count, present, refresh_due
from projections.views.view import FoldStep, RowDeltas, View, fold_entry

BATCH_BYTES = 32 << 20  # as they are stored
Progress = Callable[[int, int], None]
Heads = dict[int, int]


class OfAnotherLedger(JournalError):
    """A build of other entries than the ledger has."""


class Stale(CannotRunNow):
    """A view that is live in another version than the code has, and so cannot be followed: it is to be rebuilt."""

    can_retry = False


def entries_behind(heads: Heads, positions: Heads) -> int:
    """How many entries lie between positions (0 where there is none) and the heads."""
    return sum(max(0, head - positions.get(partition, 0)) for partition, head in heads.items())


def run(
    ledger: Ledger,
    store: ViewStore,
    views: Sequence[View],
    progress: Progress = lambda _done, _total: None,
    *,
    jobs: int = 1,
) -> dict[str, int]:
    """Bring views to where the journals stand; one that was never built is built first. Entries folded, by view.

    `progress` gets how many entries are folded, over all views, and how many there are. Raises `Stale` where a live
    view has another version; the others are up to date then.
    """
    store.make()
    heads = ledger.heads()
    ledger.forget_book()  # entries up to these heads name no version that is published later
    ahead = sum(entries_behind(heads, store.live_positions(view.name)) for view in views)
    tally = _Tally(ahead, progress)
    with ExitStack() as stack:
        missing = {}
        for view in views:
            if store.live(view.name) is None:
                waiting = store.beside(view.name)
                name = waiting if waiting and waiting.version == view.version else store.begin(view)
                missing[name] = stack.enter_context(store.opened(name, view))
        build_whole(ledger, list(missing.values()), heads, jobs, tally.add)
        for name, built in missing.items():
            store.switch(built.view, name)
    stale = {view: live.version for view in views if (live := store.live(view.name)) and live.version != view.version}
    with ExitStack() as stack:
        builds = [stack.enter_context(store.open_live(view)) for view in views if view not in stale]
        with without_collector():
            follow(ledger, builds, heads, tally.add)
        for build in builds:
            if build.view.counts:
                refresh_due(ledger, build, present())
    if stale:
        named = ", ".join(f"{view.name} (live: version {found}, here: {view.version})" for view, found in stale.items())
        raise Stale(f"{named}: `points views rebuild` builds the new version beside the live one")
    return {view.name: tally.done.get(view.name, 0) for view in views}


class _Tally:
    """Entries folded by view, and the `progress` that gets their sum."""

    def __init__(self, total: int, progress: Progress) -> None:
        self.done: dict[str, int] = {}
        self._total = total
        self._progress = progress

    def add(self, name: str, entries: int) -> None:
        """Count entries of a view."""
        self.done[name] = self.done.get(name, 0) + entries
        self._progress(sum(self.done.values()), self._total)


def rebuild(
    ledger: Ledger, store: ViewStore, view: View, progress: Progress = lambda _done, _total: None, *, jobs: int = 1
) -> BuildName:
    """Build a view beside the live one, or go on with a build that was interrupted; it stands where the live one does.

    One whose ledger was restored from an older copy stands where the ledger does. Returns the build, which waits for
    `switch`.
    """
    store.make()
    waiting = store.beside(view.name)
    if waiting is not None and waiting.version == view.version and not store.is_whole(waiting, view):
        name = waiting
    else:
        store.drop_old(view.name)
        if waiting is not None:
            store.remove(waiting)  # a build that was never switched to gives way to a fresh one
        name = store.begin(view)
    heads = ledger.heads()
    if store.live(view.name):
        positions = store.live_positions(view.name)
        heads = {partition: min(head, positions.get(partition, 0)) for partition, head in heads.items()}
    ledger.forget_book()
    tally = _Tally(sum(heads.values()), progress)
    with store.opened(name, view) as into:
        build_whole(ledger, [into], heads, jobs, tally.add)
    return name


def follow(ledger: Ledger, builds: Sequence[Build], heads: Heads, count: Count = lambda _name, _entries: None) -> None:
    """Bring builds to a place of each partition's journal; those at the same position share one pass."""
    for partition, head in heads.items():
        _follow(ledger, builds, partition, head, count)


def _follow(ledger: Ledger, builds: Sequence[Build], partition: int, head: int, count: Count) -> None:
    for build in builds:
        check_origin(ledger, build, partition)
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
        for build in folded:
            count(build.view.name, upto - after)


def check_origin(ledger: Ledger, build: Build, partition: int) -> None:
    """Raise `OfAnotherLedger` unless the last entry that a build folded is the one that stands there in the journal."""
    with build.reading() as batch:
        place, link = batch.positions().get(partition, 0), batch.links().get(partition, b"")
    if place and (not link or link_at(ledger, partition, place) != link):
        raise OfAnotherLedger(
            f"{build.place} folded another entry {place} of partition {partition} than stands in {ledger.name}:"
            " the ledger was restored from an older copy, or the view is of another ledger."
            f" Make it anew: `points views rebuild {build.view.name}`, then `points views switch`"
        )


def _fold_batch(
    ledger: Ledger, builds: Sequence[Build], partition: int, after: int, upto: int
) -> tuple[list[Build], int]:
    """One batch into several builds: those that stood at `after` (no other runner came first), and the batch's end."""
    decode = decoder_for([build.view for build in builds])
    entries, upto, link, is_published = _read(ledger, decode, partition, after, upto)
    book = ledger.books().in_partition(partition)
    touched = sorted({entry.member for entry in entries})
    folded = []
    for build in builds:
        with build.writing() as batch:
            if batch.positions().get(partition, 0) != after:
                continue
            rows, members = RowDeltas(build.view.tables), batch.load(touched)
            for entry in entries:
                fold_entry(build.view, FoldStep(book, members[entry.member], entry), rows)
            if build.view.counts:
                now = present()
                for member in members.values():
                    count(build.view, book, member, now, rows)
                batch.counted_at(max([now, *(member.clock for member in members.values())]))
            batch.write(batch.member_rows(partition, members), table_rows(build.view, rows))
            if build.view.counts and is_published:
                batch.let_all_fall_due(partition)
            batch.move(partition, upto, link)
        folded.append(build)
    return folded, upto


def _read(
    ledger: Ledger, decode: Callable[[bytes], Entry], partition: int, after: int, upto: int
) -> tuple[list[Entry], int, bytes, bool]:
    """Entries of members up to a place, or as many as fit in memory; the place and link of the last that was read.

    And whether a version of the rule book is published among them: each member may count for something else then.
    """
    entries: list[Entry] = []
    room, last, link, is_published = BATCH_BYTES, after, b"", False
    for row in ledger.journal(partition).scan(after, upto):
        last, link = row.sequence, row.link
        if row.member == PROGRAMME_SUBJECT:
            is_published = True
        else:
            entries.append(decoded(decode, row))
        room -= len(row.state)
        if room <= 0:
            break
    return entries, last, link, is_published
