"""An archive is the whole ledger in files that anybody reads; what was changed in it is named, and nothing is made."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow
import pyarrow.parquet
import pytest
from msgspec import structs

from ledger.journal.open import open_ledger
from ledger.rulebook.schema import shipped
from ledger.wire.entry_codec import decode_entry, encode_entry, leaf_of, link_after
from projections.answers.output import unfinished
from service.archive.reading import Archive
from service.archive.restore import import_archive
from tests.cli.test_cli import Ran, points
from tests.support.histories import LONG_AGO
from tests.support.ledgers import histories_of, scratch, write_facts

ROOT = Path(__file__).parents[2]
FACTS = histories_of(Random(23), members=7, length=60, start=LONG_AGO)
BAD = [b"{", b"\xff", b'{"specversion":"1.0"}', b"[" * 70_000, b"{}"]


def published(day: datetime, name: str) -> dict[str, Any]:
    toml = shipped("jd").replace('name = { zh = "', f'name = {{ zh = "{name} ', 1)
    return {
        "specversion": "1.0",
        "id": name,
        "source": "/operators",
        "type": "programme.published.v1",
        "subject": "programme",
        "time": day.isoformat(),
        "data": {"toml": toml},
    }


class Shelf:
    """A ledger and its archive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "ledger"
        self.archive = folder / "archive"
        self.restored = folder / "restored"

    def points(self, *arguments: object, ledger: Path | None = None, code: int = 0) -> Ran:
        """Run a command on a ledger, the original unless said otherwise."""
        ran = points("--ledger", ledger or self.ledger, *arguments)
        assert ran.code == code, ran.err
        return ran

    def refuses(self, said: str, code: int = 3) -> None:
        """The import fails, says so, and leaves nothing behind."""
        ran = self.points("archive", "import", self.archive, ledger=self.restored, code=code)
        assert said in ran.err
        assert not self.restored.exists() and not unfinished(self.restored).exists()


@pytest.fixture(scope="module")
def made() -> Iterator[Shelf]:
    """Entries of every kind, a rule book published on the way, and parked facts: waiting, retried and dropped."""
    with scratch() as folder:
        shelf = Shelf(folder)
        middle = datetime.fromisoformat(FACTS[len(FACTS) // 2]["time"]) - timedelta(days=400)
        half = len(FACTS) // 2
        lines = [*FACTS[:half], *BAD, published(middle, "second"), *FACTS[half:]]
        shelf.points("ingest", write_facts(folder / "facts.ndjson", lines), "--backlog")
        waiting = [at["position"] for at in shelf.points("dead-letters", "list", "--json").json]
        (folder / "mended").write_bytes(json.dumps(FACTS[0]).encode())
        shelf.points("dead-letters", "retry", waiting[0], "--with", folder / "mended")
        shelf.points("dead-letters", "drop", waiting[1])
        shelf.points("archive", "export", shelf.archive)
        yield shelf


@pytest.fixture
def shelf(made: Shelf, tmp_path: Path) -> Shelf:
    """A copy, to be changed."""
    shutil.copytree(made.folder, tmp_path / "shelf")
    return Shelf(tmp_path / "shelf")


def tables(folder: Path) -> dict[str, list[Any]]:
    """All that a ledger's journals keep, but for what shortens reading and who owned them."""
    found: dict[str, list[Any]] = {}
    for path in sorted(folder.glob("partition-*.db")):
        database = sqlite3.connect(path)
        for table in ("stored_events", "pages", "parked", "programmes", "tracking"):
            found[f"{path.name} {table}"] = database.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
        receipts = "SELECT name, id, member, place FROM receipts JOIN sources ON number = source ORDER BY 1, 2, 3"
        found[f"{path.name} receipts"] = database.execute(receipts).fetchall()
        found[f"{path.name} shard"] = database.execute("SELECT head, link, recorded FROM shard").fetchall()
        database.close()
    return found


def test_a_restored_ledger_is_the_ledger_and_goes_on_as_it_would_have(shelf: Shelf) -> None:
    shelf.points("archive", "import", shelf.archive, ledger=shelf.restored)
    assert tables(shelf.restored) == tables(shelf.ledger)
    for command in ("verify", "replay"):
        shelf.points(command, ledger=shelf.restored)
    for question in (
        ["stats", "--as-of", "2026-01-01"],
        ["dead-letters", "list", "--all"],
        ["show", "m-1"],
        ["verify"],
    ):
        if question[0] == "show":
            question += ["--as-of", "2026-01-01"]
        answers = [shelf.points(*question, "--json", ledger=at).out for at in (shelf.ledger, shelf.restored)]
        assert answers[0] == answers[1]
    more = write_facts(shelf.folder / "more.ndjson", histories_of(Random(24), members=7, length=20, start=LONG_AGO))
    for at in (shelf.ledger, shelf.restored):
        shelf.points("ingest", more, "--backlog", ledger=at)
    assert tables(shelf.restored) == tables(shelf.ledger)


def test_the_stream_of_a_restored_ledger_begins_behind_the_archive(shelf: Shelf) -> None:
    shelf.points("archive", "import", shelf.archive, ledger=shelf.restored)
    ran = shelf.points("replay", "--from-topic", ledger=shelf.restored, code=3)
    assert "begins behind position" in ran.err


def test_a_second_reader_finds_the_same_figures(made: Shelf) -> None:
    stats = made.points("stats", "--json").json
    files = f"'{made.archive}/entries/*/*.parquet'"
    outcomes = duckdb.sql(f"SELECT outcome, count(DISTINCT (member, number)) FROM {files} GROUP BY ALL").fetchall()
    assert dict(outcomes) == {name: count for name, count in stats["entries"].items() if count}
    spent = f"""
        SELECT sum(if(change->>'change' = 'restored', -1, 1) * CAST(change->>'points' AS BIGINT))
        FROM (SELECT unnest(CAST(changes AS JSON[])) AS change FROM {files})
        WHERE change->>'kind' = 'beans' AND change->>'change' IN ('spent', 'captured', 'restored')"""
    assert duckdb.sql(spent).fetchall() == [(stats["points"]["beans"]["redeemed"],)]
    link = bytes(32)
    query = f"SELECT entry, link FROM {files} WHERE partition = 1 ORDER BY place"
    for entry, stored in duckdb.sql(query).fetchall():
        link = sha256(link + sha256(entry).digest()).digest()
        assert stored == link
    parked = duckdb.sql(f"SELECT count(*) FROM '{made.archive}/parked/*.parquet' WHERE NOT is_done").fetchall()
    assert parked == [(stats["parked"],)]


def test_files_are_named_after_partition_and_month_and_hold_nothing_else(made: Shelf) -> None:
    query = f"""
        SELECT DISTINCT filename, partition, strftime(recorded AT TIME ZONE 'Asia/Shanghai', '%Y-%m')
        FROM read_parquet('{made.archive}/entries/*/*.parquet', filename = true)"""
    for name, partition, month in duckdb.sql(query).fetchall():
        assert name == f"{made.archive}/entries/partition-{partition}/{month}.parquet"


def flip(path: Path, at: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("pattern", ["entries/partition-1/*.parquet", "parked/partition-0.parquet", "book.toml"])
def test_a_file_that_was_changed_cut_short_or_lost_is_named(shelf: Shelf, pattern: str) -> None:
    path = sorted(shelf.archive.glob(pattern))[-1]
    whole = path.read_bytes()
    for at in (0, 0.5, 0.99):
        flip(path, at)
        shelf.refuses(f"{path}: was changed")
        path.write_bytes(whole)
    path.write_bytes(whole[:-7])
    shelf.refuses(f"{path}: has {len(whole) - 7:,} bytes of {len(whole):,}")
    path.unlink()
    shelf.refuses(f"{path}: No such file")


def test_a_manifest_that_does_not_add_up_is_refused(shelf: Shelf) -> None:
    path = shelf.archive / "manifest.json"
    (shelf.archive / "head.json").unlink()  # which would tell any change of it
    whole = json.loads(path.read_bytes())
    first = whole["months"][0]
    last = whole["months"][-1]["file"]
    for change in (
        {name: [file for file in whole[name] if file["file"] != last] for name in ("months", "files")},
        {"format": "points-ledger.archive.v9"},
        {"engine": whole["engine"] + 1},
        {"months": whole["months"][1:]},
        {"months": [first, *whole["months"]]},
        {"months": [{**first, "last": first["last"] - 1}, *whole["months"][1:]]},
        {"months": [{**first, "link": "0" * 64}, *whole["months"][1:]]},
        {"files": whole["files"][1:]},
        {"files": [*whole["files"], {**whole["files"][0], "file": "../../etc/passwd"}]},
        {"partitions": whole["partitions"][1:]},
        {"born": {**whole["born"], "request_max_age_seconds": 1}},
        {"ledger": "0" * 32},
        {"unknown": 1},
    ):
        path.write_text(json.dumps({**whole, **change}))
        shelf.refuses(str(shelf.archive))
    for text in ("", "{", "[]", "\0"):
        path.write_text(text)
        shelf.refuses(f"{path}: damaged, or no manifest")
    path.unlink()
    shelf.refuses("No such file")


def rewrite_months(archive: Path, change: Any) -> None:
    """Change entries of partition 1 and make links, hashes and manifest fit again, as a forger would."""
    manifest = json.loads((archive / "manifest.json").read_bytes())
    link = bytes(32)
    for month in manifest["months"]:
        if month["partition"] != 1:
            continue
        path = archive / month["file"]
        rows = pyarrow.parquet.read_table(path)
        month["link_before"] = link.hex()
        entries, links = [], []
        for state in rows["entry"].to_pylist():
            state = change(state)
            link = link_after(link, leaf_of(state))
            entries.append(state)
            links.append(link)
        rows = rows.set_column(rows.schema.get_field_index("entry"), "entry", pyarrow.array(entries))
        rows = rows.set_column(rows.schema.get_field_index("link"), "link", pyarrow.array(links))
        pyarrow.parquet.write_table(rows, path)
        month["link"] = link.hex()
        listed = next(file for file in manifest["files"] if file["file"] == month["file"])
        listed |= {"bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}
    manifest["partitions"][1]["link"] = link.hex()
    (archive / "manifest.json").write_text(json.dumps(manifest))
    (archive / "head.json").unlink(missing_ok=True)


def test_a_decision_that_was_forged_with_all_its_hashes_does_not_follow_from_its_fact(shelf: Shelf) -> None:
    victim = None

    def forge(state: bytes) -> bytes:
        nonlocal victim
        entry = decode_entry(state)
        if victim is None and entry.changes:
            victim = f"entry {entry.number} of {entry.member} "
            return encode_entry(structs.replace(entry, changes=[]))
        return state

    rewrite_months(shelf.archive, forge)
    ran = shelf.points("archive", "import", shelf.archive, ledger=shelf.restored, code=1)
    assert victim is not None and victim in ran.err and "does not follow" in ran.err
    assert not shelf.restored.exists() and not unfinished(shelf.restored).exists()
    again = json.loads(shelf.points("replay", "--from-archive", shelf.archive, "--json", code=1).out)
    (found,) = again["differences"]
    assert f"entry {found['number']} of {found['member']} " == victim
    assert (found["partition"], found["field"], found["stored"]) == (1, "changes", "[]")


def test_an_archive_is_replayed_without_its_ledger(shelf: Shelf, tmp_path: Path) -> None:
    kept, again = (
        json.loads(shelf.points("replay", *more, "--json", ledger=at).out)
        for more, at in (((), shelf.ledger), (("--from-archive", shelf.archive), tmp_path / "nothing"))
    )
    assert {**again, "seconds": 0} == {**kept, "seconds": 0} and again["entries"] > 100
    assert not (tmp_path / "nothing").exists()
    shelf.points("replay", "--from-archive", tmp_path, code=3)
    shelf.points("replay", "--from-archive", shelf.archive, "--from-topic", code=2)


def test_what_is_no_entry_is_named(shelf: Shelf) -> None:
    rewrite_months(shelf.archive, lambda state: state[:-1])
    ran = shelf.points("archive", "import", shelf.archive, ledger=shelf.restored, code=3)
    assert "holds what is no entry" in ran.err and not shelf.restored.exists()
    assert not unfinished(shelf.restored).exists()


def list_anew(archive: Path, name: str) -> None:
    """Make the manifest fit a file that was changed, as a forger would."""
    path = archive / name
    manifest = json.loads((archive / "manifest.json").read_bytes())
    listed = next(file for file in manifest["files"] if file["file"] == name)
    listed |= {"bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}
    (archive / "manifest.json").write_text(json.dumps(manifest))
    (archive / "head.json").unlink(missing_ok=True)


def test_a_table_of_other_columns_or_with_holes_is_named(shelf: Shelf) -> None:
    name = "parked/partition-0.parquet"
    path = shelf.archive / name
    rows = pyarrow.parquet.read_table(path)
    place = rows.schema.get_field_index("offset")
    for changed in (
        rows.remove_column(place),
        rows.set_column(place, "offset", pyarrow.array(["0"] * rows.num_rows)),
        rows.set_column(place, "offset", pyarrow.array([None] * rows.num_rows, pyarrow.int64())),
    ):
        pyarrow.parquet.write_table(changed, path)
        list_anew(shelf.archive, name)
        ran = shelf.points("archive", "import", shelf.archive, ledger=shelf.restored, code=3)
        assert str(path) in ran.err and "offset" in ran.err and not shelf.restored.exists()


def test_a_book_that_is_no_text_is_named(shelf: Shelf) -> None:
    (shelf.archive / "book.toml").write_bytes(b"\xff")
    list_anew(shelf.archive, "book.toml")
    ran = shelf.points("archive", "import", shelf.archive, ledger=shelf.restored, code=3)
    assert "book.toml" in ran.err and not shelf.restored.exists()


def test_two_records_of_one_position_are_refused(shelf: Shelf) -> None:
    path = shelf.archive / "parked" / "partition-0.parquet"
    rows = pyarrow.parquet.read_table(path)
    offsets = pyarrow.array([0] * rows.num_rows, pyarrow.int64())
    pyarrow.parquet.write_table(rows.set_column(rows.schema.get_field_index("offset"), "offset", offsets), path)
    list_anew(shelf.archive, "parked/partition-0.parquet")
    ran = shelf.points("archive", "import", shelf.archive, ledger=shelf.restored, code=3)
    assert "position 0:0 stands twice" in ran.err and not shelf.restored.exists()


class Killed(BaseException):
    """The process ends here."""


def test_an_import_that_was_interrupted_goes_on(shelf: Shelf) -> None:
    archive = Archive.checked(shelf.archive)
    entries = [part.entries for part in archive.manifest.partitions]

    def stop(done: int) -> None:
        if done > entries[0]:
            raise Killed

    with pytest.raises(Killed):
        import_archive(archive, shelf.restored, stop)
    assert not shelf.restored.exists()
    half = open_ledger(unfinished(shelf.restored))
    assert [half.journal(p).head().entries for p in (0, 3)] == [entries[0], 0]
    half.close()
    reported: list[int] = []
    import_archive(archive, shelf.restored, reported.append)
    assert min(reported) > entries[0], "what was restored before is not decided again"
    assert tables(shelf.restored) == tables(shelf.ledger)
    assert not unfinished(shelf.restored).exists()


def killed_again_and_again(folder: Path, kills: int) -> None:
    """An export and an import, each killed so many times at any instant and then run to its end."""
    random = Random(kills)
    facts = write_facts(folder / "facts.ndjson", histories_of(Random(2), members=40, length=100, start=LONG_AGO))
    shelf = Shelf(folder)
    shelf.points("ingest", facts, "--backlog", "--jobs", 1)
    again = ["--ledger", shelf.restored, "archive", "import", shelf.archive]
    for command in (["archive", "export", shelf.archive], again):
        arguments = [sys.executable, "-m", "service.cli", "--ledger", shelf.ledger, *command]
        for _ in range(kills):
            process = subprocess.Popen(list(map(str, arguments)), cwd=ROOT, stderr=subprocess.DEVNULL)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.5 + random.random() * 2)
            process.kill()
            process.wait()
            made = shelf.archive if command[1] == "export" else shelf.restored
            if made.exists():
                shutil.rmtree(made)  # it was whole already: once more
        shelf.points(*command)
    assert tables(shelf.restored) == tables(shelf.ledger)
    assert sorted(path.name for path in folder.iterdir()) == ["archive", "facts.ndjson", "ledger", "restored"]


def test_a_kill_at_any_instant_and_the_same_command_again(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path, 1)


@pytest.mark.campaign
def test_many_kills_at_any_instant_and_the_same_command_again(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path, 30)


def test_what_an_interrupted_export_or_another_import_left_is_cleared_away(shelf: Shelf) -> None:
    again = unfinished(shelf.folder / "again")
    (again / "entries").mkdir(parents=True)
    (again / "entries" / "half").write_bytes(b"half")
    shelf.points("archive", "export", shelf.folder / "again")
    names = [sorted(p.relative_to(at) for p in at.rglob("*")) for at in (shelf.archive, shelf.folder / "again")]
    assert names[0] == names[1]
    shelf.points("ingest", shelf.folder / "facts.ndjson", ledger=unfinished(shelf.restored))
    shelf.points("archive", "import", shelf.archive, ledger=shelf.restored)
    assert tables(shelf.restored) == tables(shelf.ledger)


def test_nothing_that_is_there_is_written_over(shelf: Shelf) -> None:
    (shelf.folder / "other").mkdir()
    assert "is there already" in shelf.points("archive", "export", shelf.folder / "other", code=3).err
    assert "is there already" in shelf.points("archive", "import", shelf.archive, code=3).err


def test_a_broken_chain_is_not_archived(shelf: Shelf) -> None:
    database = sqlite3.connect(shelf.ledger / "partition-1.db")
    with database:
        database.execute("UPDATE stored_events SET link = zeroblob(32) WHERE rowid = 3")
    database.close()
    ran = shelf.points("archive", "export", shelf.folder / "again", code=1)
    assert "partition 1 is broken at place 3" in ran.err
    assert not (shelf.folder / "again").exists() and not unfinished(shelf.folder / "again").exists()
