"""A pure function run for each partition of a ledger, by several processes."""

import gc
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from ledger.journal.processes import Workers

Find = Callable[..., Iterator[Any]]  # takes a ledger, a partition and arguments; a function found by its name


def partition_map(
    ledger: Ledger, jobs: int, find: Find, *arguments: Any, partitions: Sequence[int] | None = None
) -> Iterator[Any]:
    """Yield what ``find(ledger, partition, *arguments)`` yields for every partition, or those given.

    `jobs` processes share the partitions; results of different partitions come in any order. Raises what `find` raised,
    in whichever process, and `CannotRunNow` where a process died.
    """
    chosen = list(ledger.partitions if partitions is None else partitions)
    jobs = min(jobs, len(chosen))
    if jobs <= 1:
        for partition in chosen:
            yield from find(ledger, partition, *arguments)
        return
    workers = Workers(_find, [(ledger.place, chosen[first::jobs], find, arguments) for first in range(jobs)])
    try:
        yield from workers.messages()
    finally:
        workers.close(0)


def _find(pipe: Connection, place: str, partitions: Sequence[int], find: Find, arguments: Sequence[Any]) -> None:
    gc.freeze()
    gc.disable()
    ledger = open_ledger(place)
    for partition in partitions:
        for found in find(ledger, partition, *arguments):
            pipe.send(found)
