"""`points consume` against a real Kafka: what it decides, what it refuses, how it ends, what flows out of it."""

import json
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from random import Random

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.formats.json import JSONFormat

from ledger.journal.open import open_ledger
from ledger.rulebook.schema import shipped
from ledger.wire.entry_codec import decode_entry
from ledger.wire.times import DAY
from service.commands import programme
from tests.support.brokers import Broker
from tests.support.histories import LONG_AGO, encode
from tests.support.kafka_shop import (
    PARTITIONS,
    ROOT,
    Topics,
    accounts,
    consume,
    contents,
    decided,
    is_whole,
    outcomes_are_whole,
    points,
    points_in_a_process,
    start,
    until,
)
from tests.support.ledgers import histories_of, ingested, scratch, write_facts
from tests.support.ports import free_port

POISON = [b"{", b"\xff", b'{"subject":"m-1"}', b"x" * 70_000]


@pytest.fixture(scope="module")
def facts() -> list:
    """Facts of several members, some of them no facts."""
    lines: list = histories_of(Random(11), members=30, length=40, start=LONG_AGO)
    for at in range(0, len(lines), 300):
        lines[at:at] = POISON
    return lines


@pytest.fixture(scope="module")
def topics(broker: Broker, facts: list) -> Topics:
    made = Topics(broker).make()
    made.send(facts)
    return made


@pytest.fixture(scope="module")
def fed(topics: Topics) -> Iterator[Path]:
    """A ledger that took all of it, and published it."""
    with scratch() as folder:
        consume(topics, folder / "ledger")
        yield folder / "ledger"


def test_it_makes_the_ledger_and_decides_as_ingest_does(topics: Topics, facts: list, tmp_path: Path) -> None:
    mine = topics.with_own_outlets()
    told = consume(mine, tmp_path / "kafka")
    assert told["facts"] == len(facts)
    assert told["parked"] == sum(isinstance(fact, bytes) for fact in facts)
    assert told["entries"] == told["accepted"] + told["refused"] + told["ignored"] == len(facts) - told["parked"]
    ledger = open_ledger(tmp_path / "kafka")
    assert (ledger.settings.partitions, ledger.settings.stream, ledger.settings.topic) == (
        PARTITIONS,
        "kafka",
        topics.facts,
    )
    by_ingest = ingested(tmp_path, facts)
    as_of = max(each.journal(p).head().recorded for each in (ledger, by_ingest) for p in each.partitions) + DAY
    assert accounts(ledger, as_of) == accounts(by_ingest, as_of)
    ledger.close()
    by_ingest.close()
    is_whole(tmp_path / "kafka")
    again = consume(mine, tmp_path / "kafka")
    assert (again["facts"], again["entries"], again["parked"]) == (0, 0, 0)


def test_several_processes_make_the_same_ledger_as_one(topics: Topics, fed: Path, tmp_path: Path) -> None:
    mine = topics.with_own_outlets()
    options = ("consume", "--until-end", "--jobs", "2")
    run = points_in_a_process(tmp_path / "ledger", *options, environment=mine.environment)
    assert run.returncode == 0, run.stderr
    assert contents(tmp_path / "ledger") == contents(fed)
    outcomes_are_whole(mine, tmp_path / "ledger")


def test_any_size_of_batch_makes_the_same_ledger(topics: Topics, fed: Path, tmp_path: Path) -> None:
    consume(topics, tmp_path / "ledger", "--batch", "7", "--no-publish")
    assert contents(tmp_path / "ledger") == contents(fed)


def test_every_entry_and_every_dead_letter_flows_out(topics: Topics, fed: Path, facts: list) -> None:
    outcomes_are_whole(topics, fed)
    told = [json.loads(r.value) for records in topics.everything(topics.outcomes) for r in records]
    assert len(told) == sum(isinstance(fact, dict) for fact in facts)
    assert {"accepted", "refused", "ignored"} == {outcome["outcome"] for outcome in told}
    letters = [json.loads(r.value) for records in topics.everything(topics.dead_letters) for r in records]
    listed = json.loads(points(fed, "dead-letters", "list", "--json").stdout)
    assert sorted(letters, key=lambda letter: letter["position"]) == sorted(listed, key=lambda one: one["position"])
    assert {letter["reason"] for letter in letters} == {"not-json", "not-utf8", "bad-fact"}


def test_what_flows_out_has_the_headers_of_cloudevents_where_that_is_set(
    topics: Topics, fed: Path, tmp_path: Path
) -> None:
    mine = topics.with_own_outlets()
    environment = mine.environment | {"POINTS_KAFKA_CLOUDEVENTS_HEADERS": "true"}
    assert points(tmp_path / "ledger", "consume", "--until-end", environment=environment).returncode == 0
    outcomes_are_whole(mine, tmp_path / "ledger")  # the values are what they always were
    published = [record for records in mine.everything(mine.outcomes) for record in records]
    events = [from_kafka(KafkaMessage(dict(r.headers), r.key, r.value), JSONFormat()) for r in published]
    assert len({(event.get_source(), event.get_id()) for event in events}) == len(events)
    for record, event in zip(published, events, strict=True):
        told = event.get_data()
        assert event.get_type() == "points.fact.decided.v1" and event.get_subject() == told["member"]
        assert event.get_time() == datetime.fromisoformat(told["recorded"])
        assert event.get_extension("outcome") == told["outcome"] and event.get_data() == json.loads(record.value)
    letter = mine.everything(mine.dead_letters)[0][0]
    event = from_kafka(KafkaMessage(dict(letter.headers), letter.key, letter.value), JSONFormat())
    assert event.get_type() == "points.record.dead-lettered.v1"
    assert event.get_extension("reason") == event.get_data()["reason"]


def test_the_example_keeps_its_own_copy_of_the_balances(topics: Topics, fed: Path, tmp_path: Path) -> None:
    program = ROOT / "examples" / "balances_from_outcomes.py"
    run = [sys.executable, str(program), topics.broker.address, str(tmp_path / "copy.db"), "--until-end"]
    for _ in range(2):  # the second time from where it stands
        subprocess.run([*run, "--topic", topics.outcomes], check=True, timeout=60)
    copied = dict(sqlite3.connect(tmp_path / "copy.db").execute("SELECT member, spendable FROM balances"))
    ledger = open_ledger(fed)
    rows = [row for partition in ledger.partitions for row in ledger.journal(partition).scan()]
    for member, clock in {row.member: decode_entry(row.state).clock for row in rows}.items():
        account = ledger.account(member, clock)
        assert account is not None
        assert copied.get(member, 0) == account.purse("beans").spendable(), member
    assert sum(copied.values()) > 0
    ledger.close()


# -- what it refuses -------------------------------------------------------------------------------------------------


def test_a_ledger_has_one_stream_for_life(topics: Topics, fed: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    assert points(own, "ingest", "--jobs", "1", str(ROOT / "examples" / "facts.ndjson")).returncode == 0
    refused = points(own, "consume", "--until-end", environment=topics.environment)
    assert refused.returncode == 2
    assert "takes its facts from its own inbox, for life" in refused.stderr
    for command in (["ingest", str(ROOT / "examples" / "facts.ndjson")], ["demo"]):
        refused = points(fed, *command)
        assert refused.returncode == 2, refused.stderr
        assert f"takes its facts from the Kafka topic {topics.facts}, for life" in refused.stderr
        assert "points produce" in refused.stderr
    other = Topics(topics.broker).make()
    refused = points(fed, "consume", "--until-end", environment=other.environment)
    assert refused.returncode == 2
    assert f"takes its facts from the topic {topics.facts}, for life, and the settings name" in refused.stderr


def test_a_topic_of_another_number_of_partitions_is_refused(topics: Topics, fed: Path) -> None:
    from kafka.admin import KafkaAdminClient, NewPartitions

    grown = Topics(topics.broker).make()
    with scratch() as folder:
        consume(grown, folder / "ledger")
        admin = KafkaAdminClient(bootstrap_servers=topics.broker.address)
        admin.create_partitions({grown.facts: NewPartitions(total_count=PARTITIONS + 1)})
        admin.close()
        before = contents(folder / "ledger")
        refused = points(folder / "ledger", "consume", "--until-end", environment=grown.environment)
        assert refused.returncode == 2
        assert f"has {PARTITIONS} partitions, and the topic" in refused.stderr
        assert f"has {PARTITIONS + 1}" in refused.stderr
        assert contents(folder / "ledger") == before


def test_a_topic_that_was_made_anew_is_refused(broker: Broker, facts: list, tmp_path: Path) -> None:
    from kafka.admin import KafkaAdminClient

    topics = Topics(broker).make()
    topics.send(facts[:200])
    consume(topics, tmp_path / "ledger")
    before = contents(tmp_path / "ledger")
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.delete_topics([topics.facts])
    admin.close()
    until(lambda: _made(topics))
    topics.send(facts[:20])
    refused = points(tmp_path / "ledger", "consume", "--until-end", environment=topics.environment)
    assert refused.returncode == 4, refused.stderr
    assert "was made anew: its id is" in refused.stderr
    assert contents(tmp_path / "ledger") == before


def _made(topics: Topics) -> bool:
    from kafka.errors import TopicAlreadyExistsError

    try:
        topics.make(topics.facts)
    except TopicAlreadyExistsError:  # its deletion takes a moment
        return False
    return True


def test_without_a_topic_it_says_how_to_make_one(broker: Broker, tmp_path: Path) -> None:
    refused = points(tmp_path / "ledger", "consume", "--until-end", environment=Topics(broker).environment)
    assert refused.returncode == 4
    assert "points topics create" in refused.stderr
    assert not (tmp_path / "ledger").exists()


# -- a service -------------------------------------------------------------------------------------------------------


def test_it_goes_on_until_it_is_told_to_stop_and_leaves_nothing_behind(
    broker: Broker, facts: list, tmp_path: Path
) -> None:
    topics = Topics(broker).make()
    run = start(tmp_path / "ledger", "consume", "--json", environment=topics.environment)
    for part in (facts[:100], facts[100:400]):
        topics.send(part)
        wanted = sum(len(records) for records in topics.everything(topics.facts))
        until(lambda wanted=wanted: decided(tmp_path / "ledger") == wanted, run)
    run.send_signal(signal.SIGTERM)
    said, log = run.communicate(timeout=100)
    assert run.returncode == 0, log
    assert json.loads(said)["facts"] == 400
    lines = [json.loads(line) for line in log.splitlines() if not line.startswith(("points: dead letter", "points: …"))]
    named = [line for line in lines if line["event"] == "dead-lettered"]
    assert {line["reason"] for line in named} == {"not-json", "not-utf8", "bad-fact"}
    late = [line for line in lines if line.get("stage") == "kafka"]  # a broker of a busy machine, which then answered
    assert [line["event"] for line in late] == (["trouble", "recovered"] * len(late))[: len(late)], log
    others = [line["event"] for line in lines if line["event"] != "dead-lettered" and line not in late]
    assert others == ["started", *["owned"] * PARTITIONS, "stopped"], log
    outcomes_are_whole(topics, tmp_path / "ledger")
    is_whole(tmp_path / "ledger")


def test_metrics_say_what_was_decided(topics: Topics, facts: list, tmp_path: Path) -> None:
    port, other = free_port(), free_port()
    asked = ["--metrics", f"127.0.0.1:{port}", "--health", f"127.0.0.1:{other}"]
    options = ["consume", "--jobs", "2", *asked, "--no-publish"]
    run = start(tmp_path / "ledger", *options, environment=topics.environment)
    until(lambda: decided(tmp_path / "ledger") == len(facts), run)

    def text() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            return answer.read().decode()

    until(lambda: 'points_lag_records{partition="2"} 0.0' in text(), run)
    with urllib.request.urlopen(f"http://127.0.0.1:{other}/health/ready", timeout=30) as answer:
        assert json.load(answer)["partitions"] == list(range(PARTITIONS))
    figures = dict(line.rsplit(" ", 1) for line in text().splitlines() if not line.startswith("#"))
    run.send_signal(signal.SIGINT)
    _, log = run.communicate(timeout=100)
    assert run.returncode == 0, log
    entries = sum(
        float(figures[f'points_facts_total{{outcome="{name}"}}']) for name in ("accepted", "refused", "ignored")
    )
    reasons = {name: float(value) for name, value in figures.items() if name.startswith("points_parked_total{")}
    parked = sum(reasons.values())
    assert 'points_parked_total{reason="not-json"}' in reasons
    assert '"event": "dead-lettered"' in log and '"reason": "not-utf8"' in log
    assert entries + parked == len(facts) and parked == sum(isinstance(fact, bytes) for fact in facts)
    assert float(figures['points_epoch{partition="0"}']) == 1
    for stage in ("fetch", "decode", "decide", "store"):
        assert float(figures[f'points_batch_seconds_sum{{stage="{stage}"}}']) > 0


# -- operating -------------------------------------------------------------------------------------------------------


def test_a_dead_letter_is_mended_and_driven_again(broker: Broker, facts: list, tmp_path: Path) -> None:
    topics = Topics(broker).make()
    good = [fact for fact in facts if isinstance(fact, dict)]
    topics.send([good[0], b'{"specversion":"1.0"', *good[1:50]])
    ledger = tmp_path / "ledger"
    assert consume(topics, ledger)["parked"] == 1
    environment = topics.environment
    (letter,) = json.loads(points(ledger, "dead-letters", "list", "--json").stdout)
    shown = points(ledger, "dead-letters", "show", letter["position"], "--raw")
    assert shown.stdout == '{"specversion":"1.0"'
    mended = tmp_path / "mended.json"
    mended.write_bytes(encode({**good[0], "id": "mended"}))
    options = ("dead-letters", "retry", letter["position"], "--with", str(mended), "--json")
    ran = points(ledger, *options, environment=environment)
    assert ran.returncode == 0, ran.stderr
    (told,) = json.loads(ran.stdout)
    partition, offset = map(int, told["retried_as"].split(":"))
    record = topics.everything(topics.facts)[partition][offset]
    assert (record.value, record.key) == (mended.read_bytes(), good[0]["subject"].encode())
    assert json.loads(points(ledger, "dead-letters", "list", "--json").stdout) == []
    again = points(ledger, *options, environment=environment)
    assert again.returncode == 3 and "was redriven before" in again.stderr
    assert (told_of := consume(topics, ledger))["facts"] == told_of["entries"] == 1
    is_whole(ledger)


def test_a_dead_letter_is_dropped_while_a_consumer_runs(broker: Broker, facts: list, tmp_path: Path) -> None:
    topics = Topics(broker).make()
    topics.send([*facts[:20], b"secret"])
    run = start(tmp_path / "ledger", "consume", environment=topics.environment)
    until(lambda: decided(tmp_path / "ledger") == 21, run)
    dropped = points(tmp_path / "ledger", "dead-letters", "drop", "--all")
    run.terminate()
    assert dropped.returncode == 0, dropped.stderr
    assert "the topics keep theirs" in dropped.stdout
    run.communicate(timeout=100)
    assert run.returncode == 0
    assert not any(b"secret" in path.read_bytes() for path in (tmp_path / "ledger").glob("partition-*.db"))


def test_a_published_book_stands_in_every_partition_and_counts_once(
    broker: Broker, facts: list, tmp_path: Path
) -> None:
    topics = Topics(broker).make()
    book = {"specversion": "1.0", "id": "v2", "source": "/operators", "type": "programme.published.v1"}
    toml = shipped("jd").replace("from = 2017-09-14", "from = 2019-01-01", 1)
    book |= {"subject": "programme", "time": LONG_AGO.isoformat(), "data": {"toml": toml}}
    file = write_facts(tmp_path / "facts.ndjson", [*facts[:50], book, *facts[50:400]])
    produced = points(tmp_path, "produce", "--backlog", str(file), environment=topics.environment)
    assert produced.returncode == 0, produced.stderr
    told = consume(topics, tmp_path / "ledger")
    assert told["facts"] == 400 + PARTITIONS
    assert told["entries"] + told["parked"] == 401
    outcomes = [json.loads(r.value) for records in topics.everything(topics.outcomes) for r in records]
    published = [outcome for outcome in outcomes if outcome["member"] == "programme"]
    assert sorted("copy" in outcome for outcome in published) == [False, *[True] * (PARTITIONS - 1)]
    assert {outcome["outcome"] for outcome in published} == {"accepted"}
    is_whole(tmp_path / "ledger")


def test_a_book_is_published_through_the_topic(
    broker: Broker, facts: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = Topics(broker).make()
    topics.send(facts[:50])
    ledger = tmp_path / "ledger"
    consume(topics, ledger)

    def publish(day: str) -> dict:
        file = tmp_path / f"{day}.toml"
        file.write_text(shipped("jd").replace("from = 2017-09-14", f"from = {day}", 1))
        command = ("programme", "publish", str(file), "--by", "li.wei", "--json")
        done = points(ledger, *command, environment=topics.environment)
        assert done.returncode == 0, done.stderr
        told: dict = json.loads(done.stdout)
        return told

    run = start(ledger, "consume", environment=topics.environment)
    try:
        first = publish("2031-01-01")
    finally:
        run.terminate()
        run.communicate(timeout=100)
    opened = open_ledger(ledger)
    assert first["version"] in opened.book.by_name  # decided while the command waited
    opened.close()
    monkeypatch.setattr(programme, "DECISION_SECONDS", 0.1)
    second = publish("2032-01-01")  # nobody decides now: it says where it stands
    assert second["published"] and second["position"] != first["position"]
    assert consume(topics, ledger)["facts"] == PARTITIONS
    opened = open_ledger(ledger)
    assert second["version"] in opened.book.by_name
    opened.close()
    is_whole(ledger)


def test_a_replay_from_the_topic_compares_its_records_with_the_journals_copies(topics: Topics, fed: Path) -> None:
    command = ("replay", "--from-topic", "--json")
    clean = points(fed, *command, environment=topics.environment)
    assert clean.returncode == 0, clean.stderr
    assert json.loads(clean.stdout)["differences"] == []
    distrusting = {**topics.environment, "POINTS_KAFKA_TAKES_BACKLOG": "false"}  # recorded when it was sent, then
    differs = points(fed, *command, environment=distrusting)
    assert differs.returncode == 1, differs.stderr
    found = json.loads(differs.stdout)
    assert {difference["field"] for difference in found["differences"]} == {"recorded"}
    assert found["difference_count"] >= len(found["differences"]) > 0
