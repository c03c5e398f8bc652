"""Deciding a partition that another process may be deciding: whoever claimed it decides, the others wait for it."""

import time

from consumers.local.port import Inbox
from consumers.runtime.intake import Intake
from consumers.runtime.outcomes import tally_between
from ledger.journal.ledger import Ledger
from ledger.journal.partition import Tally
from ledger.journal.partitioning import Partitioner
from ledger.journal.port import Claims, Unavailable

LOOK_SECONDS = 0.02  # between two looks at what another process decides
PATIENCE_SECONDS = 60.0  # with another process that decides nothing of what waits


class SharedIntake:
    """The intake of a partition: this process's own once it is claimed, until then what another decides is awaited."""

    def __init__(self, ledger: Ledger, inbox: Inbox, claims: Claims, partition: int, share: float) -> None:
        self.partition = partition
        self.position = ledger.journal(partition).head().position
        self._ledger = ledger
        self._inbox = inbox
        self._claims = claims
        self._share = share
        self._own: Intake | None = None
        self._waits_since: float | None = None

    def step(self) -> Tally | None:
        """Decide the next batch, or wait for another to do so; None where nothing waits.

        Raises `Fenced` where another process took the partition, and `Unavailable`.
        """
        if self._own is None:
            if self._inbox.end(self.partition) <= self.position:
                self._waits_since = None
                return None
            if self._claims.take([self.partition]):
                self._own = self._owned()
            return self._catch_up()
        tally = self._own.step()
        self.position = self._own.position
        return tally

    def _owned(self) -> Intake:
        settings = self._ledger.settings
        shard = self._ledger.shard(self.partition, self._share)
        return Intake(self._inbox, shard, settings.operators, Partitioner(settings.partitions))

    def _catch_up(self) -> Tally:
        """What others decided since the last look."""
        position = self._own.position if self._own else self._ledger.journal(self.partition).head().position
        if position > self.position:
            tally = tally_between(self._ledger, self.partition, self.position + 1, position)
            self.position, self._waits_since = position, None
            return tally
        if self._own is None:
            now = time.monotonic()
            self._waits_since = self._waits_since or now
            if now > self._waits_since + PATIENCE_SECONDS:
                raise Unavailable(
                    f"another process has claimed partition {self.partition} and decides nothing of it for"
                    f" {PATIENCE_SECONDS:.0f} s; look at its log, or stop it"
                )
            time.sleep(LOOK_SECONDS)
        return Tally()
