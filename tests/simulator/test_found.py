"""What the simulator found in the product, each as a case of its own that failed before it was mended."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from consumers.kafka.port import StreamBroken
from ledger.journal.partition import PartitionWriter
from ledger.journal.port import Fenced, Unavailable
from tests.simulator.cluster import SimulatedReader
from tests.simulator.kafka_scene import ConsumerProcess, KafkaScene
from tests.simulator.run import small_memories
from tests.simulator.world import Plan, World


@pytest.fixture
def scene() -> Iterator[KafkaScene]:
    """A scene in which nothing goes wrong by itself, with one consumer that has decided some facts."""
    world = World(5, Plan())
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
