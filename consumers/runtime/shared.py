"""A partition that another process may be deciding: the process that claimed it decides, the others wait for it."""

import time

from consumers.local.port import Inbox
from consumers.runtime.follow_ups import FollowUps
from consumers.runtime.outcomes import tally_between
from consumers.runtime.owner import PartitionOwner
from ledger.journal.ledger import Ledger
from ledger.journal.partition import Tally
from ledger.journal.port import Claims, Unavailable

LOOK_SECONDS = 0.02  # between two looks at what another process decides
PATIENCE_SECONDS = 60.0  # with another process that decides nothing of what waits


class ClaimedPartition:
    """A partition of an inbox, acquired once records wait and it is claimed; what others decide is awaited and counted.

    `share` is the part of this process's memory for accounts that the partition may use.
    """

    def __init__(self, ledger: Ledger, inbox: Inbox, claims: Claims, partition: int, share: float) -> None:
        self._ledger = ledger
        self._inbox = inbox
        self._claims = claims
        self._share = share
        self._owner = PartitionOwner(ledger, partition)
        self._position = ledger.journal(partition).head().offset
        self._waits_since: float | None = None
        self._follow_ups = FollowUps(ledger, partition)  # that an earlier run did not come to send

    def step(self) -> Tally | None:
        """Decide the next batch, or wait for another process to do so; None where nothing waits.

        Raises `Fenced` where another process took the partition, and `Unavailable`.
        """
        owner = self._owner
        self._follow_ups.send(self._inbox.append)
        if owner.writer is None:
            if self._inbox.end(owner.partition) <= self._position:
                self._waits_since = None
                return None
            if self._claims.take([owner.partition]):
                position = owner.acquire(self._share).offset
            else:
                position = self._ledger.journal(owner.partition).head().offset
            if position > self._position:
                tally = tally_between(self._ledger, owner.partition, self._position + 1, position)
                self._position, self._waits_since = position, None
                return tally
            if owner.writer is None:
                self._wait()
                return Tally()
        batch = owner.turn(self._inbox)
        if batch is None:
            return None
        self._position = batch.offset
        return batch.tally

    def _wait(self) -> None:
        """Wait a moment for another process. Raises `Unavailable` where it decides nothing for too long."""
        now = time.monotonic()
        self._waits_since = self._waits_since or now
        if now > self._waits_since + PATIENCE_SECONDS:
            raise Unavailable(
                f"another process has claimed partition {self._owner.partition} and decides nothing of it for"
                f" {PATIENCE_SECONDS:.0f} s; look at its log, or stop it"
            )
        time.sleep(LOOK_SECONDS)
