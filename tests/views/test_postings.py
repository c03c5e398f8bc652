"""`points export postings`: the sum of every member's postings is the books, in our own formats and in beancount's."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from beancount import loader
from beancount.core.data import Transaction
from msgspec import to_builtins

from ledger.core.postings import ACCOUNTS, DEBT, HELD, PENDING, SPENDABLE, growth
from ledger.journal.ledger import Ledger
from ledger.rulebook.schema import shipped
from ledger.wire.entry_codec import decode_entry
from ledger.wire.times import DAY
from projections.answers.beancount import ACCOUNTS as NAMES
from projections.answers.beancount import MONEY, Commodities
from projections.answers.export import write_table
from projections.answers.postings import postings
from projections.answers.stats import stats
from projections.answers.tables import TABLES
from tests.cli.test_cli import draw, fact, order, points, shop, write
from tests.support.ledgers import SmallLedger, histories_of, scratch

__all__ = ["shop"]
BEAN_CHECK = Path(sys.executable).with_name("bean-check")
GROWTH = growth({account: account for account in ACCOUNTS})
SEEDS = (1, 2, 3)


@pytest.fixture(params=SEEDS)
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A ledger of made-up histories of some members."""
    with scratch() as folder:
        small = SmallLedger(folder / "ledger")
        small.hears(histories_of(Random(request.param), members=7, length=90))
        small.decides()
        yield small.ledger
        small.close()


def instants_of(ledger: Ledger, count: int = 4) -> list[int]:
    clocks = sorted(decode_entry(row.state).clock for p in ledger.partitions for row in ledger.journal(p).scan())
    return [*Random(0).sample(clocks, count), clocks[-1], clocks[-1] + 1_000 * DAY]


def rows_of(ledger: Ledger, as_of: int, known_at: int | None = None) -> list[dict[str, Any]]:
    out = BytesIO()
    write_table(postings(ledger, as_of, known_at), "ndjson", out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def figures_of(rows: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """The sums of postings by kind and figure of the books, zeros left out."""
    found: Counter[tuple[str, str]] = Counter()
    for row in rows:
        for figure, sign in GROWTH[row["source"], row["destination"]]:
            found[row["kind"], figure] += sign * row["points"]
        found[row["kind"], "cash_shortfall_fen"] += row.get("fen", 0)
    return Counter({key: value for key, value in found.items() if value})


def books_of(ledger: Ledger, as_of: int, known_at: int | None = None) -> dict[tuple[str, str], int]:
    said = to_builtins(stats(ledger, as_of, known_at=known_at).points)
    return {
        (kind, name): value for kind, row in said.items() for name, value in row.items() if value and name != "balanced"
    }


def test_the_sum_of_postings_is_the_books_at_any_instant(ledger: Ledger) -> None:
    beside = {"claimed", "cash_shortfall"}
    for as_of in instants_of(ledger):
        summed = figures_of(rows_of(ledger, as_of))
        assert {key: value for key, value in summed.items() if key[1] not in beside} == books_of(ledger, as_of)
    known_at = instants_of(ledger)[0]
    summed = figures_of(rows_of(ledger, as_of, known_at))
    assert {key: v for key, v in summed.items() if key[1] not in beside} == books_of(ledger, as_of, known_at)


def test_postings_come_by_member_in_the_order_they_happened(ledger: Ledger) -> None:
    as_of = instants_of(ledger)[-1]
    rows = rows_of(ledger, as_of)
    members = [row["member"] for row in rows]
    assert members == sorted(members) and len(set(members)) > 1
    for row, following in pairwise(rows):
        if row["member"] == following["member"]:
            assert row["at"] <= following["at"]
            assert row.get("entry", 1 << 62) <= following.get("entry", 1 << 62), (
                "what falls due without an entry is last"
            )
    assert any("entry" not in row for row in rows), "what fell due by the instant is there without an entry"


def test_bean_check_accepts_the_postings_and_its_balances_are_ours(ledger: Ledger, tmp_path: Path) -> None:
    for as_of in instants_of(ledger, count=1):
        path = tmp_path / f"{as_of}.beancount"
        with path.open("wb") as out:
            written = write_table(postings(ledger, as_of, None), "beancount", out)
        checked = subprocess.run([BEAN_CHECK, path], capture_output=True, text=True)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
        entries, errors, _ = loader.load_file(str(path))
        assert not errors
        by_account: Counter[tuple[str, str]] = Counter()
        by_member: Counter[tuple[str, str, str]] = Counter()
        legs = 0
        for entry in entries:
            if isinstance(entry, Transaction):
                for leg in entry.postings:
                    legs += 1
                    by_account[leg.account, leg.units.currency] += int(leg.units.number)
                    by_member[entry.payee, leg.account, leg.units.currency] += int(leg.units.number)
        assert legs == 2 * written
        commodities = Commodities()
        credit = {
            "spendable",
            "pending",
            "held",
            "redeemed",
            "expired",
            "clawed_back",
        }  # below zero, as beancount has it
        for (kind, name), value in books_of(ledger, as_of).items():
            is_money = name == "cash_shortfall_fen"
            account = NAMES["cash_shortfall" if is_money else name]
            found = by_account[account, MONEY if is_money else commodities.name(kind)]
            assert found == (-value if name in credit else value), (kind, name)
        for member, kind, *figures in TABLES["balances"](ledger, as_of, None).rows:
            for name, value in zip((SPENDABLE, PENDING, HELD, DEBT), figures, strict=True):
                found = by_member[member, NAMES[name], commodities.name(kind)]
                assert found == (-value if name in credit else value), (member, kind, name)


def test_every_kind_of_every_shipped_book_has_a_commodity_of_its_own() -> None:
    kinds = ["fen", "a", "1.5-stars", "x" * 60, "x" * 61, "vip.points-", "beans"]
    commodities = Commodities()
    names = [commodities.name(kind) for kind in kinds]
    assert len(set(names)) == len(kinds) and MONEY not in names
    assert names[-1] == commodities.name("beans") == "BEANS"
    text = "".join(f"1970-01-01 commodity {name}\n" for name in names)
    entries, errors, _ = loader.load_string(text)
    assert len(entries) == len(names) and not errors
    assert "beans" in shipped("jd")


def test_postings_of_the_command_line(shop: Path) -> None:
    given = fact("campaign.granted", "g", grant="G1", campaign="11.11", points=500, expires="2025-12-01T00:00:00+08:00")
    assert points("ingest", "--backlog", write(shop / "facts.ndjson", order("O1"), given, draw("R1"))).code == 0
    at = ("--as-of", "2025-11-30")
    rows = points("export", "postings", *at, "--json").json
    assert [(row["source"], row["destination"], row["rule"]) for row in rows] == [
        ("issued", "spendable", "purchase.beans"),
        ("issued", "spendable", "campaign"),
        ("spendable", "redeemed", "campaign"),
    ]
    assert rows[0]["version"] and rows[0]["lot"] == "1.1" and rows[0]["entry"] == 1
    later = points("export", "postings", "--as-of", "2025-12-02", "--json").json
    assert [(row["at"], row["destination"], "entry" in row) for row in later[3:]] == [
        ("2025-11-30T23:59:59.999999+08:00", "expired", False)
    ]
    for form in ("csv", "ndjson", "parquet", "beancount"):
        assert points("export", "postings", *at, "-o", f"all.{form}").err.strip() == f"points: 3 rows in all.{form}"
    assert subprocess.run([BEAN_CHECK, "all.beancount"], check=False).returncode == 0
    wrong = points("export", "balances", "--format", "beancount")
    assert wrong.code == 2 and 'no format "beancount"' in wrong.err
