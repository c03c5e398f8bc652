"""Sharing a ledger in a folder with the other workers of its one server: which decides a partition, and what is new.

Whose turn it is, is settled for good: every N-th partition belongs to a worker, which is started again when it dies.
News travel over the workers' ties, and what is lost of them is found by looking, now and then.
"""

import threading
import time
import traceback
from collections.abc import Callable, Iterable

from consumers.runtime.notify import APPENDED, DECIDED, news, read_news
from ledger.journal.ledger import Ledger
from service.http.deciders import Part
from service.http.elsewhere import BookWatch
from service.http.server import GRACE_SECONDS
from service.http.ties import Appending

LOOK_SECONDS = 0.5  # between two looks at what another worker decides, and
INBOX_SECONDS = 5.0  # at what the inbox holds and whether a book was published, should news of it be lost
AGAIN_SECONDS = 1.0  # until it hears again after what it did not expect


class SharedFolder:
    """A thread that hears what the other workers tell."""

    look_seconds = LOOK_SECONDS
    is_settled = True
    trouble = ""

    def __init__(self, ledger: Ledger, part: Part) -> None:
        assert part.ties is not None
        self.books = 0  # moves when another worker may have decided about a published book
        self._worker = part.worker
        self._ties = part.ties
        self._partitions = ledger.partitions
        self._ours = part.of(ledger.partitions)
        others = (worker for worker in range(part.workers) if worker != part.worker)
        self._theirs = {worker: Part(worker, part.workers).of(ledger.partitions) for worker in others}
        self._appending = Appending(part.ties)
        self._books = BookWatch(ledger)
        self._look: Callable[[Iterable[int]], None] = lambda _: None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="points-share", daemon=True)

    def start(self, look: Callable[[Iterable[int]], None]) -> None:
        """Begin; `look` is told of partitions with news."""
        self._look = look
        self._thread.start()

    def stop(self) -> None:
        """Hear no more."""
        self._stopping = True
        self._ties.tell(self._worker, "")  # wakes our own thread
        if self._thread.is_alive():
            self._thread.join()

    def decides(self, partition: int) -> bool:
        """Whether a partition is this worker's to decide."""
        return partition in self._ours

    def announce(self, partition: int, *, has_book: bool) -> None:
        """Tell the others that a partition was decided further, and whether about a published book."""
        for worker in self._theirs:
            self._ties.tell(worker, news(DECIDED, [partition], has_book=has_book))

    def appended(self, partitions: Iterable[int]) -> None:
        """Tell those that decide partitions that there is more."""
        told = frozenset(partitions)
        for worker, theirs in self._theirs.items():
            if told & theirs:
                self._ties.tell(worker, news(APPENDED, told & theirs))

    def give_up(self, partition: int) -> bool:
        """No: nobody else is to decide it."""
        return False

    def ends_together(self) -> bool:
        """Wait until no worker appends any more; False where that takes too long."""
        return self._appending.end(GRACE_SECONDS)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        look_at = 0.0
        while not self._stopping:
            try:
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + INBOX_SECONDS
                    self._look(self._partitions)
                    self.books += self._books.has_moved()
                self._hear(max(0.0, look_at - time.monotonic()))
            except Exception:  # whatever it is: what is lost by it is found at the next look
                traceback.print_exc()
                time.sleep(AGAIN_SECONDS)

    def _hear(self, seconds: float) -> None:
        look: set[int] = set()
        for told in map(read_news, self._ties.hear(seconds)):
            look |= told.concerning(self._ours)
            self.books += told.has_book
        if look:
            self._look(look)
