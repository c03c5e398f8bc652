"""Gaps in the stream that operators accepted, as a server tells of them: looked for now and then."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ledger.journal.gaps import GAP
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from service.http.pending import Busy

EVERY_SECONDS = 10.0


class AcceptedGaps:
    """How many gaps each partition has; one that has none is not there."""

    def __init__(self) -> None:
        self.by_partition: dict[int, int] = {}
        self._upto: dict[int, int] = {}  # the offset by partition up to which was looked

    async def run(self, read: Callable[[Callable[[Ledger], None]], Awaitable[None]]) -> None:
        """Go on for ever; `read` asks the ledger in another thread."""
        while True:
            with suppress(Busy, JournalError):
                await read(self._look)
            await asyncio.sleep(EVERY_SECONDS)

    def _look(self, ledger: Ledger) -> None:
        found = dict(self.by_partition)
        for partition in ledger.partitions:
            with suppress(JournalError):  # what cannot be read now is looked at again
                journal = ledger.journal(partition)
                end = journal.head().offset
                gaps = [at for at in journal.parked_for(GAP, after=self._upto.get(partition, -1)) if at <= end]
                if gaps:
                    found[partition] = found.get(partition, 0) + len(gaps)
                self._upto[partition] = end
        self.by_partition = found
