"""`points consume` from a real Kafka on this machine: facts a second by stage, and how long a fact waits.

The broker is that of the tests: `POINTS_TEST_KAFKA`, or one started from its jars.
"""

import json
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from unittest.mock import patch

from benchmarks.measure import Figures, points, run, say
from benchmarks.work import Work
from consumers.kafka.clients import client_of
from consumers.kafka.consume import Plan
from consumers.kafka.kafka_python import Admin
from consumers.kafka.settings import KafkaSettings, load
from consumers.kafka.topics import wanted_topics
from consumers.kafka.workers import consume
from consumers.runtime.events import Acquired, Decided, Event
from ledger.journal.database import migrate
from ledger.journal.ledger import Ledger, Settings
from ledger.journal.open import open_or_create
from ledger.journal.partitioning import Partitioner
from ledger.wire.fact_codec import decode
from tests.support.brokers import VARIABLE, BrokerFromJars, new_topic_name
from tests.support.databases import a_server

CLIENTS = ("confluent-kafka", "kafka-python")
PARTITIONS = 4
BATCHES = (1, 16, 256, 4_000)  # most records of a transaction
RATE = 200  # facts a second: a gentle load
GENTLE = 2_000  # facts of it, of which the
WARMING = 400  # first are not counted
PATIENCE = 60.0


def kafka(work: Work, path: Path, facts: int) -> Figures:
    """Whole runs by client and number of processes, and the latency by client and size of batch."""
    with broker() as (address, _), environment(address):
        say(f"sending {facts:,} facts to {address}")
        run(points("produce", "--backlog", str(path), "--json"))
        runs = {}
        for client in CLIENTS:
            for jobs in (1, 2):
                name = f"{client}, {jobs} job{'s' * (jobs > 1)}"
                runs[name] = _consumed(work, client, "--no-publish", "--jobs", str(jobs))
            runs[f"{client}, 1 job, outcomes sent"] = _consumed(work, client)
        runs.update(_into_postgresql())
        latency = []
        for client, batch in [(CLIENTS[0], size) for size in BATCHES] + [(CLIENTS[1], BATCHES[-1])]:
            whole = _consumed(work, client, "--no-publish", "--batch", str(batch)) if batch > 1 else None
            waited = _latency(work, path, client, batch)
            median, p99 = statistics.median(waited), statistics.quantiles(waited, n=100)[98]
            seconds = whole["seconds"] if whole else 0.0
            latency.append({"client": client, "batch": batch, "median": median, "p99": p99, "seconds": seconds})
    return {"clients": CLIENTS, "runs": runs, "rate": RATE, "latency": latency}


def _consumed(work: Work, client: str, *options: str) -> Figures:
    """The whole topic into a new ledger."""
    say(f"points consume by {client} {' '.join(options)}")
    with patch.dict(os.environ, POINTS_KAFKA_CLIENT=client), work.ledger() as folder:
        found = run(points("--ledger", str(folder), "consume", "--until-end", "--json", *options), has_log=True)
    return {**found.to_dict(), "stages": json.loads(found.output)["stages"]}


def _into_postgresql() -> dict[str, Figures]:
    """The whole topic into new ledgers in PostgreSQL, where a server is to be had; its own CPU is not counted."""
    runs: dict[str, Figures] = {}
    with a_server() as server:
        for jobs in (1, 2) if server else ():
            assert server is not None
            address = server.database()
            migrate(address, partitions=PARTITIONS, topic=load().topics.facts)
            group = {"POINTS_KAFKA_CLIENT": CLIENTS[0], "POINTS_KAFKA_GROUP": new_topic_name("group")}
            say(f"points consume by {CLIENTS[0]} into PostgreSQL, jobs {jobs}")
            options = ("consume", "--until-end", "--json", "--no-publish", "--jobs", str(jobs))
            with patch.dict(os.environ, group):
                found = run(points("--ledger", address, *options), has_log=True)
            name = f"{CLIENTS[0]}, PostgreSQL, {jobs} job{'s' * (jobs > 1)}"
            runs[name] = {**found.to_dict(), "stages": json.loads(found.output)["stages"]}
            server.drop(address)
    return runs


def _latency(work: Work, path: Path, client: str, batch: int) -> list[float]:
    """Milliseconds from sending a fact until it is decided, at a gentle load."""
    say(f"{GENTLE:,} facts at {RATE} a second by {client}, batches of {batch:,}")
    topic = new_topic_name()
    with patch.dict(os.environ, POINTS_KAFKA_CLIENT=client, POINTS_KAFKA_TOPICS_FACTS=topic):
        gentle = load()
    make_topics(gentle)
    sent: dict[tuple[int, int], float] = {}
    decided: dict[int, list[tuple[int, float]]] = {}
    owned, done = threading.Semaphore(0), threading.Event()

    def observe(event: Event) -> None:
        if isinstance(event, Acquired):
            owned.release()
        elif isinstance(event, Decided):
            decided.setdefault(event.partition, []).append((event.offset, event.at))

    with work.ledger() as folder:
        ledger = open_or_create(folder, None, Settings(partitions=PARTITIONS, stream="kafka", topic=topic))
        plan = Plan(partitions=tuple(ledger.partitions), batch=batch)
        consumer = threading.Thread(target=consume, args=(ledger, gentle, (plan,), observe, done.is_set))
        consumer.start()
        for _ in ledger.partitions:
            owned.acquire()
        _send_gently(gentle, path, sent)
        deadline = time.monotonic() + PATIENCE
        while not _is_through(ledger, sent, deadline):
            time.sleep(0.05)
        done.set()
        consumer.join()
        ledger.close()
    waited = []
    for (partition, offset), began in sent.items():
        at = next(at for position, at in decided[partition] if position >= offset)
        waited.append((at - began) * 1_000)
    return waited


def _send_gently(settings: KafkaSettings, path: Path, sent: dict[tuple[int, int], float]) -> None:
    """Facts one by one in their time; `sent` takes when each was sent, by where it stands."""
    partitioner = Partitioner(PARTITIONS)
    writer = client_of(settings).Writer(settings)
    started = time.monotonic()
    with path.open("rb") as file:
        for number, line in enumerate(islice(file, GENTLE)):
            value = line.strip()
            subject = decode(value)[0].subject
            partition, now = partitioner(subject), time.time()

            def acknowledged(offset: int, number: int = number, partition: int = partition, now: float = now) -> None:
                if number >= WARMING:
                    sent[partition, offset] = now

            writer.send(settings.topics.facts, partition, subject.encode(), value, (), acknowledged)
            while (left := started + number / RATE - time.monotonic()) > 0:
                writer.poll(min(left, 0.005))
                time.sleep(min(left, 0.001))
    writer.flush(PATIENCE)
    writer.close()


def _is_through(ledger: Ledger, sent: dict[tuple[int, int], float], deadline: float) -> bool:
    """Whether all that was sent is decided."""
    if time.monotonic() > deadline:
        raise SystemExit("the consumer does not come to the end")
    last = dict(sorted(sent))
    return all(ledger.journal(partition).head().offset >= offset for partition, offset in last.items())


@contextmanager
def broker(*, is_short: bool = True) -> Iterator[tuple[str, int | None]]:
    """A broker's address, and the process it runs in where it was started here; `is_short`: not for minutes."""
    address = os.environ.get(VARIABLE)
    if address:
        yield address, None
        return
    own = BrokerFromJars(is_short=is_short)
    own.start()
    try:
        yield own.address, own.pid
    finally:
        own.stop()


@contextmanager
def environment(address: str) -> Iterator[None]:
    """Topics of our own, which are made, and the settings that name them."""
    names = {
        "POINTS_KAFKA_BOOTSTRAP_SERVERS": address,
        "POINTS_KAFKA_CLIENT": CLIENTS[0],
        "POINTS_KAFKA_TAKES_BACKLOG": "true",
        "POINTS_KAFKA_TOPICS_FACTS": new_topic_name("facts"),
        "POINTS_KAFKA_TOPICS_OUTCOMES": new_topic_name("outcomes"),
        "POINTS_KAFKA_TOPICS_DEAD_LETTERS": new_topic_name("dead-letters"),
    }
    with patch.dict(os.environ, names):
        make_topics(load())
        yield


def make_topics(settings: KafkaSettings) -> None:
    admin = Admin(settings)
    try:
        for topic in wanted_topics(settings.topics, PARTITIONS, 1):
            admin.create(topic)
    finally:
        admin.close()
