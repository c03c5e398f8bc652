"""`points serve --workers`, over a ledger of either store: the workers decide as one does, share who may do what, and
lose nothing when one is killed.
"""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing import Pipe
from multiprocessing.connection import Connection as PipeEnd
from multiprocessing.connection import Listener
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

import httpx
import msgspec
import pytest

from benchmarks.load import Connection, request
from consumers.local.open import open_inbox
from ledger.journal.database import migrate
from ledger.journal.ledger import Ledger, Settings
from ledger.journal.open import open_ledger, open_or_create
from ledger.rulebook.schema import shipped
from points_client import Client, Refused
from service.http import owners as owning
from service.http import state, supervised
from service.http.channels import Channel, OwnersServer, RemoteOwners, Share
from service.http.dispatcher import Dispatcher, connection_pair, pass_on
from service.http.handlers.facts import decided
from service.http.metrics import SHARED
from service.http.operator_log import operator_log_of
from service.http.owners import OwnersState, owners_of
from service.http.pending import Abandoned, Message
from service.http.shared_folder import shared_folder
from service.http.state import serving
from service.keys import keys_of
from tests.support.contents import journals
from tests.support.databases import _is_alive
from tests.support.histories import LONG_AGO, encode
from tests.support.ledgers import histories_of
from tests.support.served import (
    JSON,
    NDJSON,
    ROOT,
    Fact,
    Server,
    environment,
    fact,
    grant,
    is_whole,
    ndjson,
    new_key,
    owner_processes,
    points,
    redemption,
    served,
    until,
)

T = TypeVar("T")
PARTITIONS = 8
FAR = 2_000_000_000_000_000
WAIT = {"Prefer": "wait=30"}


class Home(NamedTuple):
    """Where a ledger is: in a folder, or in a database, with the folder beside it."""

    folder: Path
    database: str = ""

    @property
    def place(self) -> str:
        return self.database or str(self.folder)

    @contextmanager
    def served(self) -> Iterator[Server]:
        """By two workers."""
        with served(self.folder, "--workers", "2", database=self.database) as server:
            yield server


def made(folder: Path, database: str = "") -> Home:
    if database:
        migrate(database, partitions=PARTITIONS)
    else:
        open_or_create(folder, settings=Settings(PARTITIONS)).close()
    return Home(folder, database)


@pytest.fixture(params=["folder", "database"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return made(tmp_path / "served", request.getfixturevalue("postgres") if request.param == "database" else "")


# -- the same decisions ----------------------------------------------------------------------------------------------


def test_two_workers_decide_as_one_process_does_leaf_by_leaf(home: Home, tmp_path: Path) -> None:
    facts = histories_of(Random(41), members=10, length=40, start=LONG_AGO)
    facts = [one for one in facts if one["type"] != "points.adjusted.v1"]  # which need two keys over HTTP
    with home.served() as server, server.client() as http, server.client() as another:  # one at each worker
        half = len(facts) // 2
        told = http.post("/v1/facts:bulk?outcomes=true", content=ndjson(facts[:half]), headers=NDJSON)
        assert len(told.content.splitlines()) == half
        for n, one in enumerate(facts[half : half + 20]):
            at = another if n % 2 else http
            assert at.post("/v1/facts", content=encode(one), headers=JSON).status_code == 200
        waits = "?outcomes=true" if home.database else ""  # of a folder all is decided before the server has ended
        http.post(f"/v1/facts:bulk{waits}", content=ndjson(facts[half + 20 :]), headers=NDJSON)
    by_http = is_whole(home.place)
    in_folder = as_by_one_process(by_http, tmp_path / "ledger")
    assert journals(by_http) == journals(in_folder)
    entries = sum(by_http.journal(p).head().entries for p in by_http.partitions)
    posted = {(one["subject"], one["source"], one["id"]) for one in facts}
    assert len(posted) <= entries <= len(facts)  # what was decided already is answered from its receipt
    by_http.close()
    in_folder.close()


def as_by_one_process(ledger: Ledger, folder: Path) -> Ledger:
    """The records of a ledger's inbox, decided by one process in a folder: same partitions, same recorded."""
    from consumers.local.port import InboxLine
    from consumers.runtime.ingest import decide_all

    made = open_or_create(folder, settings=Settings(PARTITIONS))
    theirs, ours = open_inbox(ledger), open_inbox(made, feeding=True)
    for partition in ledger.partitions:
        records = map(msgspec.structs.astuple, theirs.read(partition, -1, 100_000))
        ours.append([InboxLine(partition, *record[1:7]) for record in records])
    with made.writing():
        decide_all(made)
    return made


# -- one is killed ---------------------------------------------------------------------------------------------------


def test_a_worker_killed_while_redemptions_run_loses_and_doubles_nothing(home: Home) -> None:
    redeem_while_one_is_killed(home, lambda server: server.processes[0])


def test_an_owner_process_killed_while_redemptions_run_loses_and_doubles_nothing(home: Home) -> None:
    redeem_while_one_is_killed(home, lambda server: owner_processes(server)[0])


def test_owners_decide_side_by_side_and_none_waits_for_one_that_is_stopped(home: Home) -> None:
    with home.served() as server, server.client() as http:
        until(lambda: http.get("/health/ready").status_code == 200)
        stopped, _ = owner_processes(server)
        os.kill(stopped, signal.SIGSTOP)
        given = [grant(f"s-{n}", f"g-{n}", 5) for n in range(400)]
        http.post("/v1/facts:bulk", content=ndjson(given), headers=NDJSON)
        until(lambda: sum(not lag for lag in lags(http)) == PARTITIONS // 2)
        its = {partition for partition, lag in enumerate(lags(http)) if lag}
        assert its in ({0, 2, 4, 6}, {1, 3, 5, 7}), "the other process decides all of its own"
        os.kill(stopped, signal.SIGCONT)
        until(lambda: not any(lags(http)))
    is_whole(home.place).close()


def lags(http: httpx.Client) -> list[int]:
    return [one["lag"] for one in http.get("/v1/positions").json()["partitions"]]


def redeem_while_one_is_killed(home: Home, victim: Callable[[Server], int]) -> None:
    won: dict[str, int] = {}
    lost: set[str] = set()
    decided = threading.Semaphore(0)
    at = datetime.now(UTC) - timedelta(seconds=1)

    def redeem(server: Server, shopper: int) -> None:
        with Client(server.url, attempts=30, timeout=10) as points:
            for n in range(60):
                name = f"r-{shopper}-{n}"
                try:
                    told = points.redeem(f"k-{shopper}", name, 10, use="coupon", source="/shop", at=at, wait=10)
                    won[name] = getattr(told, "number", 0)
                except Refused:
                    lost.add(name)
                decided.release()

    with home.served() as server, server.client() as http:
        for shopper in range(6):
            assert http.post("/v1/facts", json=grant(f"k-{shopper}", f"g-{shopper}", 405)).status_code == 200
        threads = [threading.Thread(target=redeem, args=(server, shopper)) for shopper in range(6)]
        for thread in threads:
            thread.start()
        for _ in range(60):
            decided.acquire()
        os.kill(victim(server), signal.SIGKILL)
        for thread in threads:
            thread.join()
        until(lambda: "is started again" in server.log.read_text())
        assert (len(won), len(lost)) == (6 * 40, 6 * 20)
    ledger = is_whole(home.place)
    for shopper in range(6):
        account = ledger.account(f"k-{shopper}", FAR)
        assert account is not None and account.number >= 61  # what was sent again is there as a duplicate
        assert (account.purse("beans").issued, account.purse("beans").redeemed) == (405, 400)
    ledger.close()


@pytest.mark.parametrize("home", ["database"], indirect=True)
def test_workers_end_with_the_process_that_began_them(home: Home) -> None:
    server = Server(home.folder, "--workers", "2", database=home.database)
    server.kill()
    while any(_is_alive(process) for process in server.processes):
        time.sleep(0.05)


# -- what the workers share ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["folder", "database"])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, dict[str, str]]]:
    """Two workers, and keys."""
    databases = request.getfixturevalue("postgres_server") if request.param == "database" else None
    folder = tmp_path_factory.mktemp("shared") / "served"
    home = made(folder, databases.database() if databases else "")
    folder.mkdir(exist_ok=True)
    keys = {
        "shop": new_key(folder, "shop", "facts:write", "members:read"),
        "gone": new_key(folder, "gone", "members:read", "books:read"),
        "ann": new_key(folder, "ann", "operate", "members:read"),
        "bob": new_key(folder, "bob", "operate", "books:read"),
        "publisher": new_key(folder, "publisher", "operate", "facts:write", "books:write"),
    }
    with home.served() as server:
        yield server, keys
    is_whole(home.place).close()
    if databases:
        databases.drop(home.database)


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
        # the grant, a redemption each, and of those asked again at most the ones that were not decided yet by then
        assert 201 <= http.get("/v1/members/w-1").json()["entries"] <= 251


def test_a_key_that_is_revoked_opens_nothing_at_any_worker(shared: tuple[Server, dict[str, str]]) -> None:
    server, keys = shared
    clients = [server.client(keys["gone"]) for _ in range(12)]  # they stay connected, each to its worker
    assert {http.get("/v1/members/nobody").status_code for http in clients} == {404}
    with closing(keys_of(server.place, server.folder)) as kept:
        kept.revoke("gone")
    if server.place != str(server.folder):  # there the workers look for news of keys twice a second
        until(lambda: all(http.get("/v1/members/nobody").status_code == 401 for http in clients))
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
    with closing(operator_log_of(server.place, server.folder)) as log:
        assert [(one.adjustment, one.by, one.state, one.decided_by) for one in log.adjustments()] == [
            (name, "ann", "approved", "bob") for name in reversed(names)
        ]


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
    ledger = open_ledger(place_of(server))
    from consumers.files.loader import router_into

    inbox = open_inbox(ledger)
    ((partition, offset),) = inbox.append(router_into(inbox, (), backlog=False).routed(encode(late)))
    ledger.close()
    with server.client(keys["bob"]) as http:
        while not http.get("/v1/dead-letters").json()["letters"]:
            time.sleep(0.05)
        assert http.delete(f"/v1/dead-letters/{partition}:{offset}").status_code == 200
    for http in at_each(server, keys["ann"]):
        assert http.get("/v1/dead-letters").json()["letters"] == []


def place_of(server: Server) -> str:
    """The folder or address that a server was given."""
    found: str = server.process.args[server.process.args.index("--ledger") + 1]  # type: ignore[union-attr,index]
    return found


def test_a_book_published_at_one_worker_is_known_at_each(shared: tuple[Server, dict[str, str]]) -> None:
    server, keys = shared
    clients = [server.client(keys["bob"]) for _ in range(12)]  # they stay connected, each to its worker
    assert {len(versions_at(http)) for http in clients} == {1}
    with server.client(keys["publisher"]) as http:
        assert http.post("/v1/facts", json=a_later_book(), headers=WAIT).status_code == 200
    for http in clients:
        until(lambda http=http: len(versions_at(http)) == 2)  # type: ignore[misc]
        http.close()


def versions_at(http: httpx.Client) -> list[Any]:
    found: list[Any] = http.get("/v1/programmes").json()["versions"]
    return found


# -- in a folder -----------------------------------------------------------------------------------------------------


def test_the_lock_is_the_workers_too_until_the_last_of_them_has_ended(tmp_path: Path) -> None:
    folder, empty = tmp_path / "served", tmp_path / "empty.ndjson"
    open_or_create(folder, settings=Settings(1)).close()
    empty.touch()
    server = Server(folder, "--workers", "2")
    for n, http in enumerate(at_each(server)):
        assert http.get("/health/ready").status_code == 200
        assert http.post("/v1/facts", json=grant("m-1", f"g-{n}", 5), headers=WAIT).status_code == 200
        assert http.get("/v1/members/m-1").json()["points"]["beans"]["spendable"] == 5 * (n + 1)
    for process in server.processes:
        os.kill(process, signal.SIGSTOP)
    try:
        server.process.kill()
        server.process.wait(60)
        assert server.process.pid not in server.processes
        for command in (["ingest", str(empty)], ["serve", "--port", "0", "--workers", "2"]):
            code, said = ended(folder, *command)
            assert code == 4 and f"is being written by process {server.process.pid} on" in said
    finally:
        for process in server.processes:
            os.kill(process, signal.SIGCONT)
    server.process.communicate(timeout=60)  # the workers write there too
    until(lambda: not any(map(_is_alive, server.processes)))
    assert ended(folder, "ingest", str(empty))[0] == 0
    is_whole(folder).close()


def ended(folder: Path, *command: str) -> tuple[int, str]:
    """How a command ends, and what it says."""
    done = subprocess.run([*points(folder), *command], env=environment(), capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def a_later_book() -> Fact:
    toml = shipped("jd").replace("from = 2017-09-14", "from = 2026-01-01", 1)
    return fact("programme.published", "programme", "later", {"toml": toml}, source="/operators")


class FrontEnd:
    """A front end in a thread of this process, with channels to its owners."""

    def __init__(self, folder: Path, share: Share) -> None:
        self._owners = RemoteOwners([share])
        self._ledger = open_ledger(folder)
        self._folder = folder
        self._there = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._there.wait(60)

    async def _serve(self) -> None:
        with serving(self._ledger, self._folder, 0, self._owners) as self.served:
            self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
            self._there.set()
            await self._ending.wait()
        self._ledger.close()

    def give(self, one: Fact) -> str:
        """Take a fact, and wait for its outcome."""
        _, told = self._ask(decided(self.served, encode(one), 60))
        return told.outcome if told else "nobody knows"

    def take(self, facts: list[Fact]) -> None:
        """Take facts, and wait for nothing."""

        async def submit() -> None:
            self.served.appender.submit([encode(one) for one in facts], waits=False)

        self._ask(submit())

    def versions(self) -> int:
        """Of the rule book, as the one thread knows them that reads histories."""
        return self._ask(self.served.histories.read(lambda ledger: len(ledger.book.versions)))

    def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(question, self._loop).result(90)

    def end(self) -> None:
        """End, and wait for it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join()


def threads_of_channels() -> set[threading.Thread]:
    """Those of channels, which must not go on through other tests."""
    names = ("points-channels", "points-receive", "points-send")
    return {one for one in threading.enumerate() if one.name in names}


@contextmanager
def two_front_ends(folder: Path) -> Iterator[tuple[FrontEnd, FrontEnd]]:
    """Two front ends, and owners that they reach."""
    before = threads_of_channels()
    ledger = open_or_create(folder, settings=Settings(PARTITIONS))
    _ = ledger.book
    open_inbox(ledger, feeding=True).close()
    owners = owners_of(ledger)
    share = Share(folder / "owner", ledger.partitions)
    server = OwnersServer(share.socket, owners)
    owners.start(server.send_all, server.send_state)
    found = [FrontEnd(folder, share) for _ in range(2)]
    try:
        yield found[0], found[1]
    finally:
        for one in found:
            one.end()
        owners.stop()
        server.close()
        until(lambda: threads_of_channels() <= before)
        ledger.close()
    is_whole(folder).close()


def test_what_is_lost_on_the_way_is_found_by_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemoteOwners, "expect", lambda *_: None)
    monkeypatch.setattr(owning, "INBOX_SECONDS", 0.05)
    monkeypatch.setattr(state, "LOOK_SECONDS", 0.02)
    with two_front_ends(tmp_path / "served") as (one, other):
        assert one.versions() == other.versions() == 1
        for n in range(16):
            assert other.give(grant(f"m-{n}", f"g-{n}", 5)) == "accepted"
        assert other.give(a_later_book()) == "accepted"
        until(lambda: one.versions() == other.versions() == 2)


def test_one_front_end_ends_and_what_the_other_takes_is_decided(tmp_path: Path) -> None:
    with two_front_ends(tmp_path / "served") as (one, other):
        other.end()
        for n in range(16):
            assert one.give(grant(f"m-{n}", f"g-{n}", 5)) == "accepted"
        one.take([grant(f"m-{n % 16}", f"h-{n}", 5) for n in range(2_000)])
    ledger = open_ledger(tmp_path / "served")
    assert sum(ledger.journal(partition).head().entries for partition in ledger.partitions) == 2_016
    ledger.close()


def test_who_decides_never_waits_for_a_front_end() -> None:
    ours, theirs = Pipe()
    channel = Channel(ours)
    sent: list[Message] = [Abandoned([n]) for n in range(10_000)]  # more than the pipe has room for
    for message in sent:
        channel.send(message)
    assert [theirs.recv() for _ in sent] == sent
    for n in range(100_000):  # more than may wait: the rest is lost
        channel.send(n)
    theirs.close()
    assert list(channel.received()) == []
    assert ours.closed
    channel.send("more")


def test_a_front_end_hears_the_owner_that_follows_one_that_ended(tmp_path: Path) -> None:
    before, share = threads_of_channels(), Share(tmp_path / "owner", [0, 1])
    remote = RemoteOwners([share, Share(tmp_path / "other", [2])])
    heard: list[Message] = []
    remote.start(heard.append)
    for generation in (1, 2):
        with Listener(str(share.socket), "AF_UNIX") as listener, listener.accept() as connection:
            connection.send(OwnersState(1, "a full disk", True))
            connection.send(Abandoned([generation]))
            until(lambda generation=generation: heard == [Abandoned([n + 1]) for n in range(generation)])  # type: ignore[misc]
            assert remote.state == OwnersState(1, "a full disk", False), "the other was not heard yet"
            remote.expect(heard.append, {0: [7], 2: [8]}, {})
            assert connection.recv() == {0: [7]}
    remote.stop()
    until(lambda: threads_of_channels() <= before)


def hang(pipe: PipeEnd) -> None:
    """A process that comes to serve, and is stopped."""
    pipe.send(supervised.STARTED)
    os.kill(os.getpid(), signal.SIGSTOP)


def test_a_process_that_is_stopped_is_killed_and_started_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(SHARED, str(tmp_path))
    monkeypatch.setattr(supervised, "HUNG_SECONDS", 0.5)
    monkeypatch.setattr(supervised, "AGAIN_SECONDS", 0.1)
    process = supervised.Supervised("a process", hang)
    first = process.pid

    def is_another() -> bool:
        process.receive()
        process.keep_alive()
        return process.is_serving and process.pid != first

    until(is_another)
    process.end(0)
    assert not _is_alive(first) and not _is_alive(process.pid)


# -- connections -----------------------------------------------------------------------------------------------------


class Waiter:
    """Who keeps the names of those whose connections came to it, while it takes any."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.took: list[bytes] = []

    def take(self, connection: socket.socket) -> bool:
        if self.takes:
            self.took.append(connection.recv(1))
        return self.takes


def test_connections_are_handed_out_in_turns_and_wait_while_nobody_takes_them() -> None:
    one, away, other = Waiter(), Waiter(takes=False), Waiter()
    with socket.create_server(("127.0.0.1", 0)) as listening, ExitStack() as clients:
        dispatcher = Dispatcher(listening, [one.take, away.take, other.take])

        def come(names: bytes) -> None:
            for name in names:
                client = clients.enter_context(socket.create_connection(listening.getsockname()))
                client.sendall(bytes([name]))

        assert dispatcher.dispatch()
        come(b"abcdef")
        until(lambda: dispatcher.dispatch() and len(one.took) + len(other.took) == 6)
        assert (one.took, other.took) == ([b"a", b"c", b"e"], [b"b", b"d", b"f"])
        one.takes = other.takes = False
        come(b"gh")
        until(lambda: not dispatcher.dispatch())
        away.takes = True
        until(lambda: dispatcher.dispatch() and len(away.took) == 2)
    assert away.took == [b"g", b"h"]


def test_a_connection_is_passed_on_only_while_somebody_takes_it_and_few_wait() -> None:
    outside, inside = connection_pair()
    with socket.create_server(("127.0.0.1", 0)) as one:
        assert pass_on(outside, one)
        while pass_on(outside, one):
            pass
        inside.close()
        assert not pass_on(outside, one)
    outside.close()


# -- what a killed server leaves -------------------------------------------------------------------------------------


def test_the_folder_of_a_server_whose_first_process_was_killed_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv(SHARED, "to be restored")
    monkeypatch.delenv(SHARED)
    monkeypatch.setattr("tempfile.tempdir", None)

    def begin() -> "subprocess.Popen[bytes]":
        """A process that uses such a folder."""
        text = "import time\nfrom service.http.shared_folder import shared_folder\n"
        text += "with shared_folder():\n    print(flush=True)\n    time.sleep(60)\n"
        process = subprocess.Popen([sys.executable, "-c", text], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline()
        return process

    killed, alive = begin(), begin()
    killed.kill()
    killed.communicate()
    made = tmp_path / "points-serve-just-made"
    made.mkdir()
    before = set(tmp_path.iterdir())
    with shared_folder() as folder:
        assert len(before - set(tmp_path.iterdir())) == 1, "the killed one's is gone, the living one's and the new stay"
        assert folder.is_dir() and made.is_dir()
    alive.kill()
    alive.communicate()
    with shared_folder():
        pass
    assert list(tmp_path.iterdir()) == [made]
