"""The command line as people and programs use it: exit codes, JSON, and what is said when something is wrong."""

import base64
import gzip
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard
from msgspec import structs

from ledger.journal.open import open_ledger
from ledger.journal.port import Unavailable
from ledger.journal.sqlite import SQLiteJournal
from ledger.wire.entry_codec import decode_entry, encode_entry
from service.cli import run
from tests.support.ledgers import scratch

MEMBER = "m-17850"
HERE = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in; the ledger is its `points-ledger`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POINTS_LEDGER", raising=False)
    monkeypatch.delenv("POINTS_DEBUG", raising=False)
    return tmp_path


def points(*arguments: object) -> Ran:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
        out.flush()
    ran = Ran(code, out.buffer.getvalue().decode(), err.getvalue())
    assert "Traceback" not in ran.err
    return ran


def in_a_process(*arguments: object, before: Sequence[str] = (), **options: Any) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-m", "service.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, **{"text": True, "env": HERE, **options})


def fact(kind: str, name: str, time: str = "2025-11-11T00:03:12+08:00", member: str = MEMBER, **data: Any) -> bytes:
    whole = {"specversion": "1.0", "id": name, "source": "/shop", "type": f"{kind}.v1", "subject": member, "time": time}
    return json.dumps({**whole, "data": data}, ensure_ascii=False).encode()


def order(name: str, paid_fen: int = 80_000, time: str = "2025-11-11T00:03:12+08:00", member: str = MEMBER) -> bytes:
    lines = [{"line": "1", "sku": "100012", "category": "phone", "quantity": 1, "paid_fen": paid_fen}]
    return fact("order.completed", f"{name}-done", time, member, order=name, lines=lines)


def draw(name: str, time: str = "2025-11-12T00:00:00+08:00", member: str = MEMBER) -> bytes:
    return fact("redemption.requested", name, time, member, redemption=name, points=20, use="draw")


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


# -- facts in ----------------------------------------------------------------------------------------------------------


def test_a_file_is_taken_in_and_the_summary_counts_every_line(shop: Path) -> None:
    facts = write(shop / "facts.ndjson", order("O1"), draw("R1"), draw("R1"), draw("R2", member="m-2"), b"{", b"", b" ")
    ran = points("ingest", facts, "--backlog", "--json")
    assert ran.code == 0
    found = ran.json
    assert found.pop("seconds") >= 0
    assert [parked.pop("detail") != "" for parked in found["parked_facts"]] == [True]
    assert found == {
        "facts": 5,
        "entries": 4,
        "accepted": 2,
        "refused": 1,
        "ignored": 1,
        "skipped": 0,
        "parked": 1,
        "parked_facts": [{"position": "0:3", "reason": "not-json"}],
    }
    assert "dead letter 0:3: not-json" in ran.err


def test_standard_input_that_is_closed_is_bad_input(shop: Path) -> None:
    for command in ("ingest", "check"):
        ran = in_a_process(command, "-", before=["sh", "-c", '"$0" "$@" <&-'])
        assert (ran.returncode, "standard input (-) is closed" in ran.stderr) == (3, True), ran.stderr
    assert list(shop.iterdir()) == []
    points("ingest", write(shop / "facts.ndjson", order("O1")))
    ran = in_a_process("quote", MEMBER, "-", before=["sh", "-c", '"$0" "$@" <&-'])
    assert (ran.returncode, "standard input (-) is closed" in ran.stderr) == (3, True), ran.stderr


def test_the_same_file_again_is_skipped_and_what_was_added_to_it_is_decided(shop: Path) -> None:
    facts = write(shop / "facts.ndjson", order("O1"), order("O2"))
    points("ingest", facts, "--backlog")
    again = points("ingest", facts, "--backlog", "--json").json
    assert (again["facts"], again["skipped"], again["entries"]) == (2, 2, 0)
    with facts.open("ab") as file:
        file.write(order("O3") + b"\n")
    more = points("ingest", facts, "--backlog", "--json").json
    assert (more["facts"], more["skipped"], more["accepted"]) == (3, 2, 1)


def test_the_same_facts_in_another_file_are_duplicates(shop: Path) -> None:
    points("ingest", write(shop / "one.ndjson", order("O1"), order("O2")), "--backlog")
    found = points("ingest", write(shop / "two.ndjson", order("O2"), order("O1")), "--backlog", "--json").json
    assert (found["entries"], found["ignored"], found["skipped"]) == (2, 2, 0)
    reasons = [entry["reason"] for entry in points("entries", MEMBER, "--json").json]
    assert reasons == ["", "", "duplicate", "duplicate"]


def test_compressed_files_and_standard_input_are_read(shop: Path) -> None:
    (shop / "a.ndjson.gz").write_bytes(gzip.compress(order("O1") + b"\n"))
    (shop / "b.ndjson.zst").write_bytes(zstandard.compress(order("O2") + b"\n"))
    assert points("ingest", shop / "a.ndjson.gz", shop / "b.ndjson.zst", "--backlog", "--json").json["accepted"] == 2
    ran = in_a_process("ingest", "-", "--backlog", "--json", input=order("O3").decode())
    assert json.loads(ran.stdout)["accepted"] == 1


def test_workers_decide_what_one_process_would_have_decided(shop: Path) -> None:
    facts = write(shop / "f.ndjson", *(order(f"O{i}", member=f"m-{i % 7}") for i in range(200)))
    assert in_a_process("ingest", facts, "--backlog", "--jobs", 2, "--ledger", shop / "two").returncode == 0
    assert points("ingest", facts, "--backlog", "--jobs", 1, "--ledger", shop / "one").code == 0
    both = [points("export", "entries", "--ledger", shop / name, "--format", "csv").out for name in ("one", "two")]
    assert both[0] == both[1]
    assert both[0].count("\n") == 201


# -- outcomes ----------------------------------------------------------------------------------------------------------


def test_outcomes_stand_in_the_order_of_the_file_whatever_their_partition(shop: Path) -> None:
    facts = [order(f"O{i}", member=f"m-{i}") for i in range(30)]
    facts.insert(7, b"nonsense")
    facts.insert(20, fact("order.paid", "bad", order="O"))
    points("ingest", write(shop / "facts.ndjson", *facts), "--backlog", "--outcomes", shop / "outcomes.ndjson")
    told = lines_of(shop / "outcomes.ndjson")
    assert [line.get("id", line["reason"]) for line in told] == [
        json.loads(line)["id"]
        if line != b"nonsense" and b'"bad"' not in line
        else "not-json"
        if line[:1] == b"n"
        else "bad-fact"
        for line in facts
    ]
    assert told[7]["outcome"] == "parked" and told[7]["detail"]
    assert told[0]["member"] == "m-0" and told[0]["outcome"] == "accepted" and told[0]["changes"]


def test_outcomes_of_a_file_tell_what_an_earlier_run_decided_and_nothing_of_other_files(shop: Path) -> None:
    one = write(shop / "one.ndjson", *(order(f"O{i}", member=f"m-{i}") for i in range(10)))
    points("ingest", one, "--backlog")
    points("ingest", write(shop / "two.ndjson", order("X1", member="m-1"), b"{"), "--backlog")
    with one.open("ab") as file:
        file.write(order("O10", member="m-10") + b"\n")
    points("ingest", one, "--backlog", "--outcomes", shop / "outcomes.ndjson")
    assert [line["id"] for line in lines_of(shop / "outcomes.ndjson")] == [f"O{i}-done" for i in range(11)]


def test_a_published_book_is_one_fact_and_one_outcome(shop: Path) -> None:
    toml = (Path(__file__).parents[2] / "ledger/programmes/jd.toml").read_text(encoding="utf-8")
    toml = toml.replace("from = 2017-09-14\nutc", "from = 2026-02-01\nutc")
    book = json.loads(fact("programme.published", "v2", "2025-12-01T00:00:00+08:00", "programme", toml=toml))
    published = json.dumps({**book, "source": "/operators"}).encode()
    facts = write(shop / "facts.ndjson", order("O1"), published, order("O2"))
    found = points("ingest", facts, "--backlog", "--json", "--outcomes", shop / "outcomes.ndjson").json
    assert (found["facts"], found["entries"], found["accepted"]) == (3, 3, 3)
    assert [line["id"] for line in lines_of(shop / "outcomes.ndjson")] == ["O1-done", "v2", "O2-done"]
    assert sum(points("stats", "--json").json["entries"].values()) == 3


# -- one member --------------------------------------------------------------------------------------------------------


def test_show_has_the_shape_of_the_contract(shop: Path) -> None:
    trial = fact("card.trial-started", "T1", "2025-11-10T00:00:00+08:00", card="T1", product="plus.trial")
    points("ingest", write(shop / "facts.ndjson", trial, order("O1")), "--backlog")
    found = points("show", MEMBER, "--as-of", "2025-12-01", "--json").json
    assert found["member"] == MEMBER and found["entries"] == 2 and found["frozen"] is False
    assert found["as_of"] == "2025-12-01T00:00:00+08:00"
    lot = {
        "entry": 2,
        "rule": "purchase.plus",
        "earned": 800,
        "left": 800,
        "earned_at": "2025-11-11T00:03:12+08:00",
        "expires_at": "2027-01-01T00:00:00+08:00",
        "pending": True,
        "pending_until": "2026-01-09T00:00:00+08:00",
    }
    assert found["points"] == {
        "beans": {"spendable": 0, "pending": 800, "held": 0, "debt": 0, "lots": [lot]},
        "brand-points": {"spendable": 0, "pending": 0, "held": 0, "debt": 0, "lots": []},
    }
    assert found["scores"]["jd-value"] == {
        "value": 810,
        "tier": "201",
        "month": "2025-12",
        "parts": {"account": 0, "purchase": 810, "activity": 0, "reputation": 0, "credit": 0},
        "because": "value",
        "next": {"tier": "5001", "at_least": 5_001, "missing": 4_191, "invited": False},
        "until": "2026-12-01T00:00:00+08:00",
        "then": "",
    }
    unlimited = found["memberships"]["plus"].pop("benefits")
    assert unlimited["brand-discount"]["entitled"] is True and unlimited["brand-discount"]["left"] is None
    assert found["memberships"]["plus"] == {
        "state": "trial",
        "product": "plus.trial",
        "from": "2025-11-10T00:00:00+08:00",
        "until": "2025-12-10T00:00:00+08:00",
        "quotas": {"shipping": 1},
    }
    later = points("show", MEMBER, "--as-of", "2026-01-10", "--json").json
    assert later["points"]["beans"]["lots"] == [] and later["memberships"]["plus"]["quotas"] == {}
    assert later["memberships"]["plus"]["state"] == "ended"


def test_as_of_looks_back_and_ahead_and_known_at_forgets_what_came_later(shop: Path) -> None:
    points("ingest", write(shop / "a.ndjson", order("O1"), draw("R1", "2025-11-20T12:00:00+08:00")), "--backlog")
    late = write(shop / "b.ndjson", order("O2", 60_000, "2025-11-12T00:00:00+08:00"))
    points("ingest", late)  # recorded now

    def spendable(*options: str) -> int:
        return int(points("show", MEMBER, "--json", *options).json["points"]["beans"]["spendable"])

    assert spendable("--as-of", "2025-11-10") == 0
    assert spendable("--as-of", "2025-11-19T00:00") == 80
    assert spendable("--as-of", "2025-12-01") == 120
    assert spendable("--as-of", "2025-12-01", "--known-at", "2025-12-01") == 60
    assert spendable("--as-of", "2026-12-31T23:59:59+08:00") == 120
    assert spendable("--as-of", "2027-01-01T00:00:00+08:00") == 0


def test_entries_tell_each_decision_with_its_link(shop: Path) -> None:
    points("ingest", write(shop / "facts.ndjson", order("O1"), draw("R1"), draw("R2", member="m-2")), "--backlog")
    first, second = points("entries", MEMBER, "--json").json
    assert first["number"] == 1 and first["type"] == "order.completed.v1" and first["id"] == "O1-done"
    assert first["occurred"] == first["recorded"] == "2025-11-11T00:03:12+08:00"
    assert first["changes"][0]["change"] == "earned" and first["changes"][0]["points"] == 80
    assert len(bytes.fromhex(second["link"])) == 32 and first["link"] != second["link"]
    refused = points("entries", "m-2", "--json").json[0]
    assert (refused["outcome"], refused["reason"]) == ("refused", "beans-short")
    assert refused["figures"] == {"asked": 20, "spendable": 0}


# -- all members -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_year(shop: Path) -> Path:
    """A ledger with some hundred facts of made-up traffic."""
    points("traffic", "--facts", 400, "--members", 40, "--seed", 3, "-o", shop / "year.ndjson")
    points("ingest", shop / "year.ndjson", "--backlog")
    return shop


def test_exports_are_sorted_and_agree_in_every_format(small_year: Path) -> None:
    import pyarrow.parquet as parquet

    for table in ("balances", "lots", "scores", "memberships", "entries"):
        rows = points("export", table, "--json", "--as-of", "2025-12-01").json
        ndjson = points("export", table, "--format", "ndjson", "--as-of", "2025-12-01").out
        assert [json.loads(line) for line in ndjson.splitlines()] == rows
        members = [row["member"] for row in rows]
        assert members == sorted(members) and members
        csv = points("export", table, "--as-of", "2025-12-01").out.splitlines()
        assert len(csv) == len(rows) + 1
        file = small_year / f"{table}.parquet"
        assert points("export", table, "--as-of", "2025-12-01", "-o", file).code == 0
        stored = parquet.read_table(file)
        assert csv[0].split(",") == stored.column_names
        assert stored.column("member").to_pylist() == members
    assert not list(small_year.glob(".*.part"))


def test_an_export_agrees_with_show_for_every_member(small_year: Path) -> None:
    for row in points("export", "balances", "--json", "--as-of", "2025-12-01").json:
        shown = points("show", row["member"], "--json", "--as-of", "2025-12-01").json["points"][row["kind"]]
        assert {name: shown[name] for name in ("spendable", "pending", "held", "debt")} == {
            name: row[name] for name in ("spendable", "pending", "held", "debt")
        }
        assert sum(lot["left"] for lot in shown["lots"]) == shown["spendable"] + shown["pending"]


def test_the_books_balance_now_and_at_any_instant(small_year: Path) -> None:
    for as_of in ("2025-06-18", "2025-12-31", "2031-01-01"):
        found = points("stats", "--json", "--as-of", as_of).json
        beans = found["points"]["beans"]
        assert found["balanced"] is True and beans["balanced"] is True
        parts = ("spendable", "pending", "held", "redeemed", "expired", "clawed_back")
        assert beans["issued"] == sum(beans[part] for part in parts)
    assert beans["spendable"] == 0 and beans["issued"] > 0


def test_a_replay_and_a_verification_are_good_news_until_an_entry_is_changed(small_year: Path) -> None:
    assert points("replay", "--json").json["differences"] == []
    assert points("verify", "--json").json["broken"] == []
    file = next(p for p in sorted((small_year / "points-ledger").glob("partition-*.db")))
    with sqlite3.connect(file) as db:
        entry = decode_entry(db.execute("SELECT state FROM stored_events WHERE rowid = 1").fetchone()[0])
        other = encode_entry(structs.replace(entry, reason="points-capped"))
        db.execute("UPDATE stored_events SET state = ? WHERE rowid = 1", (other,))
    db.close()
    for command in ("replay", "verify"):
        ran = points(command, "--json")
        assert ran.code == 1 and (ran.json.get("differences") or ran.json.get("broken"))


def test_a_damaged_book_is_said_in_one_line_also_where_several_processes_replay(small_year: Path) -> None:
    (small_year / "points-ledger" / "book.toml").write_text("[[earn]]\nrule = 7\n")
    alone = in_a_process("replay", "--jobs", 1)
    assert alone.returncode == 3 and alone.stderr.count("\n") == 1 and "book.toml" in alone.stderr
    together = in_a_process("replay", "--jobs", 2)
    assert (together.returncode, together.stderr) == (alone.returncode, alone.stderr)


@pytest.mark.parametrize("what", ["x", "-1", "1.2.3", "", "1.", "9" * 5_000])
def test_what_is_neither_an_entry_nor_a_lot_is_wrong_use(shop: Path, what: str) -> None:
    points("ingest", write(shop / "facts.ndjson", order("O1")), "--backlog")
    ran = points("explain", MEMBER, "--", what)
    assert ran.code == 2 and "is neither an entry, such as 12" in ran.err
    assert points("explain", MEMBER, "9").code == points("explain", MEMBER, "9.9").code == 3


@pytest.mark.parametrize("columns", ["0", "x", "9" * 12])
def test_any_width_prints_every_row(small_year: Path, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    numbers = [str(entry["number"]) for entry in points("entries", "m-1", "--json").json]
    monkeypatch.setenv("COLUMNS", columns)
    told = points("entries", "m-1").out
    assert [line.split()[0] for line in told.splitlines() if line[:3].strip().isdecimal()] == numbers
    assert max(map(len, told.splitlines())) <= 1_000


@pytest.mark.parametrize("encoding", ["gbk", "ascii"])
def test_what_an_encoding_lacks_is_replaced_for_people_and_never_in_json(shop: Path, encoding: str) -> None:
    points("ingest", write(shop / "facts.ndjson", order("O1", member="账户¥")), "--backlog")
    for arguments in (["explain", "账户¥"], ["codes"]):
        told = in_a_process(*arguments, encoding=encoding, env={**HERE, "PYTHONIOENCODING": encoding})
        assert (told.returncode, told.stderr) == (0, "")
        assert "?" in told.stdout
    exact = in_a_process("show", "账户¥", "--json", encoding="utf-8", env={**HERE, "PYTHONIOENCODING": encoding})
    assert json.loads(exact.stdout)["member"] == "账户¥"


@pytest.mark.parametrize("command", ["explain m-1 --all", "codes"])
def test_a_reader_that_has_enough_is_no_bad_news(small_year: Path, command: str) -> None:
    command_line = [sys.executable, "-m", "service.cli", *command.split()]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=HERE) as ran:
        assert ran.stdout is not None and ran.stderr is not None
        ran.stdout.close()
        assert ran.stderr.read() == b""
    assert ran.returncode == 0


# -- dead letters ------------------------------------------------------------------------------------------------------


def test_a_parked_fact_is_mended_driven_again_and_leaves_a_trace(shop: Path) -> None:
    bad = order("O1").replace(b'"paid_fen": 80000', b'"paid_fen": 800.5')
    points("ingest", write(shop / "facts.ndjson", bad, order("O2")), "--backlog")
    (letter,) = points("dead-letters", "list", "--json").json
    assert letter["reason"] == "bad-fact" and base64.b64decode(letter["bytes"]) == bad
    shown = points("dead-letters", "show", letter["position"], "--raw").out.encode()
    mended = shop / "mended.json"
    mended.write_bytes(shown.replace(b"800.5", b"80000"))
    again = points("dead-letters", "retry", letter["position"], "--json").json
    assert again[0]["outcome"] == "parked"
    (letter,) = points("dead-letters", "list", "--json").json
    done = points("dead-letters", "retry", letter["position"], "--with", mended, "--json").json
    assert done[0]["position"] == letter["position"] and done[0]["outcome"] == "accepted"
    assert points("dead-letters", "list", "--json").json == []
    assert [one["retried"] for one in points("dead-letters", "list", "--all", "--json").json] == [True, True]
    assert points("replay", "--from-topic").code == 0


def test_dropped_bytes_are_gone_from_every_file_and_their_trace_stays(shop: Path) -> None:
    points("ingest", write(shop / "facts.ndjson", b'{"name":"SECRET-OF-A-PERSON"}', order("O1")), "--backlog")
    (letter,) = points("dead-letters", "list", "--json").json
    (dropped,) = points("dead-letters", "drop", letter["position"], "--json").json
    assert dropped["bytes"] == "" and dropped["sha256"] == letter["sha256"] and dropped["length"] == letter["length"]
    assert dropped["reason"] == letter["reason"] and dropped["dropped"] is True
    files = [path for path in (shop / "points-ledger").iterdir() if path.is_file()]
    assert not [path.name for path in files if b"SECRET-OF-A-PERSON" in path.read_bytes()]
    assert points("dead-letters", "retry", letter["position"]).code == 3
    assert points("replay", "--from-topic").code == 0


def test_a_fact_too_long_to_be_kept_whole_is_driven_again_only_with_its_mended_bytes(shop: Path) -> None:
    long = order("O1").replace(b'"phone"', b'"' + b"x" * (2 << 20) + b'"')
    points("ingest", write(shop / "facts.ndjson", long), "--backlog")
    (letter,) = points("dead-letters", "list", "--json").json
    assert letter["reason"] == "too-long" and letter["length"] == len(long)
    assert len(base64.b64decode(letter["bytes"])) == 64 * 1024
    ran = points("dead-letters", "retry", letter["position"])
    assert ran.code == 3 and "--with FILE" in ran.err
    assert points("dead-letters", "retry", "--all", "--json").json == []


# -- what bad input gets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["show"],
        ["shwo", MEMBER],
        ["ingest", "facts.ndjson", "--jobs", "0"],
        ["ingest", "-", "-"],
        ["show", MEMBER, "--as-of", "yesterday"],
        ["export", "everything"],
        ["export", "lots", "--format", "parquet"],
        ["export", "lots", "--format", "csv", "--json"],
        ["dead-letters", "retry"],
        ["dead-letters", "retry", "0:0", "0:1", "--with", "mended.json"],
        ["--no-such-option"],
    ],
)
def test_a_wrong_use_is_exit_2_and_a_line_that_says_so(shop: Path, arguments: list[str]) -> None:
    points("ingest", write(shop / "facts.ndjson", order("O1")), "--backlog")
    ran = points(*arguments)
    assert ran.code == 2
    assert ran.out == "" and ran.err.startswith("points: ") and ran.err.count("\n") == 1


def test_an_address_of_no_store_makes_no_folder_and_its_password_is_not_told(shop: Path) -> None:
    facts = write(shop / "facts.ndjson", order("O1"))
    for arguments in (["stats"], ["ingest", facts]):
        ran = points(*arguments, "--ledger", "postgre://points:s3cret@db/points")
        assert ran.code == 2 and ran.out == "" and "postgresql://" in ran.err and "s3cret" not in ran.err
    assert [path.name for path in shop.iterdir()] == ["facts.ndjson"]


def test_bad_input_is_exit_3_and_one_line_that_says_the_way_out(shop: Path) -> None:
    good = write(shop / "facts.ndjson", order("O1"))
    assert points("show", MEMBER).err == (
        "points: there is no ledger in points-ledger; `points ingest FILE`, `consume` or `demo` makes one\n"
    )
    missing = points("ingest", shop / "missing.ndjson")
    assert missing.code == 3 and "missing.ndjson" in missing.err
    assert not (shop / "points-ledger").exists()
    assert points("ingest", shop).code == 3  # a folder
    points("ingest", good, "--backlog")
    for arguments in (
        ["show", "nobody"],
        ["entries", "nobody"],
        ["explain", "nobody"],
        ["dead-letters", "show", "0:99"],
        ["dead-letters", "show", "nonsense"],
        ["programme", "check", "missing.toml"],
        ["programme", "check", str(good)],
        ["ingest", str(good), "--ledger", str(good)],
        ["export", "lots", "-o", "missing/folder/lots.csv"],
    ):
        ran = points(*arguments)
        assert ran.code == 3, arguments
        assert ran.out == "" and ran.err.startswith("points: ") and ran.err.count("\n") == 1
    assert ran.err == f"points: {shop / 'missing' / 'folder'}: No such file or directory\n"


def test_a_damaged_gzip_is_exit_3_and_what_stands_before_the_damage_is_in(shop: Path) -> None:
    whole = gzip.compress(b"".join(order(f"O{i}", member=f"m-{i}") + b"\n" for i in range(12_000)), 1)
    (shop / "facts.ndjson.gz").write_bytes(whole[: len(whole) // 2])
    ran = points("ingest", shop / "facts.ndjson.gz", "--backlog", "--outcomes", shop / "outcomes.ndjson")
    assert ran.code == 3 and "facts.ndjson.gz: damaged" in ran.err
    entries = sum(points("stats", "--json").json["entries"].values())
    assert 0 < entries < 12_000 and entries == len(lines_of(shop / "outcomes.ndjson"))
    (shop / "facts.ndjson.gz").write_bytes(whole)
    mended = points("ingest", shop / "facts.ndjson.gz", "--backlog", "--json").json
    assert (mended["facts"], mended["skipped"], mended["accepted"]) == (12_000, entries, 12_000 - entries)
    assert sum(points("stats", "--json").json["entries"].values()) == 12_000


def test_check_finds_what_would_be_parked_save_for_what_only_a_ledger_knows(shop: Path) -> None:
    whose = {"lot": "l", "points": 5, "earned_at": "2025-01-01T00:00:00Z", "expires_at": "2026-01-01T00:00:00Z"}
    facts = write(
        shop / "facts.ndjson",
        order("O1", time="2999-01-01T00:00:00+08:00"),
        order("O2", member="programme"),
        fact("programme.published", "p-1", toml="x"),
        fact("lot.opened", "l-1", **whose),
    )
    found = [(bad["line"], bad["reason"]) for bad in points("check", facts, "--json").json["bad"]]
    assert found == [(1, "future"), (2, "bad-fact"), (3, "bad-fact")]
    parked = points("ingest", facts, "--json").json["parked_facts"]
    assert sorted(bad["reason"] for bad in parked) == ["bad-fact", "bad-fact", "future", "not-authorised"]


def test_check_names_each_bad_line_and_takes_nothing_in(shop: Path) -> None:
    facts = write(shop / "facts.ndjson", order("O1"), b"", b"[1]", b"\xff", order("O2"), b"x" * (3 << 20))
    ran = points("check", facts, "--json")
    assert ran.code == 3
    assert ran.json["facts"] == 5
    assert [(bad["line"], bad["reason"]) for bad in ran.json["bad"]] == [
        (3, "bad-fact"),
        (4, "not-utf8"),
        (6, "too-long"),
    ]
    assert points("check", write(shop / "good.ndjson", order("O1"))).code == 0
    (shop / "facts.ndjson.gz").write_bytes(gzip.compress(facts.read_bytes()))
    (shop / "facts.ndjson.zst").write_bytes(zstandard.compress(facts.read_bytes()))
    for packed in ("facts.ndjson.gz", "facts.ndjson.zst"):
        found = points("check", shop / packed, "--json").json
        assert [(bad["line"], bad["reason"]) for bad in found["bad"]] == [
            (bad["line"], bad["reason"]) for bad in ran.json["bad"]
        ]
    (shop / "half.ndjson.zst").write_bytes((shop / "facts.ndjson.zst").read_bytes()[:-20])
    broken = points("check", shop / "half.ndjson.zst")
    assert broken.code == 3 and "half.ndjson.zst: damaged after line" in broken.err and "is in" not in broken.err
    assert not (shop / "points-ledger").exists()


def test_a_bad_book_is_named_by_file_table_and_key(shop: Path) -> None:
    toml = (Path(__file__).parents[2] / "ledger/programmes/jd.toml").read_text(encoding="utf-8")
    (shop / "good.toml").write_text(toml, encoding="utf-8")
    assert points("programme", "check", shop / "good.toml", "--json").json["programme"] == "jd"
    bad = toml.replace("give = { points = 20 }", 'give = { points = "many" }', 1)
    (shop / "bad.toml").write_text(bad, encoding="utf-8")
    ran = points("programme", "check", shop / "bad.toml")
    assert ran.code == 3 and "bad.toml: award[" in ran.err and "give.points" in ran.err
    facts = write(shop / "facts.ndjson", order("O1"))
    assert points("ingest", facts, "--book", shop / "bad.toml").code == 3
    assert not (shop / "points-ledger").exists()


def test_a_ledger_that_is_being_written_is_exit_4_and_its_holder_is_named(shop: Path) -> None:
    facts = write(shop / "facts.ndjson", order("O1"))
    points("ingest", facts, "--backlog")
    code = "import sys, time\nfrom pathlib import Path\nfrom ledger.journal.open import open_ledger\n"
    code += "with open_ledger(Path(sys.argv[1])).writing():\n    print('held', flush=True)\n    time.sleep(60)\n"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code, "points-ledger"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            for arguments in (["ingest", facts], ["dead-letters", "retry", "--all"]):
                ran = points(*arguments)
                assert ran.code == 4 and f"process {holder.pid} on" in ran.err
            assert points("show", MEMBER).code == 0  # reading never waits
        finally:
            holder.kill()
    assert points("ingest", facts).code == 0


# -- the demo ----------------------------------------------------------------------------------------------------------


def test_the_demo_tells_of_the_year_and_a_second_run_doubles_nothing(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.demo import online_retail, story

    beginning = list(online_retail.facts(1_500))
    monkeypatch.setattr(story, "facts", lambda until: iter(beginning))
    monkeypatch.setenv("POINTS_LEDGER", "somebody's")  # which is left alone
    first = points("demo", "--jobs", 1, "--json").json
    assert first["facts"] == first["entries"] == 1_500 and first["stats"]["balanced"] is True
    assert first["order_lines"] > 1_500 and 1 <= len(first["members"]) <= 3
    again = points("demo", "--json").json
    assert (again["entries"], again["skipped"]) == (0, 1_500)
    assert again["stats"] == first["stats"] and again["members"] == first["members"]
    said = points("demo").out
    assert "All is in" in said and "= issued" in said and "points explain m-" in said
    assert "points demo --serve" in said and "http://127.0.0.1:8080/console" in said
    assert "export POINTS_LEDGER=points-demo" in said and [path.name for path in shop.iterdir()] == ["points-demo"]
    assert points("demo", "--serve", "--json").code == 2
    assert points("demo", "--until", "today").code == points("demo", "--until", "0999-01-01").code == 2


def test_the_year_of_the_demo_ends_today(shop: Path) -> None:
    from service.demo import online_retail, story

    day = story.last_day()
    assert date.today() - day <= timedelta(days=2)
    last = json.loads(deque(online_retail.facts(until=day), 1)[0])
    assert last["time"].startswith(str(day)), last
    shipped, moved = (list(online_retail.facts(4_000, until=until)) for until in (None, date(2025, 12, 12)))
    assert [fact.count(b'"line":') for fact in shipped] == [fact.count(b'"line":') for fact in moved]
    assert list(online_retail.facts(50, until=date(2025, 12, 5))) == shipped[:50]
    opened = [json.loads(fact)["data"] for fact in moved if b'"lot.opened.v1"' in fact]
    assert {(lot["earned_at"][:10], lot["expires_at"][:10]) for lot in opened} == {("2024-06-25", "2026-01-01")}


# -- the shell ---------------------------------------------------------------------------------------------------------


def test_the_ledger_and_json_may_be_given_before_or_after_the_command(shop: Path, monkeypatch: Any) -> None:
    facts = write(shop / "facts.ndjson", order("O1"))
    assert points("--ledger", shop / "here", "--json", "ingest", facts).json["accepted"] == 1
    after = points("show", MEMBER, "--ledger", shop / "here", "--json", "--as-of", "2025-12-01")
    before = points("--json", "--ledger", shop / "here", "show", MEMBER, "--as-of", "2025-12-01")
    assert after.json == before.json
    monkeypatch.setenv("POINTS_LEDGER", str(shop / "here"))
    assert points("show", MEMBER, "--json", "--as-of", "2025-12-01").json == after.json
    assert points("--ledger", shop / "none", "show", MEMBER).code == 3


@pytest.mark.parametrize("command", ["show", "entries", "stats", "codes", "dead-letters list", "verify", "version"])
def test_people_get_text_and_programs_get_one_document(shop: Path, command: str) -> None:
    points("ingest", write(shop / "facts.ndjson", order("O1"), b"{"), "--backlog")
    arguments = [*command.split(), *([MEMBER] if command in ("show", "entries") else [])]
    assert points(*arguments).out.strip()
    assert json.dumps(points(*arguments, "--json").json)


def test_names_are_in_the_language_of_the_terminal(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # as wide as a file may be
    points("ingest", write(shop / "facts.ndjson", order("O1")), "--backlog")
    shown = points("show", MEMBER, "--as-of", "2025-12-01").out
    for name in ("京豆", "购物返豆", "京享值", "消费 8"):
        assert name in shown
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    shown = points("show", MEMBER, "--as-of", "2025-12-01").out
    for name in ("Beans", "Purchase beans", "JD value", "Purchases 8"):
        assert name in shown
    assert "京" not in shown and "purchase.beans" not in shown
    monkeypatch.setenv("POINTS_LANGUAGE", "zh")
    assert "京豆" in points("show", MEMBER, "--as-of", "2025-12-01").out


def test_text_from_outside_cannot_move_the_terminal(shop: Path) -> None:
    points("ingest", write(shop / "facts.ndjson", order("O1", member="m\x1b[2J"), b"\x1b[31m{"), "--backlog")
    for arguments in (["show", "m\x1b[2J"], ["dead-letters", "list"], ["show", "\x1b[2Jnobody"]):
        ran = points(*arguments)
        assert "\x1b[2J" not in ran.out + ran.err and "\x1b[31m" not in ran.out


def test_help_comes_at_once(shop: Path) -> None:
    ran = in_a_process("--help")
    assert ran.returncode == 0 and "ingest" in ran.stdout
    assert loaded_with("service.cli", "pyarrow", "eventsourcing", "rich", "ledger.wire.facts") == []


def test_a_server_starts_without_what_few_requests_need() -> None:
    assert loaded_with("service.commands.serving", "litestar", "httpx", "joserfc", "pyarrow") == ["litestar"]


def loaded_with(module: str, *heavy: str) -> list[str]:
    """Which of some modules are loaded once another one is."""
    code = f"import json, sys, {module}; print(json.dumps([name for name in {heavy} if name in sys.modules]))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return list(json.loads(loaded.stdout))


def test_a_reader_that_has_enough_ends_an_export_quietly(small_year: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "service.cli", "export", "entries"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(100) == 0


def test_an_empty_name_of_a_ledger_is_wrong_use_and_makes_none(shop: Path) -> None:
    facts = write(shop / "facts.ndjson", order("O1"))
    for arguments in (("--ledger", "", "ingest", facts), ("ingest", facts, "--ledger", "")):
        ran = points(*arguments)
        assert ran.code == 2 and "--ledger is empty" in ran.err
    assert list(shop.iterdir()) == [facts]


@pytest.mark.parametrize("name", ["file:y", "a?mode=memory#%41 账本"])
def test_a_folder_may_have_any_name(shop: Path, name: str) -> None:
    assert points("--ledger", name, "ingest", "--backlog", write(shop / "facts.ndjson", order("O1"))).code == 0
    assert points("--ledger", name, "show", MEMBER, "--json").json["points"]["beans"]["spendable"] == 80
    assert (shop / name / "partition-0.db").is_file()


# -- rights ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def unwritable() -> Iterator[Path]:
    """A ledger that whoever runs `as_a_reader` may read and not write."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root has all rights, and there is no setpriv to leave them: install util-linux")
    with scratch() as folder:
        ledger = folder / "ledger"
        ran = points("--ledger", ledger, "ingest", "--backlog", write(folder / "facts.ndjson", order("O1"), draw("R1")))
        assert ran.code == 0
        for file in ledger.iterdir():
            file.chmod(0o444)
        ledger.chmod(0o555)
        yield ledger
        ledger.chmod(0o755)


def as_a_reader(*arguments: object) -> subprocess.CompletedProcess[str]:
    """As a user for whom the modes of files hold: root leaves what puts it above them."""
    rights = "--bounding-set=-dac_override,-dac_read_search"
    return in_a_process(*arguments, before=["setpriv", rights] if os.geteuid() == 0 else [])


def test_a_ledger_that_cannot_be_written_is_read(unwritable: Path) -> None:
    before = {file.name: file.read_bytes() for file in unwritable.iterdir()}
    for command in ("verify", "replay --from-topic", f"explain {MEMBER}"):
        ran = as_a_reader("--ledger", unwritable, *command.split())
        assert (ran.returncode, ran.stderr) == (0, ""), command
    ran = as_a_reader("--ledger", unwritable, "export", "balances")
    assert ran.stdout.splitlines()[1:] == [f"{MEMBER},beans,60,0,0,0", f"{MEMBER},brand-points,0,0,0,0"]
    assert {file.name: file.read_bytes() for file in unwritable.iterdir()} == before


def test_a_ledger_that_cannot_be_written_is_read_while_another_writes_it(unwritable: Path) -> None:
    unwritable.chmod(0o755)
    opened = open_ledger(unwritable)
    opened.writer(opened.partition_of(MEMBER))  # an owner, whose epoch stands in the -wal alone
    unwritable.chmod(0o555)
    assert list(unwritable.glob("*-wal"))
    ran = as_a_reader("--ledger", unwritable, "show", MEMBER, "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["points"]["beans"]["spendable"] == 60
    opened.close()


def test_what_is_written_while_it_is_read_as_it_lies_is_never_told(
    unwritable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr("ledger.journal.sqlite.SQLiteJournal.scan_rows", 1)  # each row is read by itself
    journal = SQLiteJournal(unwritable / "partition-0.db")
    rows = journal.scan()
    with closing(sqlite3.connect(unwritable / "partition-0.db")) as writer:
        first = next(rows)
        writer.execute("UPDATE shard SET epoch = epoch + 1")
        writer.commit()
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with pytest.raises(Unavailable, match="was written while it was read"):
        list(rows)
    assert next(journal.scan()) == first, "opened anew"


def test_without_rights_nothing_can_be_done_now_and_nothing_is_damaged(unwritable: Path) -> None:
    facts = unwritable.parent / "facts.ndjson"
    ran = as_a_reader("--ledger", unwritable, "ingest", facts)
    assert ran.returncode == 4
    assert "Permission denied" in ran.stderr
    facts.chmod(0)
    for command in ("check", "ingest"):
        ran = as_a_reader("--ledger", facts.parent / "new", command, facts)
        assert (ran.returncode, "Permission denied; give a readable" in ran.stderr) == (3, True), "it was given"
    for file in unwritable.glob("*.db"):
        file.chmod(0)
    for command in ("stats", f"backup {unwritable.parent}/copy"):
        ran = as_a_reader("--ledger", unwritable, *command.split())
        assert (ran.returncode, "damaged" in ran.stderr) == (4, False), ran.stderr
    (unwritable / "ledger.json").chmod(0)
    ran = as_a_reader("--ledger", unwritable, "stats")
    assert (ran.returncode, "Permission denied" in ran.stderr) == (4, True)


def test_open_shows_the_console_in_a_browser_or_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from service import browser

    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: shown.append(address) or True)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    assert browser.open_browser("http://127.0.0.1:8080/console") and shown == ["http://127.0.0.1:8080/console"]
    monkeypatch.delenv("DISPLAY")
    assert not browser.open_browser("http://127.0.0.1:8080/console") and len(shown) == 1
    assert "open http://127.0.0.1:8080/console yourself" in capsys.readouterr().err
    assert points("demo", "--open").code == 2
