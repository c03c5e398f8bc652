"""Kafka into decided entries: a process owns partitions, decides their records, publishes what was decided.

Positions live in the journals. A consumer group, where several processes share a ledger, only assigns partitions:
the new owner raises the partition's epoch and goes on behind the stored position; the earlier owner is fenced.
"""

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from consumers.kafka.client_base import Reader, Writer
from consumers.kafka.holes import Log
from consumers.kafka.port import BrokerAway, Denied, Hole, Start, StreamBroken, StreamError, Topic
from consumers.kafka.publisher import DeadLetters, Flow, Outcomes, Publisher
from consumers.local.port import Append, CannotAppend
from consumers.runtime.continuity import BEGIN_BEHIND, NotContinued
from consumers.runtime.events import Acquired, Failed, Lag, Left, Observe, Recovered, Released, Told, WentBack
from consumers.runtime.ingest import CannotDecide, quiet_collector
from consumers.runtime.owner import BATCH, PartitionOwner
from consumers.runtime.retry import STORE_FAILURES, Backoff
from ledger.journal.gaps import GAP, Gap, letter_of
from ledger.journal.ledger import KAFKA, OPEN, Ledger, OtherStream
from ledger.journal.port import Fenced, Head
from ledger.wire.entry_json import position_text

POLL_SECONDS = 0.2  # waiting for records, when there is nothing to do
PUBLISHING_SECONDS = 0.02  # the same, while something is to be published
LAG_SECONDS = 1.0  # between two reports of the lag
TOPIC_SECONDS = 1.0  # between two looks, while records come, at whether the topic is still the same,
IDLE_TOPIC_SECONDS = 5.0  # and while none come
COLLECT_SECONDS = 60.0  # between two runs of the collector, which is kept out of batches
FLUSH_SECONDS = 10.0  # for what is to be published before the end
HAND_OVER_SECONDS = 2.0  # for the same, before a partition goes to another process

_IN_THE_MIDDLE = (
    "no batch of its log holds them, nor were they aborted: they were compacted away, or a broker lost them"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a process is to do: `partitions` of its own, or its share of a `group`; and where outcomes go (or not).

    `accepted` are positions without records that an operator says to go on behind, by partition.
    """

    partitions: tuple[int, ...] = ()
    group: str = ""
    outcomes: str = ""
    dead_letters: str = ""
    until_end: bool = False
    batch: int = BATCH
    fenced_seconds: float = 10.0  # before a partition that another process took is taken back, if it is still ours
    accepted: tuple[tuple[int, Gap], ...] = ()
    cloudevents: bool = False  # what is published has the headers of CloudEvents
    topic_id: str = ""  # of a topic that an operator says to be the ledger's, restored
    is_ahead: bool = False  # the topic has more partitions than the ledger, which is to be split: those are left alone


class NotGrownYet(OtherStream):
    """The ledger's own topic has several times as many partitions as the ledger, or the other way round.

    The one is still to be given as many as the other: the topic, before anything is decided; the ledger, once all that
    stands in the partitions that it has is decided.
    """


def check_stream(ledger: Ledger, topic: str, partitions: int | None = None) -> None:
    """Refuse another stream than the ledger's own, which it has for life; that may have several times its partitions.

    Raises `OtherStream`, `NotGrownYet` where the ledger has several times those of the topic.
    """
    settings = ledger.settings
    if settings.stream != OPEN:
        ledger.check_stream(KAFKA, topic)
    if partitions is not None and settings.partitions != partitions:
        is_growing = settings.stream == KAFKA
        if is_growing and partitions % settings.partitions == 0:
            return
        raise (NotGrownYet if is_growing and settings.partitions % partitions == 0 else OtherStream)(
            f"{ledger.name} has {settings.partitions} partitions, and the topic {topic} has {partitions}:"
            " members would stand in other partitions than their accounts. Point the settings at the topic that fed"
            " this ledger; where it was given more partitions, `points split` gives them to the ledger, or the other"
            " way round"
        )


def check_topic(topic: Topic) -> None:
    """Refuse a topic that is compacted, where a member's last record takes the others away. Raises `Denied`."""
    if "compact" in topic.configs.get("cleanup.policy", ""):
        raise Denied(
            f"the topic {topic.name} has cleanup.policy={topic.configs['cleanup.policy']}: compaction takes away all"
            " but the last record of a member before they are decided. Set cleanup.policy=delete; `points topics check`"
            " says what else is wrong. What was compacted by now is missing: `points consume` names it"
        )


class Consumer:
    """Owns partitions of a ledger as planned, until it is told to stop or has come to the end."""

    def __init__(
        self,
        ledger: Ledger,
        reader: Reader,
        log: Log,
        open_writer: Callable[[], Writer],
        append: Append,
        plan: Plan,
        observe: Observe,
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._log = log
        reader.stops_at_holes = True
        self._append = append  # to the topic of facts, what accounts tell each other
        self._telling = Backoff()
        self._plan = plan
        self._observe = observe
        self._publisher = Publisher(open_writer, observe)
        self._owners: dict[int, PartitionOwner] = {}  # of the partitions assigned to this process, acquired or not yet
        self._ends: dict[int, int] | None = None  # of all partitions at the start, where the end is to be found
        self._told: dict[int, int] = {}  # the last offset of what was told to each partition, where that is waited for
        self._whole: dict[int, int] = {}  # by partition the offset up to which it is known that no record is missing
        self._last_error = ""
        self._lag_at = self._collect_at = self._topic_at = 0.0
        self._topic_id = ""  # as it was at the last acquisition
        self._is_idle = True  # nothing waited when it was last looked at, or what came was waited for
        self._is_doubted = False  # the topic could not be looked at since something was fetched
        self._unbound: set[int] = set()  # partitions whose journals do not have that id yet
        self._left: dict[int, Exception] = {}  # partitions that cannot be gone on with, and why

    def run(self, is_stopped: Callable[[], bool]) -> None:
        """Work until stopped or, where so planned, until all that stood in the topic at the start is decided.

        A partition that cannot be gone on with is left, and the others go on. Raises `CannotDecide`, `StreamError`,
        `JournalError`, those of a partition at the end, and `NotGrownYet` where the topic has more partitions than the
        ledger had when it was opened; failures that may pass are observed and waited for.
        """
        self.begin()
        with quiet_collector():  # `_housekeeping` collects the cycles of the client
            timeout = 0.0
            while not is_stopped():
                worked = self.turn(timeout)
                if self._has_ended():
                    break
                timeout = 0.0 if worked else POLL_SECONDS if self._publisher.is_done else PUBLISHING_SECONDS
            self._tell()
            self._publisher.flush(FLUSH_SECONDS)
        self._check_left()

    def begin(self) -> None:
        """Name the partitions of this process, or join the group that assigns them."""
        if self._plan.group:
            self._reader.join(self._plan.group, self._assigned, self._revoked, self._lost)
        else:
            self._reader.assign({partition: Start() for partition in self._plan.partitions})
            self._assigned(self._plan.partitions)
            for partition in self._plan.partitions:
                self._reader.drop(partition)  # until it is owned, and the journal says from where

    def turn(self, timeout: float) -> bool:
        """Fetch (waiting at most `timeout` seconds), decide a batch of each partition, publish; return True if any was.

        Raises as `run` does.
        """
        fetching = self._fetch(timeout)  # first: what the group has to say comes before an epoch is raised
        self._acquire_missing()
        worked = self._decide(fetching)
        self._tell()
        self._publisher.pump()
        self._housekeeping()
        return worked

    @property
    def left(self) -> Mapping[int, Exception]:
        """The partitions that cannot be gone on with, and why."""
        return self._left

    def close(self) -> None:
        """Leave the group and close the clients."""
        self._reader.close()
        self._log.close()
        self._publisher.close()

    def _leave(self, owner: PartitionOwner, error: Exception) -> None:
        """Go on without a partition that is not acquired; raise the error where no other is left."""
        partition = owner.partition
        self._left[partition] = error
        owner.release()
        del self._owners[partition]
        self._reader.drop(partition)
        self._observe(Left(partition, str(error)))
        if not self._owners:
            self._check_left()

    def _drop_and_leave(self, owner: PartitionOwner, error: Exception) -> None:
        """Give up a partition that was acquired, and go on without it, as `_leave` does."""
        self._dropped(owner, str(error))
        self._leave(owner, error)

    def _check_left(self) -> None:
        """Raise what is wrong with the partitions that were left."""
        errors = list(self._left.values())
        if len(set(map(str, errors))) > 1:
            told = (f"partition {partition}: {error}" for partition, error in sorted(self._left.items()))
            raise CannotDecide("; ".join(told))
        if errors:
            raise errors[0]

    # -- whose partitions --------------------------------------------------------------------------------------------

    def _assigned(self, partitions: Sequence[int]) -> Mapping[int, Start]:
        for partition in partitions:
            if self._plan.is_ahead and partition not in self._ledger.partitions:
                continue
            self._owners[partition] = PartitionOwner(self._ledger, partition, batch=self._plan.batch)
        return {}  # each is read once it is acquired

    def _revoked(self, partitions: Sequence[int]) -> None:
        self._publisher.flush(HAND_OVER_SECONDS)
        self._give_up(partitions, "given to another process")

    def _lost(self, partitions: Sequence[int]) -> None:
        self._give_up(partitions, "lost: this process was not heard of for too long")

    def _give_up(self, partitions: Iterable[int], why: str) -> None:
        for partition in partitions:
            if self._left.pop(partition, None) is not None:
                self._observe(Released(partition, why))
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
            raise NotGrownYet(
                f"the topic has got a partition {last}, and this ledger has {len(self._ledger.partitions)} of"
                " them: let `points split` give them to the ledger"
            )
        try:
            partitions = [owner.partition for owner in missing]
            topic_id = self._log.topic_id()
            ends, begins = self._reader.ends(partitions), self._reader.begins(partitions)
        except BrokerAway as error:
            self._report("kafka", str(error))
            for owner in missing:
                owner.back_off(error)
            return
        if topic_id and self._topic_id not in ("", topic_id):
            raise self._made_anew(self._topic_id, topic_id)
        self._topic_id = topic_id or self._topic_id
        for owner in missing:
            try:
                self._acquire(owner, begins[owner.partition], ends[owner.partition])
            except BrokerAway as error:
                owner.release()
                owner.back_off(error)
                self._report("kafka", str(error))
            except StreamBroken as error:
                self._leave(owner, error)
            except Fenced as error:  # while a gap was passed
                owner.release()
                self._fenced(owner, error)
            except STORE_FAILURES as error:
                owner.release()
                owner.back_off(error)
                self._store_failed(owner, error)

    def _acquire(self, owner: PartitionOwner, begin: int, end: int) -> None:
        """Acquire a partition whose log begins at an offset and ends at another, and read on where the journal stands.

        The record that the journal took last is read once more, where it is there, and compared. Raises `StreamBroken`.
        """
        partition = owner.partition
        self._ledger.look_again(partition)
        journal = self._ledger.journal(partition)
        head, known = journal.head(), journal.state().stream
        if known and self._topic_id not in ("", known, self._plan.topic_id):
            raise self._made_anew(known, self._topic_id)
        if end < head.offset:  # records may have come meanwhile, and an owner that is not fenced yet decided them
            end = self._reader.end(partition)
        if end < head.offset:
            raise StreamBroken(
                f"partition {partition} of the topic ends at offset {end}, and this ledger has decided up to"
                f" {head.offset}: it is not the topic that fed the ledger (made anew?), or its last"
                f" {head.offset - end:,} records were lost. Point the settings at the right one or restore it, or"
                f" {BEGIN_BEHIND}"
            )
        gap = self._accepted_gap(partition, head, begin, end)
        if gap is None:
            self._check_beginning(partition, head.offset, begin)
        writer = owner.acquire(1 / len(self._owners))
        head = journal.head()  # from here on nobody else moves it; until then the owner before did
        if gap is not None and not self._has_passed(partition, gap):
            writer.commit([], [letter_of(gap, head.recorded)], gap.last, head.recorded)
            owner.taken = None
        if owner.taken is not None and owner.taken.offset < begin:
            owner.taken = None  # it was deleted since
        if self._topic_id not in ("", known):
            self._unbound.add(partition)
        flows: list[Flow] = []
        if self._plan.outcomes:
            flows.append(Outcomes(self._ledger, partition, self._plan.outcomes, has_headers=self._plan.cloudevents))
        if self._plan.dead_letters:
            topic = self._plan.dead_letters
            flows.append(DeadLetters(self._ledger, partition, topic, has_headers=self._plan.cloudevents))
        owner.on_entries = partial(self._publisher.take, partition)
        self._publisher.add(partition, flows)
        self._reader.seek(partition, _start_of(owner, head.recorded))
        if writer.offset < owner.known:  # a standby that lagged took over, or a backup was put back
            self._observe(WentBack(partition, writer.offset, owner.known))
        owner.known = writer.offset
        self._observe(Acquired(partition, writer.token, writer.offset))

    def _made_anew(self, known: str, found: str) -> StreamBroken:
        return StreamBroken(
            f"the topic {self._ledger.settings.topic} was made anew: its id is {found}, and this ledger was fed from"
            f" the one with {known}. Point the settings at it; or, where it was restored with its records at their"
            f" offsets, let an operator say so: `points consume --accept-topic {found} --reason WHY`; or"
            f" {BEGIN_BEHIND}"
        )

    def _is_same(self) -> bool:
        """Return True if what waits to be decided is of the topic as it was, False where nobody can say now.

        Records that come after a pause or an error are looked at before any is decided. Raises `StreamBroken`.
        """
        now, was_idle = time.monotonic(), self._is_idle
        self._is_idle = not any(map(self._reader.waiting, self._reading()))
        if self._is_idle:
            return self._last_error != "" or now < self._topic_at + IDLE_TOPIC_SECONDS or self._look_at_topic(now)
        return not (was_idle or self._last_error or now >= self._topic_at) or self._look_at_topic(now)

    def _look_at_topic(self, now: float) -> bool:
        self._topic_at = now + TOPIC_SECONDS
        try:
            found = self._log.topic_id()
            if found and self._topic_id not in ("", found):
                raise self._made_anew(self._topic_id, found)
            if not self._is_doubted:
                return True
            self._fetch_again()
            self._is_doubted = False
        except BrokerAway:
            self._is_doubted = True
        self._is_idle = True  # look again before anything is decided
        return False

    def _fetch_again(self) -> None:
        """Let go of what waits: another topic may have stood there while nobody could look, and be gone again."""
        for owner in self._acquired():
            assert owner.writer is not None
            self._reader.seek(owner.partition, _start_of(owner, owner.writer.journal.head().recorded))

    def _reading(self) -> list[int]:
        return [owner.partition for owner in self._acquired()]

    def _bind(self, owner: PartitionOwner) -> None:
        """Keep the topic's id in a journal once its last record was compared."""
        if owner.partition in self._unbound and owner.writer is not None and owner.taken is None:
            owner.writer.bind(self._topic_id)
            self._unbound.discard(owner.partition)

    # -- what is missing ---------------------------------------------------------------------------------------------

    def _check_beginning(self, partition: int, offset: int, begin: int) -> None:
        """Raise `StreamBroken` where the log begins later than behind an offset."""
        if begin > offset + 1:
            why = f"its log begins at {begin}: what stood before was deleted, by retention or by hand"
            raise self._broken(partition, Hole(offset + 1, begin - 1), why)

    def _broken(self, partition: int, missing: Hole, why: str) -> StreamBroken:
        count = missing.last - missing.first + 1
        return StreamBroken(
            f"positions {partition}:{missing.first} to {partition}:{missing.last} ({count:,}) have no records in the"
            f" topic {self._ledger.settings.topic}: {why}. Nothing behind them is decided. Restore the topic; or, where"
            " they are lost for good, let an operator say so and go on: `points consume --accept-gap"
            f" {partition}:{missing.first}-{missing.last} --reason WHY`"
        )

    def _look_at_holes(self, owner: PartitionOwner) -> None:
        """Read on behind offsets without a record, where that is as it should be. Raises `StreamBroken`, `BrokerAway`.

        What stands before such offsets is decided first.
        """
        assert owner.writer is not None
        partition = owner.partition
        while (hole := self._reader.hole(partition)) is not None:
            behind = Hole(max(hole.first, owner.writer.offset + 1), hole.last)
            missing = self._log.missing(partition, behind)
            if missing is None:
                self._reader.pass_hole(partition)
            elif owner.writer.offset < hole.first - 1:
                return
            else:
                raise self._broken(partition, missing, _IN_THE_MIDDLE)

    def _accepted_gap(self, partition: int, head: Head, begin: int, end: int) -> Gap | None:
        """Return the gap behind the journal's position that the operator accepted; None where that is done, or none is.

        Raises `StreamBroken` where another is missing, or nothing.
        """
        gaps = [
            gap for place, gap in self._plan.accepted if place == partition and not self._has_passed(partition, gap)
        ]
        if not gaps:
            return None
        gap, first = min(gaps, key=lambda gap: gap.first), head.offset + 1
        missing = Hole(first, begin - 1) if begin > first else None
        if missing is None and first <= gap.last <= end:
            missing = self._log.lost(partition, Hole(first, gap.last))
        if missing == Hole(gap.first, gap.last):
            return gap
        asked = f"--accept-gap {partition}:{gap.first}-{gap.last}"
        if missing is None:
            raise StreamBroken(
                f"{asked}: nothing is missing there behind position {position_text(partition, head.offset)}, up to"
                " which all is decided; run `points consume` without it, which names what is missing"
            )
        raise StreamBroken(
            f"{asked}: what is missing behind what was decided is {partition}:{missing.first}-{missing.last}"
        )

    def _has_passed(self, partition: int, gap: Gap) -> bool:
        letters = self._ledger.journal(partition).parked(gap.last - 1, upto=gap.last, retried=True)
        return any(letter.reason == GAP for letter in letters)

    # -- the work ----------------------------------------------------------------------------------------------------

    def _fetch(self, timeout: float) -> float:
        """Let the reader fetch; returns the seconds that took where it did not just wait."""
        began = perf_counter()
        self._is_idle = self._is_idle or timeout > 0
        try:
            self._reader.poll(timeout)
        except StreamBroken:
            if not self._leave_what_is_gone():
                raise
        if self._reader.last_error:
            self._report("kafka", self._reader.last_error)
        elif self._last_error:
            self._last_error = ""
            self._observe(Recovered("kafka"))
        return perf_counter() - began if not timeout else 0.0

    def _leave_what_is_gone(self) -> bool:
        """Leave partitions whose log begins behind their positions by now; return True if there were any."""
        acquired, was_left = self._acquired(), False
        try:
            begins = self._reader.begins([owner.partition for owner in acquired])
        except BrokerAway:
            return False
        for owner in acquired:
            assert owner.writer is not None
            try:
                self._check_beginning(owner.partition, owner.writer.offset, begins[owner.partition])
            except StreamBroken as error:
                self._drop_and_leave(owner, error)
                was_left = True
        return was_left

    def _decide(self, fetching: float) -> bool:
        """Decide a batch of each partition; return True if there was one."""
        worked = False
        if not self._is_same():
            return False
        for owner in self._acquired():
            try:
                self._look_at_holes(owner)
                batch = owner.turn(self._reader)
                self._bind(owner)
            except NotContinued as error:
                broken = StreamBroken(str(error))
                broken.__cause__ = error
                self._drop_and_leave(owner, broken)
            except StreamBroken as error:
                self._drop_and_leave(owner, error)
            except BrokerAway as error:
                self._report("kafka", str(error))
            except Fenced as error:
                owner.release()
                self._fenced(owner, error)
            except STORE_FAILURES as error:
                if owner.writer is not None:  # it failed beside the turn, which releases by itself
                    owner.release()
                    owner.back_off(error)
                self._dropped(owner, f"the store: {error}")
                self._store_failed(owner, error)
            else:
                if batch is not None:
                    self._publisher.pump()  # what was decided is sent while it is in memory
                    if owner.has_recovered:
                        self._observe(Recovered("deciding"))
                    self._observe(batch if worked else batch._replace(fetch=batch.fetch + fetching))
                    worked = True
        return worked

    def _tell(self) -> None:
        """Append what entries left for other accounts; what cannot be appended is tried again."""
        if not self._telling.is_over():
            return
        try:
            for owner in self._acquired():
                if owner.has_to_tell:
                    owner.tell(self._append)
                    if owner.told and self._plan.until_end:
                        self._told |= owner.told
                        self._observe(Told(dict(owner.told)))
                    owner.told.clear()
        except (StreamError, CannotAppend, *STORE_FAILURES) as error:
            self._observe(Failed("telling", str(error)))
            self._telling.failed()
            return
        if self._telling.succeeded():
            self._observe(Recovered("telling"))

    def _fenced(self, owner: PartitionOwner, error: Fenced) -> None:
        """Another process raised the epoch. It is acquired again only if the group still says so after a while."""
        if not self._plan.group:
            fenced = CannotDecide(f"partition {owner.partition}: {error}; nothing was lost, run the command again")
            fenced.__cause__ = error
            self._drop_and_leave(owner, fenced)
            return
        self._reader.drop(owner.partition)
        self._dropped(owner, str(error))
        owner.backoff = Backoff(first=self._plan.fenced_seconds)
        owner.backoff.failed()

    def _store_failed(self, owner: PartitionOwner, error: Exception) -> None:
        """Whether the batch was committed is read from the store at the next acquisition; nothing is retried."""
        if self._plan.until_end:
            failed = CannotDecide(f"{error}; what was decided is kept: mend that and run the same command again")
            failed.__cause__ = error
            self._leave(owner, failed)
            return
        self._reader.drop(owner.partition)
        self._publisher.drop(owner.partition)
        self._observe(Failed("deciding", f"partition {owner.partition}: {error}"))

    def _report(self, what: str, why: str) -> None:
        if why != self._last_error:
            self._last_error = why
            self._observe(Failed(what, why))

    # -- the end, and what is done now and then ----------------------------------------------------------------------

    def _has_ended(self) -> bool:
        """Whether all that stood in the topic at the start is decided and published, as far as it is ours.

        So is what it told, whichever process of a group decides that: one that left with its share decided would not
        hear of it. What such a process leaves behind goes to the others.
        """
        if not self._plan.until_end or not self._owners:
            return False
        if self._ends is None:
            try:
                self._ends = self._reader.ends(range(self._ledger.settings.partitions))
            except BrokerAway:
                return False
        if any(owner.has_to_tell for owner in self._owners.values()):
            return False
        are_through = all(map(self._is_through, list(self._owners.values())))
        return are_through and self._publisher.is_done and not self._waits_for_others()

    def _waits_for_others(self) -> bool:
        """Return True if another process of the group is still to decide what was told from here.

        A process that left a partition ends with its error all the same: two would wait for each other.
        """
        if not self._plan.group or self._left:
            return False
        try:
            for partition in self._told.keys() - self._owners.keys():
                self._ledger.look_again(partition)
                if self._ledger.journal(partition).head().offset < self._told[partition]:
                    return True
        except STORE_FAILURES:
            return True
        return False

    def _is_through(self, owner: PartitionOwner) -> bool:
        assert self._ends is not None
        partition = owner.partition
        end = max(self._ends[partition], self._told.get(partition, -1))
        if owner.writer is None or owner.taken is not None:
            return False
        if owner.writer.offset >= end:
            return True
        is_read = self._reader.waiting(partition) == 0 and self._reader.passed(partition) >= end
        try:
            return is_read and self._is_whole(partition, Hole(owner.writer.offset + 1, end))
        except StreamBroken as error:
            self._drop_and_leave(owner, error)
            return True

    def _is_whole(self, partition: int, hole: Hole) -> bool:
        """Return True if no record is missing at the end, False where nobody can be asked. Raises `StreamBroken`."""
        if self._whole.get(partition, -1) < hole.last:
            try:
                missing = self._log.missing(partition, hole)
            except BrokerAway:
                return False
            if missing is not None:
                raise self._broken(partition, missing, _IN_THE_MIDDLE)
            self._whole[partition] = hole.last
        return True

    def _housekeeping(self) -> None:
        now = time.monotonic()
        if now >= self._lag_at:
            self._lag_at = now + LAG_SECONDS
            acquired = self._reading()
            self._observe(Lag({partition: self._reader.lag(partition) for partition in acquired}))
            if self._last_error and acquired:
                with suppress(BrokerAway):  # an end shows that a broker answers again, even where nothing comes
                    self._reader.end(acquired[0])
                    self._look_at_topic(now)  # a client that reads on in vain may have been left behind by its topic
        if now >= self._collect_at:
            self._collect_at = now + COLLECT_SECONDS
            gc.collect()


def _start_of(owner: PartitionOwner, recorded: int) -> Start:
    """Return where an owner's records begin: with the one the journal took last, while that is still to be compared."""
    assert owner.writer is not None
    return Start(owner.writer.offset if owner.taken is None else owner.taken.offset - 1, recorded)
