"""Which partitions of a ledger in PostgreSQL this process decides, where several servers serve it.

An owner process claims those of its share that no other has claimed. Those of a server share out all partitions, so
that a server that stands by takes over what another leaves. What was appended and decided is notified by NOTIFY; the
owners find what is lost of that by looking, now and then.
"""

import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import closing, suppress

from consumers.runtime.notify import APPENDED, DECIDED, decode_notification, encode_notification
from ledger.journal.claims import PostgresClaims
from ledger.journal.database import DatabaseLedger
from ledger.journal.port import JournalError, Unavailable
from service.errors import say

RELEASED = "released"  # first word of a notification: claims were left
CLAIM_SECONDS = 1.0  # between two attempts to claim what others have
AGAIN_SECONDS = 1.0  # until the connection is opened again, or a partition that was given up is claimed


class DatabaseAssignment:
    """A thread that claims `partitions` for this process, and hears what others notify of them.

    `programmes` moves when another process may have decided about a published programme; `last_error` says why nothing
    is heard now; `is_settled`, whether partitions were claimed once.
    """

    def __init__(self, ledger: DatabaseLedger, partitions: Iterable[int]) -> None:
        self.programmes = 0
        self.last_error = ""
        self.is_settled = False
        self._ledger = ledger
        self._partitions = frozenset(partitions)
        self._held: frozenset[int] = frozenset()
        self._given_up: dict[int, float] = {}  # partition -> when it may be claimed again
        self._look: Callable[[Iterable[int]], None] = lambda _: None
        self._decided: Callable[[Iterable[int]], None] = lambda _: None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="points-assignment", daemon=True)

    def start(self, look: Callable[[Iterable[int]], None], decided: Callable[[Iterable[int]], None]) -> None:
        """Begin; `look` is told of partitions to look at, `decided` of those that another process decided further."""
        self._look, self._decided = look, decided
        self._thread.start()

    def stop(self) -> None:
        """Leave all partitions to others."""
        self._stopping = True
        self._notify(encode_notification(RELEASED, ()))  # wakes our own thread
        if self._thread.is_alive():
            self._thread.join()
        self._notify(encode_notification(RELEASED, ()))

    def owns(self, partition: int) -> bool:
        """Return True if a partition is this process's to decide."""
        return partition in self._held and partition not in self._given_up

    def announce(self, partition: int, *, has_book: bool) -> None:
        """Tell the others that a partition was decided further, and whether about a published programme."""
        self._notify(encode_notification(DECIDED, [partition], has_book=has_book))

    def give_up(self, partition: int) -> None:
        """Leave a partition to the process that took it, for a while at least."""
        self._given_up[partition] = time.monotonic() + AGAIN_SECONDS

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
                self.last_error = str(error) or type(error).__name__
                say(f"the other processes cannot be heard: {self.last_error}")
                self._look(self._partitions)
                time.sleep(AGAIN_SECONDS)

    def _share(self, claims: PostgresClaims) -> None:
        heard = claims.notifications(0)  # from here on nothing is missed
        self.programmes += 1
        claim_at = 0.0
        while not self._stopping:
            now = time.monotonic()
            if self._receive(heard) or now >= claim_at:
                self._claim(claims, now)
                claim_at = now + CLAIM_SECONDS
            heard = claims.notifications(max(0.0, claim_at - time.monotonic()))

    def _claim(self, claims: PostgresClaims, now: float) -> None:
        """Claim what nobody has."""
        self._given_up = {partition: until for partition, until in self._given_up.items() if now < until}
        claims.release(sorted(self._given_up))
        before = self._held
        self._held = frozenset(claims.take(sorted(self._partitions - self._given_up.keys())))
        self.last_error = ""
        self.is_settled = True
        if self._held != before:
            self._look(self._held ^ before)

    def _receive(self, heard: Iterable[str]) -> bool:
        """Pass notifications on; return True if partitions may be free to claim."""
        look: set[int] = set()
        decided: set[int] = set()
        is_released = False
        for told in map(decode_notification, heard):
            is_released |= told.kind == RELEASED
            self.programmes += told.has_book
            if told.kind == APPENDED:
                look |= told.partitions & self._held
            elif told.kind == DECIDED:
                decided |= told.partitions & self._partitions - self._held
        if look:
            self._look(look)
        if decided:
            self._decided(decided)
        return is_released

    def _notify(self, text: str) -> None:
        with suppress(Unavailable):  # who hears nothing looks for itself
            self._ledger.notify(text)
