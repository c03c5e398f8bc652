"""Facts that other accounts go on with, waited for until the decision that has the last word."""

import asyncio
import time

from ledger.wire.answers import Decision
from projections.answers.last_word import is_open, last_word
from service.http.state import Served

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.2  # seconds between two looks


async def ended(served: Served, first: Decision, wait: float) -> Decision | None:
    """Return the decision in which a fact ended, None where that is not known within `wait` s."""
    if not is_open(first):
        return first
    until, pause = time.monotonic() + wait, FIRST_PAUSE
    while (found := await served.readers.read(lambda ledger: last_word(ledger, first))) is None:
        if time.monotonic() + pause > until:
            return None
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    return found
