"""What a member saved, on a screen."""

from rich.console import Console

from ledger.wire.answers import BenefitSavings, Savings
from service.errors import print_plain
from service.languages import text
from service.screens.names import Names


def print_savings(_console: Console, found: Savings, names: Names) -> None:
    """Print what each card saved and cost, what needs no card, and what cards would have saved."""
    saved, fees = names.money(found.saved_fen), names.money(found.fee_fen)
    said = "{member} saved {saved} until {at}; cards cost {fees}"
    print_plain(text(said, member=found.member, saved=saved, at=found.as_of, fees=fees))
    for card in found.cards:
        title = f"{names.membership(card.membership)} {card.product} ({card.card})"
        net = names.money(card.saved_fen - card.fee_fen)
        said = "  {title}: saved {saved}, cost {fee}, which makes {net}"
        fee = names.money(card.fee_fen)
        print_plain(text(said, title=title, saved=names.money(card.saved_fen), fee=fee, net=net))
        _print_benefits(card.benefits, names)
    if found.without_card:
        print_plain(text("  without a card:"))
        _print_benefits(found.without_card, names)
    for worth in found.worth:
        days = text("{days} day" if worth.value_days == 1 else "{days} days", days=worth.value_days)
        most = names.money(worth.value_fen)
        print_plain(text("  {name}: up to {most} for {days}", name=names.benefit(worth.benefit), most=most, days=days))
    for missed in found.missed:
        saved, name = names.money(missed.saved_fen), names.membership(missed.membership)
        print_plain(text("  {name} would have saved {saved} since {at}", name=name, saved=saved, at=missed.from_))
        _print_benefits(missed.benefits, names)
        for product, price in missed.prices.items():
            if price is not None:
                print_plain(text("    {product} costs {price}", product=product, price=names.money(price)))


def _print_benefits(benefits: list[BenefitSavings], names: Names) -> None:
    for one in benefits:
        how = [text("{times} claimed", times=one.times)] if one.times else []
        if one.lines:
            how.append(_lines(one.lines, names.money(one.list_fen)))
        print_plain(f"    {one.name} ({one.benefit}): {names.money(one.saved_fen)}, {', '.join(how)}")


def _lines(lines: int, price: str) -> str:
    if lines == 1:
        return text("1 line of {price}", price=price)
    return text("{lines} lines of {price}", lines=lines, price=price)
