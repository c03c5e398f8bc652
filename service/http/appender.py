"""The appender of a served ledger: facts that requests give are made durable together, then decided by the owners.

What waits is appended together, so that many requests share one wait for the disk or the brokers. Requests come
from an event loop and never block it.
"""

import asyncio
import sqlite3
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from consumers.feeding import Feeding
from consumers.files.loader import Router
from consumers.local.port import CannotAppend, ClockAhead, InboxLine
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.entry_json import position_text
from ledger.wire.facts import PROGRAMME_SUBJECT, Fact
from service.errors import say
from service.http import metrics
from service.http.channels import RemoteOwners
from service.http.owners import Owners
from service.http.pending import Busy, Message, Pending, PendingFacts, Place
from service.http.streams import DecidedByConsumers, Stream

WAITING_FACTS = 20_000  # to be appended, and
WAITING_BYTES = 64 << 20  # of them, at most: more are turned away
APPENDED_AT_ONCE = 2_000


Deciders = Owners | RemoteOwners | DecidedByConsumers  # of what is appended: in this process, in others, or of Kafka


class FactAppender:
    """Appends facts and has them decided. Give it facts from the event loop it was started in."""

    def __init__(self, ledger: Ledger, owners: Deciders, pending: PendingFacts, stream: Stream) -> None:
        self._owners = owners
        self._pending = pending
        self._stream = stream
        self._home = ledger.partition_of(PROGRAMME_SUBJECT)
        self._wake = threading.Condition()
        self._single: deque[Pending] = deque()
        self._bulk: deque[Pending] = deque()
        self._facts = self._bytes = 0  # that wait to be appended
        self._stopping = False
        self.cannot_append = False  # the last time it was tried; what comes is tried all the same
        self._is_clock_told = False  # since facts were last appended
        self._known: dict[int, int] = {}  # the last offset of a partition at which a fact was appended here
        self._feeding: Feeding | None = None
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._append_all, name="points-append", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._room.set()
        self._thread.start()

    def submit(
        self,
        values: Sequence[bytes],
        facts: Sequence[Fact] = (),
        *,
        waits: bool = True,
        is_bulk: bool = False,
        is_backlog: bool = False,
    ) -> Pending:
        """Give facts to be appended; `waits` says whether their decisions are waited for. Raises `Busy`.

        `facts` are the values decoded, where they were: they are not decoded again.
        """
        if self._stopping:
            raise Busy("the server is stopping")
        if self._owners.state.last_error:
            raise Busy("facts cannot be decided now; the server's log says why")
        outcomes = self._loop.create_future() if waits else None
        pending = Pending(values, facts, self._loop.create_future(), outcomes, is_bulk, is_backlog)
        size = pending.size
        with self._wake:
            if not self._has_room(len(values), size):
                raise Busy(f"{self._facts:,} facts wait to be written")
            (self._bulk if is_bulk else self._single).append(pending)
            self._facts += len(values)
            self._bytes += size
            metrics.WAITING.set(self._facts)
            self._wake.notify()
        return pending

    async def room_for(self, facts: int, size: int) -> None:
        """Wait until so many facts and bytes would be taken."""
        while not self._has_room(facts, size):
            self._room.clear()
            await self._room.wait()

    def _has_room(self, facts: int, size: int) -> bool:
        return not self._facts or (self._facts + facts <= WAITING_FACTS and self._bytes + size <= WAITING_BYTES)

    def stop(self) -> None:
        """Append what was given, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    # -- the appending thread ----------------------------------------------------------------------------------------

    def _append_all(self) -> None:
        while batch := self._take():
            self._append(batch)
        self._close_feeding()

    def _close_feeding(self) -> None:
        if self._feeding is not None:
            self._feeding.close()
            self._feeding = None

    def _take(self) -> list[Pending]:
        """What is appended next: single facts, and a piece of those in bulk; nothing at the end."""
        with self._wake:
            while not (self._single or self._bulk or self._stopping):
                self._wake.wait()
            taken: list[Pending] = []
            facts = 0
            while self._single and facts < APPENDED_AT_ONCE:
                taken.append(self._single.popleft())
                facts += len(taken[-1].values)
            if self._bulk:
                taken.append(self._bulk.popleft())
            self._facts -= sum(len(pending.values) for pending in taken)
            self._bytes -= sum(pending.size for pending in taken)
            metrics.WAITING.set(self._facts)
        return taken

    def _append(self, taken: list[Pending]) -> None:
        lines: list[InboxLine] = []
        counting: list[list[int]] = []  # of each pending's facts, the line that counts
        began = time.perf_counter()
        try:
            feeding = self._feeding = self._feeding or self._stream.feeding()
            for pending in taken:
                router = feeding.old if pending.is_backlog else feeding.new
                counting.append([self._route(router, value, lines) for value in pending.values])
            places = feeding.append(lines)
        except ClockAhead as error:  # facts that agree with the clock are taken: the server stays ready for them
            if not self._is_clock_told:
                say(f"facts cannot be written: {error}")
            self._is_clock_told = True
            self._post(self._turn_away, taken, Busy("the server's clock is far ahead; the server's log says of what"))
            return
        except Exception as error:  # whatever it is: nothing was taken, and what comes is tried anew
            if not self.cannot_append:
                say(f"facts cannot be written: {error.__cause__ or error}")
            self.cannot_append = True
            if not isinstance(error, CannotAppend):  # after which the appender goes on by itself
                self._close_feeding()
            if not isinstance(error, JournalError | sqlite3.Error):
                traceback.print_exc()
            self._post(self._turn_away, taken, Busy("facts cannot be written now; the server's log says why"))
            return
        self.cannot_append = self._is_clock_told = False
        metrics.APPEND_SECONDS.observe(time.perf_counter() - began)
        metrics.APPENDED.inc(len(lines))
        self._name_what_is_gone(places)
        found = [[places[line] for line in these] for these in counting]
        self._post(self._appended, taken, found)  # first: who waits is known before anything is decided
        self._expect(places, taken, found)

    def _name_what_is_gone(self, places: Sequence[Place]) -> None:
        """Say which facts that were acknowledged here are gone: others stand at their offsets, or before them."""
        for partition, offset in places:
            known = self._known.get(partition, -1)
            if offset <= known:
                metrics.GONE.inc(known - offset + 1)
                say(
                    f"partition {partition}: facts at {position_text(partition, offset)} to"
                    f" {position_text(partition, known)} were acknowledged, and are gone: an earlier state is there,"
                    " as where a standby that lagged took over. Let their senders send them again"
                )
            self._known[partition] = offset

    def _expect(self, places: Sequence[Place], taken: list[Pending], found: list[list[Place]]) -> None:
        """Have the owners decide what was appended, and hand along what was decoded of it."""
        offsets: dict[int, list[int]] = {partition: [] for partition, _ in places}
        decoded: dict[int, dict[int, tuple[bytes, Fact]]] = {}
        for pending, its in zip(taken, found, strict=True):
            if pending.outcomes is not None:
                for partition, offset in its:
                    offsets[partition].append(offset)
            for (partition, offset), value, fact in zip(its, pending.values, pending.facts, strict=False):
                decoded.setdefault(partition, {})[offset] = value, fact
        self._owners.expect(self.notify, offsets, decoded)

    def notify(self, message: Message) -> None:
        """Hand a message of the owners to who waits. Called by any thread."""
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            self._post(self._pending.receive, message)

    def _route(self, router: Router, value: bytes, lines: list[InboxLine]) -> int:
        """Put a fact under its partition; a published programme, which goes to all, counts in its home."""
        first = len(lines)
        lines += router.routed(value)
        return next((at for at in range(first, len(lines)) if lines[at].partition == self._home), first)

    def _post(self, call: Callable[..., None], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(call, *arguments)

    def _appended(self, taken: list[Pending], found: list[list[Place]]) -> None:
        self._room.set()
        for pending, places in zip(taken, found, strict=True):
            if pending.outcomes is not None:
                self._pending.add(pending, places)
            if not pending.places.done():
                pending.places.set_result(places)

    def _turn_away(self, taken: list[Pending], error: Busy) -> None:
        self._room.set()
        for pending in taken:
            if pending.outcomes is not None:
                pending.outcomes.cancel()
            if not pending.places.done():
                pending.places.set_exception(error)
