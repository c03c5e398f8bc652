"""A shop on a real Kafka for tests: topics of its own, facts in them, and ledgers that `points consume` feeds."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from consumers.kafka.buffers import RECORDED
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from ledger.journal.partitioning import Partitioner
from ledger.journal.port import JournalError
from ledger.wire.fact_codec import BadFact, decode
from ledger.wire.times import DAY
from projections.answers.stats import stats
from projections.audit.replay import replay
from projections.audit.verify import verify
from service.cli import run
from tests.support.accounts import alike
from tests.support.brokers import Broker, new_topic_name
from tests.support.histories import encode
from tests.support.ledgers import Fact

ROOT = Path(__file__).parents[2]
Place = str | Path  # of a ledger: its folder, or its address in a database
PARTITIONS = 3
SECONDS = 100  # for a run that is to end


@dataclass
class Topics:
    """Three topics of their own on a broker."""

    broker: Broker
    partitions: int = PARTITIONS
    facts: str = field(default_factory=lambda: new_topic_name("facts"))
    outcomes: str = field(default_factory=lambda: new_topic_name("outcomes"))
    dead_letters: str = field(default_factory=lambda: new_topic_name("dead-letters"))

    def make(self, *names: str, stamp: str = "LogAppendTime") -> "Topics":
        """Make them (or only those named)."""
        configs = {"message.timestamp.type": stamp, "max.message.bytes": str(8 << 20)}
        admin = KafkaAdminClient(bootstrap_servers=self.broker.address)
        try:
            admin.create_topics(
                [
                    NewTopic(name=name, num_partitions=self.partitions, replication_factor=1, topic_configs=configs)
                    for name in names or (self.facts, self.outcomes, self.dead_letters)
                ]
            )
        finally:
            admin.close()
        return self

    def with_own_outlets(self) -> "Topics":
        """The same facts, with outcomes and dead letters of their own."""
        topics = Topics(self.broker, self.partitions, facts=self.facts)
        return topics.make(topics.outcomes, topics.dead_letters)

    @property
    def environment(self) -> dict[str, str]:
        """Settings for `points`."""
        return {
            "POINTS_KAFKA_BOOTSTRAP_SERVERS": self.broker.address,
            "POINTS_KAFKA_TOPICS_FACTS": self.facts,
            "POINTS_KAFKA_TOPICS_OUTCOMES": self.outcomes,
            "POINTS_KAFKA_TOPICS_DEAD_LETTERS": self.dead_letters,
            "POINTS_KAFKA_SESSION_TIMEOUT_SECONDS": "2",
            "POINTS_KAFKA_TIMEOUT_SECONDS": "5",
            "POINTS_KAFKA_TAKES_BACKLOG": "true",
        }

    def send(self, facts: Iterable[Fact | bytes]) -> None:
        """Append facts under their members' keys and partitions, each recorded when it occurred."""
        partitioner = Partitioner(self.partitions)
        producer = KafkaProducer(bootstrap_servers=self.broker.address, acks="all", linger_ms=20)
        for fact in facts:
            value = fact if isinstance(fact, bytes) else encode(fact)
            try:
                fact_, occurred = decode(value)
                subject, headers = fact_.subject, [(RECORDED, str(occurred).encode())]
            except BadFact:
                subject, headers = "", []
            partition = partitioner(subject) if subject else 0
            producer.send(self.facts, partition=partition, key=subject.encode(), value=value, headers=headers)
        producer.flush()
        producer.close()

    def everything(self, topic: str) -> list[list[Any]]:
        """Every record of a topic that anybody may see, by partition."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.broker.address, isolation_level="read_committed", auto_offset_reset="earliest"
        )
        partitions = [TopicPartition(topic, p) for p in range(self.partitions)]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        found: list[list[Any]] = [[] for _ in partitions]
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(tp) < ends[tp] for tp in partitions):
            for tp, records in consumer.poll(timeout_ms=500).items():
                found[tp.partition].extend(records)
        consumer.close()
        return found


class Ran(NamedTuple):
    """A run of `points` in this process that has ended."""

    returncode: int
    stdout: str
    stderr: str


def points(place: Place, *arguments: str, environment: Mapping[str, str] | None = None) -> Ran:
    """Run `points` in this process until it ends by itself."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), patch.dict(os.environ, environment or {}):
        code = run(["--ledger", str(place), *arguments])
    return Ran(code, out.buffer.getvalue().decode(), err.getvalue())


def points_in_a_process(
    place: Place, *arguments: str, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `points` in a process of its own, which may be killed, until it ends."""
    return subprocess.run(
        command(place, *arguments),
        cwd=ROOT,
        env=environment_of(environment or {}),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def killed_and_run_again(place: Path | str, facts: Path, step: str, count: int, *more: str) -> None:
    """Take facts in, killed where a step comes for the count-th time, and then whole."""
    told = ("ingest", str(facts), "--backlog")
    run = points_in_a_process(place, *told, *more, environment={"POINTS_FAILPOINT": f"{step}:{count}"})
    assert run.returncode == -signal.SIGKILL, run.stderr
    run = points_in_a_process(place, *told)
    assert run.returncode == 0, run.stderr


def start(
    place: Place, *arguments: str, environment: Mapping[str, str] | None = None, log: Path | None = None
) -> "subprocess.Popen[str]":
    """A run of `points` in a session of its own; `log` takes its standard error, to be read while it runs."""
    with ExitStack() as files:
        return subprocess.Popen(
            command(place, *arguments),
            cwd=ROOT,
            env=environment_of(environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if log is None else files.enter_context(log.open("w")),
            text=True,
            start_new_session=True,
        )


def command(place: Place, *arguments: str) -> list[str]:
    """The command line of a run."""
    return [sys.executable, "-m", "service.cli", "--ledger", str(place), *arguments]


def environment_of(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, with more."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def consume(topics: Topics, place: Place, *options: str) -> dict[str, Any]:
    """`points consume --until-end` in this process; returns its JSON."""
    ran = points(place, "consume", "--until-end", "--json", *options, environment=topics.environment)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def contents(place: Place) -> dict[str, Any]:
    """All that a ledger decided: entries with their links, where each chain ends, dead letters, every account."""
    ledger = open_ledger(place)
    found: dict[str, Any] = {}
    last = 0
    for partition in ledger.partitions:
        journal = ledger.journal(partition)
        found[f"entries {partition}"] = list(journal.scan())
        found[f"parked {partition}"] = journal.parked(retried=True)
        found[f"head {partition}"] = head = journal.head()
        last = max(last, head.recorded)
    found["accounts"] = accounts(ledger, last + DAY)
    ledger.close()
    return found


def accounts(ledger: Ledger, as_of: int) -> list[tuple[str, Any]]:
    """Every account at an instant."""
    return [(member, alike(account)) for member, account in ledger.accounts(as_of)]


def is_whole(place: Place) -> None:
    """The chain is whole, every decision derives again, and the books balance."""
    ledger = open_ledger(place)
    last = max(ledger.journal(p).head().recorded for p in ledger.partitions)
    assert verify(ledger)["broken"] == []
    assert replay(ledger)["differences"] == []
    assert stats(ledger, last + DAY).balanced
    ledger.close()


def outcomes_are_whole(topics: Topics, place: Place) -> None:
    """The topic tells every entry once its copies are left out, in order; and every dead letter."""
    ledger = open_ledger(place)
    told = topics.everything(topics.outcomes)
    letters = topics.everything(topics.dead_letters)
    for partition in ledger.partitions:
        journal = ledger.journal(partition)
        links = in_order(told[partition])
        assert links == [row.link.hex() for row in journal.scan()]
        parked = {json.loads(record.value)["position"] for record in letters[partition]}
        assert parked == {f"{partition}:{p.offset}" for p in journal.parked(retried=True)}
    ledger.close()


def in_order(records: Sequence[Any]) -> list[str]:
    """The links of a partition's outcomes, as a reader takes them: the next place and nothing else."""
    links: list[str] = []
    last = 0
    for record in records:
        outcome = json.loads(record.value)
        last = max(last, outcome["place"])
        if outcome["place"] == len(links) + 1:
            assert record.key == outcome["member"].encode()
            links.append(outcome["link"])
        else:
            assert outcome["place"] > len(links) or links[outcome["place"] - 1] == outcome["link"]
    assert last == len(links), "entries are missing"
    return links


def decided(place: Place) -> int:
    """Records decided by now."""
    try:
        ledger = open_ledger(place)
    except JournalError:  # not there yet
        return 0
    journals = [ledger.journal(partition) for partition in ledger.partitions]
    total = sum(journal.head().entries + journal.count_parked(retried=True) for journal in journals)
    ledger.close()
    return total


def until(
    happened: Callable[[], bool], process: "subprocess.Popen[str] | None" = None, seconds: float = SECONDS
) -> None:
    """Wait until something has happened, while a process runs."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)
