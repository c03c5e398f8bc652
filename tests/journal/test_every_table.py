"""Whatever is changed by hand in a table that decides anything is found by an audit, and named in the documentation.

What nobody finds has to be listed in `HARMLESS`, with what becomes of it. `make campaign ARGS="-k every_table"` changes
many rows; a few of each column are changed in every run.
"""

import re
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from consumers.runtime.ingest import ingest
from ledger.journal.database import migrate
from ledger.journal.open import open_ledger, open_or_create
from ledger.rulebook.schema import shipped
from projections.audit.replay import replay
from projections.audit.verify import verify
from projections.views.builtin.balances import Balances
from projections.views.files import Folder
from projections.views.runner import Following
from tests.support.databases import Server
from tests.support.flips import ADDED, DELETED, NOBODY, OPENING, Spot, found_by, of_a_file, of_schemas, spots
from tests.support.histories import LONG_AGO
from tests.support.ledgers import histories_of, scratch, write_facts

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
PUBLISHED = {
    "specversion": "1.0",
    "id": "book-2",
    "source": "/operators",
    "type": "programme.published.v1",
    "subject": "programme",
    "time": "2018-05-01T00:00:00+08:00",
    "data": {"toml": shipped("jd").replace("from = 2017-09-14", "from = 2025-06-01", 1)},
}
FACTS: list[Any] = histories_of(Random(5), members=4, length=80, start=LONG_AGO)
LINES: list[Any] = [*FACTS[:90], b"{", PUBLISHED, b"\xff", b'{"specversion":"1.0"}', *FACTS[90:]]

# What nobody has to find, by table and column: why.
HARMLESS = {
    ("sources", ADDED): "a name that no receipt has",
    ("sources", "name"): "a name that no receipt has",
    ("accounts", DELETED): "it is folded anew from the entries",
    ("accounts", "state"): "one that looks too early for what falls due finds nothing",
    ("tracking", "notification_id"): "a flow's: what is sent twice is skipped by number, a gap is seen by a reader",
    ("tracking", DELETED): "a flow's: it is sent anew",
    ("tracking", ADDED): "a flow that nobody has",
    ("tracking", "application_name"): "a flow's: it is sent anew",
    ("inbox feeds", "*"): "how far a file was read: it is fed again, and its facts count once",
    ("inbox spans", "*"): "for the counts that ingest shows",
    ("inbox records", "feed"): "for the counts that ingest shows",
    ("inbox records", "line"): "the number of a line, for messages",
}


def made(place: Path, ledger_at: Path | str) -> None:
    """Fill a ledger: every kind of row is there."""
    with closing(open_ledger(ledger_at)) as ledger, ledger.writing():
        ingest(ledger, [str(write_facts(place / "facts.ndjson", LINES))], backlog=True)
        for partition in ledger.partitions:
            ledger.journal(partition).publish_upto("outcomes", ledger.journal(partition).head().entries)


class Report:
    """Which audit found a change, by table and column."""

    def __init__(self, store: str) -> None:
        self.store = store
        self.found: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.missed: list[Spot] = []

    def add(self, spot: Spot, audit: str) -> None:
        self.found[spot.table, spot.column][audit] += 1
        names = [(spot.table, spot.column), (spot.table, "*")]
        if audit == NOBODY and not any(name in HARMLESS for name in names):
            self.missed.append(spot)

    def check(self) -> None:
        """Nothing was missed, and the page says which audit found it."""
        assert self.missed == []
        text = PAGE.read_text(encoding="utf-8")
        rows = {row[0]: row for row in (line.split("|")[1:] for line in text.splitlines() if line.startswith("| `"))}
        rows = {name.strip(" `"): row for name, row in rows.items()}
        for (table, column), audits in self.found.items():
            said = "".join(rows[table])
            for audit in audits:
                assert audit == NOBODY or audit in said, (table, column, audit)
        for (table, _), why in HARMLESS.items():
            assert why in "".join(rows[table]), (table, why)

    def __str__(self) -> str:
        lines = [self.store]
        for (table, column), audits in sorted(self.found.items()):
            lines.append(f"  {table}.{column}: " + ", ".join(f"{audit} {n}" for audit, n in sorted(audits.items())))
        return "\n".join(lines)


@pytest.fixture(scope="module")
def whole() -> Iterator[Path]:
    """A ledger in a folder with every kind of row."""
    with scratch() as place:
        open_or_create(place / "ledger").close()
        made(place, place / "ledger")
        assert found_by(place / "ledger") == NOBODY
        yield place / "ledger"


def changes_to_files(whole: Path, seed: int, rows: int, share: float = 1) -> Report:
    """Change each table of a journal, where it has most rows, and the inbox."""
    random, report = Random(seed), Report("a folder")
    fullest: dict[str, tuple[int, Path]] = {}
    for path in sorted(whole.glob("*.db")):
        with closing(sqlite3.connect(path)) as db:
            store = of_a_file(db)
            for table in store.tables:
                fullest[table] = max(fullest.get(table, (0, path)), (store.rows(table), path))
    for path in sorted(whole.glob("*.db")):
        prefix = "inbox " if path.name == "inbox.db" else ""
        with closing(sqlite3.connect(path)) as db:
            planned = list(spots(of_a_file(db), random, rows))
        for spot in planned:
            if fullest[spot.table][1] != path or random.random() > share:
                continue
            with scratch() as place:
                shutil.copytree(whole, place / "ledger")
                with closing(sqlite3.connect(place / "ledger" / path.name, isolation_level=None)) as db:
                    is_changed = of_a_file(db).change(spot, random)
                if is_changed:
                    table = re.sub(r"partition_\d+", "records", spot.table)
                    report.add(spot._replace(table=prefix + table), found_by(place / "ledger"))
    return report


def test_a_change_in_any_table_of_a_folder_is_found(whole: Path) -> None:
    report = changes_to_files(whole, 1, 1, 0.6)
    print(report)
    report.check()


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(8))
def test_many_changes_in_every_table_of_a_folder_are_found(whole: Path, seed: int) -> None:
    report = changes_to_files(whole, 100 + seed, 12)
    print(report)
    report.check()


ODD = {"TEXT": b"\xff", "INTEGER": "text", "BLOB": "text"}  # of another type than a column of SQLite is declared


def odd_columns(whole: Path) -> Iterator[tuple[Path, str, str, str]]:
    """The columns of a journal's tables where a value of another type can stand: file, table, column, its type."""
    paths = sorted(whole.glob("partition-*.db"), key=lambda path: path.stat().st_size)
    with closing(sqlite3.connect(paths[-1])) as db:
        for table, columns in of_a_file(db).tables.items():
            for _, column, kind, _, _, key in db.execute(f"PRAGMA table_info({table})").fetchall():
                if columns and table != "origin" and not (kind == "INTEGER" and key):
                    yield paths[-1], table, column, kind


def test_a_value_of_another_type_in_any_column_is_told_as_damage_and_never_as_an_error_of_the_program(
    whole: Path,
) -> None:
    told = set()
    for path, table, column, kind in odd_columns(whole):
        with scratch() as place:
            shutil.copytree(whole, place / "ledger")
            with closing(sqlite3.connect(place / "ledger" / path.name, isolation_level=None)) as db:
                first = f"SELECT {column} FROM {table} LIMIT 1"
                db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} IS ({first})", (ODD[kind],))
            if found_by(place / "ledger") != NOBODY:
                told.add((table, column))
    assert {
        ("stored_events", "originator_id"),
        ("stored_events", "originator_version"),
        ("stored_events", "state"),
        ("stored_events", "link"),
        ("accounts", "number"),
        ("accounts", "state"),
        ("pages", "key"),
        ("pages", "state"),
        ("programmes", "toml"),
        ("receipts", "member"),
        ("shard", "head"),
        ("shard", "link"),
        ("tracking", "notification_id"),
    } <= told


def test_whoever_reads_a_column_that_holds_something_else_names_it(whole: Path) -> None:
    path, *_ = next(odd_columns(whole))
    with scratch() as place:
        shutil.copytree(whole, place / "ledger")
        with closing(sqlite3.connect(place / "ledger" / path.name, isolation_level=None)) as db:
            db.execute("UPDATE stored_events SET state = 'text' WHERE rowid = 3")
        with closing(open_ledger(place / "ledger")) as ledger:
            replayed, verified = replay(ledger, by="python")["differences"], verify(ledger)["broken"]
            with closing(Following(ledger, Folder(place / "views"))) as following:
                troubles = following.bring_up([Balances()]).troubles
    for told in (replayed, verified, troubles):
        assert "stored_events.state is no BLOB in 1 of its rows" in str(told)


@pytest.mark.parametrize("name", ["ledger.json", "book.toml"])
def test_a_flipped_bit_of_the_settings_is_found_by_opening(whole: Path, name: str) -> None:
    random = Random(7)
    content = (whole / name).read_bytes()
    with scratch() as place:
        shutil.copytree(whole, place / "ledger")
        for at in random.sample(range(len(content)), min(60, len(content))):
            changed = bytearray(content)
            changed[at] ^= 1 << random.randrange(8)
            (place / "ledger" / name).write_bytes(changed)
            assert found_by(place / "ledger") == OPENING, (at, bytes(changed[max(0, at - 20) : at + 20]))


def changes_to_a_database(server: Server, whole: str, seed: int, rows: int, share: float = 1) -> Report:
    """Change the schema of one partition and the ledger's own."""
    random, report = Random(seed), Report("PostgreSQL")
    schemas = ["points", "points_0", "points_1"]
    with psycopg.connect(whole, autocommit=True) as connection:
        store = of_schemas(connection, schemas)
        planned = list(spots(store, random, rows))
        fullest: dict[str, tuple[int, str]] = {}
        for table in store.tables:
            fullest[named(table)] = max(fullest.get(named(table), (0, table)), (store.rows(table), table))
    for spot in planned:
        if fullest[named(spot.table)][1] != spot.table or random.random() > share:
            continue
        address = copied(server, whole)
        try:
            with psycopg.connect(address, autocommit=True) as connection:
                is_changed = of_schemas(connection, schemas).change(spot, random)
            if is_changed:
                report.add(spot._replace(table=named(spot.table)), found_by(address))
        finally:
            server.drop(address)
    return report


def named(table: str) -> str:
    """A table of PostgreSQL by the name that it has in a folder."""
    schema, _, name = table.partition(".")
    if name.startswith("inbox") or name == "feeds":
        return f"inbox {name.removeprefix('inbox').removeprefix('_') or 'records'}"
    return name if schema != "points" else f"points.{name}"


def copied(server: Server, whole: str) -> str:
    """A database that is a copy of another."""
    address = server.database()
    server.drop(address)
    name, source = (psycopg.conninfo.conninfo_to_dict(one)["dbname"] for one in (address, whole))
    with psycopg.connect(server.address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
    return address


@pytest.fixture
def database(postgres: str, tmp_path: Path) -> str:
    """A ledger in PostgreSQL with every kind of row."""
    migrate(postgres, partitions=2)
    made(tmp_path, postgres)
    assert found_by(postgres) == NOBODY
    return postgres


def test_a_change_in_any_table_of_a_database_is_found(database: str, postgres_server: Server) -> None:
    report = changes_to_a_database(postgres_server, database, 2, 1, 0.3)
    print(report)
    report.check()


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(4))
def test_many_changes_in_every_table_of_a_database_are_found(database: str, postgres_server: Server, seed: int) -> None:
    report = changes_to_a_database(postgres_server, database, 200 + seed, 8)
    print(report)
    report.check()
