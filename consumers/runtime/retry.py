"""Trouble that may pass by itself, and when to try again."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

from consumers.kafka.port import BrokerAway
from consumers.runtime.events import Observe, Recovered, Trouble
from ledger.journal.port import Damaged, Unavailable

T = TypeVar("T")

FIRST_SECONDS, LONGEST_SECONDS = 0.1, 10.0
LISTEN_SECONDS = 0.05  # between two looks at whether to stop

# The store cannot be used now (a full disk, a database that is away), or nobody knows whether it committed.
STORE_TROUBLE = (Damaged, Unavailable, OSError)


class Pauses:
    """When something that failed may be tried again: pauses that double, up to a bound."""

    def __init__(self, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> None:
        self._first = self._next = first
        self._longest = longest
        self._until = 0.0

    def are_over(self) -> bool:
        """Whether it may be tried (again)."""
        return monotonic() >= self._until

    def failed(self) -> None:
        """It failed: wait, twice as long as the last time."""
        self._until = monotonic() + self._next
        self._next = min(self._next * 2, self._longest)

    def succeeded(self) -> bool:
        """It went well; says whether it had failed before."""
        had_failed = self._next != self._first
        self._next = self._first
        return had_failed


def once_a_broker_answers(attempt: Callable[[], T], observe: Observe, is_stopped: Callable[[], bool]) -> T | None:
    """What an attempt gives, made again while no broker answers; None where it is stopped before one does."""
    pauses = Pauses()
    while not is_stopped():
        if not pauses.are_over():
            sleep(LISTEN_SECONDS)
            continue
        try:
            found = attempt()
        except BrokerAway as error:
            observe(Trouble("kafka", str(error)))
            pauses.failed()
            continue
        if pauses.succeeded():
            observe(Recovered("kafka"))
        return found
    return None
