"""The port by confluent-kafka: librdkafka, several times faster; the extra `fast` installs it."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from consumers.kafka.buffers import Buffer, new_buffer
from consumers.kafka.port import (
    GONE,
    BrokerAway,
    Denied,
    Headers,
    OnAssigned,
    OnTaken,
    Start,
    StreamBroken,
    StreamError,
    Topic,
)
from consumers.kafka.settings import KafkaSettings, Security
from consumers.kafka.topics import partitions_of
from consumers.stream import Record

AT_ONCE = 4_000  # records taken from the client in one call
FETCH_BYTES = 16 << 20  # of one answer of a broker, about
PARTITION_FETCH_BYTES = 4 << 20  # of one partition of it; one larger record comes all the same
FETCH_WAIT_MS = 50  # that a broker with nothing new waits; meanwhile it is not asked for another partition
MESSAGE_BYTES = 16 << 20  # that a producer takes at most
MOST_IN_FLIGHT = 20_000  # records, and
MOST_IN_FLIGHT_BYTES = 32 << 20
BACKOFF_MS, BACKOFF_MAX_MS = 50, 2_000
LOOK_SECONDS = 0.05  # between two looks for a topic that was just made
CLOSE_SECONDS = 2.0

_BROKEN = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION, KafkaError.OFFSET_OUT_OF_RANGE})
_DENIED = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError._INVALID_ARG,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.POLICY_VIOLATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
_UNKNOWN = frozenset({KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC})  # also where nobody can be asked
_PASSING = _UNKNOWN | {KafkaError.UNKNOWN_TOPIC_OR_PART}  # also of a broker that has just come back
_AWAY = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._MAX_POLL_EXCEEDED,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._TRANSPORT,
        KafkaError.FENCED_LEADER_EPOCH,  # what the client knew of the leader is older than the broker's restart
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)

_log = logging.getLogger("kafka.confluent")  # or it would write to standard error by itself
_log.addHandler(logging.NullHandler())


class _Complaints:
    """What the client said outside of its answers."""

    def __init__(self) -> None:
        self.last = ""
        self.denial: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        self.last = _sentence(error)
        if error.code() in _DENIED:
            self.denial = error

    def clear(self) -> None:
        """A broker answered."""
        self.last, self.denial = "", None


def _sentence(error: KafkaError) -> str:
    return f"{error.name()}: {error.str()}"


class _Client:
    """What the three share: the settings, and the client's errors as the port's."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._complaints = _Complaints()
        self._timeout = settings.timeout_seconds

    def _options(self) -> dict[str, Any]:
        return {
            "bootstrap.servers": self._settings.bootstrap_servers,
            "client.id": "points",
            "reconnect.backoff.ms": BACKOFF_MS,
            "reconnect.backoff.max.ms": BACKOFF_MAX_MS,
            "error_cb": self._complaints,
            "logger": _log,
            **_security(self._settings.security),
        }

    def _translated(self, error: KafkaError) -> StreamError:
        code = error.code()
        if code in _BROKEN:
            return StreamBroken(f"{GONE} ({_sentence(error)})")
        if code in _DENIED and not (code in _UNKNOWN and self._complaints.last):
            return Denied(_sentence(error))
        if self._complaints.denial is not None:
            return Denied(_sentence(self._complaints.denial))
        if code in _AWAY or code in _UNKNOWN or error.retriable():
            said = f" ({self._complaints.last})" if self._complaints.last else ""
            return BrokerAway(f"no broker of {self._settings.bootstrap_servers} answers: {_sentence(error)}{said}")
        return StreamError(f"the Kafka client: {_sentence(error)}")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise self._translated(error.args[0]) from error


def _security(security: Security) -> dict[str, Any]:
    options: dict[str, Any] = {"security.protocol": security.protocol}
    if security.protocol.endswith("SSL"):
        options["ssl.endpoint.identification.algorithm"] = "https" if security.check_hostname else "none"
        for name, file in (
            ("ssl.ca.location", security.ca_file),
            ("ssl.certificate.location", security.certificate_file),
            ("ssl.key.location", security.key_file),
            ("ssl.key.password", security.key_password.reveal() if security.key_password else None),
        ):
            if file is not None:
                options[name] = file
    if security.protocol.startswith("SASL"):
        assert security.password is not None
        options |= {
            "sasl.mechanism": security.mechanism,
            "sasl.username": security.username,
            "sasl.password": security.password.reveal(),
        }
    return options


class FastReader(_Client):
    """Reads partitions of a topic (see `port.Reader`)."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        super().__init__(settings)
        self._topic = topic
        self.partitions = partitions_of(FastAdmin(settings), topic)
        self._buffers: dict[int, Buffer] = {}
        self._full: set[int] = set()
        self._passed: dict[int, int] = {}
        self._failure: Exception | None = None
        self._is_closed = False
        self._consumer = self._new_consumer(settings.group)

    def _new_consumer(self, group: str) -> Consumer:
        timeout = int(self._settings.session_timeout_seconds * 1000)
        with self._explained():
            return Consumer(
                {
                    **self._options(),
                    "group.id": group,
                    "session.timeout.ms": timeout,
                    "heartbeat.interval.ms": max(1, timeout // 4),
                    "partition.assignment.strategy": "cooperative-sticky",  # who keeps a partition keeps its accounts
                    "allow.auto.create.topics": False,
                    "enable.auto.commit": False,  # positions live in the journal, in one transaction with the entries
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "error",  # a record that is gone is told, never skipped
                    "isolation.level": "read_committed",  # what was aborted never happened
                    "enable.partition.eof": True,  # says where the gaps at the end lead to
                    "check.crcs": True,
                    "fetch.max.bytes": FETCH_BYTES,
                    "fetch.wait.max.ms": FETCH_WAIT_MS,
                    "max.partition.fetch.bytes": PARTITION_FETCH_BYTES,
                    "queued.max.messages.kbytes": self._settings.buffer_mebibytes * 1024 // 2,
                }
            )

    @property
    def trouble(self) -> str:
        return self._complaints.last

    def assign(self, starts: Mapping[int, Start]) -> None:
        with self._explained():
            self._consumer.assign([self._place(partition, start) for partition, start in starts.items()])
        self._buffers.clear()
        for partition, start in starts.items():
            self._open(partition, start, len(starts))

    def join(self, group: str, on_assigned: OnAssigned, on_revoked: OnTaken, on_lost: OnTaken) -> None:
        self._consumer.close()
        self._consumer = self._new_consumer(group)

        def assigned(consumer: Consumer, places: list[TopicPartition]) -> None:
            starts = self._call(on_assigned, places) or {}
            consumer.incremental_assign([self._place(p.partition, starts.get(p.partition, Start())) for p in places])
            idle = [place for place in places if place.partition not in starts]
            if idle:
                consumer.pause(idle)
            for partition, start in starts.items():
                self._open(partition, start, len(consumer.assignment()))

        def taken(consumer: Consumer, places: list[TopicPartition], tell: OnTaken) -> None:
            for place in places:
                self._close(place.partition)
            self._call(tell, places)
            consumer.incremental_unassign(places)

        with self._explained():
            self._consumer.subscribe(
                [self._topic],
                on_assign=assigned,
                on_revoke=lambda consumer, places: taken(consumer, places, on_revoked),
                on_lost=lambda consumer, places: taken(consumer, places, on_lost),
            )

    def _call(self, function: Callable[[Sequence[int]], Any], places: list[TopicPartition]) -> Any:
        """Make a call of the group; what it raises waits until `poll` may raise it."""
        if self._is_closed or not places:
            return None
        try:
            return function(sorted(place.partition for place in places))
        except Exception as error:
            self._failure = error
            return None

    def seek(self, partition: int, start: Start) -> None:
        place = self._place(partition, start)
        with self._explained():
            self._consumer.incremental_unassign([place])
            self._consumer.incremental_assign([place])
            self._consumer.resume([place])  # one that was dropped, or full
        self._open(partition, start, len(self._consumer.assignment()))

    def drop(self, partition: int) -> None:
        if partition in self._buffers:
            self._close(partition)
            self._consumer.pause([self._place(partition)])

    def poll(self, timeout: float) -> None:
        for partition in [p for p in self._full if self._buffers[p].has_room]:
            self._full.remove(partition)
            self._consumer.resume([self._place(partition)])
        with self._explained():
            messages = self._consumer.consume(AT_ONCE, 0)
            if not messages and (first := self._consumer.poll(timeout)) is not None:  # the other waits for AT_ONCE
                messages = [first, *self._consumer.consume(AT_ONCE, 0)]
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        for message in messages:
            self._take(message)
        for partition, buffer in self._buffers.items():
            if buffer.is_full and partition not in self._full:
                self._full.add(partition)
                self._consumer.pause([self._place(partition)])
        if self._complaints.denial is not None:
            raise Denied(self._complaints.last)

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            self._hear(message, error)
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None and offset is not None
        buffer = self._buffers.get(partition)
        if buffer is None:
            return
        kind, timestamp = message.timestamp()
        buffer.add(
            offset,
            timestamp,
            kind == TIMESTAMP_LOG_APPEND_TIME,
            message.key(),
            message.value(),
            message.headers() or (),  # type: ignore[arg-type]  # a list of pairs, as it is read
        )
        if self._complaints.last:
            self._complaints.clear()

    def _hear(self, message: Message, error: KafkaError) -> None:
        partition = message.partition()
        if error.code() == KafkaError._PARTITION_EOF:
            if partition in self._buffers:
                self._passed[partition] = (message.offset() or 0) - 1
            self._complaints.clear()
        elif error.fatal() or error.code() in _BROKEN or error.code() in _DENIED - _PASSING:
            raise self._translated(error)
        else:
            self._complaints.last = _sentence(error)  # the client tries again

    def waiting(self, partition: int) -> int:
        return len(self._buffers[partition])

    def read(self, partition: int, after: int, limit: int, most_bytes: int = 1 << 62) -> Sequence[Record]:
        return self._buffers[partition].read(after, limit, most_bytes)

    def passed(self, partition: int) -> int:
        return max(self._buffers[partition].last, self._passed.get(partition, -1))

    def end(self, partition: int) -> int:
        return self.ends([partition])[partition]

    def ends(self, partitions: Sequence[int]) -> dict[int, int]:
        wanted = [TopicPartition(self._topic, partition, OFFSET_END) for partition in partitions]
        with self._explained():
            found = self._consumer.offsets_for_times(wanted, self._timeout)
        for place in found:
            if place.error is not None:
                raise self._translated(place.error)
        self._complaints.clear()
        return {place.partition: place.offset - 1 for place in found}

    def lag(self, partition: int) -> int:
        _, known = self._consumer.get_watermark_offsets(self._place(partition), cached=True)
        return max(0, known - 1 - self.passed(partition)) + self.waiting(partition)

    def close(self) -> None:
        self._is_closed = True
        self._consumer.close()

    def _place(self, partition: int, start: Start | None = None) -> TopicPartition:
        if start is None:
            return TopicPartition(self._topic, partition)
        return TopicPartition(self._topic, partition, start.after + 1 if start.after >= 0 else OFFSET_BEGINNING)

    def _open(self, partition: int, start: Start, sharing: int) -> None:
        self._close(partition)
        self._buffers[partition] = new_buffer(start, self._settings, sharing)

    def _close(self, partition: int) -> None:
        self._buffers.pop(partition, None)
        self._passed.pop(partition, None)
        self._full.discard(partition)


class FastWriter(_Client):
    """Appends records (see `port.Writer`)."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings)
        self._error: KafkaError | None = None
        self._in_flight = self._bytes = 0
        with self._explained():
            self._producer = Producer(
                {
                    **self._options(),
                    "acks": "all",  # no record is acknowledged that one broker's loss could take back
                    "enable.idempotence": True,  # a record that is sent again is appended once
                    "enable.gapless.guarantee": True,  # nothing is appended behind a record that was not
                    "message.timeout.ms": 0,  # a record does not time out by itself, for the same reason
                    "linger.ms": 5,
                    "message.max.bytes": MESSAGE_BYTES,
                    "queue.buffering.max.messages": 2 * MOST_IN_FLIGHT,
                    "queue.buffering.max.kbytes": 2 * MOST_IN_FLIGHT_BYTES // 1024,
                }
            )

    def send(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        on_delivered: Callable[[int], None] | None = None,
    ) -> None:
        deadline = time.monotonic() + self._timeout
        self.poll()
        while self._in_flight >= MOST_IN_FLIGHT or self._bytes >= MOST_IN_FLIGHT_BYTES:
            self._wait(deadline)
        size = len(value or b"")

        def heard(error: KafkaError | None, message: Message) -> None:
            self._in_flight -= 1
            self._bytes -= size
            if error is not None:
                self._error = self._error or error
                return
            if self._complaints.last:
                self._complaints.clear()
            if on_delivered is not None and self._error is None:
                on_delivered(message.offset() or 0)

        with self._explained():
            self._producer.produce(topic, value, key, partition, heard, headers=list(headers))
        self._in_flight += 1
        self._bytes += size

    def _wait(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            said = f" ({self._complaints.last})" if self._complaints.last else ""
            raise BrokerAway(f"{self._in_flight:,} records are not acknowledged in time{said}")
        self.poll(left)

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def poll(self, timeout: float = 0.0) -> None:
        try:
            self._producer.poll(timeout if self._in_flight else 0)
        except KafkaException as fatal:
            self._error = self._error or fatal.args[0]
        error = self._error or self._complaints.denial
        if error is not None:
            raise self._translated(error)

    def flush(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while self._in_flight:
            self._wait(deadline)

    def close(self) -> None:
        self._producer.flush(CLOSE_SECONDS if self._in_flight else 0)
        self._producer.purge()
        self._producer.poll(0)


class FastAdmin(_Client):
    """Looks at topics and makes them (see `port.Admin`)."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings)
        with self._explained():
            self._admin = AdminClient(self._options())

    def _translated(self, error: KafkaError) -> StreamError:
        self._admin.poll(0)  # what the client has to say about it
        return super()._translated(error)

    def brokers(self) -> int:
        with self._explained():
            return len(self._admin.list_topics(timeout=self._timeout).brokers)

    def topic(self, name: str) -> Topic | None:
        with self._explained():
            # All topics, as asking for one by its name could make it.
            found = self._admin.list_topics(timeout=self._timeout).topics.get(name)
            if found is None or not found.partitions:
                return None
            resource = ConfigResource(ResourceType.TOPIC, name)
            answer = self._admin.describe_configs([resource], request_timeout=self._timeout)[resource]
            described = answer.result(self._timeout)
        configs = {key: str(config.value) for key, config in described.items()}
        return Topic(name, len(found.partitions), len(found.partitions[0].replicas), configs)

    def create(self, topic: Topic) -> bool:
        wanted = NewTopic(topic.name, topic.partitions, topic.replication, config=dict(topic.configs))
        deadline = time.monotonic() + self._timeout
        try:
            with self._explained():
                self._admin.create_topics([wanted], request_timeout=self._timeout)[topic.name].result(self._timeout)
        except StreamError as error:
            cause = error.__cause__
            if isinstance(cause, KafkaException) and cause.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            raise
        while self.topic(topic.name) is None:
            if time.monotonic() > deadline:
                raise BrokerAway(f"{topic.name} was made and does not appear within {self._timeout:g} seconds")
            time.sleep(LOOK_SECONDS)
        return True

    def close(self) -> None:
        """Nothing is held open."""
