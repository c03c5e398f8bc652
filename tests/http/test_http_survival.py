"""What the API survives: many at once, slow and broken connections, kill -9; and that it decides as files do."""

import asyncio
import json
import re
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import pytest

from benchmarks.load import Connection, request
from consumers.runtime.ingest import ingest
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger, open_or_create
from projections.audit.replay import replay
from projections.audit.verify import verify
from service.http import limits
from service.http.bounds import Bounds
from service.http.limits import Limits
from service.http.places import Who
from tests.cli.test_cli import points
from tests.support.accounts import alike
from tests.support.histories import LONG_AGO, encode
from tests.support.ledgers import histories_of, scratch, write_facts
from tests.support.served import NDJSON, Fact, Server, grant, ndjson, redemption, served

FAR = 4_000_000_000_000_000


@pytest.fixture
def place() -> Iterator[Path]:
    with scratch() as folder:
        yield folder


@pytest.fixture(scope="module")
def calm() -> Iterator[Server]:
    """A server that nobody kills."""
    with scratch() as folder, served(folder / "ledger") as server:
        yield server


def is_whole(folder: Path) -> Ledger:
    """The ledger of a server that ended, whose chain and decisions are as they should be."""
    ledger = open_ledger(folder)
    assert verify(ledger)["broken"] == []
    assert replay(ledger)["differences"] == []
    return ledger


def test_of_two_hundred_redemptions_at_once_exactly_the_affordable_win(place: Path) -> None:
    async def ask(host: str, port: int, one: Fact) -> tuple[int, Fact]:
        connection = await Connection(host, port).open()
        status, body = await connection.ask(request("POST", "/v1/redemptions", encode(one)))
        return status, json.loads(body)

    async def ask_all(host: str, port: int) -> list[tuple[int, Fact]]:
        asked = [redemption("m-1", f"r-{n}", 100) for n in range(200)]
        # half of them twice, as an impatient client would
        return await asyncio.gather(*(ask(host, port, one) for one in [*asked, *asked[:100]]))

    with served(place / "ledger", "--wait", "30") as server, server.client() as http:
        assert http.post("/v1/facts", json=grant("m-1", "g-1", 7_050)).status_code == 200
        host, port = server.url.removeprefix("http://").split(":")
        answers = asyncio.run(ask_all(host, int(port)))
        won = {answer["id"] for status, answer in answers if status == 200}
        lost = [answer["reason"] for status, answer in answers if status == 409]
        assert len(won) == 70 and {status for status, _ in answers} == {200, 409}
        assert set(lost) == {"beans-short"}
        assert http.get("/v1/members/m-1").json()["points"]["beans"]["spendable"] == 50
        first: dict[int, int] = {}
        for (status, _), name in zip(answers, [*range(200), *range(100)], strict=True):
            assert first.setdefault(name, status) == status
    ledger = is_whole(place / "ledger")
    account = ledger.account("m-1", FAR // 2)
    # the grant, a redemption each, and of those asked again at most the ones that were not decided yet by then
    assert account is not None and 201 <= account.number <= 301
    ledger.close()


def test_what_was_acknowledged_is_there_once_after_kill_nine(place: Path) -> None:
    acknowledged: dict[str, int] = {}
    given: list[dict[str, object]] = []

    def give(server: Server, worker: int) -> None:
        with server.client() as http:
            for n in range(10_000):
                fact = grant(f"m-{worker}", f"g-{server.process.pid}-{worker}-{n}", 1)
                given.append(fact)
                try:
                    response = http.post("/v1/facts", json=fact, headers={"Prefer": "wait=0"} if n % 2 else {})
                except httpx.TransportError:
                    return
                assert response.status_code in (200, 202)
                acknowledged[str(fact["id"])] = worker

    for _ in range(3):
        server = Server(place / "ledger")
        threads = [threading.Thread(target=give, args=(server, worker)) for worker in range(6)]
        before = len(acknowledged)
        for thread in threads:
            thread.start()
        while len(acknowledged) < before + 150:
            time.sleep(0.01)
        server.kill()
        for thread in threads:
            thread.join()
    with served(place / "ledger") as server, server.client() as http:
        while http.get("/health/ready").status_code != 200:
            time.sleep(0.05)
        again = [http.post("/v1/facts", json=fact).json() for fact in given if fact["id"] in acknowledged]
        assert len(again) == len(acknowledged) and all(answer.get("repeated") for answer in again)
        lines = http.post("/v1/facts:bulk?outcomes=true", content=ndjson(given), headers=NDJSON).content.splitlines()
        assert {(json.loads(line)["outcome"], json.loads(line)["reason"]) for line in lines} == {("accepted", "")}
    ledger = is_whole(place / "ledger")
    for worker in range(6):
        account = ledger.account(f"m-{worker}", FAR // 2)
        assert account is not None
        wanted = len([fact for fact in given if fact["subject"] == f"m-{worker}"])
        assert account.purse("beans").issued == wanted
    ledger.close()


def test_a_connection_that_breaks_in_a_bulk_upload_loses_nothing_that_was_acknowledged(calm: Server) -> None:
    facts = [grant("b-1", f"g-{n}", 1) for n in range(6_000)]
    body = ndjson(facts)
    server = calm
    with server.client() as http:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 30) as wire:
            head = f"POST /v1/facts:bulk HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-ndjson\r\n"
            wire.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[: len(body) // 2 + 7])
        told = http.post("/v1/facts:bulk?outcomes=true", content=body, headers=NDJSON).content.splitlines()
        assert len(told) == len(facts)
        assert {json.loads(line)["reason"] for line in told} <= {"", "duplicate"}
        assert http.get("/v1/members/b-1").json()["points"]["beans"]["spendable"] == len(facts)
        # the line that was cut off was not taken for a fact
        assert http.get("/v1/stats").json()["entries"]["ignored"] < len(facts) // 2 + 1
    is_whole(server.folder).close()


def test_a_body_that_is_too_large_is_turned_away_before_or_while_it_is_read(calm: Server) -> None:
    server = calm
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /v1/facts:bulk HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-ndjson\r\n"
    with socket.create_connection((host, int(port)), 30) as wire:
        wire.sendall(f"{head}Content-Length: {1 << 40}\r\n\r\n".encode())
        assert wire.recv(12) == b"HTTP/1.1 413"
    with socket.create_connection((host, int(port)), 30) as wire:
        wire.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        try:
            for _ in range(80):
                wire.sendall(chunk)
            answer = wire.recv(12)
        except OSError:  # it was closed while we were still sending
            answer = b"HTTP/1.1 413"
        assert answer == b"HTTP/1.1 413"
    with socket.create_connection((host, int(port)), 30) as wire:
        wire.sendall(b"this is not HTTP\r\n\r\n")
        answer = wire.recv(4_096)
        assert answer.startswith(b"HTTP/1.1 400") and b"application/problem+json" in answer
    with server.client() as http:
        assert http.get("/health/ready").status_code == 200


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limit of a running process is set on Linux only")
def test_a_full_disk_turns_facts_away_and_they_are_taken_once_there_is_room(place: Path) -> None:
    members = [f"m-{number}" for number in range(16)]  # some in each partition
    with served(place / "ledger") as server, server.client() as http:
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (300_000, limits[1]))
        acknowledged, n, is_ready, turned_away = set(), 0, True, None
        while (is_ready or turned_away is None) and n < 6_000:  # one file is full before another
            member = members[n % len(members)]
            response = http.post("/v1/facts", json=grant(member, f"g-{n}", 1))
            assert response.status_code in (200, 202, 503), response.text
            if response.status_code == 503:
                turned_away = response
            else:
                acknowledged.add((member, n))
            is_ready = http.get("/health/ready").status_code == 200
            n += 1
        assert turned_away is not None and turned_away.headers["retry-after"] and not is_ready
        assert http.get("/v1/members/m-1").status_code == 200  # reading goes on
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
        for member in members:
            while http.post("/v1/facts", json=grant(member, f"after-{member}", 1)).status_code != 200:
                time.sleep(0.1)
        while http.get("/health/ready").status_code != 200:
            time.sleep(0.1)
    ledger = is_whole(place / "ledger")
    assert len({ledger.partition_of(member) for member in members}) == len(ledger.partitions)
    for at, member in enumerate(members):
        account = ledger.account(member, FAR // 2)
        kept = sum(one == member for one, _ in acknowledged) + 1
        assert account is not None and kept <= account.number <= len(range(at, n, len(members))) + 1
        assert account.purse("beans").issued == account.number
    ledger.close()


def test_a_slow_client_is_given_up_and_disturbs_nobody() -> None:
    """The bound itself, in no time: the body's next piece never comes."""

    async def app(_scope: object, receive: object, _send: object) -> None:
        await receive()  # type: ignore[operator]

    async def never() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    async def send(_: dict[str, object]) -> None:
        pass

    async def ask() -> None:
        scope = {"type": "http", "path": "/v1/facts", "method": "POST", "headers": []}
        with pytest.raises(limits.Problem) as raised:
            await Limits(app, lambda _: Who("k", True), Bounds(), slow=0.01)(scope, never, send)  # type: ignore[arg-type]
        assert raised.value.name == "too-slow"

    asyncio.run(ask())


def test_an_upload_that_breaks_off_is_counted_and_no_bug(calm: Server) -> None:
    host, port = calm.url.removeprefix("http://").split(":")
    facts = ndjson([grant("m-2", f"g-{number}", 1) for number in range(1_500)])
    head = f"POST /v1/facts:bulk HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NDJSON['Content-Type']}\r\n"
    counted = re.compile(r'points_http_requests_total{method="POST",route="/v1/facts:bulk",status="400"} (\d+)')
    with calm.client() as http:

        def cut_off() -> int:
            return sum(map(int, counted.findall(http.get("/metrics").text)))

        before = cut_off()
        for _ in range(2):
            with socket.create_connection((host, int(port)), 30) as wire:
                wire.sendall(f"{head}Content-Length: {2 * len(facts)}\r\n\r\n".encode() + facts)
        deadline = time.monotonic() + 100
        while cut_off() < before + 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert cut_off() == before + 2
    assert "Traceback" not in calm.log.read_text()


def test_half_open_connections_disturb_nobody(calm: Server) -> None:
    server = calm
    host, port = server.url.removeprefix("http://").split(":")
    open_ones = [socket.create_connection((host, int(port)), 30) for _ in range(60)]
    for number, wire in enumerate(open_ones):
        wire.sendall(b"POST /v1/facts HTTP/1.1\r\nHost: x" if number % 2 else b"GET /v1/stats HTTP/1.1\r\n")
    with server.client() as http:
        assert http.post("/v1/facts", json=grant("m-1", "g-1", 1)).status_code == 200
    for wire in open_ones:
        wire.close()


def test_headers_without_end_are_not_held(calm: Server) -> None:
    host, port = calm.url.removeprefix("http://").split(":")
    for piece in (b"x" * 65_536, b"a: b\r\n" * 10_000):
        endless = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Long: " + piece * 500  # 32 MB
        with socket.create_connection((host, int(port)), 30) as wire, pytest.raises(ConnectionError):
            wire.sendall(endless)
    with calm.client() as http:
        assert http.get("/health/live").status_code == 200


def test_facts_by_http_and_by_file_give_the_same_ledger(place: Path) -> None:
    facts = histories_of(Random(11), members=12, length=60, start=LONG_AGO)
    facts = [fact for fact in facts if fact["type"] != "points.adjusted.v1"]  # which need two keys over HTTP
    # each once: what is posted again over HTTP makes no entry, and in a file it makes one
    facts = list({(fact["subject"], fact["source"], fact["id"], encode(fact)): fact for fact in facts}.values())
    by_file = open_or_create(place / "file")
    with by_file.writing():
        ingest(by_file, [str(write_facts(place / "facts.ndjson", facts))], backlog=False)
    with served(place / "http") as server, server.client() as http:
        half = len(facts) // 2
        told = http.post("/v1/facts:bulk?outcomes=true", content=ndjson(facts[:half]), headers=NDJSON)
        assert len(told.content.splitlines()) == half
        for fact in facts[half : half + 200]:
            http.post("/v1/facts", content=encode(fact), headers={"Content-Type": "application/json"})
        first = list({(fact["subject"], fact["source"], fact["id"]): fact for fact in reversed(facts[:half])}.values())
        again = http.post("/v1/facts:bulk?outcomes=true", content=ndjson(first), headers=NDJSON)
        assert len(again.content.splitlines()) == len(first)
        http.post("/v1/facts:bulk?outcomes=true", content=ndjson(facts[half + 200 :]), headers=NDJSON)
    by_http = is_whole(place / "http")
    accounts = [{m: alike(account) for m, account in ledger.accounts(FAR // 2)} for ledger in (by_file, by_http)]
    assert accounts[0] == accounts[1] and len(accounts[0]) == 12
    for partition in by_file.partitions:
        heads = [ledger.journal(partition).head() for ledger in (by_file, by_http)]
        assert heads[0].entries == heads[1].entries
    by_file.close()
    by_http.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_orderly_end_leaves_no_logs_of_sqlite_beside_the_files(place: Path, workers: str) -> None:
    folder = place / "ledger"

    def logs() -> list[str]:
        return sorted(path.name for end in ("-wal", "-shm") for path in place.rglob(f"*{end}"))

    with served(folder, "--workers", workers, views=True) as server:
        with server.client() as client:
            assert client.post("/v1/facts:bulk", content=ndjson([grant("m-1", "g-1", 10)]), headers=NDJSON).is_success
            assert client.get("/console").is_success and logs(), "while it runs there are some"
        for command in (["rebuild", "liability"], ["compare", "liability"], ["switch", "liability"]):
            points("--ledger", folder, "views", *command)
    assert logs() == []
    for command in (
        ["backup", place / "copy"],
        ["replay", "--from-topic"],
        ["views", "list"],
        ["dead-letters", "list"],
    ):
        assert points("--ledger", folder, *command).code == 0
        assert logs() == [], command
