"""The Kafka client by confluent-kafka: librdkafka, several times faster; the extra `fast` installs it."""

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import groupby
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
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource

from consumers.kafka import client_base as base
from consumers.kafka.port import GONE, Denied, OnTaken, Start, StreamBroken, StreamError, Topic
from consumers.kafka.settings import KafkaSettings, Security

SECURITY_NAMES = {
    "protocol": "security.protocol",
    "ca_file": "ssl.ca.location",
    "certificate_file": "ssl.certificate.location",
    "key_file": "ssl.key.location",
    "key_password": "ssl.key.password",
    "check_hostname": "ssl.endpoint.identification.algorithm",
    "mechanism": "sasl.mechanism",
    "username": "sasl.username",
    "password": "sasl.password",
}

_UNKNOWN = frozenset({KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC})  # also where nobody can be asked
_PASSING = _UNKNOWN | {KafkaError.UNKNOWN_TOPIC_OR_PART}  # also of a broker that has just come back
_BROKEN = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION, base.OUT_OF_RANGE})
_DENIED = base.DENIED | _UNKNOWN | {KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._INVALID_ARG}
_STALE = frozenset({KafkaError.FENCED_LEADER_EPOCH, KafkaError.UNKNOWN_LEADER_EPOCH})  # of a leader that has changed
_AWAY = (
    _UNKNOWN
    | _STALE
    | {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._DESTROY_BROKER,  # the library replaces a connection while somebody waits for its answer
        KafkaError._MAX_POLL_EXCEEDED,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._TRANSPORT,
        KafkaError.REQUEST_TIMED_OUT,
    }
)
TAKEN_TOGETHER = 256  # messages, which stay in the processor's cache until their records are taken
AGAIN_SECONDS = 0.1  # until a broker is asked once more where a partition ends

_log = logging.getLogger("kafka.confluent")  # or it would write to standard error by itself
_log.addHandler(logging.NullHandler())


def security(settings: Security) -> dict[str, Any]:
    """Return the options of TLS and SASL."""
    found = base.security_options(settings, SECURITY_NAMES)
    name = SECURITY_NAMES["check_hostname"]
    if name in found:
        found[name] = "https" if found[name] else "none"
    return found


def _sentence(error: KafkaError) -> str:
    return f"{error.name()}: {error.str()}"


class _Client(base.Client):
    raised = (KafkaException,)

    def __init__(self, settings: KafkaSettings, *arguments: Any) -> None:
        super().__init__(settings, base.LastError(), *arguments)

    def _options(self, *wanted: Mapping[str, Any]) -> dict[str, Any]:
        options = {"error_cb": self._report, "logger": _log, **security(self._settings.security)}
        for more in (base.connection_options(self._settings), *wanted):
            options |= more
        return options

    def _report(self, error: KafkaError) -> None:
        """Keep what the library reports outside of its answers."""
        self._reported.text = _sentence(error)
        if error.code() in _DENIED:
            self._reported.denial = self._reported.text

    def _translated(self, error: KafkaException | KafkaError) -> StreamError:
        found: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
        code, text = found.code(), _sentence(found)
        if code in _BROKEN:
            return StreamBroken(f"{GONE} ({text})")
        if code in _DENIED and not (code in _UNKNOWN and self._reported.text):
            return Denied(text)
        if code in _AWAY or found.retriable() or self._reported.denial:
            return self._away(text)
        return StreamError(f"the Kafka client: {text}")


class Reader(_Client, base.Reader):
    """Reads partitions of a topic (see `client_base.Reader`)."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        super().__init__(settings, topic, partitions_of(settings, topic))
        self._at_end: dict[int, int] = {}  # the offset up to which the library fetched, where it came to the end
        self._consumer = self._new_consumer(settings.group)

    def _new_consumer(self, group: str) -> Consumer:
        options = {
            "partition.assignment.strategy": "cooperative-sticky",  # who keeps a partition keeps its accounts
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # a record that is gone is told, never skipped
            "enable.partition.eof": True,  # says where the gaps at the end lead to
            "fetch.wait.max.ms": base.FETCH_WAIT_MS,
            "queued.max.messages.kbytes": self._settings.buffer_mebibytes * 1024 // 2,
        }
        with self._translating():
            return Consumer(self._options(base.READING, base.group_options(self._settings, group), options))

    def _subscribe(self, group: str) -> None:
        self._consumer = self._new_consumer(group)

        def given(consumer: Consumer, places: list[TopicPartition]) -> None:
            starts = self._call(self._on_assigned, places) or {}
            consumer.incremental_assign([self._place(p.partition, starts.get(p.partition)) for p in places])
            if idle := [place for place in places if place.partition not in starts]:
                consumer.pause(idle)
            self._open(starts)

        def taken(on_taken: OnTaken, consumer: Consumer, places: list[TopicPartition]) -> None:
            self._taken(places, on_taken)
            consumer.incremental_unassign(places)

        revoked, lost = partial(taken, self._on_revoked), partial(taken, self._on_lost)
        with self._translating():
            self._consumer.subscribe([self._topic], on_assign=given, on_revoke=revoked, on_lost=lost)

    def ends(self, partitions: Sequence[int]) -> dict[int, int]:
        return {partition: offset - 1 for partition, offset in self._listed(partitions, OFFSET_END).items()}

    def begins(self, partitions: Sequence[int]) -> dict[int, int]:
        return self._listed(partitions, OFFSET_BEGINNING)

    def _listed(self, partitions: Sequence[int], which: int) -> dict[int, int]:
        """Return the offset behind the last record, or that of the first, as the brokers say."""
        wanted = [TopicPartition(self._topic, partition, which) for partition in partitions]
        deadline = time.monotonic() + self._settings.timeout_seconds
        while True:
            error: KafkaError | None
            try:
                found = self._consumer.offsets_for_times(wanted, self._settings.timeout_seconds)
                error = next((place.error for place in found if place.error is not None), None)
            except KafkaException as raised:
                error = raised.args[0]
            if error is None:
                self._reported.clear()
                return {place.partition: place.offset for place in found}
            if error.code() not in _STALE or time.monotonic() >= deadline:
                raise self._translated(error)
            time.sleep(AGAIN_SECONDS)  # the library is learning who leads the partition now

    def _fetch(self, timeout: float) -> None:
        taken, messages = 0, self._consumed()
        if not messages:  # `consume` would wait for all of them
            with self._translating():
                first = self._consumer.poll(timeout)
            messages = [] if first is None else [first]
        while messages:
            for partition, some in groupby(messages, Message.partition):
                self._take(partition, list(some))
            taken += len(messages)
            messages = self._consumed() if taken < base.RECORDS_AT_ONCE else []
        if self._reported.denial:
            raise self._refused()

    def _consumed(self) -> list[Message]:
        with self._translating():
            found: list[Message] = self._consumer.consume(TAKEN_TOGETHER, 0)
        return found

    def _take(self, partition: int | None, messages: list[Message]) -> None:
        """Take messages of one partition, or of none."""
        errors = list(map(Message.error, messages))
        if all(error is None for error in errors):
            self._take_records(partition, messages)
            return
        for message, error in zip(messages, errors, strict=True):
            if error is None:
                self._take_records(partition, [message])
            else:
                self._take_error(partition, message.offset(), error)

    def _take_records(self, partition: int | None, messages: list[Message]) -> None:
        if partition is None or (buffer := self._buffers.get(partition)) is None:
            return
        columns = zip(
            map(Message.offset, messages),
            map(Message.timestamp, messages),
            map(Message.key, messages),
            map(Message.value, messages),
            map(Message.headers, messages),
            strict=True,
        )
        buffer.extend(
            [  # a record has an offset, and its headers are a list of pairs, as they are read
                (offset, timestamp, kind == TIMESTAMP_LOG_APPEND_TIME, key, value, headers or ())  # type: ignore[misc]
                for offset, (kind, timestamp), key, value, headers in columns
            ]
        )
        if self._reported.text:
            self._reported.clear()

    def _take_error(self, partition: int | None, offset: int | None, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            if partition in self._buffers:
                self._at_end[partition] = (offset or 0) - 1
            self._reported.clear()
        elif error.fatal() or error.code() in _BROKEN or error.code() in _DENIED - _PASSING:
            self._failure = self._failure or self._translated(error)  # raised once what came with it is taken
        else:
            self._reported.text = _sentence(error)  # the library tries again

    def _assign(self, starts: Mapping[int, Start]) -> None:
        self._consumer.assign([self._place(partition, start) for partition, start in starts.items()])

    def _seek(self, partition: int, start: Start) -> None:
        place = self._place(partition, start)
        self._consumer.incremental_unassign([place])
        self._consumer.resume([place])  # one that was dropped, or full; once assigned it would be asked for twice
        self._consumer.incremental_assign([place])

    def _set_paused(self, partition: int, is_paused: bool) -> None:
        (self._consumer.pause if is_paused else self._consumer.resume)([self._place(partition)])

    def _fetched(self, partition: int) -> int:
        return self._at_end.get(partition, -1)

    def _known_end(self, partition: int) -> int:
        known: int = self._consumer.get_watermark_offsets(self._place(partition), cached=True)[1]
        return known

    def _close(self, partition: int) -> None:
        super()._close(partition)
        self._at_end.pop(partition, None)

    def _place(self, partition: int, start: Start | None = None) -> TopicPartition:
        offset = OFFSET_BEGINNING if start is None or start.after < 0 else start.after + 1
        return TopicPartition(self._topic, partition, offset)


class Writer(_Client, base.Writer):
    """Appends records (see `client_base.Writer`)."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings)
        options = {
            "enable.gapless.guarantee": True,  # nothing is appended behind a record that was not
            "message.timeout.ms": 0,  # a record does not time out by itself, for the same reason
            "message.max.bytes": base.REQUEST_BYTES,
            "queue.buffering.max.messages": 2 * base.MOST_IN_FLIGHT,
            "queue.buffering.max.kbytes": 2 * base.MOST_IN_FLIGHT_BYTES // 1024,
        }
        with self._translating():
            self._producer = Producer(self._options(base.WRITING, options))

    def _append(self, topic: str, partition: int, records: Sequence[base.Keyed], pending: base.Pending) -> None:
        def settled(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failed(error)
                return
            if self._reported.text:
                self._reported.clear()
            offset = message.offset()
            self._acknowledged(pending, base.UNKNOWN if offset is None else offset)

        produce = self._producer.produce
        *others, last = records
        for key, value, headers in others:  # of which a failure is fatal for the last, and told of that
            if headers:
                produce(topic, value, key, partition, headers=list(headers))
            else:  # a name among the arguments would cost a third of the call
                produce(topic, value, key, partition)
        key, value, headers = last
        produce(topic, value, key, partition, settled, headers=list(headers) or None)

    def _serve(self, timeout: float) -> None:
        try:
            self._producer.poll(timeout)
        except KafkaException as fatal:
            self._failed(fatal)
        if self._reported.denial and self._failure is None:
            raise self._refused()

    def close(self) -> None:
        self._producer.flush(base.CLOSE_SECONDS)
        self._producer.purge()
        self._producer.poll(0)


class Topics(_Client):
    """Says which topic stands under a name; the connection is opened when it is first needed."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings)
        self._admin: AdminClient | None = None

    def of(self, topic: str) -> str:
        """Return a topic's id; empty where the cluster has none, or knows of no such topic now.

        Raises `BrokerAway`, `Denied`.
        """
        found = self._described(topic)
        return "" if found is None else _id_text(found)

    def topic(self, name: str) -> Topic | None:
        """Return a topic with all its settings, as `kafka_python.Admin.topic`. Raises `BrokerAway`, `Denied`."""
        if (found := self._described(name)) is None:
            return None
        named = ConfigResource(ConfigResource.Type.TOPIC, name)
        said = self._answer(self._opened().describe_configs([named], request_timeout=self._settings.timeout_seconds))
        configs = {key: str(config.value) for key, config in (said or {}).items()}
        return Topic(name, len(found.partitions), len(found.partitions[0].replicas), configs, _id_text(found))

    def _described(self, topic: str) -> Any:
        """Return what the cluster says of a topic, None where there is none."""
        timeout = self._settings.timeout_seconds
        return self._answer(self._opened().describe_topics(TopicCollection([topic]), request_timeout=timeout))

    def _opened(self) -> AdminClient:
        if self._admin is None:
            self._admin = AdminClient(self._options())
        return self._admin

    def _answer(self, asked: Mapping[Any, Future[Any]]) -> Any:
        """Return the answer to a question about one topic, None where there is no such topic."""
        (answer,) = asked.values()
        try:
            found = answer.result(self._settings.timeout_seconds + base.FIRST_SECONDS)
        except KafkaException as error:
            self._opened().poll(0)  # makes the library report why
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            translated = self._translated(error)
            raise translated if isinstance(translated, Denied) else self._away(_sentence(error.args[0])) from error
        except TimeoutError as error:
            raise self._away(type(error).__name__) from error
        self._reported.clear()
        return found


def _id_text(found: Any) -> str:
    """Return the id of a topic that was described."""
    halves = found.topic_id.get_most_significant_bits(), found.topic_id.get_least_significant_bits()
    return base.topic_id_text(b"".join((half % (1 << 64)).to_bytes(8, "big") for half in halves))


def partitions_of(settings: KafkaSettings, topic: str) -> int:
    """Return how many partitions a topic has. Raises `Denied` where there is no such topic, `BrokerAway`."""
    client = _Client(settings)
    admin = AdminClient(client._options())
    deadline = time.monotonic() + settings.timeout_seconds
    while True:
        try:
            # All topics, as asking for one by its name could make it.
            patience = max(AGAIN_SECONDS, min(base.FIRST_SECONDS, deadline - time.monotonic()))
            found = admin.list_topics(timeout=patience).topics.get(topic)
            break
        except KafkaException as error:
            admin.poll(0)  # makes the library report why
            translated = client._translated(error)
            if not translated.can_retry or time.monotonic() >= deadline:
                raise translated from error
    if found is None or not found.partitions:
        raise base.no_topic(topic)
    return len(found.partitions)
