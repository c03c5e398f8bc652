"""A process of a server: it says every second that it runs, and is killed and started again where it does not."""

import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from ledger.journal.processes import Work, end_worker, start_worker
from service.errors import say

STARTED, BEAT = "started", "beat"  # what a process sends once it serves, and every second from then on
BEAT_SECONDS = 1.0
AGAIN_SECONDS = 1.0  # until one that died is started again
HUNG_SECONDS = 30.0  # after which one that was not heard of is killed, and
START_SECONDS = 120.0  # one that does not come to serve


class Supervised:
    """A process that runs ``work(pipe, *arguments)`` and sends `STARTED`, then `BEAT`; `name` says what it is."""

    pipe: Connection  # on which it is heard

    def __init__(self, name: str, work: Work, *arguments: Any) -> None:
        self._name = name
        self._work = work
        self._arguments = arguments
        self.start()

    def start(self, *more: Any) -> None:
        """Start it, with more arguments."""
        self._process, self.pipe = start_worker(self._work, *self._arguments, *more, daemon=False)
        self.is_serving = False
        self._revive_at = 0.0
        self._heard_at = time.monotonic()

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_heard(self) -> bool:
        """True while its pipe is open."""
        return not self.pipe.closed

    def receive(self) -> None:
        """Take what it sent."""
        try:
            while self.is_heard and self.pipe.poll():
                self.is_serving |= self.pipe.recv() == STARTED
                self._heard_at = time.monotonic()
        except (EOFError, OSError):
            self.is_serving = False
            self.pipe.close()

    def is_alive(self) -> bool:
        """Return True if it runs; one that hangs is killed."""
        if time.monotonic() > self._heard_at + (HUNG_SECONDS if self.is_serving else START_SECONDS):
            end_worker(self._process, 0)
        return self._process.is_alive()

    def keep_alive(self) -> None:
        """Start it again a moment after it ended, and say how that was."""
        if self.is_alive():
            return
        if not self._revive_at:
            self._revive_at = time.monotonic() + AGAIN_SECONDS
            code = self._process.exitcode or 0
            how = f"signal {-code}" if code < 0 else f"exit {code}"
            say(f"{self._name} {self.pid} ended ({how}) and is started again")
        elif time.monotonic() >= self._revive_at:
            self.end(0)
            self.start()

    def tell_to_end(self) -> None:
        """Send it None, upon which it does what is left to do, and ends."""
        with suppress(OSError):
            self.pipe.send(None)

    def end(self, seconds: float) -> None:
        """Wait up to `seconds` for it to end by itself, and kill it then."""
        end_worker(self._process, seconds)
        mark_process_dead(self.pid)  # type: ignore[no-untyped-call]  # what it had running counts no more
        self.is_serving = False
        self.pipe.close()
