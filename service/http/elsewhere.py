"""Serving a ledger that consumers of Kafka decide: nothing is decided here, and what they decided is looked up."""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.facts import PROGRAMME_SUBJECT

LOOK_SECONDS = 0.005  # between two looks at what a consumer has decided, while somebody waits for it
BOOK_SECONDS = 1.0  # between two looks at whether a rule book was published


class BookWatch:
    """Finds out by looking that a rule book was published."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._home = ledger.partition_of(PROGRAMME_SUBJECT)
        self._known = -1

    def has_moved(self) -> bool:
        """Whether there are others than at the last look; what cannot be read now is told to who reads it."""
        known = self._known
        with suppress(JournalError):
            self._known = len(self._ledger.journal(self._home).published())
        return self._known != known


class DecidedElsewhere:
    """Whose turn it is: never this process's. A thread watches for published rule books."""

    look_seconds = LOOK_SECONDS
    is_settled = True

    def __init__(self, ledger: Ledger) -> None:
        self.books = 0  # moves when a rule book was published
        self.trouble = ""
        self._ledger = ledger
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="points-follow", daemon=True)

    def start(self, look: Callable[[Iterable[int]], None]) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def decides(self, partition: int) -> bool:
        """No."""
        return False

    def announce(self, partition: int, *, has_book: bool) -> None:
        """Nothing is decided here."""

    def appended(self, partitions: Iterable[int]) -> None:
        """Consumers follow the topic by themselves."""

    def give_up(self, partition: int) -> bool:
        """Nothing is held here."""
        return True

    def ends_together(self) -> bool:
        """No: consumers go on."""
        return False

    def _watch(self) -> None:
        watch = BookWatch(self._ledger)
        while not self._stopped.wait(BOOK_SECONDS):
            self.books += watch.has_moved()
