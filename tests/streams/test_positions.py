"""Positions that mean another stream, on a real Kafka with both clients and in both inboxes: never passed over."""

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from confluent_kafka import Producer
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from consumers.kafka.appending import TopicAppender
from consumers.kafka.clients import client_of, open_admin, topic_ids
from consumers.kafka.consume import Consumer, Plan
from consumers.kafka.holes import Log
from consumers.kafka.kafka_python import Admin
from consumers.kafka.port import Hole, StreamBroken
from consumers.kafka.settings import Client, KafkaSettings
from consumers.kafka.settings import Topics as TopicNames
from consumers.local.open import open_inbox
from consumers.runtime.ingest import CannotDecide, decide_all
from consumers.runtime.outcomes import outcome_at
from ledger.journal.ledger import Settings
from ledger.journal.open import open_ledger, open_or_create
from ledger.wire.answers import Decision
from ledger.wire.entry_codec import decode_entry
from ledger.wire.fact_codec import decode
from ledger.wire.times import DAY, SECOND
from tests.support.brokers import Broker
from tests.support.histories import LONG_AGO, encode
from tests.support.kafka_shop import Ran, Topics, consume, contents, decided, points, start, until
from tests.support.ledgers import histories_of, write_facts

CLIENTS = ("kafka-python", "confluent-kafka")
FACTS: list[Any] = histories_of(Random(5), members=4, length=40, start=LONG_AGO)


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("POINTS_KAFKA_CLIENT", request.param)
    return str(request.param)


@pytest.fixture
def topics(broker: Broker) -> Topics:
    return Topics(broker, 1).make()


def again(topics: Topics, place: Path, *options: str) -> Ran:
    """`points consume --until-end` once more."""
    return points(place, "consume", "--until-end", "--json", *options, environment=topics.environment)


def admin_of(topics: Topics) -> KafkaAdminClient:
    return KafkaAdminClient(bootstrap_servers=topics.broker.address)


def delete_up_to(topics: Topics, offset: int) -> None:
    """Take away the beginning of the facts, as retention does."""
    admin = admin_of(topics)
    admin.delete_records({TopicPartition(topics.facts, 0): offset})
    admin.close()


def make_anew(topics: Topics) -> None:
    """Delete the topic of the facts and make it again under the same name."""
    from kafka.errors import TopicAlreadyExistsError

    admin = admin_of(topics)
    admin.delete_topics([topics.facts])
    admin.close()

    def is_made() -> bool:
        try:
            topics.make(topics.facts)
        except TopicAlreadyExistsError:  # its deletion takes a moment
            return False
        return True

    until(is_made)


def send_in_transactions(topics: Topics, facts: Sequence[Any], *, per: int, aborting: int = 0) -> None:
    """Append facts in transactions of `per`, and behind each one of `aborting` facts that is aborted."""
    producer = Producer({"bootstrap.servers": topics.broker.address, "transactional.id": topics.facts})
    producer.init_transactions(30)
    for at in range(0, len(facts), per):
        for some, ends in (
            (facts[at : at + per], producer.commit_transaction),
            (facts[:aborting], producer.abort_transaction),
        ):
            if some:
                producer.begin_transaction()
                for fact in some:
                    value = encode(fact)
                    producer.produce(topics.facts, value, decode(value)[0].subject.encode(), 0)
                producer.flush(30)
                ends(30)


# -- another stream under the same name --------------------------------------------------------------------------------


@pytest.fixture(params=["by its id", "by its record"])
def known(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a topic is known again: some clusters give no ids."""
    if request.param == "by its record":
        monkeypatch.setattr(Log, "topic_id", lambda *_: "")
    return str(request.param)


@pytest.mark.parametrize("more", [0, 60])
def test_a_topic_made_anew_and_filled_up_to_the_position_or_beyond_is_refused(
    topics: Topics, client: str, known: str, more: int, tmp_path: Path
) -> None:
    topics.send(FACTS[:40])
    consume(topics, tmp_path / "ledger")
    before = contents(tmp_path / "ledger")
    make_anew(topics)
    topics.send(FACTS[50 : 90 + more])
    for _ in range(2):  # a restart hides nothing
        refused = again(topics, tmp_path / "ledger")
        assert refused.returncode == 4, refused.stderr
        assert "made anew" in refused.stderr
        assert "let its log begin behind what is decided" in refused.stderr
    assert contents(tmp_path / "ledger") == before


def test_another_stream_is_gone_on_with_once_its_log_begins_behind_what_is_decided(
    topics: Topics, client: str, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    topics.send(FACTS[:40])
    consume(topics, ledger)
    make_anew(topics)
    topics.send(FACTS[40:60])  # acknowledged, and refused: they stand where others did
    refused = again(topics, ledger)
    assert refused.returncode == 4, refused.stderr
    topics.send([b"-"] * 25)  # as docs/kafka.md says: up to the position and beyond,
    delete_up_to(topics, 45)  # what stands there taken away,
    topics.send(FACTS[40:60])  # and sent again what was not decided
    found = refused.stderr.split("--accept-topic ")[1].split()[0]
    accepting = ("--accept-topic", found, "--reason", "made anew", "--accept-gap", "0:40-44")
    assert again(topics, ledger, *accepting).returncode == 0
    assert again(topics, ledger).returncode == 0
    facts = [fact for fact in FACTS[:60] if isinstance(fact, dict)]
    journal = contents(ledger)
    assert len(journal["entries 0"]) == len(facts)
    assert [letter.reason for letter in journal["parked 0"]][-1] == "gap"
    assert json.loads(points(ledger, "verify", "--json").stdout)["broken"] == []


def test_the_last_record_is_a_dead_letter_and_still_tells_another_stream(
    topics: Topics, client: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Log, "topic_id", lambda *_: "")
    topics.send([*FACTS[:10], b"no fact"])
    consume(topics, tmp_path / "ledger")
    assert again(topics, tmp_path / "ledger").returncode == 0
    make_anew(topics)
    topics.send([*FACTS[:10], b"another", *FACTS[10:20]])
    refused = again(topics, tmp_path / "ledger")
    assert refused.returncode == 4, refused.stderr
    assert "is another than the one that" in refused.stderr


def test_a_running_consumer_that_meets_another_topic_ends_and_so_does_its_restart(
    topics: Topics, client: str, tmp_path: Path
) -> None:
    topics.send(FACTS[:40])
    consume(topics, tmp_path / "ledger")
    run = start(tmp_path / "ledger", "consume", environment=topics.environment)
    try:
        until(lambda: '"owned"' in (run.stderr.readline() if run.stderr else ""), run)
        before = contents(tmp_path / "ledger")
        make_anew(topics)
        topics.send(FACTS[40:140])
        error = run.communicate(timeout=100)[1]
    finally:
        run.kill()
    assert run.returncode == 4, error
    for _ in range(2):
        refused = again(topics, tmp_path / "ledger")
        assert refused.returncode == 4, refused.stderr
        assert "was made anew" in refused.stderr
    assert contents(tmp_path / "ledger") == before


def test_what_was_waited_for_is_looked_at_though_the_topic_was_just_looked_at(
    topics: Topics, client: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("consumers.kafka.consume.TOPIC_SECONDS", DAY / SECOND)
    names = TopicNames(topics.facts)
    settings = KafkaSettings(topics.broker.address, cast("Client", client), topics=names, takes_backlog=True)
    log = Log(partial(open_admin, settings), topics.facts, topic_ids(settings))
    with (
        closing(open_or_create(tmp_path / "ledger", None, Settings(1))) as ledger,
        closing(TopicAppender(settings, topics.facts)) as topic,
        closing(
            Consumer(
                ledger,
                client_of(settings).Reader(settings, topics.facts),
                log,
                partial(client_of(settings).Writer, settings),
                topic.append,
                Plan(partitions=(0,)),
                lambda _: None,
            )
        ) as consumer,
    ):
        consumer.begin()
        topics.send(FACTS[:40])
        until(lambda: consumer.turn(0.0) and ledger.journal(0).head().offset == 39)
        make_anew(topics)
        topics.send(FACTS[40:140])
        with pytest.raises(StreamBroken, match="was made anew"):
            until(lambda: consumer.turn(0.5))
        assert ledger.journal(0).head().offset == 39


def test_a_restored_topic_is_gone_on_with_once_an_operator_says_so(topics: Topics, client: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    topics.send(FACTS[:20])
    consume(topics, ledger)
    make_anew(topics)
    topics.send(FACTS[:40])
    refused = again(topics, ledger)
    assert refused.returncode == 4, refused.stderr
    found = refused.stderr.split("--accept-topic ")[1].split()[0]
    other = again(topics, ledger, "--accept-topic", "x" * 22, "--reason", "restored")
    assert other.returncode == 4, other.stderr
    assert again(topics, ledger, "--accept-topic", found).returncode == 2  # without a reason
    assert again(topics, ledger, "--accept-topic", found, "--reason", "restored").returncode == 0
    assert again(topics, ledger).returncode == 0
    assert decided(ledger) == 40
    assert json.loads(points(ledger, "verify", "--json").stdout)["broken"] == []
    line = json.loads((ledger / "operators.ndjson").read_text().splitlines()[-1])
    assert (line["action"], line["about"], line["why"]) == ("accept-topic", found, "restored")


# -- records that are gone ---------------------------------------------------------------------------------------------


def test_a_log_that_begins_later_is_an_error_until_an_operator_accepts_the_gap(
    topics: Topics, client: str, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    topics.send(FACTS[:30])
    delete_up_to(topics, 10)
    refused = again(topics, ledger)
    assert refused.returncode == 4, refused.stderr
    assert "positions 0:0 to 0:9 (10) have no records" in refused.stderr
    assert "points consume --accept-gap 0:0-9 --reason" in refused.stderr
    assert decided(ledger) == 0
    accepting = ("--accept-gap", "0:0-9", "--reason", "incident 81", "--by", "li.wei")
    wrong = again(topics, ledger, "--accept-gap", "0:0-8", "--reason", "a guess")
    assert wrong.returncode == 4
    assert "what is missing behind what was decided is 0:0-9" in wrong.stderr
    assert again(topics, ledger, *accepting).returncode == 0
    assert again(topics, ledger, *accepting).returncode == 0  # the same again changes nothing
    opened = open_ledger(ledger)
    journal = opened.journal(0)
    assert (journal.head().entries, journal.head().offset) == (20, 29)
    (letter,) = journal.parked(retried=True)
    assert (letter.offset, letter.reason) == (9, "gap")
    assert "li.wei" in letter.detail
    assert "incident 81" in letter.detail
    opened.close()
    lines = [json.loads(line) for line in (ledger / "operators.ndjson").read_text().splitlines()]
    accepted = [line for line in lines if line["by"] == "li.wei"]
    assert accepted[0]["action"] == "accept-gap"
    assert accepted[0]["about"] == "0:0-9"
    assert accepted[0]["why"] == "incident 81"
    found = json.loads(points(ledger, "verify", "--json").stdout)
    assert found["broken"] == []
    assert [(gap["partition"], gap["first"], gap["last"], gap["by"], gap["why"]) for gap in found["gaps"]] == [
        (0, 0, 9, "li.wei", "incident 81")
    ]
    assert points(ledger, "replay", "--from-topic", environment=topics.environment).returncode == 0
    assert "gap" in points(ledger, "dead-letters", "list").stdout
    for command in ("retry", "drop"):
        refused = points(ledger, "dead-letters", command, "0:9", environment=topics.environment)
        assert refused.returncode == 3, command
        assert "stays for auditors" in refused.stderr


def test_records_deleted_behind_the_position_are_named_and_those_before_it_are_not_missed(
    topics: Topics, client: str, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    topics.send(FACTS[:20])
    consume(topics, ledger)
    delete_up_to(topics, 15)
    assert again(topics, ledger).returncode == 0
    delete_up_to(topics, 20)
    assert again(topics, ledger).returncode == 0  # the log is empty, and nothing is missing
    topics.send(FACTS[20:40])
    delete_up_to(topics, 25)
    refused = again(topics, ledger)
    assert refused.returncode == 4, refused.stderr
    assert "--accept-gap 0:20-24 " in refused.stderr
    assert again(topics, ledger, "--accept-gap", "0:20-24", "--reason", "lost").returncode == 0
    assert decided(ledger) == 36


def test_nothing_is_accepted_where_nothing_is_missing(topics: Topics, client: str, tmp_path: Path) -> None:
    topics.send(FACTS[:20])
    consume(topics, tmp_path / "ledger")
    topics.send(FACTS[20:40])
    refused = again(topics, tmp_path / "ledger", "--accept-gap", "0:20-24", "--reason", "to be rid of them")
    assert refused.returncode == 4, refused.stderr
    assert "nothing is missing there" in refused.stderr
    beyond = again(topics, tmp_path / "ledger", "--accept-gap", "0:40-49", "--reason", "to be rid of what will come")
    assert beyond.returncode == 4, beyond.stderr
    assert decided(tmp_path / "ledger") == 20
    assert again(topics, tmp_path / "ledger", "--accept-gap", "0:20-24").returncode == 2  # without a reason
    assert again(topics, tmp_path / "ledger", "--accept-gap", "20-24", "--reason", "x").returncode == 2


# -- holes -------------------------------------------------------------------------------------------------------------


def test_markers_and_aborted_transactions_leave_holes_that_are_as_they_should_be(
    topics: Topics, client: str, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    send_in_transactions(topics, FACTS[:30], per=7, aborting=5)
    assert consume(topics, ledger)["facts"] == 30
    send_in_transactions(topics, FACTS[30:60], per=1)
    assert consume(topics, ledger)["facts"] == 30
    assert decided(ledger) == 60
    opened = open_ledger(ledger)
    for row in opened.journal(0).scan():
        fate = outcome_at(opened, 0, decode_entry(row.state).offset)
        assert isinstance(fate, Decision) and fate.number == row.number
    assert outcome_at(opened, 0, opened.journal(0).head().offset + 1) is None  # a marker, or nothing yet
    opened.close()


def test_a_hole_in_the_middle_is_named_and_told_from_a_marker(compacted: Topics, client: str, tmp_path: Path) -> None:
    ledger, topics = tmp_path / "ledger", compacted
    set_config(topics, "cleanup.policy", "compact")
    refused = again(topics, ledger)
    assert refused.returncode == 4, refused.stderr
    assert "cleanup.policy=compact" in refused.stderr
    assert points(ledger, "topics", "check", environment=topics.environment).returncode == 1
    set_config(topics, "cleanup.policy", "delete")
    refused = again(topics, ledger)
    assert refused.returncode == 4, refused.stderr
    assert "have no records in the topic" in refused.stderr
    asked = refused.stderr.split("--accept-gap ")[1].split()[0]
    first, last = (int(number) for number in asked.removeprefix("0:").split("-"))
    assert decided(ledger) == first  # what stands before it was decided
    with_admin = Log(lambda: Admin(KafkaSettings(bootstrap_servers=topics.broker.address)), topics.facts)
    assert with_admin.missing(0, Hole(first, last)) == Hole(first, last)
    with_admin.close()
    ran = again(topics, ledger, "--accept-gap", asked, "--reason", "compacted by mistake")
    assert ran.returncode == 0 or "--accept-gap 0:" in ran.stderr  # there may be another one
    assert asked not in ran.stderr
    opened = open_ledger(ledger)
    assert opened.journal(0).head().offset > last
    opened.close()


def set_config(topics: Topics, name: str, value: str) -> None:
    admin = admin_of(topics)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topics.facts, configs={name: value})])
    admin.close()
    with closing(Admin(KafkaSettings(bootstrap_servers=topics.broker.address))) as asked:

        def is_told() -> bool:
            """The broker has it some time after it was acknowledged."""
            found = asked.topic(topics.facts)
            return found is not None and found.configs.get(name) == value

        until(is_told)


@pytest.fixture(scope="module")
def compacted(broker: Broker) -> Topics:
    """Topics whose facts the broker has compacted, so that records are missing."""
    topics = Topics(broker, 1).make()
    for name, value in (("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.01"), ("cleanup.policy", "compact")):
        set_config(topics, name, value)

    def is_compacted() -> bool:
        topics.send(FACTS[:20])
        found = topics.everything(topics.facts)[0]
        return len(found) < found[-1].offset + 1

    until(is_compacted)
    set_config(topics, "cleanup.policy", "delete")
    return topics


# -- inboxes -----------------------------------------------------------------------------------------------------------


def ingest(place: Path, facts: Sequence[Any], name: str) -> Ran:
    file = place.parent / f"{name}.ndjson"
    write_facts(file, facts)
    return points(place, "ingest", "--jobs", "1", str(file))


def test_another_ledgers_longer_inbox_is_refused(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    assert ingest(ours, FACTS[:40], "first").returncode == 0
    assert ingest(other, FACTS[30:140], "others").returncode == 0
    before = contents(ours)
    for suffix in ("", "-wal", "-shm"):
        (ours / f"inbox.db{suffix}").unlink(missing_ok=True)
    shutil.copy(other / "inbox.db", ours / "inbox.db")
    for _ in range(2):
        refused = ingest(ours, FACTS[40:50], "second")
        assert refused.returncode == 4, refused.stderr
        assert "inbox" in refused.stderr
        assert "Put the newest copy of the inbox back" in refused.stderr
    assert contents(ours) == before


def test_an_older_copy_of_the_inbox_that_was_fed_further_is_refused(tmp_path: Path) -> None:
    ours, copy = tmp_path / "ours", tmp_path / "copy"
    assert ingest(ours, FACTS[:20], "first").returncode == 0
    shutil.copytree(ours, copy)
    assert ingest(ours, FACTS[20:40], "second").returncode == 0
    assert ingest(copy, FACTS[60:140], "third").returncode == 0
    for suffix in ("", "-wal", "-shm"):
        (ours / f"inbox.db{suffix}").unlink(missing_ok=True)
    shutil.copy(copy / "inbox.db", ours / "inbox.db")
    assert ingest(ours, FACTS[40:50], "fourth").returncode == 4


def test_another_inbox_that_has_the_last_record_at_its_place_is_told_by_its_id(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    assert ingest(ours, FACTS[:40], "first").returncode == 0
    assert ingest(other, FACTS[:140], "others").returncode == 0
    before = contents(ours)
    for suffix in ("", "-wal", "-shm"):
        (ours / f"inbox.db{suffix}").unlink(missing_ok=True)
    shutil.copy(other / "inbox.db", ours / "inbox.db")
    refused = ingest(ours, FACTS[40:50], "second")
    assert refused.returncode == 4, refused.stderr
    assert "fed from the one with" in refused.stderr
    assert "Put the newest copy of the inbox back" in refused.stderr
    with closing(open_ledger(ours)) as ledger, pytest.raises(CannotDecide, match="fed from the one with"):
        decide_all(ledger)
    assert contents(ours) == before
    audited = points(ours, "replay", "--from-topic")
    assert audited.returncode == 3
    assert "fed from the inbox with" in audited.stderr


def test_an_inbox_of_before_there_were_ids_gets_one_and_keeps_it(tmp_path: Path) -> None:
    place = tmp_path / "ledger"
    assert ingest(place, FACTS[:20], "first").returncode == 0
    with closing(open_ledger(place)) as ledger:
        for partition in ledger.partitions:
            seal = ledger.journal(partition).state()._replace(stream="").made_seal()
            with closing(sqlite3.connect(place / f"partition-{partition}.db")) as database, database:
                database.execute("UPDATE shard SET stream = '', seal = ?", (seal,))
    with closing(sqlite3.connect(place / "inbox.db")) as database:
        database.execute("PRAGMA application_id = 0")
    assert ingest(place, FACTS[20:40], "second").returncode == 0
    with closing(open_ledger(place)) as ledger, closing(open_inbox(ledger)) as inbox:
        known = inbox.id
        assert len(known) == 8
        assert {ledger.journal(partition).state().stream for partition in ledger.partitions} <= {known, ""}
    assert ingest(place, FACTS[40:60], "third").returncode == 0
    assert points(place, "verify").returncode == 0
