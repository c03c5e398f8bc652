"""Trouble that may pass by itself, and when to try again."""

import sqlite3
from time import monotonic

from eventsourcing.persistence import PersistenceError

FIRST_SECONDS, LONGEST_SECONDS = 0.1, 10.0

# The store cannot be used now (a full disk, a database that is away), or nobody knows whether it committed.
STORE_TROUBLE = (sqlite3.Error, PersistenceError, OSError)


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
