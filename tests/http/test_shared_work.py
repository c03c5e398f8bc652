"""What one server at a time does for all: webhooks and backtests, kept in files and in PostgreSQL alike."""

import json
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import LiteralString

import pytest

from ledger.journal.database import DatabaseLedger
from ledger.journal.port import Unavailable
from ledger.rulebook.schema import shipped
from service.cli import run
from service.drafts.store import BadDraft, DraftStore, drafts_of, is_waiting
from service.state_store import shared_state
from service.webhooks.store import BadWebhook, Webhooks, are_any, webhooks_of
from tests.support.ledgers import ingested
from tests.support.receivers import receiving
from tests.support.served import Server, grant, served, until

BOOK = "id = 'x'"


@pytest.fixture(params=["files", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A ledger's place, and the folder beside it."""
    return (str(tmp_path) if request.param == "files" else request.getfixturevalue("place")), tmp_path


def test_webhooks_are_made_told_and_removed(kept: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ledger = ingested(tmp_path / "other", [grant("m", "g", 5)])
    partition = ledger.partition_of("m")
    with webhooks_of(*kept) as ours, webhooks_of(*kept) as theirs:
        made = ours.add(ledger, "crm", "https://crm.example/x", "ann", types=["order.paid.v1"], once="k")
        assert theirs.named("crm") == made == theirs.all()[0]
        assert theirs.add(ledger, "crm", "https://crm.example/x", "ann", types=["order.paid.v1"], once="k") == made
        with pytest.raises(BadWebhook, match="already"):
            theirs.add(ledger, "crm", "https://crm.example/y", "ann")
        told = theirs.told("crm")[partition]
        assert told.sequence == 1 and len(told.link) == 32
        theirs.tell("crm", partition, told._replace(sequence=2), 1)
        assert ours.told("crm")[partition].sequence == 2 and ours.named("crm").delivered == 1
        failed = ours.fail("crm", "no\0body")
        assert failed is not None and failed.failures == 1 and failed.why in ("no\0body", "no\ufffdbody")
        assert theirs.rotate("crm").old_secret == made.secret
        ours.disable("crm", "gone")
        assert not theirs.named("crm").is_active and theirs.enable(ledger, "crm", from_now=True).is_active
        assert ours.told("crm")[partition].sequence == 1
        ours.remove("crm")
        assert theirs.all() == [] and theirs.told("crm") == {}
    ledger.close()


def test_drafts_are_kept_and_one_backtest_runs_at_a_time(kept: tuple[str, Path]) -> None:
    with drafts_of(*kept) as ours, drafts_of(*kept) as theirs:
        name = ours.keep(BOOK)
        assert theirs.keep(BOOK) == name and theirs.text(name) == BOOK
        ours.start("d-1", name, "x.toml", "ann", None)
        with pytest.raises(BadDraft, match="begun by ann"):
            theirs.start("d-2", name, "x.toml", "bob", 7)
        with theirs.running() as check:
            check()
            taken = theirs.take()
            assert taken is not None and taken[1:] == (name, "x.toml") and theirs.progress(taken[0], 5, 10)
            found = ours.run("d-1")
            assert found is not None and (found.state, found.percent) == ("running", 50)
        left = ours.run("d-1")
        assert left is not None and left.state == "interrupted", "nobody runs it any more"
        assert [one.draft for one in ours.start("d-2", name, "x.toml", "bob", 7)] == ["d-1"]
        assert theirs.cancel("d-2", "cid") and not theirs.cancel("d-2", "cid")
        theirs.drop_texts_but(set(), before=1 << 62)
        with pytest.raises(BadDraft, match="gone"):
            ours.text(name)


def test_the_others_wait_until_who_is_alone_has_ended(kept: tuple[str, Path]) -> None:
    done: list[str] = []

    def second() -> None:
        with webhooks_of(*kept) as other, other.delivering():
            done.append("second")

    with webhooks_of(*kept) as webhooks, webhooks.delivering() as check:
        waits = threading.Thread(target=second)
        waits.start()
        waits.join(0.3)
        check()
        assert done == []
        done.append("first")
    waits.join(60)
    assert done == ["first", "second"]


def test_who_lost_its_connection_is_not_alone_any_more(place: str, execute: Callable[[LiteralString], None]) -> None:
    state = shared_state(place)
    assert state is not None
    with closing(state):
        with state.alone("x") as check:
            check()
            assert state.is_done("x") and not state.is_done("y")
            execute(
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_locks"
                " WHERE locktype = 'advisory' AND objsubid = 1 AND pid <> pg_backend_pid()"
            )
            with pytest.raises(Unavailable):
                check()
        assert not state.is_done("x")


def test_a_database_adopts_the_webhooks_and_drafts_of_a_folder(place: str, tmp_path: Path) -> None:
    ledger = ingested(tmp_path, [grant("m", "g", 5)])
    with closing(Webhooks.at(tmp_path)) as webhooks, closing(DraftStore.at(tmp_path)) as drafts:
        webhooks.add(ledger, "crm", "https://crm.example/x", "ann")
        name = drafts.keep(BOOK)
        drafts.start("d-1", name, "x.toml", "ann", None)
        drafts.cancel("d-1", "ann")
    for _ in range(2):
        with webhooks_of(place, tmp_path) as theirs, drafts_of(place, tmp_path) as shared:
            assert theirs.named("crm").by == "ann" and theirs.told("crm")[ledger.partition_of("m")].sequence == 1
            found = shared.run("d-1")
            assert found is not None and (found.state, shared.text(name)) == ("cancelled", BOOK)
    assert {path.name for path in tmp_path.glob("*.adopted")} == {"webhooks.db.adopted", "drafts.db.adopted"}
    with closing(Webhooks.at(tmp_path)) as webhooks:
        webhooks.add(ledger, "crm", "https://crm.example/z", "ann")
    with pytest.raises(BadWebhook, match="remove one"), webhooks_of(place, tmp_path):
        pass
    ledger.close()


def test_a_server_that_dies_leaves_webhooks_and_backtests_to_the_others(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scopes = ("operate", "members:read", "books:read", "facts:write")
    assert run(["--ledger", place, "keys", "new", "ann", *(w for s in scopes for w in ("--scope", s))]) == 0
    ann = capsys.readouterr().out.strip()
    ledger = DatabaseLedger.at(place)
    with receiving() as receiver, webhooks_of(place, tmp_path) as webhooks:
        webhooks.add(ledger, "crm", receiver.url, "ann", is_private=True)
        first = Server(tmp_path / "one", database=place)
        try:
            with (
                served(tmp_path / "two", database=place) as second,
                first.client(ann) as one,
                second.client(ann) as two,
            ):
                until(lambda: one.post("/v1/facts", json=grant("m-1", "g-1", 100)).status_code == 200)
                until(lambda: [entry["id"] for entry in receiver.entries()] == ["g-1"])
                toml = shipped("jd").replace("from = ", "from = 2099-01-01 #", 1)
                draft = one.post("/v1/drafts", json={"toml": toml, "file": "new.toml"})
                assert draft.status_code == 201, draft.text
                where = f"/v1/drafts/{draft.json()['draft']}"
                assert two.get(f"{where}/book").text == toml
                assert run(["--ledger", place, "programme", "drafts", "--json"]) == 0
                assert [one["file"] for one in json.loads(capsys.readouterr().out)] == ["new.toml"]
                first.kill()
                until(lambda: two.post("/v1/facts", json=grant("m-1", "g-2", 100)).status_code == 200)
                until(lambda: {entry["id"] for entry in receiver.entries()} == {"g-1", "g-2"})
                assert two.post(f"{where}/backtest", json={}).status_code == 202
                until(lambda: two.get(f"{where}/backtest").json()["run"]["state"] == "done")
        finally:
            first.kill()
    state = shared_state(place)
    assert state is not None
    with closing(state):
        assert are_any(state, tmp_path) and not is_waiting(state, tmp_path)
    ledger.close()
