"""The clock of this host, by which facts that no broker stamps are recorded, and what others say against it.

A clock that is ahead stamps facts with instants that have not come. What is stamped far ahead of what a second source
says is not taken: `POINTS_CLOCK_TOLERANCE` is how far, in seconds.
"""

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from ledger.errors import WrongUse
from ledger.wire.times import DAY, SECOND

TOLERANCE = "POINTS_CLOCK_TOLERANCE"
DEFAULT_SECONDS = 300  # against another clock
MOST_SECONDS = 100 * 366 * 86_400  # a hundred years: whatever a clock says is taken
TOLD_SECONDS = 60  # what is less may be between any two clocks
LEAST_BY_FACTS = 7 * DAY  # against the facts' own times, which may come late


def now() -> int:
    """Return the present instant as this host's clock has it: microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def tolerance(environment: Mapping[str, str] = os.environ) -> int:
    """Return how far a stamp may be ahead of another clock, in microseconds. Raises `WrongUse` for a bad setting."""
    text = environment.get(TOLERANCE, "")
    if not text:
        return DEFAULT_SECONDS * SECOND
    if not text.isdecimal() or not 1 <= int(text[:12]) <= MOST_SECONDS:
        raise WrongUse(f'{TOLERANCE}="{text}": give whole seconds, 1 to {MOST_SECONDS:,} (default {DEFAULT_SECONDS})')
    return int(text) * SECOND


def seconds_ahead(recorded: int, at: int | None = None) -> int:
    """Return by how many seconds `recorded` is later than the present instant; 0 where that is less than a minute."""
    seconds = (recorded - (now() if at is None else at)) // SECOND
    return seconds if seconds >= TOLD_SECONDS else 0


def says(instant: int) -> str:
    """Return an instant as errors about clocks tell it, in UTC."""
    return datetime.fromtimestamp(instant // SECOND, UTC).isoformat()


def way_out(stamp: int, other: int) -> str:
    """Return what an operator does about two clocks that differ."""
    seconds = (stamp - other) // SECOND
    return (
        "set right the one that is wrong (NTP) and try again; where it is not this host's, go on with"
        f" {TOLERANCE}={seconds + DEFAULT_SECONDS} for the time being"
    )
