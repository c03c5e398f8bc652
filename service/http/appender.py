"""The appender of a served ledger: facts that requests give are made durable together, and decided by the deciders.

What waits is appended together, so that many requests share one wait for the disk or the brokers. Requests come
from an event loop and never block it.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from consumers.files.feeder import RawLine
from consumers.local.port import Line
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.facts import PROGRAMME_SUBJECT, Fact
from service.http import metrics
from service.http.deciders import Deciders
from service.http.pending import Busy, Place, Work, waiting_by_partition
from service.http.streams import Feeding, Routes, Stream

WAITING_FACTS = 20_000  # to be appended, and
WAITING_BYTES = 64 << 20  # of them, at most: more are turned away
APPENDED_AT_ONCE = 2_000


class Writer:
    """Appends, and has it decided. Give it work from the event loop it was started in."""

    def __init__(self, ledger: Ledger, deciders: Deciders, stream: Stream) -> None:
        self.deciders = deciders
        self._stream = stream
        self._home = ledger.partition_of(PROGRAMME_SUBJECT)
        self._wake = threading.Condition()
        self._single: deque[Work] = deque()
        self._bulk: deque[Work] = deque()
        self._facts = self._bytes = 0  # that wait to be appended
        self._stopping = False
        self.cannot_append = False  # the last time it was tried; what comes is tried all the same
        self._feeding: Feeding | None = None
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._append_all, name="points-append", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._room.set()
        self._thread.start()
        self.deciders.start()

    def submit(
        self,
        values: Sequence[bytes],
        facts: Sequence[Fact] = (),
        *,
        tell: bool = True,
        is_bulk: bool = False,
        is_backlog: bool = False,
    ) -> Work:
        """Give facts to be appended and, where `tell` says so, to be told of. Raises `Busy`.

        `facts` are the values decoded, where they were: they are not decoded again.
        """
        trouble = "it is stopping" if self._stopping else self.deciders.trouble
        if trouble:
            raise Busy(f"facts cannot be decided now: {trouble}")
        told = self._loop.create_future() if tell else None
        work = Work(values, self._loop.create_future(), told, is_bulk, is_backlog, facts)
        size = work.size
        with self._wake:
            if not self._has_room(len(values), size):
                raise Busy(f"{self._facts:,} facts wait to be written")
            (self._bulk if is_bulk else self._single).append(work)
            self._facts += len(values)
            self._bytes += size
            metrics.WAITING.set(self._facts)
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
        self.deciders.stop()

    # -- the appending thread ----------------------------------------------------------------------------------------

    def _append_all(self) -> None:
        while works := self._take():
            self._append(works)
        if self._feeding is not None:
            self._feeding.appender.close()

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
            metrics.WAITING.set(self._facts)
        return works

    def _append(self, works: list[Work]) -> None:
        batch: list[Line] = []
        standing: list[list[int]] = []  # of each work's facts, the line that counts
        began = time.perf_counter()
        try:
            feeding = self._feeding = self._feeding or self._stream.feeding()
            for work in works:
                routes = feeding.old if work.is_backlog else feeding.new
                standing.append([self._route(routes, value, batch) for value in work.values])
            places = feeding.appender.append(batch)
        except JournalError as error:
            self.cannot_append = True
            self._post(self._turn_away, works, Busy(str(error.__cause__ or error)))
            return
        self.cannot_append = False
        metrics.APPEND_SECONDS.observe(time.perf_counter() - began)
        metrics.APPENDED.inc(len(batch))
        found = [[places[line] for line in lines] for lines in standing]
        self.deciders.expect({partition: {} for partition, _ in places} | waiting_by_partition(works, found))
        self._post(self._appended, works, found)

    def _route(self, routes: Routes, value: bytes, batch: list[Line]) -> int:
        """Put a fact under its partition; a published book, which goes to all, counts in its home."""
        first = len(batch)
        routes.route(RawLine(value), batch)
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
