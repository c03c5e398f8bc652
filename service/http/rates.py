"""How many facts come in and are decided a second, from counters in memory: now, and over the last minutes."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

SPANS = (10, 60, 300)  # seconds
EVERY_SECONDS = 1.0


class Rate(NamedTuple):
    """Facts made durable and facts decided a second, over the last `seconds` or since the server began."""

    seconds: int
    facts: float
    decisions: float


class Rates:
    """Looks at two counters, of facts and of decisions, every second. `run` in the event loop."""

    def __init__(self, read: Callable[[], tuple[int, int]]) -> None:
        self._read = read
        self._seen: deque[tuple[float, int, int]] = deque(maxlen=int(max(SPANS) / EVERY_SECONDS) + 1)
        self._look()

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self._look()

    def over(self) -> list[Rate]:
        """The rates of each span."""
        seen, now = list(self._seen), time.monotonic()
        facts, decisions = self._read()
        found = []
        for span in SPANS:
            then, facts_then, decisions_then = next(
                (one for one in seen if now - one[0] <= span + EVERY_SECONDS), seen[-1]
            )
            seconds = max(now - then, EVERY_SECONDS)
            found.append(Rate(span, (facts - facts_then) / seconds, (decisions - decisions_then) / seconds))
        return found

    def _look(self) -> None:
        self._seen.append((time.monotonic(), *self._read()))
