"""Long reads of a whole ledger, several partitions at once: one process each, what they find as it comes."""

import gc
import multiprocessing
import multiprocessing.connection
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError

Work = Callable[..., Iterator[Any]]  # of a ledger, a partition and the given arguments; found by its name


def over_partitions(ledger: Ledger, jobs: int, work: Work, *arguments: Any) -> Iterator[Any]:
    """What `work(ledger, partition, *arguments)` yields for every partition, by `jobs` processes at most.

    Raises `JournalError` where one of them did.
    """
    if jobs > 1:
        yield from _in_processes(ledger, jobs, work, arguments)
    else:
        for partition in ledger.partitions:
            yield from work(ledger, partition, *arguments)


class _Failed(str):
    """A process ended with this error."""


def _in_processes(ledger: Ledger, jobs: int, work: Work, arguments: tuple[Any, ...]) -> Iterator[Any]:
    context = multiprocessing.get_context("spawn")
    waiting = list(ledger.partitions)
    running: dict[Connection, Any] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                ours, theirs = context.Pipe()
                given = (ledger.place, waiting.pop(0), theirs, work, arguments)
                process = context.Process(target=_run, args=given, daemon=True)
                process.start()
                theirs.close()
                running[ours] = process
            for pipe in multiprocessing.connection.wait(list(running)):
                assert isinstance(pipe, Connection)
                try:
                    found = pipe.recv()
                except EOFError:
                    process = running.pop(pipe)
                    process.join()
                    if process.exitcode:
                        raise JournalError(f"a process ended with exit code {process.exitcode}") from None
                    continue
                if isinstance(found, _Failed):
                    raise JournalError(str(found))
                yield found
    finally:
        for process in running.values():
            process.terminate()


def _run(place: str, partition: int, pipe: Connection, work: Work, arguments: tuple[Any, ...]) -> None:
    gc.freeze()
    gc.disable()
    try:
        for found in work(Ledger.open(place), partition, *arguments):
            pipe.send(found)
    except JournalError as error:
        pipe.send(_Failed(error))
    except BrokenPipeError:
        return
