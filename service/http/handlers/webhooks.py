"""Webhooks over HTTP: who is told of entries, for a key that may operate and read every member."""

import asyncio
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Annotated, TypeVar

from litestar import Response
from litestar.params import PathParameter, QueryParameter

from ledger.journal.ledger import Ledger
from ledger.wire.answers import Webhook, WebhookRequest, Webhooks
from service.http.access import caller_of, needs
from service.http.answers import answer, plain_answer
from service.http.operations import AnyRequest, IdempotencyKey, Subject, once_named
from service.http.problems import Problem
from service.http.state import Served, served_by
from service.webhooks import store
from service.webhooks.answers import described
from service.webhooks.store import NotDelivered

BYTES = 16 << 10  # of a request
T = TypeVar("T")
Name = Annotated[str, PathParameter(description="The webhook's name.", max_length=store.LONGEST_NAME)]
_WEBHOOKS = Subject("Webhooks", needs("operate"), needs("members:read"))


@_WEBHOOKS.get("/v1/webhooks", "getWebhooks", "Webhooks")
async def get_webhooks(request: AnyRequest) -> Response[Webhooks]:
    """Every webhook, how far it is behind, and why it fails where it does."""
    found = await _asked(
        served_by(request), lambda ledger, kept: Webhooks([described(ledger, kept, webhook) for webhook in kept.all()])
    )
    return answer(request, found)


@_WEBHOOKS.post(
    "/v1/webhooks",
    "addWebhook",
    "Add a webhook",
    "bad-webhook",
    "too-large",
    "wrong-media-type",
    most_bytes=BYTES,
    status=201,
)
async def add(request: AnyRequest, data: WebhookRequest, idempotency_key: IdempotencyKey = None) -> Response[Webhook]:
    """Have entries posted as they are decided: signed (Standard Webhooks), in order, again until acknowledged.

    The secret is in this answer alone. Addresses that are not public are reached only where an operator added the
    webhook on the ledger's host.
    """
    by = caller_of(request).name

    def add_to(ledger: Ledger, kept: store.Webhooks) -> Webhook:
        made = kept.add(
            ledger,
            data.name,
            data.url,
            by,
            types=data.types,
            outcomes=data.outcomes,
            from_beginning=data.from_beginning,
            once=once_named(by, idempotency_key),
        )
        return described(ledger, kept, made, made.secret)

    served = served_by(request)
    made = await _asked(served, add_to)
    await _record(served, by, data.name, f"add {data.url}")
    return plain_answer(made, 201)


@_WEBHOOKS.post(
    "/v1/webhooks/{name:str}/rotation",
    "rotateWebhook",
    "Rotate a webhook's secret",
    "unknown-webhook",
    most_bytes=BYTES,
)
async def rotate(
    request: AnyRequest,
    name: Name,
    at_once: Annotated[bool, QueryParameter(description="The old secret signs no more: it has become known.")] = False,
    idempotency_key: IdempotencyKey = None,
) -> Response[Webhook]:
    """Give it a new secret, which is in this answer alone. The old one signs beside it for a day."""
    served, by = served_by(request), caller_of(request).name

    def rotate_it(ledger: Ledger, kept: store.Webhooks) -> Webhook:
        _named(kept, name)
        found = kept.rotate(name, at_once=at_once, once=once_named(by, idempotency_key))
        return described(ledger, kept, found, found.secret)

    found = await _asked(served, rotate_it)
    await _record(served, by, name, "rotate at once" if at_once else "rotate")
    return plain_answer(found)


@_WEBHOOKS.delete("/v1/webhooks/{name:str}", "removeWebhook", "Remove a webhook", "unknown-webhook")
async def remove(request: AnyRequest, name: Name) -> Response[Webhook]:
    """Take a webhook away: it is told nothing more."""
    served, by = served_by(request), caller_of(request).name

    def remove_it(ledger: Ledger, kept: store.Webhooks) -> Webhook:
        told = described(ledger, kept, _named(kept, name))
        kept.remove(name)
        return told

    found = await _asked(served, remove_it)
    await _record(served, by, name, "remove")
    return plain_answer(found)


@_WEBHOOKS.post(
    "/v1/webhooks/{name:str}/enabling", "enableWebhook", "Enable a webhook", "unknown-webhook", most_bytes=BYTES
)
async def enable(request: AnyRequest, name: Name) -> Response[Webhook]:
    """Begin again with a webhook that was disabled, where it stopped."""
    served, by = served_by(request), caller_of(request).name

    def enable_it(ledger: Ledger, kept: store.Webhooks) -> Webhook:
        _named(kept, name)
        return described(ledger, kept, kept.enable(ledger, name))

    found = await _asked(served, enable_it)
    await _record(served, by, name, "enable")
    return plain_answer(found)


@_WEBHOOKS.post(
    "/v1/webhooks/{name:str}/test",
    "testWebhook",
    "Test a webhook",
    "unknown-webhook",
    "not-delivered",
    most_bytes=BYTES,
)
async def test(request: AnyRequest, name: Name) -> Response[Webhook]:
    """Send a signed message without entries now; 200 once it is acknowledged, 502 with why it was not."""
    served = served_by(request)
    found, told = await _asked(
        served, lambda ledger, kept: (_named(kept, name), described(ledger, kept, _named(kept, name)))
    )
    try:
        await resolve_name("service.webhooks.deliver:send_test")(served.ledger, found)
    except NotDelivered as error:
        raise Problem("not-delivered", str(error)) from None
    return plain_answer(told)


async def _asked(served: Served, ask: Callable[[Ledger, store.Webhooks], T]) -> T:
    """Ask the webhooks in one of the threads that read. Raises `Problem`."""

    def asked(ledger: Ledger) -> T:
        with store.webhooks_in(served.state, served.folder) as kept:
            return ask(ledger, kept)

    try:
        return await served.histories.read(asked)
    except store.BadWebhook as error:
        raise Problem("bad-webhook", str(error)) from None


async def _record(served: Served, by: str, name: str, what: str) -> None:
    await asyncio.to_thread(served.operator_log.record, by, "webhook", name, why=what)


def _named(kept: store.Webhooks, name: str) -> store.Webhook:
    """Return a webhook. Raises `Problem`."""
    try:
        return kept.named(name)
    except store.BadWebhook as error:
        raise Problem("unknown-webhook", str(error)) from None


HANDLERS = (get_webhooks, add, rotate, remove, enable, test)
