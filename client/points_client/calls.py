"""Every call of the API as a value: what is sent, and what its answer decodes to. Nothing is sent here.

`as_of` and `known_at` are dates, local times or RFC 3339; left out they mean now. A fact is a CloudEvent, as a mapping
or as the bytes of its JSON.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote as quoted

import httpx
import msgspec

from points_client import answers

T = TypeVar("T")
Fact = Mapping[str, Any] | bytes
JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and how its answer is read; parameters that are None are not sent."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, str | int | None] | None = None
    content: bytes | None = None
    headers: Mapping[str, str] | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the call as the arguments of `httpx.Client.request`."""
        params = {name: value for name, value in (self.params or {}).items() if value is not None}
        return {
            "method": self.method,
            "url": self.path,
            "params": params,
            "content": self.content,
            "headers": self.headers,
        }


# -- facts in ----------------------------------------------------------------------------------------------------------


def post(fact: Fact, *, wait: int | None = None) -> Call[answers.Decision | answers.Taken]:
    """Give a fact; return its decision where that is known within `wait` seconds, else that it is taken.

    Raises `BadFact`, `Conflict`, `NotAllowed`, `Unavailable`.
    """
    return _give("/v1/facts", _bytes(fact), wait)


def redeem(
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
) -> Call[answers.Decision | answers.Taken]:
    """Redeem points; return the decision, or that the request is taken.

    `redemption` names it for ever; to ask again later give the same `at`, an aware time.

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
    return _give("/v1/redemptions", msgspec.json.encode(fact), wait)


def post_piece(facts: Sequence[Fact], before: int, *, outcomes: bool) -> Call[list[answers.BulkLine]]:
    """Give facts in one request; return what became of each, `line` counting from `before` + 1."""

    def read(response: httpx.Response) -> list[answers.BulkLine]:
        lines = (msgspec.json.decode(line, type=answers.BulkLine) for line in response.content.splitlines())
        return [msgspec.structs.replace(line, line=line.line + before) for line in lines]

    body = b"".join(_bytes(fact).replace(b"\n", b" ") + b"\n" for fact in facts)
    params = {"outcomes": str(outcomes).lower()}
    return Call("POST", "/v1/facts:bulk", read, params, body, NDJSON)


def decision(position: str) -> Call[answers.Decision | answers.Taken]:
    """Return what became of the fact at a position. Raises `NotFound`."""
    return Call("GET", f"/v1/facts/{position}", _decision)


# -- one member --------------------------------------------------------------------------------------------------------


def member(member: str, *, as_of: str | None = None, known_at: str | None = None) -> Call[answers.Member]:
    """Return a member at an instant. Raises `NotFound`."""
    return _get(answers.Member, _of(member), as_of=as_of, known_at=known_at)


def balances(member: str, *, as_of: str | None = None, known_at: str | None = None) -> Call[answers.Balances]:
    """Return a member's balances. Raises `NotFound`."""
    return _get(answers.Balances, _of(member, "balances"), as_of=as_of, known_at=known_at)


def lots(member: str, *, as_of: str | None = None, known_at: str | None = None) -> Call[answers.Lots]:
    """Return a member's open lots. Raises `NotFound`."""
    return _get(answers.Lots, _of(member, "lots"), as_of=as_of, known_at=known_at)


def scores(member: str, *, as_of: str | None = None, known_at: str | None = None) -> Call[answers.Scores]:
    """Return a member's scores. Raises `NotFound`."""
    return _get(answers.Scores, _of(member, "scores"), as_of=as_of, known_at=known_at)


def memberships(member: str, *, as_of: str | None = None, known_at: str | None = None) -> Call[answers.Memberships]:
    """Return a member's memberships. Raises `NotFound`."""
    return _get(answers.Memberships, _of(member, "memberships"), as_of=as_of, known_at=known_at)


def quote(member: str, cart: Mapping[str, Any], *, at: str | None = None) -> Call[answers.Quote]:
    """Return what a cart (the data of an `order.completed.v1`) would earn, and the most that may be redeemed on it.

    Raises `BadFact` where it is none.
    """
    body = msgspec.json.encode({**cart, "member": member, **({"at": at} if at else {})})
    return Call("POST", "/v1/quotes", _into(answers.Quote), content=body, headers=JSON)


def products(member: str, *, as_of: str | None = None) -> Call[answers.Products]:
    """Return what each card costs a member, and whether the member may open it."""
    return _get(answers.Products, _of(member, "products"), as_of=as_of)


def savings(member: str, *, as_of: str | None = None) -> Call[answers.Savings]:
    """Return what benefits saved a member, and what cards would have saved. Raises `NotFound`."""
    return _get(answers.Savings, _of(member, "savings"), as_of=as_of)


def find(text: str, kind: str | None = None, *, limit: int | None = None) -> Call[answers.Found]:
    """Return what has an id that begins with a text.

    `kind`: member, order, redemption, card, claim, campaign, transfer, exchange or house.
    """
    return _get(answers.Found, "/v1/find", q=text, kind=kind, limit=limit)


def pools(*, as_of: str | None = None) -> Call[answers.Pools]:
    """Return what budgets and stocks that members share have given, and what is left."""
    return _get(answers.Pools, "/v1/pools", as_of=as_of)


def pool(name: str, *, as_of: str | None = None) -> Call[answers.Pool]:
    """Return what one of them has left: ``campaigns.NAME`` or ``benefits.NAME``. Raises `NotFound`."""
    return _get(answers.Pool, f"/v1/pools/{quoted(name, safe='')}", as_of=as_of)


def house(name: str, *, as_of: str | None = None) -> Call[answers.House]:
    """Return who sits in a house, and what is left of its quotas. Raises `NotFound`."""
    return _get(answers.House, f"/v1/houses/{quoted(name, safe='')}", as_of=as_of)


def page(member: str, after: int, limit: int) -> Call[answers.Entries]:
    """Up to `limit` entries of a member behind a number. Raises `NotFound`."""
    return _get(answers.Entries, _of(member, "entries"), after=after, limit=limit)


def entry(member: str, number: int) -> Call[answers.Entry]:
    """Return one entry of a member. Raises `NotFound`."""
    return _get(answers.Entry, _of(member, "entries", str(number)))


def explain(member: str, number: int | None = None, *, as_of: str | None = None) -> Call[dict[str, Any]]:
    """Return why: a member's story, or one entry of it. Raises `NotFound`."""
    path = _of(member, "explain") if number is None else _of(member, "entries", str(number), "explain")
    return _get(dict[str, Any], path, as_of=as_of)


def explain_lot(member: str, lot: str, *, as_of: str | None = None) -> Call[dict[str, Any]]:
    """Return a lot's whole life, and the entry that opened it. `lot` is its name: "3.1". Raises `NotFound`."""
    return _get(dict[str, Any], _of(member, "lots", lot, "explain"), as_of=as_of)


def proof(member: str, number: int, *, checkpoint: str | None = None) -> Call[bytes]:
    """Return the proof that an entry is in a checkpoint, by default the newest that covers it; a file to hand on.

    Raises `NotFound` where there is no such entry, or no checkpoint that covers it.
    """
    path = _of(member, "entries", str(number), "proof")
    return Call("GET", path, lambda response: response.content, {"checkpoint": checkpoint})


# -- all members -------------------------------------------------------------------------------------------------------


def feed(
    after: str = "", *, limit: int = 100, member: str | None = None, type: str | None = None, outcome: str | None = None
) -> Call[answers.FeedPage]:
    """Return a page of the entries of all members behind a cursor: "" the first, "now" what is decided from now on.

    Keep `next`, and ask again with it: nothing is left out and nothing comes twice.
    """
    return _get(answers.FeedPage, "/v1/entries", after=after, limit=limit, member=member, type=type, outcome=outcome)


def members(after: str = "", limit: int = 100) -> Call[answers.MemberNames]:
    """Return a page of the members with an entry, by token, behind one of them."""
    return _get(answers.MemberNames, "/v1/members", after=after, limit=limit)


def checkpoints() -> Call[answers.Checkpoints]:
    """Return the checkpoints that are kept, the one over most entries first."""
    return _get(answers.Checkpoints, "/v1/checkpoints")


def programmes() -> Call[answers.Programmes]:
    """Return every version of the rule book."""
    return _get(answers.Programmes, "/v1/programmes")


def programme(version: str, book: str | None = None) -> Call[str]:
    """Return a version of the rule book, as TOML; of several books the one of a programme. Raises `NotFound`."""
    path = f"/v1/programmes/{quoted(version, safe='')}"
    return Call("GET", path, lambda response: response.text, {"book": book})


def books(*, as_of: str | None = None, by_shop: bool = False) -> Call[answers.Books]:
    """Return the books of all members; kinds that are kept for each shop over all shops, or `by_shop`."""
    return _get(answers.Books, "/v1/stats", as_of=as_of, by_shop=_flag(by_shop))


def liability(*, as_of: str | None = None, by_shop: bool = False) -> Call[answers.Liability]:
    """Points outstanding, by the month in which they would expire; `by_shop` as of `books`."""
    return _get(answers.Liability, "/v1/liability", as_of=as_of, by_shop=_flag(by_shop))


def positions() -> Call[answers.Positions]:
    """Return where each partition stands."""
    return _get(answers.Positions, "/v1/positions")


def _flag(is_set: bool) -> str | None:
    return "true" if is_set else None


def _give(path: str, fact: bytes, wait: int | None) -> Call[answers.Decision | answers.Taken]:
    preferred = {} if wait is None else {"Prefer": f"wait={wait}"}
    return Call("POST", path, _decision, content=fact, headers=JSON | preferred)


def _get(shape: type[T], path: str, **params: str | int | None) -> Call[T]:
    return Call("GET", path, _into(shape), params)


def _into(shape: type[T]) -> Callable[[httpx.Response], T]:
    return lambda response: msgspec.json.decode(response.content, type=shape)


def _decision(response: httpx.Response) -> answers.Decision | answers.Taken:
    shape: type[answers.Decision | answers.Taken] = answers.Taken if response.status_code == 202 else answers.Decision
    return msgspec.json.decode(response.content, type=shape)


def _of(member: str, *parts: str) -> str:
    return "/".join(("/v1/members", quoted(member, safe=""), *parts))


def _bytes(fact: Fact) -> bytes:
    return fact if isinstance(fact, bytes) else msgspec.json.encode(fact)
