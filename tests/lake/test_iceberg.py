"""The tables of a lake hold what the ledger says, each row once, whatever killed the publication; others read them."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.utils.config import Config
from pyspark.sql import SparkSession

from ledger.errors import CannotRunNow
from ledger.journal.open import open_ledger
from service.archive import iceberg
from service.archive.ledger import ArchivedLedger
from tests.journal.test_archive import ROOT, Shelf
from tests.journal.test_archive_grows import FACTS, THIRD, feed

pytestmark = [pytest.mark.lake, pytest.mark.timeout(900)]  # Java starts slowly on a busy machine
TABLES = ("entries", "postings", "balances_by_month")


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A catalog in a file, by the settings that PyIceberg reads."""
    (tmp_path / "warehouse").mkdir()
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", f"sqlite:///{tmp_path}/catalog.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__WAREHOUSE", f"file://{tmp_path}/warehouse")
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())  # it is read once, when it is imported
    return load_catalog("lake")


def rows(catalog: Any, table: str) -> list[tuple[Any, ...]]:
    return sorted(asked(catalog, table, "SELECT * FROM found"), key=str)


def asked(catalog: Any, table: str, question: str) -> list[tuple[Any, ...]]:
    """What DuckDB answers over a table, which it calls `found`."""
    found = catalog.load_table(f"points.{table}").scan().to_arrow_batch_reader()
    return duckdb.from_arrow(found).query("found", question).fetchall()


def publish(shelf: Shelf, **options: Any) -> Any:
    words = ["archive", "publish", shelf.archive, "--catalog", "lake", "--json"]
    return json.loads(shelf.points(*words, ledger=shelf.folder / "none", **options).out)["appended"]


def test_the_tables_say_what_the_ledger_says(made: Shelf, catalog: Any) -> None:
    appended = publish(made)
    stats = made.points("stats", "--json").json
    entries = rows(catalog, "entries")
    archive = f"'{made.archive}/entries/*/*.parquet'"
    assert entries == sorted(duckdb.sql(f"SELECT * FROM {archive}").fetchall(), key=str)
    assert len(entries) == appended["entries"]
    exported = made.folder / "postings.csv"
    made.points("export", "postings", "-o", exported)
    booked = f"SELECT member, entry, kind, source, destination, points FROM '{exported}' WHERE entry IS NOT NULL"
    ours = asked(catalog, "postings", "SELECT member, entry, kind, source, destination, points FROM found")
    assert sorted(ours) == sorted(duckdb.sql(booked).fetchall()) and len(ours) > 50
    grown = "SELECT kind, account, sum(points)::BIGINT FROM found GROUP BY ALL"
    sums = asked(catalog, "balances_by_month", grown)
    for kind, of in stats["points"].items():
        booked = {account: points for name, account, points in sums if name == kind}
        assert booked.get("issued", 0) == of["issued"]
        assert booked.get("redeemed", 0) == of["redeemed"]
        assert booked.get("clawed_back", 0) == of["clawed_back"]


def test_published_again_the_tables_get_what_is_new_and_each_row_once(shelf: Shelf, catalog: Any) -> None:
    assert all(publish(shelf).values())
    assert publish(shelf) == dict.fromkeys(TABLES, 0)
    feed(shelf, FACTS[2 * THIRD :], "third")
    shelf.points("archive", "export", shelf.archive)
    assert all(publish(shelf).values())
    once = [rows(catalog, table) for table in TABLES]
    for table in TABLES:
        catalog.drop_table(f"points.{table}")
    publish(shelf)
    assert [rows(catalog, table) for table in TABLES[:2]] == once[:2]
    places = [row[:2] for row in once[0]]
    assert len(places) == len(set(places))


def test_each_row_stands_once_where_the_ledger_was_split_since(shelf: Shelf, catalog: Any) -> None:
    publish(shelf)
    feed(shelf, FACTS[2 * THIRD : -30], "third")  # of members who leave before it is published
    shelf.points("split", "--times", 2)
    feed(shelf, FACTS[-30:], "last")
    shelf.points("archive", "export", shelf.archive)
    assert all(publish(shelf).values())
    entries = rows(catalog, "entries")
    with closing(open_ledger(shelf.ledger)) as ledger:
        assert len(entries) == len({row[:2] for row in entries}) == ledger.count()
    shelf.points("export", "postings", "-o", shelf.folder / "postings.csv")
    columns = "member, entry, kind, source, destination, points"
    booked = duckdb.sql(f"SELECT {columns} FROM '{shelf.folder / 'postings.csv'}' WHERE entry IS NOT NULL").fetchall()
    assert sorted(asked(catalog, "postings", f"SELECT {columns} FROM found")) == sorted(booked)


@pytest.mark.parametrize("failpoint", ["iceberg-append:2", "iceberg-appended:2", "iceberg-append:7"])
def test_a_publication_that_is_killed_leaves_nothing_out_and_appends_nothing_twice(
    shelf: Shelf, catalog: Any, failpoint: str
) -> None:
    command = [sys.executable, "-m", "service.cli", "archive", "publish", str(shelf.archive), "--catalog", "lake"]
    environment = {**os.environ, "POINTS_FAILPOINT": failpoint}
    assert subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=120).returncode == -9
    publish(shelf)
    killed = [rows(catalog, table) for table in TABLES]
    for table in TABLES:
        catalog.drop_table(f"points.{table}")
    publish(shelf)
    assert [rows(catalog, table) for table in TABLES] == killed


def test_of_two_publications_at_once_one_appends(shelf: Shelf, catalog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = ArchivedLedger.at(str(shelf.archive))
    real, done = iceberg.failpoint, []

    def other(name: str) -> None:
        real(name)
        if not done:
            done.append(name)
            publish(shelf)

    monkeypatch.setattr(iceberg, "failpoint", other)
    with pytest.raises(CannotRunNow, match="another publication"):
        iceberg.publish(archive, "lake", "points")
    archive.close()
    assert publish(shelf) == dict.fromkeys(TABLES, 0)


def test_entries_of_a_ledger_that_was_restored_since_are_not_mixed_in(shelf: Shelf, catalog: Any) -> None:
    earlier, other = shelf.folder / "earlier", Shelf(shelf.folder / "other")
    shelf.points("backup", earlier)
    shelf.points("restore", earlier, ledger=other.ledger)
    feed(shelf, FACTS[2 * THIRD :], "third")
    shelf.points("archive", "export", shelf.archive)
    publish(shelf)
    before = rows(catalog, "entries")
    other.points("archive", "export", other.archive)
    assert "has other entries" in refused(other)
    feed(other, list(reversed(FACTS[2 * THIRD :])), "other")
    feed(other, [{**fact, "id": f"{fact['id']} again"} for fact in FACTS[2 * THIRD :]], "more")
    other.points("archive", "export", other.archive)
    assert "has other entries" in refused(other)
    assert rows(catalog, "entries") == before
    again = Shelf(shelf.folder / "again")  # the same entries in other files
    feed(shelf, [{**fact, "id": f"{fact['id']} again"} for fact in FACTS[2 * THIRD :]], "more")
    shelf.points("archive", "export", again.archive)
    assert publish(again)["entries"] > 0


def refused(shelf: Shelf) -> str:
    words = ["archive", "publish", shelf.archive, "--catalog", "lake"]
    return shelf.points(*words, ledger=shelf.folder / "none", code=3).err


def test_what_does_not_fit_is_refused(shelf: Shelf, catalog: Any) -> None:
    publish(shelf)
    other = Shelf(shelf.folder)
    other.ledger, other.archive = shelf.folder / "other", shelf.folder / "other.archive"
    feed(other, FACTS[:9], "few")
    other.points("archive", "export", other.archive)
    ran = other.points("archive", "publish", other.archive, "--catalog", "lake", code=3)
    assert "give another --namespace" in ran.err
    assert "--catalog" in shelf.points("archive", "publish", shelf.archive, "--catalog", "nowhere", code=2).err


def test_spark_reads_the_tables(made: Shelf, spark: SparkSession, catalog: Any) -> None:
    appended = publish(made)
    for table in TABLES:
        where = catalog.load_table(f"points.{table}").metadata_location
        assert spark.read.format("iceberg").load(where).count() == appended[table]
