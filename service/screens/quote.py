"""A quote on a screen."""

from rich.console import Console

from ledger.wire.answers import Products, Quote
from service.errors import print_plain
from service.screens.names import Names


def print_quote(_console: Console, found: Quote, names: Names) -> None:
    """Print what each line would earn by which rule, and the most that may be redeemed."""
    print_plain(f"{found.member}{'' if found.known else ' (new here)'} at {found.at}")
    if found.reason:
        print_plain(f"  would be {found.outcome}: {found.reason}")
    for line in found.earn.lines:
        where = f"line {line.line}" if line.line else "the order"
        for award in line.awards:
            what = f"{award['points']:+,}" if "points" in award else f"nothing ({award['why']})"
            unit = award.get("kind") or award.get("score") or ""
            print_plain(f"  {where:<12} {what:>8} {unit:<10} {names.rule(award['rule'])}")
    for use in found.redeem:
        no_more = use.no_more
        figures = ", ".join(f"{name} {value}" for name, value in no_more.figures.items())
        why = no_more.reason + (f" ({figures})" if figures else "")
        print_plain(f"  may redeem {use.most:,} {use.kind} for {use.use}; no more: {why}")


def print_products(_console: Console, found: Products, names: Names) -> None:
    """Print what each card costs the member, and why the member may not open it."""
    print_plain(f"{found.member}{'' if found.known else ' (new here)'} at {found.at}")
    for card in found.products:
        price = "no price" if card.price_fen is None else names.money(card.price_fen)
        needs = names.opened_by(card.product)
        whom = f" (for members: {needs})" if needs else ""
        may = "may be opened" if card.eligible else f"not for this member: {card.why}{whom}"
        print_plain(f"  {card.membership:<12} {card.product:<20} {price:>12}  {may}")
