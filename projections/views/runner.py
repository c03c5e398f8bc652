"""The runner: builds views that were never built, then follows the journals with them in batches.

Entries are folded as they stand in the journals; views at the same position share one pass, and decode an entry once. A
batch goes over all partitions and is one transaction per build, positions included.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import cache
from typing import NamedTuple

from ledger.errors import CannotRunNow
from ledger.journal.ledger import Ledger
from ledger.journal.odd_values import odd_values_told
from ledger.journal.port import JournalError
from ledger.rulebook.compiled import Programme
from ledger.wire.entries import Entry
from ledger.wire.facts import PROGRAMME_SUBJECT
from projections.collector import without_collector
from projections.views.decoding import decoded, decoder_for
from projections.views.port import Build, BuildName, ViewStore
from projections.views.rebuild import BATCH, Count, build_whole
from projections.views.sql import Batch, Ends, member_row, table_rows
from projections.views.timed import count, present, refresh_due
from projections.views.view import FoldStep, MemberState, RowDeltas, View, fold_entry

BATCH_BYTES = 32 << 20  # as they are stored
DUE_SECONDS = 5.0  # between two looks at what fell due in a build that stays open
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
    """Bring views once to where the journals stand, as `Following.bring_up` does. Entries folded, by view.

    Raises what is wrong with the first view that cannot be brought there; the others are up to date then.
    """
    with closing(Following(ledger, store)) as following:
        done, troubles = following.bring_up(views, progress, jobs=jobs)
    for error in troubles.values():
        raise error
    return done


class Following:
    """Views that are brought to where the journals stand, again and again; their builds stay open until `close`.

    Others may write the builds, too: nothing is folded twice. A build that is live no more is closed.
    """

    def __init__(self, ledger: Ledger, store: ViewStore) -> None:
        self._ledger, self._store = ledger, store
        self._open: dict[str, tuple[BuildName, ExitStack, _Followed]] = {}  # by view
        self._troubles: dict[str, Exception] = {}
        ledger.forget_book()  # from here on a version that is met is read

    def bring_up(
        self, views: Sequence[View], progress: Progress = lambda _done, _total: None, *, jobs: int = 1
    ) -> Brought:
        """Bring views to where the journals stand; one that was never built is built first. One's trouble is its own.

        `progress` gets how many entries are folded, over all views, and how many there are. Of a live build that has
        another version the trouble is `Stale`. Raises where the ledger or the store itself is away.
        """
        self._store.make()
        heads = self._ledger.heads()
        before, self._troubles = self._troubles, {}
        live = self._store.live_builds()
        missing = {view.name: self._begun(view) for view in views if view.name not in live}
        names = live | missing
        opened = [one for view in views if (one := self._opened(names[view.name], view)) is not None]
        ahead = sum(entries_behind(heads, {} if one.view.name in missing else one.positions()) for one in opened)
        tally = _Tally(ahead, progress)

        def build(some: Sequence[_Followed]) -> None:
            build_whole(self._ledger, [one.build for one in some], heads, jobs, tally.add)

        def go_on(some: Sequence[_Followed]) -> None:
            with without_collector(), odd_values_told(self._ledger):
                _follow(self._ledger, some, heads, tally.add)
            for one in some:
                one.count_due(self._ledger)

        self._apart(build, [one for one in opened if one.view.name in missing])
        for one in opened:
            if one.view.name in missing and one.view.name not in self._troubles:
                self._store.switch(one.view, missing[one.view.name])
                one.ends = None
        well = [one for one in opened if one.view.name not in self._troubles]
        self._apart(go_on, [one for one in well if one.view.name not in before])
        for one in well:
            if one.view.name in before:  # it may still stand in the way of others
                self._apart(go_on, [one])
        for name in self._troubles:
            self._close(name)
        done = {view.name: tally.done.get(view.name, 0) for view in views if view.name not in self._troubles}
        return Brought(done, self._troubles)

    def close(self) -> None:
        """Close the builds."""
        for name in list(self._open):
            self._close(name)

    def _begun(self, view: View) -> BuildName:
        """Return the build in which a view that was never built is made: the one that was begun, or a new one."""
        waiting = self._store.beside(view.name)
        return waiting if waiting and waiting.version == view.version else self._store.begin(view)

    def _opened(self, name: BuildName, view: View) -> "_Followed | None":
        """Return a build, opened if it is not; None where it cannot be followed."""
        if (known := self._open.get(view.name)) is not None:
            if known[0] == name and known[2].build.is_there():
                return known[2]
            self._close(view.name)
        if name.version != view.version:
            self._troubles[view.name] = stale(view, name.version)
            return None
        stack = ExitStack()
        try:
            one = _Followed(stack.enter_context(self._store.opened(name, view)))
            one.positions()
        except _TROUBLE as error:
            stack.close()
            self._troubles[view.name] = error
            return None
        self._open[view.name] = name, stack, one
        return one

    def _close(self, view: str) -> None:
        if view in self._open:
            _, stack, _ = self._open.pop(view)
            stack.close()

    def _apart(self, work: "Callable[[Sequence[_Followed]], None]", some: "Sequence[_Followed]") -> None:
        """Do something for builds together, and where that fails for each by itself, to find whose trouble it is."""
        try:
            work(some)
            return
        except _TROUBLE as error:
            if len(some) == 1:
                self._troubles[some[0].view.name] = error
                return
        self._ledger.heads()  # raises where the ledger itself is away
        for one in some:
            try:
                work([one])
            except _TROUBLE as error:
                self._troubles[one.view.name] = error


class _Followed:
    """A build that is open; `ends` is where it stands, as far as this process knows (None: not at all)."""

    def __init__(self, build: Build) -> None:
        self.build, self.view = build, build.view
        self.ends: Ends | None = None
        self._looked = -DUE_SECONDS

    def known_ends(self) -> Ends:
        """Return where the build stands, read where that is not known."""
        if self.ends is None:
            with self.build.reading() as batch:
                self.ends = batch.ends()
        return self.ends

    def positions(self) -> dict[int, int]:
        """Return the same without the links."""
        return {partition: place for partition, (place, _) in self.known_ends().items()}

    def count_due(self, ledger: Ledger) -> None:
        """Count every member anew for whom something fell due, now and then."""
        if self.view.counts and time.monotonic() - self._looked >= DUE_SECONDS:
            refresh_due(ledger, self.build, present())
            self._looked = time.monotonic()


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


def follow(ledger: Ledger, builds: Sequence[Build], heads: Heads) -> None:
    """Bring builds to where each partition's journal stood; those at the same position share one pass."""
    _follow(ledger, [_Followed(build) for build in builds], heads, lambda _name, _entries: None)


def check_origin(ledger: Ledger, build: Build, ends: Ends) -> None:
    """Raise `OfAnotherLedger` unless the last entries that a build folded stand in the journals, each at its place."""
    _check_origin(ledger, build, ends, lambda partition, place: ledger.journal(partition).link_at(place))


def _check_origin(ledger: Ledger, build: Build, ends: Ends, link_at: Callable[[int, int], bytes]) -> None:
    for partition, (place, link) in ends.items():
        if partition in ledger.partitions and (not link or link_at(partition, place) != link):
            raise OfAnotherLedger(
                f"{build.place} folded another entry {place} of partition {partition} than stands in {ledger.name}:"
                " the ledger was restored from an older copy, or the view is of another ledger."
                f" Make it anew: `points views rebuild {build.view.name}`, then `points views switch`"
            )


def _follow(ledger: Ledger, followed: Sequence[_Followed], heads: Heads, count: Count) -> None:
    link_at = cache(lambda partition, place: ledger.journal(partition).link_at(place))
    for one in followed:
        _check_origin(ledger, one.build, one.known_ends(), link_at)
    while True:
        groups: dict[tuple[int, ...], list[_Followed]] = {}  # by where they stand in each partition
        for one in followed:
            groups.setdefault(tuple(ledger.positions(one.positions()).values()), []).append(one)
        behind = [at for at in groups if any(at[partition] < head for partition, head in heads.items())]
        if not behind:
            return
        first = min(behind, key=sum)  # it stops where others stand, and goes on with them
        upto = {p: min([head, *(at[p] for at in groups if at[p] > first[p])]) for p, head in heads.items()}
        parts = list(_read(ledger, groups[first], first, upto))
        if any(part.is_published for part in parts):
            ledger.forget_book()
        for one in _fold(ledger, groups[first], parts):
            count(one.view.name, sum(part.upto - part.after for part in parts))


class _Part(NamedTuple):
    """What a batch has of a partition: the entries of members behind one sequence up to another, whose link is there.

    `is_published` says whether a version of the rule book is among them: each member may count for something else then.
    """

    partition: int
    after: int
    upto: int
    link: bytes
    entries: list[Entry]
    is_published: bool


def _read(ledger: Ledger, group: Sequence[_Followed], places: Sequence[int], upto: Heads) -> Iterator[_Part]:
    """Yield a batch of entries that are decoded for all views of a group: as many as fit in memory."""
    decode = decoder_for([one.view for one in group])
    left, room = BATCH, BATCH_BYTES
    for partition, end in upto.items():
        after = last = places[partition]
        end = min(end, after + left)
        if after >= end or after < ledger.branch(partition).entries:  # until its parent is read up to there
            continue
        entries: list[Entry] = []
        link, is_published = b"", False
        for row in ledger.journal(partition).scan(after, end):
            last, link = row.sequence, row.link
            if row.member == PROGRAMME_SUBJECT:
                is_published = True
            else:
                entries.append(decoded(decode, row))
            room -= len(row.state)
            if room <= 0:
                break
        yield _Part(partition, after, last, link, entries, is_published)
        left -= last - after
        if left <= 0 or room <= 0:
            return


def _fold(ledger: Ledger, group: Sequence[_Followed], parts: Sequence[_Part]) -> list[_Followed]:
    """Fold a batch into several builds; returns those to which no other runner came first."""
    books = {part.partition: ledger.books().in_partition(part.partition) for part in parts}
    homes = {entry.member: part.partition for part in parts for entry in part.entries}
    ends = {part.partition: (part.upto, part.link) for part in parts}
    folded = []
    for one in group:
        view = one.view
        with one.build.writing() as batch:
            if batch.positions() != one.positions():
                one.ends = None
                continue
            rows, members = RowDeltas(view.tables), batch.load(sorted(homes))
            for part in parts:
                for entry in part.entries:
                    fold_entry(view, FoldStep(books[part.partition], members[entry.member], entry), rows)
            if view.counts:
                _count(batch, books, homes, members, rows)
            kept = sorted(members.items()) if view.state is not None else ()
            batch.write([member_row(view, homes[member], subject) for member, subject in kept], table_rows(view, rows))
            if view.counts:
                for part in parts:
                    if part.is_published:
                        batch.let_all_fall_due(part.partition)
            batch.move(ends)
        one.ends = one.known_ends() | ends
        folded.append(one)
    return folded


def _count(
    batch: Batch, books: dict[int, Programme], homes: dict[str, int], members: dict[str, MemberState], rows: RowDeltas
) -> None:
    now = latest = present()
    for member, subject in members.items():
        count(batch.view, books[homes[member]], subject, now, rows)
        latest = max(latest, subject.clock)
    batch.counted_at(latest)
