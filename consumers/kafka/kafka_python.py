"""The Kafka client by kafka-python: pure Python, no compiled library to install."""

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from threading import Event
from typing import Any
from uuid import UUID

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.net.compat import KafkaNetClient
from kafka.protocol.consumer import FetchRequest
from kafka.record.memory_records import MemoryRecords

from consumers.kafka import client_base as base
from consumers.kafka.port import (
    GONE,
    BrokerAway,
    Denied,
    Hole,
    LoggedBatch,
    Start,
    StreamBroken,
    StreamError,
    Topic,
)
from consumers.kafka.settings import KafkaSettings

BROKERS_STAMP = 1  # the type of a timestamp
METADATA_MS = 10_000  # how old what is known of a topic may become: what was missed is seen then
BATCH_BYTES = 256 << 10
FOR_EVER_MS = (1 << 31) - 1  # a record does not time out by itself: one that did would leave a gap before the next
RETRY_SECONDS = 0.1
LOG_BYTES = 1 << 20  # of the log, read at once
NAMES_TOPICS = 12  # the last version of a fetch request that names a topic; later ones want its id

SECURITY_NAMES = {
    "protocol": "security_protocol",
    "ca_file": "ssl_cafile",
    "certificate_file": "ssl_certfile",
    "key_file": "ssl_keyfile",
    "key_password": "ssl_password",
    "check_hostname": "ssl_check_hostname",
    "mechanism": "sasl_mechanism",
    "username": "sasl_plain_username",
    "password": "sasl_plain_password",
}

_BROKEN = (errors.LogTruncationError, errors.NoOffsetForPartitionError)
_DENIED = (errors.AuthorizationError, errors.KafkaConfigurationError)
_UNAUTHENTICATED = (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError)
_AWAY = (errors.RetriableError, errors.BrokerNotAvailableError, OSError)
_SAYS_LESS = ("Bootstrap failed: %s", "Bootstrap %s not ready; waiting %.2f secs")  # than the message before


class _Log(logging.Handler):
    """Keeps the last warning of the library, which tells its log what it does not tell its caller."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        says_less = record.msg in _SAYS_LESS or ("Request timed out" in text and _reported.text)
        if not says_less:
            _reported.text = text
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, _UNAUTHENTICATED) or "[SSL" in str(argument):
                _reported.denial = str(argument)


_reported = base.LastError()  # one for the process, as the library's log is
_log = logging.getLogger("kafka")
_log.addHandler(_Log(logging.WARNING))
_log.setLevel(logging.INFO)  # the library's debug lines tell passwords


class _Connections:
    """Makes the connections of a client, and closes those of one that did not open, which the library forgets."""

    def __init__(self) -> None:
        self._made: KafkaNetClient | None = None

    def __call__(self, **options: Any) -> KafkaNetClient:
        """Return the connections."""
        self._made = KafkaNetClient(**options)
        return self._made

    def close(self) -> None:
        """Close them, and end their thread."""
        if self._made is not None:
            self._made.close()


class _Client(base.Client):
    raised = (errors.KafkaError, OSError, ValueError, RuntimeError)

    def _translated(self, error: Exception) -> StreamError:
        code = error.errno if isinstance(error, errors.BrokerResponseError) else None
        if code == base.OUT_OF_RANGE or isinstance(error, _BROKEN):
            return StreamBroken(f"{GONE} ({error})")
        if code in base.DENIED or isinstance(error, _DENIED):
            return Denied(str(error))
        if isinstance(error, _AWAY):
            hint = f"; one that refuses {self._who} may hang up like that: see kafka.security in the settings"
            return self._away(error, hint if self._may_be_refused else "")
        return StreamError(f"the Kafka client: {error}")

    @property
    def _may_be_refused(self) -> bool:
        """Return True if a broker hung up, perhaps before its answer to the credentials was read."""
        return self._settings.security.protocol.startswith("SASL") and "disconnected" in _reported.text

    def _new(self, make: Any, **options: Any) -> Any:
        """Return a client of the library, which goes on asking where it is refused: it is given more and more time."""
        deadline = time.monotonic() + self._settings.timeout_seconds
        patience = base.FIRST_SECONDS
        _reported.clear()
        while True:
            patience = max(RETRY_SECONDS, min(patience, deadline - time.monotonic()))
            connections = _Connections()
            try:
                with self._translating():
                    return make(**options, kafka_client=connections, bootstrap_timeout_ms=int(patience * 1000))
            except StreamError as error:
                connections.close()
                if not error.can_retry or self._may_be_refused or time.monotonic() >= deadline:
                    raise
                patience *= 2

    def _options(self, *wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return Kafka's options under the library's names."""
        timeout = int(self._settings.timeout_seconds * 1000)
        return {
            "request_timeout_ms": timeout,
            **base.security_options(self._settings.security, SECURITY_NAMES),
            **{
                name.replace(".", "_"): value
                for options in (base.connection_options(self._settings), *wanted)
                for name, value in options.items()
            },
        }


class Reader(_Client, base.Reader, ConsumerRebalanceListener):  # type: ignore[misc]  # the library ships no types
    """Reads partitions of a topic (see `client_base.Reader`)."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        super().__init__(settings, _reported, topic, partitions_of(settings, topic))
        self._consumer = self._new_consumer()

    def _new_consumer(self, *group: Mapping[str, Any], **options: Any) -> KafkaConsumer:
        return self._new(
            KafkaConsumer,
            **self._options(base.READING, *group),
            **options,
            auto_offset_reset="none",  # a record that is gone is told, never skipped
            fetch_max_wait_ms=base.FETCH_WAIT_MS,
            max_poll_records=base.RECORDS_AT_ONCE,
            metadata_max_age_ms=METADATA_MS,
            metrics_enabled=False,
        )

    def _subscribe(self, group: str) -> None:
        self._consumer = self._new_consumer(
            base.group_options(self._settings, group),
            partition_assignment_strategy=(CooperativeStickyAssignor,),  # who keeps a partition keeps its accounts
        )
        with suppress(BrokerAway), self._translating():
            self._consumer.partitions_for_topic(self._topic)  # a leader that knew of none would share out none
        self._consumer.subscribe([self._topic], listener=self)

    # These are called on the library's thread, while the thread that polls waits for that.

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        for place in assigned:  # a position of its own, or the group would be asked for one
            self._consumer.seek(place, 0)
            self._consumer.pause(place)
        starts = self._call(self._on_assigned, assigned) or {}
        for partition, start in starts.items():
            self._seek(partition, start)
        self._open(starts)

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._taken(revoked, self._on_revoked)

    def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        self._taken(lost, self._on_lost)

    def ends(self, partitions: Sequence[int]) -> dict[int, int]:
        with self._translating():
            found = self._consumer.end_offsets([self._place(p) for p in partitions])
        _reported.clear()
        return {place.partition: offset - 1 for place, offset in found.items()}

    def begins(self, partitions: Sequence[int]) -> dict[int, int]:
        with self._translating():
            found = self._consumer.beginning_offsets([self._place(p) for p in partitions])
        return {place.partition: offset for place, offset in found.items()}

    def close(self) -> None:
        self._is_closed = True
        with suppress(errors.KafkaError):
            self._consumer.close(timeout_ms=int(base.CLOSE_SECONDS * 1000))

    def _fetch(self, timeout: float) -> None:
        try:
            with self._translating():
                fetched = self._consumer.poll(int(timeout * 1000))
        except BrokerAway:
            time.sleep(min(timeout, RETRY_SECONDS))  # the library tries again by itself, and its log says so
            return
        for place, records in fetched.items():
            _reported.clear()
            if (buffer := self._buffers.get(place.partition)) is not None:
                buffer.extend(
                    [
                        (r.offset, r.timestamp, r.timestamp_type == BROKERS_STAMP, r.key, r.value, r.headers)
                        for r in records
                    ]
                )

    def _assign(self, starts: Mapping[int, Start]) -> None:
        self._consumer.assign([self._place(partition) for partition in starts])
        for partition, start in starts.items():
            self._seek(partition, start)

    def _seek(self, partition: int, start: Start) -> None:
        place = self._place(partition)
        if start.after < 0:
            self._consumer.seek_to_beginning(place)
        else:
            self._consumer.seek(place, start.after + 1)
        self._consumer.resume(place)

    def _set_paused(self, partition: int, is_paused: bool) -> None:
        (self._consumer.pause if is_paused else self._consumer.resume)(self._place(partition))

    def _fetched(self, partition: int) -> int:
        return (self._consumer.position(self._place(partition), timeout_ms=0) or 0) - 1

    def _known_end(self, partition: int) -> int:
        return self._consumer.highwater(self._place(partition)) or 0

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)


class Writer(_Client, base.Writer):
    """Appends records (see `client_base.Writer`)."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings, _reported)
        self._settled: deque[tuple[base.Pending, int] | Exception] = deque()  # on the library's thread
        self._has_settled = Event()
        self._producer = self._new(
            KafkaProducer,
            **self._options(base.WRITING),
            delivery_timeout_ms=FOR_EVER_MS,
            max_block_ms=int(settings.timeout_seconds * 1000),
            allow_auto_create_topics=False,
            batch_size=BATCH_BYTES,
            max_request_size=base.REQUEST_BYTES,
            metrics_enabled=False,
        )

    def _append(self, topic: str, partition: int, records: Sequence[base.Keyed], pending: base.Pending) -> None:
        for left, (key, value, headers) in enumerate(records, 1 - len(records)):
            sent = self._producer.send(topic, value, key, list(headers), partition)
            if not left:
                sent.add_callback(self._settle_record, pending)
            sent.add_errback(self._settle)

    def _settle_record(self, pending: base.Pending, record: Any) -> None:
        self._settle((pending, record.offset))

    def _settle(self, settled: tuple[base.Pending, int] | Exception) -> None:
        self._settled.append(settled)
        if not self._has_settled.is_set():
            self._has_settled.set()

    def _serve(self, timeout: float) -> None:
        if timeout and not self._settled:
            self._has_settled.wait(timeout)
        self._has_settled.clear()
        while self._settled:
            settled = self._settled.popleft()
            if isinstance(settled, Exception):
                self._failed(settled)
            else:
                self._acknowledged(*settled)

    def close(self) -> None:
        try:
            self._producer.close(timeout=base.CLOSE_SECONDS)
        except errors.KafkaTimeoutError:
            self._producer._sender.force_close()  # or it would go on trying behind our back
            self._producer._closed = True  # or its destructor would flush once more, and write a traceback


class Admin(_Client):
    """Looks at topics and makes them. Every call raises `BrokerAway` and `Denied`."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings, _reported)
        self._client = self._new(KafkaAdminClient, **self._options())
        _reported.clear()

    def brokers(self) -> int:
        """Return how many brokers the cluster has."""
        with self._translating():
            return len(self._client.describe_cluster()["brokers"])

    def topic(self, name: str) -> Topic | None:
        """Return a topic with all its settings; None where there is none."""
        with self._translating():
            if (found := self._described(name)) is None:
                return None
            wanted = ConfigResource(ConfigResourceType.TOPIC, name)
            described = self._client.describe_configs([wanted], config_filter="all")["topic"][name]
        configs = {key: str(config["value"]) for key, config in described.items()}
        partitions = found["partitions"]
        return Topic(name, len(partitions), len(partitions[0]["replica_nodes"]), configs, _id_text(found))

    def topic_id(self, name: str) -> str:
        """Return a topic's id; empty where the cluster has none, or knows of no such topic now."""
        with self._translating():
            return _id_text(self._described(name) or {})

    def _described(self, name: str) -> Mapping[str, Any] | None:
        """Return what the cluster says of a topic, None where there is none. Raises the library's errors."""
        found: Mapping[str, Any] = self._client.describe_topics([name])[0]
        error = errors.for_code(found["error_code"])
        if error is errors.UnknownTopicOrPartitionError:
            return None
        if error is not errors.NoError:
            raise error(name)
        return found

    def batches(self, topic: str, partition: int, offset: int) -> list[LoggedBatch]:
        """Return some of what the log of a partition holds from an offset on, as it stands there, in order.

        That is, with markers and what was aborted, which no reader sees. Empty at the end.
        """
        with self._translating():
            found: list[LoggedBatch] = self._client._manager.run(self._fetch, TopicPartition(topic, partition), offset)
        return found

    async def _fetch(self, place: TopicPartition, offset: int) -> list[LoggedBatch]:
        leader = next(iter(await self._client._async_get_leader_for_partitions([place])))
        asked = FetchRequest.FetchTopic(
            topic=place.topic,
            partitions=[
                FetchRequest.FetchTopic.FetchPartition(
                    partition=place.partition, fetch_offset=offset, partition_max_bytes=LOG_BYTES
                )
            ],
        )
        request = FetchRequest(
            max_wait_ms=base.FETCH_WAIT_MS, min_bytes=1, max_bytes=LOG_BYTES, topics=[asked], max_version=NAMES_TOPICS
        )
        answer = (await self._client._manager.send(request, node_id=leader)).responses[0].partitions[0]
        error = errors.for_code(answer.error_code)
        if error is not errors.NoError:
            raise error(f"{place.topic}, partition {place.partition}, offset {offset}")
        records = MemoryRecords(answer.records or b"")
        found = []
        while (batch := records.next_batch()) is not None:
            first, last = batch.base_offset, batch.last_offset
            is_hidden = batch.is_control_batch or batch.is_transactional
            is_whole = batch.is_control_batch or batch.records_count == last - first + 1
            lost = () if is_whole else _holes_between(first, last, [record.offset for record in batch])
            found.append(LoggedBatch(first, last, is_hidden, lost))
        return found

    def create(self, topic: Topic) -> bool:
        """Make a topic; return False where it is there already."""
        wanted = {
            "num_partitions": topic.partitions,
            "replication_factor": topic.replication,
            "configs": dict(topic.configs),
        }
        with self._translating():
            try:
                self._client.create_topics({topic.name: wanted}, wait_for_metadata=True)
            except errors.TopicAlreadyExistsError:
                return False
        return True

    def give_partitions(self, partitions: Mapping[str, int]) -> None:
        """Give topics more partitions: as many as said, by name."""
        with self._translating():
            self._client.create_partitions(dict(partitions))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _holes_between(first: int, last: int, offsets: Sequence[int]) -> tuple[Hole, ...]:
    """Return the offsets from `first` to `last` that are not among some, which are in order."""
    ends = zip([first - 1, *offsets], [*offsets, last + 1], strict=True)
    return tuple(Hole(before + 1, after - 1) for before, after in ends if before + 1 < after)


def _id_text(found: Mapping[str, Any]) -> str:
    """Return the id of a topic that was described."""
    found_id = found.get("topic_id")
    if not found_id:
        return ""
    return base.topic_id_text(found_id.bytes if isinstance(found_id, UUID) else UUID(str(found_id)).bytes)


def partitions_of(settings: KafkaSettings, topic: str) -> int:
    """Return how many partitions a topic has. Raises `Denied` where there is no such topic, `BrokerAway`."""
    with closing(Admin(settings)) as admin:
        found = admin.topic(topic)
    if found is None:
        raise base.no_topic(topic)
    return found.partitions
