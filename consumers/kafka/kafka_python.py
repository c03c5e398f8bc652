"""The port by kafka-python: pure Python, no compiled client to install."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Queue
from threading import Event
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

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

APPENDED = 1  # the timestamp type of the broker's own stamp
AT_ONCE = 4_000  # records taken from the client in one call
FETCH_BYTES = 16 << 20  # of one answer of a broker, about
PARTITION_FETCH_BYTES = 4 << 20  # of one partition of it; one larger record comes all the same
FETCH_WAIT_MS = 50  # that a broker with nothing new waits; meanwhile it is not asked for another partition
METADATA_MS = 10_000  # how old what is known of a topic may become: what was missed is seen then
REQUEST_BYTES = 16 << 20  # that a producer sends at once
BATCH_BYTES = 256 << 10
MOST_IN_FLIGHT = 20_000  # records, and
MOST_IN_FLIGHT_BYTES = 32 << 20
FOR_EVER_MS = (1 << 31) - 1  # a record does not time out by itself: one that did would leave a gap before the next
BACKOFF_MS, BACKOFF_MAX_MS = 50, 2_000
RETRY_SECONDS = 0.1
CLOSE_SECONDS = 2.0

_BROKEN = (errors.OffsetOutOfRangeError, errors.LogTruncationError, errors.NoOffsetForPartitionError)
_UNAUTHENTICATED = (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError)
_DENIED = (
    *_UNAUTHENTICATED,
    errors.AuthorizationError,
    errors.KafkaConfigurationError,
    errors.InvalidTopicError,
    errors.InvalidReplicationFactorError,
    errors.InvalidPartitionsError,
    errors.InvalidConfigurationError,
    errors.InvalidSessionTimeoutError,
    errors.PolicyViolationError,
    errors.MessageSizeTooLargeError,
    errors.UnknownTopicOrPartitionError,
)


# Complaints that say less than the one before them.
_SAYS_LESS = ("Bootstrap failed: %s", "Bootstrap %s not ready; waiting %.2f secs")


class _Complaints(logging.Handler):
    """What the client last logged: it tells a log of what it does not tell its caller."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        self.denial: object = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg not in _SAYS_LESS:
            self.last = record.getMessage()
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, _UNAUTHENTICATED) or "[SSL" in str(argument):
                self.denial = argument

    def clear(self) -> None:
        """A broker answered."""
        self.last, self.denial = "", None


_complaints = _Complaints()
_log = logging.getLogger("kafka")
_log.addHandler(_complaints)
_log.setLevel(logging.INFO)  # the client's debug lines tell passwords


@contextmanager
def _explained(settings: KafkaSettings) -> Iterator[None]:
    """The client's errors as the port's."""
    try:
        yield
    except StreamError:
        raise
    except _BROKEN as error:
        raise StreamBroken(f"{GONE} ({error})") from error
    except _DENIED as error:
        raise Denied(str(error)) from error
    except (errors.RetriableError, errors.BrokerNotAvailableError, OSError) as error:
        if _complaints.denial is not None:
            raise Denied(str(_complaints.denial)) from error
        said = f" ({_complaints.last})" if _complaints.last else ""
        if settings.security.protocol.startswith("SASL") and "disconnected" in said:
            said += "; one that refuses the credentials may hang up like that"  # before its answer is read
        raise BrokerAway(f"no broker of {settings.bootstrap_servers} answers: {error}{said}") from error
    except (errors.KafkaError, ValueError, RuntimeError) as error:
        raise StreamError(f"the Kafka client: {error}") from error


def _common(settings: KafkaSettings) -> dict[str, Any]:
    timeout = int(settings.timeout_seconds * 1000)
    return {
        "bootstrap_servers": [server.strip() for server in settings.bootstrap_servers.split(",")],
        "client_id": "points",
        "bootstrap_timeout_ms": timeout,
        "request_timeout_ms": timeout,
        "reconnect_backoff_ms": BACKOFF_MS,
        "reconnect_backoff_max_ms": BACKOFF_MAX_MS,
        **_security(settings.security),
    }


def _security(security: Security) -> dict[str, Any]:
    options: dict[str, Any] = {
        "security_protocol": security.protocol,
        "ssl_check_hostname": security.check_hostname,
        "ssl_cafile": security.ca_file,
        "ssl_certfile": security.certificate_file,
        "ssl_keyfile": security.key_file,
        "ssl_password": security.key_password.reveal() if security.key_password else None,
    }
    if security.protocol.startswith("SASL"):
        assert security.username is not None and security.password is not None
        options |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password.reveal(),
        }
    return options


class PureReader:
    """Reads partitions of a topic (see `port.Reader`)."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self.partitions = partitions_of(PureAdmin(settings), topic)
        self._buffers: dict[int, Buffer] = {}
        self._full: set[int] = set()
        self._group: _Group | None = None
        self._consumer = self._new_consumer()

    def _new_consumer(self, **options: Any) -> KafkaConsumer:
        with _explained(self._settings):
            return KafkaConsumer(
                **_common(self._settings),
                **options,
                allow_auto_create_topics=False,
                enable_auto_commit=False,  # positions live in the journal, in one transaction with the entries
                auto_offset_reset="none",  # a record that is gone is told, never skipped
                isolation_level="read_committed",  # what was aborted never happened
                fetch_max_bytes=FETCH_BYTES,
                fetch_max_wait_ms=FETCH_WAIT_MS,
                max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
                max_poll_records=AT_ONCE,
                metadata_max_age_ms=METADATA_MS,
                metrics_enabled=False,
            )

    @property
    def trouble(self) -> str:
        return _complaints.last

    def assign(self, starts: Mapping[int, Start]) -> None:
        self._consumer.assign([self._place(partition) for partition in starts])
        self._buffers.clear()
        for partition, start in starts.items():
            self._open(partition, start, len(starts))

    def join(self, group: str, on_assigned: OnAssigned, on_revoked: OnTaken, on_lost: OnTaken) -> None:
        self._consumer.close()
        timeout = int(self._settings.session_timeout_seconds * 1000)
        self._consumer = self._new_consumer(
            group_id=group,
            session_timeout_ms=timeout,
            heartbeat_interval_ms=max(1, timeout // 4),
            partition_assignment_strategy=(CooperativeStickyAssignor,),  # who keeps a partition keeps its accounts
        )

        def assigned(partitions: Sequence[int]) -> None:
            for partition in partitions:  # a position of its own, or the group would be asked for one
                self._consumer.seek(self._place(partition), 0)
                self._consumer.pause(self._place(partition))
            for partition, start in on_assigned(partitions).items():
                self._open(partition, start, len(self._consumer.assignment()))

        def taken(partitions: Sequence[int], tell: OnTaken) -> None:
            for partition in partitions:
                self._close(partition)
            tell(partitions)

        self._group = _Group(assigned, lambda gone: taken(gone, on_revoked), lambda gone: taken(gone, on_lost))
        with suppress(BrokerAway), _explained(self._settings):
            self._consumer.partitions_for_topic(self._topic)  # a leader that knew of none would share out none
        self._consumer.subscribe([self._topic], listener=self._group)

    def seek(self, partition: int, start: Start) -> None:
        self._open(partition, start, len(self._consumer.assignment()))

    def drop(self, partition: int) -> None:
        if partition in self._buffers:
            self._close(partition)
            self._consumer.pause(self._place(partition))

    def poll(self, timeout: float) -> None:
        for partition in [p for p in self._full if self._buffers[p].has_room]:
            self._full.remove(partition)
            self._consumer.resume(self._place(partition))
        for place, records in self._fetch(timeout).items():
            _complaints.clear()
            buffer = self._buffers.get(place.partition)
            if buffer is None:
                continue
            for record in records:
                is_stamped = record.timestamp_type == APPENDED
                buffer.add(record.offset, record.timestamp, is_stamped, record.key, record.value, record.headers)
            if buffer.is_full:
                self._full.add(place.partition)
                self._consumer.pause(place)

    def _fetch(self, timeout: float) -> dict[TopicPartition, list[Any]]:
        milliseconds = int(timeout * 1000)
        try:
            with _explained(self._settings):
                if self._group is not None:
                    return self._group.serve(lambda: self._consumer.poll(milliseconds))
                fetched: dict[TopicPartition, list[Any]] = self._consumer.poll(milliseconds)
                return fetched
        except BrokerAway:
            time.sleep(min(timeout, RETRY_SECONDS))  # the client tries again by itself, and says so in `trouble`
            return {}

    def waiting(self, partition: int) -> int:
        return len(self._buffers[partition])

    def read(self, partition: int, after: int, limit: int, most_bytes: int = 1 << 62) -> Sequence[Record]:
        return self._buffers[partition].read(after, limit, most_bytes)

    def passed(self, partition: int) -> int:
        position = self._consumer.position(self._place(partition), timeout_ms=0)
        return max(self._buffers[partition].last, (position or 0) - 1)

    def end(self, partition: int) -> int:
        return self.ends([partition])[partition]

    def ends(self, partitions: Sequence[int]) -> dict[int, int]:
        with _explained(self._settings):
            found = self._consumer.end_offsets([self._place(p) for p in partitions])
        _complaints.clear()
        return {place.partition: offset - 1 for place, offset in found.items()}

    def lag(self, partition: int) -> int:
        known = self._consumer.highwater(self._place(partition)) or 0
        return max(0, known - 1 - self.passed(partition)) + self.waiting(partition)

    def close(self) -> None:
        if self._group is not None:
            self._group.close()
        with suppress(errors.KafkaError):
            self._consumer.close(timeout_ms=int(CLOSE_SECONDS * 1000))

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)

    def _open(self, partition: int, start: Start, sharing: int) -> None:
        place = self._place(partition)
        if start.after < 0:
            self._consumer.seek_to_beginning(place)
        else:
            self._consumer.seek(place, start.after + 1)
        self._consumer.resume(place)
        self._full.discard(partition)
        self._buffers[partition] = new_buffer(start, self._settings, sharing)

    def _close(self, partition: int) -> None:
        self._buffers.pop(partition, None)
        self._full.discard(partition)


class _Group(ConsumerRebalanceListener):  # type: ignore[misc]  # the client ships no types
    """Brings the client's calls, which come on a thread of its own, to the thread that polls."""

    def __init__(self, assigned: OnTaken, revoked: OnTaken, lost: OnTaken) -> None:
        self._assigned, self._revoked, self._lost = assigned, revoked, lost
        self._poller = ThreadPoolExecutor(1, "kafka-poll")
        self._calls: Queue[tuple[OnTaken, list[int], Event] | None] = Queue()
        self._failure: Exception | None = None
        self._is_closed = False

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._call(self._assigned, assigned)

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._call(self._revoked, revoked)

    def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        self._call(self._lost, lost)

    def _call(self, function: OnTaken, places: set[TopicPartition]) -> None:
        """On the client's thread: wait until the thread that polls has made the call."""
        if places and not self._is_closed:
            done = Event()
            self._calls.put((function, sorted(place.partition for place in places), done))
            while not done.wait(RETRY_SECONDS) and not self._is_closed:
                pass

    def serve(self, poll: Callable[[], dict[TopicPartition, list[Any]]]) -> dict[TopicPartition, list[Any]]:
        """Poll on a thread beside this one, and make here the calls that come meanwhile; raises what they raised."""
        polled = self._poller.submit(poll)
        polled.add_done_callback(lambda _: self._calls.put(None))
        while (call := self._calls.get()) is not None:
            function, partitions, done = call
            try:
                function(partitions)
            except Exception as error:
                self._failure = error
            finally:
                done.set()
        failure, self._failure = self._failure, None
        if failure is not None:
            polled.exception()
            raise failure
        return polled.result()

    def close(self) -> None:
        """Make no more calls."""
        self._is_closed = True
        self._poller.shutdown()


_Acknowledged = tuple[Callable[[int], None] | None, int, int]  # who wants to hear it, the offset, the bytes


class PureWriter:
    """Appends records (see `port.Writer`)."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._settled: deque[_Acknowledged | BaseException] = deque()  # heard on the client's thread, in their order
        self._heard = Event()
        self._in_flight = self._bytes = 0
        with _explained(settings):
            self._producer = KafkaProducer(
                **_common(settings),
                acks="all",  # no record is acknowledged that one broker's loss could take back
                enable_idempotence=True,  # a record that is sent again is appended once
                delivery_timeout_ms=FOR_EVER_MS,
                max_block_ms=int(settings.timeout_seconds * 1000),
                allow_auto_create_topics=False,
                linger_ms=5,
                batch_size=BATCH_BYTES,
                max_request_size=REQUEST_BYTES,
                metrics_enabled=False,
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
        self._make_room()
        size = len(value or b"")
        with _explained(self._settings):
            sent = self._producer.send(topic, value, key, list(headers), partition)
        self._in_flight += 1
        self._bytes += size
        sent.add_callback(self._acknowledged, on_delivered, size)
        sent.add_errback(self._failed)

    def _acknowledged(self, on_delivered: Callable[[int], None] | None, size: int, record: Any) -> None:
        self._settled.append((on_delivered, record.offset, size))
        self._heard.set()

    def _failed(self, error: BaseException) -> None:
        self._settled.append(error)
        self._heard.set()

    def _make_room(self) -> None:
        deadline = time.monotonic() + self._settings.timeout_seconds
        self.poll()
        while self._in_flight >= MOST_IN_FLIGHT or self._bytes >= MOST_IN_FLIGHT_BYTES:
            self._wait(deadline)

    def _wait(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            said = f" ({_complaints.last})" if _complaints.last else ""
            raise BrokerAway(f"{self._in_flight:,} records are not acknowledged in time{said}")
        self.poll(left)

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def poll(self, timeout: float = 0.0) -> None:
        if timeout and self._in_flight and not self._settled:
            self._heard.wait(timeout)
        self._heard.clear()
        while self._settled:
            settled = self._settled[0]
            if isinstance(settled, BaseException):  # it stays first: what comes behind it is never told
                with _explained(self._settings):
                    raise settled
            on_delivered, offset, size = settled
            self._settled.popleft()
            self._in_flight -= 1
            self._bytes -= size
            if on_delivered is not None:
                on_delivered(offset)

    def flush(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while self._in_flight:
            self._wait(deadline)

    def close(self) -> None:
        try:
            self._producer.close(timeout=CLOSE_SECONDS)
        except errors.KafkaTimeoutError:
            self._producer._sender.force_close()  # or it would go on trying behind our back


class PureAdmin:
    """Looks at topics and makes them (see `port.Admin`)."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        _complaints.clear()
        with _explained(settings):
            self._client = KafkaAdminClient(**_common(settings))
        _complaints.clear()

    def brokers(self) -> int:
        with _explained(self._settings):
            return len(self._client.describe_cluster()["brokers"])

    def topic(self, name: str) -> Topic | None:
        with _explained(self._settings):
            found = self._client.describe_topics([name])[0]
            error = errors.for_code(found["error_code"])
            if error is errors.UnknownTopicOrPartitionError:
                return None
            if error is not errors.NoError:
                raise error(name)
            wanted = ConfigResource(ConfigResourceType.TOPIC, name)
            described = self._client.describe_configs([wanted], config_filter="all")["topic"][name]
        configs = {key: str(config["value"]) for key, config in described.items()}
        partitions = found["partitions"]
        return Topic(name, len(partitions), len(partitions[0]["replica_nodes"]), configs)

    def create(self, topic: Topic) -> bool:
        wanted = {
            "num_partitions": topic.partitions,
            "replication_factor": topic.replication,
            "configs": dict(topic.configs),
        }
        with _explained(self._settings):
            try:
                self._client.create_topics({topic.name: wanted}, wait_for_metadata=True)
            except errors.TopicAlreadyExistsError:
                return False
        return True

    def close(self) -> None:
        self._client.close()
