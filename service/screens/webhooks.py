"""Webhooks on a screen."""

from rich.console import Console

from ledger.wire.answers import Webhook
from projections.answers.plain import plain
from service.errors import print_plain
from service.languages import text, told
from service.screens.grid import grid


def print_webhooks(console: Console, webhooks: list[Webhook]) -> None:
    """Print every webhook, a row each."""
    if not webhooks:
        print_plain("there are no webhooks; `points webhooks add NAME URL` makes one")
        return
    table = grid(*map(text, ("name", "url", "told of", "state", "delivered", "behind", "why")))
    for webhook in webhooks:
        told_of = " ".join([*webhook.types, *webhook.outcomes]) or text("all")
        numbers = f"{webhook.delivered:,}", f"{webhook.behind:,}"
        table.add_row(
            plain(webhook.name), plain(webhook.url), told_of, text(webhook.state), *numbers, plain(told(webhook.why))
        )
    console.print(table)
