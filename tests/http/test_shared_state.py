"""Keys, sessions, acts, documents: the contract over files and over PostgreSQL, and two servers as one service."""

import os
import re
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import LiteralString

import httpx
import psycopg
import pytest

from ledger.errors import PointsLedgerError
from ledger.wire.answers import AdjustmentRequest
from projections.answers.sidecar import AUDITS, CHECKPOINTS
from service.cli import run
from service.console.requests import SESSION_COOKIE
from service.console.sessions import Person, sessions_of
from service.documents import kept_documents
from service.http.operator_log import OperatorLog, operator_log_of
from service.http.operator_store import problems_kept
from service.http.problems import Problem
from service.keys import BadKey, Keys, keys_of, shared_problems
from service.keys import problems_of as problems_of_keys
from tests.support.served import grant, served, until

REQUEST = AdjustmentRequest("m-1", 100, "goodwill")
SECONDS = 60  # that what takes milliseconds may take on a busy machine


@pytest.fixture(params=["files", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path | None]:
    """A ledger's place, and the folder of one in a folder."""
    if request.param == "files":
        return str(tmp_path), tmp_path
    return request.getfixturevalue("place"), None


def test_keys_are_made_found_revoked_and_sealed(kept: tuple[str, Path | None]) -> None:
    with closing(keys_of(*kept)) as ours, closing(keys_of(*kept)) as theirs:
        assert not ours.exist()
        key, text = ours.new("shop", ["facts:write", "operate"])
        assert theirs.exist() and theirs.find(text) is not None and theirs.all() == [ours.all()[0]]
        assert theirs.live(key.id) is not None and ours.find(text + "x") is None
        assert ours.all()[0].last_used is not None
        with pytest.raises(BadKey, match='a key "shop" already'):
            theirs.new("shop", ["operate"])
        assert theirs.revoke("shop").revoked is not None
        assert ours.find(text) is None and ours.live(key.id) is None
        with pytest.raises(BadKey, match="no key"):
            ours.revoke("shop")
        ours.new("shop", ["operate"])  # the name is free again
        assert ours.person("https://i", "1", "ann") == "ann" == theirs.person("https://i", "1", "anna")
        assert theirs.person("https://i", "2", "ann").startswith("ann ")
        for name in ("ann", "shop"):  # who signed in with an issuer, and a key
            ours.block(name)
            assert theirs.is_blocked(name) and [one.name for one in theirs.people() if one.blocked] == [name]
            theirs.unblock(name)
            assert not ours.is_blocked(name)
        with pytest.raises(BadKey, match="no key has that name"):
            ours.block("nobody")


def test_sessions_are_known_to_who_shares_them(kept: tuple[str, Path | None]) -> None:
    with closing(sessions_of(*kept)) as ours, closing(sessions_of(*kept)) as theirs:
        token = ours.begin("k-1")
        assert theirs.key_of(token) == "k-1" and theirs.is_form_token(ours.form_token(token), token)
        person = Person("p", "ann", ("operate",), "token")
        assert theirs.key_of(ours.begin(person)) == person
        cookie, sign_in = ours.begin_sign_in("/console")
        assert theirs.finish_sign_in(cookie, sign_in.state) == sign_in
        assert ours.finish_sign_in(cookie, sign_in.state) is None
        theirs.end(token)
        assert ours.key_of(token) is None
        assert ours.key_of(theirs.begin("k-2", seconds=-1)) is None
        tokens = [one.begin("k-3") for one in (ours, theirs)]
        assert {who: found.sessions for who, found in ours.opened().items()} == {"p": 1, "k-3": 2}
        theirs.end_all("k-3")
        assert [ours.key_of(token) for token in tokens] == [None, None] and set(ours.opened()) == {"p"}


def test_what_operators_did_is_one_chain_of_lines(kept: tuple[str, Path | None]) -> None:
    with closing(operator_log_of(*kept)) as ours, closing(operator_log_of(*kept)) as theirs:
        name = ours.propose("ann", REQUEST).adjustment
        assert theirs.adjustment(name).state == "waiting"
        with pytest.raises(Problem):
            theirs.decide("ann", name, "approve")
        assert theirs.decide("bob", name, "approve").state == "approved" == ours.adjustment(name).state
        ours.record("bob", "checkpoint", "c-1")
    with closing(operator_log_of(*kept)) as again:
        assert [one.decided_by for one in again.adjustments()] == ["bob"]
    assert problems_kept(kept[0]) == []


def test_documents_are_kept_by_name(kept: tuple[str, Path | None]) -> None:
    with kept_documents(*kept, AUDITS) as ours, kept_documents(*kept, AUDITS) as theirs:
        assert ours is not None and theirs is not None
        assert ours.get("a.json", 10) is None and ours.stamps() == {}
        ours.put("a.json", b"one")
        before = theirs.stamps()
        assert theirs.get("a.json", 10) == b"one" and theirs.get("a.json", 2) == b"on" and set(before) == {"a.json"}
        theirs.put("a.json", b"another")
        assert ours.get("a.json", 10) == b"another" and ours.stamps() != before
    with kept_documents(*kept, CHECKPOINTS) as others:
        assert others is not None and others.stamps() == {}


def test_lines_and_keys_that_were_changed_in_the_database_are_found(
    place: str, execute: Callable[[LiteralString], None]
) -> None:
    with closing(operator_log_of(place, None)) as log, closing(keys_of(place, None)) as keys:
        for number in range(3):
            log.record("ann", "checkpoint", f"c-{number}")
        _, text = keys.new("shop", ["operate"])
        execute("UPDATE points_state.keys SET scopes = 'members:read'")
        assert keys.find(text) is None and "changed by hand" in shared_problems(place)[0]
    execute(
        "UPDATE points_state.operator_lines"
        " SET line = decode(replace(encode(line, 'hex'), '616e6e', '626f62'), 'hex') WHERE number = 2"
    )
    assert "line 2 does not follow" in problems_kept(place)[0]
    with closing(operator_log_of(place, None)) as log:
        name = log.propose("ann", REQUEST).adjustment
        with pytest.raises(PointsLedgerError, match="line 2 does not follow"):
            log.decide("bob", name, "approve")


@pytest.mark.parametrize("gone", ["number = 3", "number = 2", "true"])
def test_lines_that_are_gone_are_said_and_none_begins_anew(
    place: str, execute: Callable[[LiteralString], None], gone: LiteralString
) -> None:
    with closing(operator_log_of(place, None)) as log:
        for number in range(3):
            log.record("ann", "checkpoint", f"c-{number}")
        execute("DELETE FROM points_state.operator_lines WHERE " + gone)
        if gone != "number = 2":  # it reads from the last that it knows
            for _ in range(2):
                with pytest.raises(PointsLedgerError, match="of 3 lines that were there some are gone"):
                    log.record("ann", "checkpoint", "c-4")
    assert problems_kept(place) != []
    with pytest.raises(PointsLedgerError, match="some are gone"):
        operator_log_of(place, None)


def test_lines_of_a_file_that_are_gone_are_said_and_none_begins_anew(tmp_path: Path) -> None:
    with closing(OperatorLog(tmp_path)) as log:
        for number in range(3):
            log.record("ann", "checkpoint", f"c-{number}")
        os.truncate(tmp_path / "operators.ndjson", 0)
        with pytest.raises(PointsLedgerError, match="of 3 lines that were there some are gone"):
            log.record("ann", "checkpoint", "c-4")
    with pytest.raises(PointsLedgerError, match="of 3 lines that were there some are gone"):
        OperatorLog(tmp_path)


def test_a_transaction_that_fails_leaves_no_line_and_no_memory_of_one(
    place: str, execute: Callable[[LiteralString], None]
) -> None:
    with closing(operator_log_of(place, None)) as log:
        log.record("ann", "checkpoint", "c-1")
        execute(
            "CREATE FUNCTION points_state.no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$;"
            "CREATE CONSTRAINT TRIGGER no AFTER INSERT ON points_state.operator_lines"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION points_state.no()"
        )
        with pytest.raises(PointsLedgerError):
            log.propose("ann", REQUEST)
        execute("DROP TRIGGER no ON points_state.operator_lines")
        assert log.adjustments() == []
        log.propose("ann", REQUEST)
        assert len(log.adjustments()) == 1
    assert problems_kept(place) == []


def test_a_database_adopts_what_a_folder_has_once(place: str, tmp_path: Path) -> None:
    with closing(Keys(tmp_path)) as keys, closing(OperatorLog(tmp_path)) as log:
        _, text = keys.new("shop", ["operate"])
        keys.person("https://i", "1", "ann")
        keys.block("ann")
        name = log.propose("ann", REQUEST).adjustment
    for _ in range(2):
        with closing(keys_of(place, tmp_path)) as keys, closing(operator_log_of(place, tmp_path)) as log:
            assert keys.find(text) is not None and keys.is_blocked("ann")
            assert log.adjustment(name).state == "waiting"
    assert {path.name for path in tmp_path.iterdir() if "adopted" in path.name} == {
        "keys.db.adopted",
        "operators.ndjson.adopted",
        "operators.head.adopted",
    }
    assert not (tmp_path / "keys.db").exists() and problems_of_keys(tmp_path) == [] == problems_kept(place)
    with closing(Keys(tmp_path)) as keys:
        keys.new("shop", ["operate"])
    with pytest.raises(BadKey, match="revoke one of them"):
        keys_of(place, tmp_path)


def test_two_servers_are_one_service(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--ledger", place, "keys", "new", "ann", "--scope", "operate", "--scope", "members:read"]) == 0
    ann = capsys.readouterr().out.strip()
    config = tmp_path / "points.toml"
    config.write_text('[views]\nstore = "ledger"\n')
    options = ("--config", str(config))
    with (
        served(tmp_path / "one", *options, database=place, views=True) as first,
        served(tmp_path / "two", *options, database=place, views=True) as second,
        first.client(ann) as one,
        second.client(ann) as two,
    ):
        assert run(["--ledger", place, "keys", "new", "bob", "--scope", "operate", "--scope", "facts:write"]) == 0
        bob = {"Authorization": f"Bearer {capsys.readouterr().out.strip()}"}
        until(lambda: two.get("/v1/adjustments", headers=bob).status_code == 200)
        until(lambda: one.post("/v1/facts", json=grant("m-1", "g-1", 100), headers=bob).status_code == 200)

        proposed = one.post("/v1/adjustments", json={"member": "m-1", "points": 50, "reason": "sorry"})
        assert proposed.status_code == 201, proposed.text
        where = f"/v1/adjustments/{proposed.json()['adjustment']}"
        assert two.get(where).json()["state"] == "waiting"
        approved = two.post(f"{where}/approval", headers=bob)
        assert approved.status_code in (200, 202), approved.text
        until(lambda: one.get("/v1/members/m-1").json()["points"]["beans"]["spendable"] == 150)

        with httpx.Client(timeout=SECONDS) as browser:
            page = browser.get(f"{first.url}/console/sign-in").text
            form = {"form_token": re.findall(r'name="form_token" value="([0-9a-f]+)"', page)[0], "key": ann}
            session = browser.post(f"{second.url}/console/sign-in", data=form)
            assert session.status_code == 303, session.text
            assert SESSION_COOKIE in session.cookies  # which goes to every port of a host
            assert browser.get(f"{first.url}/console/member?id=m-1").status_code == 200
            browser.cookies.clear()
            assert browser.get(f"{first.url}/console/member?id=m-1").status_code == 303
        until(lambda: spendable_in(place) == 150)  # the tables follow

        assert run(["--ledger", place, "keys", "revoke", "bob"]) == 0
        until(lambda: two.get("/v1/adjustments", headers=bob).status_code == 401)


def spendable_in(place: str) -> int:
    with psycopg.connect(place) as database, suppress(psycopg.errors.UndefinedTable):
        return int(database.execute("SELECT coalesce(sum(spendable), 0) FROM points.balances").fetchall()[0][0])
    return 0
