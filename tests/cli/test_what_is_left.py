"""What a command leaves behind: nothing where it was refused, and in a table for people no formula."""

import csv
import io
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from rich.cells import cell_len

from projections.answers.plain import is_visible
from tests.cli.test_cli import HERE, MEMBER, in_a_process, order, points, shop, write  # noqa: F401 - a fixture
from tests.support.hostile import HOSTILE

ROOT = Path(__file__).parents[2]

# -- nothing is left of what was refused -------------------------------------------------------------------------------


def test_a_file_without_a_fact_makes_nothing(shop: Path) -> None:  # noqa: F811
    for name, text in (("README.md", (ROOT / "README.md").read_bytes()), ("list.csv", b"member,points\nm-1,7\n")):
        (shop / name).write_bytes(text)
        ran = points("ingest", shop / name)
        assert ran.code == 3 and "nothing was taken in" in ran.err
        (shop / name).unlink()
    good = write(shop / "facts.ndjson", order("O1"))
    (shop / "other.txt").write_bytes(b"hello\n")
    assert points("ingest", good, shop / "other.txt").code == 3
    assert sorted(path.name for path in shop.iterdir()) == ["facts.ndjson", "other.txt"]
    assert points("ingest", good).code == 0
    assert points("ingest", shop / "other.txt").code == 3
    assert points("stats", "--json").json["parked"] == 0


def test_lines_that_are_like_facts_are_dead_letters(shop: Path) -> None:  # noqa: F811
    ran = points("ingest", write(shop / "facts.ndjson", b'{"type":"order.completed.v9"}'), "--json")
    assert ran.code == 0 and ran.json["parked"] == 1


REFUSED = (
    "show m-1",
    "entries m-1",
    "explain m-1",
    "quote m-1",
    "savings m-1",
    "export balances",
    "export balances -o balances.csv",
    "export nothing",
    "stats",
    "replay",
    "replay --from-topic",
    "replay --from-archive none",
    "verify",
    "verify --checkpoint none",
    "reconcile none.csv",
    "reconcile none.csv -o -",
    "checkpoint -o a.checkpoint",
    "prove m-1 1 -o a.proof",
    "backtest none.toml",
    "backtest none.toml --html -",
    "views run",
    "views status",
    "views rebuild liability",
    "views compare liability",
    "views switch liability",
    "views show liability",
    "views close 2025-11",
    "ingest none.ndjson",
    "ingest {facts} --outcomes -",
    "ingest {facts} --outcomes none/here",
    "ingest {facts} --book none.toml",
    "ingest {facts} --book {facts}",
    "ingest {facts} --jobs 0",
    "consume --config none.toml",
    "produce {facts} --config none.toml",
    "topics check --config none.toml",
    "topics create --config none.toml",
    "check none.ndjson",
    "traffic --json",
    "backup there",
    "restore none",
    "archive export there",
    "archive import none",
    "keys list",
    "keys new shop --scope facts:write",
    "keys revoke shop",
    "dead-letters list",
    "dead-letters show 0:1",
    "dead-letters retry --all",
    "dead-letters drop --all",
    "programme list",
    "programme check none.toml",
    "programme diff jd none.toml",
    "programme publish none.toml --by ann",
    "store migrate",
    "store settings",
    "signing-key new -o -",
    "demo --serve --json",
    "serve --host 0.0.0.0",
    "serve --port {port}",
    "serve --port 70000",
)


def test_a_refused_command_leaves_nothing_behind(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("XDG_CONFIG_HOME", str(shop))
    facts = write(shop / "facts.ndjson", order("O1"))
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        for line in REFUSED:
            words = line.format(facts=facts, port=taken.getsockname()[1]).split()
            ran = points(*words)
            assert ran.code in (2, 3, 4), (line, ran)
            assert [path.name for path in shop.iterdir()] == ["facts.ndjson"], line


def test_the_demo_is_not_poured_into_somebodys_ledger(shop: Path) -> None:  # noqa: F811
    points("ingest", write(shop / "facts.ndjson", order("O1")), "--backlog")
    ran = points("demo", "--ledger", "points-ledger")
    assert ran.code == 2 and "has 1 entry of its own" in ran.err and "leave --ledger out" in ran.err
    assert points("stats", "--json").json["members"] == 1
    assert not (shop / "points-ledger" / "online-retail.ndjson").exists()


# -- tables ------------------------------------------------------------------------------------------------------------


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.fixture
def odd(shop: Path) -> Path:  # noqa: F811
    """A ledger with a member of each hostile name."""
    facts = [order("O1", member=member) for member in HOSTILE]
    assert points("ingest", "--backlog", write(shop / "facts.ndjson", *facts)).code == 0
    return shop


@pytest.mark.parametrize("command", ["export balances", "export entries", "views show balances --format csv"])
def test_a_table_for_people_holds_no_formula_and_nothing_that_is_not_seen(odd: Path, command: str) -> None:
    points("views", "run")
    assert points(*command.split(), "-o", odd / "table.csv").code == 0
    rows = rows_of((odd / "table.csv").read_text(encoding="utf-8"))
    of_each = 1 if "entries" in command else 2  # kinds of the book
    assert len(rows) == 1 + of_each * len(HOSTILE)
    for row in rows[1:]:
        assert is_visible("".join(row)), row
        assert not row[0].lstrip().startswith(("=", "+", "-", "@", "\t", "\r")), row
    members = {row[0] for row in rows[1:]}
    assert len(members) == len(HOSTILE) and {"'=cmd|' /C calc'!A0", "'+1", "'-1", "''m"} <= members


def test_a_table_for_programs_holds_what_is_there(odd: Path) -> None:
    assert points("export", "balances", "--exact-csv", "-o", odd / "table.csv").code == 0
    text = (odd / "table.csv").read_bytes().decode()
    assert {row[0] for row in rows_of(text)[1:]} == set(HOSTILE)
    piped = in_a_process("export", "balances", text=False)  # to a program
    assert piped.stdout.decode() == text
    safe = in_a_process("export", "balances", "--safe-csv", text=False).stdout.decode()
    with (odd / "redirected.csv").open("wb") as file:
        subprocess.run([sys.executable, "-m", "service.cli", "export", "balances"], stdout=file, env=HERE, check=True)
    assert (odd / "redirected.csv").read_bytes().decode() == safe != text


def test_a_dash_is_standard_output(odd: Path) -> None:
    ran = points("export", "balances", "-o", "-", "--format", "ndjson")
    assert ran.code == 0 and {json.loads(line)["member"] for line in ran.out.split("\n") if line} == set(HOSTILE)
    assert not (odd / "-").exists()
    assert points("traffic", "--facts", 2, "-o", "-").out.count("\n") == 2
    assert points("export", "balances", "-o", "./-").code == 0 and (odd / "-").is_file()
    for line in ("reconcile facts.ndjson -o -", "ingest facts.ndjson --outcomes -"):
        ran = points(*line.split())
        assert ran.code == 2 and "name a file" in ran.err


# -- dead letters against the stream -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "field"),
    [("kept", b"{!", "kept"), ("recorded", 7, "recorded"), ("length", 9, "parked"), ("reason", "no-such", "reason")],
)
def test_a_dead_letter_is_compared_with_its_record(shop: Path, column: str, value: object, field: str) -> None:  # noqa: F811
    points("ingest", write(shop / "facts.ndjson", order("O1"), b"{"), "--backlog")
    assert points("replay", "--from-topic").code == 0
    journal = next(path for path in (shop / "points-ledger").glob("partition-*.db") if has_letter(path))
    with closing(sqlite3.connect(journal, isolation_level=None)) as db:
        db.execute(f"UPDATE parked SET {column} = ?", (value,))
    ran = points("replay", "--from-topic", "--json")
    assert ran.code == 1 and [one["field"] for one in ran.json["differences"]] == [field]


def test_a_dead_letter_of_no_record_is_found(shop: Path) -> None:  # noqa: F811
    points("ingest", write(shop / "facts.ndjson", order("O1"), b"{"), "--backlog")
    journal = next(path for path in (shop / "points-ledger").glob("partition-*.db") if has_letter(path))
    with closing(sqlite3.connect(journal, isolation_level=None)) as db:
        db.execute("UPDATE parked SET position = position + 1000")
    assert points("replay", "--from-topic").code == 1


def has_letter(journal: Path) -> bool:
    with closing(sqlite3.connect(journal)) as db:
        return bool(db.execute("SELECT count(*) FROM parked").fetchone()[0])


# -- a run in the background -------------------------------------------------------------------------------------------


def test_what_a_run_in_the_background_starts_can_be_interrupted() -> None:
    told = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    code = f"import subprocess, sys, tests.conftest; subprocess.run([sys.executable, '-c', {told!r}])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN) and None,  # as a shell does for `&`
        check=True,
    )
    assert ran.stdout == "False\n"


def test_no_date_is_shown_where_there_is_none(shop: Path) -> None:  # noqa: F811
    points("ingest", write(shop / "facts.ndjson", order("O1", member=MEMBER)))
    for line in ("stats", f"show {MEMBER}", f"entries {MEMBER}", f"explain {MEMBER}", "programme list", "verify"):
        assert "1970" not in points(*line.split()).out, line
    points("keys", "new", "shop", "--scope", "facts:write")
    assert "1970" not in points("keys", "list").out


def test_a_narrow_terminal_cuts_no_figure_and_keys_say_when_they_end(
    shop: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points("ingest", write(shop / "facts.ndjson", order("O1", 599_900_00)), "--backlog")
    points("keys", "new", "till", "--scope", "books:read", "--expires", "2099-01-02")
    assert "2099-01-02" in points("keys", "list").out
    monkeypatch.setenv("COLUMNS", "60")
    shown = points("show", MEMBER, "--as-of", "2025-12-01").out
    lot = "entry #1 earned on 2025-11-11 rule 购物返豆 lots 1 earned 1,000 left 1,000 gone from 2027-01-01"
    assert lot in " ".join(shown.split()) and "…" not in shown, shown


# Figures, days and names: whatever is short enough for a line of the narrowest screen.
SHORT = re.compile(r"[^\s─·═]{1,18}")


@pytest.mark.parametrize("width", ["40", "60"])
def test_what_a_wide_screen_shows_stands_whole_on_a_narrow_one(
    shop: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    width: str,
) -> None:
    points("ingest", ROOT / "examples" / "facts.ndjson", "--backlog")
    points("keys", "new", "till", "--scope", "books:read", "--expires", "2099-01-02")
    points("views", "run", "finding")
    for line in (
        "show m-1001 --as-of 2025-12-01",
        "entries m-1001",
        "explain m-1002 --as-of 2025-12-01",
        "explain m-1001 5",
        "stats --as-of 2025-12-01",
        "codes",
        "keys list",
        "find O1",
    ):
        monkeypatch.setenv("COLUMNS", "200")
        wide = points(*line.split()).out
        words = {word for word in re.split(r"[\s─·═,，;；。：:()（）/.-]+", wide) if SHORT.fullmatch(word)}
        monkeypatch.setenv("COLUMNS", width)
        narrow = points(*line.split()).out
        joined = re.sub(r"\s+", "", narrow)
        assert narrow.count("…") == wide.count("…"), f"{line}: {narrow}"
        assert max(map(cell_len, narrow.splitlines()), default=0) <= int(width), narrow
        assert words, line
        assert not (cut := {word for word in words if word not in joined}), f"{line}: {cut}\n{narrow}"


def test_who_asks_in_a_language_reads_names_and_not_codes(
    shop: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points("ingest", ROOT / "examples" / "facts.ndjson", "--backlog")
    quote = ("quote", "m-1001", ROOT / "examples" / "cart.json", "--at", "2025-12-01")
    assert "+359 beans" in points("entries", "m-1001").out and "beans for offset" in points(*quote).out
    monkeypatch.setenv("POINTS_LANG", "zh")
    told = points("entries", "m-1001").out + points(*quote).out
    assert "+359 京豆" in told and "抵现 最多可用 6,000 京豆" in told and "申请的积分多于可用积分" in told
    assert not re.search(r" (beans|jd-value)(?![\w-])", told)
