"""Where one partition cannot be decided, `ingest` and `consume` go on with the others, and say so at the end."""

import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from consumers.runtime.ingest import CannotDecide, ingest
from ledger.errors import CannotRunNow
from ledger.journal.folder import FolderLedger
from ledger.journal.ledger import Settings, new_id
from ledger.journal.processes import Workers
from projections.audit.replay import replay
from projections.audit.verify import verify
from tests.support.brokers import Broker
from tests.support.histories import LONG_AGO
from tests.support.kafka_shop import Topics, contents, points, start, until
from tests.support.ledgers import histories_of, write_facts
from tests.support.served import grant

MEMBERS = 20
PARTITIONS = 3
FACTS = histories_of(Random(6), members=12, length=20, start=LONG_AGO)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_damaged_journal_lets_the_others_be_decided_and_is_caught_up_once_it_is_mended(
    tmp_path: Path, jobs: int
) -> None:
    folder = tmp_path / "ledger"
    ledger = FolderLedger.at_or_created(folder, settings=Settings(2, id=new_id()))
    homes = {f"m-{n}": ledger.partition_of(f"m-{n}") for n in range(MEMBERS)}
    facts = [grant(f"m-{n % MEMBERS}", f"g-{n}", 1) for n in range(10 * MEMBERS)]
    file = str(write_facts(tmp_path / "facts", facts))
    with ledger.writing():
        ingest(ledger, [str(write_facts(tmp_path / "first", facts[:MEMBERS]))], backlog=True)
    ledger.close()
    damaged = folder / "partition-0.db"  # the one that is decided first
    whole = damaged.read_bytes()
    damaged.write_bytes(b"not a journal" * 2_000)

    ledger = FolderLedger.at(folder)
    with ledger.writing(), pytest.raises(CannotDecide, match=r"partition-0\.db.*run the same command again"):
        ingest(ledger, [file], backlog=True, jobs=jobs)
    assert ledger.journal(1).head().entries == 11 * list(homes.values()).count(1) > 0
    ledger.close()

    damaged.write_bytes(whole)
    ledger = FolderLedger.at(folder)
    with ledger.writing():
        ingest(ledger, [file], backlog=True, jobs=jobs)
    assert sum(ledger.heads().values()) == len(facts) + MEMBERS  # which came twice
    assert verify(ledger)["broken"] == [] and replay(ledger, from_topic=True)["differences"] == []
    ledger.close()


@pytest.fixture
def broken(broker: Broker) -> Topics:
    """Topics whose partition 1 has lost its first record."""
    topics = Topics(broker, PARTITIONS).make()
    topics.send(FACTS)
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.delete_records({TopicPartition(topics.facts, 1): 1})
    admin.close()
    return topics


def ends_of(topics: Topics) -> list[int]:
    """The offset of the last record of each partition."""
    return [records[-1].offset for records in topics.everything(topics.facts)]


def offsets_of(place: Path) -> list[int]:
    """How far each partition is decided."""
    ledger = FolderLedger.at(place)
    found = [ledger.journal(partition).head().offset for partition in ledger.partitions]
    ledger.close()
    return found


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_an_import_decides_all_but_the_partition_whose_records_are_lost(
    broken: Topics, jobs: str, tmp_path: Path
) -> None:
    options = ("consume", "--until-end", "--json", "--jobs", jobs)
    refused = points(tmp_path / "ledger", *options, environment=broken.environment)
    assert refused.returncode == 4
    assert "positions 1:0 to 1:0 (1) have no records" in refused.stderr
    ends = ends_of(broken)
    assert offsets_of(tmp_path / "ledger") == [ends[0], -1, ends[2]]
    accepting = ("--accept-gap", "1:0-0", "--reason", "lost")
    assert points(tmp_path / "ledger", *options, *accepting, environment=broken.environment).returncode == 0
    assert offsets_of(tmp_path / "ledger") == ends


def test_a_consumer_goes_on_with_the_other_partitions_for_as_long_as_it_runs(broken: Topics, tmp_path: Path) -> None:
    place = tmp_path / "ledger"
    run = start(place, "consume", environment=broken.environment)
    try:
        ends = ends_of(broken)
        until(lambda: (place / "ledger.json").exists() and offsets_of(place) == [ends[0], -1, ends[2]], run)
        broken.send([grant(f"m-{n}", f"later-{n}", 1) for n in range(MEMBERS)])
        more = ends_of(broken)
        assert more[0] > ends[0]
        until(lambda: offsets_of(place) == [more[0], -1, more[2]], run)
        run.send_signal(signal.SIGTERM)
        error = run.communicate(timeout=100)[1]
    finally:
        run.kill()
    assert run.returncode == 4
    assert "positions 1:0 to 1:0 (1) have no records" in error.splitlines()[-1]
    assert contents(place)["entries 1"] == []


def _work(pipe: Connection, number: int) -> None:
    if number == 0:
        os._exit(9)
    if number == 1:
        raise CannotDecide("the disk of worker 1 is full")
    for count in range(3):
        time.sleep(0.2)
        pipe.send(count)


def test_workers_that_die_or_fail_let_the_others_finish_and_each_is_told_at_the_end() -> None:
    workers = Workers(_work, [(0,), (1,), (2,)], outlast=(Exception,))
    told: list[int] = []
    with pytest.raises(CannotRunNow) as error:
        told.extend(workers.messages())
    workers.close(5)
    assert told == [0, 1, 2]
    assert "a worker process died" in str(error.value)
    assert "the disk of worker 1 is full" in str(error.value)
