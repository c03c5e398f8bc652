"""Clients that are slow, many or odd take nothing from the others: places by caller, and bounds on what arrives."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from ledger.journal.open import open_or_create
from service.http.bounds import HEAD_BYTES, PIPELINED, UNKNOWN_REQUESTS, Bounds
from service.http.callers import address_of
from service.http.limits import Limits
from service.http.places import LATE_SECONDS, Places, Who
from service.http.problems import Problem
from service.http.protocol import Protocol, Room, network_of
from tests.support.ledgers import scratch
from tests.support.served import ROOT, Server, grant, new_key, served
from tests.support.slow_clients import SLOW_LANGUAGE, SLOW_SIGN_IN, slow_fact

SMALL = (
    *("--connections", "40", "--requests", "12", "--key-requests", "6", "--unknown-requests", "4"),
    *("--header-seconds", "1.5"),
)


class Shop:
    """A server with small bounds, and its keys."""

    def __init__(self, server: Server, keys: dict[str, str]) -> None:
        self.server = server
        self.keys = keys
        host, port = server.url.removeprefix("http://").split(":")
        self.address = host, int(port)

    def connect(self, sent: bytes) -> socket.socket:
        wire = socket.socket()
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)  # what is not read waits in the server
        wire.settimeout(60)
        wire.connect(self.address)
        wire.sendall(sent)
        return wire

    @contextmanager
    def connected(self, count: int, *sent: bytes) -> Iterator[list[socket.socket]]:
        """So many connections that have sent what they do, in turns."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.connect(sent[n % len(sent)])) for n in range(count)]

    def ask(self, request: bytes) -> bytes:
        """All that comes back until the server closes the connection."""
        with self.connect(request) as wire:
            return read_all(wire)

    def is_answering(self, key: str) -> None:
        """Others are answered: one with a key, one without, who signs in, and whoever asks whether it lives."""
        with self.server.client(self.keys[key]) as http:
            assert http.post("/v1/facts", json=grant("m-1", f"g-{time.monotonic_ns()}", 1)).status_code == 200
            assert http.get("/v1/members/m-1").status_code == 200
            assert http.get("/metrics").status_code == 200
        with self.server.client() as http:
            assert http.get("/health/live").status_code == 200
            assert http.get("/health/ready").status_code == 200
            page = http.get("/console/sign-in").text
            form = {"key": self.keys[key], "form_token": page.partition('name="form_token" value="')[2].split('"')[0]}
            assert http.post("/console/sign-in", data=form).status_code == 303


def made(place: Path) -> dict[str, str]:
    """The keys of a ledger that is made."""
    open_or_create(place / "ledger").close()
    scopes = ("facts:write", "members:read", "books:read")
    return {name: new_key(place / "ledger", name, *scopes) for name in ("slow", "quick")}


def read_all(wire: socket.socket) -> bytes:
    found = b""
    try:
        while data := wire.recv(65_536):
            found += data
    except ConnectionError:
        pass
    return found


@pytest.fixture(scope="module", params=["1", "2"])
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    with scratch() as place:
        keys = made(place)
        with served(place / "ledger", "--workers", request.param, *SMALL) as server:
            yield Shop(server, keys)


# -- slow ones take no place


def test_slow_forms_without_a_key_turn_nobody_away(shop: Shop) -> None:
    with shop.connected(90, SLOW_SIGN_IN, SLOW_LANGUAGE) as slow:
        shop.is_answering("quick")
        assert read_all(slow[0]) == b"", "the oldest of them was closed for a new one"


def test_slow_bodies_with_a_key_turn_away_neither_other_keys_nor_their_own(shop: Shop) -> None:
    with shop.connected(30, slow_fact(shop.keys["slow"])):
        shop.is_answering("quick")
        time.sleep(LATE_SECONDS + 0.5)
        shop.is_answering("slow")


def test_while_there_are_no_keys_slow_bodies_turn_nobody_away() -> None:
    with scratch() as place, served(place / "ledger", *SMALL) as server:
        shop = Shop(server, {})
        begin = b"POST /v1/facts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        begin += b"Content-Length: 99\r\n\r\n"
        with shop.connected(30, begin), server.client() as http:
            time.sleep(LATE_SECONDS + 0.5)
            assert http.post("/v1/facts", json=grant("m-1", "g-1", 1)).status_code == 200
            assert http.get("/v1/members/m-1").status_code == 200


def test_unfinished_headers_turn_nobody_away_and_are_closed_in_time(shop: Shop) -> None:
    with shop.connected(90, b"POST /v1/facts HTTP/1.1\r\nHost: localhost\r\n", b"G", b"") as slow:
        shop.is_answering("quick")
        assert [read_all(one) for one in slow] == [b""] * len(slow)  # the sockets' own bound ends this


def test_an_answer_that_nobody_reads_gives_its_place_up(shop: Shop) -> None:
    body = b"{}\n" * 20_000  # each told with its reason: far more than the sockets hold
    head = "POST /v1/facts:bulk HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
    more = f"Authorization: Bearer {shop.keys['slow']}\r\nContent-Length: {len(body)}\r\n\r\n"

    def is_answered() -> bool:
        with shop.server.client(shop.keys["slow"]) as http:
            return http.get("/v1/members/m-1").status_code == 200

    with shop.connected(12, f"{head}{more}".encode() + body):
        shop.is_answering("quick")
        until = time.monotonic() + 60
        while not all(is_answered() for _ in range(4)):  # each worker has made its answers by then
            assert time.monotonic() < until
            time.sleep(0.1)


@pytest.mark.campaign
@pytest.mark.parametrize("workers", ["1", "2"])
def test_thousands_of_slow_clients_turn_nobody_away(workers: str) -> None:
    """600 slow forms, 600 slow bodies with a key and 2,100 unfinished heads, which come again when they are closed."""
    with scratch() as place, ExitStack() as stack:
        keys = made(place)
        shop = Shop(stack.enter_context(served(place / "ledger", "--workers", workers)), keys)
        words = ["tests.support.slow_clients", shop.server.url, keys["slow"], "600", "600", "2100"]
        slow = stack.enter_context(subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT))
        stack.callback(slow.kill)
        time.sleep(5)
        millis, until = [], time.monotonic() + 60
        while time.monotonic() < until:
            began = time.monotonic()
            shop.is_answering("quick")
            millis.append((time.monotonic() - began) * 1_000)
        shop.is_answering("slow")
        with shop.server.client(keys["quick"]) as http:
            turned = re.findall(r'turned_away_total{what="(\w+)"} (\S+)', http.get("/metrics").text)
        print(f"{workers} workers: 9 requests in turn, {len(millis)} times: median {median(millis):.0f} ms,", end=" ")
        print(f"longest {max(millis):.0f} ms; turned away {dict(turned)}")
        assert slow.poll() is None and max(millis) < 5_000


# -- what arrives


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /health/live HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nAuthorization: Bearer y\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 101, 431),
        (b"GET /health/live HTTP/1.1\r\nHost: a\r\n" + b"X: %s\r\n" % (b"y" * 9_000) * 4, 431),
        (b"GET /health/live HTTP/1.1\r\nHost: a\r\nX: " + b"y" * HEAD_BYTES, 431),
        (b"GET /health/live?%s HTTP/1.1\r\nHost: a\r\n" % (b"x" * 9_000), 414),
        (b"GET /health/live HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400),
        (b"POST /v1/facts HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", 200),
        (b"GET /health/live HTTP/1.0\r\n", 200),
    ],
    ids=lambda one: str(one)[:60] if isinstance(one, int) else "",
)
def test_a_head_that_is_too_large_or_says_two_things_is_refused(shop: Shop, request_head: bytes, status: int) -> None:
    answer = shop.ask(request_head + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    if status != 200:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"application/problem+json" in head and json.loads(body)["status"] == status


def test_a_bad_head_is_answered_in_its_turn_or_not_at_all(shop: Shop) -> None:
    good, bad = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"
    with shop.connect(good) as wire:
        assert wire.recv(4_096).startswith(b"HTTP/1.1 200 ")
        wire.sendall(bad)
        assert b"HTTP/1.1 400 " in read_all(wire)
    slow = b"POST /console/sign-in HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
    assert b"HTTP/1.1 400 " not in shop.ask(slow + b"a=b&" + bad), "it would be taken for the form's answer"


def test_what_comes_behind_a_body_is_no_header(shop: Shop) -> None:
    head = b"GET /v1/members/m-1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    trailer = f"Authorization: Bearer {shop.keys['quick']}\r\n\r\n".encode()
    assert shop.ask(head + trailer).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("endless", [b"0\r\nX: ", b"5;x="])
def test_what_belongs_to_a_body_and_never_ends_is_not_held(shop: Shop, endless: bytes) -> None:
    head = b"POST /console/sign-in HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with shop.connect(head + endless) as wire, pytest.raises(ConnectionError):
        wire.sendall(b"x" * (64 << 20))


def test_requests_that_pile_up_on_a_connection_end_it(shop: Shop) -> None:
    one = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
    with shop.connect(one * PIPELINED) as wire:
        answers = b""
        while answers.count(b"HTTP/1.1 200") < PIPELINED:
            answers += wire.recv(65_536)
    assert shop.ask(one * 1_000).count(b"HTTP/1.1 200") <= PIPELINED


def test_a_path_answers_for_no_other_member_than_it_names(shop: Shop) -> None:
    paths = {
        "/v1/members/m-1/": "not-found",
        "/v1/members//m-1": "not-found",
        "/v1/members/%FF": "not-found",
        "/v1/members/%2F%FF": "not-found",
        "/v1/members/%ED%B0%AF": "not-found",
        "/v1/members%2Fm-1": "not-found",
        "/v1%2fmembers/m-1": "not-found",
        "/v1/adjustments/a%2Fb": "not-found",
        "/v1/members/m-1/entries%2F1": "not-found",
        "/v1/members/m-1%2F/": "not-found",
        "/v1/members/m-1%2F": "unknown-member",
        "/v1/members/%2Fm-1": "unknown-member",
        "/v1/members/m-1%2Fbalances": "unknown-member",
        "/v1/members/m-1%252Fbalances": "unknown-member",
        "/v1/members/a%2F..%2Fm-1": "unknown-member",
        "/v1/members/..%2f..%2fkeys.db": "unknown-member",
    }
    with shop.server.client(shop.keys["quick"]) as http:
        for member in ("m-1", "\ufffd"):
            assert http.post("/v1/facts", json=grant(member, f"g-{time.monotonic_ns()}", 1)).status_code == 200
        assert http.get("/v1/members/%EF%BF%BD").status_code == 200
    key = f"Authorization: Bearer {shop.keys['quick']}\r\n"
    for path, problem in paths.items():
        answer = shop.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{key}\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 404 ") and f"/problems/{problem}".encode() in answer, path


# -- a connection on its own


@pytest.mark.parametrize(
    ("begin", "trickle"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nX: ", b"x"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b""),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n", b"x"),
        (b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n", b""),
        (b"GET /long HTTP/1.0\r\nHost: a\r\n\r\n", b""),
    ],
    ids=["silent", "half a head", "idle", "blank lines", "a body behind its answer", "unread", "unread to its end"],
)
def test_a_connection_that_waits_is_closed_in_time_whatever_trickles_in(
    begin: bytes, trickle: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.http.protocol.IDLE_SECONDS", 0.4)
    length = 32 << 20  # more than the sockets hold

    async def app(scope: Any, _: object, send: Any) -> None:
        body = bytes(length if scope["path"] == "/long" else 0)
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def seconds_open() -> float:
        config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None)
        bounds, room, state = Bounds(header_seconds=0.4), Room(10), ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Protocol(config, state, {}, room=room, bounds=bounds), "127.0.0.1", backlog=1
        )
        began = time.monotonic()
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(begin)
        await asyncio.sleep(0.1)
        while state.connections and time.monotonic() < began + 60:
            writer.write(trickle)
            await asyncio.sleep(0.05)
        writer.transport.abort()
        server.close()
        return time.monotonic() - began

    assert 0.3 < asyncio.run(seconds_open()) < 60


# -- places


class Request:
    """A request that has waited so long for its client."""

    def __init__(self, late: float = -1.0) -> None:
        self.late = late
        self.is_given_up = False

    def seconds_late(self) -> float:
        return self.late

    def give_up(self) -> None:
        self.is_given_up = True


KEY, OTHER_KEY = Who("k", True), Who("j", True)


def refused(places: Places, who: Who, late: float = -1.0) -> str:
    """The problem with which a request is turned away; empty where it has a place."""
    try:
        places.take(who, Request(late))
    except Problem as problem:
        return problem.name
    return ""


def test_a_key_has_its_places_and_the_server_its_own_but_each_key_has_a_few() -> None:
    given = Places(Bounds(requests=20, key_requests=15))
    assert [refused(given, KEY) for _ in range(16)] == [""] * 15 + ["too-many-requests"]
    assert [refused(given, OTHER_KEY) for _ in range(9)] == [""] * 8 + ["busy"], "8, though 20 are running"
    assert refused(given, Who("192.0.2.1", False)) == ""


def test_those_without_a_key_have_few_places_by_address_and_few_together() -> None:
    given = Places(Bounds(unknown_requests=4))
    assert [refused(given, Who("a", False)) for _ in range(5)] == [""] * 4 + ["too-many-requests"]
    others = [refused(given, Who(str(n), False)) for n in range(UNKNOWN_REQUESTS - 4 + 1)]
    assert others == [""] * (UNKNOWN_REQUESTS - 4) + ["busy"]
    assert refused(given, KEY) == ""


def test_the_slowest_of_the_same_caller_gives_its_place_up() -> None:
    given = Places(Bounds(key_requests=3))
    slow, slower, quick, other = Request(1.5), Request(9.0), Request(), Request(50.0)
    for one in (slow, slower, quick):
        given.take(KEY, one)
    given.take(OTHER_KEY, other)
    assert refused(given, KEY) == ""
    assert [one.is_given_up for one in (slow, slower, quick, other)] == [False, True, False, False]
    given.free(slower)  # which has none any more
    slow.late = LATE_SECONDS / 2
    assert refused(given, KEY) == "too-many-requests"
    for one in (slow, quick):
        given.free(one)
    assert [refused(given, KEY) for _ in range(2)] == ["", ""]


def test_a_caller_is_known_by_what_a_trusted_proxy_says_and_by_no_other() -> None:
    def found(client: str, forwarded: bytes) -> str:
        scope = {"client": (client, 1), "headers": [(b"x-forwarded-for", forwarded)]}
        return address_of(scope, frozenset(("192.0.2.1", "192.0.2.2")))  # type: ignore[arg-type]

    assert found("198.51.100.7", b"203.0.113.9") == "198.51.100.7"
    assert found("192.0.2.1", b"203.0.113.9") == "203.0.113.9"
    assert found("192.0.2.1", b"10.9.9.9, 203.0.113.9, 192.0.2.2") == "203.0.113.9", "what comes first anybody may say"
    assert found("192.0.2.1", b"") == found("192.0.2.1", b"no address") == "192.0.2.1"
    assert network_of("203.0.113.9") == network_of("::ffff:203.0.113.9") == "203.0.113.9"
    assert network_of("2001:db8:1:2::3") == network_of("2001:db8:1:2:ffff::4") != network_of("2001:db8:1:3::3")


# -- the least rate


def slow_body(pieces: int, size: int, seconds: float, patience: float) -> tuple[str, int]:
    """How a body ends that comes so, where 2,000 bytes a second are the least, and how many of its pieces came."""
    came = 0

    async def app(_scope: object, receive: object, _send: object) -> None:
        nonlocal came
        while (await receive()).get("more_body"):  # type: ignore[operator]
            came += 1

    async def piece() -> dict[str, object]:
        await asyncio.sleep(seconds)
        return {"type": "http.request", "body": bytes(size), "more_body": came < pieces}

    async def send(_: object) -> None:
        pass

    limits = Limits(app, lambda _: KEY, Bounds(least_rate=2_000), slow=patience)  # type: ignore[arg-type]
    scope = {"type": "http", "path": "/v1/facts", "method": "POST", "headers": []}
    try:
        asyncio.run(limits(scope, piece, send))  # type: ignore[arg-type]
    except Problem as problem:
        return problem.name, came
    return "", came


def test_a_body_comes_at_the_least_rate_or_is_refused() -> None:
    assert slow_body(30, 2_000, 0.05, patience=1.0) == ("", 30)  # each piece buys a second
    name, came = slow_body(30, 10, 0.02, patience=0.2)
    assert name == "too-slow" and came <= 15  # fewer come on a busy machine, or none
