"""A typed client of the HTTP API, for applications. Any call may be retried: a fact counts once, however often it came.

with PointsClient("http://127.0.0.1:8080", key) as points:
    decision = points.redeem("m-17850", "R123", 2_000, use="coupon", source="/shop/members")
    print(points.member("m-17850").points["beans"].spendable)
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from service.http.shapes import (
    Balances,
    Books,
    BulkLine,
    Checkpoints,
    Decision,
    Entries,
    Entry,
    Liability,
    Lots,
    Member,
    Memberships,
    Positions,
    Problem,
    Programmes,
    Quote,
    Scores,
    Taken,
)

ATTEMPTS = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between two attempts
AGAIN = (429, 500, 502, 503, 504)
PIECE = 1_000  # facts of one bulk request
PAGE = 200  # entries of one request
Fact = Mapping[str, Any] | bytes
T = TypeVar("T")


class PointsError(Exception):
    """An answer that is an error; `problem` is what the server said."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.title}: {problem.detail}")
        self.problem = problem


class Refused(PointsError):
    """The redemption was decided and refused; `problem` has `reason` and `figures`."""


class Conflict(PointsError):
    """A fact of the same source and id came before with other content."""


class BadFact(PointsError):
    """What was given is no fact that can be taken; `problem.reason` is the code."""


class NotAllowed(PointsError):
    """The key is missing, not valid, or lacks a scope."""


class NotFound(PointsError):
    """Nobody knows this member, entry, lot or position."""


class Unavailable(Exception):
    """No answer, or only errors, after every attempt. What was given may have been taken: give it again."""


class PointsClient:
    """A client of one server. Not for several threads at once."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 10.0,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)
        self._attempts = attempts
        self._sleep = sleep

    def __enter__(self) -> "PointsClient":
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # -- facts in ----------------------------------------------------------------------------------------------------

    def post(self, fact: Fact, *, wait: int | None = None) -> Decision | Taken:
        """Give a fact, a CloudEvent; its decision where that is known within `wait` seconds, else that it is taken.

        Raises `BadFact`, `Conflict`, `NotAllowed`, `Unavailable`.
        """
        return self._give("/v1/facts", _bytes(fact), wait)

    def redeem(
        self,
        member: str,
        redemption: str,
        points: int,
        *,
        use: str,
        source: str,
        kind: str = "beans",
        order: str = "",
        settlement_fen: int = 0,
        at: datetime | None = None,
        wait: int | None = None,
    ) -> Decision | Taken:
        """Redeem points. `redemption` names it for ever; to ask again later give the same `at`, an aware time.

        Raises `Refused` with reason and figures, and what `post` raises.
        """
        fact = {
            "specversion": "1.0",
            "id": redemption,
            "source": source,
            "type": "redemption.requested.v1",
            "subject": member,
            "time": (at or datetime.now(UTC)).isoformat(),
            "data": {
                "redemption": redemption,
                "kind": kind,
                "points": points,
                "use": use,
                "order": order,
                "settlement_fen": settlement_fen,
            },
        }
        return self._give("/v1/redemptions", msgspec.json.encode(fact), wait)

    def post_many(self, facts: Iterable[Fact], *, outcomes: bool = False) -> Iterator[BulkLine]:
        """Give many facts, a thousand a request; what became of each, `line` counting from 1 over all of them.

        With `outcomes` the decisions are waited for. Raises `NotAllowed`, `Unavailable`.
        """
        remaining, before = iter(facts), 0
        headers = {"Content-Type": "application/x-ndjson"}
        while piece := list(islice(remaining, PIECE)):
            body = b"".join(_bytes(fact).replace(b"\n", b" ") + b"\n" for fact in piece)
            params = {"outcomes": str(outcomes).lower()}
            response = self._ask("POST", "/v1/facts:bulk", content=body, headers=headers, params=params)
            for line in response.content.splitlines():
                told = msgspec.json.decode(line, type=BulkLine)
                yield msgspec.structs.replace(told, line=told.line + before)
            before += len(piece)

    def decision(self, position: str) -> Decision | Taken:
        """What became of the fact at a position. Raises `NotFound`."""
        return _decision(self._ask("GET", f"/v1/facts/{position}"))

    # -- answers -----------------------------------------------------------------------------------------------------

    def member(self, member: str, *, as_of: str | None = None, known_at: str | None = None) -> Member:
        """A member at an instant, now where it is not given. Raises `NotFound`."""
        return self._read(Member, _of(member), as_of=as_of, known_at=known_at)

    def balances(self, member: str, *, as_of: str | None = None, known_at: str | None = None) -> Balances:
        """A member's balances. Raises `NotFound`."""
        return self._read(Balances, _of(member, "balances"), as_of=as_of, known_at=known_at)

    def lots(self, member: str, *, as_of: str | None = None, known_at: str | None = None) -> Lots:
        """A member's open lots. Raises `NotFound`."""
        return self._read(Lots, _of(member, "lots"), as_of=as_of, known_at=known_at)

    def scores(self, member: str, *, as_of: str | None = None, known_at: str | None = None) -> Scores:
        """A member's scores. Raises `NotFound`."""
        return self._read(Scores, _of(member, "scores"), as_of=as_of, known_at=known_at)

    def memberships(self, member: str, *, as_of: str | None = None, known_at: str | None = None) -> Memberships:
        """A member's memberships. Raises `NotFound`."""
        return self._read(Memberships, _of(member, "memberships"), as_of=as_of, known_at=known_at)

    def quote(self, member: str, cart: Mapping[str, Any], *, at: str | None = None) -> Quote:
        """What a cart (the data of an `order.completed.v1`) would earn, and the most that may be redeemed on it.

        Raises `BadFact` where it is none.
        """
        body = msgspec.json.encode({**cart, "member": member, **({"at": at} if at else {})})
        response = self._ask("POST", "/v1/quotes", content=body, headers={"Content-Type": "application/json"})
        return msgspec.json.decode(response.content, type=Quote)

    def entries(self, member: str, *, after: int = 0) -> Iterator[Entry]:
        """A member's entries behind a number, in order, read a page at a time. Raises `NotFound`."""
        cursor: int | None = after
        while cursor is not None:
            page = self._read(Entries, _of(member, "entries"), after=cursor, limit=PAGE)
            yield from page.entries
            cursor = page.next

    def entry(self, member: str, number: int) -> Entry:
        """One entry of a member. Raises `NotFound`."""
        return self._read(Entry, _of(member, "entries", str(number)))

    def explain(self, member: str, number: int | None = None, *, as_of: str | None = None) -> dict[str, Any]:
        """Why: a member's story, or one entry of it. Raises `NotFound`."""
        path = _of(member, "explain") if number is None else _of(member, "entries", str(number), "explain")
        return self._read(dict[str, Any], path, as_of=as_of)

    def explain_lot(self, member: str, lot: str, *, as_of: str | None = None) -> dict[str, Any]:
        """A lot's whole life, and the entry that opened it. `lot` is its name: "3.1". Raises `NotFound`."""
        return self._read(dict[str, Any], _of(member, "lots", lot, "explain"), as_of=as_of)

    def proof(self, member: str, number: int, *, checkpoint: str | None = None) -> bytes:
        """The proof that an entry is in a checkpoint, the newest that covers it where none is named; a file to hand on.

        Raises `NotFound` where there is no such entry, or no checkpoint that covers it.
        """
        path = _of(member, "entries", str(number), "proof")
        return self._ask("GET", path, params={"checkpoint": checkpoint} if checkpoint else {}).content

    def checkpoints(self) -> Checkpoints:
        """The checkpoints that are kept, the one over most entries first."""
        return self._read(Checkpoints, "/v1/checkpoints")

    def programmes(self) -> Programmes:
        """Every version of the rule book."""
        return self._read(Programmes, "/v1/programmes")

    def programme(self, version: str) -> str:
        """A version of the rule book, as TOML. Raises `NotFound`."""
        return self._ask("GET", f"/v1/programmes/{quote(version, safe='')}").text

    def books(self, *, as_of: str | None = None) -> Books:
        """The books of all members."""
        return self._read(Books, "/v1/stats", as_of=as_of)

    def liability(self, *, as_of: str | None = None) -> Liability:
        """Points outstanding, by the month in which they would expire."""
        return self._read(Liability, "/v1/liability", as_of=as_of)

    def positions(self) -> Positions:
        """Where each partition stands."""
        return self._read(Positions, "/v1/positions")

    # -- asking ------------------------------------------------------------------------------------------------------

    def _give(self, path: str, fact: bytes, wait: int | None) -> Decision | Taken:
        headers = {"Content-Type": "application/json"}
        if wait is not None:
            headers["Prefer"] = f"wait={wait}"
        return _decision(self._ask("POST", path, content=fact, headers=headers))

    def _read(self, shape: type[T], path: str, **params: str | int | None) -> T:
        given = {name: value for name, value in params.items() if value is not None}
        return msgspec.json.decode(self._ask("GET", path, params=given).content, type=shape)

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """An answer that is no error, after as many attempts as it takes."""
        pause, failed = FIRST_PAUSE, ""
        for attempt in range(self._attempts):
            if attempt:
                self._sleep(pause * random.uniform(0.5, 1))  # not all clients at the same instant
                pause = min(pause * 2, LONGEST_PAUSE)
            try:
                response = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                failed = f"{type(error).__name__}: {error}"
                continue
            if response.status_code not in AGAIN:
                return _checked(response)
            failed = f"{response.status_code} {response.reason_phrase}"
            pause = max(pause, min(_retry_after(response), LONGEST_PAUSE))
        raise Unavailable(f"{method} {path}: {failed}, {self._attempts} attempts")


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except msgspec.DecodeError:  # something between us and the server answered
        problem = Problem("about:blank", response.reason_phrase, response.status_code, response.text[:200])
    raise _error_of(problem)


def _error_of(problem: Problem) -> PointsError:
    named = {"refused": Refused, "conflict": Conflict, "bad-fact": BadFact}.get(problem.type.rpartition("/")[2])
    by_status: dict[int, type[PointsError]] = {401: NotAllowed, 403: NotAllowed, 404: NotFound}
    return (named or by_status.get(problem.status, PointsError))(problem)


def _decision(response: httpx.Response) -> Decision | Taken:
    shape: type[Decision | Taken] = Taken if response.status_code == 202 else Decision
    return msgspec.json.decode(response.content, type=shape)


def _retry_after(response: httpx.Response) -> float:
    given = response.headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdigit() else 0.0


def _of(member: str, *parts: str) -> str:
    return "/".join(("/v1/members", quote(member, safe=""), *parts))


def _bytes(fact: Fact) -> bytes:
    return fact if isinstance(fact, bytes) else msgspec.json.encode(fact)
