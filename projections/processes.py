"""Long reads of a whole ledger by several processes, each with its share of the partitions, heard as they find."""

import gc
import multiprocessing
import multiprocessing.connection
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from ledger.journal.port import Unavailable

Work = Callable[..., Iterator[Any]]  # of a ledger, a partition and the given arguments; a function found by its name


def over_partitions(
    ledger: Ledger, jobs: int, work: Work, *arguments: Any, partitions: Sequence[int] | None = None
) -> Iterator[Any]:
    """What `work(ledger, partition, *arguments)` yields for every partition (or those given), by so many processes.

    Raises what `work` did, in whichever process, and `Unavailable` where one died.
    """
    chosen = list(ledger.partitions if partitions is None else partitions)
    jobs = min(jobs, len(chosen))
    if jobs > 1:
        yield from _in_processes(ledger, [chosen[first::jobs] for first in range(jobs)], work, arguments)
    else:
        for partition in chosen:
            yield from work(ledger, partition, *arguments)


class _Failed(NamedTuple):
    """A process ended with this error."""

    error: Exception


def _in_processes(
    ledger: Ledger, shares: Sequence[Sequence[int]], work: Work, arguments: tuple[Any, ...]
) -> Iterator[Any]:
    context = multiprocessing.get_context("spawn")
    running: dict[Connection, Any] = {}
    try:
        for share in shares:
            ours, theirs = context.Pipe()
            process = context.Process(target=_run, args=(ledger.place, share, theirs, work, arguments), daemon=True)
            process.start()
            theirs.close()
            running[ours] = process
        while running:
            for pipe in multiprocessing.connection.wait(list(running)):
                assert isinstance(pipe, Connection)
                try:
                    found = pipe.recv()
                except EOFError:
                    process = running.pop(pipe)
                    process.join()
                    if process.exitcode:
                        raise Unavailable(f"a process ended with exit code {process.exitcode}") from None
                    continue
                if isinstance(found, _Failed):
                    raise found.error
                yield found
    finally:
        for process in running.values():
            process.terminate()


def _run(place: str, share: Sequence[int], pipe: Connection, work: Work, arguments: tuple[Any, ...]) -> None:
    gc.freeze()
    gc.disable()
    try:
        ledger = open_ledger(place)
        for partition in share:
            for found in work(ledger, partition, *arguments):
                pipe.send(found)
    except BrokenPipeError:
        return
    except Exception as error:
        error.add_note(traceback.format_exc())  # an error leaves its traceback behind when it goes to another process
        pipe.send(_Failed(error))
