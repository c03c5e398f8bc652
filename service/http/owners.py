"""Deciding what a served ledger's inbox holds: threads that own partitions, and hand each decision to who waits for it.

A partition belongs to one thread. Where several servers share a ledger in PostgreSQL, an `Assignment` says which
partitions are this one's to decide.
"""

import sqlite3
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from consumers.local.open import open_inbox
from consumers.local.port import Inbox
from consumers.runtime.outcomes import DecidedRecord
from consumers.runtime.owner import PartitionOwner, Step
from consumers.runtime.retry import Backoff
from ledger.journal.ledger import Ledger
from ledger.journal.partition import Tally
from ledger.journal.port import Fenced, JournalError
from ledger.wire.facts import Fact
from service.http import metrics

DECIDED_AT_ONCE = 500  # a request behind a bulk upload waits for no more than that
MOST_DECODED = 4_000  # facts of a partition that are kept decoded until it decides them
AGAIN_SECONDS = 1.0  # until a partition that could not be decided is acquired again
SHARED_THREADS = 3  # of a server whose partitions are each a connection away
_EXPECTED = (JournalError, Fenced, sqlite3.Error, OSError)

Decoded = Mapping[int, tuple[bytes, Fact]]  # facts and their bytes by offset


class Listener(Protocol):
    """Who waits for decisions. Methods are called from any thread and do not wait."""

    def resolve(self, partition: int, decided: Sequence[DecidedRecord]) -> None:
        """Take decisions that were waited for."""
        ...

    def look(self, partitions: Iterable[int]) -> None:
        """Hear that what waits in partitions may have been decided elsewhere."""
        ...

    def abandon(self, partition: int) -> None:
        """Hear that a partition cannot be decided for now."""
        ...


class OwnersState(NamedTuple):
    """What a server knows of the owners. `programmes` moves when a programme may have been published.

    `last_error` says why facts are not decided now; `is_caught_up`, whether all that was there at the start is decided.
    """

    programmes: int = 0
    last_error: str = ""
    is_caught_up: bool = False


class Assignment(Protocol):
    """Says which partitions are this process's to decide. `programmes` moves when another process published one."""

    is_settled: bool
    programmes: int
    last_error: str

    def start(self, look: Callable[[Iterable[int]], None], decided: Callable[[Iterable[int]], None]) -> None:
        """Begin; `look` is told of partitions to look at, `decided` of those that another process decided further."""
        ...

    def stop(self) -> None:
        """Leave all partitions to others."""
        ...

    def owns(self, partition: int) -> bool:
        """Return True if a partition is this process's to decide."""
        ...

    def announce(self, partition: int, *, has_book: bool) -> None:
        """Tell the others that a partition was decided further."""
        ...

    def give_up(self, partition: int) -> None:
        """Leave a partition to the process that took it."""
        ...


class Owners:
    """The threads that decide. The ledger's lock must be held, or an `assignment` given.

    `count` is called with what became of each batch, `on_change` when `state` may have changed.
    """

    def __init__(
        self,
        ledger: Ledger,
        assignment: Assignment | None = None,
        count: Callable[[Tally], None] = metrics.count,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._numbers = ledger.partitions
        self._on_change = on_change
        self._assignment = assignment
        self._listeners: list[Listener] = []
        threads = min(SHARED_THREADS, len(self._numbers)) if assignment else len(self._numbers)
        self._threads = [
            _OwnerThread(ledger, self._numbers[n::threads], assignment, count, on_change) for n in range(threads)
        ]

    def start(self, *listeners: Listener) -> None:
        """Begin: what the inbox holds from before is decided first."""
        self._listeners.extend(listeners)
        for thread in self._threads:
            thread.start()
        if self._assignment:
            self._assignment.start(self.look, self._decided_elsewhere)

    def stop(self) -> None:
        """Decide what somebody waits for, or all that is there where no other process goes on with it, and end."""
        if not self._assignment:
            self.look(self._numbers)
        for thread in self._threads:
            thread.stop(leaves=self._assignment is not None)
        if self._assignment:
            self._assignment.stop()

    def look(self, partitions: Iterable[int]) -> None:
        """Look at partitions: more may stand in the inbox, or they may be ours, or not ours any more."""
        for partition in partitions:
            self._threads[partition % len(self._threads)].expect(partition)

    def expect(self, listener: Listener, offsets: Mapping[int, Sequence[int]], decoded: Mapping[int, Decoded]) -> None:
        """Decide what was appended to partitions, and hand decisions at these offsets to the listener.

        `decoded` are some of the facts, by partition.
        """
        for partition, wanted in offsets.items():
            thread = self._threads[partition % len(self._threads)]
            thread.expect(partition, dict.fromkeys(wanted, listener), decoded.get(partition, {}))

    @property
    def state(self) -> OwnersState:
        """As it is now."""
        partitions = [partition for thread in self._threads for partition in thread.partitions.values()]
        elsewhere = self._assignment
        programmes = sum(partition.programmes for partition in partitions)
        errors = [partition.owner.last_error for partition in partitions]
        is_caught_up = all(partition.is_caught_up for partition in partitions if self._is_ours(partition.number))
        if elsewhere:
            programmes += elsewhere.programmes
            errors.insert(0, elsewhere.last_error)
            is_caught_up &= elsewhere.is_settled
        return OwnersState(programmes, next(filter(None, errors), ""), is_caught_up)

    def _is_ours(self, partition: int) -> bool:
        return self._assignment is None or self._assignment.owns(partition)

    def _decided_elsewhere(self, partitions: Iterable[int]) -> None:
        self._on_change()  # perhaps a programme was published
        for listener in self._listeners:
            listener.look(partitions)


@dataclass(slots=True, eq=False)
class _Partition:
    """A partition as its thread knows it; `wanted` says by offset who waits."""

    number: int
    owner: PartitionOwner
    wanted: dict[int, Listener] = field(default_factory=dict)
    versions: int = 0  # of the programme, when last looked at
    programmes: int = 0
    is_caught_up: bool = False


class _OwnerThread:
    """A thread that decides some partitions in turns, a batch each."""

    def __init__(
        self,
        ledger: Ledger,
        partitions: Sequence[int],
        assignment: Assignment | None,
        count: Callable[[Tally], None],
        on_change: Callable[[], None],
    ) -> None:
        self.partitions: dict[int, _Partition] = {}
        for number in partitions:
            ledger.journal(number)  # opened here: an owner's thread and this one share it
            owner = PartitionOwner(ledger, number, batch=DECIDED_AT_ONCE, backoff=Backoff(AGAIN_SECONDS, AGAIN_SECONDS))
            self.partitions[number] = partition = _Partition(number, owner)
            owner.wanted = partition.wanted
        self._ledger = ledger
        self._share = 1 / ledger.settings.partitions
        self._assignment = assignment
        self._count = count
        self._on_change = on_change
        self._inbox: Inbox | None = None
        self._wake = threading.Condition()
        self._queue: dict[int, None] = dict.fromkeys(partitions)  # partitions to be looked at, in this order
        self._stopping = self._leaves = False
        self._thread = threading.Thread(target=self._run, name=f"points-owner-{partitions[0]}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, leaves: bool) -> None:
        """Decide what is queued, or of that only what somebody waits for where the rest is left to others; end."""
        with self._wake:
            self._stopping, self._leaves = True, leaves
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    def expect(self, number: int, wanted: Mapping[int, Listener] | None = None, decoded: Decoded | None = None) -> None:
        """Look at a partition, and say who waits for which offset."""
        with self._wake:
            partition = self.partitions[number]
            if decoded and len(partition.owner.decoded) < MOST_DECODED:
                partition.owner.decoded.update(decoded)
            if wanted:
                partition.wanted.update(wanted)
            self._queue[number] = None
            self._wake.notify()

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (partition := self._next()) is not None:
            before = partition.owner.last_error, partition.is_caught_up
            try:
                has_more = self._decide(partition)
            except Exception as error:  # whatever it is: facts are kept, and the partition is acquired again
                has_more = self._failed(partition, error)
            if before != (partition.owner.last_error, partition.is_caught_up):
                self._on_change()
            if has_more:
                with self._wake:
                    self._queue[partition.number] = None
        self._close_inbox()

    def _next(self) -> _Partition | None:
        """The next queued partition whose back-off is over; None at the end, when there is none."""
        with self._wake:
            while True:
                for number in self._queue:
                    if self.partitions[number].owner.backoff.is_over():
                        del self._queue[number]
                        return self.partitions[number]
                if self._stopping:
                    return None
                self._wake.wait(
                    min((self.partitions[number].owner.backoff.remaining() for number in self._queue), default=None)
                )

    def _decide(self, partition: _Partition) -> bool:
        """Decide a batch, where the partition is ours; return True if there may be more to decide."""
        owner = partition.owner
        if self._assignment and not self._assignment.owns(partition.number):
            owner.release()
            owner.last_error = ""
            self._look_up(partition, None)
            return False
        if self._leaves and not partition.wanted:
            return False  # others go on with it, and may never come to an end
        if self._inbox is None:
            self._inbox = open_inbox(self._ledger)
        step = owner.turn(self._inbox, self._share)
        assert owner.writer is not None
        versions = len(owner.writer.book.versions)
        has_book = versions != partition.versions
        if has_book:
            partition.versions = versions
            partition.programmes += 1
            self._on_change()
        if step is not None:
            self._count(step.tally)
            self._hand_over(partition, step)
        if self._assignment and (step is not None or has_book):
            self._assignment.announce(partition.number, has_book=has_book)
        self._look_up(partition, owner.writer.position)
        partition.is_caught_up |= step is None
        return step is not None

    def _hand_over(self, partition: _Partition, step: Step) -> None:
        """Hand a batch's decisions to those who wait for them."""
        decided: dict[Listener, list[DecidedRecord]] = {}
        with self._wake:
            for record in step.decided:
                decided.setdefault(partition.wanted.pop(record.offset), []).append(record)
        for listener, records in decided.items():
            listener.resolve(partition.number, records)

    def _look_up(self, partition: _Partition, position: int | None) -> None:
        """Have those look who wait for what was decided by now, or (None) for what is decided elsewhere."""
        with self._wake:
            passed = [offset for offset in partition.wanted if position is None or offset <= position]
            listeners = {partition.wanted.pop(offset) for offset in passed}
        for listener in listeners:
            listener.look([partition.number])

    def _failed(self, partition: _Partition, error: Exception) -> bool:
        self._close_inbox()
        if isinstance(error, Fenced) and self._assignment:
            self._assignment.give_up(partition.number)
            partition.owner.last_error = ""
            print(f"points: partition {partition.number} is left to another process: {error}", file=sys.stderr)
            return False  # who waits looks when that process has decided
        if not isinstance(error, _EXPECTED):
            traceback.print_exc()
        print(f"points: partition {partition.number} cannot be decided: {partition.owner.last_error}", file=sys.stderr)
        with self._wake:
            listeners = set(partition.wanted.values())
            partition.wanted.clear()
        for listener in listeners:
            listener.abandon(partition.number)
        return True

    def _close_inbox(self) -> None:
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None
