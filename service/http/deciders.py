"""Deciding what a served ledger's inbox holds, and telling those who wait for it.

Each partition belongs to one thread, which decides it while this process holds its claim. What another process
decides is looked up once that tells of it.
"""

import asyncio
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from consumers.local.open import open_inbox
from consumers.local.port import Inbox
from consumers.runtime.outcomes import DecidedRecord, decided_between, fate_of
from consumers.runtime.owner import PartitionOwner, Step
from consumers.runtime.retry import Backoff
from ledger.journal.ledger import Ledger
from ledger.journal.port import Fenced, JournalError
from service.http import metrics
from service.http.pending import Waiting, leave, tell
from service.http.ties import Ties

DECIDED_AT_ONCE = 500  # a request behind a bulk upload waits for no more than that
MOST_DECODED = 4_000  # facts of a partition that are kept decoded until it decides them
AGAIN_SECONDS = 1.0  # until a partition that could not be decided is opened again
SHARED_THREADS = 3  # of a ledger that has a connection for each and not one for every partition
_EXPECTED = (JournalError, Fenced, sqlite3.Error, OSError)


class Part(NamedTuple):
    """Which worker of a server a process is: of a shared ledger it is meant for every `workers`-th partition.

    `ties` are there where a folder's lock is theirs together.
    """

    worker: int
    workers: int
    ties: Ties | None = None

    def of(self, partitions: Sequence[int]) -> frozenset[int]:
        """Those it is meant for."""
        return frozenset(partitions[self.worker :: self.workers])


ALONE = Part(0, 1)


class Sharing(Protocol):
    """Whose turn it is to decide a partition, where other processes decide too.

    `books` moves when one of them may have decided about a published book; `trouble` says why nothing is known of them
    now; `is_settled`, whether it was found out once whose turn it is; `look_seconds` pass between two looks at what
    they decided, while somebody waits for it.
    """

    look_seconds: float
    is_settled: bool
    books: int
    trouble: str

    def start(self, look: Callable[[Iterable[int]], None]) -> None:
        """Begin; `look` is told of partitions with news."""
        ...

    def stop(self) -> None:
        """Leave all partitions to others."""
        ...

    def decides(self, partition: int) -> bool:
        """Whether a partition is this process's to decide."""
        ...

    def announce(self, partition: int, *, has_book: bool) -> None:
        """Tell the others that a partition was decided further, and whether about a published book."""
        ...

    def appended(self, partitions: Iterable[int]) -> None:
        """Tell the others that this process has appended to partitions."""
        ...

    def give_up(self, partition: int) -> bool:
        """Leave a partition to the process that took it; False where it is nobody else's to decide."""
        ...

    def ends_together(self) -> bool:
        """Whether the others end with this process; then it returns once none of them appends any more."""
        ...


class Deciders:
    """The threads that decide. `sharing` says which partitions are this process's to decide; all where there is none.

    The ledger's lock must be held; what is told is told in `loop`.
    """

    def __init__(self, ledger: Ledger, loop: asyncio.AbstractEventLoop, sharing: Sharing | None = None) -> None:
        self._sharing = sharing
        self._numbers = ledger.partitions
        count = min(SHARED_THREADS, len(ledger.partitions)) if sharing else len(ledger.partitions)
        self._deciders = [_Decider(ledger, ledger.partitions[n::count], loop, sharing) for n in range(count)]

    def start(self) -> None:
        """Begin: what the inbox holds from before is decided first."""
        for decider in self._deciders:
            decider.start()
        if self._sharing:
            self._sharing.start(self.look)

    def stop(self) -> None:
        """Decide what somebody waits for, or all that is there where nobody else goes on with it, and end."""
        leaves = self._sharing is not None and not self._sharing.ends_together()
        if not leaves:
            self.look(self._numbers)
        for decider in self._deciders:
            decider.stop(leaves=leaves)
        if self._sharing:
            self._sharing.stop()

    def look(self, partitions: Iterable[int]) -> None:
        """Say that there are news of partitions: more in the inbox, decided elsewhere, ours or not ours any more."""
        self._pass_on({partition: {} for partition in partitions})

    def expect(self, waiting: Mapping[int, Waiting]) -> None:
        """Say that this process has appended to partitions, and who waits for it."""
        if self._sharing:
            self._sharing.appended(waiting)
        self._pass_on(waiting)

    def _pass_on(self, waiting: Mapping[int, Waiting]) -> None:
        for number, decider in enumerate(self._deciders):
            theirs = {p: who for p, who in waiting.items() if p % len(self._deciders) == number}
            if theirs:
                decider.expect(theirs)

    @property
    def generation(self) -> int:
        """A number that moves whenever the rule book may have."""
        elsewhere = self._sharing.books if self._sharing else 0
        return elsewhere + sum(partition.books for partition in self._partitions)

    @property
    def trouble(self) -> str:
        """Why facts are not decided now; empty where they are."""
        elsewhere = self._sharing.trouble if self._sharing else ""
        return elsewhere or next((partition.trouble for partition in self._partitions if partition.trouble), "")

    @property
    def is_caught_up(self) -> bool:
        """Whether all that was there at the start, and is this process's to decide, has been decided."""
        if self._sharing and not self._sharing.is_settled:
            return False
        return all(
            partition.is_caught_up for partition in self._partitions if _is_ours(self._sharing, partition.number)
        )

    @property
    def _partitions(self) -> list["_Partition"]:
        return [partition for decider in self._deciders for partition in decider.partitions.values()]


def _is_ours(sharing: Sharing | None, partition: int) -> bool:
    return sharing is None or sharing.decides(partition)


@dataclass(slots=True, eq=False)
class _Partition:
    """A partition as its thread knows it. Who waits for what is in `waiting`, which the owner is given as wanted."""

    number: int
    position: int
    owner: PartitionOwner
    waiting: Waiting = field(default_factory=dict)
    versions: int = 0  # of the rule book, when last looked at
    books: int = 0
    trouble: str = ""
    again_at: float = 0.0  # before which it is not looked at, after trouble
    is_caught_up: bool = False


class _Decider:
    """A thread that decides some partitions in turns, a batch each, and tells those who wait."""

    def __init__(
        self, ledger: Ledger, partitions: Sequence[int], loop: asyncio.AbstractEventLoop, sharing: Sharing | None
    ) -> None:
        # The journals are opened here: an owner's thread and this one share them.
        self.partitions = {
            p: _Partition(
                p,
                ledger.journal(p).head().offset,
                PartitionOwner(
                    ledger, p, batch=DECIDED_AT_ONCE, backoff=Backoff(first=AGAIN_SECONDS, longest=AGAIN_SECONDS)
                ),
            )
            for p in partitions
        }
        for partition in self.partitions.values():
            partition.owner.wanted = partition.waiting
        self._ledger = ledger
        self._loop = loop
        self._sharing = sharing
        self._share = 1 / ledger.settings.partitions
        self._inbox: Inbox | None = None
        self._wake = threading.Condition()
        self._news = dict.fromkeys(partitions)  # partitions to be looked at, in this order
        self._stopping = False
        self._leaves = False
        self._thread = threading.Thread(target=self._run, name=f"points-decide-{partitions[0]}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, leaves: bool) -> None:
        """Decide what was told of, or of that only what somebody waits for where the rest is left to others; end."""
        with self._wake:
            self._stopping = True
            self._leaves = leaves
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    def expect(self, waiting: Mapping[int, Waiting]) -> None:
        """Say that there are news, and who waits."""
        with self._wake:
            for number, who in waiting.items():
                partition = self.partitions[number]
                partition.waiting.update(who)
                for offset, (work, index) in who.items():
                    if work.facts and len(partition.owner.decoded) < MOST_DECODED:
                        partition.owner.decoded[offset] = work.values[index], work.facts[index]
                self._news[number] = None
            self._wake.notify()

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (partition := self._next()) is not None:
            try:
                has_more = self._look_at(partition)
            except Exception as error:  # whatever it is: facts are kept, and the partition is opened again
                self._failed(partition, error)
            else:
                if has_more:
                    with self._wake:
                        self._news[partition.number] = None
        self._close_inbox()

    def _next(self) -> _Partition | None:
        """The next partition with news that may be looked at now; None at the end, when there is none."""
        with self._wake:
            while True:
                now = time.monotonic()
                for number in self._news:
                    if self.partitions[number].again_at <= now:
                        del self._news[number]
                        return self.partitions[number]
                if self._stopping:
                    return None
                waiting = [partition.number for partition in self.partitions.values() if partition.waiting]
                pauses = [self.partitions[number].again_at - now for number in self._news]
                if waiting and self._sharing:
                    pauses.append(self._sharing.look_seconds)
                if not self._wake.wait(min(pauses, default=None)):
                    self._news.update(dict.fromkeys(waiting))

    def _look_at(self, partition: _Partition) -> bool:
        """Decide a batch, or see what another process decided; says whether there may be more to decide."""
        if not _is_ours(self._sharing, partition.number):
            self._follow(partition)
            return False
        if self._leaves and not partition.waiting:
            return False  # others go on with it, and may never come to an end
        if self._inbox is None:
            self._inbox = open_inbox(self._ledger)
        step = partition.owner.turn(self._inbox, self._share)
        self._decided(partition, step)
        partition.trouble = ""
        partition.is_caught_up |= step is None
        return step is not None

    def _follow(self, partition: _Partition) -> None:
        partition.owner.release()
        partition.trouble = ""
        if partition.waiting:
            self._look_up(partition, self._ledger.journal(partition.number).head().offset)

    def _decided(self, partition: _Partition, step: Step | None) -> None:
        assert partition.owner.writer is not None
        position = partition.owner.writer.offset
        if step is not None:
            metrics.count(step.tally)
            self._tell(partition, step.decided)
        versions = len(partition.owner.writer.book.versions)
        has_book = versions != partition.versions
        if has_book:
            partition.versions = versions
            partition.books += 1
        if self._sharing and (position > partition.position or has_book):
            self._sharing.announce(partition.number, has_book=has_book)
        self._look_up(partition, position)

    def _look_up(self, partition: _Partition, position: int) -> None:
        """Tell those who still wait for what was decided by now."""
        partition.position = position
        with self._wake:
            ready = {at for at in partition.waiting if at <= position}
        if ready:
            journal = self._ledger.journal(partition.number)
            found = decided_between(journal, min(ready), max(ready))
            self._tell(partition, [decided for decided in found if decided.offset in ready])

    def _tell(self, partition: _Partition, decided: list[DecidedRecord]) -> None:
        zone = self._ledger.book.offset
        with self._wake:
            told = [(partition.waiting.pop(one.offset), fate_of(partition.number, one, zone)) for one in decided]
        if told:
            self._loop.call_soon_threadsafe(tell, told)

    def _failed(self, partition: _Partition, error: Exception) -> None:
        self._close_inbox()
        if isinstance(error, Fenced) and self._sharing and self._sharing.give_up(partition.number):
            print(f"points: partition {partition.number} is left to another process: {error}", file=sys.stderr)
            return  # who waits is told when that one has decided
        if not isinstance(error, _EXPECTED):
            traceback.print_exc()
        partition.trouble = str(error) or type(error).__name__
        print(f"points: partition {partition.number} cannot be decided: {partition.trouble}", file=sys.stderr)
        partition.again_at = time.monotonic() + AGAIN_SECONDS
        with self._wake:
            self._news[partition.number] = None
            works = [work for work, _ in partition.waiting.values()]
            partition.waiting.clear()
        self._loop.call_soon_threadsafe(leave, works)

    def _close_inbox(self) -> None:
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None
