"""The runner: builds views that were never built, then follows the journals with them in batches.

Entries are folded as they stand in the journals; views at the same position share one pass, and decode an entry once. A
batch is one transaction per file, position included.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from ledger.errors import CannotRunNow
from ledger.journal.ledger import Ledger
from ledger.journal.odd_values import odd_values_told
from ledger.journal.port import JournalError
from ledger.wire.entries import Entry
from ledger.wire.facts import PROGRAMME_SUBJECT
from projections.collector import without_collector
from projections.views.decoding import decoded, decoder_for
from projections.views.port import Build, BuildName, ViewStore
from projections.views.rebuild import BATCH, Count, build_whole
from projections.views.sql import table_rows
from projections.views.timed import count, present, refresh_due
from projections.views.view import FoldStep, RowDeltas, View, fold_entry

BATCH_BYTES = 32 << 20  # as they are stored
# What may be a view's own: its build, its store, or an error in its code.
_TROUBLE = (CannotRunNow, JournalError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
Progress = Callable[[int, int], None]
Heads = dict[int, int]


class OfAnotherLedger(JournalError):
    """A build of other entries than the ledger has."""


class Stale(CannotRunNow):
    """A view that is live in another version than the code has, and so cannot be followed: it is to be rebuilt."""

    can_retry = False


def stale(view: View, live: int) -> Stale:
    """Return the error of a view whose live build has another version."""
    return Stale(
        f"{view.name} (live: version {live}, here: {view.version}): `points views rebuild` builds the new version"
        " beside the live one"
    )


class Brought(NamedTuple):
    """What a run came to: entries folded, by view, and of the views that are not up to date what is wrong with each."""

    done: dict[str, int]
    troubles: dict[str, Exception]


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
    """Bring views to where the journals stand as `bring_up` does. Entries folded, by view.

    Raises what is wrong with the first view that cannot be brought there; the others are up to date then.
    """
    done, troubles = bring_up(ledger, store, views, progress, jobs=jobs)
    for error in troubles.values():
        raise error
    return done


def bring_up(
    ledger: Ledger,
    store: ViewStore,
    views: Sequence[View],
    progress: Progress = lambda _done, _total: None,
    *,
    jobs: int = 1,
) -> Brought:
    """Bring views to where the journals stand; one that was never built is built first. One's trouble is its own.

    `progress` gets how many entries are folded, over all views, and how many there are. Of a live build that has
    another version the trouble is `Stale`. Raises where the ledger or the store itself is away.
    """
    store.make()
    heads = ledger.heads()
    ledger.forget_book()  # entries up to these heads name no version that is published later
    ahead = sum(_ahead(store, view, heads) for view in views)
    running = _Run(ledger, store, heads, jobs, _Tally(ahead, progress))
    running.build_missing(views)
    running.follow_live(views)
    done = {view.name: running.tally.done.get(view.name, 0) for view in views if view.name not in running.troubles}
    return Brought(done, running.troubles)


def _ahead(store: ViewStore, view: View, heads: Heads) -> int:
    """Return how many entries a view is to fold, 0 where its build cannot be read: it is named when it is opened."""
    try:
        return entries_behind(heads, store.live_positions(view.name))
    except JournalError:
        return 0


class _Run:
    """One run over views: what is done for several of them at once, and what stood in the way of which."""

    def __init__(self, ledger: Ledger, store: ViewStore, heads: Heads, jobs: int, tally: "_Tally") -> None:
        self.tally = tally
        self.troubles: dict[str, Exception] = {}  # by view
        self._ledger, self._store, self._heads, self._jobs = ledger, store, heads, jobs

    def build_missing(self, views: Sequence[View]) -> None:
        """Build the views that were never built."""
        with ExitStack() as stack:
            missing: dict[BuildName, Build] = {}
            for view in views:
                if self._store.live(view.name) is None:
                    waiting = self._store.beside(view.name)
                    name = waiting if waiting and waiting.version == view.version else self._store.begin(view)
                    if (build := self._opened(stack, name, view)) is not None:
                        missing[name] = build
            self._apart(self._build, list(missing.values()))
            for name, built in missing.items():
                if built.view.name not in self.troubles:
                    self._store.switch(built.view, name)

    def follow_live(self, views: Sequence[View]) -> None:
        """Bring the live builds to where the ledger stands."""
        with ExitStack() as stack:
            builds: list[Build] = []
            for view in views:
                live = None if view.name in self.troubles else self._store.live(view.name)
                if live is not None and live.version != view.version:
                    self.troubles[view.name] = stale(view, live.version)
                elif live is not None and (build := self._opened(stack, live, view)) is not None:
                    builds.append(build)
            self._apart(self._follow, builds)

    def _opened(self, stack: ExitStack, name: BuildName, view: View) -> Build | None:
        """Return a build, opened; None where it cannot be."""
        try:
            return stack.enter_context(self._store.opened(name, view))
        except _TROUBLE as error:
            self.troubles[view.name] = error
            return None

    def _apart(self, work: Callable[[list[Build]], None], builds: list[Build]) -> None:
        """Do something for builds together, and where that fails for each by itself, to find whose trouble it is."""
        try:
            work(builds)
            return
        except _TROUBLE as error:
            if len(builds) == 1:
                self.troubles[builds[0].view.name] = error
                return
        self._ledger.heads()  # raises where the ledger itself is away
        for build in builds:
            try:
                work([build])
            except _TROUBLE as error:
                self.troubles[build.view.name] = error

    def _build(self, builds: list[Build]) -> None:
        build_whole(self._ledger, builds, self._heads, self._jobs, self.tally.add)

    def _follow(self, builds: list[Build]) -> None:
        with without_collector(), odd_values_told(self._ledger):
            follow(self._ledger, builds, self._heads, self.tally.add)
        for build in builds:
            if build.view.counts:
                refresh_due(self._ledger, build, present())


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
        positions = ledger.positions(positions)
        heads = {partition: min(head, positions[partition]) for partition, head in heads.items()}
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
                positions[build] = ledger.positions(batch.positions())[partition]
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
    if place and (not link or ledger.journal(partition).link_at(place) != link):
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
            if ledger.positions(batch.positions())[partition] != after:
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
