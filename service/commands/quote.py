"""What a cart would earn, and how many points may pay for it."""

from pathlib import Path
from typing import Annotated

import typer

from consumers.files.loader import standard_input
from ledger.errors import BadInput
from ledger.wire.fact_codec import BadFact
from projections.what_if.quote import products
from projections.what_if.quote import quote as quote_fact
from service.commands.options import MemberArgument, option
from service.shell import Answer, Shell, command, instant, readable

MOST_BYTES = 1 << 20


@command
def quote(
    shell: Shell,
    member: MemberArgument,
    cart: Annotated[
        str | None,
        typer.Argument(
            metavar="CART.json",
            help='A cart: {"lines": [...]} as in order.completed; - reads it here. Left out: what cards cost.',
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        option("--at", "T", "As if it completed at this instant. (default: now)"),
    ] = None,
) -> Answer:
    """What this cart would earn, line by line with the rule, and the most this member may redeem on it.

    Without a cart: what each card of the book costs this member, and whether the member may open it.

    Nothing is written: it is a dry run of what would be decided.

    points quote m-17850 cart.json

    points quote m-17850
    """
    if cart is None:
        with shell.reading() as opened:
            offered = products(opened, member, instant(at, "--at", opened.book))
            return Answer(offered, "quote:print_products", opened.book)
    raw = _read(cart)
    with shell.reading() as opened:
        try:
            found = quote_fact(opened, member, raw, instant(at, "--at", opened.book))
        except BadFact as bad:
            raise BadInput(f"{cart}: no cart: {bad.reason}: {bad.detail}") from None
        return Answer(found, "quote:print_quote", opened.book)


def _read(cart: str) -> bytes:
    with readable(cart), standard_input() if cart == "-" else Path(cart).open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise BadInput(f"{cart}: more than {MOST_BYTES:,} bytes; a cart has at most as many as a fact")
    return raw
