"""A simulated cluster of Kafka: topics, a consumer group, and the clients that the product's readers and writers have.

The product's own `client_base` runs over them: buffers, holes, callbacks, bounds.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar, NamedTuple

from consumers.kafka.buffers import RECORDED
from consumers.kafka.client_base import Keyed, LastError, Reader, Writer
from consumers.kafka.port import GONE, BrokerAway, Headers, LoggedBatch, Start, StreamBroken, StreamError
from consumers.kafka.settings import KafkaSettings
from tests.simulator.world import SAID, Process, World

SETTINGS = KafkaSettings(takes_backlog=True)
MAY_BE_LOST = (b'"type":"member.', b'"type":"seat.')  # of what accounts tell each other: of names and seats that move
FORWARDED = b'"type":"member.forwarded'
SEEN_WITHIN, SEEN_LATE = 100, 600  # turns until an operator sees that names wait for ever, or a fact that was handed on
MARKER = "marker"  # of a transaction: an offset without a record, as it should be


class LogRecord(NamedTuple):
    """A record as a broker keeps it; `timestamp` in milliseconds."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    is_stamped: bool = True

    @property
    def declared(self) -> int | None:
        """Return what an importer declares as recorded."""
        return next((int(value) for name, value in self.headers if name == RECORDED), None)


class Log:
    """A partition of a topic: what was ever appended, and what of it is left to be read."""

    def __init__(self) -> None:
        self.records: list[LogRecord | str] = []
        self.lost: set[int] = set()
        self.begin = 0
        self.cut: int | None = None  # where it ends for readers, if its tail was cut off

    @property
    def end(self) -> int:
        """Return the offset behind the last."""
        return len(self.records) if self.cut is None else self.cut


class Topic:
    """A topic under its id."""

    def __init__(self, id: str, partitions: int) -> None:
        self.id = id
        self.logs = [Log() for _ in range(partitions)]


class Cluster:
    """The topics by name, and the group that shares out the partitions of the facts."""

    def __init__(self, world: World, partitions: int) -> None:
        self.world = world
        self.partitions = partitions
        self._ids = 0
        self.topics = {name: self.new_topic() for name in ("facts", "outcomes", "dead-letters")}
        self.genuine = self.topics["facts"]
        self.group = Group(world, partitions)
        self.is_seen_late = False  # what the topic of facts lost of what accounts told each other
        self._late: list[tuple[int, int, LogRecord]] = []  # of a sender that nobody hears any more: from which turn on

    def new_topic(self) -> Topic:
        self._ids += 1
        return Topic(f"topic-{self._ids}", self.partitions)

    @property
    def facts(self) -> Topic:
        return self.topics["facts"]

    def append(self, topic: str, partition: int, record: LogRecord) -> int:
        """Append a record; return its offset."""
        log = self.topics[topic].logs[partition]
        log.records.append(record)
        return len(log.records) - 1

    def keep_back(self, partition: int, record: LogRecord, most: int = 60) -> None:
        """Keep a record on its way to the topic of facts for so many turns, behind what others send meanwhile."""
        self._late.append((self.world.turns + self.world.order.randint(1, most), partition, record))

    def late_copies_arrive(self) -> None:
        """Append what was kept back and is due by now."""
        for late in [late for late in self._late if late[0] <= self.world.turns or self.world.is_healed]:
            self._late.remove(late)
            _, partition, record = late
            self.genuine.logs[partition].records.append(record._replace(timestamp=self.world.now // 1000))

    def reached(self) -> None:
        """Raise `BrokerAway` where none answers now."""
        if self.world.strikes("broker-away"):
            raise BrokerAway(f"no broker answers {SAID}")


class Group:
    """A consumer group with the cooperative protocol: a partition is given away once its owner has let go of it.

    A member that is not heard of is put out, and learns so only when it is heard of again.
    """

    def __init__(self, world: World, partitions: int) -> None:
        self._world = world
        self._members: list[SimulatedReader] = []
        self._target: dict[int, SimulatedReader | None] = dict.fromkeys(range(partitions))
        self._held: dict[int, SimulatedReader | None] = dict.fromkeys(range(partitions))

    def join(self, member: "SimulatedReader") -> None:
        self._members.append(member)
        self.share_out()

    def leave(self, member: "SimulatedReader") -> None:
        """Let a member go, or put it out: what it held is free at once."""
        if member in self._members:
            self._members.remove(member)
        for partition, holder in self._held.items():
            if holder is member:
                self._held[partition] = None
        self.share_out()

    def share_out(self) -> None:
        for partition in self._target:
            self._target[partition] = self._world.order.choice(self._members) if self._members else None

    def heard_of(self, member: "SimulatedReader") -> None:
        """Tell a member that polls what it is to let go of, and what it is given."""
        if member not in self._members:
            member.lost(member.assigned)
            self.join(member)
            return
        taken = [p for p, holder in self._held.items() if holder is member and self._target[p] is not member]
        if taken:
            member.revoked(taken)
            for partition in taken:
                if self._held[partition] is member:
                    self._held[partition] = None
        given = [p for p, target in self._target.items() if target is member and self._held[p] is None]
        for partition in given:
            self._held[partition] = member
        if given:
            member.given(given)


class _Place(NamedTuple):
    partition: int


class _Library:
    """What the product asks of a library's consumer by itself."""

    def __init__(self, reader: "SimulatedReader") -> None:
        self._reader = reader

    def assignment(self) -> set[int]:
        return set(self._reader.assigned)

    def close(self) -> None:
        if self._reader.group is not None:
            self._reader.group.leave(self._reader)


class SimulatedReader(Reader):
    """The product's reader over the cluster's topic of facts."""

    raised: ClassVar[tuple[type[Exception], ...]] = ()

    def __init__(self, cluster: Cluster, process: Process) -> None:
        super().__init__(SETTINGS, LastError(), "facts", cluster.partitions)
        self._cluster = cluster
        self._process = process
        self.group: Group | None = None
        self.assigned: list[int] = []
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()
        self._known_id = cluster.facts.id
        self._consumer = _Library(self)

    def _translated(self, error: Any) -> StreamError:
        return StreamBroken(str(error))

    # -- the group ---------------------------------------------------------------------------------------------------

    def _subscribe(self, group: str) -> None:
        self.group = self._cluster.group
        self.group.join(self)

    def given(self, partitions: Sequence[int]) -> None:
        self.assigned = sorted({*self.assigned, *partitions})
        self._paused.update(partitions)
        starts = self._call(self._on_assigned, [_Place(p) for p in partitions]) or {}
        for partition, start in starts.items():
            self._seek(partition, start)
        self._open(starts)

    def revoked(self, partitions: Sequence[int]) -> None:
        self._taken([_Place(p) for p in partitions], self._on_revoked)
        self._forget(partitions)

    def lost(self, partitions: Sequence[int]) -> None:
        self._taken([_Place(p) for p in partitions], self._on_lost)
        self._forget(partitions)

    def _forget(self, partitions: Sequence[int]) -> None:
        self.assigned = [p for p in self.assigned if p not in partitions]
        for partition in partitions:
            self._positions.pop(partition, None)

    # -- what a library does -----------------------------------------------------------------------------------------

    def ends(self, partitions: Sequence[int]) -> dict[int, int]:
        self._process.check()
        self._cluster.reached()
        self._reported.clear()
        return {p: self._cluster.facts.logs[p].end - 1 for p in partitions}

    def begins(self, partitions: Sequence[int]) -> dict[int, int]:
        self._process.check()
        self._cluster.reached()
        return {p: self._cluster.facts.logs[p].begin for p in partitions}

    def _assign(self, starts: Mapping[int, Start]) -> None:
        self.assigned = sorted(starts)
        for partition, start in starts.items():
            self._seek(partition, start)

    def _seek(self, partition: int, start: Start) -> None:
        begin = self._cluster.facts.logs[partition].begin
        self._positions[partition] = begin if start.after < 0 else start.after + 1
        self._paused.discard(partition)

    def _set_paused(self, partition: int, is_paused: bool) -> None:
        (self._paused.add if is_paused else self._paused.discard)(partition)

    def _fetch(self, timeout: float) -> None:
        world = self._process.world
        self._process.check()
        world.passes(timeout + 0.001)
        if self.group is not None:
            self.group.heard_of(self)
        if world.strikes("broker-away"):
            self._reported.text = f"no broker answers {SAID}"
            return
        if self._known_id != self._cluster.facts.id:  # the leaders of the one it knew are gone
            self._known_id = self._cluster.facts.id
            self._reported.text = f"unknown topic {SAID}"
            return
        self._reported.clear()
        for partition in self.assigned:
            if partition in self._positions and partition not in self._paused:
                self._fetch_from(partition, self._cluster.facts.logs[partition], world.order)

    def _fetch_from(self, partition: int, log: Log, order: Random) -> None:
        at = self._positions[partition]
        if not log.begin <= at <= log.end:
            raise StreamBroken(GONE)
        buffer = self._buffers.get(partition)
        for _ in range(order.randint(1, 12)):
            if at >= log.end:
                break
            record = log.records[at]
            if isinstance(record, LogRecord) and at not in log.lost and buffer is not None:
                buffer.add(at, record.timestamp, record.is_stamped, record.key, record.value, record.headers)
            at += 1
        self._positions[partition] = at

    def _fetched(self, partition: int) -> int:
        return self._positions.get(partition, 0) - 1

    def _known_end(self, partition: int) -> int:
        return self._cluster.facts.logs[partition].end


class SimulatedWriter(Writer):
    """The product's writer to the cluster's topics: what it sends arrives in order, and perhaps unheard of."""

    raised: ClassVar[tuple[type[Exception], ...]] = ()

    def __init__(self, cluster: Cluster, process: Process) -> None:
        super().__init__(SETTINGS, LastError())
        self._cluster = cluster
        self._process = process
        self._queue: deque[tuple[str, int, LogRecord, Any]] = deque()

    def _translated(self, error: Any) -> StreamError:
        return BrokerAway(str(error))

    def _append(self, topic: str, partition: int, records: Sequence[Keyed], pending: Any) -> None:
        for left, (key, value, headers) in enumerate(records, 1 - len(records)):
            self._process.check()
            record = LogRecord(self._process.world.now // 1000, key, value, list(headers))
            self._queue.append((topic, partition, record, None if left else pending))

    def _serve(self, timeout: float) -> None:
        world = self._process.world
        self._process.check()
        world.passes(timeout)
        for _ in range(len(self._queue) if world.is_healed else world.order.randint(0, 20)):
            if not self._queue:
                return
            topic, partition, record, pending = self._queue.popleft()
            if topic == "facts" and world.strikes("late-copy"):
                self._cluster.keep_back(partition, record)
                self._failed(f"not acknowledged in time {SAID}")
                return
            offset = self._cluster.append(topic, partition, record)
            if (
                topic == "facts"
                and any(one in (record.value or b"") for one in MAY_BE_LOST)
                and world.strikes("told-lost")
            ):
                self._cluster.genuine.logs[partition].lost.add(offset)  # it is sent again by an operator
                if self._cluster.is_seen_late:  # who sees that late, and sends nothing else again
                    is_fact = FORWARDED in (record.value or b"")
                    self._cluster.keep_back(partition, record, SEEN_LATE if is_fact else SEEN_WITHIN)
            if world.strikes("ack-lost"):
                self._failed(f"not acknowledged in time {SAID}")
                return
            if pending is not None:
                self._acknowledged(pending, offset)

    def close(self) -> None:
        self._queue.clear()


class SimulatedAdmin:
    """What the product's `Log` asks an admin client."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def topic_id(self, _name: str) -> str:
        self._cluster.reached()
        return self._cluster.facts.id

    def batches(self, _topic: str, partition: int, offset: int) -> list[LoggedBatch]:
        self._cluster.reached()
        log = self._cluster.facts.logs[partition]
        if offset < log.begin:
            raise StreamBroken(GONE)
        return [LoggedBatch(at, at, log.records[at] == MARKER) for at in range(offset, log.end) if at not in log.lost]

    def close(self) -> None:
        """Nothing."""
