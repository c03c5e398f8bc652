"""What a member saved, on a screen."""

from rich.console import Console

from ledger.wire.answers import BenefitSavings, Savings
from projections.explaining.words import count, yuan
from service.errors import print_plain
from service.screens.names import Names


def print_savings(_console: Console, found: Savings, names: Names) -> None:
    """Print what each card saved and cost, what needs no card, and what cards would have saved."""
    print_plain(f"{found.member} saved {yuan(found.saved_fen)} until {found.as_of}; cards cost {yuan(found.fee_fen)}")
    for card in found.cards:
        title = f"{names.membership(card.membership)} {card.product} ({card.card})"
        net = yuan(card.saved_fen - card.fee_fen)
        print_plain(f"  {title}: saved {yuan(card.saved_fen)}, cost {yuan(card.fee_fen)}, which makes {net}")
        _print_benefits(card.benefits)
    if found.without_card:
        print_plain("  without a card:")
        _print_benefits(found.without_card)
    for worth in found.worth:
        days = count(worth.value_days, "day")
        print_plain(f"  {names.benefit(worth.benefit)}: up to {yuan(worth.value_fen)} for {days}")
    for missed in found.missed:
        print_plain(
            f"  {names.membership(missed.membership)} would have saved {yuan(missed.saved_fen)} since {missed.from_}"
        )
        _print_benefits(missed.benefits)
        for product, price in missed.prices.items():
            if price is not None:
                print_plain(f"    {product} costs {yuan(price)}")


def _print_benefits(benefits: list[BenefitSavings]) -> None:
    for one in benefits:
        how = [f"{one.times:,} claimed"] if one.times else []
        if one.lines:
            how.append(f"{count(one.lines, 'line')} of {yuan(one.list_fen)}")
        print_plain(f"    {one.name} ({one.benefit}): {yuan(one.saved_fen)}, {', '.join(how)}")
