"""What a front end in a process of its own and the owners in the server's first process say to each other.

One pipe joins them. What a front end appended goes up; decisions and the owners' state come down.
"""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import NamedTuple

from ledger.journal.partition import Tally
from service.http import metrics
from service.http.owner_processes import OwnerProcesses
from service.http.owners import Decoded, Owners, OwnersState
from service.http.pending import Message, Notify, Offsets

STARTED, BEAT = "started", "beat"  # what a front end sends once it serves, and every second from then on


class Appended(NamedTuple):
    """A front end has appended to partitions, and waits for what stands at these offsets."""

    offsets: Offsets


class FrontEndChannel:
    """The owners' end. What is sent to a front end goes from a thread of its own: who decides never waits for one.

    What is sent to a front end that has ended is lost with it.
    """

    def __init__(self, pipe: Connection, owners: Owners | OwnerProcesses | None) -> None:
        self.pipe = pipe
        self.is_connected, self.is_serving = True, False
        self.heard_at = time.monotonic()
        self._owners = owners
        self._state: OwnersState | None = None  # as it was sent last
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Message | OwnersState | Tally | None] = SimpleQueue()
        self.send = self._queue.put
        threading.Thread(target=self._send_all, name="points-send", daemon=True).start()

    def receive(self) -> None:
        """Take what the front end sent."""
        try:
            while self.is_connected and self.pipe.poll():
                message = self.pipe.recv()
                self.heard_at = time.monotonic()
                self.is_serving |= message == STARTED
                if self._owners and isinstance(message, Appended):
                    self._owners.expect(self.send, message.offsets, {})
        except (EOFError, OSError):
            self.is_connected = self.is_serving = False

    def send_state(self) -> None:
        """Send the owners' state, if it has changed. Called by any thread."""
        with self._lock:
            if self._owners and self._state != (state := self._owners.state):
                self._state = state
                self.send(state)

    def close(self) -> None:
        """Send no more."""
        self.is_connected = self.is_serving = False
        self.send(None)
        self.pipe.close()

    def _send_all(self) -> None:
        with suppress(OSError):  # the front end has ended
            while (message := self._queue.get()) is not None:
                self.pipe.send(message)


class OwnersChannel:
    """The front end's end: the owners of another process. `is_connected` until that process has ended."""

    def __init__(self, pipe: Connection) -> None:
        self.state = OwnersState()
        self.is_connected = True
        self._pipe = pipe
        self._lock = threading.Lock()

    def start(self, notify: Notify) -> None:
        """Begin to pass on what the owners send."""
        threading.Thread(target=self._receive_all, args=(notify,), name="points-receive", daemon=True).start()

    def stop(self) -> None:
        """The other process goes on."""

    def expect(self, notify: Notify, offsets: Offsets, decoded: Mapping[int, Decoded]) -> None:
        """Send what was appended; the owners decode the facts themselves."""
        self.send(Appended(offsets))

    def send(self, message: object) -> None:
        """Send a message; one that cannot be sent is lost."""
        with self._lock, suppress(OSError):
            self._pipe.send(message)

    def _receive_all(self, notify: Notify) -> None:
        with suppress(EOFError, OSError):
            while True:
                match self._pipe.recv():
                    case OwnersState() as state:
                        self.state = state
                    case Tally() as tally:
                        metrics.count(tally)
                    case message:
                        notify(message)
        self.is_connected = False
        self.state = self.state._replace(last_error="the process that decides has ended")
