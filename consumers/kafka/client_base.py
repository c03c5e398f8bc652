"""Readers and writers as both Kafka clients have them; the file of a client adds what its library demands.

Offsets have gaps (control records, aborted transactions): `after` an offset is the next record with a larger one.
Nothing here is for several threads; every callback is made while the caller waits in one of its own calls.
"""

import time
from abc import ABC, abstractmethod
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import msgspec

from consumers.kafka.buffers import Buffer
from consumers.kafka.port import (
    BrokerAway,
    Denied,
    Headers,
    Hole,
    OnAssigned,
    OnDelivered,
    OnTaken,
    Start,
    StreamError,
)
from consumers.kafka.settings import KafkaSettings, Secret, Security
from consumers.stream import Record
from ledger.journal.engines import native_module
from ledger.journal.native import plain_records

RECORDS_AT_ONCE = 8_000  # taken from the library in one call
FETCH_WAIT_MS = 50  # that a broker with nothing new waits; meanwhile it is not asked for another partition
REQUEST_BYTES = 16 << 20  # of the longest record, and of what a producer sends at once
MOST_IN_FLIGHT = 20_000  # records, and
MOST_IN_FLIGHT_BYTES = 32 << 20
CLOSE_SECONDS = 2.0
POLL_SECONDS = 0.2
POLL_EVERY = 64  # records that are sent, while some are in flight
UNKNOWN = -1  # the offset of a record that was sent again, where the brokers only say that they have it
FIRST_SECONDS = 1.0  # that an answer is waited for before it is looked at whether the cluster refuses this client

# By Kafka's own names, which both libraries have.
READING: Mapping[str, Any] = {
    "allow.auto.create.topics": False,
    "enable.auto.commit": False,  # positions live in the journal, in one transaction with the entries
    "isolation.level": "read_committed",  # what was aborted never happened
    "check.crcs": True,
    "fetch.max.bytes": 16 << 20,  # of one answer of a broker, about
    "max.partition.fetch.bytes": 4 << 20,  # of one partition of it; one larger record comes all the same
}
WRITING: Mapping[str, Any] = {
    "acks": "all",  # no record is acknowledged that one broker's loss could take back
    "enable.idempotence": True,  # a record that is sent again is appended once
    "linger.ms": 5,
}

# Kafka's own codes of errors, which both libraries pass on.
OUT_OF_RANGE = 1
DENIED = frozenset(
    {
        3,  # unknown topic or partition
        10,  # message too large
        17,  # invalid topic
        26,  # invalid session timeout
        29,  # topic authorization failed
        30,  # group authorization failed
        31,  # cluster authorization failed
        33,  # unsupported SASL mechanism
        37,  # invalid partitions
        38,  # invalid replication factor
        40,  # invalid config
        44,  # policy violation
        58,  # SASL authentication failed
    }
)

Bytes = bytes | None
Keyed = tuple[Bytes, Bytes, Headers]  # a record to be sent: its key, its value and its headers
Pending = tuple[OnDelivered | None, int, int]  # of records in flight: whom to call, how many they are, and their bytes


def connection_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return how brokers are reached, by Kafka's own names."""
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": "points",
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 2_000,
    }


def group_options(settings: KafkaSettings, group: str) -> dict[str, Any]:
    """Return how a member of a consumer group shows that it lives, by Kafka's own names."""
    timeout = int(settings.session_timeout_seconds * 1000)
    return {"group.id": group, "session.timeout.ms": timeout, "heartbeat.interval.ms": max(1, timeout // 4)}


def security_options(security: Security, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of TLS and SASL that apply, each by a library's own name for it; secrets are revealed."""
    found = msgspec.structs.asdict(security)
    if not security.protocol.startswith("SASL"):
        del found["mechanism"]
    if not security.protocol.endswith("SSL"):
        del found["check_hostname"]
    return {
        name: found[field].reveal() if isinstance(found[field], Secret) else found[field]
        for field, name in names.items()
        if found.get(field) is not None
    }


def no_topic(topic: str) -> Denied:
    """Return the error for a topic that is not there."""
    return Denied(f'there is no topic "{topic}"; `points topics create` makes it')


def topic_id_text(raw: bytes) -> str:
    """Return a topic's id as Kafka's own tools write it; empty where the 16 bytes are zero: the cluster has none."""
    return urlsafe_b64encode(raw).decode().rstrip("=") if any(raw) else ""


class LastError:
    """What a library reported outside of its answers, while it tries again by itself."""

    def __init__(self) -> None:
        self.text = ""
        self.denial = ""  # why the cluster refuses this client, where it does

    def clear(self) -> None:
        """Forget the error, since a broker answered."""
        self.text = self.denial = ""

    def in_brackets(self) -> str:
        """Return the text as the end of a sentence; empty where there is none."""
        return f" ({self.text})" if self.text else ""


class Client(ABC):
    """Settings, and the errors of a library as those of `consumers.kafka.port`."""

    raised: ClassVar[tuple[type[Exception], ...]]  # by the library

    def __init__(self, settings: KafkaSettings, reported: LastError) -> None:
        self._settings = settings
        self._reported = reported

    @abstractmethod
    def _translated(self, error: Any) -> StreamError:
        """Return an error of the library as one of ours."""

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except self.raised as error:
            raise self._translated(error) from error

    def _refused(self) -> Denied:
        """Return the error for a cluster that refuses this client."""
        servers = self._settings.bootstrap_servers
        return Denied(f"{servers} refuses {self._who}: {self._reported.denial}; mend kafka.security in the settings")

    @property
    def _who(self) -> str:
        security = self._settings.security
        is_known = security.protocol.startswith("SASL")
        return f'user "{security.username}" by {security.mechanism}' if is_known else "this client"

    def _away(self, error: object, hint: str = "") -> StreamError:
        """Return the error for no answer: `Denied` where the cluster refused this client meanwhile."""
        if self._reported.denial:
            return self._refused()
        servers = self._settings.bootstrap_servers
        return BrokerAway(f"no broker of {servers} answers: {error}{self._reported.in_brackets()}{hint}")


class Reader(Client):
    """Reads partitions of one topic into bounded buffers; commits no offsets, sees no aborted transaction.

    What is asked of a partition that is not read here (not assigned, not named, dropped) raises `KeyError`.
    Opening raises `BrokerAway` and `Denied`.
    """

    _consumer: Any
    stops_at_holes = False  # return no record behind offsets without one (see `hole`), of partitions opened from now on

    def __init__(self, settings: KafkaSettings, reported: LastError, topic: str, partitions: int) -> None:
        super().__init__(settings, reported)
        self.partitions = partitions
        self._topic = topic
        self._buffers: dict[int, Buffer] = {}
        self._full: set[int] = set()
        self._failure: Exception | None = None  # of a callback of the group or a partition, until `poll` raises it
        self._is_closed = False

    @property
    def last_error(self) -> str:
        """What the library last reported of brokers that do not answer; empty while all is well."""
        return self._reported.text

    def assign(self, starts: Mapping[int, Start]) -> None:
        """Read exactly these partitions, from where their owner stands."""
        self._buffers.clear()
        self._full.clear()
        with self._translating():
            self._assign(starts)
        self._open(starts)

    def join(self, group: str, on_assigned: OnAssigned, on_revoked: OnTaken, on_lost: OnTaken) -> None:
        """Let a consumer group share out the partitions; `poll` calls back, and raises what a callback raised.

        `on_assigned` takes the partitions that are new here and returns where to read each; a partition that it leaves
        out is not read. `on_revoked` comes before another member gets them, `on_lost` when that may have happened.
        No callback may ask a broker through this reader.
        """
        self._on_assigned, self._on_revoked, self._on_lost = on_assigned, on_revoked, on_lost
        self._consumer.close()
        self._subscribe(group)

    def _taken(self, places: Iterable[Any], on_taken: OnTaken) -> None:
        """Let go of partitions that go to another member, and call back."""
        for place in places:
            self._close(place.partition)
        self._call(on_taken, places)

    def _call(self, function: Callable[[Sequence[int]], Any], places: Iterable[Any]) -> Any:
        """Call back with the partitions of the library's places, if any; what that raises waits for `poll`."""
        partitions = sorted(place.partition for place in places)
        if self._is_closed or not partitions:
            return None
        try:
            return function(partitions)
        except Exception as error:
            self._failure = error
            return None

    def seek(self, partition: int, start: Start) -> None:
        """Read an assigned partition from there instead; what was buffered of it is let go."""
        with self._translating():
            self._seek(partition, start)
        self._open({partition: start})

    def drop(self, partition: int) -> None:
        """Read no more of a partition, until `seek` or until it is assigned again."""
        if partition in self._buffers:
            self._close(partition)
            self._set_paused(partition, True)

    def poll(self, timeout: float) -> None:
        """Fetch what has come, waiting at most `timeout` seconds for it, and call back for the group.

        A partition whose buffer is full is not fetched until it is read. A broker that is away is tried again with
        growing pauses (see `last_error`). Raises `Denied`, `StreamBroken`.
        """
        for partition in [p for p in self._full if self._buffers[p].has_room]:
            self._full.remove(partition)
            self._set_paused(partition, False)
        self._fetch(timeout)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        for partition, buffer in self._buffers.items():
            if buffer.is_full and partition not in self._full:
                self._full.add(partition)
                self._set_paused(partition, True)

    def waiting(self, partition: int) -> int:
        """Return how many records of a partition are buffered behind what was read."""
        return len(self._buffers[partition])

    def read(self, partition: int, after: int, limit: int, most_bytes: int = 1 << 62) -> Sequence[Record]:
        """Return up to `limit` buffered records behind `after`, no more once they hold `most_bytes`; asks no broker.

        They stay buffered until a later `after` passes them: the same again gives the same records.
        """
        return self._buffers[partition].read(after, limit, most_bytes)

    def records_up_to(self, partition: int, offset: int, recorded: int = 0) -> Iterator[Record]:
        """Read this partition alone: yield its records from the first up to an offset, in order and bounded memory.

        None is recorded before `recorded`. Raises `StreamError`.
        """
        self.assign({partition: Start(recorded=recorded)})
        after = -1
        while after < offset and not (self.waiting(partition) == 0 and self.passed(partition) >= offset):
            self.poll(POLL_SECONDS)
            for record in self.read(partition, after, RECORDS_AT_ONCE, REQUEST_BYTES):
                if record.offset > offset:
                    return
                yield record
                after = record.offset

    def hole(self, partition: int) -> Hole | None:
        """Return the offsets at which reading stopped, since no record stands there; None where it did not stop."""
        holes = self._buffers[partition].holes
        return holes[0] if holes else None

    def pass_hole(self, partition: int) -> None:
        """Read on behind the hole."""
        self._buffers[partition].holes.popleft()

    def passed(self, partition: int) -> int:
        """Return the offset up to which everything was fetched, the gaps at its end included.

        Where nothing is `waiting` and this has reached `end`, all that stood there has been read.
        """
        return max(self._buffers[partition].last, self._fetched(partition))

    def end(self, partition: int) -> int:
        """Return the offset of the last committed record (perhaps a control record), -1 without one; asks the broker.

        Raises `BrokerAway`, `Denied`.
        """
        return self.ends([partition])[partition]

    @abstractmethod
    def ends(self, partitions: Sequence[int]) -> dict[int, int]:
        """Return `end` of several partitions at once."""

    @abstractmethod
    def begins(self, partitions: Sequence[int]) -> dict[int, int]:
        """Return the offset at which each partition's log begins: what stood before was deleted. As `ends`."""

    def lag(self, partition: int) -> int:
        """Return about how many records stand behind those read, buffered ones included; asks no broker."""
        return max(0, self._known_end(partition) - 1 - self.passed(partition)) + self.waiting(partition)

    def close(self) -> None:
        """Leave the group at once (its partitions are given out again; no callback comes) and close."""
        self._is_closed = True
        self._consumer.close()

    def _open(self, starts: Mapping[int, Start]) -> None:
        """Begin empty buffers; those of all partitions together keep to the setting."""
        module = native_module()
        most = (self._settings.buffer_mebibytes << 20) // max(1, len(self._consumer.assignment()))
        for partition, start in starts.items():
            self._close(partition)
            self._buffers[partition] = Buffer(
                start,
                most,
                self._settings.takes_backlog,
                stops_at_holes=self.stops_at_holes,
                takes_schema_ids=self._settings.takes_schema_ids,
                take_plain=None if module is None else plain_records(module),
            )

    def _close(self, partition: int) -> None:
        self._buffers.pop(partition, None)
        self._full.discard(partition)

    @abstractmethod
    def _subscribe(self, group: str) -> None:
        """Join a group, and have the library call `_call` and `_taken` for its partitions."""

    @abstractmethod
    def _assign(self, starts: Mapping[int, Start]) -> None: ...

    @abstractmethod
    def _seek(self, partition: int, start: Start) -> None:
        """Read from there, and go on where it was paused."""

    @abstractmethod
    def _set_paused(self, partition: int, is_paused: bool) -> None:
        """Have the library fetch no more of a partition, or go on."""

    @abstractmethod
    def _fetch(self, timeout: float) -> None:
        """Add what has come to the buffers, waiting at most `timeout` seconds for it."""

    @abstractmethod
    def _fetched(self, partition: int) -> int:
        """Return the offset up to which the library fetched, -1 where it does not know."""

    @abstractmethod
    def _known_end(self, partition: int) -> int:
        """Return the offset behind the last record, as a broker said when it was last asked."""


class Writer(Client):
    """Appends records, in order and once each (idempotent, all replicas in sync acknowledge).

    The first record that cannot be delivered makes this and every later call raise `StreamError`; records sent
    behind it may or may not stand in the topic. Begin again with a new writer from what was acknowledged.
    """

    def __init__(self, settings: KafkaSettings, reported: LastError) -> None:
        super().__init__(settings, reported)
        self.in_flight = 0  # records that are sent and not acknowledged
        self.bytes_in_flight = 0
        self._failure: StreamError | None = None

    def send(
        self,
        topic: str,
        partition: int,
        key: Bytes,
        value: Bytes,
        headers: Headers = (),
        on_delivered: OnDelivered | None = None,
    ) -> None:
        """Append a record to a partition; `on_delivered` is called with its offset once it is acknowledged.

        As `send_all`.
        """
        self.send_all(topic, partition, [(key, value, headers)], on_delivered)

    def send_all(
        self, topic: str, partition: int, records: Sequence[Keyed], on_delivered: OnDelivered | None = None
    ) -> None:
        """Append records to a partition; once all are acknowledged, call `on_delivered` with the last one's offset.

        The offset is `UNKNOWN` where the brokers had it already from an attempt whose answer was lost. They are
        acknowledged in order: that the last one is says it of all. Waits while as much is in flight as may be.
        Raises `Denied`, `BrokerAway`.
        """
        if self._failure is not None or self.in_flight % POLL_EVERY == 0:
            self.poll()
        if self.in_flight >= MOST_IN_FLIGHT or self.bytes_in_flight >= MOST_IN_FLIGHT_BYTES:
            deadline = time.monotonic() + self._settings.timeout_seconds
            while self.in_flight >= MOST_IN_FLIGHT or self.bytes_in_flight >= MOST_IN_FLIGHT_BYTES:
                self._wait(deadline)
        size = sum(len(value or b"") for _, value, _ in records)
        try:
            self._append(topic, partition, records, (on_delivered, len(records), size))
        except self.raised as error:
            self._failed(error)  # those before it may stand in the topic, and nobody will hear of it
            raise self._translated(error) from error
        self.in_flight += len(records)
        self.bytes_in_flight += size

    def poll(self, timeout: float = 0.0) -> None:
        """Call back for what was acknowledged, waiting at most `timeout` seconds for the first."""
        self._serve(timeout if self.in_flight else 0.0)
        if self._failure is not None:
            raise self._failure

    def flush(self, timeout: float) -> None:
        """Wait until all is acknowledged. Raises `BrokerAway` where that takes longer than `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self.in_flight:
            self._wait(deadline)

    def _wait(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            said = self._reported.in_brackets()
            raise BrokerAway(f"{self.in_flight:,} records are not acknowledged in time{said}")
        self.poll(left)

    def _acknowledged(self, pending: Pending, offset: int) -> None:
        on_delivered, count, size = pending
        self.in_flight -= count
        self.bytes_in_flight -= size
        if on_delivered is not None and self._failure is None:
            on_delivered(offset)

    def _failed(self, error: Any) -> None:
        self._failure = self._failure or self._translated(error)

    @abstractmethod
    def close(self) -> None:
        """Close; what is in flight may or may not be delivered."""

    @abstractmethod
    def _append(self, topic: str, partition: int, records: Sequence[Keyed], pending: Pending) -> None:
        """Give records to the library.

        `_serve` passes `pending` to `_acknowledged` once the last of them is acknowledged, or calls `_failed`.
        """

    @abstractmethod
    def _serve(self, timeout: float) -> None:
        """Make the calls that are due, waiting at most `timeout` seconds for the first."""
