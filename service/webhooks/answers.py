"""Webhooks as they are told: over HTTP, on the command line and in the console alike."""

from ledger.journal.ledger import Ledger
from ledger.wire.answers import Webhook as Answer
from ledger.wire.times import to_text
from service.webhooks.store import Webhook, Webhooks


def described(ledger: Ledger, webhooks: Webhooks, webhook: Webhook, secret: str = "") -> Answer:
    """Return a webhook as it is told; with its secret where it was just made."""
    heads, zone = ledger.heads(), ledger.book.offset
    behind = sum(max(0, heads.get(p, 0) - told.sequence) for p, told in webhooks.told(webhook.name).items())
    return Answer(
        webhook.name,
        webhook.url,
        list(webhook.types),
        list(webhook.outcomes),
        "disabled" if not webhook.is_active else "failing" if webhook.failures else "active",
        webhook.why,
        webhook.is_private,
        webhook.by,
        to_text(webhook.created, zone),
        to_text(webhook.failing_since, zone) if webhook.failing_since else None,
        webhook.failures,
        webhook.delivered,
        to_text(webhook.delivered_at, zone) if webhook.delivered_at else None,
        behind,
        secret,
    )
