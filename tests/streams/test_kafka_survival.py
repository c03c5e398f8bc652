"""Whatever dies, and whatever stands in the topic: the ledger ends as an undisturbed one does, and nothing is missing.

Real processes and a real broker. Each disturbed ledger reads the same topic as the undisturbed one, so their journals
are equal entry by entry.
"""

import json
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import httpx
import psycopg
import pytest

from ledger.journal.database import migrate
from ledger.journal.open import open_ledger
from ledger.journal.port import JournalError
from ledger.wire.times import DAY
from tests.support.brokers import Broker
from tests.support.databases import OwnServer
from tests.support.histories import LONG_AGO, encode
from tests.support.kafka_shop import (
    PARTITIONS,
    Topics,
    accounts,
    command,
    consume,
    contents,
    decided,
    environment_of,
    is_whole,
    outcomes_are_whole,
    points_in_a_process,
    start,
    until,
)
from tests.support.ledgers import histories_of, merged, scratch
from tests.support.ports import free_port

# The steps at which a consumer is killed, each when it comes there the so-many-th time.
FAILPOINTS = {
    "fetch": 2,
    "before-fence": 5,
    "after-fence": 1,
    "after-entries": 9,
    "before-commit": 6,
    "after-commit": 7,
    "before-publish": 5,
    "after-publish": 1,
    "after-tracking": 1,
}
BATCH = ("--batch", "64")  # many transactions, so that a kill meets them in the middle


@pytest.fixture(scope="module")
def facts() -> list:
    lines: list = histories_of(Random(23), members=40, length=60, start=LONG_AGO)
    for at in range(0, len(lines), 200):
        lines[at:at] = [b"{", b"\xff"]
    return lines


@pytest.fixture(scope="module")
def topics(broker: Broker, facts: list) -> Topics:
    made = Topics(broker).make()
    made.send(facts)
    return made


@pytest.fixture(scope="module")
def undisturbed(topics: Topics) -> Iterator[dict[str, Any]]:
    with scratch() as folder:
        consume(topics, folder / "ledger", "--no-publish")
        yield contents(folder / "ledger")


def ends_as_undisturbed(mine: Topics, folder: Path | str, undisturbed: dict[str, Any], story: object) -> None:
    """Run to the end, and compare everything."""
    consume(mine, folder)
    found = contents(folder)
    for name, rows in undisturbed.items():
        assert found[name] == rows, (story, name)
    outcomes_are_whole(mine, folder)
    is_whole(folder)


@pytest.mark.parametrize(("name", "count"), FAILPOINTS.items())
def test_killed_at_a_step_it_ends_as_an_undisturbed_run(
    name: str, count: int, topics: Topics, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    mine = topics.with_own_outlets()
    environment = {**mine.environment, "POINTS_FAILPOINT": f"{name}:{count}"}
    run = points_in_a_process(tmp_path / "ledger", "consume", "--until-end", *BATCH, environment=environment)
    assert run.returncode == -signal.SIGKILL, run.stderr
    ends_as_undisturbed(mine, tmp_path / "ledger", undisturbed, name)


@pytest.mark.parametrize("name", ["after-entries", "before-commit", "after-commit", "after-publish"])
def test_killed_at_a_step_of_a_database_it_ends_as_an_undisturbed_run(
    name: str, topics: Topics, undisturbed: dict[str, Any], postgres: str
) -> None:
    mine = topics.with_own_outlets()
    migrate(postgres, partitions=PARTITIONS, topic=mine.facts)
    environment = {**in_own_group(mine), "POINTS_FAILPOINT": f"{name}:{FAILPOINTS[name]}"}
    run = points_in_a_process(postgres, "consume", "--until-end", *BATCH, environment=environment)
    assert run.returncode == -signal.SIGKILL, run.stderr
    with patch.dict(os.environ, in_own_group(mine)):
        ends_as_undisturbed(mine, postgres, undisturbed, name)


def test_a_database_that_is_killed_while_it_commits_is_waited_for(
    topics: Topics, undisturbed: dict[str, Any], own_postgres: OwnServer
) -> None:
    mine = topics.with_own_outlets()
    place = own_postgres.address
    migrate(place, partitions=PARTITIONS, topic=mine.facts)
    records = sum(len(rows) for name, rows in undisturbed.items() if name.startswith(("entries", "parked")))
    run = start(place, "consume", "--batch", "4", environment=in_own_group(mine))
    for share in (0.1, 0.4):
        until(lambda share=share: decided(place) > share * records, run)
        own_postgres.kill()  # between two transactions it may not even be noticed
        own_postgres.start()
    until(lambda: decided(place) == records, run)
    run.terminate()
    _, log = run.communicate(timeout=100)
    assert run.returncode == 0, log
    with patch.dict(os.environ, in_own_group(mine)):
        ends_as_undisturbed(mine, place, undisturbed, log)


def test_a_database_that_is_away_at_the_start_is_waited_for(topics: Topics, own_postgres: OwnServer) -> None:
    mine = topics.with_own_outlets()
    place, at = own_postgres.address, f"127.0.0.1:{free_port()}"
    migrate(place, partitions=PARTITIONS, topic=mine.facts)
    own_postgres.kill()
    run = start(place, "consume", "--health", at, "--until-end", environment=in_own_group(mine))
    try:
        until(lambda: "store" in troubles(at), run)
    finally:
        own_postgres.start()
    _, log = run.communicate(timeout=100)
    assert run.returncode == 0 and '"stage":"store"' in log.replace(" ", ""), log
    assert decided(place) > 0


def troubles(at: str) -> dict[str, str]:
    """What stands in a consumer's way by its health, nothing where it does not answer yet."""
    try:
        found: dict[str, str] = httpx.get(f"http://{at}/health/ready", timeout=10).json()["troubles"]
    except httpx.TransportError:
        return {}
    return found


def in_own_group(mine: Topics) -> dict[str, str]:
    """The settings of consumers that share a ledger of these topics."""
    return {**mine.environment, "POINTS_KAFKA_GROUP": mine.outcomes}


def killed_at_random(seed: int, topics: Topics, undisturbed: dict[str, Any], records: int) -> None:
    """Killed a few times wherever it is, sometimes one of its processes only."""
    chance = Random(seed)
    mine = topics.with_own_outlets()
    with scratch() as folder:
        story = []
        for _ in range(chance.randint(1, 4)):
            jobs = chance.choice(("1", "2"))
            run = start(folder / "ledger", "consume", *BATCH, "--jobs", jobs, environment=mine.environment)
            target = decided(folder / "ledger") + chance.random() * (records - decided(folder / "ledger"))
            deadline = time.monotonic() + 10
            while decided(folder / "ledger") < target and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(chance.random() * 0.05)
            story.append((jobs, decided(folder / "ledger")))
            if chance.random() < 0.5:
                os.killpg(run.pid, signal.SIGKILL)
            else:  # its workers, if any, find themselves alone, or meet the next run
                run.kill()
            run.communicate(timeout=100)
        ends_as_undisturbed(mine, folder / "ledger", undisturbed, (seed, story))


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_instant_it_ends_as_an_undisturbed_run(
    seed: int, topics: Topics, undisturbed: dict[str, Any], facts: list
) -> None:
    killed_at_random(seed, topics, undisturbed, len(facts))


@pytest.mark.campaign
@pytest.mark.parametrize("seed", [random.SystemRandom().getrandbits(32) for _ in range(40)])
def test_killed_again_and_again_it_still_ends_as_an_undisturbed_run(
    seed: int, topics: Topics, undisturbed: dict[str, Any], facts: list
) -> None:
    killed_at_random(seed, topics, undisturbed, len(facts))


# -- the broker ------------------------------------------------------------------------------------------------------


def test_a_broker_that_is_killed_and_comes_back_is_waited_for(
    topics: Topics, undisturbed: dict[str, Any], facts: list, tmp_path: Path
) -> None:
    mine = topics.with_own_outlets()
    folder = tmp_path / "ledger"
    logs = [tmp_path / "run.log", tmp_path / "late.log"]
    run = start(folder, "consume", "--batch", "16", "--until-end", "--json", environment=mine.environment, log=logs[0])
    until(lambda: decided(folder) > 0, run)
    mine.broker.kill()
    late = start(tmp_path / "late", "consume", "--until-end", "--no-publish", environment=mine.environment, log=logs[1])
    for each, log in zip((run, late), logs, strict=True):
        until(lambda log=log: "kafka" in stages_of(log, "trouble"), each)
    mine.broker.start()
    for each in (run, late):
        each.communicate(timeout=100)
    assert (run.returncode, late.returncode) == (0, 0), [log.read_text() for log in logs]
    for log in logs:
        assert "kafka" in stages_of(log, "recovered")
    ends_as_undisturbed(mine, folder, undisturbed, logs)
    assert contents(tmp_path / "late") == undisturbed


def test_outcomes_that_cannot_be_sent_stop_nothing_and_are_sent_later(
    topics: Topics, undisturbed: dict[str, Any], facts: list, tmp_path: Path
) -> None:
    mine = Topics(topics.broker, facts=topics.facts)  # there are no such topics yet
    log = tmp_path / "log"
    run = start(tmp_path / "ledger", "consume", environment=mine.environment, log=log)
    until(lambda: decided(tmp_path / "ledger") == len(facts), run)
    until(lambda: "publishing" in stages_of(log, "trouble"), run)
    mine.make(mine.outcomes, mine.dead_letters)
    total = sum(isinstance(fact, dict) for fact in facts)
    until(lambda: sum(map(len, mine.everything(mine.outcomes))) >= total, run)
    until(lambda: "publishing" in stages_of(log, "recovered"), run)
    run.terminate()
    run.communicate(timeout=100)
    assert run.returncode == 0, log.read_text()
    ends_as_undisturbed(mine, tmp_path / "ledger", undisturbed, log)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux: the limit of a running process is raised")
def test_on_a_full_disk_it_waits_for_room_and_goes_on(
    topics: Topics, undisturbed: dict[str, Any], facts: list, tmp_path: Path
) -> None:
    folder, log = tmp_path / "ledger", tmp_path / "log"
    with log.open("w") as file:
        run = subprocess.Popen(
            command(folder, "consume", "--no-publish", *BATCH),
            env=environment_of(topics.environment),
            stdout=subprocess.DEVNULL,
            stderr=file,
            # no file may grow any further: what a full disk does to whoever writes
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY)),
        )
    until(lambda: events_of(log.read_text(), "trouble") != [], run)
    assert decided(folder) < len(facts)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    until(lambda: decided(folder) == len(facts), run)
    run.terminate()
    assert run.wait(timeout=60) == 0
    assert {event["stage"] for event in events_of(log.read_text(), "recovered")} == {"deciding"}
    assert contents(folder) == undisturbed


# -- owners ----------------------------------------------------------------------------------------------------------


def start_in_group(
    place: str,
    topics: Topics,
    environment: Mapping[str, str] | None = None,
    *options: str,
    log: Path | None = None,
) -> "subprocess.Popen[str]":
    """A consumer of a ledger that others consume too."""
    shared = {**in_own_group(topics), **(environment or {})}
    return start(place, "consume", *BATCH, *options, environment=shared, log=log)


def is_asleep(process: int) -> bool:
    """Whether a process was stopped."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
    return state.stdout.startswith("T")


def epochs(place: str) -> int:
    """How often any partition of a ledger in a database has changed hands since it was made."""
    with psycopg.connect(place) as connection:
        tables = (f"SELECT epoch FROM points_{partition}.shard" for partition in range(PARTITIONS))
        ((total,),) = connection.execute(f"SELECT sum(epoch) FROM ({' UNION ALL '.join(tables)}) AS s").fetchall()
        return int(total) - PARTITIONS


def stages_of(log: Path, name: str) -> set[str]:
    """Which stages a log tells of by events of a name."""
    return {event["stage"] for event in events_in(log, name)}


def events_in(log: Path, name: str) -> list[dict[str, Any]]:
    """The events of a name in a log that is being written; its last line may be half there."""
    return events_of(log.read_text().rpartition("\n")[0], name)


def events_of(log: str, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def test_an_owner_that_wakes_after_another_has_committed_is_rejected(
    broker: Broker, facts: list, postgres: str, tmp_path: Path
) -> None:
    topics = Topics(broker).make()
    migrate(postgres, partitions=PARTITIONS, topic=topics.facts)
    stops = {"POINTS_FAILPOINT": "before-fence:5:STOP"}  # with a batch in its hands
    log = tmp_path / "first.log"
    first = start_in_group(postgres, topics, stops, log=log)
    until(lambda: epochs(postgres) == 3, first)
    topics.send(facts)
    until(lambda: is_asleep(first.pid), first)
    assert 0 < decided(postgres) < len(facts)
    second = start_in_group(postgres, topics)
    until(lambda: decided(postgres) == len(facts), second)  # the group gave all to the second
    first.send_signal(signal.SIGCONT)
    until(lambda: len(events_in(log, "dropped")) == PARTITIONS, first)
    for run in (first, second):
        run.terminate()
    logs = [run.communicate(timeout=100)[1] for run in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), (log.read_text(), logs)
    dropped = {event["partition"]: event["why"] for event in events_in(log, "dropped")}
    assert dropped.keys() == {0, 1, 2}
    assert any("another process owns this partition now" in why for why in dropped.values()), dropped
    with scratch() as other:
        mine = topics.with_own_outlets()
        consume(mine, other / "ledger", "--no-publish")
        assert contents(postgres) == contents(other / "ledger")
    outcomes_are_whole(topics, postgres)
    is_whole(postgres)


def test_a_dead_owners_partitions_are_taken_over_and_shared_out_again(
    broker: Broker, facts: list, postgres: str
) -> None:
    topics = Topics(broker).make()
    migrate(postgres, partitions=PARTITIONS)  # the first that consumes settles the topic
    first = start_in_group(postgres, topics)
    until(lambda: epochs(postgres) == 3, first)
    second = start_in_group(postgres, topics)  # a rebalance in the middle of whatever the first does
    topics.send(facts[:1000])
    until(lambda: epochs(postgres) > 3, second)
    until(lambda: decided(postgres) == 1000, second)
    first.kill()
    first.communicate(timeout=100)
    topics.send(facts[1000:])
    until(lambda: decided(postgres) == len(facts), second)  # within the session timeout of 2 seconds, and a little
    second.terminate()
    _, log = second.communicate(timeout=100)
    assert second.returncode == 0, log
    with scratch() as other:
        consume(topics.with_own_outlets(), other / "ledger", "--no-publish")
        assert contents(postgres) == contents(other / "ledger")
    outcomes_are_whole(topics, postgres)
    is_whole(postgres)
    with pytest.raises(JournalError, match=f"from the topic {topics.facts}, for life"):
        migrate(postgres, topic="another")


def tables_of(place: str) -> list[str]:
    """The tables of a ledger in a database, partition by partition."""
    with psycopg.connect(place) as connection:
        asked = "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname LIKE 'points\\_%' ORDER BY 1"
        return [name for (name,) in connection.execute(asked).fetchall()]


def test_what_a_standby_that_lagged_has_not_got_is_decided_again_though_nobody_was_fenced(
    broker: Broker, postgres: str, tmp_path: Path
) -> None:
    facts = histories_of(Random(5), members=6, length=25, start=LONG_AGO)
    topics = Topics(broker).make()
    migrate(postgres, partitions=PARTITIONS, topic=topics.facts)
    log = tmp_path / "log"
    run = start_in_group(postgres, topics, log=log)
    topics.send(facts[:50])
    until(lambda: decided(postgres) == 50, run)
    with psycopg.connect(postgres) as connection:
        for name in tables_of(postgres):
            connection.execute(f"CREATE TABLE {name.replace('.', '_')} AS TABLE {name}")
    topics.send(facts[50:100])
    until(lambda: decided(postgres) == 100, run)
    with psycopg.connect(postgres) as connection:  # an earlier state, at one blow, and no connection is lost
        for name in tables_of(postgres):
            connection.execute(f"DELETE FROM {name}")
            connection.execute(f"INSERT INTO {name} SELECT * FROM {name.replace('.', '_')}")
    topics.send(facts[100:])
    until(lambda: decided(postgres) == len(facts), run)
    run.terminate()
    run.communicate(timeout=100)
    assert run.returncode == 0, log.read_text()
    assert any("is not as its owner left it" in event["error"] for event in events_in(log, "trouble")), log.read_text()
    back = events_in(log, "went-back")
    assert {event["partition"] for event in back} == set(range(PARTITIONS)), log.read_text()
    assert sum(event["known"] - event["position"] for event in back) == 50
    with scratch() as other:
        consume(topics.with_own_outlets(), other / "ledger", "--no-publish")
        assert contents(postgres) == contents(other / "ledger")
    outcomes_are_whole(topics, postgres)
    is_whole(postgres)


def test_processes_that_share_an_import_all_come_to_its_end(
    topics: Topics, undisturbed: dict[str, Any], postgres: str
) -> None:
    mine = topics.with_own_outlets()
    migrate(postgres, partitions=PARTITIONS, topic=mine.facts)
    runs = [start_in_group(postgres, mine, None, "--until-end") for _ in range(2)]
    logs = [run.communicate(timeout=100)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], logs
    assert contents(postgres) == undisturbed
    outcomes_are_whole(mine, postgres)


# -- what stands in the topic ----------------------------------------------------------------------------------------


def without_counters(folder: Path, as_of: int) -> list[tuple[str, Any]]:
    """Accounts but for the number of their entries, which duplicates raise."""
    ledger = open_ledger(folder)
    found = accounts(ledger, as_of)
    for _, account in found:
        account.number = 0
    ledger.close()
    return found


def test_the_whole_topic_read_twice_changes_no_account(broker: Broker, facts: list, tmp_path: Path) -> None:
    topics = Topics(broker).make()
    topics.send(facts)
    consume(topics, tmp_path / "ledger")
    later = time.time_ns() // 1000 + DAY
    once = without_counters(tmp_path / "ledger", later)
    topics.send(facts)
    told = consume(topics, tmp_path / "ledger")
    assert told["ignored"] == told["entries"] == sum(isinstance(fact, dict) for fact in facts)
    assert without_counters(tmp_path / "ledger", later) == once
    outcomes_are_whole(topics, tmp_path / "ledger")
    is_whole(tmp_path / "ledger")


def test_the_facts_of_two_members_in_any_interleaving_make_the_same_accounts(broker: Broker, tmp_path: Path) -> None:
    histories = [[{**fact, "subject": f"m-{n}"} for fact in histories_of(Random(n), 1, 60, LONG_AGO)] for n in range(6)]
    found = []
    for seed in range(3):
        topics = Topics(broker).make()
        topics.send(merged(Random(seed), histories))
        consume(topics, tmp_path / f"{seed}", "--no-publish")
        found.append(contents(tmp_path / f"{seed}")["accounts"])
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 6


def test_an_aborted_transaction_is_never_seen(broker: Broker, facts: list, tmp_path: Path) -> None:
    from confluent_kafka import Producer

    topics = Topics(broker).make()
    topics.send(facts[:100])
    producer = Producer({"bootstrap.servers": broker.address, "transactional.id": topics.facts})
    producer.init_transactions()
    for end in (producer.abort_transaction, producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        for partition in range(3):
            for n in range(20):
                value = encode({"specversion": "1.0", "id": f"{end.__name__}-{n}", "source": "/shop"})
                producer.produce(topics.facts, value, b"m-1", partition=partition)
        producer.flush()  # one that ends before anything of it has arrived is none
        end()
    told = consume(topics, tmp_path / "ledger")
    assert (told["facts"], told["parked"] - 60) == (160, sum(isinstance(f, bytes) for f in facts[:100]))
    kept = [p.raw for n in range(3) for p in contents(tmp_path / "ledger")[f"parked {n}"]]
    assert not any(b"abort" in value for value in kept)
    is_whole(tmp_path / "ledger")
    assert consume(topics, tmp_path / "ledger")["facts"] == 0


def test_records_that_are_no_facts_are_parked_and_stop_nothing(broker: Broker, facts: list, tmp_path: Path) -> None:
    from kafka import KafkaProducer

    topics = Topics(broker).make()
    good = [fact for fact in facts if isinstance(fact, dict)]
    topics.send(good[:300])
    fact = encode(good[0])
    subject = good[0]["subject"].encode()
    producer = KafkaProducer(bootstrap_servers=broker.address, max_request_size=4 << 20)
    poison: list[dict[str, Any]] = [
        {"key": b"somebody-else", "value": fact},
        {"key": None, "value": fact},
        {"key": b"\xff\xfe", "value": fact},
        {"key": subject, "value": None},
        {"key": subject, "value": b""},
        {"key": subject, "value": b"x" * (2 << 20)},
        {"key": subject, "value": fact, "headers": [("points-recorded", b"soon")]},
    ]
    for record in poison:
        for partition in range(3):
            producer.send(topics.facts, partition=partition, **record)
    for partition in range(3):
        producer.send(topics.facts, partition=partition, key=subject, value=fact)
    producer.flush()
    producer.close()
    topics.send(good[300:])
    told = consume(topics, tmp_path / "ledger")
    assert told["parked"] == 3 * len(poison) + 2  # the fact itself stands in one right partition
    reasons = sorted(p.reason for n in range(3) for p in contents(tmp_path / "ledger")[f"parked {n}"])
    assert reasons == sorted(
        [
            *["wrong-key", "no-key", "no-key", "empty", "not-json", "too-long", "untrusted-backlog"] * 3,
            *["wrong-partition"] * 2,
        ]
    )
    long = next(p for n in range(3) for p in contents(tmp_path / "ledger")[f"parked {n}"] if p.reason == "too-long")
    assert (long.length, len(long.raw)) == (2 << 20, 64 << 10)
    outcomes_are_whole(topics, tmp_path / "ledger")
    is_whole(tmp_path / "ledger")


def test_a_topic_with_the_producers_timestamps_is_parked_and_loses_nothing(
    broker: Broker, facts: list, tmp_path: Path
) -> None:
    topics = Topics(broker).make(stamp="CreateTime")
    topics.send(facts[:50])
    told = consume(topics, tmp_path / "ledger")
    assert (told["facts"], told["entries"], told["parked"]) == (50, 0, 50)
    assert {fact["reason"] for fact in told["parked_facts"]} == {"not-stamped"}
