"""The contract of view stores over files and over PostgreSQL, and what others read there by SQL."""

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from ledger.journal.ledger import Ledger
from ledger.journal.port import Damaged, JournalError
from ledger.wire.entry_codec import decode_entry
from ledger.wire.times import DAY
from projections.answers import tables
from projections.views import rebuild, runner
from projections.views.builtin.statement import Statement
from projections.views.files import Folder
from projections.views.port import ViewStore
from projections.views.postgres import Tables
from projections.views.published import TABLES
from projections.views.registry import FOR_SQL
from projections.views.snapshot import snapshot
from projections.views.view import Options
from tests.cli.test_cli import points
from tests.support.ledgers import SmallLedger, histories_of
from tests.support.view_store_contract import ViewStoreContract
from tests.views.test_views_command import fails

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "views.md").read_text(encoding="utf-8")
LOTS = "SELECT member, kind, rule, earned, points, is_pending FROM points.lots"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallLedger]:
    small = SmallLedger(tmp_path_factory.mktemp("ledger") / "ledger")
    small.hears(histories_of(Random(5), 4, 60))
    small.decides()
    yield small
    small.close()


class TestFiles(ViewStoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        return tmp_path

    def open(self, place: Path) -> ViewStore:
        return Folder(place)


class TestPostgres(ViewStoreContract):
    @pytest.fixture
    def place(self, postgres: str) -> Iterator[str]:
        self.stores: list[Tables] = []
        yield postgres
        for store in self.stores:
            store.close()

    def open(self, place: str) -> Tables:
        self.stores.append(Tables(place))
        return self.stores[-1]

    def test_what_is_published_is_what_the_exports_say(
        self, place: str, ledger: SmallLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, opened = self.open(place), ledger.ledger
        it_is(last_clock(opened) + 40 * DAY, monkeypatch)
        runner.run(opened, store, [FOR_SQL])
        with psycopg.connect(place) as database:
            as_of = counted_at(database)
            assert database.execute("SELECT partition::int, entries FROM points.standing ORDER BY 1").fetchall() == [
                (partition, head) for partition, head in sorted(opened.heads().items()) if head
            ]
            assert sql(database, "SELECT member, kind, spendable, pending, held, debt FROM points.balances") == [
                row for row in exported(opened, "balances", as_of) if any(row[2:])
            ]
            lots = [(row[0], row[1], row[3], row[4], row[5], row[8]) for row in exported(opened, "lots", as_of)]
            assert sql(database, LOTS) == sorted(lots)
            scores = [row[:4] for row in exported(opened, "scores", as_of)]
            assert sql(database, "SELECT member, score, value, coalesce(tier, '') FROM points.scores") == sorted(
                (member, score, value, tier or "") for member, score, value, tier in scores
            )
            terms = [row[:4] for row in exported(opened, "memberships", as_of)]
            assert sql(database, "SELECT member, membership, state, product FROM points.memberships") == sorted(terms)
            files = Folder(tmp_path)
            runner.run(opened, files, [Statement()])
            with snapshot(opened, files, Statement(), as_of) as taken:
                kept = [row[:-3] for row in Statement.queries[0].rows(taken, Options()).rows]
            names = "member, kind, month, opening, earned, spent, given_back, expired, clawed_back, closing, debt"
            assert sql(database, f"SELECT {names} FROM points.statement") == sorted(kept)
            last = (
                "SELECT DISTINCT ON (kind) kind, outstanding FROM points.liability_by_month ORDER BY kind, month DESC"
            )
            owed = "SELECT kind, sum(spendable + pending + held)::bigint FROM points.balances GROUP BY kind"
            balances = dict(sql(database, owed))
            assert {kind: points for kind, points in sql(database, last) if points} == {
                kind: points for kind, points in balances.items() if points
            }

    def test_each_published_column_is_explained_and_a_switch_keeps_what_others_built_on_it(
        self, place: str, ledger: SmallLedger
    ) -> None:
        store = self.open(place)
        runner.run(ledger.ledger, store, [FOR_SQL])
        with psycopg.connect(place, autocommit=True) as database:
            comments = "SELECT count(*) FROM pg_description WHERE objoid = %s::regclass AND objsubid > 0"
            for table in TABLES:
                ((count,),) = database.execute(comments, (f"points.{table.name}",)).fetchall()
                assert count == len(table.columns)
            database.execute("CREATE VIEW rich AS SELECT member FROM points.balances WHERE spendable > 0")
            before = sql(database, "SELECT * FROM rich")
            rebuilt = runner.rebuild(ledger.ledger, store, FOR_SQL)
            store.switch(FOR_SQL, rebuilt)
            store.drop_old(FOR_SQL.name)
            assert sql(database, "SELECT * FROM rich") == before != []

    def test_a_build_that_was_dropped_is_made_again_and_what_is_of_others_is_left(
        self, place: str, ledger: SmallLedger
    ) -> None:
        store = self.open(place)
        with psycopg.connect(place, autocommit=True) as database:
            database.execute("CREATE SCHEMA points; CREATE TABLE points.balances (theirs integer)")
            with pytest.raises(JournalError, match="something else has the name") as said:
                runner.run(ledger.ledger, store, [FOR_SQL])
            assert not isinstance(said.value, Damaged), "the ledger is well"
            database.execute("ALTER TABLE points.balances RENAME TO theirs")
            runner.run(ledger.ledger, store, [FOR_SQL])
            before = sql(database, "SELECT member, kind, spendable FROM points.balances")
            (live,) = store.builds(FOR_SQL.name)
            database.execute(f"DROP SCHEMA {live.place} CASCADE")
            assert store.builds(FOR_SQL.name) == [] and store.live(FOR_SQL.name) is None
            runner.run(ledger.ledger, store, [FOR_SQL])
            assert sql(database, "SELECT member, kind, spendable FROM points.balances") == before != []

    def test_the_sql_of_the_page_runs_as_it_stands_there(
        self, place: str, ledger: SmallLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        it_is(last_clock(ledger.ledger), monkeypatch)
        runner.run(ledger.ledger, self.open(place), [FOR_SQL])
        section = PAGE.partition("## Tables for SQL")[2].partition("\n## ")[0]
        *questions, audit = re.findall(r"```sql\n(.*?)```", section, re.S)
        with psycopg.connect(place) as database:
            for query in questions:
                assert sql(database, query), query
            assert sql(database, audit) == []
        (program,) = re.findall(r"```python\n(.*?)```", section, re.S)
        found: dict[str, Any] = {"address": place}
        exec(program, found)
        assert found["closing"].notna().any().any()

    def test_a_ledger_whose_settings_say_so_keeps_its_views_there(
        self, place: str, ledger: SmallLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("POINTS_VIEWS_STORE", place)
        monkeypatch.setenv("POINTS_LEDGER", ledger.ledger.place)
        folded = points("views", "run", "balances", "present", "--json").json["views"]
        assert set(folded) == {"balances", "present"} and min(folded.values()) > 0
        assert points("views", "rebuild", "balances").code == 0
        assert points("views", "compare", "balances", "--json").json["live"]["file"] == "balances-v2"
        assert "balances-v2-2 is live" in points("views", "switch", "balances").out
        assert points("views", "show", "balances", "--format", "csv").out.count("\n") > 4
        states = {row["file"]: row["state"] for row in points("views", "status", "--json").json if "file" in row}
        assert states == {"balances-v2": "whole", "balances-v2-2": "whole", "present-v2": "whole"}
        checks = {row["check"]: row for row in points("doctor", "--json").json["checks"]}
        assert "schema points" in checks["views"]["says"] and checks["views"]["state"] == "good"
        monkeypatch.setenv("POINTS_VIEWS_STORE", "ledger")
        fails(points("views", "status"), 2, "the ledger is in a folder")


def test_the_page_names_each_published_table_with_its_columns() -> None:
    for table in TABLES:
        columns = ", ".join(f"`{column.name}`" for column in table.columns)
        assert f"| `{table.name}` | {table.about} | {columns} |" in PAGE


def last_clock(ledger: Ledger) -> int:
    return max(decode_entry(row.state).clock for p in ledger.partitions for row in ledger.journal(p).scan())


def it_is(instant: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (runner, rebuild):
        monkeypatch.setattr(module, "present", lambda: instant)


def sql(database: "psycopg.Connection[tuple[object, ...]]", query: str) -> list[tuple[object, ...]]:
    return sorted(database.execute(query.encode()).fetchall())  # type: ignore[type-var]


def exported(ledger: Ledger, name: str, as_of: int) -> list[tuple[object, ...]]:
    return list(tables.TABLES[name](ledger, as_of, None).rows)


def counted_at(database: "psycopg.Connection[tuple[object, ...]]") -> int:
    query = "SELECT (extract(epoch FROM max(as_of)) * 1000000)::bigint FROM points.standing"
    ((instant,),) = database.execute(query).fetchall()
    assert isinstance(instant, int)
    return instant
