"""`points consume` beside Kafka Streams: the same topic of the same broker, in turn, whole processes.

The peer is `kafka_streams/Loyalty.java`, a loyalty fold with exactly-once processing, compiled here against the jars
that Maven fetches. It does less: no rule book, no receipts, nothing that can be audited; its class comment says it all.
"""

import bisect
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from itertools import accumulate
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from unittest.mock import patch

from benchmarks.kafka import PARTITIONS, broker, environment, make_topics
from benchmarks.measure import ROOT, Failed, Figures, cpu_of, points, run, say
from benchmarks.work import Work
from consumers.kafka.settings import load
from ledger.journal.database import migrate
from tests.support.brokers import new_topic_name
from tests.support.databases import OwnServer, a_server
from tests.support.jars import CACHE, NoJars, jars

HERE = ROOT / "benchmarks" / "kafka_streams"
JOBS = 2  # processes of ours, threads of the peer's
STREAMS, OURS, STORED = "Kafka Streams, exactly once", "points consume", "points consume, PostgreSQL"
PYTHON = " (POINTS_ENGINE=python)"
HEAP = "-Xmx2g"
CATEGORIES = ("home", "toys", "garden", "kitchen", "gifts")
ZONE = timezone(timedelta(hours=8))
FIRST, DAYS = datetime(2020, 12, 1, 8, tzinfo=ZONE), 730
FEN_A_SCORE = 100


def streams(work: Work, facts: int, members: int, rounds: int, *, has_native: bool) -> Figures:
    """Each run's figures by its name, of each round; where the native engine is, Python decides, too."""
    classes = _compiled()
    path, scored = _facts(work, facts, members)
    engines = ("native", "python") if has_native else ("python",)
    with broker(is_short=False) as (address, broker_pid), environment(address), a_server() as server:
        server_pid = server.pid if isinstance(server, OwnServer) else None
        say(f"sending {facts:,} facts")
        run(points("produce", "--backlog", str(path), "--json"))
        commands: dict[str, Callable[[], Figures]] = {STREAMS: lambda: _streams(work, address, classes, facts, scored)}
        for engine in engines:
            ending = PYTHON if engine != engines[0] else ""
            commands[OURS + ending] = lambda engine=engine: _into_folder(work, engine)  # type: ignore[misc]
            if server is not None:
                commands[STORED + ending] = lambda engine=engine: _into_database(server, engine)  # type: ignore[misc]
        found: Figures = {name: [] for name in commands}
        for number in range(rounds):
            for name, measured in commands.items():
                say(f"round {number + 1}: {name}")
                before = cpu_of(broker_pid), cpu_of(server_pid)
                figures = measured()
                figures["broker"] = cpu_of(broker_pid) - before[0]
                figures["server"] = cpu_of(server_pid) - before[1]
                found[name].append(figures)
    return {"facts": facts, "members": members, "engine": engines[0], "runs": found}


def ratios(found: Figures) -> dict[str, tuple[float, float]]:
    """Of each run of ours: its facts a second over the peer's, its CPU a fact over the peer's; of medians."""
    runs = {
        name: [median(each[key] for each in rounds) for key in ("seconds", "cpu")]
        for name, rounds in found["runs"].items()
    }
    seconds, cpu = runs.pop(STREAMS)
    return {name: (seconds / own[0], own[1] / cpu) for name, own in runs.items()}


def _streams(work: Work, address: str, classes: Path, facts: int, scored: int) -> Figures:
    state = Path(mkdtemp(prefix="streams-", dir=work.folder))
    application, output = new_topic_name("streams"), new_topic_name("decisions")
    with patch.dict(os.environ, POINTS_KAFKA_TOPICS_OUTCOMES=output):
        settings = load()
        make_topics(settings)
    classpath = f"{classes}{os.pathsep}{classes.parent / 'jars'}/*"
    java = ["java", HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath, "Loyalty"]
    command = [*java, address, application, settings.topics.facts, output, str(facts), str(JOBS), str(state)]
    found = run(command, has_log=True)
    shutil.rmtree(state)
    said = json.loads(found.output)
    if said["scored"] != scored:
        raise Failed(f"Kafka Streams came to a score of {said['scored']:,}, and the facts to {scored:,}")
    return {**found.to_dict(), "inside": said["inside"]}


def _into_folder(work: Work, engine: str) -> Figures:
    with work.ledger() as folder:
        return _consumed(str(folder), engine)


def _into_database(server: OwnServer, engine: str) -> Figures:
    address = server.database()
    migrate(address, partitions=PARTITIONS, topic=load().topics.facts)
    try:
        return _consumed(address, engine)
    finally:
        server.drop(address)


def _consumed(ledger: str, engine: str) -> Figures:
    """The whole topic, its outcomes and dead letters sent to topics that are new."""
    own = {
        "POINTS_ENGINE": engine,
        "POINTS_KAFKA_GROUP": new_topic_name("group"),
        "POINTS_KAFKA_TOPICS_OUTCOMES": new_topic_name("outcomes"),
        "POINTS_KAFKA_TOPICS_DEAD_LETTERS": new_topic_name("dead-letters"),
    }
    with patch.dict(os.environ, own):
        make_topics(load())
        found = run(points("--ledger", ledger, "consume", "--until-end", "--json", "--jobs", str(JOBS)), has_log=True)
    return {**found.to_dict(), "stages": json.loads(found.output)["stages"]}


def _compiled() -> Path:
    """The folder of the peer's classes, beside its jars: fetched and compiled once into the cache. Raises `Failed`."""
    classes = CACHE / "kafka-streams" / "classes"
    say("fetching Kafka Streams, where that was not done before")
    try:
        fetched = jars(HERE / "pom.xml", "kafka-streams/jars")
        classes.mkdir(exist_ok=True)
        command = ["javac", "-cp", f"{fetched}/*", "-d", classes, HERE / "Loyalty.java"]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    except NoJars as error:
        raise Failed(str(error)) from error
    except FileNotFoundError as error:
        raise Failed(f"{error}: Kafka Streams wants a Java 17 development kit and Maven") from error
    if done.returncode:
        raise Failed(f"javac: {(done.stderr or done.stdout)[-2_000:]}")
    return classes


def _facts(work: Work, facts: int, members: int) -> tuple[Path, int]:
    """A file of facts in the order of their times, and the score that the peer has to come to."""
    say(f"making {facts:,} facts of {members:,} members")
    path, scored = work.folder / "streams.ndjson", 0
    with path.open("wb") as file:
        for text, score in _made_up(facts, members):
            file.write(text.encode() + b"\n")
            scored += score
    return path, scored


def _made_up(facts: int, members: int) -> Iterator[tuple[str, int]]:
    """Nine of ten are orders of one to three lines, the rest redemptions and reviews; few members do much."""
    draw = random.Random(20111203)
    weights = list(accumulate((rank + 10) ** -0.8 for rank in range(members)))
    order = list(range(members))
    draw.shuffle(order)
    step = timedelta(days=DAYS) / facts
    for number in range(facts):
        member = order[bisect.bisect(weights, draw.random() * weights[-1])]
        kind, score = draw.random(), 0
        if kind < 0.05:
            id, source, type = f"w-{number}", "/redemptions", "redemption.requested.v1"
            data = f'"redemption":"r-{number}","points":100,"use":"coupon"'
        elif kind < 0.10:
            id, source, type = f"v-{number}", "/reviews", "review.posted.v1"
            about = max(0, number - 1 - int(draw.random() * 50))
            characters = 1 + int(draw.random() * 200)
            data = f'"review":"v-{number}","order":"{about}","line":"1","sku":"{_sku(draw)}","characters":{characters}'
        else:
            id, source, type = f"o-{number}", "/orders", "order.completed.v1"
            paid = [int(1_500 * 2.718 ** (draw.random() * 4.5)) for _ in range(1 + int(draw.random() * 3))]
            score = sum(fen // FEN_A_SCORE for fen in paid)
            data = f'"order":"{number}","channel":"web","currency":"CNY","lines":[{_lines(draw, paid)}]'
        time = (FIRST + step * number).isoformat(timespec="seconds")
        head = f'"specversion":"1.0","id":"{id}","source":"{source}","type":"{type}","subject":"m-{member:05d}"'
        yield f'{{{head},"time":"{time}","datacontenttype":"application/json","data":{{{data}}}}}', score


def _lines(draw: random.Random, paid: Sequence[int]) -> str:
    return ",".join(
        f'{{"line":"{number}","sku":"{_sku(draw)}","category":"{CATEGORIES[int(draw.random() * 5)]}",'
        f'"quantity":{1 + int(draw.random() * 12)},"paid_fen":{fen}}}'
        for number, fen in enumerate(paid, 1)
    )


def _sku(draw: random.Random) -> str:
    return f"{20_000 + int(draw.random() * 4_000)}A"
