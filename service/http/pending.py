"""Facts given together to a running server, and the requests that wait for what is decided about them.

Decisions are handed along by the owners of the partitions. What is lost on the way, or decided by another process, is
looked up in the journals.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from consumers.runtime.outcomes import DecidedRecord, decided_between, fate_of
from ledger.errors import CannotRunNow
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.answers import Fate
from ledger.wire.facts import Fact

Place = tuple[int, int]  # partition and offset
Offsets = Mapping[int, Sequence[int]]  # by partition


class Busy(CannotRunNow):
    """It cannot be done now: why. It may be asked again: a fact that was taken all the same counts once.

    `partition` is the one in trouble, where it is one alone.
    """

    def __init__(self, why: str, partition: int | None = None) -> None:
        super().__init__(why)
        self.partition = partition


class Resolved(NamedTuple):
    """Records of a partition that are waited for were decided."""

    partition: int
    decided: Sequence[DecidedRecord]


class DecidedElsewhere(NamedTuple):
    """What is waited for in partitions may have been decided: it is to be looked up."""

    partitions: Sequence[int]


class Abandoned(NamedTuple):
    """Partitions cannot be decided for now."""

    partitions: Sequence[int]


Message = Resolved | DecidedElsewhere | Abandoned  # what owners say to those who wait
Read = Callable[[Callable[[Ledger], Any]], Awaitable[Any]]
Notify = Callable[[Message], None]  # from any thread, and without waiting


@dataclass(slots=True, eq=False)
class Pending:
    """Facts given together. `places` are known once they are durable, `outcomes` once they are decided.

    `outcomes` is None where nobody waits, and results in None where the facts cannot be decided for now. `facts` are
    the values decoded, where they were.
    """

    values: Sequence[bytes]
    facts: Sequence[Fact]
    places: asyncio.Future[list[Place]]
    outcomes: asyncio.Future[list[Fate] | None] | None
    is_bulk: bool = False
    is_backlog: bool = False
    found: dict[int, Fate] = field(default_factory=dict)  # by index

    @property
    def size(self) -> int:
        """Bytes of the facts."""
        return sum(map(len, self.values))

    def resolve(self, index: int, fate: Fate) -> None:
        """Take what became of one of the facts."""
        self.found[index] = fate
        if self.outcomes and len(self.found) == len(self.values) and not self.outcomes.done():
            self.outcomes.set_result([self.found[at] for at in range(len(self.values))])

    def abandon(self) -> None:
        """Tell who waits that nobody knows when the facts will be decided."""
        if self.outcomes and not self.outcomes.done():
            self.outcomes.set_result(None)


class PendingFacts:
    """The facts of this process that wait for their decision, by partition and offset. Used in the event loop only.

    `read` asks the ledger in another thread. `look_seconds` pass between two looks into the journals while anything
    waits; 0: none without a message. `remind` is called after such a look with what still waits.
    """

    def __init__(self, ledger: Ledger, read: Read, look_seconds: float, remind: Callable[[Offsets], None]) -> None:
        self._zone = ledger.book.offset
        self._read = read
        self._look_seconds = look_seconds
        self._remind = remind
        self._waiting: dict[int, dict[int, tuple[Pending, int]]] = {}  # a fact by its index
        self._tasks: set[asyncio.Task[None]] = set()
        self._looks = False  # now and then

    def add(self, pending: Pending, places: Iterable[Place]) -> None:
        """Wait for the decisions about facts that stand at these places."""
        for index, (partition, offset) in enumerate(places):
            self._waiting.setdefault(partition, {})[offset] = pending, index
        if self._look_seconds and not self._looks:
            self._looks = True
            self._begin(self._look_now_and_then())

    def receive(self, message: Message) -> None:
        """Take what owners say."""
        match message:
            case Resolved(partition, decided):
                waiting = self._waiting.get(partition, {})
                for record in decided:
                    if record.offset in waiting:
                        pending, index = waiting.pop(record.offset)
                        pending.resolve(index, fate_of(partition, record, self._zone))
            case DecidedElsewhere(partitions):
                if any(map(self._waiting.get, partitions)):
                    self._begin(self._look(partitions))
            case Abandoned(partitions):
                for partition in partitions:
                    for pending, _ in self._waiting.pop(partition, {}).values():
                        pending.abandon()

    def _begin(self, looking: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(looking)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_now_and_then(self) -> None:
        while any(self._waiting.values()):
            await asyncio.sleep(self._look_seconds)
            await self._look(list(self._waiting))
            if late := {partition: list(waiting) for partition, waiting in self._waiting.items() if waiting}:
                self._remind(late)
        self._looks = False

    async def _look(self, partitions: Sequence[int]) -> None:
        """Look up what was decided of that which waits."""
        wanted = {partition: set(self._waiting.get(partition, ())) for partition in partitions}
        with suppress(JournalError, Busy):  # the next look is in a while
            for message in await self._read(lambda ledger: _decided_of(ledger, wanted)):
                self.receive(message)


def _decided_of(ledger: Ledger, wanted: Mapping[int, set[int]]) -> list[Resolved]:
    found = []
    for partition, offsets in wanted.items():
        journal = ledger.journal(partition)
        position = journal.head().offset
        if passed := {offset for offset in offsets if offset <= position}:
            between = decided_between(journal, min(passed), max(passed))
            found.append(Resolved(partition, [record for record in between if record.offset in passed]))
    return found
