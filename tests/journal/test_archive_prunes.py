"""What an archive holds is dropped from the journal: nothing is decided otherwise, and every answer is as it was."""

import json
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from consumers.runtime.ingest import ingest
from ledger.journal.database import migrate
from ledger.journal.folder import journals_in
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from ledger.journal.pruned import Elsewhere
from ledger.wire.entry_codec import decode_entry
from projections.answers.statement import lines_of
from projections.audit.replay import replay
from projections.views.files import Folder as ViewFolder
from service.archive.growing import begin, grow
from service.archive.places import Folder
from service.archive.pruning import OPEN_LOT, UNREAD, Reader, prune, readers_of
from service.archive.reading import Archive
from service.console.sessions import Sessions
from service.http.app import make_app
from service.keys import Keys
from tests.cli.test_cli import points
from tests.journal.test_archive import ROOT, Shelf, published, tables
from tests.journal.test_archive_grows import FACTS, THIRD, feed, first_third
from tests.support.asgi import InProcess
from tests.support.histories import LONG_AGO
from tests.support.ledgers import scratch, write_facts

REST = FACTS[2 * THIRD :]
AGAIN = [*FACTS[:20], {**FACTS[21], "data": FACTS[22]["data"], "type": FACTS[22]["type"]}]  # repeated, and one altered
BEFORE = "2019-10"
HEADERS = [(b"host", b"localhost"), (b"content-type", b"application/json")]
WHY = ("--before", BEFORE, "--reason", "retention")


@pytest.fixture(scope="module")
def made() -> Iterator[Shelf]:
    """A ledger and its archive; beside them what it was before it was pruned."""
    with scratch() as folder:
        shelf = first_third(folder)
        feed(shelf, [*FACTS[THIRD : 2 * THIRD], published(LONG_AGO, "second")], "second")
        shelf.points("archive", "export", shelf.archive)
        shutil.copytree(shelf.ledger, folder / "whole")
        shelf.points("archive", "prune", shelf.archive, *WHY)
        yield shelf


@pytest.fixture
def shelf(made: Shelf, tmp_path: Path) -> Shelf:
    """A copy, to be changed; the archive is where it was."""
    shutil.copytree(made.ledger, tmp_path / "shelf" / "ledger")
    shutil.copytree(made.folder / "whole", tmp_path / "shelf" / "whole")
    copy = Shelf(tmp_path / "shelf")
    copy.archive = made.archive
    return copy


@pytest.fixture
def whole(shelf: Shelf) -> Shelf:
    """The same before it was pruned."""
    before = Shelf(shelf.folder)
    before.ledger, before.archive = shelf.folder / "whole", shelf.archive
    return before


def stubs(ledger: Path) -> tuple[int, int]:
    """How many entries a ledger's journals have, and how many of them are stubs."""
    found = [stubs_in(path) for path in journals_in(ledger)]
    return sum(entries for entries, _ in found), sum(pruned for _, pruned in found)


def stubs_in(journal: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(journal)) as database:
        (found,) = database.execute("SELECT count(*), sum(substr(state, 1, 1) = x'00') FROM stored_events")
        return found[0], found[1] or 0


def decided(ledger: Path) -> dict[str, list[Any]]:
    """All that journals keep, whether of an entry its bytes or its stub."""
    found = tables(ledger)
    for name in [name for name in found if name.endswith("stored_events")]:
        found[name] = [(*row[:4], row[5]) for row in found[name]]
    return found


def answers(shelf: Shelf) -> dict[str, Any]:
    """What the ledger says to everything that goes back to its first entries."""
    found = {}
    for words in (
        ["verify"],
        ["replay"],
        ["replay", "--by", "python"],
        ["entries", "m-1"],
        ["explain", "m-1", 2],
        ["show", "m-1", "--as-of", "2018-06-01"],
        ["stats", "--as-of", "2018-06-01", "--known-at", "2018-06-01"],
    ):
        said = shelf.points(*words, "--json").json
        found[" ".join(map(str, words))] = {**said, "seconds": 0} if isinstance(said, dict) else said
    for table in ("postings", "entries", "lots"):
        found[table] = shelf.points("export", table, "--as-of", "2018-08-01", "--format", "ndjson").out
    with closing(open_ledger(shelf.ledger)) as ledger:
        found["statement"] = list(lines_of(ledger, "m-1", 30))
    return found


def test_every_answer_is_as_it_was_and_the_journal_is_smaller(made: Shelf) -> None:
    before = Shelf(made.folder)
    before.ledger = made.folder / "whole"
    entries, pruned = stubs(made.ledger)
    assert entries // 3 < pruned < entries and stubs(before.ledger) == (entries, 0)
    assert answers(made) == answers(before)
    sizes = [sum(path.stat().st_size for path in journals_in(one.ledger)) for one in (made, before)]
    assert sizes[0] < sizes[1]
    done = made.points("archive", "prune", made.archive, *WHY, "--json").json
    assert done["pruned"] == 0 and sum(month["before"] for month in done["months"]) == pruned


def test_what_is_decided_afterwards_is_what_would_have_been_with_the_archive_out_of_reach(
    shelf: Shelf, whole: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTS_ARCHIVE", str(shelf.folder / "nowhere"))
    for one in (shelf, whole):
        feed(one, [*AGAIN, *REST], "rest")
    assert decided(shelf.ledger) == decided(whole.ledger)
    reasons = [decode_entry(row.state).reason for row in rows_of(whole.ledger)]
    assert reasons.count("duplicate") >= 20 and "conflict" in reasons, "told by what stayed of the first"


def rows_of(ledger: Path) -> list[Any]:
    with closing(open_ledger(ledger)) as opened:
        return [row for partition in opened.partitions for row in opened.journal(partition).scan()]


def test_an_archive_goes_on_behind_what_was_pruned_and_makes_the_whole_ledger(
    shelf: Shelf, whole: Shelf, tmp_path: Path
) -> None:
    shutil.copytree(shelf.archive, tmp_path / "archive")
    shelf.archive = tmp_path / "archive"
    for one in (shelf, whole):
        feed(one, REST, "rest")
    assert shelf.points("archive", "export", shelf.archive, "--json").json["appended"] == len(REST)
    shelf.points("archive", "import", shelf.archive, ledger=shelf.restored)
    assert tables(shelf.restored) == tables(whole.ledger)
    anew = tmp_path / "anew"
    shelf.points("archive", "export", anew)
    assert stubs(shelf.ledger)[1] and shelf.points("replay", "--from-archive", anew, "--json").json["differences"] == []


def test_split_and_pruned_in_either_order_it_is_the_same_ledger(
    shelf: Shelf, whole: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = shelf.folder / "archive-of-both"
    shutil.copytree(shelf.archive, archive)
    shelf.points("signing-key", "new", "-o", shelf.folder / "key.pem")
    whole.points("checkpoint", "--key", shelf.folder / "key.pem", "-o", shelf.folder / "signed")
    monkeypatch.setenv("POINTS_ARCHIVE", str(shelf.folder / "nowhere"))
    for one in (shelf, whole):
        feed(one, AGAIN, "again")  # of which the first were pruned
    for failpoint in ("split-entries", "split-receipts", "split-closed"):
        killed(shelf, failpoint, "split", "--times", 2)
    for one in (shelf, whole):
        one.points("split", "--times", 2)
    assert decided(shelf.ledger) == decided(whole.ledger)
    for one in (shelf, whole):
        feed(one, [*AGAIN[:4], *REST], "rest")
    assert decided(shelf.ledger) == decided(whole.ledger)
    monkeypatch.setenv("POINTS_ARCHIVE", str(archive))
    before = answers(whole)
    assert answers(shelf) == before
    whole.points("archive", "export", archive)
    for failpoint in ("prune-rows:4", "pruned-rows"):
        killed(whole, failpoint, "archive", "prune", archive, *WHY)
    for one in (shelf, whole):
        one.points("archive", "prune", archive, *WHY)
    assert tables(shelf.ledger) == tables(whole.ledger)
    *parents, _, _, _, _ = map(stubs_in, journals_in(whole.ledger))
    assert 0 < sum(pruned for _, pruned in parents) < stubs(whole.ledger)[1], "of parents, and of copies"
    assert answers(whole) == before
    signed = ("--checkpoint", shelf.folder / "signed")
    whole.points("verify", *signed)
    whole.points("prove", "m-1", 2, *signed, "-o", shelf.folder / "proof")
    assert restored(whole, archive) == decided(whole.ledger)


def killed(shelf: Shelf, failpoint: str, *words: object) -> None:
    """A command on a ledger is killed at a step."""
    command = [sys.executable, "-m", "service.cli", "--ledger", shelf.ledger, *words]
    environment = {**os.environ, "POINTS_FAILPOINT": failpoint}
    ran = subprocess.run(list(map(str, command)), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, timeout=120)
    assert ran.returncode == -9, failpoint


def restored(shelf: Shelf, archive: Path) -> dict[str, list[Any]]:
    """All that the journals of a ledger keep that was made from an archive."""
    shelf.points("archive", "import", archive, ledger=shelf.restored)
    return decided(shelf.restored)


def test_proofs_need_no_archive_but_for_the_entry_itself(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTS_SIGNING_KEY", str(shelf.folder / "key.pem"))
    shelf.points("signing-key", "new", "-o", shelf.folder / "key.pem")
    shelf.points("checkpoint", "-o", shelf.folder / "signed.json")
    last = len(shelf.points("entries", "m-1", "--json").json)
    monkeypatch.setenv("POINTS_ARCHIVE", str(shelf.folder / "nowhere"))
    shelf.points("prove", "m-1", last, "--checkpoint", shelf.folder / "signed.json", "-o", shelf.folder / "proof.json")
    assert "2018-0" in shelf.points("prove", "m-1", 2, "--checkpoint", shelf.folder / "signed.json", code=4).err


def looked_at(shelf: Shelf) -> dict[str, Any]:
    """What `points doctor` says of the archive."""
    (found,) = (
        one for one in points("--ledger", shelf.ledger, "doctor", "--json").json["checks"] if one["check"] == "archive"
    )
    return dict(found)


def test_out_of_reach_is_said_with_the_archive_and_the_months(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTS_ARCHIVE", str(shelf.folder / "nowhere"))
    for words in (["entries", "m-1"], ["replay"], ["verify"], ["explain", "m-1", 2]):
        said = shelf.points(*words, code=4).err
        assert "nowhere" in said and "(2018-0" in said and "POINTS_ARCHIVE" in said
    shelf.points("show", "m-1")
    assert looked_at(shelf)["state"] == "bad" and "nowhere/manifest.json: No such file" in looked_at(shelf)["says"]
    told = pickle.loads(pickle.dumps(Elsewhere("it is away", "2018-03")))  # by a process to the one that started it
    assert (str(told), told.month) == ("it is away", "2018-03")
    shutil.copytree(shelf.archive, shelf.folder / "nowhere")
    assert looked_at(shelf)["state"] == "good"
    assert shelf.points("replay", "--json").json["differences"] == []


def test_a_server_says_that_an_entry_is_in_an_archive_that_is_out_of_reach_and_goes_on(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        closing(open_ledger(shelf.ledger)) as ledger,
        ledger.writing(),
        closing(Keys(shelf.ledger)) as keys,
        closing(InProcess(make_app(ledger, shelf.ledger, keys, Sessions(), 5.0, "0"))) as api,
    ):
        assert api.ask(b"GET", b"/v1/members/m-1/entries/2", HEADERS).status == 200
        monkeypatch.setenv("POINTS_ARCHIVE", str(shelf.folder / "nowhere"))
        refused = api.ask(b"GET", b"/v1/members/m-1/entries/2", HEADERS)
        assert refused.status == 503 and b"entries of 2018-0" in refused.body and b"nowhere" not in refused.body
        assert "nowhere" in capsys.readouterr().err
        assert api.ask(b"GET", b"/v1/members/m-1", HEADERS).status == 200


@pytest.mark.parametrize("failpoint", ["prune-rows", "pruned-rows:3", "prune-compacted"])
def test_a_kill_anywhere_leaves_a_whole_ledger_and_the_same_command_goes_on(
    shelf: Shelf, whole: Shelf, failpoint: str
) -> None:
    killed(whole, failpoint, "archive", "prune", whole.archive, *WHY)
    assert whole.points("replay", "--json").json["differences"] == []
    whole.points("archive", "prune", whole.archive, *WHY)
    assert tables(whole.ledger) == tables(shelf.ledger)
    whole.points("verify")


def test_what_somebody_has_not_read_stays_and_is_said(shelf: Shelf, whole: Shelf) -> None:
    whole.points("views", "run", "liability")
    with closing(open_ledger(whole.ledger)) as ledger:
        readers = readers_of(ledger, whole.ledger, ViewFolder(whole.ledger / "views"), ["liability", "balances"])
        assert [reader.upto for reader in readers] == [ledger.heads()]
        archive = Archive(whole.archive)
        held = prune(ledger, archive, BEFORE, [Reader("mail", dict.fromkeys(ledger.partitions, 6))], is_trial=True)
        assert all(month.waits_for == ["mail"] for month in held if month.entries > 6 or month.kept.get(UNREAD))
        assert 0 < sum(month.pruned for month in held) < 6 * len(ledger.partitions)
        free = prune(ledger, archive, BEFORE, readers, is_trial=True)
        assert sum(month.pruned for month in free) == stubs(shelf.ledger)[1] and stubs(whole.ledger)[1] == 0
        assert sum(month.kept.get(OPEN_LOT, 0) for month in free) > 0


def test_an_archive_of_another_ledger_or_other_entries_drops_nothing(whole: Shelf, tmp_path: Path) -> None:
    other = Shelf(tmp_path / "other")
    other.folder.mkdir()
    feed(other, FACTS[:20], "facts")
    assert "another ledger" in other.points("archive", "prune", whole.archive, *WHY, code=3).err
    with closing(sqlite3.connect(journals_in(whole.ledger)[0])) as database:
        database.execute("UPDATE stored_events SET state = ? WHERE rowid = 3", (b"\x90",))
        database.commit()
    assert "is not the journal's" in whole.points("archive", "prune", whole.archive, *WHY, code=1).err


def test_an_entry_whose_stub_was_changed_is_named(shelf: Shelf) -> None:
    for path in journals_in(shelf.ledger):
        with closing(sqlite3.connect(path)) as database:
            database.execute("UPDATE stored_events SET state = ? WHERE substr(state, 1, 1) = x'00'", (bytes(65),))
            database.commit()
    found = shelf.points("verify", "--json", code=1).json
    assert "was pruned" in json.dumps(found["broken"])


def test_operators_are_told_who_pruned_what_and_why(made: Shelf) -> None:
    lines = [json.loads(line) for line in (made.ledger / "operators.ndjson").read_bytes().splitlines()]
    (first, *_) = [line for line in lines if line["action"] == "prune"]
    assert (first["about"], first["why"]) == (BEFORE, "retention")
    for month, said in (("2019-13", "give a month"), ("2999-01", "is not over yet")):
        refused = made.points("archive", "prune", made.archive, "--before", month, "--reason", "x", code=2)
        assert said in refused.err


def test_a_ledger_in_postgresql_is_pruned_beside_its_owner(postgres: str, tmp_path: Path) -> None:
    migrate(postgres, partitions=2)
    archive = Folder(tmp_path / "archive")
    with closing(open_ledger(postgres)) as ledger:
        decide(ledger, FACTS[: 2 * THIRD], tmp_path / "first")
        begin(ledger, archive)
        grow(ledger, archive)
        owner = ledger.writer(0)
        before = [row for partition in ledger.partitions for row in ledger.journal(partition).scan()]
        with closing(open_ledger(postgres)) as other:
            months = prune(other, Archive(archive), BEFORE, [])
        assert sum(month.pruned for month in months) > THIRD // 2
        with owner.journal.transaction(0, owner.token):
            pass  # it owns the partition still
    with closing(open_ledger(postgres)) as ledger:
        assert [row for partition in ledger.partitions for row in ledger.journal(partition).scan()] == before
        sizes = ledger.journal(0)._rows("SELECT count(*) FROM points_0.stored_events WHERE length(state) = 65")
        assert sizes[0][0] > 0
        decide(ledger, [*AGAIN, *REST], tmp_path / "rest")
        assert replay(ledger)["difference_count"] == 0


def decide(ledger: Ledger, facts: list[Any], file: Path) -> None:
    with ledger.writing():
        ingest(ledger, [str(write_facts(file, facts))], backlog=True)
