"""API keys over a real server: what each scope opens, what none does, and what is kept of a key."""

import json
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.journal.open import open_or_create
from ledger.journal.port import JournalError
from ledger.wire import answers
from ledger.wire.answers import AdjustmentRequest
from service.cli import run
from service.console.requests import key_of_session
from service.console.sessions import FILE, Sessions
from service.http.access import Authenticator, Bucket, Caller
from service.http.operator_lines import problems_of as operator_problems
from service.http.operator_log import OperatorLog
from service.keys import BadKey, Keys, problems_of
from service.people import carry_out
from tests.http.test_http import fits, is_problem
from tests.support.ledgers import ingested, scratch
from tests.support.served import NDJSON, ROOT, Server, environment, fact, grant, ndjson, new_key, points, redemption
from tests.support.served import served as running

PATHS = (
    "/v1/members/k-1",
    "/v1/members/k-1/entries",
    "/v1/stats",
    "/v1/liability",
    "/v1/programmes",
    "/v1/positions",
    "/v1/views",
    "/v1/audits",
    "/v1/checkpoints",
    "/v1/dead-letters",
    "/v1/adjustments",
    "/v1/people",
    "/metrics",
)


def secret_of(key: str) -> str:
    """The part of a key that nobody may see."""
    return key.split("_", 2)[2]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with scratch() as place:
        ingested(place, [grant("k-1", "g-1", 500), grant("k-2", "g-2", 500)]).close()
        yield place / "ledger"


@pytest.fixture(scope="module")
def keys(folder: Path) -> dict[str, str]:
    return {
        "shop": new_key(folder, "shop", "facts:write:/shop/"),
        "support": new_key(folder, "support", "members:read"),
        "one": new_key(folder, "one", "member:read:k-1", "member:read:guest/17"),
        "books": new_key(folder, "books", "books:read"),
        "ann": new_key(folder, "ann", "operate", "members:read"),
        "bob": new_key(folder, "bob", "operate", "facts:write"),
        "slow": new_key(folder, "slow", "members:read", rate=2),
        "gone": new_key(folder, "gone", "members:read"),
    }


@pytest.fixture(scope="module")
def server(folder: Path, keys: dict[str, str]) -> Iterator[Server]:
    with running(folder) as found:
        yield found
        log = found.log.read_text()
        assert not [name for name, key in keys.items() if secret_of(key) in log]


@contextmanager
def signed_in(server: Server, key: str) -> Iterator[httpx.Client]:
    """A browser that showed a key to the console."""
    with server.client() as browser:
        token = browser.get("/console/sign-in").text.partition('name="form_token" value="')[2].partition('"')[0]
        browser.post("/console/sign-in", data={"form_token": token, "key": key})
        yield browser


def test_an_operator_ends_the_sessions_of_a_key_and_keeps_it_out(server: Server, keys: dict[str, str]) -> None:
    with server.client(keys["ann"]) as ann, signed_in(server, keys["support"]) as browser:
        assert browser.get("/console/member").status_code == 200
        (found,) = [one for one in ann.get("/v1/people").json()["people"] if one["name"] == "support"]
        assert found["sessions"] == 1 and found["blocked"] is None and keys["support"].split("_")[1] == found["key"]
        out = ann.post("/v1/people/support/sign-out", params={"reason": "an open laptop"})
        assert fits(out, answers.Person).sessions == 0
        assert browser.get("/console/member").status_code == 303
        with signed_in(server, keys["support"]) as again:
            assert again.get("/console/member").status_code == 200
            assert ann.post("/v1/people/support/block", params={"reason": "a stolen laptop"}).json()["blocked"]
            assert again.get("/console/member").status_code == 303
        with signed_in(server, keys["support"]) as blocked, server.client(keys["support"]) as program:
            assert blocked.get("/console/member").status_code == 303
            assert program.get("/v1/members/k-1").status_code == 200  # a block is of the console
        assert ann.post("/v1/people/support/unblock", params={"reason": "it was found"}).json()["blocked"] is None
        with signed_in(server, keys["support"]) as again:
            assert again.get("/console/member").status_code == 200
        for own in ("block", "unblock"):  # a key that is blocked opens the API, and must not lift its block there
            is_problem(ann.post(f"/v1/people/ann/{own}", params={"reason": "x"}), "approval-needed")
        is_problem(ann.post("/v1/people/nobody/sign-out", params={"reason": "x"}), "unknown-person")
        for without in ({}, {"reason": " "}, {"reason": "x" * 129}):
            is_problem(ann.post("/v1/people/support/block", params=without), "bad-request")
    with server.client(keys["support"]) as support:
        is_problem(support.get("/v1/people"), "wrong-scope")
    lines = [json.loads(one) for one in (server.folder / "operators.ndjson").read_text().splitlines()]
    acts = [(one["by"], one["action"], one["why"]) for one in lines if one["about"] == "support"]
    assert acts == [
        ("ann", "sign-out", "an open laptop"),
        ("ann", "block", "a stolen laptop"),
        ("ann", "unblock", "it was found"),
    ]


def test_a_session_that_began_as_a_block_did_does_not_come_back(tmp_path: Path) -> None:
    with closing(Keys(tmp_path)) as keys, closing(Sessions()) as sessions:
        key, _ = keys.new("ann", ["operate"])
        carry_out(keys, sessions, "ann", "block", 0)
        token = sessions.begin(key.id)  # at a server that had not heard of the block
        carry_out(keys, sessions, "ann", "unblock", 0)
        assert sessions.key_of(token) is None
        token = sessions.begin(key.id)
        carry_out(keys, sessions, "ann", "unblock", 0)
        assert sessions.key_of(token) == key.id  # nobody was blocked


def test_sessions_that_cannot_be_read_are_removed_while_nobody_serves(tmp_path: Path) -> None:
    (tmp_path / "sessions.db").write_bytes(b"garbage!" * 512)
    with pytest.raises(JournalError, match="not a database; stop the server and remove it"):
        Sessions(tmp_path)


def test_a_block_holds_though_the_sessions_are_damaged_and_is_not_lifted_before_they_ended(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ledger = tmp_path / "ledger"
    open_or_create(ledger).close()
    with closing(Keys(ledger)) as keys:
        key, _ = keys.new("ann", ["operate"])
    with closing(Sessions(ledger)) as sessions:
        for n in range(300):  # so that the rows have pages of their own, behind those that are read when it is opened
            sessions.begin(f"another-{n}")
    whole = (ledger / FILE).read_bytes()

    def people(*words: str) -> tuple[int, str, str]:
        code = run(["--ledger", str(ledger), "people", *words])
        return code, *capfd.readouterr()

    for damaged, why in (
        (whole[: 4 * 4096].ljust(len(whole), b"!"), "malformed"),
        (b"garbage!" * 512, "not a database"),
    ):
        (ledger / FILE).write_bytes(damaged)
        code, said, wrong = people("block", "ann", "--reason", "a stolen laptop")
        assert (code, said) == (0, "ann is blocked\n") and "what ann has open shows nothing any more" in wrong
        with closing(Keys(ledger)) as keys, closing(Sessions()) as sessions:
            assert keys.is_blocked("ann")
            token = sessions.begin(key.id)
            assert key_of_session(token, Authenticator(keys), sessions) is None
        for act in ("unblock", "sign-out"):
            code, said, wrong = people(act, "ann", "--reason", "it was found")
            assert (code, said) == (3, "") and why in wrong and "remove it, and people sign in again" in wrong
        with closing(Keys(ledger)) as keys:
            assert keys.is_blocked("ann")
        code, said, _ = people("list", "--json")
        assert code == 0 and [one["sessions"] for one in json.loads(said)] == [None]
    (ledger / FILE).unlink()
    assert people("unblock", "ann", "--reason", "it was found")[0] == 0
    assert [one["sessions"] for one in json.loads(people("list", "--json")[1])] == [0]
    acts = [json.loads(line)["action"] for line in (ledger / "operators.ndjson").read_bytes().splitlines()]
    assert acts == ["block", "block", "unblock"]


def test_without_a_good_key_nothing_is_answered(server: Server, keys: dict[str, str]) -> None:
    good = keys["support"]
    bad = [good[:-1], good + "x", good.upper(), good.replace("points", "point"), "points__", "x", "", "Ω", "a" * 9_000]
    headers: list[dict[str, bytes]] = [{"Authorization": (b"Bearer " + key.encode()).strip()} for key in bad]
    headers += [
        {},
        {"Authorization": b"Basic " + good.encode()},
        {"Authorization": good.encode()},
        {"X-Key": good.encode()},
    ]
    with server.client() as http:
        for path in PATHS:
            assert is_problem(http.get(path), "no-key")["detail"]
        for header in headers:
            response = http.get("/v1/members/k-1", headers=header)
            is_problem(response, "no-key")
            assert response.headers["www-authenticate"] == "Bearer"
            assert good not in response.text and secret_of(good) not in response.text
        is_problem(http.post("/v1/facts", json=grant("k-1", "x", 1)), "no-key")
        for path in ("/health/live", "/health/ready", "/schema/openapi.json"):
            assert http.get(path).status_code == 200
        key_in_query = http.get(f"/v1/members/k-1?key={good}")
        is_problem(key_in_query, "no-key")


def test_each_scope_opens_what_it_says_and_nothing_else(server: Server, keys: dict[str, str]) -> None:
    opened = {
        "shop": set(),
        "support": {"/v1/members/k-1", "/v1/members/k-1/entries"},
        "one": {"/v1/members/k-1", "/v1/members/k-1/entries"},
        "books": set(PATHS[2:9]) | {"/metrics"},
        "bob": {"/v1/dead-letters", "/v1/adjustments", "/v1/people"},
    }
    for name, paths in opened.items():
        with server.client(keys[name]) as http:
            for path in PATHS:
                response = http.get(path)
                if path in paths:
                    assert response.status_code == 200, (name, path)
                else:
                    is_problem(response, "wrong-scope")
    with server.client(keys["one"]) as http:
        others = ("k-2", "nobody", "K-1", "k-1 ", "guest", "guest%252F17", "guest%2F17%2F", "guest%2F1")
        for member in others:  # nor does it say who there is
            is_problem(http.get(f"/v1/members/{member}"), "wrong-scope")
        is_problem(http.get("/v1/members/guest%2F17/lots"), "unknown-member")


def test_a_cart_is_quoted_to_who_may_read_its_member(server: Server, keys: dict[str, str]) -> None:
    lines = [{"line": "1", "paid_fen": 10_000}]
    with server.client(keys["one"]) as http:
        assert fits(http.post("/v1/quotes", json={"member": "k-1", "lines": lines}), answers.Quote).member == "k-1"
        is_problem(http.post("/v1/quotes", json={"member": "k-2", "lines": lines}), "wrong-scope")
    for name in ("shop", "books", "bob"):
        with server.client(keys[name]) as http:
            is_problem(http.post("/v1/quotes", json={"member": "k-1", "lines": lines}), "wrong-scope")


def test_facts_are_taken_of_the_sources_of_the_key_only(server: Server, keys: dict[str, str]) -> None:
    with server.client(keys["shop"]) as http:
        taken = fits(http.post("/v1/facts", json=grant("k-2", "g-3", 1, source="/shop/a")), answers.Decision)
        assert fits(http.get(f"/v1/facts/{taken.position}"), answers.Decision).id == "g-3"
        is_problem(http.post("/v1/facts", json=grant("k-2", "g-4", 1, source="/operators")), "wrong-scope")
        is_problem(http.post("/v1/redemptions", json=redemption("k-2", "r-4", 1, source="/other")), "wrong-scope")
        mixed = [grant("k-2", "g-5", 1, source="/shop/a"), grant("k-2", "g-6", 1, source="/shops")]
        told = http.post("/v1/facts:bulk", content=ndjson(mixed), headers=NDJSON).content.splitlines()
        assert b"position" in told[0] and b"wrong-scope" in told[1]
    with server.client(keys["support"]) as http:
        is_problem(http.post("/v1/facts", json=grant("k-1", "g-7", 1)), "wrong-scope")
        is_problem(http.post("/v1/facts:bulk", content=b"", headers=NDJSON), "wrong-scope")
    with server.client(keys["books"]) as http:
        is_problem(http.get(f"/v1/facts/{taken.position}"), "unknown-position")
    with server.client(keys["bob"]) as http:
        frozen = fact("account.frozen", "k-2", "f-1", {"reason": "x"}, source="/operators")
        assert fits(http.post("/v1/facts", json=frozen), answers.Decision).outcome == "accepted"
    with server.client(keys["shop"]) as http:
        melted = fact("account.unfrozen", "k-2", "f-2", {}, source="/shop/operators")
        assert is_problem(http.post("/v1/facts", json=melted), "wrong-scope")["reason"] == "not-authorised"


def test_an_adjustment_needs_two_keys(server: Server, keys: dict[str, str], folder: Path) -> None:
    wanted = {"member": "k-1", "points": -120, "reason": "goodwill-reversed"}
    with server.client(keys["ann"]) as ann, server.client(keys["bob"]) as bob:
        alone = fact(
            "points.adjusted",
            "k-1",
            "a",
            {"adjustment": "a", "points": 9, "reason": "x", "by": "bob", "approved_by": "ann"},
            source="/operators",
        )
        is_problem(bob.post("/v1/facts", json=alone), "approval-needed")
        proposed = ann.post("/v1/adjustments", json=wanted)
        assert proposed.status_code == 201
        at = proposed.headers["location"]
        assert proposed.json() | wanted == proposed.json() and proposed.json()["by"] == "ann"
        is_problem(ann.post(f"{at}/approval"), "approval-needed")
        assert ann.get("/v1/members/k-1").json()["points"]["beans"]["spendable"] == 500
        approved = bob.post(f"{at}/approval").json()
        assert (approved["state"], approved["decided_by"], approved["outcome"]) == ("approved", "bob", "accepted")
        assert ann.get("/v1/members/k-1").json()["points"]["beans"]["spendable"] == 380
        again = bob.post(f"{at}/approval").json()
        assert again["outcome"] == "ignored"  # the same fact, which counts once
        assert ann.get("/v1/members/k-1").json()["points"]["beans"]["spendable"] == 380
        is_problem(ann.post(f"{at}/rejection"), "already-done")
        entry = ann.get("/v1/members/k-1/entries").json()["entries"][1]
        assert (entry["data"]["by"], entry["data"]["approved_by"]) == ("ann", "bob")
        withdrawn = ann.post("/v1/adjustments", json=wanted).headers["location"]
        assert ann.post(f"{withdrawn}/rejection").json()["state"] == "rejected"
        is_problem(bob.post(f"{withdrawn}/approval"), "already-done")
        is_problem(bob.post("/v1/adjustments/nothing/approval"), "unknown-adjustment")
        for wrong in ({**wanted, "points": 0}, {**wanted, "member": ""}, {**wanted, "points": 1 << 60}):
            is_problem(ann.post("/v1/adjustments", json=wrong), "bad-fact")
        is_problem(ann.post("/v1/adjustments", json={"member": "k-1"}), "bad-request")
    mode = stat.S_IMODE((folder / "operators.ndjson").stat().st_mode)
    assert mode == 0o600
    kept = (folder / "operators.ndjson").read_text()
    assert [word in kept for word in ('"propose"', '"approve"', '"reject"')] == [True] * 3


def test_an_operators_fact_stands_under_its_givers_name_before_it_is_in(
    server: Server, keys: dict[str, str], folder: Path
) -> None:
    def opening(lot: str) -> dict[str, object]:
        times = {"earned_at": "2025-01-01T00:00:00+08:00", "expires_at": "2030-01-01T00:00:00+08:00"}
        return fact("lot.opened", "k-3", lot, {"lot": lot, "kind": "beans", "points": 7, **times}, source="/operators")

    with server.client(keys["bob"]) as http:
        assert fits(http.post("/v1/facts", json=opening("l-1")), answers.Decision).outcome == "accepted"
        many = [opening("l-2"), grant("k-3", "g-9", 1), opening("l-3"), {}]
        told = http.post("/v1/facts:bulk", content=ndjson(many), headers=NDJSON).content.splitlines()
        assert [b"position" in line for line in told] == [True, True, True, False]
        parked = http.post("/v1/facts", json=opening("l-4") | {"type": "lot.opened.v9"})
        assert parked.status_code == 422
    lines = [json.loads(line) for line in (folder / "operators.ndjson").read_bytes().splitlines()]
    given = [line for line in lines if line["action"] == "give" and line["given"]["subject"] == "k-3"]
    assert [(line["by"], line["about"]) for line in given] == [("bob", "l-1"), ("bob", "l-2"), ("bob", "l-3")]
    assert given[0]["given"] == {"type": "lot.opened.v1", "subject": "k-3", "source": "/operators"}


def test_adjustments_that_wait_are_there_after_a_restart_and_a_torn_line_is_none() -> None:
    with scratch() as place:
        ledger = place / "ledger"
        open_or_create(ledger).close()
        ann, bob = new_key(ledger, "ann", "operate"), new_key(ledger, "bob", "operate")
        with running(ledger) as server, server.client(ann) as http:
            asked, once = {"member": "z", "points": 5, "reason": "x"}, {"Idempotency-Key": "5f0c"}
            at = http.post("/v1/adjustments", json=asked, headers=once).headers["location"]
            assert http.post("/v1/adjustments", json=asked, headers=once).headers["location"] == at
            is_problem(http.post("/v1/adjustments", json=asked | {"points": 6}, headers=once), "already-done")
            is_problem(http.post("/v1/adjustments", json=asked, headers={"Idempotency-Key": "x" * 256}), "bad-request")
            server.kill()
        with (ledger / "operators.ndjson").open("ab") as file:
            file.write(b'{"at":"2026')
        with running(ledger) as server, server.client(bob) as http:
            assert [one["state"] for one in http.get("/v1/adjustments").json()["adjustments"]] == ["waiting"]
            assert http.post(f"{at}/approval").json()["outcome"] == "accepted"


def test_a_key_that_is_revoked_or_has_ended_opens_nothing_from_then_on(
    server: Server, keys: dict[str, str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.client(keys["gone"]) as http:
        assert http.get("/v1/members/k-1").status_code == 200
        assert run(["--ledger", str(folder), "keys", "revoke", "gone", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["state"] == "revoked"
        is_problem(http.get("/v1/members/k-1"), "no-key")
    assert run(["--ledger", str(folder), "keys", "list", "--json"]) == 0
    listed = {key["name"]: key for key in json.loads(capsys.readouterr().out)}
    assert listed["gone"]["state"] == "revoked" and listed["support"]["last_used"]
    with sqlite3.connect(folder / "keys.db") as db:
        db.execute("UPDATE keys SET expires = 1 WHERE name = 'one'")
    with server.client(keys["one"]) as http:
        is_problem(http.get("/v1/members/k-1"), "no-key")


def test_a_key_has_so_many_requests_a_second(server: Server, keys: dict[str, str]) -> None:
    with server.client(keys["slow"]) as http:
        answers = [http.get("/v1/members/k-1") for _ in range(12)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert limited and is_problem(limited[0], "too-many-requests") and limited[0].headers["retry-after"] == "1"


def test_a_key_is_printed_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--ledger", str(folder), "keys", "new", "printed", "--scope", "members:read", "--expires", "2099-01-01"]
    assert run(words) == 0
    text = capsys.readouterr().out.strip()
    keys = Keys(folder)
    found = keys.find(text)
    assert found is not None and found.name == "printed" and found.expires is not None
    keys.close()
    assert run(words) == 3 and "already" in capsys.readouterr().err
    assert run(["--ledger", str(folder), "keys", "list"]) == 0
    assert secret_of(text) not in capsys.readouterr().out


def test_a_key_is_kept_as_a_hash_for_its_owners_eyes_only(folder: Path, keys: dict[str, str]) -> None:
    for path in folder.glob("keys.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        kept = path.read_bytes()
        assert not [name for name, key in keys.items() if secret_of(key).encode() in kept]


def test_keys_that_cannot_be_made() -> None:
    with scratch() as place:
        keys = Keys(place)
        assert not keys.exist()
        keys.new("a", ["members:read"])
        for name, scopes, expires in (
            ("a", ["members:read"], None),
            ("b", [], None),
            ("b", ["facts"], None),
            ("b", ["facts:write:"], None),
            ("b", ["member:read"], None),
            ("", ["operate"], None),
            ("b\n", ["operate"], None),
            ("b", ["operate"], 1),
        ):
            with pytest.raises(BadKey):
                keys.new(name, scopes, expires)
        with pytest.raises(BadKey):
            keys.revoke("b")
        keys.revoke("a")
        assert keys.exist()  # nothing opens again when the last one goes
        keys.new("a", ["operate"])
        keys.close()


def test_another_address_needs_a_key() -> None:
    with scratch() as place:
        command = [*points(place / "ledger"), "serve", "--host", "0.0.0.0", "--port", "0"]
        done = subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 2 and "points keys new" in done.stderr
        open_or_create(place / "ledger").close()
        key = new_key(place / "ledger", "a", "members:read")
        with running(place / "ledger", "--host", "0.0.0.0") as server:
            url = server.url.replace("0.0.0.0", "127.0.0.1")
            assert httpx.get(f"{url}/v1/members/x", timeout=30).status_code == 401
            assert (
                httpx.get(f"{url}/v1/members/x", headers={"Authorization": f"Bearer {key}"}, timeout=30).status_code
                == 404
            )


def test_one_server_a_ledger_and_one_an_address(server: Server, folder: Path) -> None:
    second = subprocess.run(
        [*points(folder), "serve", "--port", "0"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 4 and "is being written by" in second.stderr
    with scratch() as place:
        port = server.url.rpartition(":")[2]
        command = [*points(place / "ledger"), "serve", "--port", port]
        taken = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
        assert taken.returncode == 4 and "another --host or --port" in taken.stderr


def test_a_bucket_gives_its_rate_and_no_more() -> None:
    bucket = Bucket(10)
    given = [bucket.take() for _ in range(11)]
    assert given[:10] == [0] * 10 and 0 < given[10] <= 0.1


def test_a_scope_of_a_source_is_a_prefix() -> None:
    caller = Caller("a", ("facts:write:/shop/",))
    assert caller.may_write("/shop/x") and not caller.may_write("/shop") and not caller.may_write("/")
    assert not caller.has("facts:write") and not caller.may_read("m")


def asked(ledger: Path, *command: str) -> "subprocess.CompletedProcess[bytes]":
    """What a command says in JSON."""
    return subprocess.run([*points(ledger), *command, "--json"], cwd=ROOT, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("scopes", "members:read\noperate"),
        ("name", "boss"),
        ("hash", sha256(b"mine").digest()),
        ("rate", 100_000),
        ("expires", None),
        ("expires", 2**62),
        ("created", "never"),
        ("revoked", None),
        ("created", 1),
        ("seal", None),
        ("seal", b""),
    ],
)
def test_a_key_whose_row_was_changed_by_hand_opens_nothing_and_is_named(
    column: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*command: str) -> tuple[int, Any]:
        code = run(["--ledger", str(ledger), *command, "--json"])
        return code, json.loads(capsys.readouterr().out)

    with scratch() as place:
        ledger = place / "ledger"
        open_or_create(ledger).close()
        with closing(Keys(ledger)) as keys:
            text = keys.new("support", ["members:read"], expires=4_000_000_000_000_000)[1]
            other = keys.new("other", ["members:read"])[1]
            assert keys.find(text) is not None
            if column == "revoked":
                keys.revoke("support")
        with closing(sqlite3.connect(ledger / "keys.db")) as db, db:
            db.execute(f"UPDATE keys SET {column} = ? WHERE name = 'support'", (value,))
        with closing(Keys(ledger)) as keys:
            texts = [text, f"{text.rpartition('_')[0]}_mine"]
            assert [keys.find(one) for one in texts] == [None, None] and keys.live(text.split("_")[1]) is None
            assert keys.find(other) is not None
        code, listed = told("keys", "list")
        assert code == 0 and sorted(key["state"] for key in listed) == ["changed by hand", "live"]
        code, found = told("verify")
        assert code == 1 and "was changed by hand" in found["broken"][0]["problem"]
        assert told("keys", "revoke", text.split("_")[1])[0] == 0
        assert told("verify")[0] == 0


def test_keys_of_an_older_version_are_sealed_once() -> None:
    with scratch() as place:
        open_or_create(place / "ledger").close()
        with closing(Keys(place / "ledger")) as keys:
            text = keys.new("support", ["members:read"])[1]
        with closing(sqlite3.connect(place / "ledger" / "keys.db")) as db:
            db.execute("ALTER TABLE keys DROP COLUMN seal")
            db.execute("PRAGMA user_version = 0")
        assert problems_of(place / "ledger") == []
        for _ in range(2):
            with closing(Keys(place / "ledger")) as keys:
                found = keys.find(text)
                assert found is not None and found.is_whole
        assert problems_of(place / "ledger") == []
        (place / "ledger" / "keys.db").write_bytes(b"no database at all, " * 100)
        assert "cannot be read" in problems_of(place / "ledger")[0]


# -- what operators did, as it stands in the folder


def written(ledger: Path, lines: int = 3) -> Path:
    """A folder in which operators did something."""
    open_or_create(ledger).close()
    with closing(OperatorLog(ledger)) as log:
        for number in range(lines):
            log.record("ann", "drop", f"0:{number}")
    assert operator_problems(ledger) == []
    return ledger


@pytest.mark.parametrize("server", ["serve", "serve --workers 2"])
def test_a_damaged_line_of_an_operator_is_named_by_whoever_reads_it(server: str) -> None:
    with scratch() as place:
        path = written(place / "ledger") / "operators.ndjson"
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([lines[0], b'{"at":\n', lines[2]]))
        for command in ([*server.split(), "--port", "0"], ["verify"]):
            found = asked(place / "ledger", *command)
            told = (found.stdout + found.stderr).decode()
            assert found.returncode in (1, 3, 4), told
            assert "operators.ndjson" in told and "line 2" in told and "put a copy" in told and "Traceback" not in told


def test_a_line_of_an_operator_that_is_changed_moved_or_gone_is_found() -> None:
    with scratch() as place:
        path, head = written(place / "ledger") / "operators.ndjson", place / "ledger" / "operators.head"
        whole, told_head = path.read_bytes(), head.read_bytes()
        one, two, three = whole.splitlines(keepends=True)
        unsealed = two[: two.index(b',"seal"')] + b"}\n"
        for changed in (
            one.replace(b"ann", b"bob") + two + three,
            one + two.replace(b"0:1", b"0:7") + three,
            one + two + three.replace(b'"seal":"', b'"seal":"0')[:-5] + b'"}\n',
            two + one + three,
            one + three,
            one + two,
            one + unsealed + three,
            one + two + three.replace(b"}", b" }", 1),
            b"",
            one + one + two + three,
        ):
            path.write_bytes(changed)
            assert operator_problems(place / "ledger"), changed
        path.unlink()
        assert operator_problems(place / "ledger")
        path.write_bytes(whole)
        assert operator_problems(place / "ledger") == []
        head.unlink()
        assert "operators.head is gone" in operator_problems(place / "ledger")[0]
        head.write_bytes(b"2 " + told_head[2:])
        assert operator_problems(place / "ledger")


def test_a_head_that_is_behind_the_lines_is_no_damage_and_old_lines_are_vouched_for_by_the_first_sealed_one() -> None:
    with scratch() as place:
        ledger = written(place / "ledger")
        path, head = ledger / "operators.ndjson", ledger / "operators.head"
        behind = head.read_bytes()
        with closing(OperatorLog(ledger)) as log:
            log.record("bob", "drop", "0:3")
        head.write_bytes(behind)  # the server died between the two
        assert operator_problems(ledger) == []
        old = b'{"at":"2026-01-01","by":"ann","action":"drop","about":"0:1"}\n'
        path.write_bytes(old)
        head.unlink()
        assert operator_problems(ledger) == []
        with closing(OperatorLog(ledger)) as log:
            log.record("bob", "drop", "0:2")
        assert operator_problems(ledger) == []
        path.write_bytes(path.read_bytes().replace(b"ann", b"eve"))
        assert "line 2" in operator_problems(ledger)[0]


def test_nothing_is_approved_by_lines_that_were_changed() -> None:
    with scratch() as place:
        open_or_create(place / "ledger").close()
        with closing(OperatorLog(place / "ledger")) as log:
            proposed = log.propose("ann", AdjustmentRequest("m-1", 5, "sorry"))
        path = place / "ledger" / "operators.ndjson"
        path.write_bytes(path.read_bytes().replace(b'"points":5', b'"points":500000'))
        with closing(OperatorLog(place / "ledger")) as log:
            with pytest.raises(JournalError, match="line 1"):
                log.decide("bob", proposed.adjustment, "approve")
            assert log.decide("bob", proposed.adjustment, "reject").state == "rejected"


def test_a_line_that_was_whole_and_lost_its_end_is_not_taken_for_one_cut_off_by_a_crash() -> None:
    with scratch() as place:
        path = written(place / "ledger") / "operators.ndjson"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(JournalError, match="line 3: it has no end"):
            OperatorLog(place / "ledger")


def test_a_fresh_server_takes_its_first_key_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, file = f"points_{'0a' * 6}_{'S3cret-_' * 5}", tmp_path / "key"
    file.write_text(f"{text}\n", "utf-8")
    surroundings = {**environment(), "POINTS_BOOTSTRAP_KEY_FILE": str(file)}
    monkeypatch.setattr("tests.support.served.environment", lambda: surroundings)
    with running(tmp_path / "ledger") as server:
        with server.client(text) as client:
            assert client.get("/v1/stats").status_code == 200
        assert httpx.get(f"{server.url}/v1/stats", timeout=30).status_code == 401
        log = server.log.read_text()
        assert "the first key, named bootstrap" in log and secret_of(text) not in log
    file.unlink()  # it is wanted once
    with running(tmp_path / "ledger") as server, server.client(text) as client:
        assert client.get("/v1/stats").status_code == 200


@pytest.mark.parametrize("text", ["", "points_12_short", f"points_{'0a' * 6}_{'x' * 31}", "é" * 50, "x" * 5_000, None])
def test_a_file_without_a_first_key_is_named_and_nothing_is_left(
    tmp_path: Path, text: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "key").write_text(text, "utf-8")
    monkeypatch.setenv("POINTS_BOOTSTRAP_KEY_FILE", str(tmp_path / "key"))
    assert run(["--ledger", str(tmp_path / "ledger"), "serve", "--host", "0.0.0.0", "--port", "0"]) == 3
    assert f"POINTS_BOOTSTRAP_KEY_FILE: {tmp_path / 'key'}" in capsys.readouterr().err
    assert not (tmp_path / "ledger").exists()
