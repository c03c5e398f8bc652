"""Serving the application with uvicorn: from a socket that listens, or connections that are dispatched to it."""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial

import uvicorn
from litestar import Litestar

from ledger.errors import CannotRunNow
from service.http.bounds import IDLE_SECONDS, Bounds
from service.http.callers import caller_finder
from service.http.dispatcher import Receiver
from service.http.limits import Limits
from service.http.protocol import Protocol, Room
from service.http.tracing import tracer_by

BACKLOG = 2_048  # connections that wait to be accepted
GRACE_SECONDS = 20  # for requests that run when the server is stopped
TICKS = 10  # of the library, in a second
OTHER_FILES = 512  # that a process has open beside its connections, at most
YOUNG = 20_000  # objects made until the collector looks for cycles among them: a bulk request holds many at once


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `CannotRunNow`."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(BACKLOG)
    except OSError as error:
        raise CannotRunNow(f"{host}:{port}: {error.strerror or error}; give another --host or --port") from None
    return found


def serve(
    app: Litestar, bounds: Bounds, listening: socket.socket, on_start: Callable[[], None], beat: Callable[[], bool]
) -> bool:
    """Serve until SIGINT or SIGTERM, or (True) until `beat`, asked every second, returns False; close the socket.

    Requests that run then are answered first. Raises `CannotRunNow`.
    """
    return _run(_Server(app, _config(app, bounds), on_start, beat), [listening])


def serve_inside(
    app: Litestar, bounds: Bounds, inside: socket.socket, on_start: Callable[[], None], beat: Callable[[], bool]
) -> None:
    """Serve the connections that come in, as `serve` does."""
    _run(_Inside(app, _config(app, bounds), on_start, inside, beat), [])


def _run(server: "_Server", listening: list[socket.socket]) -> bool:
    """Return True where it ended by itself, and no signal came."""
    is_stopped = False

    def stop(_: int, __: object) -> None:
        """What uvicorn raises again once it has stopped: the end is a good one."""
        nonlocal is_stopped
        is_stopped = True

    before = signal.signal(signal.SIGTERM, stop)
    server.run(listening)
    if not server.started:
        raise CannotRunNow("the server could not start; what it said stands above")
    if not is_stopped:
        signal.signal(signal.SIGTERM, before)
    return not is_stopped


def _config(app: Litestar, bounds: Bounds) -> uvicorn.Config:
    room = Room(_connections(bounds.connections))
    return uvicorn.Config(
        Limits(app, caller_finder(app, bounds.proxies), bounds, tracer=tracer_by()),
        loop="uvloop",
        http=partial(Protocol, room=room, bounds=bounds),  # type: ignore[arg-type]  # it is called as the class is
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=int(IDLE_SECONDS),
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _connections(wanted: int) -> int:
    """Return how many connections this process may have open; its limit of files is raised as far as that needs."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    if files < needed:
        files = needed if most == resource.RLIM_INFINITY else min(needed, most)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, min(wanted, files - OTHER_FILES if files > 2 * OTHER_FILES else files // 2))


class _Server(uvicorn.Server):
    """The library's server, which holds the application open itself: what stops its start is raised as it is."""

    def __init__(
        self, app: Litestar, config: uvicorn.Config, on_start: Callable[[], None], beat: Callable[[], bool]
    ) -> None:
        super().__init__(config)
        self._app = app
        self._open = AsyncExitStack()
        self._on_start = on_start
        self._beat = beat

    async def on_tick(self, counter: int) -> bool:
        """Asked by the library, which ends where it says so."""
        return await super().on_tick(counter) or (counter % TICKS == 0 and not self._beat())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await self._open.enter_async_context(self._app.lifespan())
        except ExceptionGroup as group:  # in which the application wraps whatever it was
            error: Exception = group
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            raise error from None
        await super().startup(sockets)
        if self.started:
            gc.collect()
            gc.freeze()  # what is there now stays, and is not gone through again and again
            gc.set_threshold(YOUNG)
            self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.served.feed.stop()  # before what runs is waited for
        await super().shutdown(sockets)
        await self._open.aclose()


class _Inside(_Server):
    """One that listens nowhere: connections are handed to it."""

    def __init__(
        self,
        app: Litestar,
        config: uvicorn.Config,
        on_start: Callable[[], None],
        inside: socket.socket,
        beat: Callable[[], bool],
    ) -> None:
        super().__init__(app, config, on_start, beat)
        self._inside = inside

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._receiver = Receiver(self._inside, self._connection)
        await super().startup(sockets)
        if self.started:
            self._receiver.open()

    def _connection(self) -> asyncio.Protocol:
        """A connection as the library makes it from a socket that listens."""
        return self.config.http_protocol_class(self.config, self.server_state, self.lifespan.state)  # type: ignore[call-arg]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._receiver.close()
        await super().shutdown(sockets)


def is_local(host: str) -> bool:
    """Whether nobody but this machine reaches an address."""
    return host in ("127.0.0.1", "::1", "localhost")
