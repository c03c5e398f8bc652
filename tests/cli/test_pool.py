"""`points pool`: what a budget or stock that members share has left."""

import json
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from msgspec import UNSET
from rich.console import Console

from ledger.journal.folder import FolderLedger
from projections.answers import stats
from projections.answers.members import members_after
from projections.answers.shops import shops_of
from projections.answers.show import describe_account
from projections.views.builtin.books import Books
from projections.views.builtin.finding import Finding, latest_members
from projections.views.snapshot import snapshot
from service.screens.member import print_member
from service.screens.names import Names
from tests.cli.test_cli import points
from tests.core.test_worked_examples_of_pools import AWARD, CAMPAIGN, HEAD, STOCK, TEN
from tests.support.ledgers import write_facts
from tests.support.post_office import PostOffice
from tests.views.test_views import views_of

ORDER = {"order": "O1", "lines": [{"line": "1", "paid_fen": 1_000}]}


def test_a_budget_that_files_of_facts_drew_from_says_what_is_left(tmp_path: Path) -> None:
    book, folder = tmp_path / "book.toml", tmp_path / "ledger"
    book.write_text(HEAD + AWARD + CAMPAIGN + STOCK, encoding="utf-8")
    head = {"specversion": "1.0", "source": "/shop", "time": "2025-11-11T10:00:00+08:00"}
    facts = [
        head | {"id": f"f-{member}", "type": "order.completed.v1", "subject": member, "data": ORDER} for member in "ab"
    ]
    assert points("--ledger", folder, "init", "--book", book).code == 0
    assert points("--ledger", folder, "ingest", write_facts(tmp_path / "facts.ndjson", facts), "--backlog").code == 0
    (told,) = json.loads(points("--ledger", folder, "pool", "party", "--json").out)["pools"]
    assert (told["pool"], told["kind"], told["drawn"], told["left"]) == ("campaigns.party", "beans", 10, 5)
    told = json.loads(points("--ledger", folder, "pool", "--as-of", "2025-11-11", "--json").out)["pools"]
    assert [(one["pool"], one["drawn"]) for one in told] == [("campaigns.party", 0), ("benefits.ticket", 0)]
    assert points("--ledger", folder, "pool", "nothing").code == 3

    with closing(FolderLedger.at(folder)) as ledger:
        assert points("--ledger", folder, "views", "run", "books").code == 0
        with snapshot(ledger, views_of(ledger), Books(), None) as taken:
            kept, summed = stats.kept(taken), stats.summed(ledger, taken.as_of)
        members = [stats.books_of(ledger, sums).members for sums in (kept, summed)]
        assert points("--ledger", folder, "views", "run", "finding").code == 0
        with snapshot(ledger, views_of(ledger), Finding(), None) as taken:
            latest = {member for member, _ in latest_members(taken, 10)}
        assert (members, latest, members_after(ledger, "", 10)) == ([2, 2], {"a", "b"}, ["a", "b"])
    balances = points("--ledger", folder, "export", "balances").out
    assert "pool/" not in balances and len(balances.splitlines()) == 3, "a pool is no member"


def test_a_quote_says_that_points_of_a_budget_come_frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book, cart, folder = tmp_path / "book.toml", tmp_path / "cart.json", tmp_path / "ledger"
    plain = AWARD.replace('campaign = "party"\n', "").replace('"double"', '"single"')
    book.write_text(HEAD + AWARD + plain + CAMPAIGN, encoding="utf-8")
    cart.write_text(json.dumps(ORDER), encoding="utf-8")
    assert points("--ledger", folder, "init", "--book", book).code == 0
    quote = ("--ledger", folder, "quote", "m", cart)
    (line,) = json.loads(points(*quote, "--json").out)["earn"]["lines"]
    waits = {award["rule"]: award.get("waits_for") for award in line["awards"]}
    assert waits == {"double": "campaigns.party", "single": None}
    shown = points(*quote).out
    assert shown.count("+10 beans") == 2 and shown.count("(frozen until the budget campaigns.party answers)") == 1
    monkeypatch.setenv("POINTS_LANG", "zh")
    assert "（预算 campaigns.party 答复前待生效）" in points(*quote).out


def test_points_that_wait_for_their_budget_are_shown_so() -> None:
    member = PostOffice(HEAD + AWARD + CAMPAIGN).at("m")
    member.completes("O1", TEN)
    shown = describe_account("m", member.account, member.book, member.account.clock, shops_of(member.entries))
    console = Console(file=StringIO(), width=100)
    print_member(console, shown, Names(member.book, "en"))
    assert "waits for its budget" in console.file.getvalue()  # type: ignore[attr-defined]
    (lot,) = shown.points["beans"].lots
    assert (lot.pending, lot.pending_until) == (True, UNSET)
