"""When to try again what failed and may succeed later."""

from time import monotonic

from ledger.journal.port import Damaged, Unavailable

FIRST_SECONDS, LONGEST_SECONDS = 0.1, 10.0

# The store cannot be used now (a full disk, a database that is away), or nobody knows whether it committed.
STORE_FAILURES = (Damaged, Unavailable, OSError)


class Backoff:
    """When something that failed may be tried again: pauses that double from `first` to `longest` seconds."""

    def __init__(self, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> None:
        self._first = self._next = first
        self._longest = longest
        self._until = 0.0

    def is_over(self) -> bool:
        """Return True if it may be tried (again)."""
        return monotonic() >= self._until

    def remaining(self) -> float:
        """The seconds until it may be tried again."""
        return max(0.0, self._until - monotonic())

    def failed(self) -> None:
        """Begin a pause, twice as long as the last one."""
        self._until = monotonic() + self._next
        self._next = min(self._next * 2, self._longest)

    def succeeded(self) -> bool:
        """Return True if it had failed before; the next pause is the first again."""
        had_failed = self._next != self._first
        self._next = self._first
        return had_failed
