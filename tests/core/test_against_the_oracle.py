"""The engine against the oracle, which was written from the contract alone: after every fact both say the same.

Of the `jd` book, and of made-up books that have each feature of the grammar in some.

A failure prints the shortest history that still disagrees, as facts one a line.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ledger.rulebook.schema import shipped, shipped_names
from ledger.wire.times import to_datetime, to_instant
from tests.support.books import made_book, made_union, made_versions
from tests.support.histories import amended_history, book_history, changed_history, history
from tests.support.oracle import Oracle, instant, parts_that_differ
from tests.support.shop import Shop

TOTALS = (
    *("issued", "spendable", "pending", "held", "redeemed", "expired", "clawed_back", "forfeited"),
    *("debt", "cash_shortfall_fen", "written_off", "gone", "come"),
)
# What is said of accepted facts: the contract names these; others say more of what the engine saw.
NOTES = (
    *("price-differs", "not-eligible", "refund-not-due", "refund-above-price", "unknown-attribute", "rest-cancelled"),
    *(
        "after-cancellation",
        "adjustment-capped",
        "rest-restored",
        "line-returned",
        "line-completed",
        "unknown-order",
        "",
    ),
)
DELAYS = (0,) * 20 + (1, 86_400, 86_401, 3 * 86_400)  # seconds between a fact and its record

Recorded = tuple[dict[str, Any], timedelta]  # a fact and how much later it was recorded


def recorded_history(seed: int, length: int, made: Callable[..., list[dict[str, Any]]] = history) -> list[Recorded]:
    random = Random(seed)
    facts = made(random, length)
    return [(fact, timedelta(seconds=random.choice(DELAYS))) for fact in facts]


def disagreement(facts: list[Recorded], *books: str) -> str:
    """What the two say differently after the first fact on which they part; empty where they agree."""
    shop, oracle = Shop(*books), Oracle(*(books or (shipped("jd"),)))
    for step, (fact, delay) in enumerate(facts):
        recorded = instant(fact["time"]) + delay
        said = oracle.take(fact, recorded)
        told = shop.hears(fact, to_instant(recorded))
        found = dict(differences(shop, oracle, said, told, fact["subject"]))
        if found:
            return f"fact {step + 1}: " + "; ".join(f"{what}: {one} / {two}" for what, (one, two) in found.items())
    return ""


def differences(shop: Shop, oracle: Oracle, said: tuple[str, str], told: str, member: str) -> Any:
    """What the two say differently after a fact: what it is about, and both."""
    outcome, _, reason = told.partition(": ")
    is_said = reason in said[1].split("|")
    if outcome != said[0] or (not is_said and (outcome != "accepted" or reason in NOTES)):
        yield "outcome", (told, said)
    now = to_datetime(shop.account.clock)
    later = shop.on(now)
    ours, theirs = later.shown, oracle.show(member, now)
    for part in parts_that_differ(ours, theirs):
        yield part, (ours[part], theirs[part])
    for kind in theirs["points"]:
        purse, totals = later.account.purse(kind), oracle.totals(member, now, kind)
        for name in TOTALS:
            figure = getattr(purse, name)
            figure = figure() if callable(figure) else figure
            if figure != totals[name]:
                yield f"{kind} {name}", (figure, totals[name])


def smallest(facts: list[Recorded], fails: Callable[[list[Recorded]], str]) -> list[Recorded]:
    """Facts left out, by halves down to one, as long as it still fails."""
    size = len(facts) // 2
    while size:
        at = 0
        while at < len(facts):
            without = facts[:at] + facts[at + size :]
            if fails(without):
                facts = without
            else:
                at += size
        size //= 2
    return facts


def check(seed: int, length: int, made: Callable[..., list[dict[str, Any]]] = history, *books: str) -> None:
    facts = recorded_history(seed, length, made)
    if disagreement(facts, *books):
        facts = smallest(facts, lambda some: disagreement(some, *books))
        lines = "\n".join(f"{json.dumps(fact)}  recorded {delay} later" for fact, delay in facts)
        pytest.fail("\n".join((f"ledger / oracle part on {disagreement(facts, *books)}", lines, *books)))


def check_under_a_made_up_book(seed: int, length: int) -> None:
    book = made_book(Random(seed))
    check(seed, length, lambda random, size: book_history(random, size, book), book)


def check_under_two_versions(seed: int, length: int) -> None:
    books = made_versions(Random(seed))
    check(seed, length, lambda random, size: book_history(random, size, books[0]), *books)


def check_under_several_owners_books(seed: int, length: int) -> None:
    whole, books = made_union(Random(seed))
    check(seed, length, lambda random, size: book_history(random, size, whole), *books)


# A smaller seed is no smaller history: `smallest` does that.
no_shrinking = settings(
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@settings(no_shrinking, max_examples=40)
@given(seed=st.integers(0, 1 << 48), length=st.integers(1, 140))
def test_the_ledger_and_the_oracle_say_the_same_after_every_fact(seed: int, length: int) -> None:
    check(seed, length)


@settings(no_shrinking, max_examples=25)
@given(seed=st.integers(0, 1 << 48), length=st.integers(1, 140))
def test_they_say_the_same_of_orders_that_are_changed_afterwards(seed: int, length: int) -> None:
    check(seed, length, changed_history)


@settings(no_shrinking, max_examples=25)
@given(seed=st.integers(0, 1 << 48), length=st.integers(1, 140))
def test_they_say_the_same_of_amended_orders_and_of_adjustments_that_are_aimed(seed: int, length: int) -> None:
    check(seed, length, amended_history)


@pytest.mark.parametrize("seed", range(40))
def test_they_say_the_same_under_made_up_books(seed: int) -> None:
    check_under_a_made_up_book(seed, 60)


@pytest.mark.parametrize("seed", range(12))
def test_they_say_the_same_where_another_version_decides_from_some_day_on(seed: int) -> None:
    check_under_two_versions(seed, 60)


@pytest.mark.parametrize("seed", range(15))
def test_they_say_the_same_where_several_owners_files_are_one_book(seed: int) -> None:
    check_under_several_owners_books(seed, 60)


@pytest.mark.parametrize("name", shipped_names())
def test_they_say_the_same_under_each_shipped_book(name: str) -> None:
    for seed in range(2):
        check(seed, 50, lambda random, size: book_history(random, size, shipped(name)), shipped(name))


@pytest.mark.campaign
@settings(no_shrinking, max_examples=5_000)
@given(seed=st.integers(0, 1 << 48), length=st.integers(1, 160))
def test_they_say_the_same_under_two_versions_over_a_long_campaign(seed: int, length: int) -> None:
    check_under_two_versions(seed, length)


@pytest.mark.campaign
@settings(no_shrinking, max_examples=5_000)
@given(seed=st.integers(0, 1 << 48), length=st.integers(1, 160))
def test_they_say_the_same_under_several_owners_books_over_a_long_campaign(seed: int, length: int) -> None:
    check_under_several_owners_books(seed, length)


@pytest.mark.campaign
@settings(no_shrinking, max_examples=20_000)
@given(seed=st.integers(0, 1 << 48), length=st.integers(1, 160))
def test_they_say_the_same_under_made_up_books_over_a_long_campaign(seed: int, length: int) -> None:
    check_under_a_made_up_book(seed, length)


@pytest.mark.campaign
@settings(no_shrinking, max_examples=20_000)
@given(seed=st.integers(0, 1 << 48), length=st.integers(1, 250))
def test_the_ledger_and_the_oracle_say_the_same_over_a_long_campaign(seed: int, length: int) -> None:
    check(seed, length)


def test_a_disagreement_is_cut_down_to_the_facts_that_make_it() -> None:
    facts = recorded_history(7, 60)

    def has_a_grant_after_an_order(some: list[Recorded]) -> str:
        types = [fact["type"] for fact, _ in some]
        return "yes" if "campaign.granted.v1" in types[types.index("order.completed.v1") :] else ""

    def fails(some: list[Recorded]) -> str:
        try:
            return has_a_grant_after_an_order(some)
        except ValueError:
            return ""

    assert [fact["type"] for fact, _ in smallest(facts, fails)] == ["order.completed.v1", "campaign.granted.v1"]
