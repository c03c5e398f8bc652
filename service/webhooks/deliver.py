"""Delivers: reads each partition's journal behind where a webhook stands, and posts what stands there.

A webhook stands still where its receiver does not acknowledge, and goes on from there: nothing is left out, each
member's entries come in order, and after a crash some come again. A message has the same name whenever it is sent
again with the same entries.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import httpx

from ledger.errors import ControlFlow
from ledger.journal.growth import parent_of
from ledger.journal.ledger import Ledger
from ledger.wire.answers import PublishedDecision
from ledger.wire.times import SECOND
from projections.answers.feed import Filter, described
from projections.answers.to_json import to_json
from service.errors import say
from service.webhooks.sending import client, send
from service.webhooks.store import NotDelivered, Told, Webhook, Webhooks

MOST_ENTRIES = 100  # of a message, and
MOST_BYTES = 1 << 20  # of them, unless one has more
LOOKED_THROUGH = 1_000  # entries at once, where a filter leaves out most of them
LOOK_SECONDS = 0.25  # between two looks at the journals, and at the webhooks
AT_ONCE = 4  # messages to one receiver, each of another partition
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # seconds, behind a failure
GIVE_UP = 3 * 86_400 * SECOND  # of failures, without one success
TYPE, TEST = "points.entries.decided.v1", "points.webhook.test.v1"


class _Batch(NamedTuple):
    """What stands next for a webhook in a partition: where it stands behind it, and the entries that are told of it."""

    told: Told
    entries: list[PublishedDecision]
    first: int


class OtherJournal(ControlFlow):
    """The journal is not the one that a webhook was told of: an earlier state was put back."""


async def deliver(ledger: Ledger, webhooks: Webhooks, check: Callable[[], None]) -> None:
    """Deliver for ever. Raises `JournalError`, also where `check` says that another process may deliver, too."""
    tasks: dict[str, asyncio.Task[None]] = {}
    async with client() as http:
        while True:
            check()
            wanted = {webhook.name: webhook for webhook in webhooks.all() if webhook.is_active}
            for name, task in list(tasks.items()):
                if name not in wanted:
                    task.cancel()
                if task.done():
                    del tasks[name]
                    if not task.cancelled():
                        task.result()  # raises what ended it
            for name in wanted.keys() - tasks.keys():
                tasks[name] = asyncio.get_running_loop().create_task(_Delivery(ledger, webhooks, http, name).run())
            await asyncio.sleep(LOOK_SECONDS)


async def send_test(ledger: Ledger, webhook: Webhook) -> None:
    """Send a message without entries. Raises `NotDelivered`."""
    body = to_json({"type": TEST, "timestamp": "", "data": {"ledger": ledger.identity, "entries": []}})
    async with client() as http:
        await send(http, webhook, f"msg_test_{os.urandom(8).hex()}", body)


class _Delivery:
    """The delivery to one webhook, until it is disabled or removed."""

    def __init__(self, ledger: Ledger, webhooks: Webhooks, http: httpx.AsyncClient, name: str) -> None:
        self._ledger = ledger
        self._webhooks = webhooks
        self._http = http
        self._name = name

    async def run(self) -> None:
        """Deliver until the webhook is disabled."""
        pause = FIRST_PAUSE
        while True:
            webhook = self._webhooks.named(self._name)
            if not webhook.is_active:
                return
            try:
                moved = await self._round(webhook)
            except NotDelivered as error:
                if self._failed(error):
                    return
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            except OtherJournal as error:
                self._disable(str(error))
                return
            pause = FIRST_PAUSE
            if not moved:
                await asyncio.sleep(LOOK_SECONDS)

    def _failed(self, error: NotDelivered) -> bool:
        """Keep a failure; return True if it was the last one that is borne."""
        found = self._webhooks.fail(self._name, str(error))
        if found is None or not found.is_active:
            return True
        if found.failures == 1:
            say(f"webhook {self._name}: {error}; it is tried again, with growing pauses")
        since = found.failing_since or found.created
        if error.is_gone or _now() - since > GIVE_UP:
            self._disable(str(error))
            return True
        return False

    def _disable(self, why: str) -> None:
        self._webhooks.disable(self._name, why)
        say(f"webhook {self._name} is disabled: {why}; `points webhooks enable {self._name}` begins where it stopped")

    async def _round(self, webhook: Webhook) -> bool:
        """Send what stands next in each partition; return True if anything stood there. Raises the first failure."""
        heads = self._ledger.heads()
        self._webhooks.grow(self._ledger, webhook.name)
        told = self._webhooks.told(webhook.name)
        waiting = [p for p, one in told.items() if one.sequence != heads.get(p, 0) and self._is_next(p, told)]
        for at in range(0, len(waiting), AT_ONCE):
            sending = [self._send_next(webhook, partition) for partition in waiting[at : at + AT_ONCE]]
            for result in await asyncio.gather(*sending, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result
        return bool(waiting)

    def _is_next(self, partition: int, told: Mapping[int, Told]) -> bool:
        """Return True once what stood where a partition branched off is told: a member's earlier entries come first."""
        parent = parent_of(self._ledger.settings.grown, partition)
        return told[parent].sequence >= self._ledger.branch(partition).entries

    async def _send_next(self, webhook: Webhook, partition: int) -> None:
        batch = self._next(webhook, partition, self._webhooks.told(webhook.name)[partition])
        if batch.entries:
            identity, last = self._ledger.identity, batch.told.sequence
            body = to_json(
                {
                    "type": TYPE,
                    "timestamp": batch.entries[-1].recorded,
                    "data": {"ledger": identity, "partition": partition, "entries": batch.entries},
                }
            )
            await send(self._http, webhook, f"msg_{identity[:12]}_{partition}_{batch.first}_{last}", body)
        self._webhooks.tell(webhook.name, partition, batch.told, len(batch.entries))

    def _next(self, webhook: Webhook, partition: int, told: Told) -> _Batch:
        """Return what stands behind where a webhook was told. Raises `OtherJournal`."""
        wanted = Filter("", frozenset(webhook.types), frozenset(webhook.outcomes))
        journal = self._ledger.journal(partition)
        rows = journal.scan(max(0, told.sequence - 1), told.sequence + LOOKED_THROUGH)
        before = next(rows, None) if told.sequence else None
        if told.sequence and (before is None or before.link != told.link):
            raise OtherJournal(
                f"partition {partition} is not the journal that it was told of: an earlier state was put back. `points"
                f" webhooks enable {webhook.name} --from-now` goes on with what is decided from then on"
            )
        entries: list[PublishedDecision] = []
        size = 0
        for row in rows:
            entry = described(self._ledger, partition, row, wanted)
            told = Told(row.sequence, row.link)
            if entry is not None:
                entries.append(entry)
                size += len(row.state)
                if len(entries) == MOST_ENTRIES or size > MOST_BYTES:
                    break
        return _Batch(told, entries, entries[0].place if entries else 0)


def _now() -> int:
    return time.time_ns() // 1000
