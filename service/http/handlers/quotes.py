"""What a cart would earn, how many points may pay for it, what cards cost a member, and what they saved."""

import msgspec
from litestar import Response

from ledger.journal.ledger import Ledger
from ledger.wire.answers import Products, Quote, Savings
from ledger.wire.facts import MAX_BYTES
from ledger.wire.unreadable import UNREADABLE
from projections.answers.savings import savings
from projections.what_if.quote import products, quote
from service.http.access import caller_of, check_readable
from service.http.answers import JSON, answer, check_media_type, instant, plain_answer
from service.http.handlers.members import MEMBER, AsOf, Token
from service.http.operations import AnyRequest, Subject
from service.http.problems import Problem
from service.http.state import served_by


class _Asked(msgspec.Struct, frozen=True):
    """Whom a cart belongs to, and when it would complete; the rest of the body is the cart."""

    member: str
    at: str | None = None


_asked = msgspec.json.Decoder(_Asked)


@Subject("Members").post(
    "/v1/quotes", "quote", "Quote a cart", "bad-fact", "too-large", "wrong-media-type", most_bytes=MAX_BYTES
)
async def post_quote(request: AnyRequest) -> Response[Quote]:
    """What a cart would earn if it completed now, line by line with the rule, and the most its member may redeem on it.

    The body is the `data` of an `order.completed.v1` with `member` beside it; `order` may be left out. Nothing is kept.
    Points of an award with `waits_for` come frozen, and lapse where that budget has no room for them.
    """
    check_media_type(request, JSON)
    raw = await request.body()
    try:
        asked = _asked.decode(raw)
    except UNREADABLE as error:
        raise Problem("bad-fact", f"the body is no cart: {error}", reason="bad-fact") from None
    check_readable(caller_of(request), asked.member)

    def dry_run(ledger: Ledger) -> Quote:
        return quote(ledger, asked.member, raw, instant(asked.at, "at", ledger.book))

    return plain_answer(await served_by(request).readers.read(dry_run))


@MEMBER.get("/v1/members/{member:str}/products", "getProducts", "What cards cost")
async def get_products(request: AnyRequest, member: Token, as_of: AsOf = None) -> Response[Products]:
    """Each card of the book: its price for this member at an instant, and whether the member may open it.

    A purchase is never refused, so the shop asks here before.
    """

    def dry_run(ledger: Ledger) -> Products:
        return products(ledger, member, instant(as_of, "as_of", ledger.book))

    return plain_answer(await served_by(request).readers.read(dry_run))


@MEMBER.get("/v1/members/{member:str}/savings", "getSavings", "What benefits saved", "unknown-member")
async def get_savings(request: AnyRequest, member: Token, as_of: AsOf = None) -> Response[Savings]:
    """What benefits saved a member until an instant, against what the cards cost.

    And what a card would have saved on orders of the 365 days before in which the member had none.
    """

    def found(ledger: Ledger) -> Savings:
        return savings(ledger, member, instant(as_of, "as_of", ledger.book))

    return answer(request, await served_by(request).readers.read(found))


HANDLERS = (post_quote, get_products, get_savings)
