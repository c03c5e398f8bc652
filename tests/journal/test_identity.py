"""A journal is taken for no other, and a ledger that lost what lies beside its journals is not made anew."""

import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from ledger.journal.database import migrate
from ledger.journal.folder import BIRTH, FolderLedger
from ledger.journal.ledger import LedgerLocked
from ledger.journal.open import open_ledger, open_or_create
from ledger.journal.origin import Origin, State, problem_with
from ledger.journal.port import Damaged, JournalError
from projections.audit.replay import replay
from projections.audit.verify import verify
from tests.cli.test_cli import Ran, points
from tests.support.contents import contents
from tests.support.histories import LONG_AGO
from tests.support.ledgers import SmallLedger, histories_of, ingested, scratch, write_facts
from tests.support.tampering import stamp_anew

FACTS: list[Any] = histories_of(Random(23), members=8, length=12, start=LONG_AGO)
MORE: list[Any] = histories_of(Random(24), members=8, length=3, start=LONG_AGO)
READING = (("stats",), ("verify",), ("replay",), ("export", "balances"), ("show", FACTS[0]["subject"]))


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A ledger of eight members, to be copied."""
    with scratch() as place:
        ingested(place, FACTS).close()
        yield place / "ledger"


@pytest.fixture
def folder(made: Path) -> Iterator[Path]:
    """A copy of it, with more facts beside it."""
    with scratch() as place:
        shutil.copytree(made, place / "ledger")
        write_facts(place / "more.ndjson", MORE)
        yield place / "ledger"


def on(folder: Path, *command: object, code: int = 3) -> Ran:
    """Run a command on a ledger, which ends as it should."""
    ran = points("--ledger", folder, *command)
    assert ran.code == code, (command, ran.code, ran.out, ran.err)
    if code == 3:
        assert ran.err.count("\n") == 1, "one line"
    return ran


def ingest(folder: Path, code: int = 3) -> Ran:
    """Feed the facts that lie beside the folder."""
    return on(folder, "ingest", "--backlog", folder.parent / "more.ndjson", code=code)


def files(folder: Path) -> dict[str, bytes]:
    """What lies in a folder but the lock, which says who held it last, and SQLite's logs."""
    kept = (path for path in sorted(folder.iterdir()) if path.is_file() and path.name != "lock")
    return {path.name: path.read_bytes() for path in kept if not path.name.endswith(("-wal", "-shm"))}


def edit(folder: Path, **settings: Any) -> None:
    path = folder / "ledger.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | settings))


# -- settings and book that are lost or edited -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ledger.json", "book.toml"])
@pytest.mark.parametrize("lost", ["removed", "emptied"])
def test_a_ledger_that_lost_its_settings_or_book_gets_none_made(folder: Path, name: str, lost: str) -> None:
    was = (folder / name).read_bytes()
    if lost == "removed":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(b"")
    before = files(folder)
    for command in (*READING, ("store", "migrate")):
        said = on(folder, *command).err
        assert "points store settings" in said and (name in said or "partition-" in said), said
    assert "--put-back" in ingest(folder).err
    assert files(folder) == before

    on(folder, "store", "settings", "--put-back", code=0)
    assert (folder / name).read_bytes() == was
    on(folder, "verify", code=0)
    ingest(folder, code=0)
    on(folder, "replay", code=0)


@pytest.mark.parametrize("partitions", [1, 2, 3, 5, 8])
def test_the_number_of_partitions_cannot_be_edited(folder: Path, partitions: int) -> None:
    edit(folder, partitions=partitions)
    before = files(folder)
    for command in (*READING, ("store", "migrate")):
        assert "partitions" in on(folder, *command).err or partitions > 4
    ingest(folder)
    assert files(folder) == before
    on(folder, "store", "settings", "--put-back", code=0)
    on(folder, "replay", code=0)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"id": "0" * 32}, "another ledger"),
        ({"id": ""}, "another ledger"),
        ({"request_max_age_seconds": 1}, "request_max_age_seconds"),
        ({"operators": ["/operators", "/mallory"]}, "operators"),
        ({"stream": "kafka", "topic": "t"}, "stream"),
    ],
)
def test_a_setting_that_was_edited_is_named(folder: Path, settings: dict[str, Any], named: str) -> None:
    edit(folder, **settings)
    for command in READING:
        assert named in on(folder, *command).err
    on(folder, "store", "settings", "--put-back", code=0)
    on(folder, "verify", code=0)


def test_a_book_that_was_edited_is_named(folder: Path) -> None:
    book = folder / "book.toml"
    book.write_text(book.read_text(encoding="utf-8").replace("at_least = 201", "at_least = 202"), encoding="utf-8")
    for command in READING:
        assert "book.toml" in on(folder, *command).err
    assert "book.toml" in ingest(folder).err


def test_operators_are_changed_by_a_command_and_hold(folder: Path) -> None:
    on(folder, "store", "settings", "--operator", "/operators", "--operator", "/back-office", code=0)
    assert json.loads((folder / "ledger.json").read_bytes())["operators"] == ["/operators", "/back-office"]
    on(folder, "verify", code=0)
    ingest(folder, code=0)
    (folder / "ledger.json").unlink()
    on(folder, "store", "settings", "--put-back", code=0)
    assert json.loads((folder / "ledger.json").read_bytes())["operators"] == ["/operators", "/back-office"]
    for wrong in (("--operator", "/o", "--put-back"), ("--partition", 1)):
        on(folder, "store", "settings", *wrong, code=2)


def test_an_interrupted_change_of_operators_is_done_again(folder: Path) -> None:
    with closing(FolderLedger.at(folder)) as ledger, closing(ledger._open_journal(2)) as journal:
        changed = json.loads((folder / "ledger.json").read_bytes()) | {"operators": ["/x"]}
        text = json.dumps(changed, separators=(",", ":"))
        journal.stamp(ledger.origin(2)._replace(settings=text))
    assert "operators" in on(folder, "verify").err
    on(folder, "store", "settings", "--operator", "/x", code=0)
    on(folder, "verify", code=0)


# -- journals that are lost, emptied, swapped, or another's ------------------------------------------------------------


@pytest.mark.parametrize("lost", ["removed", "emptied", "emptied with its log"])
def test_a_journal_that_is_gone_is_never_made_anew(folder: Path, lost: str) -> None:
    path = folder / "partition-2.db"
    if lost == "removed":
        path.unlink()
    else:
        path.write_bytes(b"")
    before = files(folder)
    for command in (("stats",), ("verify",), ("store", "migrate")):
        assert "partition-2.db" in on(folder, *command).err
    ingest(folder)
    assert files(folder) == before


def test_a_journal_of_another_ledger_is_refused(folder: Path) -> None:
    another = open_or_create(folder.parent / "another")
    another.close()
    shutil.copy(folder.parent / "another" / "partition-1.db", folder / "partition-1.db")
    for command in (("stats",), ("verify",), ("replay",), ("store", "migrate")):
        said = on(folder, *command).err
        assert "partition-1.db is partition 1 of another ledger" in said
    ingest(folder)
    found = on(folder, "store", "settings", "--json", code=1).json
    assert not found["agree"] and [one["stands_as"] for one in found["journals"]] == [0, 1, 2, 3]
    assert "do not agree" in on(folder, "store", "settings", "--put-back").err
    on(folder, "store", "settings", "--put-back", "--partition", 0, code=0)


def test_journals_that_were_swapped_are_refused(folder: Path) -> None:
    (folder / "partition-0.db").rename(folder / "x")
    (folder / "partition-3.db").rename(folder / "partition-0.db")
    (folder / "x").rename(folder / "partition-3.db")
    for command in (("stats",), ("verify",), ("replay",), ("store", "migrate")):
        assert "is partition 3, and stands where partition 0 belongs" in on(folder, *command).err
    assert not on(folder, "store", "settings", "--json", code=1).json["agree"]


def test_a_file_that_belongs_to_no_partition_stops_a_migration(folder: Path) -> None:
    shutil.copy(folder / "partition-0.db", folder / "partition-4.db")
    assert "partition-4.db belongs to none of the 4 partitions" in on(folder, "store", "migrate").err


def test_members_that_stand_in_anothers_partition_are_named_by_both_audits(folder: Path) -> None:
    """As if `partitions` was edited and a forger made the journals say so, too."""
    (folder / "partition-3.db").unlink()
    edit(folder, partitions=3)
    stamp_anew(folder)
    with closing(open_ledger(folder)) as ledger:
        rows = [(partition, row.member) for partition in ledger.partitions for row in ledger.journal(partition).scan()]
        strangers = {member for partition, member in rows if ledger.partition_of(member) != partition}
        broken = {at["member"] for at in verify(ledger)["broken"] if "belongs to partition" in at["problem"]}
        differ = {at["member"] for at in replay(ledger)["differences"] if at["field"] == "partition"}
    assert strangers and broken == differ == strangers


def of_before(folder: Path) -> None:
    """Make the journals those of an older version: no origin, no seals, another format."""
    for path in folder.glob("partition-*.db"):
        with closing(sqlite3.connect(path)) as db:
            for table in ("origin", "pruned"):
                db.execute(f"DROP TABLE {table}")
            for table in ("shard", "parked"):
                db.execute(f"ALTER TABLE {table} DROP COLUMN seal")
            db.execute("ALTER TABLE shard DROP COLUMN stream")
            db.execute("PRAGMA user_version = 2")


def test_an_older_ledger_gets_its_origin_at_migration(folder: Path) -> None:
    of_before(folder)
    assert "run `points store migrate`" in on(folder, "stats").err
    said = on(folder, "store", "settings", code=1).out
    assert said.count("run `points store migrate`") == 4
    on(folder, "store", "migrate", code=0)
    assert "nothing was to be done" in on(folder, "store", "migrate", code=0).out
    on(folder, "verify", code=0)
    on(folder, "replay", code=0)
    ingest(folder, code=0)
    on(folder, "verify", code=0)


@pytest.mark.parametrize("wrong", ["partitions", "book", "swapped", "emptied"])
def test_an_older_ledger_that_is_not_what_lies_beside_it_is_not_migrated(folder: Path, wrong: str) -> None:
    of_before(folder)
    if wrong == "partitions":
        edit(folder, partitions=3)
        (folder / "partition-3.db").unlink()
    elif wrong == "book":
        book = folder / "book.toml"
        book.write_text(book.read_text(encoding="utf-8") + "\n# kinder\n", encoding="utf-8")
    elif wrong == "swapped":
        (folder / "partition-0.db").rename(folder / "x")
        (folder / "partition-3.db").rename(folder / "partition-0.db")
        (folder / "x").rename(folder / "partition-3.db")
    else:
        (folder / "partition-1.db").write_bytes(b"")
    on(folder, "store", "migrate")
    for path in folder.glob("partition-*.db"):
        if path.stat().st_size:
            with closing(sqlite3.connect(path)) as db:
                has_origin = db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'origin'").fetchone()[0]
                assert not has_origin or not db.execute("SELECT count(*) FROM origin").fetchone()[0]


# -- birth, and who writes ---------------------------------------------------------------------------------------------


def test_a_birth_that_was_interrupted_is_done_again(tmp_path: Path) -> None:
    open_or_create(tmp_path / "ledger").close()
    for kept in (0, 2, 4):
        shutil.rmtree(tmp_path / "again", ignore_errors=True)
        shutil.copytree(tmp_path / "ledger", tmp_path / "again")
        (tmp_path / "again" / "ledger.json").rename(tmp_path / "again" / BIRTH)
        for partition in range(kept, 4):
            (tmp_path / "again" / f"partition-{partition}.db").unlink()
        if kept < 4:
            (tmp_path / "again" / f"partition-{kept}.db").write_bytes(b"")  # it was being made
        with pytest.raises(JournalError, match="there is no ledger"):
            open_ledger(tmp_path / "again")
        with closing(open_or_create(tmp_path / "again")) as ledger:
            assert verify(ledger)["broken"] == [] and not (tmp_path / "again" / BIRTH).exists()


def test_a_journal_that_holds_entries_is_never_born_again(folder: Path) -> None:
    (folder / "ledger.json").rename(folder / BIRTH)
    with pytest.raises(JournalError, match=r"partition-\d.db holds \d+ entries of a ledger that is not here"):
        open_or_create(folder)


def test_a_lock_that_was_removed_by_hand_lets_nobody_in(folder: Path) -> None:
    with closing(FolderLedger.at(folder)) as ledger, ledger.writing():
        (folder / "lock").unlink()
        with (
            closing(FolderLedger.at(folder)) as other,
            pytest.raises(LedgerLocked, match="its file `lock` was removed"),
            other.writing(),
        ):
            pass
        assert ingest(folder, code=4).err.count("\n") == 1
    with closing(FolderLedger.at(folder)) as other, other.writing():
        handle = os.open(folder, os.O_RDONLY)
        with pytest.raises(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)


# -- the head and its seal ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE shard SET epoch = epoch - 1",
        "UPDATE shard SET epoch = epoch + 1",
        "UPDATE shard SET recorded = recorded + 1",
        "UPDATE shard SET head = head - 1",
        "UPDATE shard SET link = zeroblob(32)",
        "UPDATE shard SET seal = NULL",
        "UPDATE tracking SET notification_id = notification_id + 3 WHERE application_name = 'facts'",
        "UPDATE tracking SET notification_id = notification_id - 1 WHERE application_name = 'facts'",
        "DELETE FROM tracking",
        "DELETE FROM shard",
        "DELETE FROM stored_events WHERE rowid = (SELECT head FROM shard)",
    ],
)
def test_an_owner_does_not_go_on_from_a_head_that_was_changed(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(folder / "partition-1.db")) as db, db:
        entries = db.execute("SELECT max(rowid) FROM stored_events").fetchone()[0]
        db.execute(sql)
    on(folder, "verify", code=3 if sql == "DELETE FROM shard" else 1)
    with closing(FolderLedger.at(folder)) as ledger, pytest.raises(Damaged):
        ledger.writer(1)
    ran = points("--ledger", folder, "ingest", "--backlog", folder.parent / "more.ndjson")
    assert ran.code in (3, 4) and "partition" in ran.err
    with closing(sqlite3.connect(folder / "partition-1.db")) as db:
        assert db.execute("SELECT max(rowid) FROM stored_events").fetchone()[0] <= entries


def test_an_origin_says_in_what_it_differs() -> None:
    ours = Origin("a" * 32, 1, 4, "9" * 64, '{"stream":"open","topic":"","operators":["/o"]}', "book")
    assert problem_with(ours, ours) == ""
    assert problem_with(ours, ours._replace(settings='{"stream":"inbox","topic":"","operators":["/o"],"new":1}')) == ""
    for other, named in (
        (ours._replace(ledger=""), "another ledger"),
        (ours._replace(partition=2), "is partition 2"),
        (ours._replace(partitions=8), "8 partitions"),
        (ours._replace(genesis="8" * 64), "damaged"),
        (ours._replace(settings='{"operators":["/p"]}'), "operators"),
        (ours._replace(settings="{"), "settings"),
        (ours._replace(book="another"), "book.toml"),
    ):
        assert named in problem_with(other, ours)
    assert "does not say" in problem_with(None, ours)
    state = State(ours, 3, 5, b"l" * 32, 7, 9, b"")
    state = state._replace(seal=state.made_seal())
    others = [
        state._replace(**{name: getattr(state, name) + 1}) for name in ("epoch", "head", "recorded", "position")
    ] + [state._replace(link=b"m" * 32), state._replace(origin=None), state._replace(origin=ours._replace(book="b"))]
    assert state.is_sealed() and not any(other.is_sealed() for other in others)


# -- the same in PostgreSQL --------------------------------------------------------------------------------------------


@pytest.fixture
def database(postgres: str) -> str:
    """A ledger of four partitions with entries in each."""
    migrate(postgres, partitions=4)
    small = SmallLedger(postgres)
    small.hears(FACTS)
    small.decides()
    small.close()
    return postgres


def runs(address: str, *statements: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        for sql in statements:
            connection.execute(sql)


def refused(address: str, *said: str) -> None:
    """Nothing reads, writes or migrates it, and why is said."""
    for ask in (lambda: open_ledger(address).heads(), lambda: migrate(address)):
        with pytest.raises(JournalError) as caught:
            ask()
        assert all(word in str(caught.value) for word in said), caught.value


def test_schemas_that_were_swapped_are_refused(database: str) -> None:
    runs(
        database,
        "ALTER SCHEMA points_0 RENAME TO x",
        "ALTER SCHEMA points_3 RENAME TO points_0",
        "ALTER SCHEMA x RENAME TO points_3",
    )
    refused(database, "schema points_0 is partition 3, and stands where partition 0 belongs")


def test_tables_that_were_swapped_are_named(database: str) -> None:
    for table in ("stored_events", "shard", "tracking"):
        runs(
            database,
            "CREATE SCHEMA IF NOT EXISTS x",
            f"ALTER TABLE points_0.{table} SET SCHEMA x",
            f"ALTER TABLE points_1.{table} SET SCHEMA points_0",
            f"ALTER TABLE x.{table} SET SCHEMA points_1",
        )
        with closing(open_ledger(database)) as ledger:
            assert {at["partition"] for at in verify(ledger)["broken"]} == {0, 1}
            with pytest.raises(Damaged):
                ledger.writer(0)


def test_a_ledger_whose_settings_row_is_gone_gets_none_made(database: str) -> None:
    with closing(open_ledger(database)) as ledger:
        before, identity = contents(ledger), ledger.identity
    for loss in ("DELETE FROM points.ledger", "DROP SCHEMA points CASCADE"):
        runs(database, loss)
        refused(database, "the settings in points.ledger are missing", "--put-back")
        assert points("--ledger", database, "store", "settings", "--put-back").code == 0
        with closing(open_ledger(database)) as ledger:
            assert contents(ledger) == before and ledger.identity == identity
        assert points("--ledger", database, "store", "settings", "--json").json["agree"]


def test_a_partitions_schema_that_is_gone_is_not_made_anew(database: str) -> None:
    runs(database, "DROP SCHEMA points_2 CASCADE")
    refused(database, "schema points_2", "holds no journal")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"partitions":4', '"partitions":2', "is one of 4 partitions"),
        ('"request_max_age_seconds":86400', '"request_max_age_seconds":1', "request_max_age_seconds"),
    ],
)
def test_a_settings_row_that_was_edited_is_named(database: str, old: str, new: str, named: str) -> None:
    runs(database, f"UPDATE points.ledger SET settings = replace(settings, '{old}', '{new}')")
    refused(database, named)
    runs(database, "UPDATE points.ledger SET settings = '{'")
    with pytest.raises(JournalError, match=r"points.ledger"):
        open_ledger(database)
    assert points("--ledger", database, "store", "settings", "--put-back").code == 0
    with closing(open_ledger(database)) as ledger:
        assert verify(ledger)["broken"] == []


def test_a_schema_is_one_ledgers(database: str) -> None:
    with pytest.raises(JournalError, match=r"points_1 is a partition of another ledger: name another points_schema"):
        migrate(f"{database}?points_schema=points_1", partitions=2)
    migrate(f"{database}?points_schema=other_0", partitions=1)
    with pytest.raises(JournalError, match=r"other_0 is the home of another ledger"):
        migrate(f"{database}?points_schema=other", partitions=1)
    for name in ("pg_x", "pg_catalog"):
        with pytest.raises(JournalError, match="begin with pg_"):
            migrate(f"{database}?points_schema={name}")


def test_the_stream_that_settled_a_ledger_is_no_difference(postgres: str) -> None:
    migrate(postgres, partitions=2)
    with closing(open_ledger(postgres)) as ledger:
        ledger.bind_stream("inbox")
    with closing(open_ledger(postgres)) as ledger:
        assert ledger.heads() == {0: 0, 1: 0} and ledger.settings.stream == "inbox"
        ledger.change_settings(replace(ledger.settings, operators=("/a",)))
    with closing(open_ledger(postgres)) as ledger:
        assert ledger.heads() == {0: 0, 1: 0} and ledger.settings.operators == ("/a",)
    migrate(postgres)


def test_an_interrupted_birth_in_a_database_is_done_again(postgres: str) -> None:
    migrate(postgres, partitions=3)
    runs(postgres, "DELETE FROM points.ledger", "DROP SCHEMA points_2 CASCADE")
    migrate(postgres, partitions=4)
    with closing(open_ledger(postgres)) as ledger:
        assert verify(ledger)["broken"] == [] and len(ledger.heads()) == 4
