"""The shop's year: all of the real sales are in it, and what is made up around them fits them."""

import csv
import hashlib
import io
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from ledger.wire.fact_codec import decode
from ledger.wire.facts import Fact, OrderCompleted, OrderLine, OrderReturned, RedemptionRequested, ReviewPosted
from service.demo.online_retail import BRANCH, facts
from service.demo.online_retail.catalogue import CATEGORIES
from service.demo.online_retail.lines import Line, read_lines
from service.demo.online_retail.sales import FEN_PER_PENNY

# Of the table that the lines were packed from: time, customer, kind, item, quantity, price, country.
SHA256_OF_THE_SOURCE = "25aa92ff1643ea95e55c7bf747b9ee3242cd70e40c7fd54b5c0840fb65ed7e0c"


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    return list(read_lines())


@pytest.fixture(scope="module")
def raw_year() -> list[bytes]:
    return list(facts())


@pytest.fixture(scope="module")
def year(raw_year: list[bytes]) -> list[Fact]:
    """Every fact, decoded as the ledger does: one that it would park fails here."""
    return [decode(raw)[0] for raw in raw_year]


def is_real(fact: Fact) -> bool:
    """An order or a return of the shop's record, not a made-up one."""
    return isinstance(fact, OrderReturned) or (isinstance(fact, OrderCompleted) and fact.data.order.startswith("O"))


def without_those_sent_twice(year: list[Fact]) -> list[Fact]:
    return list({(fact.source, fact.id): fact for fact in year}.values())


def test_the_packed_lines_are_the_source_to_the_last_byte(lines: list[Line]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", "customer", "kind", "item", "quantity", "unit_price_pence", "country"])
    for at, customer, country, item, quantity, pence in lines:
        kind = "sale" if quantity > 0 else "return"
        writer.writerow([at.isoformat(), customer, kind, item.name, quantity, pence, country])
    assert hashlib.sha256(text.getvalue().encode()).hexdigest() == SHA256_OF_THE_SOURCE


def test_all_406_829_lines_of_4_372_customers_are_in(year: list[Fact]) -> None:
    real = [fact for fact in without_those_sent_twice(year) if is_real(fact)]
    count = Counter({OrderCompleted: 0, OrderReturned: 0})
    for fact in real:
        count[type(fact)] += len(fact.data.lines)
    assert count == {OrderCompleted: 397_924, OrderReturned: 8_905}
    assert len({fact.subject for fact in real}) == 4_372


def test_the_money_is_the_shops_at_9_fen_a_penny(lines: list[Line], year: list[Fact]) -> None:
    sold = returned = 0
    for fact in without_those_sent_twice(year):
        if isinstance(fact, OrderCompleted) and is_real(fact):
            sold += sum(line.paid_fen + line.points for line in fact.data.lines)
        elif isinstance(fact, OrderReturned):
            returned += sum(line.refund_fen + line.points for line in fact.data.lines)
    pence = [line.quantity * line.unit_pence for line in lines]
    assert sold == FEN_PER_PENNY * sum(part for part in pence if part > 0)
    assert returned == -FEN_PER_PENNY * sum(part for part in pence if part < 0)


def test_dates_move_730_weeks_and_the_time_of_day_stays(lines: list[Line], raw_year: list[bytes]) -> None:
    assert lines[0].at.isoformat() == "2010-12-01T08:26:00"
    assert b'"time":"2024-11-27T08:26:00+00:00"' in raw_year[0]
    assert lines[-1].at.isoformat() == "2011-12-09T12:50:00"
    assert b'"time":"2025-12-05T12:50:00+00:00"' in raw_year[-1]
    assert all((b"+01:00" in raw) for raw in raw_year if b'"time":"2025-07-' in raw)


def test_ids_are_unique_but_for_a_few_facts_sent_twice(raw_year: list[bytes], year: list[Fact]) -> None:
    sent: dict[tuple[str, str], bytes] = {}
    twice = 0
    for raw, fact in zip(raw_year, year, strict=True):
        twice += (fact.source, fact.id) in sent
        assert sent.setdefault((fact.source, fact.id), raw) == raw
    assert 10 <= twice <= 100


def test_facts_come_in_time_order_but_for_the_branchs(year: list[Fact]) -> None:
    times = [fact.time for fact in year if fact.source != BRANCH]
    assert times == sorted(times)
    latest, late = year[0].time, 0
    for fact in year:
        late += fact.time < latest
        latest = max(latest, fact.time)
    assert late == sum(fact.source == BRANCH for fact in year) > 0


def test_every_return_and_review_is_of_a_line_that_the_member_bought_before_or_of_no_order(
    year: list[Fact],
) -> None:
    bought: dict[tuple[str, str], dict[str, OrderLine]] = {}
    known = unknown = 0
    for fact in year:
        match fact:
            case OrderCompleted():
                bought[fact.subject, fact.data.order] = {line.line: line for line in fact.data.lines}
            case ReviewPosted():
                assert fact.data.line in bought[fact.subject, fact.data.order]
            case OrderReturned() if fact.data.order:
                known += 1
                assert {line.line for line in fact.data.lines} <= bought[fact.subject, fact.data.order].keys()
            case OrderReturned():
                unknown += 1
            case _:
                pass
    assert known > unknown > 0


def test_a_return_goes_back_to_the_latest_order_with_its_item_and_only_else_to_none(
    lines: list[Line], year: list[Fact]
) -> None:
    latest: dict[tuple[str, str], str] = {}
    item: dict[tuple[str, str], str] = {}
    for fact in filter(is_real, year):
        for line in fact.data.lines:
            if isinstance(fact, OrderCompleted):
                latest[fact.subject, line.sku] = fact.data.order
                item[fact.data.order, line.line] = line.sku
            elif fact.data.order:
                assert latest[fact.subject, item[fact.data.order, line.line]] == fact.data.order
    sold: set[tuple[str, str]] = set()
    never_sold = 0
    for bought in lines:
        if bought.quantity > 0:
            sold.add((bought.customer, bought.item.name))
        else:
            never_sold += (bought.customer, bought.item.name) not in sold
    of_none = (fact for fact in year if isinstance(fact, OrderReturned) and not fact.data.order)
    assert sum(len(fact.data.lines) for fact in of_none) == never_sold


def test_points_on_an_orders_lines_are_those_asked_for_before_it_and_cash_makes_up_the_rest(
    year: list[Fact],
) -> None:
    asked: defaultdict[tuple[str, str], int] = defaultdict(int)
    settlement: dict[tuple[str, str], int] = {}
    with_points = 0
    for fact in without_those_sent_twice(year):
        if isinstance(fact, RedemptionRequested) and fact.data.order:
            asked[fact.subject, fact.data.order] += fact.data.points
            settlement[fact.subject, fact.data.order] = fact.data.settlement_fen
        elif isinstance(fact, OrderCompleted) and any(line.points for line in fact.data.lines):
            with_points += 1
            order = (fact.subject, fact.data.order)
            points = sum(line.points for line in fact.data.lines)
            assert points == asked[order]
            assert points + sum(line.paid_fen for line in fact.data.lines) == settlement[order]
    assert with_points > 100


def test_an_item_has_one_code_and_one_of_a_few_dozen_categories(year: list[Fact]) -> None:
    categories: defaultdict[str, set[str]] = defaultdict(set)
    for fact in year:
        if isinstance(fact, OrderCompleted):
            for line in fact.data.lines:
                categories[line.sku].add(line.category)
    assert all(len(names) == 1 for names in categories.values())
    assert {next(iter(names)) for names in categories.values()} == {name for name, _ in CATEGORIES} | {"gift"}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_the_same_sales(raw_year: list[bytes]) -> None:
    others = list(facts(2_000, seed=1))
    assert others != raw_year[:2_000]
    assert sales_of(others)[:500] == sales_of(raw_year[:4_000])[:500]
    assert list(facts(2_000)) == raw_year[:2_000]


def sales_of(raws: list[bytes]) -> list[tuple[str, str]]:
    """The orders and returns of the record among facts, and of whom they are, each once."""
    real = [fact for fact in (decode(raw)[0] for raw in raws) if is_real(fact)]
    return list(dict.fromkeys((fact.id, fact.subject) for fact in real))


def test_the_command_writes_a_fact_a_line(raw_year: list[bytes]) -> None:
    done = subprocess.run([sys.executable, "-m", "service.demo.online_retail", "3"], capture_output=True, check=True)
    assert done.stdout.splitlines() == raw_year[:3]
