"""Connections of a server of several workers: one socket accepts them, and they are dispatched in turns.

Workers that accept at one socket come to unequal shares: who is awake takes all that arrive together, and keeps them.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

Take = Callable[[socket.socket], bool]  # a worker takes a connection over; False where it cannot do so now


class Dispatcher:
    """Dispatches what a socket accepts. A connection that nobody can take waits, and those behind it."""

    def __init__(self, listening: socket.socket, takers: Iterable[Take]) -> None:
        self._listening = listening
        self._listening.setblocking(False)
        self._takers = deque(takers)
        self._held: socket.socket | None = None

    def fileno(self) -> int:
        """The descriptor that is readable when a connection has come."""
        return self._listening.fileno()

    def dispatch(self) -> bool:
        """Dispatch all that has come; False where a connection waits for somebody to take it."""
        with suppress(OSError):  # none has come, its client is gone, or too many files are open
            while True:
                self._held = self._held or self._listening.accept()[0]
                if not any(self._next_takes(self._held) for _ in range(len(self._takers))):
                    return False
                self._held.close()
                self._held = None
        return True

    def _next_takes(self, connection: socket.socket) -> bool:
        self._takers.rotate(-1)
        return self._takers[-1](connection)


def connection_pair() -> tuple[socket.socket, socket.socket]:
    """Return the dispatcher's and the worker's end of the way of connections to a worker."""
    outside, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    outside.setblocking(False)
    return outside, inside


def pass_on(outside: socket.socket, connection: socket.socket) -> bool:
    """Pass a connection to a worker; False where nobody is there, or too many connections wait."""
    try:
        socket.send_fds(outside, [b"1"], [connection.fileno()])
    except OSError:
        return False
    return True


class Receiver:
    """A worker's end: connections that come in are served in the event loop that runs."""

    def __init__(self, inside: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._inside = inside
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begin to serve what comes in."""
        self._inside.setblocking(False)
        self._loop.add_reader(self._inside, self._take)

    def close(self) -> None:
        """Serve no more."""
        self._loop.remove_reader(self._inside)

    def _take(self) -> None:
        with suppress(OSError):  # nothing is there after all, or the dispatcher is gone
            _, found, _, _ = socket.recv_fds(self._inside, 1, 1)
            for descriptor in found:
                task = self._loop.create_task(self._accept(socket.socket(fileno=descriptor)))
                self._coming.add(task)
                task.add_done_callback(self._coming.discard)

    async def _accept(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the client is gone
            await self._loop.connect_accepted_socket(self._protocol, connection)
