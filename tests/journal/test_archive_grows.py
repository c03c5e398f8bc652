"""An archive that is exported to again gets what is new, whatever killed the export before, and keeps what it has."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random

import duckdb
import pytest

from ledger.errors import CannotRunNow
from ledger.journal.open import open_ledger
from service.archive import growing
from service.archive.growing import begin, grow
from service.archive.places import Folder
from service.archive.reading import Archive
from tests.journal.test_archive import BAD, ROOT, Shelf, published, tables
from tests.support.histories import LONG_AGO
from tests.support.ledgers import histories_of, scratch, write_facts

FACTS = histories_of(Random(29), members=5, length=36, start=LONG_AGO)
THIRD = len(FACTS) // 3


def feed(shelf: Shelf, lines: list[object], name: str) -> None:
    shelf.points("ingest", write_facts(shelf.folder / name, lines), "--backlog", "--jobs", 1)


def first_third(folder: Path) -> Shelf:
    shelf = Shelf(folder)
    feed(shelf, [*FACTS[:THIRD], *BAD[:2]], "first")
    return shelf


def second_third(shelf: Shelf) -> None:
    """More facts, another rule book, more dead letters, and one of before that was dropped meanwhile."""
    feed(shelf, [*FACTS[THIRD : 2 * THIRD], BAD[3], published(LONG_AGO, "second")], "second")
    waiting = [at["position"] for at in shelf.points("dead-letters", "list", "--json").json]
    shelf.points("dead-letters", "drop", waiting[0])


@pytest.fixture(scope="module")
def made() -> Iterator[Shelf]:
    """A ledger whose archive holds its first third, and that has gone on since."""
    with scratch() as folder:
        shelf = first_third(folder)
        shelf.points("archive", "export", shelf.archive)
        second_third(shelf)
        yield shelf


@pytest.fixture
def shelf(made: Shelf, tmp_path: Path) -> Shelf:
    """A copy, to be changed."""
    shutil.copytree(made.folder, tmp_path / "shelf")
    return Shelf(tmp_path / "shelf")


def content(archive: Path) -> dict[str, str]:
    """The SHA-256 of every file of an archive."""
    files = (path for path in archive.rglob("*") if path.is_file())
    return {path.relative_to(archive).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def restores(shelf: Shelf) -> None:
    """What is made from the archive is the ledger."""
    shelf.points("archive", "import", shelf.archive, ledger=shelf.restored)
    assert tables(shelf.restored) == tables(shelf.ledger)


def test_exported_again_it_gets_what_is_new_and_becomes_the_ledger(shelf: Shelf) -> None:
    before = content(shelf.archive)
    grown = shelf.points("archive", "export", shelf.archive, "--json").json
    assert grown["appended"] > 0 and (shelf.archive / "links" / "000001.json").is_file()
    assert before.pop("head.json") and before.items() <= content(shelf.archive).items(), "what was there is as it was"
    again = shelf.points("archive", "export", shelf.archive, "--json").json
    assert again == {**grown, "appended": 0} and not (shelf.archive / "links" / "000002.json").exists()
    feed(shelf, FACTS[2 * THIRD :], "third")
    shelf.points("archive", "export", shelf.archive)
    assert shelf.points("replay", "--from-archive", shelf.archive, "--json").json["differences"] == []
    restores(shelf)
    entries = f"'{shelf.archive}/entries/*/*.parquet'"
    twice = duckdb.sql(f"SELECT partition, place FROM {entries} GROUP BY ALL HAVING count(*) > 1").fetchall()
    assert twice == []


def test_a_ledger_in_its_archive_may_have_gone_on_in_no_more_than_dead_letters(shelf: Shelf) -> None:
    shelf.points("archive", "export", shelf.archive)
    feed(shelf, BAD[:1], "bad")
    shelf.points("archive", "export", shelf.archive)
    restores(shelf)


@pytest.mark.parametrize(
    "failpoint", ["archive-file", "archive-link", "archive-link-made", "archive-linked", "archive-file:3"]
)
def test_a_kill_anywhere_leaves_an_archive_and_the_same_command_goes_on(shelf: Shelf, failpoint: str) -> None:
    killed = export(shelf, failpoint)
    assert killed == -9
    Archive.checked(shelf.archive)
    if failpoint == "archive-file:3":
        assert export(shelf, "archive-linked") == -9, "also where it clears away what was left"
    shelf.points("archive", "export", shelf.archive)
    listed = {file.file for file in Archive.checked(shelf.archive).manifest.files}
    assert {name for name in content(shelf.archive) if "partition" in name} == listed - {"book.toml"}
    assert not list(shelf.archive.glob(".points-part*"))
    restores(shelf)


def export(shelf: Shelf, failpoint: str) -> int:
    command = [sys.executable, "-m", "service.cli", "--ledger", shelf.ledger, "archive", "export", shelf.archive]
    environment = {**os.environ, "POINTS_FAILPOINT": failpoint}
    ran = subprocess.run(list(map(str, command)), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, timeout=120)
    return ran.returncode


def test_a_long_export_is_kept_step_by_step(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "LINK", 30)
    monkeypatch.setattr(growing, "STEP", 20)  # of a ledger with more entries the first export is one of steps, too
    archive = Folder(shelf.folder / "steps")
    ledger = open_ledger(shelf.ledger)
    begin(ledger, archive)
    reported: list[int] = []
    grow(ledger, archive, reported.append)
    ledger.close()
    links = sorted((archive.path / "links").iterdir())
    assert len(links) > 3 and reported == sorted(reported)
    (archive.path / "head.json").unlink()
    for link in links[:0:-1]:  # each prefix of the chain is an archive of its own
        link.unlink()
        Archive.checked(archive)
    shelf.archive = archive.path
    shelf.points("archive", "export", shelf.archive)
    restores(shelf)


def test_of_two_exports_at_once_one_appends(shelf: Shelf) -> None:
    ledger = open_ledger(shelf.ledger)
    late = Archive(shelf.archive)
    grow(ledger, late.place)
    assert not late.append(late.chain.next())
    done: list[int] = []

    def other(entries: int) -> None:
        if not done:
            done.append(entries)
            feed(shelf, FACTS[2 * THIRD :], "third")
            grow(ledger, late.place)

    feed(shelf, BAD[:1], "bad")
    feed(shelf, FACTS[2 * THIRD : 2 * THIRD + 20], "some")
    with pytest.raises(CannotRunNow, match="another export"):
        grow(ledger, late.place, other)
    ledger.close()
    assert not list(shelf.archive.glob(".points-part*"))
    shelf.points("archive", "export", shelf.archive)
    restores(shelf)


def test_what_is_of_another_ledger_or_of_an_earlier_state_is_refused(shelf: Shelf) -> None:
    earlier = shelf.folder / "earlier"
    shelf.points("backup", earlier)
    feed(shelf, FACTS[2 * THIRD :], "third")
    shelf.points("archive", "export", shelf.archive)
    shelf.points("restore", earlier, ledger=shelf.restored)
    before = content(shelf.archive)
    ran = shelf.points("archive", "export", shelf.archive, ledger=shelf.restored, code=1)
    assert "does not go on from entry" in ran.err
    other = shelf.folder / "other"
    shelf.points("ingest", shelf.folder / "first", ledger=other)
    assert "of another ledger" in shelf.points("archive", "export", shelf.archive, ledger=other, code=3).err
    assert content(shelf.archive) == before


def test_an_earlier_state_of_no_more_than_dead_letters_is_refused(shelf: Shelf) -> None:
    earlier = shelf.folder / "earlier"
    shelf.points("backup", earlier)
    feed(shelf, BAD[:1], "bad")
    shelf.points("archive", "export", shelf.archive)
    shelf.points("restore", earlier, ledger=shelf.restored)
    before = content(shelf.archive)
    ran = shelf.points("archive", "export", shelf.archive, ledger=shelf.restored, code=1)
    assert "it is an earlier state of this ledger" in ran.err
    more = write_facts(shelf.folder / "more", FACTS[2 * THIRD :])  # they take the places of the dead letters
    shelf.points("ingest", more, "--backlog", ledger=shelf.restored)
    ran = shelf.points("archive", "export", shelf.archive, ledger=shelf.restored, code=1)
    assert "it is an earlier state of this ledger" in ran.err
    assert content(shelf.archive) == before
    shutil.rmtree(shelf.restored)
    restores(shelf)


def test_an_export_that_slept_while_it_cleared_away_takes_nothing_of_the_next(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert export(shelf, "archive-link") == -9
    ledger = open_ledger(shelf.ledger)
    (shelf.archive / "2025-12.checkpoint").write_text("an auditor's")
    slept: list[str] = []

    def asleep(name: str) -> None:
        if name == "archive-linked" and not slept:
            slept.append("now")
            grow(ledger, Folder(shelf.archive))
            slept.append("over")
        elif name == "archive-file" and "over" in slept:
            raise KeyboardInterrupt  # it is killed before it could see that it was too slow

    monkeypatch.setattr(growing, "failpoint", asleep)
    with pytest.raises(KeyboardInterrupt):
        grow(ledger, Folder(shelf.archive))
    ledger.close()
    assert "over" in slept and (shelf.archive / "2025-12.checkpoint").is_file()
    restores(shelf)


def test_a_chain_that_was_broken_since_is_not_archived(shelf: Shelf) -> None:
    entries = Archive(shelf.archive).manifest.partitions[1].entries
    database = sqlite3.connect(shelf.ledger / "partition-1.db")
    with database:
        database.execute("UPDATE stored_events SET link = zeroblob(32) WHERE rowid = ?", (entries + 2,))
    database.close()
    ran = shelf.points("archive", "export", shelf.archive, code=1)
    assert f"partition 1 is broken at place {entries + 2}" in ran.err
    assert Archive.checked(shelf.archive).manifest.partitions[1].entries == entries


def test_a_link_that_was_changed_lost_or_moved_is_named(shelf: Shelf) -> None:
    shelf.points("archive", "export", shelf.archive)
    feed(shelf, FACTS[2 * THIRD :], "third")
    shelf.points("archive", "export", shelf.archive)
    first, second = shelf.archive / "links" / "000001.json", shelf.archive / "links" / "000002.json"
    whole = json.loads(first.read_bytes())
    text = first.read_bytes()
    for change in (
        {"before": "0" * 64},
        {"ledger": "0" * 32},
        {"number": 2},
        {"format": "points-ledger.archive-link.v9"},
        {"months": whole["months"][1:]},
        {"months": [{**whole["months"][0], "link": "0" * 64}, *whole["months"][1:]]},
        {"partitions": whole["partitions"][1:]},
        {"files": whole["files"][1:]},
        {"texts": {}},
        {"unknown": 1},
    ):
        first.write_text(json.dumps({**whole, **change}))
        shelf.refuses(str(shelf.archive))
    first.write_bytes(text.replace(b"\n", b" ", 1))  # as good as it was, and another
    shelf.refuses(f"{second}: does not follow the manifest before it")
    first.unlink()
    shelf.refuses(f"{first}: is missing")
    first.write_bytes(text)
    last = second.read_bytes()
    second.write_bytes(last.replace(b"\n", b" ", 1))
    shelf.refuses(f"{second}: was changed since head.json was written")
    second.unlink()
    shelf.refuses(f"{second}: is missing")
    shelf.points("archive", "export", shelf.archive, code=3)
    second.write_bytes(last)
    stray = shelf.archive / "links" / "000002 (copy).json"
    stray.write_bytes(last)
    shelf.refuses(f"{stray}: is no link of the chain")
    stray.unlink()
    (shelf.archive / "head.json").write_text("{}")
    shelf.refuses("head.json")
    (shelf.archive / "head.json").unlink()  # as in an archive that an older version made
    Archive.checked(shelf.archive)
    shelf.points("archive", "export", shelf.archive)
    assert json.loads((shelf.archive / "head.json").read_bytes())["number"] == 2
    name = json.loads(second.read_bytes())["months"][0]["file"]
    (shelf.archive / name).write_bytes(b"PAR1")
    shelf.refuses(f"{shelf.archive / name}: has 4 bytes")
