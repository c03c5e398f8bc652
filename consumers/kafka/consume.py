"""Kafka into decided entries: a process owns partitions, decides their records, publishes what was decided.

Positions live in the journals. A consumer group, where several processes share a ledger, only assigns partitions:
the new owner raises the partition's epoch and goes on behind the stored position; the earlier owner is fenced.
"""

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

from consumers.kafka.client_base import Reader, Writer
from consumers.kafka.port import BrokerAway, Start, StreamBroken
from consumers.kafka.publisher import DeadLetters, Flow, Outcomes, Publisher
from consumers.runtime.events import Acquired, Failed, Lag, Observe, Recovered, Released
from consumers.runtime.ingest import CannotDecide, quiet_collector
from consumers.runtime.owner import BATCH, PartitionOwner
from consumers.runtime.retry import STORE_FAILURES, Backoff
from ledger.journal.ledger import KAFKA, OPEN, Ledger, OtherStream
from ledger.journal.port import Fenced

POLL_SECONDS = 0.2  # waiting for records, when there is nothing to do
PUBLISHING_SECONDS = 0.02  # the same, while something is to be published
LAG_SECONDS = 1.0  # between two reports of the lag
COLLECT_SECONDS = 60.0  # between two runs of the collector, which is kept out of batches
FLUSH_SECONDS = 10.0  # for what is to be published before the end
HAND_OVER_SECONDS = 2.0  # for the same, before a partition goes to another process


@dataclass(frozen=True, slots=True)
class Plan:
    """What a process is to do: `partitions` of its own, or its share of a `group`; and where outcomes go (or not)."""

    partitions: tuple[int, ...] = ()
    group: str = ""
    outcomes: str = ""
    dead_letters: str = ""
    until_end: bool = False
    batch: int = BATCH
    fenced_seconds: float = 10.0  # before a partition that another process took is taken back, if it is still ours


def check_stream(ledger: Ledger, topic: str, partitions: int | None = None) -> None:
    """Refuse another stream than the ledger's own, which it has for life. Raises `OtherStream`."""
    settings = ledger.settings
    if settings.stream != OPEN:
        ledger.check_stream(KAFKA, topic)
    if partitions is not None and settings.partitions != partitions:
        raise OtherStream(
            f"{ledger.name} has {settings.partitions} partitions, for life, and the topic {topic} has {partitions}:"
            " members would stand in other partitions than their accounts. Point the settings at the topic that fed"
            " this ledger, or make a new ledger from this one"
        )


class Consumer:
    """Owns partitions of a ledger as planned, until it is told to stop or has come to the end."""

    def __init__(
        self, ledger: Ledger, reader: Reader, open_writer: Callable[[], Writer], plan: Plan, observe: Observe
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._plan = plan
        self._observe = observe
        self._publisher = Publisher(open_writer, observe)
        self._owners: dict[int, PartitionOwner] = {}  # of the partitions assigned to this process, acquired or not yet
        self._ends: dict[int, int] | None = None  # of all partitions at the start, where the end is to be found
        self._last_error = ""
        self._lag_at = self._collect_at = 0.0

    def run(self, is_stopped: Callable[[], bool]) -> None:
        """Work until stopped or, where so planned, until all that stood in the topic at the start is decided.

        Raises `CannotDecide`, `StreamError`, `JournalError`; failures that may pass are observed and waited for.
        """
        self._begin()
        with quiet_collector():  # `_housekeeping` collects the cycles of the client
            timeout = 0.0
            while not is_stopped():
                fetching = self._fetch(timeout)  # first: what the group has to say comes before an epoch is raised
                self._acquire_missing()
                worked = self._decide(fetching)
                self._publisher.pump()
                self._housekeeping()
                if self._has_ended():
                    break
                timeout = 0.0 if worked else POLL_SECONDS if self._publisher.is_done else PUBLISHING_SECONDS
            self._publisher.flush(FLUSH_SECONDS)

    def close(self) -> None:
        """Leave the group and close the clients."""
        self._reader.close()
        self._publisher.close()

    # -- whose partitions --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._plan.group:
            self._reader.join(self._plan.group, self._assigned, self._revoked, self._lost)
        else:
            self._reader.assign({partition: Start() for partition in self._plan.partitions})
            self._assigned(self._plan.partitions)
            for partition in self._plan.partitions:
                self._reader.drop(partition)  # until it is owned, and the journal says from where

    def _assigned(self, partitions: Sequence[int]) -> Mapping[int, Start]:
        for partition in partitions:
            self._owners[partition] = PartitionOwner(self._ledger, partition, batch=self._plan.batch)
        return {}  # each is read once it is acquired

    def _revoked(self, partitions: Sequence[int]) -> None:
        self._publisher.flush(HAND_OVER_SECONDS)
        self._give_up(partitions, "given to another process")

    def _lost(self, partitions: Sequence[int]) -> None:
        self._give_up(partitions, "lost: this process was not heard of for too long")

    def _give_up(self, partitions: Iterable[int], why: str) -> None:
        for partition in partitions:
            owner = self._owners.pop(partition, None)
            if owner is not None and owner.writer is not None:
                owner.release()
                self._dropped(owner, why)

    def _dropped(self, owner: PartitionOwner, why: str) -> None:
        self._publisher.drop(owner.partition)
        self._observe(Released(owner.partition, why))

    def _acquired(self) -> list[PartitionOwner]:
        return [owner for owner in self._owners.values() if owner.writer is not None]

    def _acquire_missing(self) -> None:
        """Acquire what is assigned; raising the epoch waits until nothing stands against it."""
        missing = [owner for owner in self._owners.values() if owner.writer is None and owner.backoff.is_over()]
        if not missing:
            return
        last = max(owner.partition for owner in missing)
        if last not in self._ledger.partitions:
            raise StreamBroken(
                f"the topic has got a partition {last}, and this ledger has {len(self._ledger.partitions)} of"
                " them, for life: make a new topic of so many, and a new ledger from this one"
            )
        try:
            ends = self._reader.ends([owner.partition for owner in missing])
        except BrokerAway as error:
            self._report("kafka", str(error))
            for owner in missing:
                owner.back_off(error)
            return
        for owner in missing:
            try:
                self._acquire(owner, ends[owner.partition])
            except STORE_FAILURES as error:
                owner.release()
                owner.back_off(error)
                self._store_failed(owner, error)

    def _acquire(self, owner: PartitionOwner, end: int) -> None:
        partition = owner.partition
        journal = self._ledger.journal(partition)
        head = journal.head()
        if end < head.offset:
            raise StreamBroken(
                f"partition {partition} of the topic ends at offset {end}, and this ledger has decided up to"
                f" {head.offset}: it is not the topic that fed the ledger (made anew?). Point the settings at that"
                " one, or make a new ledger from this one"
            )
        writer = owner.acquire(1 / len(self._owners))
        flows: list[Flow] = []
        if self._plan.outcomes:
            flows.append(Outcomes(self._ledger, partition, self._plan.outcomes))
        if self._plan.dead_letters:
            flows.append(DeadLetters(self._ledger, partition, self._plan.dead_letters))
        self._publisher.add(partition, flows)
        self._reader.seek(partition, Start(writer.offset, journal.head().recorded))
        self._observe(Acquired(partition, writer.token, writer.offset))

    # -- the work ----------------------------------------------------------------------------------------------------

    def _fetch(self, timeout: float) -> float:
        """Let the reader fetch; returns the seconds that took where it did not just wait."""
        began = perf_counter()
        self._reader.poll(timeout)
        if self._reader.last_error:
            self._report("kafka", self._reader.last_error)
        elif self._last_error:
            self._last_error = ""
            self._observe(Recovered("kafka"))
        return perf_counter() - began if not timeout else 0.0

    def _decide(self, fetching: float) -> bool:
        """Decide a batch of each partition; return True if there was one."""
        worked = False
        for owner in self._acquired():
            try:
                batch = owner.turn(self._reader)
            except Fenced as error:
                self._fenced(owner, error)
            except STORE_FAILURES as error:
                self._store_failed(owner, error)
                self._dropped(owner, f"the store: {error}")
            else:
                if batch is not None:
                    if owner.has_recovered:
                        self._observe(Recovered("deciding"))
                    self._publisher.has_more(owner.partition)
                    self._observe(batch if worked else batch._replace(fetch=batch.fetch + fetching))
                    worked = True
        return worked

    def _fenced(self, owner: PartitionOwner, error: Fenced) -> None:
        """Another process raised the epoch. It is acquired again only if the group still says so after a while."""
        if not self._plan.group:
            raise CannotDecide(
                f"partition {owner.partition}: {error}; nothing was lost, run the command again"
            ) from error
        self._reader.drop(owner.partition)
        self._dropped(owner, str(error))
        owner.backoff = Backoff(first=self._plan.fenced_seconds)
        owner.backoff.failed()

    def _store_failed(self, owner: PartitionOwner, error: Exception) -> None:
        """Whether the batch was committed is read from the store at the next acquisition; nothing is retried."""
        if self._plan.until_end:
            raise CannotDecide(
                f"{error}; what was decided is kept: mend that and run the same command again"
            ) from error
        self._reader.drop(owner.partition)
        self._publisher.drop(owner.partition)
        self._observe(Failed("deciding", f"partition {owner.partition}: {error}"))

    def _report(self, what: str, why: str) -> None:
        if why != self._last_error:
            self._last_error = why
            self._observe(Failed(what, why))

    # -- the end, and what is done now and then ----------------------------------------------------------------------

    def _probe(self) -> None:
        """Ask for an end, which shows that a broker answers again even where nothing comes."""
        with suppress(BrokerAway):
            self._reader.end(self._acquired()[0].partition)

    def _has_ended(self) -> bool:
        """Whether all that stood in the topic at the start is decided and published, as far as it is ours.

        Where a group shares it out, who leaves hands its share to the others, who find it decided.
        """
        if not self._plan.until_end or not self._owners:
            return False
        if self._ends is None:
            try:
                self._ends = self._reader.ends(range(self._ledger.settings.partitions))
            except BrokerAway:
                return False
        return all(map(self._is_through, self._owners.values())) and self._publisher.is_done

    def _is_through(self, owner: PartitionOwner) -> bool:
        assert self._ends is not None
        partition, end = owner.partition, self._ends[owner.partition]
        return owner.writer is not None and (
            owner.writer.offset >= end
            or (self._reader.waiting(partition) == 0 and self._reader.passed(partition) >= end)
        )

    def _housekeeping(self) -> None:
        now = time.monotonic()
        if now >= self._lag_at:
            self._lag_at = now + LAG_SECONDS
            acquired = [owner.partition for owner in self._acquired()]
            self._observe(Lag({partition: self._reader.lag(partition) for partition in acquired}))
            if self._last_error and acquired:
                self._probe()
        if now >= self._collect_at:
            self._collect_at = now + COLLECT_SECONDS
            gc.collect()
