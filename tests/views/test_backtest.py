"""Real history under a draft book: what differs is what the draft changes, and under the ledger's own book nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from consumers.runtime.ingest import ingest
from ledger.journal.engines import VARIABLE
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_or_create
from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import BadProgramme, shipped
from ledger.wire.times import DAY
from projections.answers.stats import stats
from projections.views.builtin.books import FIGURES
from projections.what_if.backtest import backtest
from service.cli import run
from service.reports import backtest_html
from tests.core.test_worked_examples_of_pools import AWARD, CAMPAIGN, HEAD
from tests.support.histories import START
from tests.support.ledgers import Fact, histories_of, ingested, scratch, write_facts
from tests.support.shop import instant

AT = instant("2026-06-01")
JD = shipped("jd")
ORDINARY = "give = { points = 10, per_fen = 10_000, floor_fen = 1_000 }"
DOUBLED = "give = { points = 2, per_fen = 1_000, floor_fen = 1_000 }"


def draft(old: str, new: str) -> str:
    """The shipped book with one place changed."""
    assert JD.count(old) == 1, f"{JD.count(old)} places"
    return JD.replace(old, new)


def fact(number: int, kind: str, member: str, time: str, **data: Any) -> Fact:
    head = {"specversion": "1.0", "id": f"f{number}", "source": "/shop", "type": f"{kind}.v1"}
    return {**head, "subject": member, "time": f"{time}T10:00:00+08:00", "data": data}


def completed(number: int, member: str, time: str, paid_fen: int) -> Fact:
    line = {"line": "1", "sku": "s", "category": "phone", "quantity": 1, "paid_fen": paid_fen}
    return fact(number, "order.completed", member, time, order=f"O{number}", lines=[line])


HISTORY = [
    completed(1, "m-1", "2025-10-10", 100_000),  # 100 beans
    completed(2, "m-2", "2025-10-11", 30_000),  # 30
    completed(3, "m-1", "2025-11-11", 9_900),  # 9
    fact(4, "redemption.requested", "m-1", "2025-11-12", redemption="R1", points=105, use="coupon"),
    fact(5, "redemption.requested", "m-2", "2025-11-12", redemption="R2", points=31, use="coupon"),
    completed(6, "<script>alert(1)</script>", "2025-11-13", 4_000),  # nothing below 50 yuan
]


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    with scratch() as place:
        opened = ingested(place, HISTORY)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def rich() -> Iterator[Ledger]:
    """Histories dense in what is hard."""
    with scratch() as place:
        opened = ingested(place, histories_of(Random(7), members=9, length=120))
        yield opened
        opened.close()


def backtested(*given: Any, **options: Any) -> dict[str, Any]:
    """A backtest as its JSON."""
    found: dict[str, Any] = msgspec.to_builtins(backtest(*given, **options))
    return found


@pytest.mark.parametrize("days", [0, 20, 90, 400, 4_000])
def test_under_the_ledgers_own_book_nothing_differs_and_the_figures_are_those_of_stats(rich: Ledger, days: int) -> None:
    as_of = instant(START.isoformat()) + days * DAY
    found = backtested(rich, JD, "jd.toml", as_of)
    assert found["outcomes"] == []
    books = stats(rich, as_of)
    for kind, figures in found["points"].items():
        for name in FIGURES:
            kept = getattr(books.points[kind], name)
            assert figures[name] == {"actual": kept, "draft": kept, "difference": 0}, name
        for flow in ("issued", "redeemed", "expired", "clawed_back"):
            by_month = [month[flow] for month in found["months"] if month["kind"] == kind]
            assert sum(month["actual"] for month in by_month) == figures[flow]["actual"], flow
            assert all(not month["difference"] for month in by_month)
    assert found["entries"] == sum(books.entries.values()) and found["members"] == books.members
    assert all(not moves["gain"] and not moves["lose"] for moves in found["moves"].values())
    for tiers in found["tiers"].values():
        assert tiers["up"] == tiers["down"] == 0 and tiers["same"] == found["members"]


def test_a_draft_that_doubles_purchase_beans_shows_each_figure(ledger: Ledger) -> None:
    found = backtested(ledger, draft(ORDINARY, DOUBLED), "new.toml", AT)
    beans = found["points"]["beans"]
    assert beans["issued"] == {"actual": 139, "draft": 278, "difference": 139}
    assert beans["redeemed"] == {"actual": 105, "draft": 136, "difference": 31}, "R2 would have been paid"
    assert [rule for rule in found["rules"] if rule["difference"]] == [
        {"kind": "beans", "rule": "purchase.beans", "actual": 139, "draft": 278, "difference": 139}
    ]
    assert found["outcomes"] == [
        {
            "actual": {"outcome": "refused", "reason": "beans-short"},
            "draft": {"outcome": "accepted", "reason": ""},
            "facts": 1,
        }
    ]
    months = {month["month"]: month for month in found["months"]}
    assert months["2025-10"]["issued"] == {"actual": 130, "draft": 260, "difference": 130}
    assert months["2025-11"]["cost_fen"] == 9
    moves = found["moves"]["beans"]
    assert (moves["gain"], moves["lose"], moves["same"], moves["gained"]) == (2, 0, 1, 139)
    assert [one["member"] for one in moves["largest_gains"]] == ["m-1", "m-2"]


def test_a_draft_decides_from_the_instant_it_is_given(ledger: Ledger) -> None:
    found = backtested(ledger, draft(ORDINARY, DOUBLED), "new.toml", AT, since=instant("2025-11-01"))
    assert found["points"]["beans"]["issued"] == {"actual": 139, "draft": 148, "difference": 9}
    assert found["decides_from"] == "2025-11-01T00:00:00+08:00"
    later = backtested(ledger, draft(ORDINARY, DOUBLED), "new.toml", AT, since=AT)
    assert later["points"]["beans"]["issued"]["difference"] == 0


def test_members_change_tiers_as_the_matrix_says(ledger: Ledger) -> None:
    toml = draft("at_least = 201, name", "at_least = 1_001, name")
    found = backtested(ledger, toml, "new.toml", AT)["tiers"]["jd-value"]
    low, next_tier = found["tiers"].index(""), found["tiers"].index("201")
    assert found["matrix"][next_tier][low] == 1, "m-2 has 310, m-1 1,109"
    assert (found["up"], found["down"], found["same"]) == (0, 1, 2)


def test_several_processes_find_what_one_finds(rich: Ledger) -> None:
    one, two = (backtested(rich, draft(ORDINARY, DOUBLED), "new.toml", AT, jobs=jobs) for jobs in (1, 2))
    assert {**one, "seconds": 0} == {**two, "seconds": 0}
    assert one["points"]["beans"]["issued"]["difference"] > 0


def test_a_draft_that_accounts_cannot_live_under_is_a_bad_book(ledger: Ledger) -> None:
    with pytest.raises(BadProgramme, match=r"new\.toml: utc_offset"):
        backtested(ledger, draft('utc_offset = "+08:00"', 'utc_offset = "+09:00"'), "new.toml", AT)


def test_nothing_is_written_to_the_ledger(ledger: Ledger) -> None:
    heads = [ledger.journal(p).head() for p in ledger.partitions]
    backtested(ledger, draft(ORDINARY, DOUBLED), "new.toml", AT)
    assert [ledger.journal(p).head() for p in ledger.partitions] == heads
    assert [version.name for version in ledger.book.versions] == [Programme([JD]).versions[0].name]


def test_points_that_an_account_cannot_hold_are_without_effect_under_the_draft_too() -> None:
    grants = [
        fact(n, "campaign.granted", "m-1", "2025-10-10", grant=f"G{n}", campaign="c", points=1 << 53)
        for n in range(513)
    ]
    with scratch() as place:
        opened = ingested(place, [*grants, completed(600, "m-1", "2025-10-11", 100_000)])
        found = backtested(opened, JD, "jd.toml", AT)
        books = stats(opened, AT)
        opened.close()
    assert books.reasons["ignored"] == {"out-of-range": 2}
    assert found["outcomes"] == [] and found["entries"] == 514
    assert found["points"]["beans"]["issued"] == {"actual": 1 << 62, "draft": 1 << 62, "difference": 0}


# -- as a user meets it ------------------------------------------------------------------------------------------------


def test_the_report_opens_without_a_network_and_runs_no_text_of_a_member(ledger: Ledger) -> None:
    free = draft("when = { paid_fen = { at_least = 5_000 }, category", "when = { category")
    found = backtest(ledger, free, "<b>.toml", AT)
    page = backtest_html(found, ledger.book, "")
    assert "&lt;script&gt;alert(1)" in page and "<script>alert(1)" not in page
    assert "&lt;b&gt;.toml" in page and "<b>.toml" not in page
    ours = page.replace("https://github.com/leeoniya/uPlot", "")  # the library's name for itself
    assert "http://" not in ours and "https://" not in ours and "src=" not in ours and "@import" not in ours
    chinese = backtest_html(found, ledger.book, "zh")
    assert '<html lang="zh">' in chinese and "回测：&lt;b&gt;.toml" in chinese and "谁多谁少" in chinese
    shown = re.sub(r"<(script|style)>.*?</\1>|<[^>]+>|[a-z.-]*[0-9_/:-][a-z0-9_/:.-]*", " ", chinese, flags=re.DOTALL)
    assert set(re.findall(r"[a-z]{3,}", shown)) <= {"alert", "lit", "script", "toml"}, "names alone are not Chinese"


def test_the_command(ledger: Ledger, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    new, html = tmp_path / "new.toml", tmp_path / "report.html"
    new.write_text(draft(ORDINARY, DOUBLED), encoding="utf-8")
    common = ["--ledger", str(ledger.place), "backtest", str(new), "--as-of", "2026-06-01"]
    assert run([*common, "--json", "--html", str(html)]) == 0
    assert json.loads(capfd.readouterr().out)["points"]["beans"]["issued"]["difference"] == 139
    assert html.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run(common) == 0
    shown = capfd.readouterr().out
    assert "+139" in shown and "2 members gain 139 points" in shown
    new.write_text("not = [toml", encoding="utf-8")
    assert run(common) == 3
    assert "new.toml: not TOML" in capfd.readouterr().err
    assert run([*common, "--from", "yesterday"]) == 2
    new.unlink()
    assert run(common) == 3


@pytest.mark.parametrize("as_of", ["2025-03-01", "2025-11-11T12:00:00", "2026-06-01", "2031-01-01"])
def test_the_report_is_the_same_by_either_engine(
    native: Any, rich: Ledger, as_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = []
    for engine in ("python", "native"):
        monkeypatch.setenv(VARIABLE, engine)
        reports.append(backtested(rich, draft(ORDINARY, DOUBLED), "draft", instant(as_of)))
        reports[-1].pop("seconds")
    assert reports[0] == reports[1]
    assert reports[0]["entries"] and not reports[0]["unreadable"]


def test_what_a_draft_asks_that_nobody_answered_is_counted_and_stays_pending(
    capfd: pytest.CaptureFixture[str],
) -> None:
    campaign = CAMPAIGN.replace("budget = 15", "budget = 95")
    other = campaign.replace("campaigns.party", "campaigns.feast")
    award = AWARD.replace('campaign = "party"', 'campaign = "feast"')
    order = {"order": "O1", "lines": [{"line": "1", "paid_fen": 1_000}]}
    told = [fact(number, "order.completed", f"m-{number}", "2025-11-11", **order) for number in range(12)]
    with scratch() as place:
        held = open_or_create(place / "ledger", HEAD + AWARD + campaign)
        with held.writing():
            ingest(held, [str(write_facts(place / "facts.ndjson", told))], backlog=True, jobs=1)
        for toml, unanswered, pending in ((HEAD + AWARD + campaign, 0, 0), (HEAD + award + campaign + other, 12, 120)):
            found = backtest(held, toml, "draft.toml", AT)
            assert (found.unanswered, found.points["beans"]["pending"].draft) == (unanswered, pending)
        (place / "draft.toml").write_text(toml, "utf-8")
        held.close()
        assert run(["--ledger", str(place / "ledger"), "backtest", str(place / "draft.toml"), "--no-keep"]) == 0
        assert "12 asks of a budget" in " ".join(capfd.readouterr().out.split())
