"""A ledger that Kafka feeds is split with its topics: consumers go on by themselves, and its positions stay unique."""

import json
import os
import signal
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from kafka.admin import KafkaAdminClient

from ledger.journal.database import migrate
from ledger.journal.open import open_ledger
from tests.streams.test_kafka_survival import in_own_group, troubles
from tests.support.brokers import Broker
from tests.support.histories import LONG_AGO, encode
from tests.support.kafka_shop import (
    Place,
    Topics,
    consume,
    decided,
    is_whole,
    points,
    points_in_a_process,
    start,
    until,
)
from tests.support.ledgers import histories_of
from tests.support.ports import free_port

BORN, TIMES = 2, 3
SPLIT = ("split", "--times", str(TIMES), "--json")
FACTS = histories_of(Random(4), members=15, length=16, start=LONG_AGO)
HALF = len(FACTS) // 2


def partitions_of(topics: Topics) -> set[int]:
    """How many partitions the three topics have."""
    admin = KafkaAdminClient(bootstrap_servers=topics.broker.address)
    try:
        found = admin.describe_topics([topics.facts, topics.outcomes, topics.dead_letters])
    finally:
        admin.close()
    return {len(one["partitions"]) for one in found}


def is_killed(place: Place, topics: Topics, failpoint: str) -> bool:
    """Split a ledger, and be killed at a step."""
    environment = {**topics.environment, "POINTS_FAILPOINT": failpoint}
    return points_in_a_process(place, *SPLIT, environment=environment).returncode == -signal.SIGKILL


def grow(topics: Topics, partitions: int) -> Topics:
    """Give the topics more partitions, as an operator does by Kafka's own tool."""
    admin = KafkaAdminClient(bootstrap_servers=topics.broker.address)
    try:
        admin.create_partitions(dict.fromkeys((topics.facts, topics.outcomes, topics.dead_letters), partitions))
    finally:
        admin.close()
    return replace(topics, partitions=partitions)


def outcomes_and_topic_are_whole(grown: Topics, place: Place) -> None:
    """The topic of outcomes tells each entry, in its own partition; the topic of facts has what the journals took."""
    again = points(place, "replay", "--from-topic", "--json", environment=grown.environment)
    assert again.returncode == 0 and '"difference_count":0' in again.stdout, again.stdout + again.stderr
    outcomes = grown.everything(grown.outcomes)
    with closing(open_ledger(place)) as ledger:
        for partition in ledger.partitions:
            told = [json.loads(record.value) for record in outcomes[partition]]
            own = ledger.journal(partition).scan(ledger.branch(partition).entries)
            assert {one["place"]: one["link"] for one in told} == {row.sequence: row.link.hex() for row in own}


def test_it_is_split_at_the_end_of_its_topic_and_what_is_sent_late_to_an_old_partition_is_kept(
    broker: Broker, tmp_path: Path
) -> None:
    topics, place = Topics(broker, BORN).make(), tmp_path / "ledger"
    topics.send([*FACTS[:90], b"{"])
    consume(topics, place)
    topics.send(FACTS[90:HALF])
    refused = points(place, *SPLIT, environment=topics.environment)
    assert refused.returncode == 4 and "let `points consume` decide what is there" in refused.stderr
    consume(topics, place)
    assert is_killed(place, topics, "split-switched")
    refused = points(place, "consume", "--until-end", environment=topics.environment)
    assert refused.returncode == 2 and "`points split` gives them to the ledger" in refused.stderr
    assert is_killed(place, topics, f"split-reopened:{BORN * TIMES}")
    assert partitions_of(topics) == {BORN}
    ran = points(place, *SPLIT, environment=topics.environment)
    assert ran.returncode == 0 and json.loads(ran.stdout)["went_on"], ran.stderr
    assert partitions_of(topics) == {BORN * TIMES}

    grown = replace(topics, partitions=BORN * TIMES)
    with closing(open_ledger(place)) as ledger:
        late = next(fact for fact in FACTS[HALF:] if ledger.partition_of(fact["subject"]) >= BORN)
    topics.send([late])  # by whoever knows of the old partitions alone
    grown.send(FACTS[HALF:])
    told = consume(grown, place)
    assert (told["parked"], told["entries"]) == (1, len(FACTS) - HALF)
    is_whole(place)
    with closing(open_ledger(place)) as ledger:
        letters = [letter for p in ledger.partitions for letter in ledger.journal(p).parked()]
        (letter,) = (letter for letter in letters if letter.reason == "wrong-partition")
        assert letter.raw == encode(late)
        assert all(ledger.journal(p).head().entries > ledger.branch(p).entries for p in ledger.partitions)
    outcomes_and_topic_are_whole(grown, place)


@pytest.mark.parametrize("is_shared", [False, True])
def test_where_the_topic_grew_first_what_stands_in_the_ledgers_partitions_is_decided_before_the_split(
    broker: Broker, request: pytest.FixtureRequest, tmp_path: Path, is_shared: bool
) -> None:
    topics, place = Topics(broker, BORN).make(), tmp_path / "ledger"
    if is_shared:
        place = request.getfixturevalue("postgres")
        migrate(place, partitions=BORN, topic=topics.facts)
    environment = in_own_group(topics)
    topics.send(FACTS[:90])
    consume(topics, place)
    topics.send(FACTS[90:HALF])
    grown = grow(topics, BORN * TIMES)
    grown.send(FACTS[HALF:])
    ran = points(place, "consume", "--until-end", "--jobs", "2", environment=environment)
    assert ran.returncode == 2 and f"`points split --times {TIMES}` gives the ledger the others" in ran.stderr
    ran = points(place, "split", "--times", "2", environment=topics.environment)
    assert ran.returncode == 2 and f"has {BORN * TIMES} partitions already" in ran.stderr
    ran = points(place, *SPLIT, environment=topics.environment)
    assert ran.returncode == 0, ran.stderr
    assert consume(grown, place)["parked"] == 0
    with closing(open_ledger(place)) as ledger:
        assert ledger.count() == len(FACTS)
    is_whole(place)
    outcomes_and_topic_are_whole(grown, place)


def test_consumers_go_on_by_themselves_whatever_of_them_and_of_the_split_is_killed(
    broker: Broker, postgres: str, tmp_path: Path
) -> None:
    topics, at = Topics(broker, BORN).make(), f"127.0.0.1:{free_port()}"
    migrate(postgres, partitions=BORN, topic=topics.facts)
    group = in_own_group(topics)
    lasts = start(postgres, "consume", "--jobs", "2", "--health", at, environment=group, log=tmp_path / "lasts.log")
    dies = start(postgres, "consume", environment=group, log=tmp_path / "dies.log")

    def count() -> int:
        with closing(open_ledger(postgres)) as ledger:
            return ledger.count()

    try:
        topics.send(FACTS[:HALF])
        until(lambda: decided(postgres) == HALF, lasts)
        assert is_killed(postgres, topics, "split-closed:2")
        os.killpg(dies.pid, signal.SIGKILL)
        assert is_killed(postgres, topics, "split-switched")
        until(lambda: "kafka" in troubles(at), lasts)  # it waits for the topics
        ran = points(postgres, *SPLIT, environment=topics.environment)
        assert ran.returncode == 0 and json.loads(ran.stdout)["went_on"], ran.stderr
        grown = replace(topics, partitions=BORN * TIMES)
        grown.send(FACTS[HALF:])
        until(lambda: count() == len(FACTS), lasts)
        until(lambda: troubles(at) == {}, lasts)
        lasts.terminate()
        lasts.communicate(timeout=100)
        assert lasts.returncode == 0, (tmp_path / "lasts.log").read_text()
    finally:
        for run in (lasts, dies):
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
            run.communicate(timeout=100)
    is_whole(postgres)
    outcomes_and_topic_are_whole(grown, postgres)
