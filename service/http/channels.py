"""What a front end in a process of its own and the owners in the server's first process say to each other.

One pipe joins them. What a front end appended goes up; decisions and the owners' state come down.
"""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import NamedTuple

from consumers.runtime.outcomes import DecidedRecord
from ledger.journal.partition import Tally
from service.http import metrics
from service.http.owners import Decoded, OwnersState
from service.http.pending import Offsets, PendingFacts


class Appended(NamedTuple):
    """A front end has appended to partitions, and waits for what stands at these offsets. Pickled, as the others."""

    offsets: Offsets


class Resolved(NamedTuple):
    """Decisions that a front end waits for."""

    partition: int
    decided: Sequence[DecidedRecord]


class Look(NamedTuple):
    """What waits in partitions may have been decided elsewhere."""

    partitions: list[int]


class Abandoned(NamedTuple):
    """A partition cannot be decided for now."""

    partition: int


class Sender:
    """Sends messages from a thread of its own: who decides never waits for a front end.

    What is sent to a front end that has ended is lost with it.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._queue: SimpleQueue[object] = SimpleQueue()
        self.send = self._queue.put
        threading.Thread(target=self._run, name="points-send", daemon=True).start()

    def stop(self) -> None:
        """Send no more."""
        self.send(None)

    def _run(self) -> None:
        with suppress(OSError):  # the front end has ended
            while (message := self._queue.get()) is not None:
                self._pipe.send(message)


class RemoteOwners:
    """The front end's side: the owners of another process. `is_connected` until that process has ended."""

    def __init__(self, pipe: Connection) -> None:
        self.state = OwnersState()
        self.is_connected = True
        self._pipe = pipe
        self._lock = threading.Lock()
        self._pending: PendingFacts | None = None
        self._thread = threading.Thread(target=self._run, name="points-receive", daemon=True)

    def start(self, pending: PendingFacts) -> None:
        """Begin to pass on what the owners send."""
        self._pending = pending
        self._thread.start()

    def stop(self) -> None:
        """The other process goes on."""

    def expect(self, listener: object, offsets: Mapping[int, Sequence[int]], decoded: Mapping[int, Decoded]) -> None:
        """Send what was appended; the owners decode the facts themselves."""
        self.send(Appended({partition: list(wanted) for partition, wanted in offsets.items()}))

    def send(self, message: object) -> None:
        """Send a message; one that cannot be sent is lost."""
        with self._lock, suppress(OSError):
            self._pipe.send(message)

    def _run(self) -> None:
        assert self._pending is not None
        with suppress(EOFError, OSError):
            while True:
                match self._pipe.recv():
                    case Resolved(partition, decided):
                        self._pending.resolve(partition, decided)
                    case Look(partitions):
                        self._pending.look(partitions)
                    case Abandoned(partition):
                        self._pending.abandon(partition)
                    case OwnersState() as state:
                        self.state = state
                    case Tally() as tally:
                        metrics.count(tally)
        self.is_connected = False
        self.state = self.state._replace(last_error="the process that decides has ended")
        self._pending.abandon_all()
