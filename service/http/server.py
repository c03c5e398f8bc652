"""Serving the application with uvicorn: from a socket that listens, or connections that are dispatched to it."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable

import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ledger.errors import CannotRunNow
from service.http.dispatcher import Receiver
from service.http.limits import RUNNING, Limits
from service.http.problems import MEDIA_TYPE, Problem

HEADER_SECONDS = 15.0  # from a connection, or the first byte of its next request, to the end of the headers
HEADER_BYTES = 512 << 10  # more than one reading of the connection may bring of two requests
KEEP_ALIVE_SECONDS = 30
BACKLOG = 2_048  # connections that wait to be accepted
GRACE_SECONDS = 20  # for requests that run when the server is stopped
TICKS = 10  # of the library, in a second
CONNECTIONS = 4 * RUNNING  # beyond which uvicorn turns away
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


def serve(app: Litestar, listening: socket.socket, on_start: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM. Requests that run then are answered first. Raises `CannotRunNow`."""
    _run(_Server(_config(app), on_start), [listening])


def serve_inside(app: Litestar, inside: socket.socket, on_start: Callable[[], None], beat: Callable[[], bool]) -> None:
    """Serve the connections that come in, as `serve` does, or until `beat`, asked every second, returns False."""
    _run(_Inside(_config(app), on_start, inside, beat), [])


def _run(server: "_Server", listening: list[socket.socket]) -> None:
    signal.signal(signal.SIGTERM, _stopped)
    server.run(listening)
    if not server.started:
        raise CannotRunNow("the server could not start; what it said stands above")


def _config(app: Litestar) -> uvicorn.Config:
    return uvicorn.Config(
        Limits(app),
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _stopped(_: int, __: object) -> None:
    """What uvicorn raises again once it has stopped: the end is a good one."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            gc.collect()
            gc.freeze()  # what is there now stays, and is not gone through again and again
            gc.set_threshold(YOUNG)
            self._on_start()


class _Inside(_Server):
    """One that listens nowhere: connections are handed to it."""

    def __init__(
        self, config: uvicorn.Config, on_start: Callable[[], None], inside: socket.socket, beat: Callable[[], bool]
    ) -> None:
        super().__init__(config, on_start)
        self._inside = inside
        self._beat = beat

    async def on_tick(self, counter: int) -> bool:
        """Asked by the library, which ends where it says so."""
        return await super().on_tick(counter) or (counter % TICKS == 0 and not self._beat())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._receiver = Receiver(self._inside, lambda: Protocol(self.config, self.server_state, self.lifespan.state))
        await super().startup(sockets)
        if self.started:
            self._receiver.open()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._receiver.close()
        await super().shutdown(sockets)


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds on the time and the bytes that headers take, and errors as problems."""

    _headers_due: asyncio.TimerHandle | None = None
    _held = 0  # bytes of headers that are not whole yet

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_headers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._held = self._held + len(data) if self._headers_due is not None else 0
        if self._held > HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response(f"the headers have more than {HEADER_BYTES:,} bytes")

    def on_message_begin(self) -> None:
        """The first byte of a request: its headers have to follow in time."""
        super().on_message_begin()
        if self._headers_due is None:
            self._expect_headers()

    def on_headers_complete(self) -> None:
        """The headers are whole: they are waited for no longer."""
        self._have_headers()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """A request that is no HTTP."""
        body = Problem("bad-request", msg).body()
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self.transport.close()

    def _expect_headers(self) -> None:
        self._headers_due = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _have_headers(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None
        self._held = 0


def is_local(host: str) -> bool:
    """Whether nobody but this machine reaches an address."""
    return host in ("127.0.0.1", "::1", "localhost")
