"""What a cart would earn, and how many points may pay for it."""

from typing import Any

import msgspec
from litestar import Request, Response, post

from ledger.journal.ledger import Ledger
from ledger.wire.facts import MAX_BYTES
from projections.what_if.quote import quote
from service.http.access import caller_of
from service.http.answers import instant, plain_answer
from service.http.problems import Problem
from service.http.responses import PROBLEMS, problems
from service.http.shapes import Quote
from service.http.state import served_by


class _Asked(msgspec.Struct, frozen=True):
    """Whom a cart belongs to, and when it would complete; the rest of the body is the cart."""

    member: str
    at: str | None = None


_asked = msgspec.json.Decoder(_Asked)


@post(
    "/v1/quotes",
    status_code=200,
    responses=PROBLEMS | problems("bad-fact", "too-large", "wrong-media-type"),
    request_max_body_size=MAX_BYTES,
    operation_id="quote",
    summary="Quote a cart",
    tags=["Members"],
)
async def post_quote(request: Request[Any, Any, Any]) -> Response[Quote]:
    """What a cart would earn if it completed now, line by line with the rule, and the most its member may redeem on it.

    The body is the `data` of an `order.completed.v1` with `member` beside it; `order` may be left out. Nothing is kept.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem("wrong-media-type", "application/json is taken here")
    raw = await request.body()
    try:
        asked = _asked.decode(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Problem("bad-fact", f"the body is no cart: {error}", reason="bad-fact") from None
    if not caller_of(request).may_read(asked.member):
        raise Problem("wrong-scope", "the key lacks the scope members:read, or member:read: with this member")

    def dry_run(ledger: Ledger) -> dict[str, Any]:
        return quote(ledger, asked.member, raw, instant(asked.at, "at", ledger.book))

    return plain_answer(await served_by(request).readers.read(dry_run))


HANDLERS = (post_quote,)
