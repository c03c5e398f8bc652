"""Drafts of rule books over HTTP: kept, backtested beside the server, approved by a second person, published once.

The ledger's book is in dollars, so that a page that said another currency would be seen.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.rulebook.schema import shipped
from ledger.wire.answers import AdjustmentRequest
from ledger.wire.fact_codec import decode
from service.cli import run
from service.console.requests import is_use
from service.drafts import records, store
from service.drafts.store import BadDraft, DraftStore
from service.http import operator_log
from service.http.drafts import with_date
from service.http.operator_lines import Action, DraftStep, problems_of
from service.http.operator_log import OperatorLog
from service.http.problems import Problem
from tests.support.histories import encode
from tests.support.ledgers import scratch
from tests.support.served import NDJSON, ROOT, Server, environment, fact, grant, new_key, points, served

BOOK = shipped("marriott")
WAIT_SECONDS = 60
FINISHED = ("done", "failed", "cancelled", "interrupted")


def draft(change: str = "points = 11, per_fen = 100", begins: str = "2031-01-01") -> str:
    """The ledger's book with more points for a stay, from a day on."""
    changed = BOOK.replace("give = { points = 10, per_fen = 100 }", f"give = {{ {change} }}", 1)
    return changed.replace("from = 2019-02-13", f"from = {begins}", 1)


def stay(member: str, name: str, paid_fen: int) -> bytes:
    line = {"line": "1", "sku": "s", "category": "room", "quantity": 1, "paid_fen": paid_fen}
    data = {"order": name, "lines": [line], "currency": "USD"}
    return encode(fact("order.completed", member, name, data, source="/hotel/orders", ago=86_400))


def prepare(folder: Path, stays: int) -> None:
    """A ledger with the dollar book and that many stays."""
    facts = folder / "facts.ndjson"
    facts.write_bytes(b"".join(stay(f"m-{n % 50}", f"O{n}", 10_000) + b"\n" for n in range(stays)))
    for command in (["init", "--book", "marriott"], ["ingest", "--backlog", str(facts)]):
        taken = [*points(folder / "ledger"), *command]
        subprocess.run(taken, cwd=ROOT, env=environment(), check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch() as folder:
        prepare(folder, 60)
        with served(folder / "ledger") as server:
            for name in ("ann", "bob", "cid"):
                setattr(server, name, new_key(server.folder, name, "operate", "books:read"))
            yield server


@pytest.fixture
def people(server: Server) -> Iterator[list[httpx.Client]]:
    """Ann, Bob and Cid, who may all operate."""
    clients = [server.client(getattr(server, name)) for name in ("ann", "bob", "cid")]
    yield clients
    for client in clients:
        client.close()


def kept(http: httpx.Client, toml: str, file: str = "new.toml") -> dict[str, Any]:
    answer = http.post("/v1/drafts", json={"toml": toml, "file": file})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/drafts/{found['draft']}"
    return found


def ended(http: httpx.Client, name: str) -> dict[str, Any]:
    """The backtest of a draft, once it has ended."""
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        found: dict[str, Any] = http.get(f"/v1/drafts/{name}/backtest").json()
        if found["run"] and found["run"]["state"] in FINISHED:
            return found
        time.sleep(0.1)
    raise AssertionError(f"it did not end: {found}")


def is_problem(answer: httpx.Response, name: str, part: str = "") -> None:
    found = answer.json()
    assert found["type"] == f"/problems/{name}" and part in found["detail"], answer.text


def test_a_draft_goes_from_one_person_to_the_ledger_by_way_of_another(
    server: Server, people: list[httpx.Client], capfd: pytest.CaptureFixture[str]
) -> None:
    ann, bob, cid = people
    toml = draft()
    found = kept(ann, toml, "folder/spring.toml")
    name, at = found["draft"], f"/v1/drafts/{found['draft']}"
    assert (found["file"], found["by"], found.get("state", "kept")) == ("spring.toml", "ann", "kept")
    assert found["sha256"] == sha256(toml.encode()).hexdigest()
    assert found["from"] == "2031-01-01T00:00:00-05:00"
    assert kept(bob, toml)["draft"] == name, "the same bytes are the same draft"
    assert ann.get(f"{at}/book").content == toml.encode()

    assert ann.post(f"{at}/backtest", json={}).status_code == 202
    tried = ended(ann, name)
    assert tried["run"]["state"] == "done", tried["run"]
    issued = tried["report"]["points"]["points"]["issued"]
    assert (issued["actual"], issued["draft"]) == (60 * 1_000, 60 * 1_100)

    is_problem(bob.post(f"{at}/approval"), "already-done", "the draft is kept")
    is_problem(ann.post(f"{at}/handing-in", json={"reason": " "}), "bad-request", "reason")
    for _ in range(2):  # sent again, it is the same step
        waiting = bob.post(f"{at}/handing-in", json={"reason": "spring"}).json()
        assert (waiting["state"], waiting["reason"], waiting["handed_in_by"]) == ("waiting", "spring", "bob")
    for own in (ann, bob):  # who kept it, and who handed it in
        is_problem(own.post(f"{at}/approval"), "approval-needed")
    is_problem(bob.post(f"{at}/publication", json={"from": "2031-01-01"}), "already-done", "waiting")
    assert cid.post(f"{at}/approval").json()["state"] == "approved"

    is_problem(ann.post(f"{at}/publication", json={"from": "2031-01-02"}), "bad-request", "begins on 2031-01-01")
    for _ in range(2):
        answer = ann.post(f"{at}/publication", json={"from": "2031-01-01"})
        assert answer.json()["state"] == "published", answer.text
    versions = ann.get("/v1/programmes").json()["versions"]
    assert found["version"] in [one["version"] for one in versions]
    is_problem(cid.post("/v1/drafts", json={"toml": toml}), "already-done", "nothing is to publish")

    steps = [(one["step"], one["by"]) for one in ann.get(at).json()["steps"]]
    assert steps == [
        ("keep", "ann"),
        ("backtest", "ann"),
        ("hand-in", "bob"),
        ("approve", "cid"),
        ("publish", "ann"),
        ("published", "ann"),
    ]
    by_name = {one["step"]: one.get("what", {}) for one in ann.get(at).json()["steps"]}
    assert by_name["approve"]["version"] == by_name["publish"]["version"] == found["version"]
    assert by_name["approve"]["report"] == by_name["backtest"]["report"] == tried["run"]["report"]
    assert by_name["backtest"]["cost_fen"] == sum(one["cost_fen"] for one in tried["report"]["months"])
    assert problems_of(server.folder) == [], "the record is sealed"
    listed = subprocess.run(
        [*points(server.folder), "programme", "list", "--json"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert run(["--ledger", str(server.folder), "programme", "drafts", name, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["steps"] == ann.get(at).json()["steps"]
    assert run(["--ledger", str(server.folder), "programme", "drafts"]) == 0
    assert "spring.toml" in capfd.readouterr().out
    assert run(["--ledger", str(server.folder), "programme", "drafts", "d-0"]) == 3
    published = json.loads(listed.stdout)[-1]["published"]
    assert published["by"] == "bob, approved by cid"


def test_what_is_wrong_is_named_and_nothing_is_kept(people: list[httpx.Client]) -> None:
    ann, *_ = people
    before = len(ann.get("/v1/drafts").json()["drafts"])
    for wrong, part in (
        (draft("points = -1, per_fen = 100"), "bad.toml: award[0]"),
        ("not = [toml", "bad.toml: not TOML"),
        (draft(begins="2031-13-01"), "bad.toml"),
    ):
        is_problem(ann.post("/v1/drafts", json={"toml": wrong, "file": "bad.toml"}), "bad-programme", part)
    is_problem(ann.post("/v1/drafts", json={"toml": draft(), "file": "x" * 200}), "bad-request", "file")
    is_problem(ann.get("/v1/drafts/nothing"), "unknown-draft")
    is_problem(ann.post("/v1/drafts/nothing/approval"), "unknown-draft")
    assert len(ann.get("/v1/drafts").json()["drafts"]) == before


def test_a_key_that_only_reads_changes_nothing(server: Server, people: list[httpx.Client]) -> None:
    found = kept(people[0], draft("points = 12, per_fen = 100"))
    at = f"/v1/drafts/{found['draft']}"
    with server.client(new_key(server.folder, "reader", "books:read")) as reader:
        assert reader.get(at).status_code == 200
        for answer in (
            reader.post("/v1/drafts", json={"toml": draft()}),
            reader.post(f"{at}/backtest", json={}),
            reader.post(f"{at}/handing-in", json={"reason": "x"}),
            reader.post(f"{at}/approval"),
            reader.post(f"{at}/publication", json={"from": "2031-01-01"}),
            reader.delete(at),
        ):
            is_problem(answer, "wrong-scope")
    assert people[0].delete(at).json()["state"] == "discarded"
    is_problem(people[0].post(f"{at}/handing-in", json={"reason": "x"}), "already-done", "discarded")


def handed_in(people: list[httpx.Client], toml: str) -> str:
    name = kept(people[0], toml)["draft"]
    answer = people[0].post(f"/v1/drafts/{name}/handing-in", json={"reason": "asked"})
    assert answer.status_code == 200, answer.text
    return str(name)


def test_of_two_people_who_race_to_decide_one_does(people: list[httpx.Client]) -> None:
    name = handed_in(people, draft("points = 13, per_fen = 100", "2032-01-01"))
    at = f"/v1/drafts/{name}"
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda one: one.post(f"{at}/approval"), people[1:]))
    assert sorted(one.status_code for one in answers) == [200, 409], [one.text for one in answers]
    (winner,) = [one.json()["decided_by"] for one in answers if one.status_code == 200]
    found = people[0].get(at).json()
    assert found["decided_by"] == winner and [one["step"] for one in found["steps"]].count("approve") == 1
    rejected = people[1].post(f"{at}/rejection", json={"reason": "too dear"}).json()
    assert (rejected["state"], rejected["why"]) == ("rejected", "too dear")
    is_problem(people[0].post(f"{at}/publication", json={"from": "2032-01-01"}), "already-done", "rejected")


def test_a_past_date_has_to_be_meant_and_what_is_decided_stays(people: list[httpx.Client]) -> None:
    ann, bob, _ = people
    name = handed_in(people, draft("points = 14, per_fen = 100", "2020-01-01"))
    at = f"/v1/drafts/{name}"
    assert bob.post(f"{at}/approval").status_code == 200
    is_problem(bob.post(f"{at}/publication", json={"from": "2020-01-01"}), "bad-request", "2020-01-01 is past")
    before = ann.get("/v1/stats").json()["points"]
    answer = bob.post(f"{at}/publication", json={"from": "2020-01-01", "past": True})
    assert answer.json()["state"] == "published", answer.text
    assert ann.get("/v1/stats").json()["points"] == before


def test_a_version_that_came_between_has_the_draft_looked_at_again(people: list[httpx.Client]) -> None:
    ann, bob, cid = people
    first, second = (handed_in(people, draft(f"points = {n}, per_fen = 100", "2040-01-01")) for n in (15, 16))
    for name in (first, second):
        assert bob.post(f"/v1/drafts/{name}/approval").status_code == 200
    wanted = {"from": "2040-01-01"}
    assert ann.post(f"/v1/drafts/{first}/publication", json=wanted).json()["state"] == "published"
    is_problem(ann.post(f"/v1/drafts/{second}/publication", json=wanted), "already-done", "hand it in again")
    assert ann.post(f"/v1/drafts/{second}/handing-in", json={"reason": "again"}).json()["state"] == "waiting"
    assert cid.post(f"/v1/drafts/{second}/approval").json()["state"] == "approved"
    assert ann.post(f"/v1/drafts/{second}/publication", json=wanted).json()["state"] == "published"


def test_what_a_server_died_over_is_published_by_whoever_asks_again(server: Server, people: list[httpx.Client]) -> None:
    ann, bob, _ = people
    name = handed_in(people, draft("points = 20, per_fen = 100", "2045-01-01"))
    assert bob.post(f"/v1/drafts/{name}/approval").status_code == 200
    with closing(OperatorLog(server.folder)) as log:  # the line was on the disk, and nothing was sent
        log.step_draft("ann", "draft-publish", name, DraftStep())
    found = ann.get(f"/v1/drafts/{name}").json()
    assert (found["state"], found["published_by"]) == ("publishing", "ann")
    for _ in range(2):
        answer = bob.post(f"/v1/drafts/{name}/publication", json={"from": "2045-01-01"}).json()
        assert (answer["state"], answer["published_by"]) == ("published", "ann"), answer


def sent(log: OperatorLog, what: DraftStep) -> str:
    """A draft of which the log says that it is being published."""
    name = log.keep_draft("ann", what).draft
    steps: tuple[tuple[str, Action], ...] = ("ann", "draft-hand-in"), ("bob", "draft-approve"), ("ann", "draft-publish")
    for by, step in steps:
        log.step_draft(by, step, name, what, "x")
    return name


def test_what_a_server_died_over_stands_in_nobodys_way(server: Server, people: list[httpx.Client]) -> None:
    ann, bob, _ = people
    left, known = "", DraftStep()
    for n in (30, 31):
        name = handed_in(people, draft(f"points = {n}, per_fen = 100", "2050-01-01"))
        if known.version:
            with closing(OperatorLog(server.folder)) as log:  # what is in the ledger, and nobody could say so
                left = sent(log, known)
        assert bob.post(f"/v1/drafts/{name}/approval").status_code == 200
        answer = ann.post(f"/v1/drafts/{name}/publication", json={"from": "2050-01-01"})
        found = answer.json()
        assert found["state"] == "published", answer.text
        known = DraftStep(file="x", sha256=found["sha256"], version=found["version"])
    with closing(OperatorLog(server.folder)) as log, closing(DraftStore.at(server.folder)) as texts:
        assert log.draft(left).state == "published"
        left = sent(log, DraftStep(file="x", sha256=texts.keep("no = 1"), version="v"))  # what can be sent no more
        is_problem(bob.post(f"/v1/drafts/{left}/publication", json={"from": "2050-01-01"}), "bad-programme")
        assert log.draft(left).state == "approved"


def test_no_key_publishes_a_book_in_the_name_of_others(server: Server) -> None:
    toml = draft("points = 40, per_fen = 100", "2060-01-01")
    alone = fact(
        "programme.published", "programme", "p-1", {"toml": toml, "by": "ann, approved by bob"}, source="/operators"
    )
    with server.client(new_key(server.folder, "clerk", "operate", "facts:write")) as http:
        own = fact("programme.published", "programme", "p-0", {"toml": toml}, source="/operators")
        is_problem(http.post("/v1/facts", json=own), "approval-needed", "books:write")
    with server.client(new_key(server.folder, "writer", "operate", "facts:write", "books:write")) as http:
        is_problem(http.post("/v1/facts", json=alone), "approval-needed", "/v1/drafts")
        lines = http.post("/v1/facts:bulk", content=encode(alone) + b"\n", headers=NDJSON).content
        assert b"approval-needed" in lines, lines


def test_a_person_approves_nothing_under_a_second_name(tmp_path: Path) -> None:
    with closing(OperatorLog(tmp_path)) as log:
        name = log.keep_draft("ann@shop.example", DraftStep(file="x", sha256="1")).draft
        log.step_draft("Bob", "draft-hand-in", name, DraftStep(), "asked")
        asked = log.propose("ann@shop.example", AdjustmentRequest("m-1", 5, "x")).adjustment
        for by in ("ann@shop.example 0123456789ab", "ANN@shop.example", "bob"):
            with pytest.raises(Problem, match="another key must approve"):
                log.step_draft(by, "draft-approve", name, DraftStep())
            if by != "bob":
                with pytest.raises(Problem, match="another key must approve"):
                    log.decide(by, asked, "approve")
        assert log.step_draft("bobby", "draft-approve", name, DraftStep()).state == "approved"
        assert log.decide("bob", asked, "approve").state == "approved"


def test_goodwill_has_one_limit_for_a_person_under_each_of_the_names(tmp_path: Path) -> None:
    given = [decode(encode(grant("m", f"g-{n}", 40)))[0] for n in range(2)]
    with closing(OperatorLog(tmp_path)) as log:
        log.record_goodwill("ann", given[0], 40, "late", 50)
    with closing(OperatorLog(tmp_path)) as log:
        assert log.goodwill_left("ann 0123456789ab", 50) == 10 and log.goodwill_left("bob", 50) == 50
        with pytest.raises(Problem, match="propose an adjustment"):
            log.record_goodwill("ANN", given[1], 40, "late", 50)


def test_the_texts_of_settled_drafts_do_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_SPARE", 2)
    with closing(DraftStore.at(tmp_path)) as texts:
        names = [texts.keep(f"text {n}") for n in range(5)]
        texts.drop_texts_but({names[0]}, 0)
        for name in (names[0], names[3], names[4]):  # what is needed, and the newest of the others
            assert texts.text(name)
        for name in names[1:3]:
            with pytest.raises(BadDraft, match="is gone"):
                texts.text(name)


def test_so_many_drafts_are_open_and_an_old_one_has_expired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_log, "MOST_OPEN", 2)
    with closing(OperatorLog(tmp_path)) as log:
        first, _ = (log.keep_draft("ann", DraftStep(sha256=f"{n}")) for n in range(2))
        with pytest.raises(Problem, match="2 drafts are kept"):
            log.keep_draft("ann", DraftStep(sha256="2"))
        log.step_draft("ann", "draft-discard", first.draft, DraftStep())
        assert log.keep_draft("ann", DraftStep(sha256="2")).is_open
        monkeypatch.setattr(records, "DAYS", -1)
    with closing(OperatorLog(tmp_path)) as log:  # read again, each was kept so long ago that it has expired
        assert {one.state for one in log.drafts()} == {"discarded", "expired"}
        with pytest.raises(Problem, match="the draft is expired"):
            log.step_draft("ann", "draft-hand-in", log.drafts()[0].draft, DraftStep(), "late")


def test_of_two_approved_drafts_that_are_published_at_once_one_is(tmp_path: Path) -> None:
    with closing(OperatorLog(tmp_path)) as log:
        one, other = (log.keep_draft("ann", DraftStep(file=f"{n}.toml", sha256=f"{n}")).draft for n in range(2))
        for name in (one, other):
            log.step_draft("ann", "draft-hand-in", name, DraftStep(), "asked")
            log.step_draft("bob", "draft-approve", name, DraftStep())
        log.step_draft("ann", "draft-publish", one, DraftStep())
        for _ in range(2):  # while it is sent, and once it is in
            with pytest.raises(Problem, match="is published meanwhile"):
                log.step_draft("ann", "draft-publish", other, DraftStep())
            log.step_draft("ann", "draft-published", one, DraftStep(outcome="accepted"))
        log.step_draft("ann", "draft-hand-in", other, DraftStep(), "again")
        log.step_draft("bob", "draft-approve", other, DraftStep())
        assert log.step_draft("ann", "draft-publish", other, DraftStep()).state == "publishing"


def test_a_date_is_changed_and_nothing_beside_it() -> None:
    text = BOOK.replace("from = 2019-02-13", "from   = 2019-02-13 # born", 1)
    assert with_date(text, "2031-02-03", "b.toml") == text.replace("2019-02-13 #", "2031-02-03 #", 1)
    for wrong, day in ((BOOK, "2031-02-30"), (BOOK, "soon"), (BOOK.replace("from = ", '"from" = ', 1), "2031-01-01")):
        with pytest.raises(Problem, match="from"):
            with_date(wrong, day, "b.toml")


def test_what_an_open_page_asks_for_by_itself_keeps_no_session() -> None:
    assert not is_use("/console/live") and not is_use("/console/live/backtest")
    assert is_use("/console/lively") and is_use("/console")


def test_bytes_that_were_changed_are_never_published(server: Server, people: list[httpx.Client]) -> None:
    toml = draft("points = 17, per_fen = 100", "2050-01-01")
    name = handed_in(people, toml)
    at = f"/v1/drafts/{name}"
    assert people[1].post(f"{at}/approval").status_code == 200
    with closing(DraftStore.at(server.folder)) as texts:
        changed = toml.replace("points = 17", "points = 99").encode()
        texts._db.run("UPDATE texts SET toml = ? WHERE toml = ?", changed, toml.encode())
    is_problem(people[1].post(f"{at}/publication", json={"from": "2050-01-01"}), "unknown-draft", "not what was kept")


def _has_steps(http: httpx.Client, name: str, expected: list[tuple[str, str]]) -> None:
    """Who began or cancelled each backtest of a draft, and how it ended, are these."""
    steps = http.get(f"/v1/drafts/{name}").json()["steps"]
    assert [(one["by"], one["what"]["ended"]) for one in steps if one["step"] == "backtest"] == expected


def test_a_persons_steps_of_a_day_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_log, "MOST_STEPS", 3)
    with closing(OperatorLog(tmp_path)) as log:
        one = log.keep_draft("ann", DraftStep(sha256="1")).draft
        for _ in range(2):
            log.check_pace("ANN")
            log.step_draft("ann", "draft-backtest", one, DraftStep(ended="cancelled"))
        for step in (
            lambda: log.check_pace("ANN"),
            lambda: log.keep_draft("ann", DraftStep(sha256="2")),
            lambda: log.step_draft("ann", "draft-hand-in", one, DraftStep(), "why"),
        ):
            with pytest.raises(Problem, match="3 steps of drafts in 24 hours"):
                step()
        log.check_pace("bob")
        assert log.keep_draft("ann", DraftStep(sha256="1")).draft == one  # the one there is
        monkeypatch.setattr(operator_log, "A_DAY", timedelta(0))
        log.check_pace("ann")


def test_a_backtest_is_cancelled_and_only_one_runs(server: Server, people: list[httpx.Client]) -> None:
    ann, bob, _ = people
    one, other = (kept(ann, draft(f"points = {n}, per_fen = 100", "2060-01-01"))["draft"] for n in (18, 19))
    with closing(DraftStore.at(server.folder)) as store, store.running():  # no backtest gets its turn
        assert ann.post(f"/v1/drafts/{one}/backtest", json={"from": "2025-01-01"}).status_code == 202
        is_problem(ann.post(f"/v1/drafts/{other}/backtest", json={}), "busy", f"draft {one}")
        assert bob.delete(f"/v1/drafts/{one}/backtest").json()["state"] == "cancelled"
        assert ann.post(f"/v1/drafts/{other}/backtest", json={}).status_code == 202
        assert ann.delete(f"/v1/drafts/{other}/backtest").json()["state"] == "cancelled"
        assert ann.post(f"/v1/drafts/{other}/backtest", json={}).status_code == 202  # in the place of the cancelled
    assert ended(ann, other)["run"]["state"] == "done"
    _has_steps(ann, other, [("ann", "cancelled"), ("ann", "done")])
    _has_steps(ann, one, [("bob", "cancelled")])
    found = ann.get(f"/v1/drafts/{one}/backtest").json()
    assert (found["run"]["state"], found["run"]["cancelled_by"], found.get("report")) == ("cancelled", "bob", None)


def test_a_backtest_that_the_servers_death_broke_off_is_said_to_be_and_can_be_run_again() -> None:
    with scratch() as folder:
        prepare(folder, 60)
        ledger = folder / "ledger"
        with served(ledger, failpoint="backtest:1:STOP") as server, server.client() as http:
            name = kept(http, draft())["draft"]
            assert http.post(f"/v1/drafts/{name}/backtest", json={}).status_code == 202
            until = time.monotonic() + WAIT_SECONDS
            while (run := http.get(f"/v1/drafts/{name}/backtest").json()["run"])["state"] == "waiting":
                assert time.monotonic() < until
                time.sleep(0.1)
            assert run["state"] == "running"
            os.killpg(server.process.pid, signal.SIGKILL)  # all of its processes, as when the machine fails
        with served(ledger) as server, server.client() as http:
            found = ended(http, name)
            assert (found["run"]["state"], found.get("report")) == ("interrupted", None)
            assert http.post(f"/v1/drafts/{name}/backtest", json={}).status_code == 202
            assert ended(http, name)["run"]["state"] == "done"
            _has_steps(http, name, [("local", "interrupted"), ("local", "done")])
