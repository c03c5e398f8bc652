"""The two clients: each call of `calls` as a method, asked until it is answered or every attempt was in vain."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import wraps
from itertools import islice
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

import httpx
import msgspec

from points_client import calls
from points_client.answers import BulkLine, Entry, Problem
from points_client.calls import Call, Fact
from points_client.errors import Unavailable, error_of

ATTEMPTS = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between two attempts
AGAIN = (429, 500, 502, 503, 504)
PIECE = 1_000  # facts of one bulk request
PAGE = 200  # entries of one request
P = ParamSpec("P")
T = TypeVar("T")


class _Attempts(Generic[T]):
    """The attempts at one call: `pause` in seconds stands before each but the first."""

    def __init__(self, call: Call[T], most: int) -> None:
        self._call = call
        self._most = most
        self._done = 0
        self._failed = ""
        self.pause = FIRST_PAUSE

    def failed(self, error: httpx.TransportError) -> None:
        """Count an attempt without an answer. Raises `Unavailable` after the last."""
        self._count(f"{type(error).__name__}: {error}", 0.0)

    def answered(self, response: httpx.Response) -> bool:
        """Return whether this is the answer; else count the attempt. Raises `Rejected`, `Unavailable`."""
        if response.status_code not in AGAIN:
            _check(response)
            return True
        asked = response.headers.get("retry-after", "")
        seconds = float(asked) if asked.isascii() and asked.isdigit() else 0.0
        self._count(f"{response.status_code} {response.reason_phrase}", seconds)
        return False

    def _count(self, failed: str, asked: float) -> None:
        self._done += 1
        if self._done == self._most:
            raise Unavailable(f"{self._call.method} {self._call.path}: {failed}, {self._most} attempts")
        base = FIRST_PAUSE * 2 ** (self._done - 1)
        # Not all clients at the same instant, and about as long as the server asks.
        self.pause = min(max(base, asked), LONGEST_PAUSE) * random.uniform(0.5, 1)


class _Method(Generic[P, T]):
    """A call as a method: of `Client` it returns the answer, of `AsyncClient` what is awaited for it."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: "Client", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: "AsyncClient", owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, client: "Client | AsyncClient | None", owner: type) -> Any:
        if client is None:
            return self

        @wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.ask(self._build(*args, **kwargs))

        return method


class _Methods:
    """The calls that both clients have alike."""

    post = _Method(calls.post)
    redeem = _Method(calls.redeem)
    decision = _Method(calls.decision)
    member = _Method(calls.member)
    balances = _Method(calls.balances)
    lots = _Method(calls.lots)
    scores = _Method(calls.scores)
    memberships = _Method(calls.memberships)
    quote = _Method(calls.quote)
    products = _Method(calls.products)
    savings = _Method(calls.savings)
    find = _Method(calls.find)
    pools = _Method(calls.pools)
    pool = _Method(calls.pool)
    house = _Method(calls.house)
    entry = _Method(calls.entry)
    explain = _Method(calls.explain)
    explain_lot = _Method(calls.explain_lot)
    proof = _Method(calls.proof)
    feed = _Method(calls.feed)
    members = _Method(calls.members)
    checkpoints = _Method(calls.checkpoints)
    programmes = _Method(calls.programmes)
    programme = _Method(calls.programme)
    books = _Method(calls.books)
    liability = _Method(calls.liability)
    positions = _Method(calls.positions)


class Client(_Methods):
    """A blocking client of one server. `timeout` in seconds; not for several threads at once."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 10.0,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = httpx.Client(base_url=url, headers=_headers(key), timeout=timeout)
        self._attempts = attempts
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, call: Call[T]) -> T:
        """Return the answer of a call, after as many attempts as it takes. Raises `PointsError`."""
        attempts = _Attempts(call, self._attempts)
        while True:
            try:
                response = self._http.request(**call.arguments())
            except httpx.TransportError as error:
                attempts.failed(error)
            else:
                if attempts.answered(response):
                    return call.read(response)
            self._sleep(attempts.pause)

    def post_many(self, facts: Iterable[Fact], *, outcomes: bool = False) -> Iterator[BulkLine]:
        """Give many facts, a thousand per request; yield what became of each, `line` counting from 1 over all of them.

        With `outcomes` the decisions are waited for. Raises `NotAllowed`, `Unavailable`.
        """
        for before, piece in _pieces(facts):
            yield from self.ask(calls.post_piece(piece, before, outcomes=outcomes))

    def entries(self, member: str, *, after: int = 0) -> Iterator[Entry]:
        """Yield a member's entries behind a number, in order, read a page at a time. Raises `NotFound`."""
        cursor: int | None = after
        while cursor is not None:
            page = self.ask(calls.page(member, cursor, PAGE))
            yield from page.entries
            cursor = page.next


class AsyncClient(_Methods):
    """An async client of one server, of one event loop. `timeout` in seconds."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 10.0,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=url, headers=_headers(key), timeout=timeout)
        self._attempts = attempts
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(self, call: Call[T]) -> T:
        """Return the answer of a call, after as many attempts as it takes. Raises `PointsError`."""
        attempts = _Attempts(call, self._attempts)
        while True:
            try:
                response = await self._http.request(**call.arguments())
            except httpx.TransportError as error:
                attempts.failed(error)
            else:
                if attempts.answered(response):
                    return call.read(response)
            await self._sleep(attempts.pause)

    async def post_many(self, facts: Iterable[Fact], *, outcomes: bool = False) -> AsyncIterator[BulkLine]:
        """Give many facts, a thousand per request; yield what became of each, `line` counting from 1 over all of them.

        With `outcomes` the decisions are waited for. Raises `NotAllowed`, `Unavailable`.
        """
        for before, piece in _pieces(facts):
            for line in await self.ask(calls.post_piece(piece, before, outcomes=outcomes)):
                yield line

    async def entries(self, member: str, *, after: int = 0) -> AsyncIterator[Entry]:
        """Yield a member's entries behind a number, in order, read a page at a time. Raises `NotFound`."""
        cursor: int | None = after
        while cursor is not None:
            page = await self.ask(calls.page(member, cursor, PAGE))
            for entry in page.entries:
                yield entry
            cursor = page.next


def _headers(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _pieces(facts: Iterable[Fact]) -> Iterator[tuple[int, list[Fact]]]:
    """Yield the facts of each request, with how many came before them."""
    remaining, before = iter(facts), 0
    while piece := list(islice(remaining, PIECE)):
        yield before, piece
        before += len(piece)


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # something between us and the server answered
        problem = Problem("about:blank", response.reason_phrase, response.status_code, response.text[:200])
    raise error_of(problem)
