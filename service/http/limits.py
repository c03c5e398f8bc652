"""Around the application: headers that every answer has, bounds on time and on requests at once, and metrics."""

import asyncio
import time

from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, HTTPReceiveMessage, HTTPScope, Message, Receive, Scope, Send

from service.http import metrics
from service.http.problems import MEDIA_TYPE, Problem

IDLE_SECONDS = 15.0  # between two pieces of a body
REQUEST_SECONDS = 60.0
BULK_SECONDS = 600.0
RUNNING = 512  # requests
METHODS = frozenset(("GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH"))
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
    """The application as the server sees it."""

    def __init__(self, app: ASGIApp, running: int = RUNNING, idle: float = IDLE_SECONDS) -> None:
        self._app = app
        self._most = running
        self._idle = idle
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        asked = scope["method"]
        if asked == "HEAD":  # answered as GET is, by a server that keeps the body to itself (RFC 9110, 9.3.2)
            scope = {**scope, "method": HttpMethod.GET}
        exchange = _Exchange(receive, send, self._idle)
        began = time.perf_counter()
        if self._running >= self._most:
            await exchange.answer(Problem("busy", f"{self._running:,} requests are being answered", _CLOSE))
            return
        self._running += 1
        metrics.RUNNING.set(self._running)
        try:
            async with asyncio.timeout(BULK_SECONDS if scope["path"].endswith(":bulk") else REQUEST_SECONDS):
                await self._app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            if not exchange.status:
                name = "took-too-long" if exchange.is_whole else "too-slow"
                await exchange.answer(Problem(name, "the request was given up; what was taken stays taken", _CLOSE))
        finally:
            self._running -= 1
            metrics.RUNNING.set(self._running)
            _count(asked, scope, exchange.status, time.perf_counter() - began)


_CLOSE = {"Connection": "close"}


class _Exchange:
    """One request and its answer."""

    def __init__(self, receive: Receive, send: Send, idle: float) -> None:
        self._receive = receive
        self._send = send
        self._idle = idle
        self.is_whole = False  # the body is here
        self.status = 0

    async def receive(self) -> HTTPReceiveMessage:
        """The next piece of the body. Raises `Problem` where it takes too long, or will never come."""
        if self.is_whole:
            return await self._receive()  # type: ignore[return-value]
        try:
            async with asyncio.timeout(self._idle):
                message = await self._receive()
        except TimeoutError:
            raise Problem("too-slow", f"nothing came for {self._idle:g} seconds; send the whole body at once") from None
        if message["type"] == "http.disconnect":
            raise Problem("bad-request", "the connection broke before the whole body was here", _CLOSE)
        self.is_whole = not message.get("more_body", False)
        return message  # type: ignore[return-value]

    async def send(self, message: Message) -> None:
        """Send, with the headers that are missing."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message["headers"])
            given = {name.lower() for name, _ in headers}
            headers.extend((name, value) for name, value in HEADERS.items() if name not in given)
            message = {**message, "headers": headers}
        await self._send(message)

    async def answer(self, problem: Problem) -> None:
        """Answer with a problem that the application did not make."""
        body = problem.body()
        headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
        headers += [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})


def _count(asked: str, scope: HTTPScope, status: int, seconds: float) -> None:
    method = asked if asked in METHODS else "other"
    route = str(scope.get("path_template") or "none")
    metrics.REQUESTS.labels(method, route, status).inc()
    metrics.REQUEST_SECONDS.labels(method, route).observe(seconds)
