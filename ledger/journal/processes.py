"""Worker processes: started, heard and ended in one way, wherever several are wanted."""

import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from ledger.errors import CannotRunNow

END_SECONDS = 5.0  # for a process that waits for work, and is given none
_AGAIN = "what was decided is kept: run the same command again"
_THREADS = "/proc/self/task"  # a folder for each thread of this process, also of those that a library runs

Work = Callable[..., None]  # takes a pipe and arguments; a function found by its name


class _Ended(NamedTuple):
    """The last message of a worker: the error that ended it, or None."""

    error: Exception | None


def start_worker(work: Work, *arguments: Any, daemon: bool = True) -> tuple[BaseProcess, Connection]:
    """Start a process that runs ``work(pipe, *arguments)``; return it, and this side's end of the pipe.

    The process ignores SIGINT and SIGTERM: it is told by the pipe, or by its end, that it is to finish.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, work, arguments), daemon=daemon)
    process.start()
    theirs.close()
    return process, ours


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _run(pipe: Connection, work: Work, arguments: Sequence[Any]) -> None:
    _ignore_signals()
    error = None
    try:
        work(pipe, *arguments)
    except (BrokenPipeError, ConnectionError, EOFError):
        return  # nobody listens any more
    except Exception as raised:
        error = raised
        error.add_note(traceback.format_exc())  # an error leaves its traceback behind when it goes to another process
    with suppress(OSError):
        pipe.send(_Ended(error))


class WaitingWorkers:
    """Processes that wait for their work, forked from this one: what it has imported by now they need not import.

    There are none where forking is not safe, while another thread runs, or where the system does not say so. A file of
    SQLite that is open would not bear it: they are made before a ledger is opened.
    """

    def __init__(self, count: int) -> None:
        self._waiting: list[tuple[BaseProcess, Connection]] = []
        if not _may_fork():
            return
        context = get_context("fork")
        for _ in range(count):
            ours, theirs = context.Pipe()
            inherited = [ours, *(pipe for _, pipe in self._waiting)]
            process = context.Process(target=_wait, args=(theirs, inherited), daemon=True)
            process.start()
            theirs.close()
            self._waiting.append((process, ours))

    def give(self, work: Work, *arguments: Any) -> tuple[BaseProcess, Connection]:
        """As `start_worker`, by a process that waits, as long as there is one."""
        if not self._waiting:
            return start_worker(work, *arguments)
        process, ours = self._waiting.pop(0)
        with suppress(OSError):  # one that is gone shows when it is heard
            ours.send((work, arguments))
        return process, ours

    def close(self) -> None:
        """End those that were given no work."""
        for _, pipe in self._waiting:
            pipe.close()
        for process, _ in self._waiting:
            end_worker(process, END_SECONDS)
        self._waiting.clear()


def _may_fork() -> bool:
    try:
        return len(os.listdir(_THREADS)) == 1
    except OSError:
        return False


def _wait(pipe: Connection, inherited: Sequence[Connection]) -> None:
    _ignore_signals()
    for other in inherited:  # or their ends would not show while this process runs
        other.close()
    try:
        work, arguments = pipe.recv()
    except (EOFError, OSError):
        return
    _run(pipe, work, arguments)


def end_worker(process: BaseProcess, seconds: float) -> None:
    """Wait up to `seconds` for a process to end by itself, and kill it then."""
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()


class Workers:
    """Processes that run ``work(pipe, *arguments)``, one for each of `arguments`; those that are `waiting` first.

    Where one ends with an error of those to `outlast` the others go on, and it is raised once all have ended.
    """

    def __init__(
        self,
        work: Work,
        arguments: Iterable[Sequence[Any]],
        outlast: tuple[type[Exception], ...] = (),
        waiting: WaitingWorkers | None = None,
    ) -> None:
        self._outlast = outlast
        self.failures: list[Exception] = []  # that were outlasted so far
        start = start_worker if waiting is None else waiting.give
        started = [start(work, *these) for these in arguments]
        self._processes = [process for process, _ in started]
        self._pipes = [pipe for _, pipe in started]

    @property
    def are_running(self) -> bool:
        """True until each has sent its last message."""
        return bool(self._pipes)

    def messages(self, seconds: float | None = None) -> Iterator[Any]:
        """Yield what the workers send until nothing comes for `seconds`, or (None) until all have ended.

        Raises the error that ended a worker, and `CannotRunNow` where one died.
        """
        while self._pipes:
            ready = wait(self._pipes, seconds)
            for pipe in ready:
                assert isinstance(pipe, Connection)
                try:
                    message = pipe.recv()
                except (EOFError, OSError):
                    message = _Ended(CannotRunNow(f"a worker process died; {_AGAIN}"))
                if not isinstance(message, _Ended):
                    yield message
                    continue
                if message.error is not None:
                    if not isinstance(message.error, self._outlast):
                        raise message.error
                    self.failures.append(message.error)
                self._pipes.remove(pipe)
                pipe.close()
            if not ready:
                return
        if len(self.failures) > 1:
            raise CannotRunNow("; ".join(map(str, self.failures))) from self.failures[0]
        if self.failures:
            raise self.failures[0]

    def send(self, message: Any) -> None:
        """Send a message to each worker that has not ended."""
        for pipe in self._pipes:
            with suppress(OSError):  # one that is gone shows when it is heard
                pipe.send(message)

    def close(self, seconds: float) -> None:
        """Close the pipes, which the workers notice, and wait up to `seconds` for each to end."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            end_worker(process, seconds)
