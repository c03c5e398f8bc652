"""The one writer of a served ledger: facts are appended together and durably, each partition decides in its own thread.

What waits is appended to the inbox in one transaction, so that many requests share one wait for the disk. A partition's
thread decides what its inbox holds and tells those who wait. Requests come from an event loop and never block it.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from consumers.files import Feeder, RawLine
from consumers.inbox import CannotAppend, Inbox, Line
from consumers.ingest import CannotDecide, decide_waiting
from consumers.intake import Intake
from consumers.outcomes import outcomes_between
from ledger.facts import PROGRAMME_SUBJECT
from ledger.journal.ledger import Ledger
from ledger.journal.partitioning import Partitioner
from ledger.journal.shard import Tally
from service.http import metrics

Place = tuple[int, int]  # partition and offset
Told = dict[str, Any]  # what became of a fact, as `consumers.outcomes` tells it

WAITING_FACTS = 20_000  # to be appended, and
WAITING_BYTES = 64 << 20  # of them, at most: more are turned away
APPENDED_AT_ONCE = 2_000
DECIDED_AT_ONCE = 500  # a request behind a bulk upload waits for no more than that
AGAIN_SECONDS = 1.0  # until a partition that could not decide is opened again


class Busy(Exception):
    """The writer takes nothing now: why. Nothing of what was given is kept; it may be given again."""


@dataclass(slots=True, eq=False)
class Work:
    """Facts given together. `places` are known once they are durable, `told` once they are decided.

    `told` is None where nobody waits, and gives None where what is kept cannot be decided for now.
    """

    values: Sequence[bytes]
    places: asyncio.Future[list[Place]]
    told: asyncio.Future[list[Told] | None] | None
    is_bulk: bool = False
    is_backlog: bool = False
    found: dict[int, Told] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.values))


class Writer:
    """Appends and decides. Give it work from the event loop it was started in; the ledger's lock must be held."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._home = ledger.partition_of(PROGRAMME_SUBJECT)
        self._wake = threading.Condition()
        self._single: deque[Work] = deque()
        self._bulk: deque[Work] = deque()
        self._facts = self._bytes = 0  # that wait to be appended
        self._stopping = False
        self.cannot_append = False  # the last time it was tried; what comes is tried all the same
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox(ledger.inbox, ledger.settings.partitions, create=True)  # made here, reopened in its thread
        self.ends = [self._inbox.end(p) for p in ledger.partitions]
        self._inbox.close()
        self._deciders = [_Decider(ledger, p, self._loop) for p in ledger.partitions]
        self._thread = threading.Thread(target=self._append_all, name="points-append", daemon=True)

    def start(self) -> None:
        """Begin: what the inbox holds from before is decided first."""
        self._room.set()
        self._thread.start()
        for decider in self._deciders:
            decider.start()

    @property
    def generation(self) -> int:
        """A number that moves whenever the rule book may have."""
        return sum(decider.books for decider in self._deciders)

    @property
    def trouble(self) -> str:
        """Why facts are not decided now; empty where they are."""
        return next((decider.trouble for decider in self._deciders if decider.trouble), "")

    @property
    def is_caught_up(self) -> bool:
        """Whether all that was there at the start has been decided."""
        return all(decider.is_caught_up for decider in self._deciders)

    @property
    def waiting(self) -> int:
        """Facts that wait to be appended."""
        return self._facts

    def position(self, partition: int) -> int:
        """The offset of the last record decided in a partition."""
        return self._deciders[partition].position

    def submit(
        self, values: Sequence[bytes], *, tell: bool = True, is_bulk: bool = False, is_backlog: bool = False
    ) -> Work:
        """Give facts to be appended and, where `tell` says so, to be told of. Raises `Busy`."""
        trouble = "it is stopping" if self._stopping else self.trouble
        if trouble:
            raise Busy(f"facts cannot be decided now: {trouble}")
        told = self._loop.create_future() if tell else None
        work = Work(values, self._loop.create_future(), told, is_bulk, is_backlog)
        size = work.size
        with self._wake:
            if not self._has_room(len(values), size):
                raise Busy(f"{self._facts:,} facts wait to be written")
            (self._bulk if is_bulk else self._single).append(work)
            self._facts += len(values)
            self._bytes += size
            self._wake.notify()
        return work

    async def room_for(self, facts: int, size: int) -> None:
        """Wait until so many facts and bytes would be taken."""
        while not self._has_room(facts, size):
            self._room.clear()
            await self._room.wait()

    def _has_room(self, facts: int, size: int) -> bool:
        return not self._facts or (self._facts + facts <= WAITING_FACTS and self._bytes + size <= WAITING_BYTES)

    def stop(self) -> None:
        """Append what was given, decide it, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()
        for decider in self._deciders:
            decider.stop()

    # -- the appending thread ----------------------------------------------------------------------------------------

    def _append_all(self) -> None:
        inbox = Inbox(self._ledger.inbox, self._ledger.settings.partitions)
        operators = self._ledger.settings.operators
        feeders = {backlog: Feeder(inbox, operators, backlog=backlog) for backlog in (False, True)}
        try:
            while works := self._take():
                self._append(inbox, feeders, works)
        finally:
            inbox.close()

    def _take(self) -> list[Work]:
        """What is appended next: single facts, and a piece of those in bulk; nothing at the end."""
        with self._wake:
            while not (self._single or self._bulk or self._stopping):
                self._wake.wait()
            works: list[Work] = []
            facts = 0
            while self._single and facts < APPENDED_AT_ONCE:
                works.append(self._single.popleft())
                facts += len(works[-1].values)
            if self._bulk:
                works.append(self._bulk.popleft())
            self._facts -= sum(len(work.values) for work in works)
            self._bytes -= sum(work.size for work in works)
        return works

    def _append(self, inbox: Inbox, feeders: dict[bool, Feeder], works: list[Work]) -> None:
        batch: list[Line] = []
        standing: list[list[int]] = []  # of each work's facts, the line that counts
        for work in works:
            standing.append([self._route(feeders[work.is_backlog], value, batch) for value in work.values])
        began = time.perf_counter()
        try:
            places = inbox.append(batch)
        except CannotAppend as error:
            self.cannot_append = True
            self._post(self._turn_away, works, Busy(str(error.__cause__)))
            return
        self.cannot_append = False
        metrics.APPEND_SECONDS.observe(time.perf_counter() - began)
        metrics.APPENDED.inc(len(batch))
        for partition, offset in places:
            self.ends[partition] = offset
        found = [[places[line] for line in lines] for lines in standing]
        has_book = any(line.key == PROGRAMME_SUBJECT for line in batch)
        touched = {partition for partition, _ in places}
        for decider in self._deciders:
            if decider.partition in touched:
                decider.look(_waiting_of(decider.partition, works, found), has_book=has_book)
        self._post(self._appended, works, found)

    def _route(self, feeder: Feeder, value: bytes, batch: list[Line]) -> int:
        """Put a fact under its partition; a published book, which goes to all, counts in its home."""
        first = len(batch)
        feeder.route(RawLine(value), batch)
        return next((at for at in range(first, len(batch)) if batch[at].partition == self._home), first)

    def _post(self, call: Callable[..., None], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(call, *arguments)

    def _appended(self, works: list[Work], found: list[list[Place]]) -> None:
        self._room.set()
        for work, places in zip(works, found, strict=True):
            if not work.places.done():
                work.places.set_result(places)

    def _turn_away(self, works: list[Work], error: Busy) -> None:
        self._room.set()
        for work in works:
            if work.told is not None:
                work.told.cancel()
            if not work.places.done():
                work.places.set_exception(error)


def _waiting_of(partition: int, works: list[Work], found: list[list[Place]]) -> dict[int, tuple[Work, int]]:
    """Who waits for which offset of a partition: the work, and the fact's index in it."""
    return {
        offset: (work, index)
        for work, places in zip(works, found, strict=True)
        if work.told is not None
        for index, (of, offset) in enumerate(places)
        if of == partition
    }


class _Decider:
    """Decides one partition in a thread of its own, and tells those who wait."""

    def __init__(self, ledger: Ledger, partition: int, loop: asyncio.AbstractEventLoop) -> None:
        self.partition = partition
        self.position = ledger.journal(partition).head().position  # opened here: its threads share it
        self.trouble = ""
        self.books = 0
        self.is_caught_up = False
        self._ledger = ledger
        self._loop = loop
        self._partitioner = Partitioner(ledger.settings.partitions)
        self._wake = threading.Condition()
        self._waiting: dict[int, tuple[Work, int]] = {}
        self._has_news = self._has_book = True
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"points-decide-{partition}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    def look(self, waiting: dict[int, tuple[Work, int]], *, has_book: bool) -> None:
        """Say that the inbox has more, and who waits for it."""
        with self._wake:
            self._waiting.update(waiting)
            self._has_news = True
            self._has_book |= has_book
            self._wake.notify()

    def _run(self) -> None:
        while True:
            try:
                self._decide_all()
                return
            except Exception as error:  # whatever it is: facts are kept, and the partition is opened again
                if not isinstance(error, CannotDecide):
                    traceback.print_exc()
                self.trouble = str(error.__cause__ or error)
                print(f"points: partition {self.partition} cannot be decided: {self.trouble}", file=sys.stderr)
                self._give_up()
            with self._wake:
                if self._stopping or self._wake.wait_for(lambda: self._stopping, AGAIN_SECONDS):
                    return
                self._has_news = True

    def _decide_all(self) -> None:
        """Own the partition and decide what comes, until told to stop."""
        ledger = self._ledger
        inbox = Inbox(ledger.inbox, ledger.settings.partitions)
        try:
            shard = ledger.shard(self.partition, 1 / ledger.settings.partitions)
            intake = Intake(inbox, shard, ledger.settings.operators, self._partitioner, batch=DECIDED_AT_ONCE)
            while self._has_work():
                decide_waiting([intake], lambda tally: self._decided(intake, tally))
                self.trouble = ""
                self.is_caught_up = True
                self._decided(intake, Tally())
        finally:
            inbox.close()

    def _has_work(self) -> bool:
        """Wait for news; False at the end, when there are none."""
        with self._wake:
            while not (self._has_news or self._stopping):
                self._wake.wait()
            had, self._has_news = self._has_news, False
            return had

    def _decided(self, intake: Intake, tally: Tally) -> None:
        """Tell those who wait for what was decided by now."""
        self.position = position = intake.position
        metrics.count(tally)
        with self._wake:
            ready = {at: who for at, who in self._waiting.items() if at <= position}
            for at in ready:
                del self._waiting[at]
            has_book, self._has_book = self._has_book, False
        if has_book:
            self.books += 1
        if ready:
            told = dict(outcomes_between(self._ledger, self.partition, min(ready), max(ready), set(ready)))
            self._loop.call_soon_threadsafe(_tell, [(who, told[at]) for at, who in ready.items()])

    def _give_up(self) -> None:
        with self._wake:
            waiting, self._waiting = self._waiting, {}
        self._loop.call_soon_threadsafe(_leave, [work for work, _ in waiting.values()])


def _tell(told: Iterable[tuple[tuple[Work, int], Told]]) -> None:
    for (work, index), outcome in told:
        work.found[index] = outcome
        if work.told is not None and len(work.found) == len(work.values) and not work.told.done():
            work.told.set_result([work.found[at] for at in range(len(work.values))])


def _leave(works: Iterable[Work]) -> None:
    for work in works:
        if work.told is not None and not work.told.done():
            work.told.set_result(None)
