"""A ledger that Kafka feeds is split: its topics are given as many partitions, and its positions stay unique."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

from kafka.admin import KafkaAdminClient

from ledger.journal.open import open_ledger
from tests.support.brokers import Broker
from tests.support.histories import LONG_AGO, encode
from tests.support.kafka_shop import Topics, consume, is_whole, points, until
from tests.support.ledgers import histories_of

BORN, TIMES = 2, 3


def give_partitions(topics: Topics, partitions: int) -> Topics:
    """The same topics with more partitions, which their broker knows of."""
    admin = KafkaAdminClient(bootstrap_servers=topics.broker.address)
    names = (topics.facts, topics.outcomes, topics.dead_letters)
    try:
        admin.create_partitions(dict.fromkeys(names, partitions))
        until(lambda: all(len(one["partitions"]) == partitions for one in admin.describe_topics(list(names))))
    finally:
        admin.close()
    return replace(topics, partitions=partitions)


def test_a_ledger_and_its_topics_grow_and_what_is_sent_late_to_an_old_partition_is_kept(
    broker: Broker, tmp_path: Path
) -> None:
    topics, place = Topics(broker, BORN).make(), tmp_path / "ledger"
    facts = histories_of(Random(4), members=15, length=16, start=LONG_AGO)
    topics.send([*facts[:90], b"{", *facts[90:120]])
    consume(topics, place)
    ran = points(place, "split", "--times", str(TIMES), "--json")
    assert ran.returncode == 0 and f"give the topics {BORN * TIMES} partitions" in ran.stderr
    refused = points(place, "consume", "--until-end", environment=topics.environment)
    assert refused.returncode == 2 and "`points split` gives them to the ledger" in refused.stderr

    grown = give_partitions(topics, BORN * TIMES)
    with closing(open_ledger(place)) as ledger:
        late = next(fact for fact in facts[120:] if ledger.partition_of(fact["subject"]) >= BORN)
    topics.send([late])  # by whoever knows of the old partitions alone
    grown.send(facts[120:])
    told = consume(grown, place)
    assert (told["parked"], told["entries"]) == (1, len(facts) - 120)
    is_whole(place)
    with closing(open_ledger(place)) as ledger:
        letters = [letter for p in ledger.partitions for letter in ledger.journal(p).parked()]
        (letter,) = (letter for letter in letters if letter.reason == "wrong-partition")
        assert letter.raw == encode(late)
        assert all(ledger.journal(p).head().entries > ledger.branch(p).entries for p in ledger.partitions)
    again = points(place, "replay", "--from-topic", "--json", environment=grown.environment)
    assert again.returncode == 0 and '"difference_count":0' in again.stdout, again.stdout + again.stderr
    outcomes = grown.everything(grown.outcomes)
    with closing(open_ledger(place)) as ledger:
        for partition in ledger.partitions:
            told = [json.loads(record.value) for record in outcomes[partition]]
            own = ledger.journal(partition).scan(ledger.branch(partition).entries)
            assert {one["place"]: one["link"] for one in told} == {row.sequence: row.link.hex() for row in own}
