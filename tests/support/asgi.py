"""The API in this process: its life, and requests one at a time, without a server or a socket."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from litestar import Litestar

from ledger.errors import CannotRunNow
from service.http.bounds import Bounds
from service.http.callers import caller_finder
from service.http.limits import Limits

Headers = Sequence[tuple[bytes, bytes]]


class Answered(NamedTuple):
    """An answer, and the template of the route that gave it ("" where none did)."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    route: str


class InProcess:
    """An application that was started, within its limits; it is shut down by `close`."""

    def __init__(self, app: Litestar) -> None:
        bounds = Bounds()
        self._app: Any = Limits(app, caller_finder(app, bounds.proxies), bounds)  # as a server has it
        self._loop = asyncio.new_event_loop()
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._life = self._loop.create_task(self._app(scope, self._events.get, told.put))
        self._events.put_nowait({"type": "lifespan.startup"})
        started = self._loop.run_until_complete(told.get())
        if started["type"] != "lifespan.startup.complete":  # as the server says it
            raise CannotRunNow(f"the server could not start: {started['message']}")

    def ask(self, method: bytes, target: bytes, headers: Headers = (), body: bytes = b"") -> Answered:
        """Ask, as a server hands a request on."""
        path, _, query = target.partition(b"?")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 50_000),
            "scheme": "http",
            "method": method.decode(),
            "root_path": "",
            "path": unquote_to_bytes(path).decode(errors="replace"),
            "raw_path": path,
            "query_string": query,
            "headers": list(headers),
            "state": {},
        }
        given: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]
        told: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return given.pop() if given else await asyncio.Future()

        async def send(message: dict[str, Any]) -> None:
            told.append(message)

        self._loop.run_until_complete(self._app(scope, receive, send))
        content = b"".join(part.get("body", b"") for part in told[1:])
        return Answered(told[0]["status"], dict(told[0]["headers"]), content, str(scope.get("path_template") or ""))

    def close(self) -> None:
        """Shut the application down."""
        self._events.put_nowait({"type": "lifespan.shutdown"})
        self._loop.run_until_complete(self._life)
        self._loop.close()
