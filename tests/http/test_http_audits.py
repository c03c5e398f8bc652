"""Books from a view that follows, checkpoints that are handed in, proofs that hold offline, and what audits left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from ledger.journal.open import open_ledger
from ledger.wire.times import parse_instant
from points_client import Client, answers
from projections.answers.stats import outstanding_by_month, stats, summed
from projections.audit.proof.checkpoint import PAYLOAD_TYPE, Mark, make, parsed
from projections.audit.proof.keys import new_key, sign, signing_key
from projections.audit.proof.nodes import file_of
from tests.http.test_http import fits, is_problem
from tests.support.ledgers import ingested, scratch
from tests.support.served import JSON, ROOT, Server, environment, grant, points, served

MEMBER = "m-1"
FACTS = 4_600  # so that a partition has a full block of leaves
PATIENCE = 60  # seconds, that something which is to come may take


def until(what: Callable[[], Any]) -> Any:
    """What comes to be true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


class Office:
    """A server, and an auditor with a key who signs elsewhere."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        self.key = folder / "key.pem"
        self.public, _ = new_key(self.key)

    def run(self, *arguments: object, code: int = 0) -> str:
        """A command on the ledger."""
        done = subprocess.run(
            [*points(self.server.folder), *map(str, arguments)],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def checkpoint(self, name: str) -> Path:
        """A checkpoint that the server does not see."""
        path = self.folder / name
        self.run("checkpoint", "--key", self.key, "-o", path, "--folder", self.folder / "elsewhere")
        return path

    def signed(self, marks: Callable[[list[Mark]], list[Mark]]) -> bytes:
        """A checkpoint of the ledger as it is, but for its marks, signed all the same."""
        ledger, key = open_ledger(self.server.folder), signing_key(self.key)
        made = make(ledger, key, "2026-01-01T00:00:00+08:00").checkpoint
        ledger.close()
        forged = msgspec.structs.replace(made, partitions=marks(made.partitions))
        return msgspec.json.encode(sign(msgspec.json.encode(forged), PAYLOAD_TYPE, key))

    def verify(self, *files: Path) -> str:
        """What the standalone verifier says of good files."""
        command = [sys.executable, "-I", str(ROOT / "verifier" / "points_verify.py"), "--key", str(self.public)]
        done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    with scratch() as folder:
        ingested(folder, [grant(f"m-{n % 40}", f"g-{n}", 5 + n % 7) for n in range(FACTS)]).close()
        with served(folder / "ledger", views=True) as server:
            yield Office(folder, server)


@pytest.fixture
def http(office: Office) -> Iterator[httpx.Client]:
    with office.server.client() as client:
        yield client


# -- books from a view -------------------------------------------------------------------------------------------------


def followed(http: httpx.Client) -> dict[str, Any]:
    """The books, once the view that keeps them holds all that was decided."""

    def books() -> Any:
        live = [one for one in http.get("/v1/views").json()["views"] if one["view"] == "books" and one["is_live"]]
        found = http.get("/v1/stats").json()
        return found if live and not live[0]["behind"] and not found["behind"] else None

    found: dict[str, Any] = until(books)
    return found


def test_the_books_follow_what_is_decided_and_are_those_summed_from_the_entries(
    office: Office, http: httpx.Client
) -> None:
    before = followed(http)
    assert http.post("/v1/facts", json=grant(MEMBER, "g-new", 77)).json()["outcome"] == "accepted"
    books = until(lambda: (now := followed(http))["entries"] != before["entries"] and now)
    assert books["points"]["beans"]["issued"] == before["points"]["beans"]["issued"] + 77
    fits(http.get("/v1/stats"), answers.Books)
    liability = fits(http.get("/v1/liability"), answers.Liability)
    ledger = open_ledger(office.server.folder)
    assert books == msgspec.to_builtins(stats(ledger, parse_instant(books["as_of"], 0)))
    as_of = parse_instant(liability.as_of, 0)
    assert msgspec.to_builtins(liability) == msgspec.to_builtins(outstanding_by_month(ledger, summed(ledger, as_of)))
    for asked in ("2020-01-01", "2999-01-01"):  # before the view, and when all has expired
        found = http.get("/v1/stats", params={"as_of": asked}).json()
        assert found == msgspec.to_builtins(stats(ledger, parse_instant(found["as_of"], 0))), asked
    ledger.close()


def test_every_view_says_how_far_it_is(office: Office, http: httpx.Client) -> None:
    followed(http)
    assert "never built" in {one["state"] for one in http.get("/v1/views").json()["views"]}
    office.run("views", "run", "activity")
    views = {one.view: one for one in fits(http.get("/v1/views"), answers.Views).views}
    heads = {str(one["partition"]): one["entries"] for one in http.get("/v1/positions").json()["partitions"]}
    assert views["activity"].is_live and views["activity"].position == heads == views["books"].position
    http.post("/v1/facts", json=grant(MEMBER, "g-activity", 1))

    def behind() -> int:
        return next(one["behind"] for one in http.get("/v1/views").json()["views"] if one["view"] == "activity")

    until(lambda: behind() == 0 and followed(http))  # what was built once is followed, too


def children_of(pid: int) -> set[int]:
    """The processes that a process started to work, beside which Python has one that looks after what they share."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= set(map(int, (task / "children").read_text().split()))
    return {child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc, to see whose child a process is")
def test_the_process_that_follows_is_started_again_and_ends_with_its_server() -> None:
    with scratch() as folder:
        ingested(folder, [grant(MEMBER, "g-1", 5)]).close()
        server = Server(folder / "ledger", views=True)
        try:
            with server.client() as http:
                (first,) = until(lambda: children_of(server.process.pid))
                followed(http)
                os.kill(first, signal.SIGKILL)
                (second,) = until(lambda: children_of(server.process.pid) - {first})
                http.post("/v1/facts", json=grant(MEMBER, "g-2", 5))
                until(lambda: followed(http)["points"]["beans"]["issued"] == 10)
            server.kill()
            until(lambda: not is_running(second))
        finally:
            server.stop()


# -- checkpoints and proofs --------------------------------------------------------------------------------------------


def test_a_checkpoint_is_handed_in_once_and_given_back_as_it_was(office: Office, http: httpx.Client) -> None:
    path = office.checkpoint("first.checkpoint")
    raw = path.read_bytes()
    answer = http.post("/v1/checkpoints", content=raw, headers=JSON)
    assert answer.status_code == 201, answer.text
    found = msgspec.json.decode(answer.content, type=answers.Checkpoint)
    again = http.post("/v1/checkpoints", content=raw, headers=JSON)
    assert again.status_code == 201 and again.json() == answer.json()
    listed = fits(http.get("/v1/checkpoints"), answers.Checkpoints).checkpoints
    assert listed.count(found) == 1
    assert found.entries == sum(mark.entries for mark in parsed(raw, "").checkpoint.partitions)
    with Client(office.server.url) as client:
        assert client.checkpoints().checkpoints == listed
        assert client.proof(MEMBER, 1) == client.proof(MEMBER, 1, checkpoint=found.name) != b""
    given = http.get(f"/v1/checkpoints/{found.name}")
    assert given.content == raw and f'filename="{found.name}.checkpoint"' in given.headers["content-disposition"]
    actions = [json.loads(line) for line in (office.server.folder / "operators.ndjson").read_bytes().splitlines()]
    assert [one["action"] for one in actions if one["about"] == found.name] == ["checkpoint"]


def test_what_the_ledger_did_not_sign_is_not_kept(office: Office, http: httpx.Client) -> None:
    raw = office.checkpoint("whole.checkpoint").read_bytes()
    kept = http.get("/v1/checkpoints").json()
    flipped = bytearray(raw)
    flipped[len(raw) // 2] ^= 1
    with scratch() as folder:
        other = ingested(folder, [grant(MEMBER, "g-1", 5)])
        foreign = msgspec.json.encode(make(other, signing_key(office.key), "2026-01-01T00:00:00+08:00").envelope)
        other.close()
    for bad in (bytes(flipped), b"{}", b"", b"\xff", foreign):
        is_problem(http.post("/v1/checkpoints", content=bad, headers=JSON), "bad-checkpoint")
    replace = msgspec.structs.replace
    forgeries: list[Callable[[list[Mark]], list[Mark]]] = [
        lambda marks: [replace(marks[0], link="0" * 64), *marks[1:]],
        lambda marks: [
            replace(marks[0], peaks=marks[1].peaks, tree=marks[1].tree, entries=marks[1].entries),
            *marks[1:],
        ],
        lambda marks: [replace(mark, entries=mark.entries << 1) for mark in marks],
        lambda marks: marks[:-1],
    ]
    for forged in forgeries:
        is_problem(http.post("/v1/checkpoints", content=office.signed(forged), headers=JSON), "not-as-signed")
    is_problem(http.post("/v1/checkpoints", content=raw, headers={"Content-Type": "text/plain"}), "wrong-media-type")
    assert http.get("/v1/checkpoints").json() == kept


def test_proofs_are_those_of_the_command_line_and_good_offline(office: Office, http: httpx.Client) -> None:
    first = http.post("/v1/checkpoints", content=office.checkpoint("a").read_bytes(), headers=JSON).json()
    assert http.post("/v1/facts", json=grant(MEMBER, "g-later", 3)).status_code == 200
    number = http.get(f"/v1/members/{MEMBER}").json()["entries"]
    last = f"/v1/members/{MEMBER}/entries/{number}/proof"
    is_problem(http.get(last), "unknown-checkpoint")
    second = http.post("/v1/checkpoints", content=office.checkpoint("b").read_bytes(), headers=JSON).json()
    own, ours = office.folder / "own.proof", office.folder / "ours.proof"
    proofs = {}
    for entry in (1, 60, number):
        office.run("prove", MEMBER, entry, "--checkpoint", office.folder / "b", "-o", own)
        proofs[entry] = own.read_bytes()
        assert f"entry {entry} of {MEMBER}" in office.verify(own)
    trees = office.server.folder / "audits" / "trees"
    nodes = file_of(trees, next(n for n in range(4) if first["partitions"][n]["entries"] >= 1_024))
    for damage in (None, "changed", "cut", "gone"):
        content = until(lambda: nodes.is_file() and nodes.read_bytes())
        match damage:
            case "changed":
                nodes.write_bytes(bytes([content[0] ^ 1]) + content[1:])
            case "cut":
                nodes.write_bytes(content[:-5])
            case "gone":
                nodes.unlink()
            case _:
                pass
        for entry, proof in proofs.items():
            assert http.get(f"/v1/members/{MEMBER}/entries/{entry}/proof").content == proof, (damage, entry)
    by_first = http.get(f"/v1/members/{MEMBER}/entries/1/proof", params={"checkpoint": first["name"]})
    assert by_first.json()["checkpoint"] == http.get(f"/v1/checkpoints/{first['name']}").json()
    is_problem(http.get(last, params={"checkpoint": first["name"]}), "unknown-checkpoint")
    extends = http.get(f"/v1/checkpoints/{second['name']}/consistency", params={"earlier": first["name"]})
    ours.write_bytes(extends.content)
    office.verify(ours)
    backwards = http.get(f"/v1/checkpoints/{first['name']}/consistency", params={"earlier": second["name"]})
    is_problem(backwards, "bad-checkpoint")


def test_what_cannot_be_proved_is_said(office: Office, http: httpx.Client) -> None:
    http.post("/v1/checkpoints", content=office.checkpoint("c").read_bytes(), headers=JSON)
    is_problem(http.get(f"/v1/members/{MEMBER}/entries/99999/proof"), "unknown-entry")
    is_problem(http.get("/v1/members/nobody/entries/1/proof"), "unknown-member")
    for name in ("none", "../keys", "20260101T000000-000000000000"):
        params = {"checkpoint": name}
        is_problem(http.get(f"/v1/members/{MEMBER}/entries/1/proof", params=params), "unknown-checkpoint")
    is_problem(http.get("/v1/checkpoints/none"), "unknown-checkpoint")


# -- results of audits -------------------------------------------------------------------------------------------------


def test_each_audit_leaves_its_last_result_and_how_much_came_since(office: Office, http: httpx.Client) -> None:
    balances = office.folder / "balances.csv"
    balances.write_text(f"member,kind,balance\n{MEMBER},beans,1\n")
    office.run("verify", "--json")
    office.run("replay", "--json")
    office.run("reconcile", balances, "--json", code=1)
    office.run("checkpoint", "--key", office.key, "-o", office.folder / "kept.checkpoint")
    found = {one.audit: one for one in fits(http.get("/v1/audits"), answers.Audits).audits}
    assert {name: one.good for name, one in found.items()} == {
        "verify": True,
        "replay": True,
        "reconcile": False,
        "checkpoint": True,
    }
    entries = sum(one["entries"] for one in http.get("/v1/positions").json()["partitions"])
    assert all(one.entries == entries == sum(one.position.values()) and not one.since for one in found.values())
    assert found["reconcile"].found >= 1 and found["reconcile"].note == "balances.csv"
    kept = {one["name"] for one in http.get("/v1/checkpoints").json()["checkpoints"]}
    assert found["checkpoint"].note in kept, "a copy lies where the server finds it"
    http.post("/v1/facts", json=grant(MEMBER, "g-since", 3))
    assert {one["since"] for one in http.get("/v1/audits").json()["audits"]} == {1}


def test_an_audit_is_as_good_where_it_can_leave_nothing(office: Office) -> None:
    taken = office.folder / "taken"
    taken.write_text("a file where the folder would be")
    assert json.loads(office.run("verify", "--json", "--folder", taken))["broken"] == []
    out = office.folder / "alone.checkpoint"
    office.run("checkpoint", "--key", office.key, "-o", out, "--folder", taken)
    assert parsed(out.read_bytes(), "").checkpoint.partitions
