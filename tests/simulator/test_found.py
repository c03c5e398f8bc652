"""What the simulator found in the product, each as a case of its own that failed before it was mended."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import ClassVar
from unittest.mock import patch

import pytest

from consumers.kafka.appending import TopicAppender
from consumers.kafka.port import BrokerAway, Start, StreamBroken
from consumers.local.port import CannotAppend, InboxLine
from consumers.local.sqlite import SQLiteInbox
from consumers.runtime.owner import PartitionOwner
from ledger.journal.partition import PartitionWriter
from ledger.journal.port import Damaged, Fenced, Unavailable
from ledger.rulebook.schema import shipped
from projections.audit.replay import replay
from tests.simulator.cluster import MARKER, SimulatedAdmin, SimulatedReader
from tests.simulator.kafka_scene import ConsumerProcess, KafkaScene
from tests.simulator.run import small_memories
from tests.simulator.world import Plan, Process, World
from tests.support.ledgers import SmallLedger, histories_of


@pytest.fixture(params=[5])
def scene(request: pytest.FixtureRequest) -> Iterator[KafkaScene]:
    """A scene in which nothing goes wrong by itself, with one consumer that has decided some facts."""
    world = World(request.param, Plan())
    with world.clocks(), small_memories():
        world.is_healed = True
        scene = KafkaScene(world)
        scene.processes = [ConsumerProcess(scene, "consumer")]
        yield scene


def consumer_of(scene: KafkaScene) -> ConsumerProcess:
    found: ConsumerProcess = scene.processes[0]
    return found


def turns(consumer: ConsumerProcess, count: int) -> None:
    for _ in range(count):
        consumer.turn()


def all_is_decided(scene: KafkaScene) -> bool:
    for _ in range(400):
        scene.step()
        if scene.is_quiet():
            return True
    return False


@pytest.mark.parametrize("error", [Fenced("another owner"), Unavailable("no room (simulated)")])
def test_a_partition_whose_topic_cannot_be_written_down_is_acquired_again(scene: KafkaScene, error: Exception) -> None:
    """The owner kept its writer while nothing read its partition any more: the consumer fell over with a KeyError."""
    bind, errors = PartitionWriter.bind, [error]

    def fails_once(writer: PartitionWriter, stream: str) -> None:
        if errors:
            raise errors.pop()
        bind(writer, stream)

    with patch.object(PartitionWriter, "bind", fails_once), patch.object(ConsumerProcess, "_observe", lambda *_: None):
        assert all_is_decided(scene)
    assert not errors


def test_records_that_come_while_a_partition_is_acquired_are_not_missing(scene: KafkaScene) -> None:
    """The topic's end was asked before the journal's head: with an owner that still decided, it stood behind it."""
    assert all_is_decided(scene)
    ends, stale = SimulatedReader.ends, [True]

    def as_it_was(reader: SimulatedReader, partitions: list[int]) -> dict[int, int]:
        found = ends(reader, partitions)
        return {p: end - 1 for p, end in found.items()} if stale and stale.pop() else found

    consumer_of(scene).close()
    scene.processes = [ConsumerProcess(scene, "consumer")]
    with patch.object(SimulatedReader, "ends", as_it_was):
        consumer_of(scene).turn()
    assert not stale


def test_an_owner_that_is_fenced_while_it_passes_a_gap_leaves_the_partition_to_the_other(scene: KafkaScene) -> None:
    """`Fenced` ended the whole consumer, with its other partitions."""
    assert all_is_decided(scene)
    log = scene.cluster.genuine.logs[0]
    log.begin = len(log.records) + 1
    log.records.append(log.records[0])
    scene.close_the_day()
    with pytest.raises(StreamBroken) as broken:
        turns(consumer_of(scene), 9)
    scene.gave_up(consumer_of(scene), broken.value)
    assert scene.accepted
    scene.away.clear()
    commit, errors = PartitionWriter.commit, [Fenced("another owner")]

    def fails_once(writer: PartitionWriter, *batch: object) -> object:
        if errors:
            raise errors.pop()
        return commit(writer, *batch)  # type: ignore[arg-type]

    with (
        patch.object(PartitionWriter, "commit", fails_once),
        patch.object(ConsumerProcess, "_observe", lambda *_: None),
    ):
        turns(consumer_of(scene), 3)
    assert not errors


def test_an_owner_goes_on_behind_what_the_one_before_decided_while_it_was_fenced(scene: KafkaScene) -> None:
    """The latest `recorded` was read before the fence: records behind it could be recorded earlier."""
    assert all_is_decided(scene)
    acquire, started = PartitionOwner.acquire, []

    def after_another(owner: PartitionOwner, share: float) -> PartitionWriter:
        before = scene.ledger.writer(owner.partition)
        head = before.journal.head()
        before.commit([], [], head.offset + 1, head.recorded + 7)
        return acquire(owner, share)

    def seek(_reader: SimulatedReader, partition: int, start: Start) -> None:
        started.append((partition, start.recorded))

    consumer_of(scene).close()
    scene.processes = [ConsumerProcess(scene, "consumer")]
    for log in scene.cluster.genuine.logs:
        log.records.append(MARKER)
    with patch.object(PartitionOwner, "acquire", after_another), patch.object(SimulatedReader, "seek", seek):
        consumer_of(scene)._observe = lambda _event: None
        with suppress(KeyError):  # nothing is read
            consumer_of(scene).turn()
    assert started == [(p, scene.ledger.journal(p).head().recorded) for p in scene.ledger.partitions]


def test_records_of_a_topic_that_stood_there_while_nobody_could_look_are_not_decided(scene: KafkaScene) -> None:
    """Once the topic was back under its id, what was fetched of the other one was taken for its."""
    assert all_is_decided(scene)
    scene._is_made_anew()
    for log in scene.cluster.facts.logs:
        log.records.extend(log.records[-1:] * 3)
    with (
        patch.object(SimulatedAdmin, "topic_id", side_effect=BrokerAway("no broker answers (simulated)")),
        patch.object(ConsumerProcess, "_observe", lambda *_: None),
    ):
        turns(consumer_of(scene), 5)
    scene.cluster.topics["facts"] = scene.cluster.genuine
    scene.trouble = ""
    for _ in range(20):
        scene.step()
    scene.close_the_day()
    assert all_is_decided(scene)


class LosesAnAnswer(Process):
    """A process whose next commit nobody hears the answer of."""

    def strikes(self, kind: str) -> bool:
        """Return True for the one fault."""
        return kind == "answer-lost" and not self.heard.append(kind) and len(self.heard) == 1

    heard: ClassVar[list[str]] = []


def test_an_inbox_whose_commit_was_not_answered_goes_on_behind_what_it_holds(scene: KafkaScene) -> None:
    """It went on behind the end it had known, and two records stood at one position."""
    ledger = scene.files.opened(scene.auditor)
    ledger.inbox_of(create=True)
    inbox = scene.files.opened(LosesAnAnswer(scene.world, "server")).inbox_of()
    line = InboxLine(0, 1, 0, "m-0", b"{}")
    with pytest.raises(CannotAppend):
        inbox.append([line])
    assert inbox.append([line, line]) == [(0, 1), (0, 2)]
    assert [record.offset for record in ledger.inbox_of().read(0, -1, 9)] == [0, 1, 2]


def test_an_inbox_that_cannot_be_read_says_so_by_an_error_of_the_port(tmp_path: Path) -> None:
    """SQLite's own errors came through: where the first fact opened it, the server appended nothing any more."""
    inbox = SQLiteInbox(tmp_path / "inbox.db", 1, create=True)
    with closing(sqlite3.connect(tmp_path / "inbox.db")) as other:
        other.execute("DROP TABLE partition_0")
        other.execute("DROP TABLE feeds")
    for ask in (partial(inbox.end, 0), partial(inbox.read, 0, -1, 1), partial(inbox.feeds_of, "x")):
        with pytest.raises(Damaged, match=r"inbox\.db"):
            ask()
    inbox.close()


def test_books_of_one_day_that_partitions_heard_in_another_order_are_replayed_as_they_decided(tmp_path: Path) -> None:
    """A replay took the order of the first partition for all."""
    small = SmallLedger(tmp_path / "ledger")
    first, second = (shipped("jd").replace("from = 2017-09-14", "from = 2025-03-01", 1) + end for end in ("# 1", "# 2"))
    for partition, books in enumerate([(first, second), (second, first)] * 2):
        for number, toml in enumerate(books):
            told = {"id": f"{number}", "source": "/operators", "type": "programme.published.v1", "data": {"toml": toml}}
            fact = {"specversion": "1.0", "subject": "programme", "time": "2025-03-02T00:00:00Z"} | told
            small.stream.append(fact, partition)
    small.hears(histories_of(Random(3), members=8, length=20))
    small.decides()
    assert replay(small.ledger)["differences"] == []
    small.close()


def test_a_journal_that_stops_before_a_book_has_not_heard_when_that_was_recorded(tmp_path: Path) -> None:
    """The part of a batch before a book was written with the book's instant: of a gap there, later records had it."""
    small = SmallLedger(tmp_path / "ledger")
    signed_in = {"specversion": "1.0", "id": "1", "source": "/shop", "subject": "m-0", "type": "member.signed-in.v1"}
    book = {"id": "b", "source": "/operators", "subject": "programme", "type": "programme.published.v1"}
    small.stream.append(signed_in | {"time": "2025-03-02T00:00:00Z"}, 0)
    small.stream.append(b"{", 0, key="m-0")
    small.stream.append(signed_in | book | {"time": "2025-03-03T00:00:00Z", "data": {"toml": shipped("jd")}}, 0)
    commit, errors = PartitionWriter._commit, [Unavailable("the first part is written"), None]

    def fails_later(writer: PartitionWriter, *part: object) -> object:
        if (error := errors.pop()) is not None:
            raise error
        return commit(writer, *part)  # type: ignore[arg-type]

    with patch.object(PartitionWriter, "_commit", fails_later), pytest.raises(Unavailable):
        small.owner(0).step()
    head = small.ledger.journal(0).head()
    assert (head.offset, head.recorded) == (1, small.stream.read(0, 0, 1)[0].recorded)
    small.close()


@pytest.mark.parametrize("scene", [4], indirect=True)
def test_what_is_not_acknowledged_that_an_account_left_is_sent_again(scene: KafkaScene) -> None:
    """The consumer ended, though a slow broker is what it waits for."""
    append, errors = TopicAppender.append, [CannotAppend("not acknowledged in time")]

    def fails_once(topic: TopicAppender, lines: list[InboxLine]) -> list[tuple[int, int]]:
        if errors:
            raise errors.pop()
        return append(topic, lines)

    with patch.object(TopicAppender, "append", fails_once):
        assert all_is_decided(scene)
    assert not errors
