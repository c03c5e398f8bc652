"""Sharing a ledger in PostgreSQL with other processes that serve it: which decides a partition, and what is new.

A claim says whose turn it is to decide a partition. Each process takes those it is meant for, and those that nobody has
taken for a while; it leaves one that it is not meant for to a process that is. News travel by NOTIFY, and are only
hints: what is lost of them is found by looking, now and then.
"""

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import closing, suppress

from consumers.runtime.notify import DECIDED, news, read_news
from ledger.journal.claims import PostgresClaims
from ledger.journal.database import DatabaseLedger
from ledger.journal.port import JournalError, Unavailable
from service.http.deciders import Part

# First words of news beside those of `consumers.news`: claims that their holder is asked for, and that were left.
WANTED, FREE = "wanted", "free"
SETTLE_SECONDS = 1.0  # between two looks at who has claimed what
ORPHAN_SECONDS = 3.0  # that a partition meant for another worker stays without one before it is taken
LOOK_SECONDS = 0.5  # between two looks at what another process decides, and
INBOX_SECONDS = 5.0  # at what our partitions' inboxes hold, should news of it be lost
AGAIN_SECONDS = 1.0  # until the connection is opened again, or a partition that was given up is claimed


class SharedDatabase:
    """A thread that claims partitions for this process, and hears what others tell."""

    look_seconds = LOOK_SECONDS

    def __init__(self, ledger: DatabaseLedger, part: Part) -> None:
        self.books = 0  # moves when another process may have decided about a published book
        self.trouble = ""  # why nothing is heard now
        self.is_settled = False  # whether it was found out once whose turn it is
        self._ledger = ledger
        self._held: frozenset[int] = frozenset()
        self._meant = part.of(ledger.partitions)
        self._look: Callable[[Iterable[int]], None] = lambda _: None
        self._given_up: dict[int, float] = {}  # partition -> when it may be claimed again
        self._free_since: dict[int, float] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="points-share", daemon=True)

    def start(self, look: Callable[[Iterable[int]], None]) -> None:
        """Begin; `look` is told of partitions with news."""
        self._look = look
        self._thread.start()

    def stop(self) -> None:
        """Leave all partitions to others."""
        self._stopping = True
        self._tell(news(FREE, ()))  # wakes our own thread
        if self._thread.is_alive():
            self._thread.join()
        self._tell(news(FREE, ()))

    def decides(self, partition: int) -> bool:
        """Whether a partition is this process's to decide."""
        return partition in self._held and partition not in self._given_up

    def announce(self, partition: int, *, has_book: bool) -> None:
        """Tell the others that a partition was decided further, and whether about a published book."""
        self._tell(news(DECIDED, [partition], has_book=has_book))

    def appended(self, partitions: Iterable[int]) -> None:
        """Nothing: the inbox has told it."""

    def give_up(self, partition: int) -> bool:
        """Leave a partition to the process that took it."""
        self._given_up[partition] = time.monotonic() + AGAIN_SECONDS
        return True

    def ends_together(self) -> bool:
        """No: others go on."""
        return False

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            try:
                with closing(self._ledger.claims()) as claims:
                    self._share(claims)
                self._held = frozenset()
            except Exception as error:  # whatever it is: it is begun anew
                if not isinstance(error, JournalError):
                    traceback.print_exc()
                self._held = frozenset()
                self.trouble = str(error) or type(error).__name__
                print(f"points: the other processes cannot be heard: {self.trouble}", file=sys.stderr)
                self._look(self._ledger.partitions)
                time.sleep(AGAIN_SECONDS)

    def _share(self, claims: PostgresClaims) -> None:
        heard = claims.notifications(0)  # from here on nothing is missed
        self.books += 1
        settle_at = look_at = 0.0
        while not self._stopping:
            now = time.monotonic()
            if self._hear(heard, claims) or now >= settle_at:
                self._settle(claims, now)
                settle_at = now + SETTLE_SECONDS
            if now >= look_at:
                self._look(self._ledger.partitions)
                look_at = now + INBOX_SECONDS
            heard = claims.notifications(max(0.0, settle_at - time.monotonic()))

    def _settle(self, claims: PostgresClaims, now: float) -> None:
        """Claim what is meant for us, and what nobody has."""
        for partition, until in list(self._given_up.items()):
            if now >= until:
                del self._given_up[partition]
        given_up = set(self._given_up)
        claims.release(sorted(given_up))
        taken = claims.taken()
        self._free_since = {p: self._free_since.get(p, now) for p in self._ledger.partitions if p not in taken}
        orphans = {p for p, since in self._free_since.items() if now - since >= ORPHAN_SECONDS}
        before = self._held
        self._held = frozenset(claims.take(sorted((self._meant | orphans | before) - given_up)))
        self.trouble = ""
        self.is_settled = True
        if self._held != before:
            self._look(self._held ^ before)
        if missed := self._meant - self._held - given_up:
            self._tell(news(WANTED, missed))

    def _hear(self, heard: Iterable[str], claims: PostgresClaims) -> bool:
        """Pass news on; says whether claims have to be settled anew."""
        look: set[int] = set()
        wanted: set[int] = set()
        is_free = False
        for told in map(read_news, heard):
            is_free |= told.kind == FREE
            if told.kind == WANTED:
                wanted |= told.partitions & self._held - self._meant
            else:
                look |= told.concerning(self._held)
            self.books += told.has_book
        if look:
            self._look(look)
        if wanted:
            self._held -= wanted
            claims.release(sorted(wanted))
            self._look(wanted)
        return is_free or bool(wanted)

    def _tell(self, told: str) -> None:
        with suppress(Unavailable):  # who hears nothing looks for itself
            self._ledger.notify(told)
