"""The contract of the Kafka stream, held by both clients against a real broker."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import pytest
from confluent_kafka import KafkaError, Message, Producer
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from consumers.kafka import client_base, confluent
from consumers.kafka.buffers import RECORDED
from consumers.kafka.client_base import Reader, Writer
from consumers.kafka.clients import client_of, described_topic, topic_ids
from consumers.kafka.kafka_python import Admin
from consumers.kafka.port import BrokerAway, Denied, Start, StreamBroken, StreamError, Topic
from consumers.kafka.settings import Client, KafkaSettings, Secret, Security
from consumers.runtime.owner import PartitionOwner
from consumers.stream import AHEAD, BACKLOG, Record
from ledger.journal.open import open_or_create
from tests.support.brokers import Broker, new_topic_name
from tests.support.histories import encode

CLIENTS: tuple[Client, ...] = ("kafka-python", "confluent-kafka")
T = TypeVar("T")

PATIENCE = 100.0  # seconds for what takes milliseconds: reached only by what never happens
HASTE = 3.0  # seconds for what never happens, and whose reason comes in milliseconds
STAMPED = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(4 << 20)}


@pytest.fixture(params=CLIENTS)
def settings(request: pytest.FixtureRequest, broker: Broker) -> KafkaSettings:
    """Each client in turn."""
    return KafkaSettings(bootstrap_servers=broker.address, client=request.param, timeout_seconds=PATIENCE)


class Kafka:
    """Clients of one test, closed at its end."""

    def __init__(self, settings: KafkaSettings, stack: ExitStack) -> None:
        self.settings = settings
        self._stack = stack

    def topic(self, partitions: int = 1, **configs: str) -> str:
        """A new topic; names of settings with ``_`` for their dots."""
        admin = Admin(self.settings)
        name = new_topic_name()
        changed = {key.replace("_", "."): value for key, value in configs.items()}
        assert admin.create(Topic(name, partitions, 1, {**STAMPED, **changed}))
        admin.close()
        return name

    def writer(self) -> Writer:
        writer = client_of(self.settings).Writer(self.settings)
        self._stack.callback(writer.close)
        return writer

    def reader(self, topic: str, **changes: Any) -> Reader:
        import msgspec

        settings = msgspec.structs.replace(self.settings, **changes)
        reader = client_of(settings).Reader(settings, topic)
        self._stack.callback(reader.close)
        return reader

    def write(self, topic: str, values: Sequence[bytes | None], partition: int = 0, key: bytes | None = b"m-1") -> None:
        writer = self.writer()
        for value in values:
            writer.send(topic, partition, key, value)
        writer.flush(PATIENCE)


@pytest.fixture
def kafka(settings: KafkaSettings) -> Iterator[Kafka]:
    with ExitStack() as stack:
        yield Kafka(settings, stack)


def until(reader: Reader, is_done: Callable[[], bool]) -> None:
    """Poll until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not is_done():
        assert time.monotonic() < deadline, reader.last_error or "nothing came of it"
        reader.poll(0.1)


def once_it_answers(ask: Callable[[], T]) -> T:
    """Ask a broker that has only just come back until it answers: one wait of a client may end in its pause."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except BrokerAway:
            if time.monotonic() > deadline:
                raise


def read_to_the_end(reader: Reader, partition: int = 0, after: int = -1, limit: int = 1_000) -> list[Record]:
    """All that stands behind an offset."""
    end = reader.end(partition)
    found: list[Record] = []

    def is_done() -> bool:
        nonlocal after
        while records := reader.read(partition, after, limit, 1 << 20):
            found.extend(records)
            after = records[-1].offset
        return reader.passed(partition) >= end

    until(reader, is_done)
    return found


def send_and_flush(
    writer: Writer, topic: str, partition: int, told: Callable[[int], None] | None = None, patience: float = PATIENCE
) -> None:
    """Append one record and wait for it."""
    writer.send(topic, partition, b"k", b"v", (), told)
    writer.flush(patience)


def test_records_come_in_order_once_with_the_brokers_stamp(kafka: Kafka) -> None:
    topic = kafka.topic(2)
    before = time.time_ns() // 1_000_000 * 1_000
    kafka.write(topic, [b"%d" % i for i in range(5_000)], 1)
    reader = kafka.reader(topic)
    assert reader.partitions == 2
    reader.assign({0: Start(), 1: Start()})
    found = read_to_the_end(reader, 1, limit=700)
    assert [record.value for record in found] == [b"%d" % i for i in range(5_000)]
    assert [record.offset for record in found] == list(range(5_000))
    assert {(record.key, record.backlog, record.fault) for record in found} == {("m-1", 0, "")}
    stamps = [record.recorded for record in found]
    assert stamps == sorted(stamps) and stamps[0] >= before
    assert reader.waiting(1) == 0 and reader.lag(1) == 0
    assert reader.passed(0) == reader.end(0) == -1


def test_recorded_never_runs_back_behind_what_the_journal_has_seen(kafka: Kafka) -> None:
    topic = kafka.topic()
    kafka.write(topic, [b"a", b"b"])
    reader = kafka.reader(topic)
    later = (time.time_ns() // 1_000) + 10**9
    reader.assign({0: Start(0, later)})
    assert [(record.offset, record.recorded) for record in read_to_the_end(reader, after=0)] == [(1, later)]


def test_what_was_aborted_is_never_seen_and_the_end_is_reached_over_its_gaps(kafka: Kafka) -> None:
    topic = kafka.topic()
    producer = KafkaProducer(bootstrap_servers=kafka.settings.bootstrap_servers, transactional_id=topic)
    try:
        producer.init_transactions()
        for number, is_kept in enumerate([True, False, True, False]):
            producer.begin_transaction()
            for value in (b"%d-a" % number, b"%d-b" % number):
                producer.send(topic, value, b"m-1", partition=0)
            producer.flush()
            producer.commit_transaction() if is_kept else producer.abort_transaction()
    finally:
        producer.close()
    reader = kafka.reader(topic)
    reader.assign({0: Start()})
    found = read_to_the_end(reader)
    assert [record.value for record in found] == [b"0-a", b"0-b", b"2-a", b"2-b"]
    assert [record.offset for record in found] == [0, 1, 6, 7]
    assert reader.end(0) == reader.passed(0) == 11  # the last one is the mark that says what was aborted
    assert reader.lag(0) == 0
    again = kafka.reader(topic)
    again.assign({0: Start(after=1)})  # in front of a gap
    assert [record.offset for record in read_to_the_end(again, after=1)] == [6, 7]


def test_what_stands_behind_an_open_transaction_is_not_there_yet(kafka: Kafka) -> None:
    topic = kafka.topic()
    kafka.write(topic, [b"before"])
    producer = KafkaProducer(bootstrap_servers=kafka.settings.bootstrap_servers, transactional_id=topic)
    try:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic, b"in it", b"m-1", partition=0)
        producer.flush()
        kafka.write(topic, [b"behind"])
        reader = kafka.reader(topic)
        reader.assign({0: Start()})
        assert reader.end(0) == 0
        assert [record.value for record in read_to_the_end(reader)] == [b"before"]
        producer.commit_transaction()
    finally:
        producer.close()
    until(reader, lambda: reader.end(0) > 0)  # the broker marks the end of a transaction a moment later
    assert [record.value for record in read_to_the_end(reader, after=0)] == [b"in it", b"behind"]


def test_a_restart_goes_on_behind_the_stored_position_and_the_same_question_has_the_same_answer(kafka: Kafka) -> None:
    topic = kafka.topic()
    kafka.write(topic, [b"%d" % i for i in range(100)])
    reader = kafka.reader(topic)
    reader.assign({0: Start(after=41)})
    until(reader, lambda: reader.waiting(0) == 58)
    first = reader.read(0, 41, 10)
    assert [record.offset for record in first] == list(range(42, 52))
    assert reader.read(0, 41, 10) == first  # nothing is let go before a later position says so
    assert reader.read(0, 51, 3, 1)[0].offset == 52 and len(reader.read(0, 51, 3, 1)) == 1
    with pytest.raises(LookupError, match="seek first"):
        reader.read(0, 41, 1)
    reader.seek(0, Start(after=9))
    assert [record.offset for record in read_to_the_end(reader, after=9)] == list(range(10, 100))


def test_buffers_are_bounded_and_a_full_one_holds_up_no_other(kafka: Kafka) -> None:
    topic = kafka.topic(2)
    size, count = 100_000, 400  # 40 MB
    kafka.write(topic, [b"%06d" % i + b"x" * size for i in range(count)])
    kafka.write(topic, [b"%d" % i for i in range(10)], 1)
    reader = kafka.reader(topic, buffer_mebibytes=16)
    reader.assign({0: Start(), 1: Start()})
    share = (16 << 20) // 2
    until(reader, lambda: reader.waiting(0) > 0 and reader.waiting(1) == 10)
    for _ in range(10):  # more would come, if it were not for the bound
        reader.poll(0.05)
    # What one call of the client gives may come on top.
    assert 0 < reader.waiting(0) * size < share + (16 << 20) < count * size
    found = read_to_the_end(reader)
    assert [record.value[:6] for record in found] == [b"%06d" % i for i in range(count)]
    assert len(reader.read(1, -1, 100)) == 10


def test_records_that_are_no_facts_are_parked_with_their_reason_and_stop_nothing(kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic()
    ledger = open_or_create(tmp_path / "ledger")
    member = next(f"m-{i}" for i in range(100) if ledger.partition_of(f"m-{i}") == 0)
    good = encode(
        {"type": "member.signed-in.v1", "id": "1", "source": "/shop", "subject": member, "data": {}}
        | {"specversion": "1.0", "time": "2025-06-01T10:00:00+08:00"}
    )
    long = b"x" * (2 << 20)
    writer = kafka.writer()
    for key, value in (
        (member.encode(), None),
        (None, good),
        (b"\xff\xfe", good),
        (b"someone else", good),
        (member.encode(), long),
        (member.encode(), good),
    ):
        writer.send(topic, 0, key, value)
    writer.flush(PATIENCE)
    reader = kafka.reader(topic)
    reader.assign({0: Start()})
    found = read_to_the_end(reader)
    assert [record.fault for record in found] == ["empty", "no-key", "no-key", "", "", ""]
    assert found[4].value == long[: 64 * 1024]
    assert (found[4].whole_length, found[4].whole_sha256) == (len(long), sha256(long).digest())

    with ledger.writing():
        owner = PartitionOwner(ledger, 0)
        writer = owner.acquire()
        tally = owner.take(writer, found)
        assert (tally.accepted, tally.parked, writer.offset) == (1, 5, 5)
        parked = ledger.journal(0).parked(-1, 10)
    ledger.close()
    assert [p.reason for p in parked] == ["empty", "no-key", "no-key", "wrong-key", "too-long"]
    assert all(p.detail for p in parked)


def test_a_producers_own_timestamp_is_not_believed(kafka: Kafka) -> None:
    topic = kafka.topic(message_timestamp_type="CreateTime")
    kafka.write(topic, [b"a"])
    reader = kafka.reader(topic)
    reader.assign({0: Start(-1, 7)})
    assert [(record.fault, record.recorded) for record in read_to_the_end(reader)] == [("not-stamped", 7)]


def test_a_declared_backlog_is_taken_where_the_settings_say_so(kafka: Kafka) -> None:
    topic = kafka.topic()
    now = time.time_ns() // 1_000
    old, ahead = 1_700_000_000_000_000, now + 3_600_000_000
    writer = kafka.writer()
    for said in (b"%d" % old, b"%d" % (old - 5), b"%d" % ahead, b"soon", None, b"%d" % old):
        writer.send(topic, 0, b"m-1", b"{}", [] if said is None else [("other", b"x"), (RECORDED, said)])
    writer.flush(PATIENCE)

    trusting = kafka.reader(topic, takes_backlog=True)
    trusting.assign({0: Start()})
    first, second, future, bad, live, late = read_to_the_end(trusting)
    assert [(r.backlog, r.recorded, r.fault) for r in (first, second)] == [(BACKLOG, old, "")] * 2
    assert (future.backlog, future.recorded) == (BACKLOG | AHEAD, old)
    assert bad.fault == "untrusted-backlog"
    assert (live.backlog, live.fault) == (0, "") and live.recorded >= now // 1_000 * 1_000
    assert (late.backlog, late.recorded) == (BACKLOG, live.recorded)  # never back

    wary = kafka.reader(topic)
    wary.assign({0: Start()})
    faults = [record.fault for record in read_to_the_end(wary)]
    assert faults == ["untrusted-backlog"] * 4 + ["", "untrusted-backlog"]


@pytest.mark.parametrize("after", [4, 1_000])
def test_a_topic_that_ends_before_the_stored_position_is_told_not_passed_over(kafka: Kafka, after: int) -> None:
    topic = kafka.topic()
    kafka.write(topic, [b"a", b"b", b"c"])
    reader = kafka.reader(topic)
    reader.assign({0: Start(after)})
    with pytest.raises(StreamBroken):
        until(reader, lambda: False)


def test_records_deleted_before_they_were_read_are_told_not_passed_over(kafka: Kafka) -> None:
    topic = kafka.topic()
    kafka.write(topic, [b"%d" % i for i in range(10)])
    admin = KafkaAdminClient(bootstrap_servers=kafka.settings.bootstrap_servers)
    try:
        admin.delete_records({TopicPartition(topic, 0): 5})
    finally:
        admin.close()
    behind = kafka.reader(topic)
    behind.assign({0: Start(after=2)})
    with pytest.raises(StreamBroken):
        until(behind, lambda: False)
    new = kafka.reader(topic)
    new.assign({0: Start()})  # a new ledger begins with the first there is
    assert [record.offset for record in read_to_the_end(new)] == [5, 6, 7, 8, 9]


def test_what_is_told_of_one_partition_takes_no_record_of_another_with_it(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = KafkaSettings(bootstrap_servers=broker.address, client="confluent-kafka", timeout_seconds=PATIENCE)
    with ExitStack() as stack:
        kafka = Kafka(settings, stack)
        topic = kafka.topic(2)
        kafka.write(topic, [b"a", b"b", b"c"], 1)
        reader = kafka.reader(topic)
        assert isinstance(reader, confluent.Reader)
        reader.assign({0: Start(), 1: Start()})
        fetched = reader._consumed

        def told() -> list[Message]:  # in front of the first records, as the library tells it where a log was cut
            found = fetched()
            if any(message.error() is None for message in found):
                monkeypatch.undo()
                error = KafkaError(KafkaError.OFFSET_OUT_OF_RANGE)
                return [Message(topic=topic, partition=0, offset=0, error=error), *found]
            return found

        monkeypatch.setattr(reader, "_consumed", told)
        with pytest.raises(StreamBroken):
            until(reader, lambda: False)
        assert [record.offset for record in read_to_the_end(reader, 1)] == [0, 1, 2]


def test_every_compression_is_read(kafka: Kafka) -> None:
    topic = kafka.topic()
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    for codec in codecs:
        servers = kafka.settings.bootstrap_servers
        producer = Producer({"bootstrap.servers": servers, "compression.type": codec, "linger.ms": 50})
        for number in range(20):
            producer.produce(topic, f"{codec} {number} ".encode() * 20, b"m-1", 0)
        assert producer.flush(PATIENCE) == 0
    reader = kafka.reader(topic)
    reader.assign({0: Start(after=9)})  # in the middle of a batch
    found = [record.value for record in read_to_the_end(reader, after=9)]
    assert found == [f"{codec} {number} ".encode() * 20 for codec in codecs for number in range(20)][10:]


def test_a_topic_that_is_not_there_is_said_with_the_way_out(kafka: Kafka) -> None:
    with pytest.raises(Denied, match=r"there is no topic .*points topics create"):
        kafka.reader(new_topic_name())


class Member:
    """A reader in a group, and what it was told."""

    def __init__(self, kafka: Kafka, topic: str, group: str, name: str, told: list[tuple[str, str, int]]) -> None:
        self.reader = kafka.reader(topic, session_timeout_seconds=30.0)
        self.owned: set[int] = set()
        self._told = told
        self._name = name
        self.reader.join(group, self._assigned, self._revoked, self._revoked)

    def _assigned(self, partitions: Sequence[int]) -> dict[int, Start]:
        self._told.extend((self._name, "given", partition) for partition in partitions)
        self.owned.update(partitions)
        return {partition: Start() for partition in partitions}

    def _revoked(self, partitions: Sequence[int]) -> None:
        self._told.extend((self._name, "taken", partition) for partition in partitions)
        self.owned.difference_update(partitions)


def test_a_group_shares_partitions_and_one_is_given_away_only_after_it_was_taken(kafka: Kafka) -> None:
    topic = kafka.topic(4)
    for partition in range(4):
        kafka.write(topic, [b"%d" % partition], partition)
    told: list[tuple[str, str, int]] = []
    first = Member(kafka, topic, topic, "first", told)
    until(first.reader, lambda: first.owned == {0, 1, 2, 3})
    until(first.reader, lambda: all(first.reader.waiting(p) == 1 for p in range(4)))
    second = Member(kafka, topic, topic, "second", told)

    def both_have_two() -> bool:
        second.reader.poll(0.05)
        return len(first.owned) == len(second.owned) == 2

    until(first.reader, both_have_two)
    assert first.owned | second.owned == {0, 1, 2, 3}
    for partition in second.owned:
        assert told.index(("first", "taken", partition)) < told.index(("second", "given", partition))
        assert [record.value for record in read_to_the_end(second.reader, partition)] == [b"%d" % partition]
    for partition in first.owned:
        assert ("first", "taken", partition) not in told  # who keeps one is not disturbed
        assert first.reader.waiting(partition) == 1
    before = [event for event in told if event[0] == "second"]
    second.reader.close()
    until(first.reader, lambda: first.owned == {0, 1, 2, 3})
    assert [event for event in told if event[0] == "second"] == before  # who closes is told nothing


def test_what_an_owner_does_not_name_or_drops_is_not_read_until_it_seeks(kafka: Kafka) -> None:
    topic = kafka.topic(2)
    for partition in (0, 1):
        kafka.write(topic, [b"a", b"b", b"c"], partition)
    reader = kafka.reader(topic)
    reader.join(topic, lambda _: {0: Start(after=0)}, lambda _: None, lambda _: None)
    until(reader, lambda: reader.passed(0) >= 2 if _is_read(reader, 0) else False)
    assert [record.offset for record in reader.read(0, 0, 10)] == [1, 2]
    assert not _is_read(reader, 1)
    reader.drop(0)
    for _ in range(5):
        reader.poll(0.05)
    assert not _is_read(reader, 0)
    reader.seek(0, Start(after=1))
    reader.seek(1, Start())
    assert [record.offset for record in read_to_the_end(reader, 0, after=1)] == [2]
    assert [record.offset for record in read_to_the_end(reader, 1)] == [0, 1, 2]


def _is_read(reader: Reader, partition: int) -> bool:
    try:
        return reader.waiting(partition) >= 0
    except KeyError:
        return False


def test_what_a_callback_of_the_group_raises_is_raised_by_poll(kafka: Kafka) -> None:
    topic = kafka.topic()
    reader = kafka.reader(topic)

    def fails(_: Sequence[int]) -> dict[int, Start]:
        raise ZeroDivisionError("the store is away")

    reader.join(topic, fails, lambda _: None, lambda _: None)
    with pytest.raises(ZeroDivisionError, match="the store is away"):
        until(reader, lambda: False)


def test_a_writer_tells_each_offset_in_order_and_holds_a_bounded_number_in_flight(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_base, "MOST_IN_FLIGHT", 300)
    topic = kafka.topic(2)
    writer = kafka.writer()
    told: dict[int, list[int]] = {0: [], 1: []}
    most = 0
    for i in range(6_000):
        writer.send(topic, i % 2, b"k", b"%d" % i, (), told[i % 2].append)
        most = max(most, writer.in_flight)
    writer.flush(PATIENCE)
    assert told == {0: list(range(3_000)), 1: list(range(3_000))}
    assert writer.in_flight == 0 and most == 300


def test_a_record_that_the_topic_refuses_stops_the_writer_and_what_follows_is_not_told(kafka: Kafka) -> None:
    topic = kafka.topic(max_message_bytes="2000")
    writer = kafka.writer()
    told: list[int] = []
    writer.send(topic, 0, b"k", b"short", (), told.append)
    writer.flush(PATIENCE)
    writer.send(topic, 0, b"k", bytes(range(256)) * 40, (), told.append)
    with pytest.raises(StreamError):
        writer.flush(PATIENCE)
    with pytest.raises(StreamError):
        send_and_flush(writer, topic, 0, told.append)
    assert told == [0]


def test_what_is_sent_together_is_told_once_by_its_last_record(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_base, "MOST_IN_FLIGHT", 300)
    topic = kafka.topic()
    writer = kafka.writer()
    told: list[int] = []
    for first in range(0, 1_000, 50):
        writer.send_all(topic, 0, [(b"k", b"%d" % i, ()) for i in range(first, first + 50)], told.append)
        assert writer.in_flight <= 350
    writer.flush(PATIENCE)
    assert (told, writer.in_flight, writer.bytes_in_flight) == (list(range(49, 1_000, 50)), 0, 0)
    reader = kafka.reader(topic)
    reader.assign({0: Start()})
    assert [record.value for record in read_to_the_end(reader)] == [b"%d" % i for i in range(1_000)]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_record_that_is_refused_among_others_stops_the_writer(kafka: Kafka, at: int) -> None:
    topic = kafka.topic(max_message_bytes="2000")
    writer = kafka.writer()
    told: list[int] = []
    records = [(b"k", b"short", ())] * 3
    records[at] = (b"k", bytes(range(256)) * 40, ())
    writer.send_all(topic, 0, records, told.append)
    with pytest.raises(StreamError):
        writer.flush(PATIENCE)
    with pytest.raises(StreamError):
        send_and_flush(writer, topic, 0, told.append)
    assert told == []


def test_a_partition_that_is_not_there_is_refused(kafka: Kafka) -> None:
    topic = kafka.topic()
    writer = kafka.writer()
    with pytest.raises(StreamError):
        send_and_flush(writer, topic, 7)


def test_an_admin_sees_what_it_made(kafka: Kafka) -> None:
    admin = Admin(kafka.settings)
    name = new_topic_name()
    wanted = Topic(name, 3, 1, {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"})
    assert admin.topic(name) is None
    assert admin.create(wanted)
    assert not admin.create(wanted)
    found = admin.topic(name)
    assert found is not None and (found.partitions, found.replication) == (3, 1)
    assert found.configs["retention.ms"] == "-1" and found.configs["cleanup.policy"] == "delete"
    assert admin.brokers() >= 1
    with pytest.raises(Denied):
        admin.create(Topic(new_topic_name(), 1, 99, {}))
    admin.close()


def test_a_topic_has_the_same_id_whoever_asks(broker: Broker) -> None:
    settings = KafkaSettings(bootstrap_servers=broker.address, client="confluent-kafka")
    ask, name = topic_ids(settings), new_topic_name()
    assert ask is not None and ask(name) == ""
    with closing(Admin(settings)) as admin:
        admin.create(Topic(name, 1, 1, {}))
        deadline = time.monotonic() + PATIENCE
        while not (found := ask(name)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert found == admin.topic_id(name) != ""
        assert described_topic(settings, name) == admin.topic(name)
    assert described_topic(settings, new_topic_name()) is None
    nobody = KafkaSettings(bootstrap_servers="127.0.0.1:1", client="confluent-kafka", timeout_seconds=0.5)
    ask = topic_ids(nobody)
    assert ask is not None
    for asked in (lambda: ask(name), lambda: described_topic(nobody, name)):
        with pytest.raises(BrokerAway, match=r"127\.0\.0\.1:1"):
            asked()


@pytest.mark.parametrize("client", CLIENTS)
def test_no_broker_is_said_with_its_address(client: Any) -> None:
    nowhere = KafkaSettings(bootstrap_servers="localhost:1", client=client, timeout_seconds=0.5)
    with pytest.raises(BrokerAway, match="localhost:1"):
        client_of(nowhere).Reader(nowhere, "any")
    with pytest.raises(BrokerAway):
        send_and_flush(client_of(nowhere).Writer(nowhere), "any", 0, patience=0.5)


@pytest.fixture(scope="module")
def secure_broker(broker: Broker) -> Broker:
    """A broker whose listener with TLS and SASL has answered once: its first handshake takes seconds."""
    if broker.secure is None:
        pytest.skip("of this broker no listener with TLS and SASL is known; one that is started from its jars has one")
    Admin(secured(broker, "kafka-python", timeout_seconds=PATIENCE)).close()
    return broker


def secured(broker: Broker, client: Client, *, timeout_seconds: float, **changes: Any) -> KafkaSettings:
    """Settings for the broker's listener with TLS and SASL."""
    assert broker.secure is not None
    options = {
        "protocol": "SASL_SSL",
        "ca_file": str(broker.secure.ca_file),
        "username": broker.secure.username,
        "password": Secret(broker.secure.password),
        **changes,
    }
    return KafkaSettings(
        bootstrap_servers=broker.secure.address,
        client=client,
        timeout_seconds=timeout_seconds,
        security=Security(**options),
    )


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
@pytest.mark.parametrize("client", CLIENTS)
def test_tls_and_sasl_reach_the_client(secure_broker: Broker, client: Client, mechanism: str) -> None:
    with ExitStack() as stack:
        kafka = Kafka(secured(secure_broker, client, timeout_seconds=PATIENCE, mechanism=mechanism), stack)
        topic = kafka.topic()
        kafka.write(topic, [b"a", b"b"])
        reader = kafka.reader(topic)
        reader.assign({0: Start()})
        assert [record.value for record in read_to_the_end(reader)] == [b"a", b"b"]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_password_and_an_unknown_certificate_are_denied_and_no_secret_is_told(
    secure_broker: Broker, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "not-the-password-of-anybody"
    began = time.monotonic()
    unknown = secured(secure_broker, client, timeout_seconds=PATIENCE, ca_file=None)
    with pytest.raises(Denied, match=r"(?i)certificate"):
        client_of(unknown).Reader(unknown, "any")
    told = 'refuses user "points" by SCRAM-SHA-512'  # kafka-python may meet the hang-up before the answer
    for open_client in (lambda settings: client_of(settings).Reader(settings, "any"), send_one):
        with pytest.raises((Denied, BrokerAway), match=told) as error:
            open_client(secured(secure_broker, client, timeout_seconds=PATIENCE, password=Secret(wrong)))
        assert wrong not in str(error.value)
    assert time.monotonic() < began + PATIENCE / 2, "it is told at once, not after the whole timeout"
    assert wrong not in caplog.text


def send_one(settings: KafkaSettings) -> None:
    with closing(client_of(settings).Writer(settings)) as writer:
        writer.send("any", 0, b"k", b"v")
        writer.flush(PATIENCE)


def test_clients_outlive_a_broker_that_is_killed(broker: Broker) -> None:
    both = [KafkaSettings(bootstrap_servers=broker.address, client=c, timeout_seconds=3.0) for c in CLIENTS]
    with ExitStack() as stack:
        sides = [Kafka(settings, stack) for settings in both]
        topic = sides[0].topic()
        sides[0].write(topic, [b"before"])
        readers = [kafka.reader(topic) for kafka in sides]
        writers = [kafka.writer() for kafka in sides]
        for reader in readers:
            reader.assign({0: Start()})
            assert len(read_to_the_end(reader)) == 1
        broker.kill()
        for number, writer in enumerate(writers):
            if number:  # the pure one has to know the topic before it takes a record
                writer.send(topic, 0, b"k", b"meanwhile")
        for reader in readers:
            until(reader, lambda reader=reader: reader.last_error != "")  # type: ignore[misc]
            with pytest.raises(BrokerAway):
                reader.end(0)
        broker.start()
        once_it_answers(lambda: writers[0].send(topic, 0, b"k", b"meanwhile"))
        for writer in writers:
            writer.flush(PATIENCE)
        for reader in readers:
            once_it_answers(lambda reader=reader: reader.end(0))  # type: ignore[misc]
            found = read_to_the_end(reader, after=0)
            assert [record.value for record in found] == [b"meanwhile"] * 2
            assert reader.last_error == ""
