"""`points topics` and `points produce` against a real broker; and where other languages' clients put a member."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from confluent_kafka import Producer

from consumers.kafka.buffers import RECORDED
from consumers.kafka.kafka_python import Admin
from consumers.kafka.port import Topic
from consumers.kafka.settings import KafkaSettings
from consumers.kafka.topics import FACT_BYTES, _differs, wanted_topics
from consumers.runtime.ingest import ingest
from ledger.journal.open import open_or_create
from ledger.journal.partitioning import Partitioner
from ledger.rulebook.schema import shipped
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import to_instant
from service.cli import run
from tests.support.brokers import Broker
from tests.support.histories import LONG_AGO, encode
from tests.support.kafka_shop import Topics, consume, contents
from tests.support.ledgers import histories_of

PARTITIONS = 4
CLIENTS = ("kafka-python", "confluent-kafka")
Points = Callable[..., tuple[int, str, str]]


@pytest.fixture
def topics(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Topics:
    """Names of topics that are not there yet, as the settings have them."""
    found = Topics(broker, PARTITIONS)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def points(capsys: pytest.CaptureFixture[str]) -> Points:
    """Runs the command line here: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """Facts of forty members, a rule book in the middle, and what is no fact."""
    facts: list[Any] = histories_of(Random(5), members=40, length=25, start=LONG_AGO)
    time = facts[len(facts) // 2]["time"]
    toml = shipped("jd").replace('zh = "京豆"', 'zh = "豆"', 1)
    book = {"specversion": "1.0", "type": "programme.published.v1", "id": "v2", "source": "/operators", "time": time}
    facts.insert(len(facts) // 2, {**book, "subject": PROGRAMME_SUBJECT, "data": {"toml": toml}})
    found = [encode(fact) for fact in facts]
    for at, bad in enumerate((b"{", b"\xff\xfe", b"x" * (2 << 20), b'{"subject":"m-1"}')):
        found.insert(100 * at + 50, bad)
    return found


@pytest.mark.parametrize("client", CLIENTS)
def test_topics_are_made_as_they_have_to_be_and_once(
    topics: Topics, points: Points, monkeypatch: pytest.MonkeyPatch, client: str
) -> None:
    monkeypatch.setenv("POINTS_KAFKA_CLIENT", client)
    assert points("topics", "check")[0] == 1
    code, out, _ = points("topics", "create", "--partitions", "3", "--json")
    names = [topics.facts, topics.outcomes, topics.dead_letters]
    assert (code, json.loads(out)) == (
        0,
        {"topics": [{"topic": name, "created": True} for name in names], "differences": []},
    )
    assert points("topics", "check")[0] == 0
    code, out, _ = points("topics", "create", "--partitions", "3")
    assert code == 0 and out.count("is there already") == 3
    code, out, _ = points("topics", "create", "--partitions", "5", "--json")
    assert code == 1
    assert [(d["topic"], d["setting"], d["found"]) for d in json.loads(out)["differences"]] == [
        (topics.facts, "partitions", "3")
    ]


def test_each_setting_of_a_topic_that_would_lose_money_is_named_with_what_comes_of_it(
    topics: Topics, points: Points
) -> None:
    admin = Admin(KafkaSettings(bootstrap_servers=topics.broker.address))
    wrong = {
        "cleanup.policy": "compact",
        "retention.ms": "3600000",
        "retention.bytes": "1000000",
        "max.message.bytes": "1000000",
        "min.insync.replicas": "2",
        "message.timestamp.type": "CreateTime",
        "unclean.leader.election.enable": "true",
    }
    admin.create(Topic(topics.facts, 3, 1, wrong))
    admin.create(Topic(topics.outcomes, 2, 1, {}))
    admin.close()
    code, out, _ = points("topics", "check", "--json", "--partitions", "4")
    found = json.loads(out)["differences"]
    assert code == 1
    assert {d["setting"] for d in found if d["topic"] == topics.facts} == {*wrong, "partitions"}
    assert {d["setting"] for d in found if d["topic"] == topics.outcomes} == {"partitions", "max.message.bytes"}
    assert [d["setting"] for d in found if d["topic"] == topics.dead_letters] == ["topic"]
    assert all(d["why"] and d["wanted"] and d["found"] for d in found)


def test_on_three_brokers_a_record_that_one_alone_has_is_not_acknowledged() -> None:
    [facts, *_] = wanted_topics(KafkaSettings().topics, 64, 3)
    assert list(_differs(facts, 64, 3, FACT_BYTES)) == []
    careless = facts._replace(replication=2, configs={**facts.configs, "min.insync.replicas": "0"})
    found = [(d.setting, d.found, d.wanted) for d in _differs(careless, 64, 3, FACT_BYTES)]
    assert found == [("replication", "2", "at least 3"), ("min.insync.replicas", "0", "at least 1")]
    one = facts._replace(configs={**facts.configs, "min.insync.replicas": "1"})
    assert [(d.setting, d.wanted) for d in _differs(one, 64, 3, FACT_BYTES)] == [("min.insync.replicas", "at least 2")]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("command", [("topics", "check"), ("topics", "create"), ("produce", "examples/facts.ndjson")])
def test_without_a_broker_it_cannot_run_now(
    points: Points, monkeypatch: pytest.MonkeyPatch, client: str, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("POINTS_KAFKA_CLIENT", client)
    monkeypatch.setenv("POINTS_KAFKA_BOOTSTRAP_SERVERS", "localhost:1")
    monkeypatch.setenv("POINTS_KAFKA_TIMEOUT_SECONDS", "0.5")
    code, out, err = points(*command)
    assert (code, out) == (4, "") and "localhost:1" in err and err.count("\n") == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_each_fact_is_sent_once_under_its_member_and_a_book_to_every_partition(
    topics: Topics,
    points: Points,
    lines: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    client: str,
) -> None:
    topics.make()
    monkeypatch.setenv("POINTS_KAFKA_CLIENT", client)
    plain, packed = tmp_path / "a.ndjson", tmp_path / "b.ndjson.gz"
    plain.write_bytes(b"\n".join(lines[:500]) + b"\n\n")
    packed.write_bytes(gzip.compress(b"\n".join(lines[500:])))
    code, out, _ = points("produce", str(plain), str(packed), "--json")
    sent = json.loads(out)
    assert code == 0
    assert (sent["facts"], sent["unreadable"]) == (len(lines), 3)
    assert sent["records"] == len(lines) + PARTITIONS - 1

    found = topics.everything(topics.facts)
    partition_of = Partitioner(PARTITIONS)
    for partition, records in enumerate(found):
        assert sum(record.key == PROGRAMME_SUBJECT.encode() for record in records) == 1
        for record in records:
            key = record.key.decode()
            assert not record.headers or record.headers[0][0] == "points-whole"
            assert key in ("", PROGRAMME_SUBJECT) or partition_of(key) == partition
    home = partition_of(PROGRAMME_SUBJECT)
    for partition, records in enumerate(found):
        ours = [line for line in lines if _partition_of(line, partition_of, home) == partition]
        theirs = [r.value for r in records if r.key != PROGRAMME_SUBJECT.encode() or partition == home]
        assert [value[:1_000] for value in theirs] == [line[:1_000] for line in ours]


def _partition_of(line: bytes, partition_of: Partitioner, home: int) -> int:
    try:
        subject = json.loads(line)["subject"]
    except (ValueError, KeyError):
        return 0
    return home if subject == PROGRAMME_SUBJECT else partition_of(subject)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_backlog_through_kafka_is_decided_as_the_same_files_are(
    topics: Topics,
    points: Points,
    lines: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    client: str,
) -> None:
    topics.make()
    monkeypatch.setenv("POINTS_KAFKA_CLIENT", client)
    file = tmp_path / "facts.ndjson"
    file.write_bytes(b"\n".join(lines))
    assert points("produce", "--backlog", str(file))[0] == 0
    assert consume(topics, tmp_path / "by-kafka")["facts"] == len(lines) + PARTITIONS - 1

    ledger = open_or_create(tmp_path / "by-file")
    assert ledger.settings.partitions == PARTITIONS
    with ledger.writing():
        ingest(ledger, [str(file)], backlog=True)
    ledger.close()
    by_kafka, by_file = contents(tmp_path / "by-kafka"), contents(tmp_path / "by-file")
    assert sum(len(by_file[f"parked {p}"]) for p in range(PARTITIONS)) == 4
    assert by_kafka == by_file


def test_what_an_importer_declares_is_when_it_occurred(
    topics: Topics, points: Points, lines: list[bytes], tmp_path: Path
) -> None:
    topics.make()
    file = tmp_path / "facts.ndjson"
    file.write_bytes(lines[0])
    assert points("produce", "--backlog", str(file))[0] == 0
    [record] = [record for records in topics.everything(topics.facts) for record in records]
    from datetime import datetime

    occurred = to_instant(datetime.fromisoformat(json.loads(lines[0])["time"]))
    assert record.headers == [(RECORDED, str(occurred).encode())]


def test_what_stands_before_a_damage_is_sent_and_a_missing_topic_or_file_is_said_before_anything_is(
    topics: Topics, points: Points, lines: list[bytes], tmp_path: Path
) -> None:
    file = tmp_path / "facts.ndjson.gz"
    file.write_bytes(gzip.compress(b"\n".join(lines[:40]) + b"\n") + gzip.compress(b"\n".join(lines[40:]))[:-100])
    code, _, err = points("produce", str(file))
    assert code == 4 and "points topics create" in err
    topics.make()
    code, _, err = points("produce", str(file), str(tmp_path / "missing"))
    assert code == 3 and "missing" in err
    assert topics.everything(topics.facts) == [[]] * PARTITIONS
    code, _, err = points("produce", str(file))
    assert code == 3 and "damaged" in err
    assert sum(map(len, topics.everything(topics.facts))) >= 40


MEMBERS = [f"m-{number}" for number in range(200)] + ["会员-1", "m", "a-rather-long-token-of-a-member-0123456789"]


def sent_by_key_alone(topics: Topics, **options: str) -> dict[str, int]:
    """Where librdkafka puts each member, as any of the clients built on it does (C, Go, Rust, .NET, Python …)."""
    producer = Producer({"bootstrap.servers": topics.broker.address, **options})
    placed: dict[str, int] = {}
    for member in MEMBERS:
        producer.produce(topics.facts, key=member, value=b"{}", on_delivery=lambda _, m: _keep(placed, m))
    assert producer.flush(30) == 0
    return placed


def _keep(placed: dict[str, int], message: Any) -> None:
    placed[message.key().decode()] = message.partition()


def test_other_clients_put_members_where_the_ledger_does_with_murmur2_and_elsewhere_without(
    topics: Topics, points: Points
) -> None:
    topics.partitions = 16
    topics.make(topics.facts)
    ours = {member: Partitioner(16)(member) for member in MEMBERS}
    assert sent_by_key_alone(topics, partitioner="murmur2_random") == ours
    code, out, _ = points("produce", "--check-partitioner", "--json")
    assert code == 0 and json.loads(out)["records"] == len(MEMBERS)
    by_default = sent_by_key_alone(topics)  # consistent_random: CRC32
    assert sum(by_default[member] != ours[member] for member in MEMBERS) > len(MEMBERS) // 2
    code, out, _ = points("produce", "--check-partitioner", "--json")
    told = json.loads(out)
    misplaced = sum(by_default[member] != ours[member] for member in MEMBERS)
    assert (code, told["records"], told["misplaced"]) == (1, 2 * len(MEMBERS), misplaced)
    assert told["first"][0]["belongs_to"] == ours[told["first"][0]["key"]] and not told["is_crc32"]


def test_senders_that_all_use_crc32_are_told_what_to_set(topics: Topics, points: Points) -> None:
    topics.partitions = 16
    topics.make(topics.facts)
    sent_by_key_alone(topics)
    code, out, _ = points("produce", "--check-partitioner")
    assert code == 1 and "murmur2_random" in out
    assert points("produce", "--check-partitioner", "facts.ndjson")[0] == 2
    assert points("produce")[0] == 2
