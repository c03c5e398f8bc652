"""Whether the ledger that a server or consumer has open was split since: it is to be opened anew then."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from threading import Event, Thread
from typing import Final

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError

LOOK_SECONDS: Final = 1.0


@contextmanager
def split_watch(ledger: Ledger) -> Iterator[Callable[[], bool]]:
    """Yield what returns True once a ledger has other partitions than when it was opened; it is looked at every second.

    Raises `JournalError`.
    """
    is_split, is_ending = Event(), Event()

    def look(again: Ledger) -> None:
        while not (is_split.is_set() or is_ending.wait(LOOK_SECONDS)):
            with suppress(JournalError):  # it may be out of reach for a while
                if again.was_split():
                    is_split.set()

    with closing(ledger.reopen()) as again:
        looking = Thread(target=look, args=(again,), name="points-split-watch", daemon=True)
        looking.start()
        try:
            yield is_split.is_set
        finally:
            is_ending.set()
            looking.join()
