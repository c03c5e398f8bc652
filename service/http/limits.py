"""Around the application: places by caller, bounds on time and on the rate of bodies and answers, and metrics."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, HTTPReceiveMessage, HTTPScope, Message, Receive, Scope, Send

from service.console.requests import HOME
from service.http import metrics
from service.http.bounds import BULK_SECONDS, REQUEST_SECONDS, SLOW_SECONDS, Bounds
from service.http.paths import as_written, routed_path
from service.http.places import CLOSE, Places, Who
from service.http.problems import MEDIA_TYPE, Problem
from service.http.protocol import CONNECTION, Protocol
from service.http.request_ids import HEADER, log_request, request_id
from service.http.tracing import Tracer

PIECE_BYTES = 64 << 10  # of an answer: a client that does not read holds no more of it, and a place
GATHERED_BYTES = 16 << 10  # of a form from a caller without a key
METHODS = frozenset(("GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH"))
ALWAYS = ("/health/live", "/health/ready", "/metrics")  # answered however many other requests are
# What an answer has unless it says otherwise: nothing of it is run, framed, guessed at or kept by a browser.
HEADERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}


class Limits:
    """The application as the server sees it; `who` finds out who asks."""

    def __init__(
        self,
        app: ASGIApp,
        who: Callable[[HTTPScope], Who],
        bounds: Bounds,
        slow: float = SLOW_SECONDS,
        tracer: Tracer | None = None,
    ) -> None:
        self._app = app
        self._who = who
        self._rate = bounds.least_rate
        self._slow = slow
        self._logs = bounds.access_log
        self._tracer = tracer
        self._places = Places(bounds)
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        began, asked, name = time.perf_counter(), scope["method"], request_id(scope["headers"])
        connection: Protocol | None = scope.pop(CONNECTION, None)  # type: ignore[misc]
        exchange = Exchange(receive, send, connection, self._slow, self._rate, name)
        if asked == "HEAD":  # answered as GET is, by a server that keeps the body to itself (RFC 9110, 9.3.2)
            scope = {**scope, "method": HttpMethod.GET}
        span = self._tracer.begin(scope, asked) if self._tracer is not None else None
        self._running += 1
        metrics.RUNNING.set(self._running)
        try:
            await self._answer(scope, exchange)
        finally:
            self._running -= 1
            metrics.RUNNING.set(self._running)
            seconds = time.perf_counter() - began
            _count(asked, scope, exchange.status, seconds)
            if self._tracer is not None and span is not None:
                self._tracer.end(span, scope, asked, exchange.status)
            if self._logs:
                log_request(scope, asked, name, exchange.status, seconds, exchange.caller)

    async def _answer(self, scope: HTTPScope, exchange: "Exchange") -> None:
        who = self._who(scope)
        exchange.is_from(who)
        path = routed_path(scope)
        if path is None:
            await exchange.answer(Problem("not-found", "no address here is written so: see /schema/openapi.json"))
            return
        try:
            if not who.is_known and scope["method"] == "POST" and scope["path"].startswith(HOME):
                await exchange.gather()
            if scope["path"] not in ALWAYS:
                self._places.take(who, exchange)
        except Problem as problem:
            await exchange.answer(problem)
            return
        try:
            async with asyncio.timeout(BULK_SECONDS if scope["path"].endswith(":bulk") else REQUEST_SECONDS) as until:
                exchange.until = until
                scope["path"] = path
                await self._app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            await exchange.answer_late()
        finally:
            as_written(scope)
            self._places.free(exchange)
            exchange.end()


class Exchange:
    """One request and its answer, and how long it has waited for its client.

    A client has `slow` seconds in which nothing need move, and then `rate` bytes a second: bodies that come more slowly
    are refused, and an answer that is read more slowly is cut.
    """

    def __init__(
        self, receive: Receive, send: Send, connection: Protocol | None, slow: float, rate: int, name: bytes = b""
    ) -> None:
        self._receive = receive
        self._send = send
        self._connection = connection
        self._slow = slow
        self._rate = rate
        self._late = 0.0  # seconds of waiting that no bytes have made good
        self._waits_since: float | None = None
        self._gathered: HTTPReceiveMessage | None = None
        self._is_given_up = False
        self._is_complete = False  # the answer
        self.until: asyncio.Timeout | None = None
        self.is_whole = False  # the body is here
        self.status = 0
        self.caller = ""  # who asks: a key's id, or an address
        self._name = name

    def is_from(self, who: Who) -> None:
        """Say who asks."""
        self.caller = who.name
        if self._connection is not None:
            self._connection.answer_for(*who)

    async def gather(self) -> None:
        """Wait for a short body, as a connection that waits and needs no place. Raises `Problem`."""
        body = b""
        if self._connection is not None:
            self._connection.begin_to_wait()
        while not self.is_whole:
            body += (await self.receive())["body"]  # type: ignore[typeddict-item]
            if len(body) > GATHERED_BYTES:
                raise Problem("too-large", f"the body has more than {GATHERED_BYTES:,} bytes")
        if self._connection is not None:
            self._connection.end_to_wait()
        self._gathered = {"type": "http.request", "body": body, "more_body": False}

    async def receive(self) -> HTTPReceiveMessage:
        """The next piece of the body. Raises `Problem` where it takes too long, or will never come."""
        if self._gathered is not None:
            gathered, self._gathered = self._gathered, None
            return gathered
        if self.is_whole:
            return await self._receive()  # type: ignore[return-value]
        try:
            with self._waiting():
                async with asyncio.timeout(self._slow - self._late):
                    message = await self._receive()
        except TimeoutError:
            raise Problem(
                "too-slow",
                f"the body came with less than {self._rate:,} bytes a second, and {self._slow:g} seconds of patience"
                " are over; send the whole body at once",
            ) from None
        if message["type"] == "http.disconnect":
            raise Problem("bad-request", "the connection broke before the whole body was here", CLOSE)
        body: bytes = message.get("body", b"")  # type: ignore[assignment]
        self._has_moved(len(body))
        self.is_whole = not message.get("more_body", False)
        return message  # type: ignore[return-value]

    async def send(self, message: Message) -> None:
        """Send, with the headers that are missing; a long body in pieces, as its client reads them."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._late = 0.0
            headers = list(message["headers"])
            given = {name.lower() for name, _ in headers}
            if self._name:
                headers.append((HEADER, self._name))
            headers.extend((name, value) for name, value in HEADERS.items() if name not in given)
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            body: bytes = message.get("body", b"")
            at = 0
            while len(body) - at > PIECE_BYTES:
                piece = body[at : at + PIECE_BYTES]
                await self._send_read({"type": "http.response.body", "body": piece, "more_body": True}, PIECE_BYTES)
                at += PIECE_BYTES
            message = {**message, "body": body[at:]} if at else message
            self._is_complete = not message.get("more_body", False)
        await self._send_read(message, 0)

    async def answer(self, problem: Problem) -> None:
        """Answer with a problem that the application did not make."""
        body = problem.body()
        headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
        headers += [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def answer_late(self) -> None:
        """Answer that the request was ended, where no answer has begun."""
        if self.status:
            return
        if self._is_given_up:
            problem = Problem("too-slow", "the body was slow, and its place was given to another request of yours")
        else:
            name = "took-too-long" if self.is_whole else "too-slow"
            problem = Problem(name, "the request was given up; what was taken stays taken", CLOSE)
        await self.answer(problem)

    def seconds_late(self) -> float:
        """Return how long it has waited for its client beyond the least rate; below 0 where it does not wait."""
        return -1.0 if self._waits_since is None else self._late + time.monotonic() - self._waits_since

    def give_up(self) -> None:
        """End it: its place was given to another."""
        self._is_given_up = True
        if self._connection is not None and self.status:
            self._connection.cut()
        elif self.until is not None:
            self.until.reschedule(asyncio.get_running_loop().time())

    def end(self) -> None:
        """Close the connection of an answer that will never be whole."""
        if self.status and not self._is_complete:
            self._cut()

    async def _send_read(self, message: Message, size: int) -> None:
        """Send once enough of the answer was read; a client that reads too slowly is cut."""
        if self._connection is None or not self._connection.flow.write_paused:
            await self._send(message)
            return
        cutting = asyncio.get_running_loop().call_later(self._slow - self._late, self._cut)
        try:
            with self._waiting():
                await self._send(message)
        finally:
            cutting.cancel()
        self._has_moved(size)

    def _cut(self) -> None:
        if self._connection is not None:
            metrics.TURNED_AWAY.labels("slow").inc()
            self._connection.cut()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Count the time as waited for the client."""
        self._waits_since = time.monotonic()
        try:
            yield
        finally:
            self._late += time.monotonic() - self._waits_since
            self._waits_since = None

    def _has_moved(self, size: int) -> None:
        self._late = max(0.0, self._late - size / self._rate)


def _count(asked: str, scope: HTTPScope, status: int, seconds: float) -> None:
    method = asked if asked in METHODS else "other"
    route = str(scope.get("path_template") or "none")
    metrics.REQUESTS.labels(method, route, status).inc()
    metrics.REQUEST_SECONDS.labels(method, route).observe(seconds)
