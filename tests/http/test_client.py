"""The typed clients against a real server, and their retries against one that fails as often as it is told."""

import asyncio
import subprocess
import sys
import threading
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FunctionType
from typing import ClassVar

import pytest

from ledger.rulebook.schema import shipped
from points_client import (
    AsyncClient,
    BadFact,
    Client,
    Conflict,
    NotAllowed,
    NotFound,
    NotVerified,
    PointsError,
    Refused,
    Unavailable,
    calls,
)
from points_client.answers import Decision, Taken
from points_client.webhooks import verify
from service.webhooks.sending import signed
from tests.support.ledgers import scratch
from tests.support.served import Server, fact, grant, new_key, redemption, served
from tests.test_purity import imports_of


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch() as folder, served(folder / "ledger") as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url) as found:
        yield found


def test_facts_redemptions_and_answers_have_types(client: Client) -> None:
    decision = client.post(grant("c-1", "g-1", 900))
    assert isinstance(decision, Decision) and decision.outcome == "accepted" and not decision.repeated
    again = client.post(grant("c-1", "g-1", 900, ago=1) | {"time": decision.occurred})
    assert isinstance(again, Decision) and again.repeated and again.position == decision.position
    spent = client.redeem("c-1", "r-1", 300, use="coupon", source="/shop/test")
    assert isinstance(spent, Decision) and spent.outcome == "accepted"
    assert client.decision(spent.position) == spent
    with pytest.raises(Refused) as refused:
        client.redeem("c-1", "r-2", 700, use="coupon", source="/shop/test")
    assert refused.value.problem.reason == "beans-short"
    assert refused.value.problem.figures == {"asked": 700, "spendable": 600}
    member = client.member("c-1")
    assert (member.points["beans"].spendable, member.entries) == (600, 3)
    assert client.balances("c-1").points["beans"].spendable == 600
    assert client.lots("c-1").lots["beans"][0].left == 600
    assert client.scores("c-1").scores["jd-value"].value == 0
    assert client.memberships("c-1").memberships == {}
    assert client.member("c-1", as_of="2099-01-01").points["beans"].spendable == 0
    assert client.member("c-1", known_at="2020-01-01").entries == 0
    assert [entry.outcome for entry in client.entries("c-1")] == [
        "accepted",
        "accepted",
        "refused",
    ]  # what was posted again made none
    assert [entry.number for entry in client.entries("c-1", after=2)] == [3]
    assert client.entry("c-1", 3).reason == "beans-short"
    assert client.explain("c-1", 3)["reason"] == "beans-short" and client.explain("c-1")["entries"] == 3
    lot = client.explain("c-1", 1)["changes"][0]["lot"]
    assert client.explain_lot("c-1", lot)["explains"] == "lot"
    (version,) = client.programmes().versions
    assert client.programme(version.version) == client.programme(version.version, "jd") == shipped("jd")
    assert [(book.programme, book.from_) for book in version.books] == [("jd", "2017-09-14")]
    with pytest.raises(NotFound, match="has no book suning; it has jd"):
        client.programme(version.version, "suning")
    assert client.checkpoints().checkpoints == []
    with pytest.raises(NotFound):
        client.proof("c-1", 1)
    books = client.books()
    assert books.balanced and books.points["beans"].spendable == client.liability().points["beans"].outstanding
    assert len(client.positions().partitions) == 4


def test_a_cart_is_quoted(client: Client) -> None:
    cart = {"lines": [{"line": "1", "category": "phone", "paid_fen": 359_900}]}
    quoted = client.quote("nobody yet", cart, at="2025-11-11")
    assert quoted.earn.points == {"beans": 359} and not quoted.known


def test_many_facts_go_in_pieces_and_each_is_told_of(client: Client) -> None:
    facts = [grant("c-2", f"g-2-{n}", 1) for n in range(1_200)]
    facts[1_100]["data"]["points"] = 0
    told = list(client.post_many(facts, outcomes=True))
    assert [line.line for line in told] == list(range(1, 1_201))
    assert [line.line for line in told if line.outcome != "accepted"] == [1_101]
    assert told[1_100].reason == "bad-fact"
    assert len(list(client.entries("c-2"))) == 1_199  # over several pages


def test_errors_have_types(server: Server, client: Client) -> None:
    client.post(grant("c-3", "g-3", 5))
    with pytest.raises(Conflict):
        client.post(grant("c-3", "g-3", 6))
    with pytest.raises(BadFact) as bad:
        client.post(b"{")
    assert bad.value.problem.reason == "not-json"
    with pytest.raises(NotFound):
        client.member("nobody")
    with pytest.raises(NotFound):
        list(client.entries("nobody"))
    with pytest.raises(NotAllowed):
        client.post(fact("points.adjusted", "c-3", "a", {"adjustment": "a", "points": 1, "reason": "x", "by": "b"}))
    with pytest.raises(PointsError):
        client.member("c-3", as_of="never")
    with Client(server.url, "points_x_y") as stranger, pytest.raises(NotAllowed):
        stranger.member("c-3")
    taken = client.post(grant("c-3", "g-4", 5), wait=0)
    assert isinstance(taken, Taken)


def test_a_key_is_sent_and_a_member_is_quoted() -> None:
    with scratch() as folder, served(folder / "ledger") as server:
        key = new_key(folder / "ledger", "app", "members:read", "facts:write")
        with Client(server.url, key) as client:
            client.post(redemption("a b?c#d%41", "r", 5))
            assert client.member("a b?c#d%41").entries == 1
            with pytest.raises(NotAllowed):
                client.books()


def test_the_async_client_has_every_call_and_answers_as_the_blocking_one(server: Server, client: Client) -> None:
    async def talk() -> None:
        async with AsyncClient(server.url) as points:
            decision = await points.post(grant("c-4", "g-4", 900))
            assert isinstance(decision, Decision) and decision == client.decision(decision.position)
            assert await points.member("c-4", as_of="2099-01-01") == client.member("c-4", as_of="2099-01-01")
            assert (await points.balances("c-4")).points["beans"].spendable == 900
            with pytest.raises(Refused) as refused:
                await points.redeem("c-4", "r-4", 1_000, use="coupon", source="/shop/test")
            assert refused.value.problem.figures == {"asked": 1_000, "spendable": 900}
            grants = (grant("c-4", f"g-4-{n}", 1) for n in range(1_100))
            told = [line async for line in points.post_many(grants, outcomes=True)]
            assert [line.line for line in told] == list(range(1, 1_101))
            assert await points.decision(told[-1].position)  # type: ignore[arg-type]
            assert [entry async for entry in points.entries("c-4", after=1)] == list(client.entries("c-4", after=1))
            assert (await points.entry("c-4", 1)).outcome == "accepted"
            with pytest.raises(NotFound):
                await points.member("nobody")

    asyncio.run(talk())
    ours = {
        name for name, one in vars(calls).items() if isinstance(one, FunctionType) and one.__module__ == calls.__name__
    }
    for name in {name for name in ours if name[0] != "_"} - {"page", "post_piece"}:  # of `entries` and `post_many`
        assert getattr(Client, name).__doc__ == getattr(AsyncClient, name).__doc__ == getattr(calls, name).__doc__


class Failing(BaseHTTPRequestHandler):
    """Answers with what it is told, in turn; None breaks the connection."""

    answers: ClassVar[list[int | None]] = []
    asked: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.asked.append(self.rfile.read(int(self.headers["content-length"])))
        status = self.answers.pop(0)
        if status is None:
            self.close_connection = True
            return
        body = (
            b'{"position":"0:7"}' if status == 202 else b'{"type":"/problems/busy","title":"","status":503,"detail":""}'
        )
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        if status == 429:
            self.send_header("retry-after", "3")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_what_may_be_retried_is_and_waits_longer_each_time() -> None:
    failing = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    thread = threading.Thread(target=failing.serve_forever, args=(0.01,))
    thread.start()
    pauses: list[float] = []
    url = f"http://127.0.0.1:{failing.server_address[1]}"
    try:
        with Client(url, attempts=5, sleep=pauses.append) as client:
            Failing.answers = [503, None, 429, 502, 202]
            assert client.post(b"{}") == Taken("0:7")
            assert Failing.asked == [b"{}"] * 5
            assert 0.05 <= pauses[0] <= 1 and pauses[2] >= 1.5  # as long as the server asked, give or take
            Failing.answers = [500] * 5
            with pytest.raises(Unavailable, match="5 attempts"):
                client.post(b"{}")
            Failing.answers = [400, 202]
            with pytest.raises(PointsError):
                client.post(b"{}")
            assert Failing.answers == [202]  # what cannot get better is not asked again
    finally:
        failing.shutdown()
        thread.join()
        failing.server_close()
    with Client(url, attempts=3, sleep=pauses.append) as client, pytest.raises(Unavailable):
        client.member("nobody is there")


def test_the_async_client_tries_again_as_the_blocking_one_does() -> None:
    failing = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    thread = threading.Thread(target=failing.serve_forever, args=(0.01,))
    thread.start()
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def talk() -> None:
        async with AsyncClient(f"http://127.0.0.1:{failing.server_address[1]}", attempts=3, sleep=sleep) as points:
            Failing.answers = [503, None, 202]
            assert await points.post(b"{}") == Taken("0:7")
            Failing.answers = [500] * 3
            with pytest.raises(Unavailable, match="3 attempts"):
                await points.post(b"{}")

    try:
        asyncio.run(talk())
    finally:
        failing.shutdown()
        thread.join()
        failing.server_close()
    assert len(pauses) == 4


# -- the distribution --------------------------------------------------------------------------------------------------

CLIENT = Path(__file__).resolve().parents[2] / "client"


def test_the_client_imports_httpx_and_msgspec_alone() -> None:
    for path in (CLIENT / "points_client").glob("*.py"):
        roots = {name.partition(".")[0] for name in imports_of(path)}
        assert roots <= {"httpx", "msgspec", "points_client", *sys.stdlib_module_names}, path.name


def test_the_client_decodes_into_what_the_server_answers_from() -> None:
    assert (CLIENT / "points_client" / "answers.py").samefile(CLIENT.parent / "ledger" / "wire" / "answers.py")


def test_a_webhooks_message_is_verified() -> None:
    secret, now = "whsec_" + b64encode(b"a secret of 32 bytes for a shop!").decode(), 1_764_000_000
    body = b'{"type":"points.webhook.test.v1","timestamp":"","data":{"ledger":"L1","entries":[]}}'
    headers = dict(signed([secret], "msg_1", now, body))
    message = verify(secret, headers, body, now=now + 299)
    assert (message.id, message.type, message.ledger, message.entries) == ("msg_1", "points.webhook.test.v1", "L1", [])
    older = "whsec_" + b64encode(b"the one before").decode()
    assert verify([older, secret], {name.title(): text for name, text in headers.items()}, body, now=now) == message
    rotated = headers | {"webhook-signature": "v1a,xx v1,!! " + headers["webhook-signature"]}
    assert verify(secret, rotated, body, now=now) == message
    for given, sent, at, why in (
        (headers, body + b" ", now, "by this secret"),
        (headers | {"webhook-id": "msg_2"}, body, now, "by this secret"),
        (headers | {"webhook-signature": "v1,"}, body, now, "by this secret"),
        (headers, body, now + 301, "300 seconds"),
        (headers, body, now - 301, "300 seconds"),
        (headers | {"webhook-timestamp": "soon"}, body, now, "number of seconds"),
        ({}, body, now, "is missing"),
        (dict(signed([secret], "msg_1", now, b"[]")), b"[]", now, "none of a ledger's"),
    ):
        with pytest.raises(NotVerified, match=why):
            verify(secret, given, sent, now=at)
    with pytest.raises(NotVerified, match="by this secret"):
        verify(older, headers, body, now=now)
    for bad in ("", "whsec_", "whsec_***"):
        with pytest.raises(ValueError, match="points webhooks add"):
            verify(bad, headers, body, now=now)


def test_the_wheel_of_the_client_works_beside_a_folder_named_service(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=CLIENT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("points_ledger_client-*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    (tmp_path / "clean" / "service").mkdir(parents=True)
    (tmp_path / "clean" / "service" / "__init__.py").write_text("raise RuntimeError('not ours')")
    program = f"import sys; sys.path[:0] = ['', {str(tmp_path / 'site')!r}]; import points_client.webhooks"
    program += "; points_client.Client('http://x')"
    program += "; print(points_client.__file__, 'ledger' in sys.modules, 'service' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path / "clean", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [str(tmp_path / "site" / "points_client" / "__init__.py"), "False", "False"]
    assert (tmp_path / "site" / "points_client" / "py.typed").exists()


def test_names_are_in_the_language_that_is_accepted(server: Server) -> None:
    with server.client() as http:
        for accepted, name in (
            ("en-GB, zh;q=0.5", "JD members"),
            ("zh-CN", "京东会员"),
            ("fr", "京东会员"),
            ("", "京东会员"),
        ):
            answered = http.get("/v1/programmes", headers={"Accept-Language": accepted})
            (version,) = answered.json()["versions"]
            assert version["name"] == version["books"][0]["name"] == name
            assert answered.headers["vary"] == "Accept-Language"


def test_the_feed_and_the_members_are_read_page_by_page(server: Server) -> None:
    with Client(server.url) as client:
        begin = client.feed("now").next
        for n in range(5):
            client.post(grant(f"feed-{n}", f"feed-{n}", 5))
        found, cursor = [], begin
        while (page := client.feed(cursor, limit=2, outcome="accepted")).entries or page.more:
            found += [entry.member for entry in page.entries]
            cursor = page.next
        assert sorted(found) == [f"feed-{n}" for n in range(5)]
        assert client.members("feed-1", 2).members == ["feed-2", "feed-3"]
