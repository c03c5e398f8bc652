"""A made-up year of each shipped programme: the same facts each time, decided, balanced, and derived again."""

import json
from collections import Counter
from pathlib import Path

import pytest

from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import shipped, shipped_names
from ledger.wire.fact_codec import decode
from service.demo.programmes import made_up_year
from tests.cli.test_cli import points


@pytest.mark.parametrize("book", shipped_names())
def test_a_programme_has_a_year_of_its_own_facts(book: str) -> None:
    version = ProgrammeVersion(shipped(book))
    facts = made_up_year(version)
    assert facts == made_up_year(version)
    types = Counter(json.loads(fact)["type"] for fact in facts)
    for fact in facts:
        decode(fact)
    assert types["order.completed.v1"] > 100
    for on in {award.on for award in version.programme.award} & {"activity.done", "member.signed-in", "review.posted"}:
        assert types[f"{on}.v1"] > 10
    assert (types["card.purchased.v1"] > 0) == any(card.price for _, card in version.products.values())


@pytest.mark.parametrize("book", ["enterprise-shop", "marriott", "suning"])
def test_the_demo_of_a_programme_gives_points_and_derives_again(book: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ran = points("--ledger", ledger, "demo", "--programme", book, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["programme"] == ProgrammeVersion(shipped(book)).programme.programme
    assert found["entries"] == found["facts"] > 300
    assert json.loads(points("--ledger", ledger, "show", "member-01", "--json").out)["scores"]
    assert points("--ledger", ledger, "replay").code == 0
    assert points("--ledger", ledger, "stats").code == 0
    assert points("--ledger", ledger, "demo", "--programme", "prime").code == 2


def test_money_is_in_the_currency_of_the_book(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    assert points("--ledger", ledger, "demo", "--programme", "marriott").code == 0
    draft, page = tmp_path / "draft.toml", tmp_path / "report.html"
    draft.write_text(shipped("marriott").replace("points = 10", "points = 11"), encoding="utf-8")
    entries = json.loads(points("--ledger", ledger, "entries", "member-03", "--json").out)
    order = next(str(entry["number"]) for entry in entries if entry["type"] == "order.completed.v1")
    for command in (
        ["show", "member-03", "--as-of", "2019-07-31"],
        ["explain", "member-03"],
        ["explain", "member-03", order],
        ["stats"],
        ["backtest", draft, "--html", page],
    ):
        shown = points("--ledger", ledger, *command).out
        assert "$" in shown and "¥" not in shown, command
    report = page.read_text(encoding="utf-8").replace("</script>", "<script>").split("<script>")
    assert "$" in report[0] and "¥" not in report[0] + report[-2], "the tables, and what the charts are drawn from"


def test_no_page_or_phrase_says_a_currency_by_itself() -> None:
    """A book may be in any currency, so its sign comes from the book."""
    root = Path(__file__).resolve().parents[2]
    told = [file for folder in ("service", "projections") for file in (root / folder).rglob("*")]
    texts = [file for file in told if file.suffix in (".html", ".js", ".toml") and "vendor" not in file.parts]
    assert [file.name for file in texts if "¥" in file.read_text(encoding="utf-8")] == []
