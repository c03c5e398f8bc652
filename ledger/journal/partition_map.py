"""A pure function run for each partition of a ledger: in this process, by several, or elsewhere."""

import gc
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol

from ledger.journal.ledger import Ledger, Opening
from ledger.journal.processes import Workers

# Takes a ledger, a partition and arguments; a function found by its name. A number that it yields counts entries.
Find = Callable[..., Iterator[Any]]


class Elsewhere(Protocol):
    """What runs a function for partitions on other machines."""

    def run(self, opening: Opening, partitions: Sequence[int], find: Find, arguments: Sequence[Any]) -> Iterator[Any]:
        """Yield what ``find(ledger, partition, *arguments)`` yields for each partition; numbers may come summed.

        Raises what `find` raised.
        """
        ...


Jobs = int | Elsewhere  # how many processes share the partitions, or what runs them elsewhere


def partition_map(
    ledger: Ledger, jobs: Jobs, find: Find, *arguments: Any, partitions: Sequence[int] | None = None
) -> Iterator[Any]:
    """Yield what ``find(ledger, partition, *arguments)`` yields for every partition, or those given.

    Results of different partitions come in any order. Raises what `find` raised, in whichever process, and
    `CannotRunNow` where a process died.
    """
    chosen = list(ledger.partitions if partitions is None else partitions)
    if not isinstance(jobs, int):
        yield from jobs.run(ledger.opening(), chosen, find, arguments)
        return
    jobs = min(jobs, len(chosen))
    if jobs <= 1:
        for partition in chosen:
            yield from find(ledger, partition, *arguments)
        return
    workers = Workers(_find, [(ledger.opening(), chosen[first::jobs], find, arguments) for first in range(jobs)])
    try:
        yield from workers.messages()
    finally:
        workers.close(0)


def _find(pipe: Connection, opening: Opening, partitions: Sequence[int], find: Find, arguments: Sequence[Any]) -> None:
    gc.freeze()
    gc.disable()
    ledger = opening.open()
    for partition in partitions:
        for found in find(ledger, partition, *arguments):
            pipe.send(found)
    ledger.close()
