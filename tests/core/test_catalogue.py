"""The catalogue has what is asked of each type of fact, the core no word of one programme, and rules are plain data."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from ledger.core.evaluate import amount_of, meets
from ledger.rulebook.checks import parse_programme
from ledger.rulebook.compiled import ProgrammeVersion, Rule
from ledger.rulebook.schema import shipped
from ledger.wire.fact_catalogue import BY_CLASS, CATALOGUE, OPERATOR_FACTS, REQUESTS, FactType
from ledger.wire.facts import FACT_TYPES, Fact, OrderLine, Review

ROOT = Path(__file__).parents[2] / "ledger"
VERSION = ProgrammeVersion(shipped("jd"))


def test_each_type_of_fact_has_one_row() -> None:
    assert [row.fact for row in CATALOGUE] == list(FACT_TYPES) == list(get_args(Fact))


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: str(row.on))
def test_a_row_names_only_fields_that_its_type_has(row: FactType) -> None:
    fields = set(msgspec.structs.fields(row.fact)[-1].type.__struct_fields__)
    assert {*row.names, *row.times, *(row.fields or ())} <= fields
    assert not (row.is_request and row.is_operators)
    assert row.is_request <= bool(row.names), "a request has a business id"


def test_requests_and_operator_facts_are_those_of_the_contract() -> None:
    assert {BY_CLASS[fact].on for fact in REQUESTS} == {
        "redemption.requested",
        "hold.requested",
        "benefit.claimed",
        "exchange.requested",
        "transfer.requested",
    }
    assert {BY_CLASS[fact].on for fact in OPERATOR_FACTS} == {
        "points.adjusted",
        "account.frozen",
        "account.unfrozen",
        "account.closed",
        "account.reopened",
        "tier.granted",
        "tier.withdrawn",
        "lot.opened",
        "programme.published",
        "transfer.reversed",
        "member.merged",
        "member.unmerged",
    }


def test_the_core_and_the_rules_know_no_word_of_one_programme() -> None:
    words = re.compile(r"\b(beans|jd|plus|wechat|qq|stars|credit)\b|Wechat|QqBound|IdentityVerified", re.IGNORECASE)
    found = {
        (path.relative_to(ROOT).as_posix(), word[0])
        for folder in ("core", "rulebook")
        for path in (ROOT / folder).rglob("*.py")
        for word in words.finditer(path.read_text(encoding="utf-8"))
    }
    # The two attributes as a snapshot has stored them ever since, and the book's `one_star_limit`, which names one.
    assert found == {
        ("core/account.py", "stars"),
        ("core/account.py", "credit"),
        ("rulebook/schema.py", "stars"),
    }


@pytest.mark.parametrize("rule", VERSION.rules.values(), ids=lambda rule: str(rule.name))
def test_a_compiled_rule_is_plain_data_that_another_engine_could_take(rule: Rule) -> None:
    read = msgspec.json.decode(msgspec.json.encode(rule))
    assert read["name"] == rule.name
    assert [clause[0] for clause in read["clauses"]] == [clause.field for clause in rule.clauses]
    assert read["amount"]["points"] == (rule.award.give.points or 0)


def test_a_rule_is_met_and_gives_by_its_clauses_and_amount_alone() -> None:
    rule = VERSION.rules["purchase.beans"]
    for fen, category, points in ((4_999, "phone", None), (5_000, "car", None), (123_456, "phone", 123)):
        line = OrderLine("1", fen, category=category)
        assert meets(rule.clauses, line, None) == (points is not None)
        assert points is None or amount_of(rule.amount, fen, category) == points
    stepped = VERSION.rules["review.beans"]
    assert not meets(stepped.clauses, None, Review("R1", "O1", "1", characters=9))
    assert [amount_of(stepped.amount, fen, "") for fen in (1_999, 2_000, 9_999, 10_000)] == [0, 10, 10, 20]


def test_each_type_that_a_rule_may_stand_on_is_taken_by_the_checks_without_more() -> None:
    for row in CATALOGUE:
        if row.fields is None or row.lines:
            continue
        book = shipped("jd").replace('on = "member.signed-in"', f'on = "{row.on}"')
        assert row.on in {award.on for award in parse_programme(book).award}
