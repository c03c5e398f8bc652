"""Facts given together to a running server: where they came to stand, and what was decided about them."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ledger.errors import CannotRunNow
from ledger.wire.answers import Fate
from ledger.wire.facts import Fact

Place = tuple[int, int]  # partition and offset


class Busy(CannotRunNow):
    """It cannot be done now: why. It may be asked again: a fact that was taken all the same counts once."""


@dataclass(slots=True, eq=False)
class Work:
    """Facts given together. `places` are known once they are durable, `told` once they are decided.

    `told` is None where nobody waits, and gives None where what is kept cannot be decided for now.
    """

    values: Sequence[bytes]
    places: asyncio.Future[list[Place]]
    told: asyncio.Future[list[Fate] | None] | None
    is_bulk: bool = False
    is_backlog: bool = False
    facts: Sequence[Fact] = ()  # decoded, where they were
    found: dict[int, Fate] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.values))


Waiting = dict[int, tuple[Work, int]]  # who waits for which offset of a partition: the work, and the fact's index in it


def waiting_by_partition(works: Iterable[Work], found: Iterable[list[Place]]) -> dict[int, Waiting]:
    """Who waits for what, of works whose places were found."""
    waiting: dict[int, Waiting] = {}
    for work, places in zip(works, found, strict=True):
        if work.told is not None:
            for index, (partition, offset) in enumerate(places):
                waiting.setdefault(partition, {})[offset] = (work, index)
    return waiting


def tell(told: Iterable[tuple[tuple[Work, int], Fate]]) -> None:
    """Tell works what was decided about facts of theirs. In their event loop."""
    for (work, index), outcome in told:
        work.found[index] = outcome
        if work.told is not None and len(work.found) == len(work.values) and not work.told.done():
            work.told.set_result([work.found[at] for at in range(len(work.values))])


def leave(works: Iterable[Work]) -> None:
    """Tell works that nobody knows when their facts will be decided. In their event loop."""
    for work in works:
        if work.told is not None and not work.told.done():
            work.told.set_result(None)
