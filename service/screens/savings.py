"""What a member saved, on a screen."""

from rich.console import Console

from ledger.wire.answers import BenefitSavings, Savings
from projections.explaining.speech import ENGLISH
from service.errors import print_plain
from service.screens.names import Names


def print_savings(_console: Console, found: Savings, names: Names) -> None:
    """Print what each card saved and cost, what needs no card, and what cards would have saved."""
    saved, fees = names.money(found.saved_fen), names.money(found.fee_fen)
    print_plain(f"{found.member} saved {saved} until {found.as_of}; cards cost {fees}")
    for card in found.cards:
        title = f"{names.membership(card.membership)} {card.product} ({card.card})"
        net = names.money(card.saved_fen - card.fee_fen)
        print_plain(
            f"  {title}: saved {names.money(card.saved_fen)}, cost {names.money(card.fee_fen)}, which makes {net}"
        )
        _print_benefits(card.benefits, names)
    if found.without_card:
        print_plain("  without a card:")
        _print_benefits(found.without_card, names)
    for worth in found.worth:
        days = ENGLISH.count(worth.value_days, "day")
        print_plain(f"  {names.benefit(worth.benefit)}: up to {names.money(worth.value_fen)} for {days}")
    for missed in found.missed:
        print_plain(
            f"  {names.membership(missed.membership)} would have saved {names.money(missed.saved_fen)}"
            f" since {missed.from_}"
        )
        _print_benefits(missed.benefits, names)
        for product, price in missed.prices.items():
            if price is not None:
                print_plain(f"    {product} costs {names.money(price)}")


def _print_benefits(benefits: list[BenefitSavings], names: Names) -> None:
    for one in benefits:
        how = [f"{one.times:,} claimed"] if one.times else []
        if one.lines:
            how.append(f"{ENGLISH.count(one.lines, 'line')} of {names.money(one.list_fen)}")
        print_plain(f"    {one.name} ({one.benefit}): {names.money(one.saved_fen)}, {', '.join(how)}")
