"""The shop's year a second way: DuckDB reads the facts' file, SQL of its own decides, and every figure is the ledger's.

Compared for every member: what each line of each order earned in beans and in score, at which rate, and what returns
left of it; 京享值 with its parts. For every member whose beans one running balance can follow (who never held points,
had no trial and no grant with an end of its own: five of six), what is spendable and owed, paid back in cash, redeemed,
and how many requests were refused.

No member depends on another: of four one is compared, and in a campaign all of them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from ledger.core.pages import OrderPage, decode_page
from ledger.core.scores import parts_at, value_at
from ledger.journal.ledger import Ledger
from ledger.wire.entries import REFUSED
from ledger.wire.entry_codec import decode_entry
from service.demo.online_retail import facts
from tests.support.contents import rows_of
from tests.support.ledgers import ingested, scratch
from tests.support.shop import instant

MEMBERS_AND_LINES = {1: (4_372, 397_979), 4: (1_103, 96_874)}  # of all members, and of one in four
AFTER_THE_YEAR = "2025-12-06"
HALF_A_YEAR_LATER = "2026-06-15"


@pytest.fixture(scope="module", params=[4, pytest.param(1, marks=pytest.mark.campaign)])
def one_in(request: pytest.FixtureRequest) -> int:
    """Of how many members one is compared."""
    found: int = request.param
    return found


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with scratch() as place:
        yield place


@pytest.fixture(scope="module")
def ledger(folder: Path, one_in: int) -> Iterator[Ledger]:
    """The year in a ledger; its file of facts stands beside it."""
    opened = ingested(folder, (fact for fact in facts() if customer_of(fact) % one_in == 0))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def sql(folder: Path, ledger: Ledger) -> "Iterator[duckdb.DuckDBPyConnection]":
    """The second opinion, worked out."""
    database = duckdb.connect(config={"threads": 2})
    script = Path(__file__).with_name("second_opinion.sql").read_text("utf-8")
    ask(database, script.replace("$file", f"'{folder / 'facts.ndjson'}'"))
    yield database
    database.close()


def customer_of(fact: bytes) -> int:
    """Return the number in the name of a fact's member."""
    found = re.search(rb'"subject":"m-(\d+)"', fact)
    assert found is not None, fact
    return int(found[1])


def ask(sql: "duckdb.DuckDBPyConnection", question: str) -> list[tuple]:
    """All rows of an answer."""
    rows: list[tuple] = sql.execute(question).fetchall()
    return rows


def differences(sql: "duckdb.DuckDBPyConnection", theirs: str, ours: list[dict]) -> list[tuple]:
    """Rows that stand in one of the two and not in the other; `theirs` is SQL with the columns of `ours`."""
    columns = ", ".join(f'"{name}"' for name in ours[0])
    sql.register("ours", pa.Table.from_pylist(ours))
    ask(sql, f"CREATE OR REPLACE TEMP TABLE theirs AS {theirs}")
    return ask(
        sql,
        f"(SELECT 'ledger' AS who, {columns} FROM ours EXCEPT ALL SELECT 'ledger', {columns} FROM theirs)"
        f" UNION ALL (SELECT 'SQL', {columns} FROM theirs EXCEPT ALL SELECT 'SQL', {columns} FROM ours)"
        f" ORDER BY {columns} LIMIT 20",
    )


def test_the_sql_says_nothing_that_it_does_not_cover(sql: "duckdb.DuckDBPyConnection", one_in: int) -> None:
    members, lines = MEMBERS_AND_LINES[one_in]
    assert ask(sql, "SELECT DISTINCT what FROM unexpected") == []
    assert ask(sql, "SELECT count(DISTINCT member) FROM facts") == [(members,)]
    assert ask(sql, "SELECT count(*) FROM line_figures") == [(lines,)]
    assert ask(sql, f"SELECT count(*) > 0.8 * {members} FROM covered") == [(True,)]
    ((by_plus, changed),) = ask(
        sql, "SELECT count(*) FILTER (by_plus), count(*) FILTER (beans <> beans_kept) FROM line_figures"
    )
    assert min(by_plus, changed) > 1_000


def test_every_line_of_every_member_earned_and_kept_the_same(
    sql: "duckdb.DuckDBPyConnection", ledger: Ledger, one_in: int
) -> None:
    ours = []
    for partition in ledger.partitions:
        orders = rows_of(ledger.journal(partition), "SELECT key, member, state FROM {in}pages WHERE key LIKE 'order/%'")
        for key, member, state in orders:
            page = decode_page(state)
            assert isinstance(page, OrderPage)
            for line in page.lines if page.status == 2 else ():
                awards = {award.rule: award for award in line.awards}
                plus, plain, amount = (awards.get(f"purchase.{name}") for name in ("plus", "beans", "amount"))
                beans = plus or plain
                ours.append(
                    {
                        "member": member,
                        "order": key.removeprefix("order/"),
                        "line": line.line,
                        "by_plus": plus is not None,
                        "beans": beans.given if beans else 0,
                        "beans_kept": beans.held if beans else 0,
                        "score": amount.given if amount else 0,
                        "score_kept": amount.held if amount else 0,
                    }
                )
    assert len(ours) == MEMBERS_AND_LINES[one_in][1]
    theirs = 'SELECT member, "order", line, by_plus, beans, beans_kept, score, score_kept FROM line_figures'
    assert differences(sql, theirs, ours) == []


@pytest.mark.parametrize(("at", "month"), [(AFTER_THE_YEAR, 2025 * 12 + 11), (HALF_A_YEAR_LATER, 2026 * 12 + 5)])
def test_every_members_score_and_its_parts_are_the_same(
    at: str, month: int, sql: "duckdb.DuckDBPyConnection", ledger: Ledger, one_in: int
) -> None:
    version = ledger.book.nearest(instant(at))
    ours = [
        {"member": member, **{part: parts[part] for part in ("purchase", "activity", "account")}, "value": value}
        for member, account in ledger.accounts(instant(at))
        for parts in [parts_at(account, version, "jd-value", instant(at))]
        for value in [value_at(account, version, "jd-value", instant(at))]
    ]
    assert len(ours) == MEMBERS_AND_LINES[one_in][0]
    assert differences(sql, f"SELECT * FROM score_of({month})", ours) == []


def test_every_balance_that_one_running_sum_can_follow_is_the_same(
    sql: "duckdb.DuckDBPyConnection", ledger: Ledger
) -> None:
    refused = dict.fromkeys((member for member, _ in ledger.accounts(instant(AFTER_THE_YEAR))), 0)
    for partition in ledger.partitions:
        for row in ledger.journal(partition).scan():
            entry = decode_entry(row.state)
            refused[entry.member] += entry.outcome == REFUSED and b"redemption.requested" in entry.fact
    followed = {member for (member,) in ask(sql, "SELECT member FROM covered")}
    ours = []
    for member, account in ledger.accounts(instant(AFTER_THE_YEAR)):
        purse = account.purse("beans")
        if member in followed:
            ours.append(
                {
                    "member": member,
                    "spendable": purse.spendable(),
                    "debt": purse.debt,
                    "cash": purse.cash_shortfall_fen,
                    "redeemed": purse.redeemed,
                    "refused": refused[member],
                }
            )
    assert differences(sql, "SELECT * FROM balances", ours) == []
