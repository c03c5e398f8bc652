"""Connections of a server of several workers: one socket accepts them, and they are dispatched in turns.

Workers that accept at one socket come to unequal shares: who is awake takes all that arrive together, and keeps them.
"""

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

LOOK_SECONDS = 0.5  # between two looks at whether it is to end
AGAIN_SECONDS = 0.05  # until it is tried again where nobody takes a connection, or none can be accepted


class Taker(Protocol):
    """Who serves connections."""

    def take(self, connection: socket.socket) -> bool:
        """Take a connection over; False where that cannot be now."""
        ...


class Dispatcher:
    """A thread that dispatches what a socket accepts. While nobody takes a connection, it and those behind wait."""

    def __init__(self, listening: socket.socket, takers: Iterable[Taker]) -> None:
        self._listening = listening
        self._takers = deque(takers)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="points-dispatch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._listening.settimeout(LOOK_SECONDS)
        self._thread.start()

    def stop(self) -> None:
        """Dispatch no more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listening.accept()
            except TimeoutError:
                continue
            except OSError:  # the client is gone, or there are too many open files
                self._stopped.wait(AGAIN_SECONDS)
                continue
            with connection:
                while not (self._stopped.is_set() or self._is_taken(connection)):
                    self._stopped.wait(AGAIN_SECONDS)

    def _is_taken(self, connection: socket.socket) -> bool:
        for _ in range(len(self._takers)):
            self._takers.rotate(-1)
            if self._takers[-1].take(connection):
                return True
        return False


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
