"""A backup is taken beside a running ingest, is whole, and a ledger restored from it goes on to the same end."""

import json
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from ledger.journal.ledger import INBOX
from ledger.journal.open import open_ledger, open_or_create
from projections.answers.output import unfinished
from service.archive import backup
from service.archive.backup import back_up
from service.http.operator_lines import problems_of as operator_problems
from service.http.operator_log import OperatorLog
from service.keys import Keys
from service.webhooks.store import Webhooks
from tests.cli.test_cli import Ran, points
from tests.journal.test_crash import completes, contents, start
from tests.support.histories import LONG_AGO, encode
from tests.support.ledgers import histories_of, ingested, scratch, write_facts


@pytest.fixture(scope="module")
def files() -> Iterator[list[Path]]:
    lines: list = histories_of(Random(31), members=60, length=100, start=LONG_AGO)
    for at in range(0, len(lines), 900):
        lines[at:at] = [b"{", b"\xff"]
    size = len(lines) // 8 + 1
    with scratch() as folder:
        yield [write_facts(folder / f"facts-{n}.ndjson", lines[n * size : (n + 1) * size]) for n in range(8)]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    ingested(tmp_path, histories_of(Random(3), members=4, length=30, start=LONG_AGO)).close()
    return tmp_path / "ledger"


def on(ledger: Path, *arguments: object, code: int = 0) -> Ran:
    ran = points("--ledger", ledger, *arguments)
    assert ran.code == code, ran.err
    return ran


def test_backups_beside_a_running_ingest_are_whole_and_go_on_to_the_same_end(files: list[Path]) -> None:
    with scratch() as folder:
        run = start(folder / "ledger", files)
        entries: list[int] = []
        try:
            while not (folder / "ledger" / "ledger.json").exists() and run.poll() is None:
                time.sleep(0.01)
            while run.poll() is None or not entries:
                told = on(folder / "ledger", "backup", folder / f"backup-{len(entries)}", "--json").json
                entries.append(told["entries"])
        finally:
            assert completes(run)
        undisturbed = contents(folder / "ledger")
        assert entries == sorted(entries)
        for number in {0, len(entries) // 2}:
            restored = folder / f"restored-{number}"
            told = on(restored, "restore", folder / f"backup-{number}", "--json").json
            assert told["entries"] == entries[number]
            on(restored, "verify")
            on(restored, "replay", "--from-topic", "--jobs", 1)
            on(restored, "ingest", *files, "--backlog", "--jobs", 1)
            assert contents(restored) == undisturbed


def test_what_stands_beside_the_journals_is_in_a_backup_for_its_owners_eyes(ledger: Path, tmp_path: Path) -> None:
    with closing(Keys(ledger)) as keys, closing(Webhooks.at(ledger)) as webhooks, closing(OperatorLog(ledger)) as log:
        _, text = keys.new("ann", ["operate"])
        with closing(open_ledger(ledger)) as opened:
            secret = webhooks.add(opened, "crm", "https://crm.example/x", "ann").secret
            told = webhooks.told("crm")
        log.record("ann", "drop", "0:1")
        (ledger / "operators.ndjson").open("ab").write(b'{"at":"2026')  # a line that is being written
        (ledger / "audits" / "checkpoints").mkdir(parents=True)
        (ledger / "audits" / "checkpoints" / "2026-01-01.checkpoint").write_text("{}")
        on(ledger, "backup", tmp_path / "copy")  # while all of them are open
    on(tmp_path / "again", "restore", tmp_path / "copy")
    for place in (tmp_path / "copy", tmp_path / "again"):
        for name in ("keys.db", "webhooks.db", "operators.ndjson", "operators.head"):
            assert stat.S_IMODE((place / name).stat().st_mode) == 0o600, (place, name)
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o700
    with closing(Keys(tmp_path / "again")) as keys, closing(Webhooks.at(tmp_path / "again")) as webhooks:
        assert keys.find(text) is not None
        assert webhooks.named("crm").secret == secret and webhooks.told("crm") == told
    assert operator_problems(tmp_path / "again") == []
    assert (tmp_path / "again" / "operators.ndjson").read_bytes().count(b"\n") == 1
    assert (tmp_path / "again" / "audits" / "checkpoints" / "2026-01-01.checkpoint").read_text() == "{}"
    on(tmp_path / "again", "verify")


def test_what_is_decided_while_files_are_copied_never_puts_a_journal_ahead_of_its_inbox(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = list(map(encode, histories_of(Random(4), members=4, length=30, start=LONG_AGO)))
    reports = 0

    def write(_done: int) -> None:
        nonlocal reports
        reports += 1
        if reports % 3 == 1:
            part = write_facts(tmp_path / f"part-{reports}.ndjson", [more[reports // 3]])
            on(ledger, "ingest", part, "--backlog", "--jobs", 1)

    monkeypatch.setattr(backup, "PAGES", 4)
    opened = open_ledger(ledger)
    made = back_up(opened, tmp_path / "backup", write)
    opened.close()
    assert reports > 9
    on(tmp_path / "restored", "restore", tmp_path / "backup")
    on(tmp_path / "restored", "verify")
    on(tmp_path / "restored", "replay", "--from-topic")
    assert made.entries > 120
    for number in range(1, reports + 1, 3):
        on(tmp_path / "restored", "ingest", tmp_path / f"part-{number}.ndjson", "--backlog")
    assert contents(tmp_path / "restored") == contents(ledger)


def test_a_backup_is_a_ledger_that_can_be_asked(ledger: Path, tmp_path: Path) -> None:
    on(ledger, "backup", tmp_path / "backup")
    before = {path.name: path.read_bytes() for path in (tmp_path / "backup").iterdir()}
    for command in (["verify"], ["replay"], ["stats", "--as-of", "2026-01-01"]):
        assert on(tmp_path / "backup", *command, "--json").code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "backup").iterdir() if path.is_file()} == before
    on(tmp_path / "restored", "restore", tmp_path / "backup")
    assert contents(tmp_path / "restored") == contents(ledger)


@pytest.mark.parametrize("name", ["partition-1.db", "inbox.db", "book.toml", "ledger.json", "backup.json"])
def test_a_backup_that_was_changed_or_cut_short_is_named_and_nothing_is_made(
    ledger: Path, tmp_path: Path, name: str
) -> None:
    on(ledger, "backup", tmp_path / "backup")
    path = tmp_path / "backup" / name
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:-5], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], b"", None):
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)
        assert str(path.parent) in on(tmp_path / "restored", "restore", tmp_path / "backup", code=3).err
        assert sorted(p.name for p in tmp_path.iterdir()) == ["backup", "facts.ndjson", "ledger"]


def test_a_backup_that_does_not_list_every_file_of_its_ledger_makes_nothing(ledger: Path, tmp_path: Path) -> None:
    on(ledger, "backup", tmp_path / "backup")
    path = tmp_path / "backup" / "backup.json"
    whole = json.loads(path.read_bytes())
    lacks_one = [file for file in whole["files"] if file["file"] != "partition-1.db"]
    for change in ({"files": lacks_one}, {"files": [*whole["files"], whole["files"][0]]}, {"ledger": "0" * 32}):
        path.write_text(json.dumps({**whole, **change}))
        assert str(path) in on(tmp_path / "restored", "restore", tmp_path / "backup", code=3).err
        assert sorted(p.name for p in tmp_path.iterdir()) == ["backup", "facts.ndjson", "ledger"]


def test_a_journal_ahead_of_its_inbox_is_no_backup(ledger: Path, tmp_path: Path) -> None:
    on(ledger, "backup", tmp_path / "backup")
    database = sqlite3.connect(ledger / "inbox.db")
    with database:
        for partition in range(4):
            database.execute(f"DELETE FROM partition_{partition}")
    database.close()
    assert "is ahead of the inbox" in on(ledger, "backup", tmp_path / "again", code=3).err
    assert not (tmp_path / "again").exists()


def test_what_is_there_is_not_written_over_and_what_was_left_is_cleared_away(ledger: Path, tmp_path: Path) -> None:
    left = unfinished(tmp_path / "backup")
    left.mkdir()
    (left / "partition-9.db").write_bytes(b"half")
    on(ledger, "backup", tmp_path / "backup")
    assert "partition-9.db" not in {path.name for path in (tmp_path / "backup").iterdir()}
    assert "is there already" in on(ledger, "backup", tmp_path / "backup", code=3).err
    assert "is there already" in on(ledger, "restore", tmp_path / "backup", code=3).err
    assert "no ledger" in on(tmp_path / "none", "backup", tmp_path / "x", code=3).err
    assert "No such file" in on(tmp_path / "none", "restore", tmp_path / "ledger", code=3).err


def test_a_ledger_whose_inbox_is_only_being_made_is_backed_up_without_it(tmp_path: Path) -> None:
    open_or_create(tmp_path / "new").close()
    for inbox in (None, b""):
        if inbox is not None:
            (tmp_path / "new" / "inbox.db").write_bytes(inbox)
        on(tmp_path / "new", "backup", tmp_path / f"backup-{inbox}")
        on(tmp_path / f"restored-{inbox}", "restore", tmp_path / f"backup-{inbox}")
        assert not (tmp_path / f"restored-{inbox}" / "inbox.db").exists()


def test_a_ledger_that_nothing_was_fed_to_yet_is_backed_up_restored_and_replayed(tmp_path: Path) -> None:
    made = open_or_create(tmp_path / "ledger")
    made.bind_stream(INBOX)  # a feed does so before it makes the inbox
    made.close()
    on(tmp_path / "ledger", "backup", tmp_path / "backup")
    on(tmp_path / "restored", "restore", tmp_path / "backup")
    on(tmp_path / "restored", "replay", "--from-topic")


def test_an_inbox_that_is_gone_is_an_error_where_records_were_decided(ledger: Path) -> None:
    for path in ledger.glob("inbox.db*"):
        path.unlink()
    assert "inbox.db" in on(ledger, "replay", "--from-topic", "--jobs", 1, code=4).err


def test_a_backup_keeps_which_ledger_it_is_of(ledger: Path, tmp_path: Path) -> None:
    on(ledger, "backup", tmp_path / "backup")
    identity = json.loads((ledger / "ledger.json").read_bytes())["id"]
    assert json.loads((tmp_path / "backup" / "backup.json").read_bytes())["ledger"] == identity
    shutil.rmtree(ledger)
    on(ledger, "restore", tmp_path / "backup")
    assert json.loads((ledger / "ledger.json").read_bytes())["id"] == identity
