"""What `points serve` does over PostgreSQL alone: servers that take over from each other, facts that others feed."""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import psycopg
import pytest

from ledger.journal.database import migrate
from ledger.journal.ledger import OPEN
from ledger.journal.open import open_ledger
from service import errors
from service.cli import run
from service.webhooks.store import webhooks_of
from tests.support.databases import OwnServer
from tests.support.ledgers import write_facts
from tests.support.receivers import receiving
from tests.support.served import (
    NDJSON,
    Server,
    grant,
    is_whole,
    ndjson,
    new_key,
    owner_processes,
    redemption,
    served,
    until,
)

PARTITIONS = 8


@pytest.fixture
def place(postgres: str) -> str:
    address = f"{postgres}{'&' if '?' in postgres else '?'}points_schema=vip"
    migrate(address, partitions=PARTITIONS)
    return address


def until_ready(server: Server) -> None:
    """Wait until all that was there is decided, whichever worker is asked."""
    for _ in range(10):
        with server.client() as http:
            while http.get("/health/ready").status_code != 200:
                time.sleep(0.05)


def test_a_second_server_stands_by_and_takes_over_when_the_first_dies(place: str, tmp_path: Path) -> None:
    with served(tmp_path / "one", database=place) as first:
        until_ready(first)
        with served(tmp_path / "two", database=place) as second, second.client() as http:
            until_ready(second)
            # the first decides, whichever of them is asked
            assert http.post("/v1/facts", json=grant("s-1", "g-1", 100), headers=WAIT).status_code == 200
            epochs = epochs_of(place)
            first.kill()
            answer = http.post("/v1/redemptions", json=redemption("s-1", "r-1", 60), headers=WAIT)
            assert answer.status_code == 200, answer.text
            assert http.get(f"/v1/facts/{answer.json()['position']}").json()["outcome"] == "accepted"
            moved = {
                p for p, (before, after) in enumerate(zip(epochs, epochs_of(place), strict=True)) if after > before
            }
            assert open_ledger(place).partition_of("s-1") in moved
            assert http.get("/v1/members/s-1").json()["points"]["beans"]["spendable"] == 40
    is_whole(place).close()


def test_what_a_killed_owner_leaves_is_decided_by_the_server_that_stands_by(place: str, tmp_path: Path) -> None:
    with served(tmp_path / "one", "--workers", "2", database=place) as first:
        until_ready(first)
        with served(tmp_path / "two", "--workers", "2", database=place) as second:
            until_ready(second)
            epochs = epochs_of(place)
            os.kill(first.process.pid, signal.SIGSTOP)  # it starts nothing again
            try:
                os.kill(owner_processes(first)[0], signal.SIGKILL)
                given = [grant(f"k-{n}", f"g-{n}", 5) for n in range(200)]
                with second.client() as http:
                    told = http.post("/v1/facts:bulk?outcomes=true", content=ndjson(given), headers=NDJSON)
                assert told.content.count(b'"accepted"') == 200, told.text
                moved = {
                    p for p, (before, now) in enumerate(zip(epochs, epochs_of(place), strict=True)) if now > before
                }
                assert moved in ({0, 2, 4, 6}, {1, 3, 5, 7}), "the other owner was not fenced"
            finally:
                os.kill(first.process.pid, signal.SIGCONT)
    ledger = is_whole(place)
    assert sum(ledger.journal(partition).head().entries for partition in ledger.partitions) == 200
    ledger.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_goes_on_by_itself_behind_a_split(place: str, tmp_path: Path, workers: int) -> None:
    members = [f"s-{n}" for n in range(10)]
    with (
        receiving() as receiver,
        served(tmp_path / "one", "--workers", str(workers), database=place, views=True) as server,
        server.client() as http,
    ):
        with closing(open_ledger(place)) as ledger, webhooks_of(place, tmp_path / "one") as webhooks:
            webhooks.add(ledger, "crm", receiver.url, "ann", is_private=True)

        def give(when: str) -> set[str]:
            names = {f"{member}-{when}": member for member in members}
            for name, member in names.items():
                given = partial(http.post, "/v1/facts", json=grant(member, name, 5), headers=WAIT)
                until(lambda given=given: asked(given).status_code == 200)  # type: ignore[misc]
            return set(names)

        def entries() -> list[str]:
            return accepted(asked(lambda: http.get("/v1/entries", params=behind)).json()["entries"])

        told: list[str] = []  # by a stream, which is connected to again wherever it ends
        following = Thread(target=follow, args=(server, 2 * len(members), told), daemon=True)
        following.start()
        before = give("before")
        behind = {"after": http.get("/v1/entries", params={"limit": 1_000}).json()["next"], "limit": 1_000}
        assert run(["--ledger", place, "split", "--times", "2"]) == 0
        given = give("behind")
        assert entries() == sorted(given)
        until(lambda: asked(lambda: http.get("/v1/stats")).json()["points"]["beans"]["issued"] == 5 * 2 * len(members))
        until(lambda: accepted(receiver.entries()) == sorted(before | given))
        following.join(60)
        assert sorted(told) == sorted(before | given), "each is told once"
        assert all(told.index(f"{member}-before") < told.index(f"{member}-behind") for member in members)
        assert http.get("/health/ready").json()["troubled"] == {}
    with closing(is_whole(place)) as ledger:
        assert any(ledger.partition_of(member) >= PARTITIONS for member in members)


def test_a_server_whose_database_is_away_behind_a_split_goes_on_once_it_is_back(place: str, tmp_path: Path) -> None:
    with served(tmp_path / "one", "--workers", "2", database=place) as server, server.client() as http:
        server.process.send_signal(signal.SIGSTOP)  # it notices the split when the database is away
        assert run(["--ledger", place, "split", "--times", "2"]) == 0
        let_connect(place, "false")
        server.process.send_signal(signal.SIGCONT)
        until(lambda: "not served now" in server.log.read_text())
        let_connect(place, "true")
        given = partial(http.post, "/v1/facts", json=grant("s-1", "g-1", 5), headers=WAIT)
        until(lambda: asked(given).status_code == 200)
    is_whole(place).close()


def let_connect(place: str, whether: str) -> None:
    """Let a database take new connections, or none."""
    name = psycopg.conninfo.conninfo_to_dict(place.partition("?")[0])["dbname"]
    with psycopg.connect(place.partition("?")[0], dbname="postgres", autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {whether}")


def follow(server: Server, count: int, told: list[str]) -> None:
    """Follow the stream of entries, behind the last event wherever it ends, until so many accepted facts are told."""
    headers = {"Accept": "text/event-stream"}
    while len(told) < count:
        with (
            suppress(httpx.TransportError),
            server.client() as http,
            http.stream("GET", "/v1/entries", headers=headers) as response,
        ):
            event: dict[str, str] = {}
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                event[name] = value
                if line:
                    continue
                if "id" in event:  # which came whole
                    headers["Last-Event-ID"] = event["id"]
                told += accepted([json.loads(event["data"])] if "data" in event else [])
                event = {}
                if len(told) == count:
                    return


def asked(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """What a server answers, which closes its connections once to begin anew."""
    while True:
        with suppress(httpx.TransportError):
            return ask()


def accepted(entries: list[dict[str, Any]]) -> list[str]:
    """The ids of the facts that entries accepted, in order."""
    return sorted(entry["id"] for entry in entries if entry["outcome"] == "accepted")


WAIT = {"Prefer": "wait=30"}


def epochs_of(place: str) -> list[int]:
    """How often each partition has got another owner."""
    ledger: Any = open_ledger(place)
    found = [
        ledger.topology.server_of(p).rows("", f"SELECT epoch FROM {ledger.topology.schema_of(p)}.shard")[0][0]
        for p in range(8)
    ]
    ledger.close()
    return found


def test_what_others_feed_while_it_serves_is_decided_by_the_server(place: str, tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "facts.ndjson", [grant(f"f-{n}", f"g-{n}", 5) for n in range(40)])
    with served(tmp_path / "beside", "--workers", "2", database=place) as server, server.client() as http:
        until_ready(server)
        epochs = epochs_of(place)
        ledger = open_ledger(place)
        from consumers.runtime.ingest import ingest

        summary = ingest(ledger, [str(facts)], backlog=False)
        assert (summary.facts, summary.tally.accepted) == (40, 40)
        assert epochs_of(place) == epochs, "nobody was fenced"
        ledger.close()
        assert http.get("/v1/members/f-7").json()["points"]["beans"]["spendable"] == 5
        assert run(["--ledger", place, "programme", "publish", str(a_later_book(tmp_path)), "--by", "li"]) == 0
        for _ in range(8):  # whichever worker answers
            with server.client() as again:
                versions = again.get("/v1/programmes").json()["versions"]
                assert len(versions) == 2
        assert epochs_of(place) == epochs


def test_a_draft_is_tried_approved_and_published(place: str, tmp_path: Path) -> None:
    ledger = open_ledger(place)
    from consumers.runtime.ingest import ingest

    ingest(ledger, [str(write_facts(tmp_path / "facts.ndjson", [grant("m-1", "g-1", 5)]))], backlog=False)
    ledger.close()
    beside = tmp_path / "beside"
    beside.mkdir()
    keys = [new_key(beside, name, "operate", "books:read") for name in ("ann", "bob")]
    with served(beside, database=place) as server, server.client(keys[0]) as ann, server.client(keys[1]) as bob:
        until_ready(server)
        toml = a_later_book(tmp_path).read_text(encoding="utf-8")
        kept = ann.post("/v1/drafts", json={"toml": toml, "file": "later.toml"})
        assert kept.status_code == 201, kept.text
        at = f"/v1/drafts/{kept.json()['draft']}"
        assert ann.post(f"{at}/backtest", json={}).status_code == 202
        until = time.monotonic() + 60
        while (run := ann.get(f"{at}/backtest").json()["run"])["state"] in ("waiting", "running"):
            assert time.monotonic() < until, run
            time.sleep(0.1)
        assert run["state"] == "done", run
        assert ann.post(f"{at}/handing-in", json={"reason": "spring"}).status_code == 200
        assert bob.post(f"{at}/approval").json()["state"] == "approved"
        dated = {"from": "2026-01-01", "past": True}
        assert ann.post(f"{at}/publication", json=dated).json()["state"] == "published"
        assert len(ann.get("/v1/programmes").json()["versions"]) == 2


def a_later_book(folder: Path) -> Path:
    from ledger.rulebook.schema import shipped

    path = folder / "later.toml"
    path.write_text(shipped("jd").replace("from = 2017-09-14", "from = 2026-01-01", 1), encoding="utf-8")
    return path


def test_a_database_that_is_away_turns_facts_away_until_it_is_back(own_postgres: OwnServer, tmp_path: Path) -> None:
    place = own_postgres.address
    migrate(place, partitions=PARTITIONS)
    with served(tmp_path / "beside", database=place) as server, server.client() as http:
        until_ready(server)
        assert http.post("/v1/facts", json=grant("d-1", "g-1", 5), headers=WAIT).status_code == 200
        own_postgres.kill()
        away = http.post("/v1/facts", json=grant("d-1", "g-2", 5), headers=WAIT)
        assert (away.status_code, away.json()["type"]) == (503, "/problems/busy") and away.headers["retry-after"]
        assert http.get("/health/ready").status_code == 503 and http.get("/health/live").status_code == 200
        own_postgres.start()
        while http.post("/v1/facts", json=grant("d-1", "g-2", 5), headers=WAIT).status_code == 503:
            time.sleep(0.1)
        assert http.get("/v1/members/d-1").json()["points"]["beans"]["spendable"] == 10
        until_ready(server)
    is_whole(place).close()


def test_what_will_not_do_is_refused_with_the_way_out(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POINTS_FOLDER", raising=False)
    for command in (["serve"], ["demo"]):
        assert run(["--ledger", place, *command]) == errors.WRONG_USE
        assert "give --folder DIR, or set POINTS_FOLDER" in capsys.readouterr().err
    assert run(["--ledger", place, "keys", "new", "a", "--scope", "operate"]) == 0
    ledger = open_ledger(place)
    assert ledger.settings.stream == OPEN, "no key feeds anything"
    ledger.close()
