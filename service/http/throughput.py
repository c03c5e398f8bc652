"""How many facts come in and are decided a second: now, and over the last minutes."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from ledger.journal.port import JournalError
from service.http.pending import Busy

SPANS = (10, 60, 300)  # seconds
EVERY_SECONDS = 5.0
LEAST_SECONDS = 1.0  # over which a rate is told
MOST = 1_000  # looks that are kept


class Rate(NamedTuple):
    """Facts made durable and facts decided a second, over the last `seconds` or as long as the server has looked."""

    seconds: int
    facts: float
    decisions: float


class Throughput:
    """Looks now and then at what was taken and decided by any process, and works out how fast. In the event loop."""

    def __init__(self, read: Callable[[], Awaitable[tuple[int, int]]]) -> None:
        self._read = read
        self._seen: deque[tuple[float, int, int]] = deque(maxlen=MOST)

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            await self._look()
            await asyncio.sleep(EVERY_SECONDS)

    async def over(self) -> list[Rate]:
        """The rates of each span up to now, or of what is known of it."""
        await self._look()
        if not self._seen:
            return [Rate(span, 0.0, 0.0) for span in SPANS]
        last, facts, decisions = self._seen[-1]
        found = []
        for span in SPANS:
            then, facts_then, decisions_then = next(one for one in self._seen if last - one[0] <= span)
            seconds = max(last - then, LEAST_SECONDS)
            found.append(Rate(span, (facts - facts_then) / seconds, (decisions - decisions_then) / seconds))
        return found

    async def _look(self) -> None:
        """What cannot be read now is left out."""
        with suppress(Busy, JournalError):
            self._seen.append((time.monotonic(), *await self._read()))
