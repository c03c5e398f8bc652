"""`points serve` over PostgreSQL by several processes: they decide as one does, take over from each other, share who
may do what, and lose nothing when one is killed.
"""

import asyncio
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import pytest

from benchmarks.load import Connection, request
from consumers.inboxes import open_inbox
from ledger.journal.database import migrate
from ledger.journal.ledger import OPEN, Ledger
from projections.replay import replay
from projections.verify import verify
from service import errors
from service.cli import run
from service.client import PointsClient, Refused
from service.keys import Keys
from tests.contents import journals
from tests.databases import OwnServer, _is_alive
from tests.histories import LONG_AGO, encode
from tests.ledgers import histories_of, write_facts
from tests.served import JSON, NDJSON, Fact, Server, fact, grant, ndjson, new_key, redemption, served

PARTITIONS = 8
FAR = 2_000_000_000_000_000


@pytest.fixture
def place(postgres: str) -> str:
    migrate(postgres, partitions=PARTITIONS)
    return postgres


def is_whole(place: str) -> Ledger:
    """The ledger of servers that ended: its chain and decisions are as they should be, and follow from its inbox."""
    ledger = Ledger.open(place)
    assert verify(ledger)["broken"] == []
    assert replay(ledger, from_topic=True)["differences"] == []
    return ledger


def until_ready(server: Server) -> None:
    """Wait until all that was there is decided, whichever worker is asked."""
    for _ in range(10):
        with server.client() as http:
            while http.get("/health/ready").status_code != 200:
                time.sleep(0.05)


# -- the same decisions ----------------------------------------------------------------------------------------------


def test_http_into_postgres_decides_as_files_into_a_folder_leaf_by_leaf(place: str, tmp_path: Path) -> None:
    facts = histories_of(Random(41), members=10, length=40, start=LONG_AGO)
    facts = [one for one in facts if one["type"] != "points.adjusted.v1"]  # which need two keys over HTTP
    with served(tmp_path / "beside", "--workers", "2", database=place) as server, server.client() as http:
        half = len(facts) // 2
        told = http.post("/v1/facts:bulk?outcomes=true", content=ndjson(facts[:half]), headers=NDJSON)
        assert len(told.content.splitlines()) == half
        for one in facts[half : half + 20]:
            assert http.post("/v1/facts", content=encode(one), headers=JSON).status_code == 200
        http.post("/v1/facts:bulk?outcomes=true", content=ndjson(facts[half + 20 :]), headers=NDJSON)
    by_http = is_whole(place)
    in_folder = as_in_a_folder(by_http, tmp_path / "ledger")
    assert journals(by_http) == journals(in_folder)
    assert sum(by_http.journal(p).head().entries for p in by_http.partitions) == len(facts)
    by_http.close()
    in_folder.close()


def as_in_a_folder(ledger: Ledger, folder: Path) -> Ledger:
    """The records of a ledger's inbox, decided by one in a folder: same partitions, same recorded."""
    from consumers.inbox import Line
    from consumers.ingest import decide_all
    from ledger.journal.ledger import Settings

    made = Ledger.open_or_create(folder, settings=Settings(PARTITIONS))
    theirs, ours = open_inbox(ledger), open_inbox(made, feeding=True)
    for partition in ledger.partitions:
        records = map(msgspec.structs.astuple, theirs.read(partition, -1, 100_000))
        ours.append([Line(partition, *record[1:7]) for record in records])
    with made.writing():
        decide_all(made, ours)
    return made


# -- one is killed ---------------------------------------------------------------------------------------------------


def test_a_worker_killed_while_redemptions_run_loses_and_doubles_nothing(place: str, tmp_path: Path) -> None:
    won: dict[str, int] = {}
    lost: set[str] = set()
    decided = threading.Semaphore(0)
    at = datetime.now(UTC) - timedelta(seconds=1)

    def redeem(server: Server, shopper: int) -> None:
        with PointsClient(server.url, attempts=30, timeout=10) as points:
            for n in range(60):
                name = f"r-{shopper}-{n}"
                try:
                    told = points.redeem(f"k-{shopper}", name, 10, use="coupon", source="/shop", at=at, wait=10)
                    won[name] = getattr(told, "number", 0)
                except Refused:
                    lost.add(name)
                decided.release()

    with served(tmp_path / "beside", "--workers", "2", database=place) as server, server.client() as http:
        for shopper in range(6):
            assert http.post("/v1/facts", json=grant(f"k-{shopper}", f"g-{shopper}", 405)).status_code == 200
        threads = [threading.Thread(target=redeem, args=(server, shopper)) for shopper in range(6)]
        for thread in threads:
            thread.start()
        for _ in range(60):
            decided.acquire()
        os.kill(server.processes[0], signal.SIGKILL)
        for thread in threads:
            thread.join()
        assert "is started again" in server.log.read_text()
        assert (len(won), len(lost)) == (6 * 40, 6 * 20)
    ledger = is_whole(place)
    for shopper in range(6):
        account = ledger.account(f"k-{shopper}", FAR)
        assert account is not None and account.number >= 61  # what was sent again is there as a duplicate
        assert (account.purse("beans").issued, account.purse("beans").redeemed) == (405, 400)
    ledger.close()


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
            assert Ledger.open(place).partition_of("s-1") in moved
            assert http.get("/v1/members/s-1").json()["points"]["beans"]["spendable"] == 40
    is_whole(place).close()


WAIT = {"Prefer": "wait=30"}


def epochs_of(place: str) -> list[int]:
    """How often each partition has got another owner."""
    ledger: Any = Ledger.open(place)
    found = [ledger.server_of(p).rows("", f"SELECT epoch FROM {ledger.schema_of(p)}.shard")[0][0] for p in range(8)]
    ledger.close()
    return found


def test_what_others_feed_while_it_serves_is_decided_by_the_server(place: str, tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "facts.ndjson", [grant(f"f-{n}", f"g-{n}", 5) for n in range(40)])
    with served(tmp_path / "beside", "--workers", "2", database=place) as server, server.client() as http:
        until_ready(server)
        epochs = epochs_of(place)
        ledger = Ledger.open(place)
        from consumers.ingest import ingest

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


def a_later_book(folder: Path) -> Path:
    from ledger.programme import shipped

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


def test_workers_end_with_the_process_that_began_them(place: str, tmp_path: Path) -> None:
    server = Server(tmp_path / "beside", "--workers", "2", database=place)
    server.kill()
    while any(_is_alive(process) for process in server.processes):
        time.sleep(0.05)


# -- what the workers share ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(postgres_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """Two workers, and keys."""
    address = postgres_server.database()
    migrate(address, partitions=PARTITIONS)
    folder = tmp_path_factory.mktemp("beside")
    keys = {
        "shop": new_key(folder, "shop", "facts:write", "members:read"),
        "gone": new_key(folder, "gone", "members:read", "books:read"),
        "ann": new_key(folder, "ann", "operate", "members:read"),
        "bob": new_key(folder, "bob", "operate", "books:read"),
    }
    with served(folder, "--workers", "2", database=address) as server:
        yield server, keys
    is_whole(address).close()
    postgres_server.drop(address)


def at_each(server: Server, key: str | None = None) -> Iterator[httpx.Client]:
    """Connections of their own, so many that each worker has some of them."""
    for _ in range(12):
        with server.client(key) as http:
            yield http


def test_of_two_hundred_redemptions_over_two_workers_exactly_the_affordable_win(
    shared: tuple[Server, dict[str, str]],
) -> None:
    server, keys = shared

    async def ask(host: str, port: int, one: Fact) -> tuple[int, Fact]:
        connection = await Connection(host, port).open()
        head, _, body = request("POST", "/v1/redemptions", encode(one)).partition(b"\r\n\r\n")
        more = f"\r\nAuthorization: Bearer {keys['shop']}\r\nPrefer: wait=30\r\n\r\n".encode()
        status, answer = await connection.ask(head + more + body)
        return status, json.loads(answer)

    async def ask_all(host: str, port: int) -> list[tuple[int, Fact]]:
        asked = [redemption("w-1", f"w-{n}", 100) for n in range(200)]
        return await asyncio.gather(*(ask(host, port, one) for one in [*asked, *asked[:50]]))

    with server.client(keys["shop"]) as http:
        assert http.post("/v1/facts", json=grant("w-1", "w-g", 7_050), headers=WAIT).status_code == 200
        host, port = server.url.removeprefix("http://").split(":")
        answers = asyncio.run(ask_all(host, int(port)))
        assert {status for status, _ in answers} == {200, 409}
        assert len({answer["id"] for status, answer in answers if status == 200}) == 70
        assert {answer["reason"] for status, answer in answers if status == 409} == {"beans-short"}
        assert http.get("/v1/members/w-1").json()["points"]["beans"]["spendable"] == 50
        assert http.get("/v1/members/w-1").json()["entries"] == 251


def test_a_key_that_is_revoked_opens_nothing_at_any_worker(shared: tuple[Server, dict[str, str]]) -> None:
    server, keys = shared
    clients = [server.client(keys["gone"]) for _ in range(12)]  # they stay connected, each to its worker
    assert {http.get("/v1/members/nobody").status_code for http in clients} == {404}
    Keys(server.folder).revoke("gone")
    assert {http.get("/v1/members/nobody").status_code for http in clients} == {401}
    for http in clients:
        http.close()


def test_an_adjustment_is_proposed_at_one_worker_and_approved_at_another(shared: tuple[Server, dict[str, str]]) -> None:
    server, keys = shared
    asked = {"member": "a-1", "points": 40, "reason": "goodwill", "kind": "beans"}
    with server.client(keys["ann"]) as http:
        names = [http.post("/v1/adjustments", json=asked).json()["adjustment"] for _ in range(6)]
    for http in at_each(server, keys["ann"]):
        assert {one["adjustment"] for one in http.get("/v1/adjustments").json()["adjustments"]} >= set(names)
        assert http.post(f"/v1/adjustments/{names[0]}/approval").status_code == 403
    for name, http in zip(names, at_each(server, keys["bob"]), strict=False):
        assert http.post(f"/v1/adjustments/{name}/approval", headers=WAIT).json()["outcome"] == "accepted"
    for http in at_each(server, keys["ann"]):
        assert http.get("/v1/members/a-1").json()["points"]["beans"]["spendable"] == 240
    lines = [json.loads(one) for one in (server.folder / "operators.ndjson").read_text().splitlines()]
    assert [line["action"] for line in lines] == ["propose"] * 6 + ["approve"] * 6


def test_a_session_holds_at_every_worker_until_it_is_ended_at_one(shared: tuple[Server, dict[str, str]]) -> None:
    server, keys = shared
    with server.client() as http:
        form = token_of(http.get("/console/sign-in").text)
        signed = http.post("/console/sign-in", data={"form_token": form, "key": keys["bob"], "back": "/console"})
        cookie = {"Cookie": f"points-session={signed.cookies['points-session']}"}
    seen = ""
    for http in at_each(server):
        home = http.get("/console", headers=cookie)
        assert home.status_code == 200 and http.get("/console/dead-letters", headers=cookie).status_code == 200
        seen = token_of(home.text)
    with server.client() as http:
        assert http.post("/console/sign-out", data={"form_token": seen}, headers=cookie).status_code == 303
    for http in at_each(server):
        assert http.get("/console", headers=cookie).status_code == 303


def token_of(page: str) -> str:
    found = re.search(r'name="form_token" value="(\w+)"', page)
    assert found
    return found[1]


def test_a_position_and_the_metrics_are_the_same_at_every_worker(shared: tuple[Server, dict[str, str]]) -> None:
    server, keys = shared
    posted = 0
    for n, http in enumerate(at_each(server, keys["shop"])):
        answer = http.post("/v1/facts", json=grant(f"p-{n}", f"p-{n}", 1), headers=WAIT)
        assert answer.status_code == 200
        posted += 1
    for http in at_each(server, keys["shop"]):
        told = http.get(f"/v1/facts/{answer.json()['position']}")
        assert (told.status_code, told.json()["id"]) == (200, f"p-{posted - 1}")
        assert http.get("/v1/facts/0:9999").status_code == 404
    for http in at_each(server, keys["bob"]):
        text = http.get("/metrics").text
        (appended,) = re.findall(r"^points_facts_appended_total (\S+)", text, re.MULTILINE)
        assert float(appended) >= posted
        assert len(re.findall(r"^points_position\{", text, re.MULTILINE)) == PARTITIONS
        positions = http.get("/v1/positions").json()["partitions"]
        assert sum(one["end"] + 1 for one in positions) >= posted and {one["lag"] for one in positions} == {0}


def test_a_parked_fact_is_mended_at_any_worker(shared: tuple[Server, dict[str, str]]) -> None:
    server, keys = shared
    late = fact("campaign.granted", "l-1", "late", {"grant": "late", "campaign": "c", "points": 5}, ago=-400)
    ledger = Ledger.open(place_of(server))
    from consumers.files import Feeder, RawLine
    from consumers.inbox import Line

    inbox = open_inbox(ledger)
    batch: list[Line] = []
    Feeder(inbox, (), backlog=False).route(RawLine(encode(late)), batch)
    ((partition, offset),) = inbox.append(batch)
    ledger.close()
    with server.client(keys["bob"]) as http:
        while not http.get("/v1/dead-letters").json()["letters"]:
            time.sleep(0.05)
        assert http.delete(f"/v1/dead-letters/{partition}:{offset}").status_code == 200
    for http in at_each(server, keys["ann"]):
        assert http.get("/v1/dead-letters").json()["letters"] == []


def place_of(server: Server) -> str:
    """The address that a server was given."""
    found: str = server.process.args[server.process.args.index("--ledger") + 1]  # type: ignore[union-attr,index]
    return found


# -- refused ---------------------------------------------------------------------------------------------------------


def test_what_will_not_do_is_refused_with_the_way_out(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POINTS_FOLDER", raising=False)
    for command in (["serve"], ["keys", "list"], ["keys", "new", "a", "--scope", "operate"], ["demo"]):
        assert run(["--ledger", place, *command]) == errors.WRONG_USE
        assert "give --folder DIR, or set POINTS_FOLDER" in capsys.readouterr().err
    assert run(["--ledger", str(tmp_path / "ledger"), "serve", "--workers", "2"]) == errors.WRONG_USE
    assert "served by one process, which holds its lock; several need one in PostgreSQL" in capsys.readouterr().err
    monkeypatch.setenv("POINTS_FOLDER", str(tmp_path / "beside"))
    assert run(["--ledger", place, "keys", "new", "a", "--scope", "operate"]) == 0
    assert (tmp_path / "beside" / "keys.db").exists()
    ledger = Ledger.open(place)
    assert ledger.settings.stream == OPEN, "no key feeds anything"
    ledger.close()
