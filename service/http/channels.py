"""What front ends and owners in processes of their own send each other: each front end has a channel to each owner.

A front end sends what it appended, an owner what it decided and its state. All of it is a hint: what is lost is found
by looking, into the inbox by owners and into the journals by front ends. So sending never waits.
"""

import select
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Client, Connection, Listener
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from queue import SimpleQueue
from socket import AF_UNIX, SHUT_RDWR, SOCK_STREAM
from typing import Any, NamedTuple

from service.http.owners import Decoded, Owners, OwnersState
from service.http.pending import Message, Notify, Offsets

WAITING_MESSAGES = 20_000  # of a channel whose other end is slow; what comes then is lost
AT_ONCE_BYTES = 32 << 10  # of a message; a socket that can be written to at all has room for as many
AGAIN_SECONDS = 0.05  # until a front end tries again to reach an owner that is not there


class Share(NamedTuple):
    """The partitions of one owner process, and the Unix socket at which it is reached."""

    socket: Path
    partitions: Sequence[int]


class Channel:
    """One end of a connection. What cannot be sent at once is sent from a thread of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._writable = select.poll()
        self._writable.register(connection.fileno(), select.POLLOUT)
        self._lock = threading.Lock()
        self._waiting = 0  # messages that are not sent yet
        self._queue: SimpleQueue[memoryview | None] = SimpleQueue()
        self._sending = threading.Thread(target=self._send_all, name="points-send", daemon=True)
        self._sending.start()

    def send(self, message: object) -> None:
        """Send a message without waiting. Called by any thread."""
        data = ForkingPickler.dumps(message)
        with self._lock, suppress(OSError):  # the other end has gone
            if not self._waiting and len(data) <= AT_ONCE_BYTES and self._writable.poll(0):
                self._connection.send_bytes(data)
            elif self._waiting < WAITING_MESSAGES:
                self._waiting += 1
                self._queue.put(data)

    def received(self) -> Iterator[Any]:
        """Yield what the other end sends, until it has gone; then the connection is closed."""
        with suppress(EOFError, OSError):
            while True:
                yield self._connection.recv()
        self._queue.put(None)
        self._sending.join()  # it waits for nobody any more
        with self._lock:
            self._waiting = WAITING_MESSAGES  # what is sent from here on is lost
            self._connection.close()

    def close(self) -> None:
        """End both directions, so that whoever receives comes to the end. Called by any thread."""
        with suppress(OSError, ValueError), socket.fromfd(self._connection.fileno(), AF_UNIX, SOCK_STREAM) as end:
            end.shutdown(SHUT_RDWR)

    def _send_all(self) -> None:
        with suppress(OSError):  # the other end has gone
            while (data := self._queue.get()) is not None:
                self._connection.send_bytes(data)
                with self._lock:
                    self._waiting -= 1


class OwnersServer:
    """The owners' end: owners of some partitions, which front ends reach at a socket."""

    def __init__(self, path: Path, owners: Owners) -> None:
        path.unlink(missing_ok=True)  # of an owner before this one
        self._listener = Listener(str(path), "AF_UNIX", backlog=128)
        self._owners = owners
        self._lock = threading.Lock()
        self._channels: list[Channel] = []
        self._state = owners.state
        self._is_closed = False
        self._accepting = threading.Thread(target=self._accept_all, name="points-channels", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Take no more front ends, and let go of those that are there."""
        self._is_closed = True
        with suppress(OSError):
            Client(str(self._listener.address), "AF_UNIX").close()  # which wakes whoever accepts
        self._accepting.join()
        self._listener.close()
        for channel in list(self._channels):
            channel.close()

    def send_all(self, message: Message | OwnersState) -> None:
        """Send a message to every front end."""
        for channel in list(self._channels):
            channel.send(message)

    def send_state(self) -> None:
        """Send the owners' state, if it has changed. Called by any thread."""
        with self._lock:
            if self._state != (state := self._owners.state):
                self._state = state
                self.send_all(state)

    def _accept_all(self) -> None:
        while not self._is_closed:
            with suppress(OSError, EOFError):  # its front end has gone
                threading.Thread(target=self._follow, args=(self._listener.accept(),), daemon=True).start()

    def _follow(self, connection: Connection) -> None:
        channel = Channel(connection)
        with self._lock:
            self._channels.append(channel)
            channel.send(self._state)
        for offsets in channel.received():
            self._owners.expect(channel.send, offsets, {})
        with self._lock:
            self._channels.remove(channel)


class RemoteOwners:
    """The front end's end: the owners of other processes, by their shares. See `Owners`."""

    def __init__(self, shares: Sequence[Share]) -> None:
        self.state = OwnersState()
        self._shares = shares
        self._lock = threading.Lock()
        self._states = [OwnersState() for _ in shares]
        self._moves = 0  # how often a programme may have been published
        self._channels: dict[int, Channel] = {}  # by the index of their share
        self._notify: Notify = lambda _: None
        self._is_stopped = threading.Event()

    def start(self, notify: Notify) -> None:
        """Begin to pass on what the owners send."""
        self._notify = notify
        for at in range(len(self._shares)):
            threading.Thread(target=self._follow, args=(at,), name="points-receive", daemon=True).start()

    def stop(self) -> None:
        """Receive no more; the other processes go on. Threads that receive end by themselves."""
        self._is_stopped.set()
        for channel in list(self._channels.values()):
            channel.close()

    def expect(self, notify: Notify, offsets: Offsets, decoded: Mapping[int, Decoded]) -> None:
        """Send what was appended to the owners of its partitions, who decode the facts themselves."""
        for at, channel in list(self._channels.items()):
            partitions = self._shares[at].partitions
            if its := {partition: wanted for partition, wanted in offsets.items() if partition in partitions}:
                channel.send(its)

    def look(self, partitions: Iterable[int]) -> None:
        """Have the owners of partitions look at their inboxes."""
        self.expect(self._notify, {partition: [] for partition in partitions}, {})

    def _follow(self, at: int) -> None:
        """Receive what an owner process sends, and that of the process that follows it."""
        while not self._is_stopped.is_set():
            try:
                channel = Channel(Client(str(self._shares[at].socket), "AF_UNIX"))
            except (OSError, EOFError):
                self._is_stopped.wait(AGAIN_SECONDS)
                continue
            self._channels[at] = channel
            if self._is_stopped.is_set():  # since it was looked at
                channel.close()
            for message in channel.received():
                if isinstance(message, OwnersState):
                    self._take_state(at, message)
                else:
                    self._notify(message)
            del self._channels[at]

    def _take_state(self, at: int, state: OwnersState) -> None:
        with self._lock:
            self._moves += state.programmes != self._states[at].programmes
            self._states[at] = state
            error = next(filter(None, (each.last_error for each in self._states)), "")
            troubled = {partition: why for each in self._states for partition, why in each.troubled.items()}
            is_caught_up = all(each.is_caught_up for each in self._states)
            ahead = {partition: until for each in self._states for partition, until in each.ahead_until.items()}
            self.state = OwnersState(self._moves, error, is_caught_up, troubled, ahead)
