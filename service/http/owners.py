"""Deciding what a served ledger's inbox holds: each partition in a thread, each decision handed to who waits for it.

Where several servers share a ledger in PostgreSQL, an assignment says which partitions are this one's to decide.
"""

import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from consumers import clock
from consumers.local.open import open_inbox
from consumers.local.port import Inbox
from consumers.runtime.outcomes import DecidedRecord
from consumers.runtime.owner import PartitionOwner
from consumers.runtime.retry import Backoff
from ledger.journal.ledger import Ledger
from ledger.journal.port import Fenced, JournalError
from ledger.wire.facts import Fact
from service.errors import say
from service.http import metrics
from service.http.pending import Abandoned, DecidedElsewhere, Notify, Offsets, Resolved

if TYPE_CHECKING:
    from service.http.assignment import DatabaseAssignment

DECIDED_AT_ONCE = 500  # a request behind a bulk upload waits for no more than that
MOST_DECODED = 4_000  # facts of a partition that are kept decoded until it decides them
AGAIN_SECONDS = 1.0  # until a partition that could not be decided is acquired again
INBOX_SECONDS = 5.0  # between two looks at what the inbox holds, should it not have been said
SHARED_THREADS = 3  # of a server whose partitions are each a connection away
_EXPECTED = (JournalError, Fenced, sqlite3.Error, OSError)

Decoded = Mapping[int, tuple[bytes, Fact]]  # facts and their bytes by offset


class OwnersState(NamedTuple):
    """What a server knows of the owners. `programmes` moves when a programme may have been published.

    `last_error` says why no facts are decided now, `troubled` why those of some partitions are not; `is_caught_up`,
    whether all that was there at the start is decided, but for those. `ahead_until` has the last `recorded` of
    partitions in which it is ahead of the clock, since a clock was once wrong.
    """

    programmes: int = 0
    last_error: str = ""
    is_caught_up: bool = False
    troubled: Mapping[int, str] = {}  # by partition
    ahead_until: Mapping[int, int] = {}  # by partition, in microseconds since 1970 UTC


class Owners:
    """Decides partitions of a ledger in threads. The ledger's lock must be held, or an `assignment` given."""

    def __init__(
        self, ledger: Ledger, partitions: Sequence[int], assignment: "DatabaseAssignment | None" = None
    ) -> None:
        self._numbers = partitions
        self._assignment = assignment
        self._look_elsewhere: Callable[[Iterable[int]], None] = lambda _: None
        self._on_change: Callable[[], None] = lambda: None
        self._notify: Notify = lambda _: None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        count = min(SHARED_THREADS, len(partitions)) if assignment else len(partitions)
        self._threads = [ThreadPoolExecutor(1, "points-owner") for _ in range(count)]
        self._partitions = {
            number: _Partition(ledger, number, self._threads[at % count]) for at, number in enumerate(partitions)
        }
        self._looking = threading.Thread(target=self._look_now_and_then, name="points-look", daemon=True)

    def start(
        self,
        notify: Notify,
        on_change: Callable[[], None] = lambda: None,
        look_elsewhere: Callable[[Iterable[int]], None] = lambda _: None,
    ) -> None:
        """Begin: what the inbox holds from before is decided first.

        `notify` hears what other processes decide; `on_change` is called when `state` may have changed, by any thread,
        and `look_elsewhere` with partitions, perhaps of other processes, to which follow-ups were appended.
        """
        self._notify, self._on_change, self._look_elsewhere = notify, on_change, look_elsewhere
        self._looking.start()
        if self._assignment:
            self._assignment.start(self.look, self._decided_elsewhere)

    def stop(self) -> None:
        """Decide what somebody waits for, or all that is there where no other process goes on with it, and end."""
        self._stopping.set()
        self.look(self._numbers)
        for partition in self._partitions.values():
            partition.thread.submit(partition.close_inbox)
        for thread in self._threads:
            thread.shutdown()
        if self._assignment:
            self._assignment.stop()

    def expect(self, notify: Notify, offsets: Offsets, decoded: Mapping[int, Decoded]) -> None:
        """Decide what was appended to partitions; what becomes of it at these offsets is told to `notify`.

        `decoded` are some of the facts, by partition.
        """
        for number, wanted in offsets.items():
            partition = self._partitions[number]
            with self._lock:
                partition.wanted.update(dict.fromkeys(wanted, notify))
            if number in decoded and len(partition.owner.decoded) < MOST_DECODED:
                partition.owner.decoded.update(decoded[number])
        self.look(offsets)

    def look(self, partitions: Iterable[int]) -> None:
        """Look at partitions: more may stand in the inbox, or they may be ours, or not ours any more."""
        for number in partitions:
            partition = self._partitions[number]
            with self._lock, suppress(RuntimeError):  # at the end
                if not partition.is_queued:
                    partition.is_queued = True
                    partition.thread.submit(self._turn, partition)

    @property
    def state(self) -> OwnersState:
        """As it is now."""
        elsewhere = self._assignment
        partitions = self._partitions.values()
        programmes = sum(partition.programmes for partition in partitions)
        troubled = {one.number: one.owner.last_error for one in partitions if one.owner.last_error}
        ahead = {one.number: one.owner.ahead_until for one in partitions if one.owner.ahead_until}
        is_caught_up = all(one.is_caught_up or one.number in troubled for one in partitions if self._is_ours(one))
        if elsewhere:
            is_caught_up &= elsewhere.is_settled
            return OwnersState(programmes + elsewhere.programmes, elsewhere.last_error, is_caught_up, troubled, ahead)
        return OwnersState(programmes, "", is_caught_up, troubled, ahead)

    def _is_ours(self, partition: "_Partition") -> bool:
        return self._assignment is None or self._assignment.owns(partition.number)

    def _look_now_and_then(self) -> None:
        """Look at all partitions now and then, and at those that could not be decided sooner."""
        look_at = 0.0
        while not self._stopping.is_set():
            failed = [partition.number for partition in self._partitions.values() if partition.owner.last_error]
            is_due = time.monotonic() >= look_at
            self.look(self._numbers if is_due else failed)
            look_at = time.monotonic() + INBOX_SECONDS if is_due else look_at
            self._stopping.wait(min(AGAIN_SECONDS, INBOX_SECONDS))

    def _decided_elsewhere(self, partitions: Iterable[int]) -> None:
        self._on_change()  # perhaps a programme was published
        self._notify(DecidedElsewhere(list(partitions)))

    # -- in a partition's thread -------------------------------------------------------------------------------------

    def _turn(self, partition: "_Partition") -> None:
        """Decide a batch of a partition, and come again while there may be more."""
        partition.is_queued = False
        owner = partition.owner
        before = owner.last_error, partition.is_caught_up, owner.ahead_until
        try:
            has_more = self._decide(partition)
            while has_more and self._stopping.is_set():
                has_more = self._decide(partition)
        except Exception as error:  # whatever it is: facts are kept, and the partition is acquired again
            has_more = False
            if not partition.owner.last_error:  # it was raised beside the owner, as of an inbox that cannot be opened
                partition.owner.back_off(error)
            self._failed(partition, error)
            partition.close()
        if owner.ahead_until and not before[2]:
            ahead = clock.seconds_ahead(owner.ahead_until)
            say(f"recorded-ahead: partition {partition.number} is recorded {ahead:,} s ahead of this host's clock")
        if before != (owner.last_error, partition.is_caught_up, owner.ahead_until):
            self._on_change()
        if has_more:
            self.look([partition.number])

    def _decide(self, partition: "_Partition") -> bool:
        """Decide a batch, where the partition is ours; return True if there may be more to decide."""
        owner = partition.owner
        if not self._is_ours(partition):
            owner.release()
            owner.last_error = ""
            self._have_looked_up(partition, None)
            return False
        if self._stopping.is_set() and self._assignment and not partition.wanted:
            return False  # others go on with it, and may never come to an end
        step = owner.turn(partition.opened_inbox(), 1 / len(self._partitions))
        if owner.writer is None:
            return False  # it backs off
        if owner.told:
            self._look_elsewhere(owner.told)
            self.look(owner.told.keys() & self._partitions.keys())
            owner.told.clear()
        versions = len(owner.writer.book.versions)
        has_book = versions != partition.versions
        if has_book:
            partition.versions = versions
            partition.programmes += 1
            self._on_change()
        if step is not None:
            metrics.count(step.tally)
            self._hand_along(partition)
        if self._assignment and (step is not None or has_book):
            self._assignment.announce(partition.number, has_book=has_book)
        self._have_looked_up(partition, owner.writer.offset)
        partition.is_caught_up |= step is None
        return step is not None

    def _hand_along(self, partition: "_Partition") -> None:
        """Hand a batch's decisions to those who wait for them."""
        decided: dict[Notify, list[DecidedRecord]] = {}
        with self._lock:
            for record in partition.owner.decided:
                decided.setdefault(partition.wanted.pop(record.offset), []).append(record)
        partition.owner.decided.clear()
        for notify, records in decided.items():
            notify(Resolved(partition.number, records))

    def _have_looked_up(self, partition: "_Partition", position: int | None) -> None:
        """Have what is waited for looked up that was decided by now, or (None) is decided elsewhere."""
        with self._lock:
            passed = [offset for offset in partition.wanted if position is None or offset <= position]
            waiting = {partition.wanted.pop(offset) for offset in passed}
        for notify in waiting:
            notify(DecidedElsewhere([partition.number]))

    def _failed(self, partition: "_Partition", error: Exception) -> None:
        if isinstance(error, Fenced) and self._assignment:
            self._assignment.give_up(partition.number)
            partition.owner.last_error = ""
            say(f"partition {partition.number} is left to another process: {error}")
            self._have_looked_up(partition, None)
            return
        if not isinstance(error, _EXPECTED):
            traceback.print_exc()
        say(f"partition {partition.number} cannot be decided: {partition.owner.last_error}")
        with self._lock:
            waiting = set(partition.wanted.values())
            partition.wanted.clear()
        for notify in waiting:
            notify(Abandoned([partition.number]))


class _Partition:
    """A partition, decided in one thread; `wanted` says by offset who waits."""

    def __init__(self, ledger: Ledger, number: int, thread: ThreadPoolExecutor) -> None:
        with suppress(JournalError):  # its owner meets the same, and tries again
            ledger.journal(number)  # opened here: an owner's thread and this one share it
        self.number = number
        self.thread = thread
        self._ledger = ledger
        self._inbox: Inbox | None = None
        self.owner = PartitionOwner(
            ledger, number, batch=DECIDED_AT_ONCE, backoff=Backoff(AGAIN_SECONDS, AGAIN_SECONDS)
        )
        self.owner.wanted = self.wanted = dict[int, Notify]()
        self.is_queued = self.is_caught_up = False
        self.versions = self.programmes = 0  # versions of the programme when last looked at, and how often they moved

    def opened_inbox(self) -> Inbox:
        """Return the inbox, for the partition's thread."""
        self._inbox = self._inbox or open_inbox(self._ledger)
        return self._inbox

    def close(self) -> None:
        """Open the inbox and the journal anew: what was wrong with their files may have been mended."""
        self.close_inbox()
        self._ledger.close_journal(self.number)

    def close_inbox(self) -> None:
        """Open it anew when it is needed. Called in the partition's thread."""
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None


def owners_of(ledger: Ledger, partitions: Sequence[int] | None = None) -> Owners:
    """Return owners in this process of a ledger's partitions, all unless given."""
    partitions = ledger.partitions if partitions is None else partitions
    if not ledger.is_shared:
        return Owners(ledger, partitions)
    from ledger.journal.database import DatabaseLedger  # here, since its driver is an extra
    from service.http.assignment import DatabaseAssignment

    assert isinstance(ledger, DatabaseLedger)
    return Owners(ledger, partitions, DatabaseAssignment(ledger, partitions))
