"""The two clients: each call of `calls` as a method, asked until it is answered or every attempt was in vain."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import Concatenate, Generic, ParamSpec, Self, TypeVar

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
        self._count(f"{response.status_code} {response.reason_phrase}", _retry_after(response))
        return False

    def _count(self, failed: str, asked: float) -> None:
        self._done += 1
        if self._done == self._most:
            raise Unavailable(f"{self._call.method} {self._call.path}: {failed}, {self._most} attempts")
        base = FIRST_PAUSE * 2 ** (self._done - 1)
        # Not all clients at the same instant, and about as long as the server asks.
        self.pause = min(max(base, asked), LONGEST_PAUSE) * random.uniform(0.5, 1)


def _blocking(build: Callable[P, Call[T]]) -> Callable[Concatenate["Client", P], T]:
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.ask(build(*args, **kwargs))

    method.__name__, method.__doc__ = build.__name__, build.__doc__
    return method


def _awaited(build: Callable[P, Call[T]]) -> Callable[Concatenate["AsyncClient", P], Awaitable[T]]:
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.ask(build(*args, **kwargs))

    method.__name__, method.__doc__ = build.__name__, build.__doc__
    return method


class Client:
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

    post = _blocking(calls.post)
    redeem = _blocking(calls.redeem)
    decision = _blocking(calls.decision)
    member = _blocking(calls.member)
    balances = _blocking(calls.balances)
    lots = _blocking(calls.lots)
    scores = _blocking(calls.scores)
    memberships = _blocking(calls.memberships)
    quote = _blocking(calls.quote)
    entry = _blocking(calls.entry)
    explain = _blocking(calls.explain)
    explain_lot = _blocking(calls.explain_lot)
    proof = _blocking(calls.proof)
    checkpoints = _blocking(calls.checkpoints)
    programmes = _blocking(calls.programmes)
    programme = _blocking(calls.programme)
    books = _blocking(calls.books)
    liability = _blocking(calls.liability)
    positions = _blocking(calls.positions)

    def post_many(self, facts: Iterable[Fact], *, outcomes: bool = False) -> Iterator[BulkLine]:
        """Give many facts, a thousand a request; what became of each, `line` counting from 1 over all of them.

        With `outcomes` the decisions are waited for. Raises `NotAllowed`, `Unavailable`.
        """
        for before, piece in _pieces(facts):
            yield from self.ask(calls.post_piece(piece, before, outcomes=outcomes))

    def entries(self, member: str, *, after: int = 0) -> Iterator[Entry]:
        """A member's entries behind a number, in order, read a page at a time. Raises `NotFound`."""
        cursor: int | None = after
        while cursor is not None:
            page = self.ask(calls.page(member, cursor, PAGE))
            yield from page.entries
            cursor = page.next


class AsyncClient:
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

    post = _awaited(calls.post)
    redeem = _awaited(calls.redeem)
    decision = _awaited(calls.decision)
    member = _awaited(calls.member)
    balances = _awaited(calls.balances)
    lots = _awaited(calls.lots)
    scores = _awaited(calls.scores)
    memberships = _awaited(calls.memberships)
    quote = _awaited(calls.quote)
    entry = _awaited(calls.entry)
    explain = _awaited(calls.explain)
    explain_lot = _awaited(calls.explain_lot)
    proof = _awaited(calls.proof)
    checkpoints = _awaited(calls.checkpoints)
    programmes = _awaited(calls.programmes)
    programme = _awaited(calls.programme)
    books = _awaited(calls.books)
    liability = _awaited(calls.liability)
    positions = _awaited(calls.positions)

    async def post_many(self, facts: Iterable[Fact], *, outcomes: bool = False) -> AsyncIterator[BulkLine]:
        """Give many facts, a thousand a request; what became of each, `line` counting from 1 over all of them.

        With `outcomes` the decisions are waited for. Raises `NotAllowed`, `Unavailable`.
        """
        for before, piece in _pieces(facts):
            for line in await self.ask(calls.post_piece(piece, before, outcomes=outcomes)):
                yield line

    async def entries(self, member: str, *, after: int = 0) -> AsyncIterator[Entry]:
        """A member's entries behind a number, in order, read a page at a time. Raises `NotFound`."""
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
    except msgspec.DecodeError:  # something between us and the server answered
        problem = Problem("about:blank", response.reason_phrase, response.status_code, response.text[:200])
    raise error_of(problem)


def _retry_after(response: httpx.Response) -> float:
    given = response.headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdigit() else 0.0
