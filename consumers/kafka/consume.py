"""Kafka into decided entries: a process owns partitions, decides what comes for them, publishes what was decided.

Positions live in the journals. A consumer group, where several processes share a ledger, only says whose turn it is:
who is given a partition raises its epoch and goes on behind the stored position; whoever had it before is fenced.
"""

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

from consumers.kafka.port import BrokerAway, Reader, Start, StreamBroken, Writer
from consumers.kafka.publisher import DeadLetters, Flow, Outcomes, Publisher
from consumers.runtime.events import Decided, Dropped, Lag, Observe, Owned, Recovered, Trouble
from consumers.runtime.ingest import CannotDecide
from consumers.runtime.intake import BATCH, BATCH_BYTES, Intake
from consumers.runtime.retry import STORE_TROUBLE, Pauses
from ledger.journal.failpoints import failpoint
from ledger.journal.ledger import KAFKA, OPEN, Ledger, OtherStream
from ledger.journal.partitioning import Partitioner
from ledger.journal.port import Fenced

POLL_SECONDS = 0.2  # waiting for records, when there is nothing to do
PUBLISHING_SECONDS = 0.02  # the same, while something is to be published
LAG_SECONDS = 1.0  # between two reports of the lag
COLLECT_SECONDS = 60.0  # between two runs of the collector, which is kept out of batches
SETTLE_SECONDS = 10.0  # for what is to be published before the end
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


class _Owner:
    """A partition in this process's hands."""

    def __init__(self, ledger: Ledger, reader: Reader, partition: int, share: float, batch: int) -> None:
        self.partition = partition
        self.shard = ledger.shard(partition, share)
        partitioner = Partitioner(ledger.settings.partitions)
        self.intake = Intake(reader, self.shard, ledger.settings.operators, partitioner, batch=batch)
        self._reader = reader
        self._batch = batch

    def step(self, fetching: float) -> Decided | None:
        """Decide the next batch; None where nothing waits. `fetching` are the seconds spent to get it."""
        shard = self.shard
        began = perf_counter()
        records = self._reader.read(self.partition, shard.position, self._batch, BATCH_BYTES)
        if not records:
            return None
        failpoint("fetch")
        taken = perf_counter()
        committing, deciding = shard.committing, shard.deciding
        tally = self.intake.take(records)
        committing, deciding = shard.committing - committing, shard.deciding - deciding
        return Decided(
            self.partition,
            shard.position,
            time.time(),
            len(records),
            sum(len(record.value) for record in records),
            tally,
            fetch=fetching + taken - began,
            decode=perf_counter() - taken - committing,
            decide=deciding,
            store=committing - deciding,
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
        self._owners: dict[int, _Owner] = {}
        self._wanted: dict[int, Pauses] = {}  # partitions that are ours to own, owned or not yet
        self._ends: dict[int, int] | None = None  # of all partitions at the start, where the end is to be found
        self._trouble = ""
        self._lag_at = self._collect_at = 0.0

    def run(self, is_stopped: Callable[[], bool]) -> None:
        """Work until stopped or, where so planned, until all that stood in the topic at the start is decided.

        Raises `CannotDecide`, `StreamError`, `JournalError`; trouble that may pass is told and waited for.
        """
        self._begin()
        gc.collect()
        gc.freeze()
        gc.disable()  # a batch makes no cycles; `_housekeeping` collects those of the client
        try:
            timeout = 0.0
            while not is_stopped():
                fetching = self._fetch(timeout)  # first: what the group has to say comes before an epoch is raised
                self._own_wanted()
                worked = self._decide(fetching)
                self._publisher.pump()
                self._housekeeping()
                if self._has_ended():
                    break
                timeout = 0.0 if worked else POLL_SECONDS if self._publisher.is_done else PUBLISHING_SECONDS
            self._publisher.settle(SETTLE_SECONDS)
        finally:
            gc.unfreeze()
            gc.enable()

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
        self._wanted.update({partition: Pauses() for partition in partitions})
        return {}  # each is read once it is owned

    def _revoked(self, partitions: Sequence[int]) -> None:
        self._publisher.settle(HAND_OVER_SECONDS)
        self._give_up(partitions, "given to another process")

    def _lost(self, partitions: Sequence[int]) -> None:
        self._give_up(partitions, "lost: this process was not heard of for too long")

    def _give_up(self, partitions: Iterable[int], why: str) -> None:
        for partition in partitions:
            self._wanted.pop(partition, None)
            self._drop(partition, why)

    def _drop(self, partition: int, why: str) -> None:
        self._publisher.drop(partition)
        if self._owners.pop(partition, None) is not None:
            self._observe(Dropped(partition, why))

    def _own_wanted(self) -> None:
        """Become the owner of what is ours to own; raising the epoch waits until nothing stands against it."""
        missing = [p for p, pauses in self._wanted.items() if p not in self._owners and pauses.are_over()]
        if not missing:
            return
        if max(missing) not in self._ledger.partitions:
            raise StreamBroken(
                f"the topic has got a partition {max(missing)}, and this ledger has {len(self._ledger.partitions)} of"
                " them, for life: make a new topic of so many, and a new ledger from this one"
            )
        try:
            ends = self._reader.ends(missing)
        except BrokerAway as error:
            self._tell_trouble("kafka", str(error))
            for partition in missing:
                self._wanted[partition].failed()
            return
        for partition in missing:
            try:
                self._own(partition, ends[partition])
            except STORE_TROUBLE as error:
                self._store_trouble(partition, error)

    def _own(self, partition: int, end: int) -> None:
        journal = self._ledger.journal(partition)
        head = journal.head()
        if end < head.position:
            raise StreamBroken(
                f"partition {partition} of the topic ends at offset {end}, and this ledger has decided up to"
                f" {head.position}: it is not the topic that fed the ledger (made anew?). Point the settings at that"
                " one, or make a new ledger from this one"
            )
        owner = _Owner(self._ledger, self._reader, partition, 1 / len(self._wanted), self._plan.batch)
        position = owner.shard.position
        self._publisher.add(partition, journal, self._flows(partition))
        self._reader.seek(partition, Start(position, journal.head().recorded))
        self._owners[partition] = owner
        self._observe(Owned(partition, owner.shard.epoch, position))

    def _flows(self, partition: int) -> list[Flow]:
        flows: list[Flow] = []
        if self._plan.outcomes:
            flows.append(Outcomes(self._ledger, partition, self._plan.outcomes))
        if self._plan.dead_letters:
            flows.append(DeadLetters(self._ledger, partition, self._plan.dead_letters))
        return flows

    # -- the work ----------------------------------------------------------------------------------------------------

    def _fetch(self, timeout: float) -> float:
        """Let the reader fetch; returns the seconds that took where it did not just wait."""
        began = perf_counter()
        self._reader.poll(timeout)
        if self._reader.trouble:
            self._tell_trouble("kafka", self._reader.trouble)
        elif self._trouble:
            self._trouble = ""
            self._observe(Recovered("kafka"))
        return perf_counter() - began if not timeout else 0.0

    def _decide(self, fetching: float) -> bool:
        """A batch of each partition; says whether there was one."""
        worked = False
        for partition, owner in list(self._owners.items()):
            try:
                decided = owner.step(0.0 if worked else fetching)
            except Fenced as error:
                self._fenced(partition, error)
            except STORE_TROUBLE as error:
                self._store_trouble(partition, error)
            else:
                if decided is not None:
                    worked = True
                    if self._wanted[partition].succeeded():
                        self._observe(Recovered("deciding"))
                    self._publisher.has_more(partition)
                    self._observe(decided)
        return worked

    def _fenced(self, partition: int, error: Fenced) -> None:
        """Another process raised the epoch. It is taken back only if the group still says so after a while."""
        if not self._plan.group:
            raise CannotDecide(f"partition {partition}: {error}; nothing was lost, run the command again") from error
        self._reader.drop(partition)
        self._drop(partition, str(error))
        self._wanted[partition] = Pauses(first=self._plan.fenced_seconds)
        self._wanted[partition].failed()

    def _store_trouble(self, partition: int, error: Exception) -> None:
        """Whether the batch was committed is read from the store when the shard is made anew; nothing is retried."""
        if self._plan.until_end:
            raise CannotDecide(
                f"{error}; what was decided is kept: mend that and run the same command again"
            ) from error
        self._reader.drop(partition)
        self._drop(partition, f"the store: {error}")
        self._wanted[partition].failed()
        self._observe(Trouble("deciding", f"partition {partition}: {error}"))

    def _tell_trouble(self, what: str, why: str) -> None:
        if why != self._trouble:
            self._trouble = why
            self._observe(Trouble(what, why))

    # -- the end, and what is done now and then ----------------------------------------------------------------------

    def _probe(self) -> None:
        """Ask for an end, which shows that a broker answers again even where nothing comes."""
        with suppress(BrokerAway):
            self._reader.end(next(iter(self._owners)))

    def _has_ended(self) -> bool:
        """Whether all that stood in the topic at the start is decided and published, as far as it is ours.

        Where a group shares it out, who leaves hands its share to the others, who find it decided.
        """
        if not self._plan.until_end or not self._wanted:
            return False
        if self._ends is None:
            try:
                self._ends = self._reader.ends(range(self._ledger.settings.partitions))
            except BrokerAway:
                return False
        return all(self._is_through(partition) for partition in self._wanted) and self._publisher.is_done

    def _is_through(self, partition: int) -> bool:
        owner = self._owners.get(partition)
        assert self._ends is not None
        end = self._ends[partition]
        if owner is None:
            return False
        return owner.shard.position >= end or (
            self._reader.waiting(partition) == 0 and self._reader.passed(partition) >= end
        )

    def _housekeeping(self) -> None:
        now = time.monotonic()
        if now >= self._lag_at:
            self._lag_at = now + LAG_SECONDS
            self._observe(Lag({partition: self._reader.lag(partition) for partition in self._owners}))
            if self._trouble and self._owners:
                self._probe()
        if now >= self._collect_at:
            self._collect_at = now + COLLECT_SECONDS
            gc.collect()
