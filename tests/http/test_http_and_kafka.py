"""`points serve` over a ledger that Kafka feeds: facts go to the topic, consumers decide, the server tells."""

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from ledger.rulebook.schema import shipped
from tests.support.brokers import Broker
from tests.support.histories import LONG_AGO
from tests.support.kafka_shop import Topics, consume, contents, is_whole, outcomes_are_whole, points, start, until
from tests.support.ledgers import histories_of

MEMBER = "m-http"


@pytest.fixture(scope="module")
def topics(broker: Broker) -> Topics:
    made = Topics(broker).make()
    made.send(histories_of(Random(3), members=5, length=20, start=LONG_AGO))
    return made


@pytest.fixture
def ledger(topics: Topics, tmp_path: Path) -> Path:
    consume(topics, tmp_path / "ledger")
    return tmp_path / "ledger"


@contextmanager
def served(ledger: Path, environment: Mapping[str, str], *options: str) -> Iterator[httpx.Client]:
    """A client of a server over a ledger."""
    process = start(ledger, "serve", "--port", "0", "--json", *options, environment=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()
        with httpx.Client(base_url=json.loads(line)["url"], timeout=60) as client:
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


@contextmanager
def consuming(ledger: Path, environment: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    process = start(ledger, "consume", environment=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def fact(kind: str, name: str, **data: Any) -> dict[str, Any]:
    """A fact of now."""
    about = {"specversion": "1.0", "id": name, "source": "/shop", "type": kind, "subject": MEMBER}
    return {**about, "time": datetime.now(UTC).isoformat(), "data": data}


def granted(name: str, points: int) -> dict[str, Any]:
    expires = "2099-01-01T00:00:00+08:00"
    return fact("campaign.granted.v1", name, grant=name, campaign="c", points=points, expires=expires)


def redeemed(name: str, points: int) -> dict[str, Any]:
    return fact("redemption.requested.v1", name, redemption=name, points=points, use="coupon")


@pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"])
def test_what_is_posted_goes_through_the_topic_and_is_answered_with_its_decision(
    topics: Topics, ledger: Path, tmp_path: Path, client: str
) -> None:
    environment = {**topics.environment, "POINTS_KAFKA_CLIENT": client}
    with (
        consuming(ledger, environment) as consumer,
        served(ledger, environment, "--workers", "2", "--wait", "20") as http,
    ):
        before = http.get(f"/v1/members/{MEMBER}/balances")
        spendable = before.json()["points"]["beans"]["spendable"] if before.status_code == 200 else 0
        assert http.post("/v1/facts", json=granted(f"grant-{client}", 500)).json()["outcome"] == "accepted"
        requests = [redeemed(f"{client}-{n}", 200) for n in range(3)]
        answers = [http.post("/v1/redemptions", json=request) for request in requests]
        assert [answer.status_code for answer in answers] == [200, 200, 409]
        assert answers[2].json()["reason"] == "beans-short"
        again = http.post("/v1/redemptions", json=requests[0])
        assert again.json()["repeated"] and again.json()["number"] == answers[0].json()["number"]
        changed = http.post("/v1/redemptions", json={**requests[0], "data": {**requests[0]["data"], "points": 1}})
        assert (changed.status_code, changed.json()["type"]) == (409, "/problems/conflict")
        lines = [redeemed(f"{client}-bulk", 60), {"not": "a fact"}, {**granted(f"more-{client}", 5), "subject": "m-2"}]
        told = http.post(
            "/v1/facts:bulk?outcomes=true",
            content="\n".join(map(json.dumps, lines)),
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert [json.loads(line).get("outcome") for line in told.text.splitlines()] == ["accepted", None, "accepted"]
        balance = http.get(f"/v1/members/{MEMBER}/balances").json()["points"]["beans"]["spendable"]
        assert balance == spendable + 500 - 2 * 200 - 60
        positions = http.get("/v1/positions").json()["partitions"]
        assert all(part["lag"] == 0 and part["end"] == part["position"] for part in positions)
        assert consumer.poll() is None
    is_whole(ledger)
    outcomes_are_whole(topics, ledger)
    consume(topics, tmp_path / "another", "--no-publish")  # who reads the topic derives the same, leaf by leaf
    assert contents(tmp_path / "another") == contents(ledger)


def test_while_nobody_decides_a_fact_is_durable_and_told_later(topics: Topics, ledger: Path) -> None:
    with served(ledger, topics.environment, "--wait", "0.2") as http:
        taken = http.post("/v1/facts", json=granted("later", 7))
        assert taken.status_code == 202
        place = taken.headers["Location"]
        assert http.get(place).status_code == 202
        assert http.get("/v1/facts/0:1000000").status_code == 404
        assert consume(topics, ledger)["facts"] == 1
        assert http.get(place).json()["id"] == "later"


def test_a_published_book_is_seen_by_a_running_server(topics: Topics, ledger: Path, tmp_path: Path) -> None:
    file = tmp_path / "book.toml"
    file.write_text(shipped("jd").replace("from = 2017-09-14", "from = 2041-01-01", 1))
    with served(ledger, topics.environment) as http:
        before = len(http.get("/v1/programmes").json()["versions"])
        publish = ("programme", "publish", str(file), "--by", "li.wei")
        assert points(ledger, *publish, environment=topics.environment).returncode == 0
        consume(topics, ledger)
        until(lambda: len(http.get("/v1/programmes").json()["versions"]) == before + 1)


def test_without_a_broker_members_are_read_and_facts_are_turned_away(topics: Topics, ledger: Path) -> None:
    away = {"POINTS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "POINTS_KAFKA_TIMEOUT_SECONDS": "1"}
    with served(ledger, {**topics.environment, **away}) as http:
        answer = http.post("/v1/facts", json=granted("nowhere", 7))
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/busy")
        assert http.get("/health/ready").status_code == 503
        assert http.get("/v1/positions").status_code == 503
        assert http.get("/v1/members/m-1").status_code == 200
        assert http.get("/v1/stats").status_code == 200


def test_another_topic_than_the_ledgers_own_is_refused(topics: Topics, ledger: Path) -> None:
    done = points(ledger, "serve", environment={**topics.environment, "POINTS_KAFKA_TOPICS_FACTS": "another"})
    assert done.returncode == 2
    assert topics.facts in done.stderr
