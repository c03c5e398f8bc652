"""A process beside a server: started, watched, started again where it fails, and ended with the server."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from consumers.runtime.retry import Backoff
from ledger.journal.processes import Work, Workers
from service.errors import report, say

LOOK_SECONDS = 0.2  # between two looks at whether to stop
WANTED_SECONDS = 1.0  # between two looks at whether it is wanted
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds until it is started again
CLOSE_SECONDS = 2.0  # for what the process has open, once the server ends


class Beside:
    """Keeps a process that runs ``work(pipe, *arguments)``: begun, and again after its end, while `is_wanted` says so.

    `what` says for people what is not done while it fails. The work calls `end_with_the_server` first.
    """

    def __init__(
        self, work: Work, arguments: Sequence[Any], what: str, is_wanted: Callable[[], bool] = lambda: True
    ) -> None:
        self._work = work
        self._arguments = arguments
        self._what = what
        self._is_wanted = is_wanted
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"points-{work.__module__}", daemon=True)

    def __enter__(self) -> "Beside":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        while not self._stopping.wait(backoff.remaining()):
            try:
                if self._is_wanted():
                    self._run_once()
                else:
                    self._stopping.wait(WANTED_SECONDS)
            except Exception as error:  # whatever it is: it is said, and the process is started again
                report(error)
                backoff.failed()
                say(f"{self._what}; again in {backoff.remaining():.0f} s")

    def _run_once(self) -> None:
        workers = Workers(self._work, [self._arguments])
        try:
            while workers.are_running and not self._stopping.is_set():
                for _ in workers.messages(LOOK_SECONDS):
                    pass
        finally:
            workers.close(CLOSE_SECONDS)


def end_with_the_server(pipe: Connection, ending: threading.Event | None = None) -> None:
    """End this process once the server has ended.

    `ending` is set first, where there is one: who waits for it has `CLOSE_SECONDS` to close what is open.
    """
    threading.Thread(target=_end, args=(pipe, ending), daemon=True).start()


def _end(pipe: Connection, ending: threading.Event | None) -> None:
    try:
        pipe.recv()
    except (EOFError, OSError):
        if ending is not None:
            ending.set()
            time.sleep(CLOSE_SECONDS)
        os._exit(0)  # what is half done is a transaction, and is done again
