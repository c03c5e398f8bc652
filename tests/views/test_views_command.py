"""`points views` as people and programs use it, and a view of one's own."""

import csv
import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import EntryPoint
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ledger.journal.open import open_ledger
from projections.views import registry, runner
from projections.views.builtin import activity
from projections.views.files import Folder
from projections.views.view import View
from service.demo.online_retail import facts as real_facts
from tests.cli.test_cli import Ran, draw, fact, lines_of, order, points, shop, write
from tests.support.ledgers import ingested

__all__ = ["shop"]
ROOT = Path(__file__).parents[2]
OWN = ROOT / "examples" / "rule_spend.py"
MEMBER = "m-17850"


@pytest.fixture
def kept(shop: Path) -> Path:
    """A ledger of a few facts whose views were run."""
    facts = [
        order("O1"),
        fact("campaign.granted", "g", grant="G1", campaign="11.11", points=500, expires="2025-12-01T00:00:00+08:00"),
        draw("R1"),
        order("O2", member="m-2"),
    ]
    assert points("ingest", "--backlog", write(shop / "facts.ndjson", *facts)).code == 0
    assert points("views", "run").code == 0
    return shop


def show(*arguments: object) -> list[dict[str, Any]]:
    ran = points("views", "show", *arguments, "--json")
    assert ran.code == 0, ran.err
    rows: list[dict[str, Any]] = ran.json["rows"]
    return rows


def fails(ran: Ran, code: int, *said: str) -> None:
    assert ran.code == code, ran
    assert ran.err.count("\n") == 1 and ran.out == ""
    for text in said:
        assert text in ran.err


# -- reading -----------------------------------------------------------------------------------------------------------


def test_every_view_and_query_is_listed_and_can_be_shown_in_every_format(kept: Path) -> None:
    listed = points("views", "list", "--json").json
    assert {view["view"] for view in listed} == {view.name for view in (*registry.BUILT_IN, registry.FOR_SQL)}
    for view in listed:
        for reading in view["readings"]:
            at = () if view["view"] in ("books", "overview") else ("--as-of", "2025-11-20")  # the present alone
            rows = show(reading["name"], *at)
            table = points("views", "show", reading["name"], *at)
            assert table.code == 0 and table.out.startswith(reading["name"])
            as_csv = points("views", "show", reading["name"], *at, "--format", "csv")
            assert len(list(csv.DictReader(io.StringIO(as_csv.out)))) == len(rows)
            assert points("views", "show", reading["name"], "-o", "rows.ndjson", *at).code == 0
            assert lines_of(kept / "rows.ndjson") == rows


def test_a_query_is_written_to_a_file_in_the_format_of_its_ending(kept: Path) -> None:
    import pyarrow.parquet

    rows = show("lots", "--as-of", "2025-11-20")
    assert points("views", "show", "lots", "-o", "lots.parquet", "--as-of", "2025-11-20", "--json").json["rows"] == 3
    assert pyarrow.parquet.read_table("lots.parquet")["left"].to_pylist() == [row["left"] for row in rows]


def test_a_dormant_members_points_expire_without_an_entry(kept: Path) -> None:
    def liability(as_of: str) -> tuple[int, int]:
        row = show("liability", "--as-of", as_of)[0]
        return row["expired"], row["outstanding"]

    assert liability("2025-11-20") == (0, 80 + 480 + 80)
    assert liability("2025-12-01") == (480, 160)
    assert [row["closing"] for row in show("statement", "--as-of", "2025-12-02", "--member", MEMBER)] == [80]
    assert (
        show("campaigns", "--as-of", "2026-01-01")[0] | {"redeemed": 20, "expired": 480}
        == show("campaigns", "--as-of", "2026-01-01")[0]
    )


def test_what_expires_soon_is_a_feed_for_reminders(kept: Path) -> None:
    assert show("expiring", "--as-of", "2025-11-15", "--days", 10) == []
    rows = show("expiring", "--as-of", "2025-11-15", "--days", 16)
    assert [(row["member"], row["points"], row["days_left"]) for row in rows] == [(MEMBER, 480, 16)]
    assert rows[0]["expires_at"] == "2025-12-01T00:00:00+08:00"


def test_a_view_behind_the_ledger_says_so_and_one_member_is_read_by_her_last_entry(kept: Path) -> None:
    points("ingest", "--backlog", write(kept / "more.ndjson", draw("R2"), draw("R3")))
    ran = points("views", "show", "balances", "--json")
    assert "2 entries behind" in ran.err and ran.json["behind"] == 2
    rows = show("balances", "--as-of", "2025-11-20")
    behind = {row["member"]: row["spendable"] for row in rows if row["kind"] == "beans"}
    mine = show("balances", "--as-of", "2025-11-20", "--member", MEMBER)
    assert behind[MEMBER] == 560 and mine[0]["spendable"] == 520
    assert [build["behind"] for build in points("views", "status", "--json").json] == [2] * len(registry.BUILT_IN)
    assert points("views", "run", "--json").json["views"] == {view.name: 2 for view in registry.BUILT_IN}
    assert show("balances", "--as-of", "2025-11-20")[0]["spendable"] == 520


def test_a_close_adds_up_in_points_and_fen_and_says_whether_it_is_final(kept: Path) -> None:
    ran = points("views", "close", "2025-11", "--json")
    assert ran.code == 1 and ran.json["final"] is False and "may still change" in ran.err
    lines = {row["line"]: row["points"] for row in ran.json["rows"] if row["kind"] == "beans"}
    assert lines == {
        "opening": 0,
        "issued": 660,
        "redeemed": -20,
        "expired": -480,
        "clawed_back": 0,
        "forfeited": 0,
        "in_transit": 0,
        "closing": 160,
    }
    assert all(row["fen"] == row["points"] for row in ran.json["rows"])
    ledger = open_ledger(Path("points-ledger"))
    homes = {ledger.partition_of(f"m-{n}"): f"m-{n}" for n in range(99)}
    later = [order(f"L{m}", time="2026-01-05T00:00:00+08:00", member=m) for m in homes.values()]
    late = draw("R9", "2025-11-28T00:00:00+08:00")  # occurred in November, recorded in January
    points("ingest", "--backlog", write(kept / "later.ndjson", *later, late))
    points("views", "run")
    again = points("views", "close", "2025-11", "--json")
    assert again.code == 0 and again.json["final"] is True and again.json["rows"] == ran.json["rows"]
    rows = points("views", "close", "2026-01", "--json").json["rows"]
    january = {row["line"]: row for row in rows if row["kind"] == "beans"}
    moved = [(january[name]["points"], january[name]["of_earlier_months"]) for name in ("redeemed", "expired")]
    assert moved == [(-20, -20), (20, 20)]  # the draw took what November had booked as expired


# -- rebuilding --------------------------------------------------------------------------------------------------------


def test_a_rebuild_is_compared_and_switched_while_a_reader_goes_on(kept: Path) -> None:
    before = show("statement")
    reader = sqlite3.connect("file:points-ledger/views/statement.db?mode=ro", uri=True)
    open_rows = reader.execute("SELECT * FROM months")
    first = open_rows.fetchone()
    assert points("views", "rebuild", "statement", "--json").json["entries"] == 4
    assert points("views", "compare", "statement").code == 0
    assert points("views", "switch", "statement").code == 0
    live = [b["file"] for b in points("views", "status", "--json").json if b["view"] == "statement" and b["is_live"]]
    assert live == ["statement-v4-2.db"]
    points("views", "rebuild", "statement")
    assert not Path("points-ledger/views/statement-v2.db").exists()
    assert first is not None and len(open_rows.fetchall()) == 1  # of a file that is gone
    assert show("statement") == before


def test_a_row_that_was_changed_is_named_by_the_comparison(kept: Path) -> None:
    points("views", "rebuild", "liability")
    file = sqlite3.connect("points-ledger/views/liability.db")
    file.execute("UPDATE movements SET issued = issued + 1 WHERE redeemed = 20")
    file.commit()
    ran = points("views", "compare", "liability", "--json")
    assert ran.code == 1 and ran.json["difference_count"] == 1
    difference = ran.json["differences"][0]
    assert difference["table"] == "movements" and difference["kept"][0] == difference["rebuilt"][0] + 1


def test_a_view_of_another_version_is_not_followed_but_rebuilt_beside(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = show("activity")
    live = activity.Activity.version
    monkeypatch.setattr(activity.Activity, "version", live + 1)
    fails(points("views", "run", "activity"), 4, f"live: version {live}, here: {live + 1}", "points views rebuild")
    assert show("activity") == before, "the same tables are read all the same"
    assert points("views", "rebuild", "activity", "--json").json["version"] == live + 1
    assert points("views", "compare", "activity").code == 0
    assert points("views", "switch", "activity", "--json").json["version"] == live + 1
    assert points("views", "run", "activity").code == 0


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_what_is_asked_for_wrongly_is_told_plainly(kept: Path) -> None:
    fails(points("views", "show", "nothing"), 2, 'no query "nothing"', "balances")
    fails(points("views", "run", "nothing"), 2, 'no view "nothing"')
    fails(points("views", "show", "balances", "--days", 3), 2, "--days is not for balances")
    fails(points("views", "show", "liability", "--member", MEMBER), 2, "all members together")
    fails(points("views", "show", "statement", "--month", "2025-13"), 2, "2025-13")
    fails(points("views", "close", "soon"), 2, "give it as 2025-11")
    fails(points("views", "show", "lots", "--format", "parquet"), 2, "-o FILE")
    fails(points("views", "show", "balances", "--member", "nobody"), 3, 'no entry of a member "nobody"')
    fails(points("views", "compare", "balances"), 3, "points views rebuild balances")
    fails(points("views", "switch", "balances"), 3, "no build beside the live one")
    fails(points("views", "show", "balances", "--folder", kept / "elsewhere"), 4, "points views run")
    Path("points-ledger/views/balances-v2.db").write_bytes(b"no database")
    fails(points("views", "show", "balances"), 3, "a view is disposable")


def test_a_view_of_other_entries_than_the_ledgers_is_refused(kept: Path) -> None:
    shutil.copytree("points-ledger", "older")
    points("ingest", "--backlog", write(kept / "more.ndjson", draw("R2")))
    points("views", "run")
    Path("beside").mkdir()
    shutil.move("points-ledger/views", "beside/views")
    restored = ("--ledger", "older", "--folder", "beside")
    fails(points("views", "show", "balances", *restored), 3, "another entry", "restored from an older copy")
    shutil.copytree("beside", "anew")
    made_anew = ("balances", "--ledger", "older", "--folder", "anew")
    for step in ("rebuild", "switch", "run", "show"):
        points("views", step, *made_anew)
    points("ingest", "--backlog", write(kept / "other.ndjson", draw("R3")), "--ledger", "older")
    fails(points("views", "run", *restored), 3, "another entry")
    fails(points("views", "show", "balances", *restored), 3, "another entry")
    assert points("views", "run", *made_anew, "--json").json["views"]["balances"] > 0


def test_one_view_that_is_refused_stops_no_other_and_the_status_says_why(kept: Path) -> None:
    points("views", "run")
    Path("points-ledger/views/balances-v2.db").write_bytes(b"no database")
    with closing(sqlite3.connect("points-ledger/views/activity.db")) as build, build:
        build.execute("UPDATE chain SET link = x'00'")
    points("ingest", "--backlog", write(kept / "more.ndjson", draw("R2")))
    ran = points("views", "run", "--json")
    assert ran.code == 3 and "a view is disposable" in ran.err and "another entry" in ran.err
    done = ran.json["views"]
    assert {"balances", "activity"}.isdisjoint(done) and done["liability"] == done["scores"] == 1
    builds = {build["view"]: build for build in points("views", "status", "--json").json}
    assert "a view is disposable" in builds["balances"]["problem"] and "another entry" in builds["activity"]["problem"]
    assert builds["liability"]["behind"] == 0 and "problem" not in builds["liability"]
    assert "another entry" in points("views", "status").out
    wrong = OWN.read_text(encoding="utf-8").replace(
        "            month = month_at", "            month = {}[1] or month_at"
    )
    (kept / "own.py").write_text(wrong, encoding="utf-8")
    points("ingest", "--backlog", write(kept / "third.ndjson", draw("R3")))
    ran = points("views", "run", "scores", "rule-spend", "--views", kept / "own.py", "--json")
    assert (ran.code, ran.json["views"]) == (4, {"scores": 1}) and "rule-spend: KeyError: 1" in ran.err


# -- views of one's own ------------------------------------------------------------------------------------------------


def test_a_view_of_ones_own_is_run_shown_and_rebuilt_like_any_other(kept: Path) -> None:
    own = ("--views", OWN)
    assert points("views", "run", *own, "--json").json["views"]["rule-spend"] == 4
    rows = show("rule-spend", *own, "--as-of", "2025-12-01")
    assert [tuple(row.values()) for row in rows] == [
        ("campaign", "beans", "2025-11", 500, 1),
        ("purchase.beans", "beans", "2025-11", 160, 2),
    ]
    assert points("views", "rebuild", "rule-spend", *own).code == 0
    assert points("views", "compare", "rule-spend", *own).code == 0


def test_an_installed_package_brings_views_by_an_entry_point(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(OWN, kept / "shop_views.py")
    monkeypatch.syspath_prepend(str(kept))
    point = EntryPoint("rule-spend", "shop_views:RuleSpend", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.GROUP else [])
    assert "rule-spend" in {view["view"] for view in points("views", "list", "--json").json}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("VIEWS = ()", "no VIEWS"),
        ("VIEWS = (int,)", "no subclass"),
        ("import nothing_of_that_name", "nothing_of_that_name"),
        ("from projections.views.builtin.activity import Activity\nVIEWS = (Activity,)", "a view activity already"),
        (OWN.read_text(encoding="utf-8").replace('"rule-spend"', '"Rule Spend"'), "no name of a view"),
        (OWN.read_text(encoding="utf-8").replace('SumTable("given"', 'SumTable("members"'), "is taken"),
        (OWN.read_text(encoding="utf-8").replace('Query("rule-spend"', 'Query("balances"'), "a query balances"),
    ],
)
def test_a_view_that_cannot_be_used_is_named_with_what_is_wrong(kept: Path, text: str, said: str) -> None:
    (kept / "own.py").write_text(text, encoding="utf-8")
    fails(points("views", "list", "--views", kept / "own.py"), 3, said)


def test_a_view_whose_tables_changed_without_a_new_version_is_refused(kept: Path) -> None:
    (kept / "own.py").write_text(OWN.read_text(encoding="utf-8"), encoding="utf-8")
    assert points("views", "run", "rule-spend", "--views", kept / "own.py").code == 0
    changed = OWN.read_text(encoding="utf-8").replace('"awards")', '"awards_given")')
    (kept / "own.py").write_text(changed, encoding="utf-8")
    fails(points("views", "run", "rule-spend", "--views", kept / "own.py"), 3, "raise its version")


def test_a_version_with_other_tables_is_built_beside_and_switched_to(kept: Path) -> None:
    own = ("--views", kept / "own.py")
    (kept / "own.py").write_text(OWN.read_text(encoding="utf-8"), encoding="utf-8")
    assert points("views", "run", *own).code == 0
    changed = (
        OWN.read_text(encoding="utf-8").replace('"awards")', '"awards_given")').replace("version = 1", "version = 2")
    )
    (kept / "own.py").write_text(changed, encoding="utf-8")
    fails(points("views", "run", "rule-spend", *own), 4, "live: version 1, here: 2")
    fails(points("views", "show", "rule-spend", *own), 3, "points views rebuild rule-spend")
    assert points("views", "rebuild", "rule-spend", *own).code == 0
    fails(points("views", "compare", "rule-spend", *own), 3, "with other tables")
    assert points("views", "switch", "rule-spend", *own).code == 0
    assert len(show("rule-spend", *own, "--as-of", "2025-12-01")) == 2


# -- running ---------------------------------------------------------------------------------------------------------


def test_views_of_a_ledger_without_an_entry_are_empty(shop: Path) -> None:
    points("ingest", write(shop / "nothing.ndjson", b"{"))
    assert set(points("views", "run", "--json").json["views"].values()) == {0}
    for name in ("balances", "statement", "outstanding", "activity", "campaigns"):
        assert show(name) == []
    assert {row["outstanding"] for row in show("liability")} == {0}
    points("ingest", "--backlog", write(shop / "facts.ndjson", order("O1")))
    assert set(points("views", "run", "--json").json["views"].values()) == {1}
    assert show("liability", "--as-of", "2025-11-20")[0]["issued"] == 80


def test_follow_goes_on_with_what_comes_in_and_behind_a_split_until_it_is_stopped(kept: Path) -> None:
    command = [sys.executable, "-m", "service.cli", "views", "run", "balances", "--follow"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().split() == ["balances", "0", "entries", "folded"]
            points("ingest", "--backlog", write(kept / "more.ndjson", draw("R2"), draw("R3")))
            assert process.stdout.readline().split() == ["balances", "2", "entries", "folded"]
            assert points("split", "--times", 2).code == 0
            points("ingest", "--backlog", write(kept / "behind.ndjson", draw("R4"), draw("R5")))
            assert process.stdout.readline().split() == ["balances", "2", "entries", "folded"]
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(100) == 130


# -- a real year -------------------------------------------------------------------------------------------------------


def test_views_of_a_real_shops_year_built_in_processes_agree_with_its_books(tmp_path: Path) -> None:
    ledger = ingested(tmp_path, islice(real_facts(), 4_000))
    folder = Folder(tmp_path / "views")
    views: list[View] = [view for view in registry.BUILT_IN if view.name in ("liability", "scores")]
    one = Folder(tmp_path / "one")
    runner.run(ledger, one, views)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("projections.views.rebuild.WORTH_PROCESSES", 0)
        runner.run(ledger, folder, views, jobs=2)
    ledger.close()
    for view in views:
        rows = [
            list(sqlite3.connect(place.path / f"{view.name}.db").execute(f"SELECT * FROM {table}"))
            for place in (one, folder)
            for table in (*(t.name for t in view.tables), "members")
        ]
        half = len(rows) // 2
        assert rows[:half] == rows[half:] and rows[0]
