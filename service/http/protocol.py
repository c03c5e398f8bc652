"""HTTP/1.1 on one connection: uvicorn's protocol, with bounds on what arrives and on how long it may take.

A connection is answered or it waits: for its first byte, the rest of its headers, its next request, or a client that
reads. One that waits has a deadline, and gives way to a new connection where there are too many. So nobody is turned
away because others wait.
"""

import asyncio
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.http import metrics
from service.http.bounds import HEAD_BYTES, HEADER_COUNT, IDLE_SECONDS, PIPELINED, URL_BYTES, Bounds
from service.http.problems import MEDIA_TYPE, Problem

ONCE = (b"host", b"authorization", b"content-type", b"origin")  # of two, another program may believe the other
CONNECTION = "points.connection"  # the connection of a request, in its scope


@lru_cache(4_096)
def network_of(address: str) -> str:
    """Return the address that places are counted by: an IPv4 address, or the /64 of an IPv6 one.

    Whoever has one address of a /64 has all of them. What is no address stays as it is.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    return str(found) if found.version == 4 else str(IPv6Address(int(found) >> 64 << 64))


class Room:
    """The connections of a process: where there are more than `most`, one that waits is cut for the one that comes.

    It is the oldest of the caller that has most waiting, so that none loses one to a caller with more. Those that
    never showed a key are cut as if they were one caller, so that many addresses are no more than one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._unknown: dict[str, dict[Protocol, None]] = {}  # by address, the oldest first
        self._known: dict[str, dict[Protocol, None]] = {}  # by key
        self._unknown_count = 0

    def enter(self) -> bool:
        """Make room for a connection that comes; False where every other one is being answered."""
        if self._count >= self._most and not self._cut_one():
            return False
        self._count += 1
        return True

    def leave(self) -> None:
        """Forget one that was lost and does not wait."""
        self._count -= 1

    def hold(self, one: "Protocol") -> None:
        """Take one in that waits from now."""
        self._group(one).setdefault(one.caller, {})[one] = None
        self._unknown_count += not one.is_known

    def release(self, one: "Protocol") -> None:
        """Take one out that waits no more, before its caller changes."""
        group = self._group(one)
        del group[one.caller][one]
        if not group[one.caller]:
            del group[one.caller]
        self._unknown_count -= not one.is_known

    def _group(self, one: "Protocol") -> "dict[str, dict[Protocol, None]]":
        return self._known if one.is_known else self._unknown

    def _cut_one(self) -> bool:
        known = max(self._known.values(), key=len, default={})
        group = max(self._unknown.values(), key=len) if self._unknown_count > len(known) else known
        for one in group:
            metrics.TURNED_AWAY.labels("connection").inc()
            one.cut()
            return True
        return False


class Protocol(HttpToolsProtocol):
    """One connection. `caller` and `is_known` say who asked last on it: at first its address, which has no key."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        room: Room,
        bounds: Bounds,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.caller = ""
        self.is_known = False
        self._room = room
        self._bounds = bounds
        self._has_room = False
        self._is_cut = False
        self._waits = False
        self._deadline: asyncio.TimerHandle | None = None
        self._unanswered = 0  # requests whose headers are whole
        self._in_head = True  # what comes next is of a request line or of headers
        self._fed = 0  # bytes that neither ended a head nor were of a body
        self._problem: Problem | None = None

    # -- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.caller = network_of(self.client[0]) if self.client else ""
        self._has_room = self._room.enter()
        if self._has_room:
            self._hold()
            self._expect(self._bounds.header_seconds)
        else:
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        self._release()
        self._expect(None)
        if self._has_room:
            self._has_room = False
            self._room.leave()
        super().connection_lost(exc)

    def answer_for(self, caller: str, is_known: bool) -> None:
        """Count the connection as one of who asks on it now."""
        waits = self._waits
        self._release()
        self.caller, self.is_known = caller, is_known
        if waits:
            self._hold()

    def begin_to_wait(self) -> None:
        """Count the connection among those that wait, though its request has begun: its body is still to come."""
        self._hold()

    def end_to_wait(self) -> None:
        """Its request is answered from now."""
        if not self.flow.write_paused:
            self._release()

    def cut(self) -> None:
        """Close the connection at once, whatever of an answer was not read yet."""
        self._is_cut = True
        self._release()
        self._expect(None)
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._hold()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unanswered:
            self._release()

    # -- its requests

    def data_received(self, data: bytes) -> None:
        for at in range(0, len(data), HEAD_BYTES):
            piece = data[at : at + HEAD_BYTES]
            self._fed += len(piece)
            super().data_received(piece)
            if self._fed > HEAD_BYTES and not self.transport.is_closing():
                self._problem = _too_large()
                self.send_400_response("")
            if self.transport.is_closing():
                return

    def on_message_begin(self) -> None:
        """The first byte of a request: its headers have to follow in time."""
        super().on_message_begin()
        self._in_head = True
        self.scope[CONNECTION] = self  # type: ignore[literal-required]
        if self.cycle is not None and not self._unanswered:
            self._expect(self._bounds.header_seconds)

    def on_headers_complete(self) -> None:
        """The headers are whole: refuse those that are too many or say two things, and answer the request."""
        problem = _wrong_with(self.url, self.headers, self.parser.get_http_version())
        if self._unanswered == PIPELINED:
            problem = Problem("bad-request", f"more than {PIPELINED} requests on a connection wait for answers")
        if problem is not None:
            self._problem = problem
            raise ValueError(problem.detail)  # which stops the parser, and is answered as what is no request
        super().on_headers_complete()
        self._in_head = False
        self._fed = 0
        self.headers = []  # what comes behind a body is no header
        self._unanswered += 1
        self._expect(None)
        if not self.flow.write_paused:
            self._release()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._fed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is whole: what comes next is another request."""
        self._in_head = True
        self._fed = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request is answered: without another one the connection waits."""
        self._unanswered -= 1
        super().on_response_complete()
        if not self._unanswered:  # a body that is not whole by then is not waited for any longer than the next request
            self._hold()
            self._expect(IDLE_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, unless that would be taken for the answer of an earlier one."""
        problem = self._problem or Problem("bad-request", msg)
        ahead = self._unanswered - (not self._in_head)
        if ahead > 0 or (not self._in_head and self.cycle is not None and self.cycle.response_started):
            self.cut()
            return
        body = problem.body()
        head = f"HTTP/1.1 {problem.status} {_PHRASES[problem.status]}\r\ncontent-type: {MEDIA_TYPE}\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        self.transport.close()
        self._expect(IDLE_SECONDS)

    # -- waiting

    def _hold(self) -> None:
        if self._has_room and not self._waits and not self._is_cut:
            self._waits = True
            self._room.hold(self)

    def _release(self) -> None:
        if self._waits:
            self._waits = False
            self._room.release(self)

    def _expect(self, seconds: float | None) -> None:
        """Cut the connection after so many seconds, unless something else is expected by then; None: nothing is."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.cut)


_PHRASES = {400: "Bad Request", 414: "URI Too Long", 431: "Request Header Fields Too Large"}


def _wrong_with(url: bytes, headers: list[tuple[bytes, bytes]], version: str) -> Problem | None:
    """Return why a request line and its headers are refused, if they are."""
    if len(url) > URL_BYTES:
        return Problem("address-too-long", f"the address has more than {URL_BYTES:,} bytes")
    if len(headers) > HEADER_COUNT or sum(len(name) + len(value) for name, value in headers) > HEAD_BYTES:
        return _too_large()
    names = [name for name, _ in headers]
    for name in ONCE:
        if names.count(name) > 1:
            return Problem("bad-request", f"there are several {name.decode().title()} headers; send one")
    if b"host" not in names and version != "1.0":
        return Problem("bad-request", "there is no Host header; send one (RFC 9112, 3.2)")
    return None


def _too_large() -> Problem:
    return Problem("headers-too-large", f"the headers are more than {HEADER_COUNT}, or more than {HEAD_BYTES:,} bytes")
