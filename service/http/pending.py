"""Facts given together to a running server, and the requests that wait for what was decided about them.

Decisions are handed along by the owners of the partitions. What was lost on the way, or decided by another process, is
looked up in the journals.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from consumers.runtime.outcomes import DecidedRecord, decided_between, outcome_to_dict
from ledger.errors import CannotRunNow
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.facts import Fact

Place = tuple[int, int]  # partition and offset
Outcome = dict[str, Any]  # what became of a fact: see `consumers.runtime.outcomes`
Offsets = dict[int, list[int]]  # by partition


class Busy(CannotRunNow):
    """It cannot be done now: why. It may be asked again: a fact that was taken all the same counts once."""


@dataclass(slots=True, eq=False)
class Pending:
    """Facts given together. `places` are known once they are durable, `outcomes` once they are decided.

    `outcomes` is None where nobody waits, and results in None where the facts cannot be decided for now. `facts` are
    the values decoded, where they were.
    """

    values: Sequence[bytes]
    facts: Sequence[Fact]
    places: asyncio.Future[list[Place]]
    outcomes: asyncio.Future[list[Outcome] | None] | None
    is_bulk: bool = False
    is_backlog: bool = False
    found: dict[int, Outcome] = field(default_factory=dict)  # by index

    @property
    def size(self) -> int:
        """Bytes of the facts."""
        return sum(map(len, self.values))


class PendingFacts:
    """The facts of this process that wait for their decision, by partition and offset.

    `look_seconds` pass between two looks into the journals while anything waits; None: only on a hint. `remind` is
    called after such a look with what still waits. The ledger is the look's own. Methods may be called by any thread.
    """

    def __init__(self, ledger: Ledger, look_seconds: float | None, remind: Callable[[Offsets], None]) -> None:
        self._ledger = ledger
        self._look_seconds = look_seconds
        self._remind = remind
        self._zone = ledger.book.offset
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._waiting: dict[int, dict[int, tuple[Pending, int]]] = {}  # a fact by its index
        self._hinted: set[int] = set()
        self._is_idle = self._stopping = False
        self._thread = threading.Thread(target=self._run, name="points-look", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; what still waits is abandoned."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()
        self.abandon_all()
        self._ledger.close()

    def add(self, pending: Pending, places: Iterable[Place]) -> None:
        """Wait for the decisions about facts that stand at these places."""
        with self._wake:
            for index, (partition, offset) in enumerate(places):
                self._waiting.setdefault(partition, {})[offset] = pending, index
            if self._is_idle and self._look_seconds is not None:
                self._wake.notify()

    def resolve(self, partition: int, decided: Iterable[DecidedRecord]) -> None:
        """Hand decisions to those who wait for them."""
        with self._wake:
            waiting = self._waiting.get(partition, {})
            ready = [(waiting.pop(record.offset), record) for record in decided if record.offset in waiting]
            if not waiting:
                self._waiting.pop(partition, None)
        if ready:
            outcomes = [(which, outcome_to_dict(partition, record, self._zone)) for which, record in ready]
            self._loop.call_soon_threadsafe(_resolve, outcomes)

    def abandon(self, partition: int) -> None:
        """Tell those who wait that nobody knows when their facts will be decided."""
        with self._wake:
            waiting = self._waiting.pop(partition, {})
        if waiting:
            self._loop.call_soon_threadsafe(_abandon, [pending for pending, _ in waiting.values()])

    def abandon_all(self) -> None:
        """Abandon what waits in any partition."""
        for partition in list(self._waiting):
            self.abandon(partition)

    def look(self, partitions: Iterable[int]) -> None:
        """Look soon whether what waits in partitions was decided."""
        with self._wake:
            self._hinted.update(self._waiting.keys() & set(partitions))
            if self._hinted:
                self._wake.notify()

    def _run(self) -> None:
        while (partitions := self._next()) is not None:
            try:
                for partition in partitions:
                    self._look_up(partition)
            except JournalError:
                continue  # the journal cannot be read now: the next look is in a while
            with self._wake:
                late = {p: list(waiting) for p, waiting in self._waiting.items() if p in partitions}
            if late:
                self._remind(late)

    def _next(self) -> set[int] | None:
        """The partitions to look at; None at the end."""
        with self._wake:
            while not (self._hinted or self._stopping):
                self._is_idle = not self._waiting
                if not self._wake.wait(None if self._is_idle else self._look_seconds):
                    self._hinted.update(self._waiting)
            self._is_idle = False
            hinted, self._hinted = self._hinted, set()
            return None if self._stopping else hinted

    def _look_up(self, partition: int) -> None:
        journal = self._ledger.journal(partition)
        position = journal.head().position
        with self._wake:
            ready = [offset for offset in self._waiting.get(partition, ()) if offset <= position]
        if ready:
            self.resolve(partition, decided_between(journal, min(ready), max(ready)))


def _resolve(outcomes: Iterable[tuple[tuple[Pending, int], Outcome]]) -> None:
    for (pending, index), outcome in outcomes:
        pending.found[index] = outcome
        future = pending.outcomes
        if future is not None and len(pending.found) == len(pending.values) and not future.done():
            future.set_result([pending.found[at] for at in range(len(pending.values))])


def _abandon(abandoned: Iterable[Pending]) -> None:
    for pending in abandoned:
        if pending.outcomes is not None and not pending.outcomes.done():
            pending.outcomes.set_result(None)
