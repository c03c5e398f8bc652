"""Made-up traffic: repeatable, in order, and every fact fits what came before."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ledger.wire.fact_catalogue import BY_CLASS, CATALOGUE
from ledger.wire.fact_codec import decode
from ledger.wire.facts import (
    CardRefunded,
    Fact,
    HoldCaptured,
    HoldReleased,
    HoldRequested,
    OrderCancelled,
    OrderCompleted,
    OrderPaid,
    OrderRejected,
    OrderReturned,
    RedemptionRequested,
    RedemptionReversed,
    ReviewPosted,
    ReviewRemoved,
)
from service.demo.traffic import START, traffic

FACTS, MEMBERS = 40_000, 1_000


@pytest.fixture(scope="module")
def stream() -> list[Fact]:
    """A year's traffic, decoded as the ledger does: a fact that it would park fails here."""
    return [decode(raw)[0] for raw in traffic(FACTS, MEMBERS)]


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert list(traffic(2_000, 50, seed=7)) == list(traffic(2_000, 50, seed=7))


def test_two_seeds_share_no_id_of_a_fact_or_an_order() -> None:
    one, other = ([decode(raw)[0] for raw in traffic(2_000, 50, seed=seed)] for seed in (1, 2))
    assert not {fact.id for fact in one} & {fact.id for fact in other}
    assert not orders_of(one) & orders_of(other)


def orders_of(stream: list[Fact]) -> set[str]:
    return {fact.data.order for fact in stream if isinstance(fact, OrderPaid | OrderCompleted)}


@pytest.mark.parametrize("many", [0, 1, 999])
def test_there_are_as_many_facts_as_asked_for(many: int) -> None:
    assert sum(1 for _ in traffic(many, 10)) == many


def test_ids_and_times_grow_along_the_stream(stream: list[Fact]) -> None:
    ids = [fact.id for fact in stream]
    assert ids == sorted(set(ids))
    times = [fact.time for fact in stream]
    assert times == sorted(times)
    assert times[0] >= START
    assert times[-1] < START + timedelta(days=365)


def test_traffic_fills_the_days_from_its_start_in_chinese_time() -> None:
    raws = list(traffic(1_000, 10, start=datetime(2026, 3, 1, tzinfo=UTC), days=2))
    assert all(b'+08:00","data":' in raw for raw in raws)
    times = [decode(raw)[0].time for raw in raws]
    assert times[0] >= datetime(2026, 3, 1, tzinfo=UTC)
    assert datetime(2026, 3, 2, 12, tzinfo=UTC) < times[-1] < datetime(2026, 3, 3, tzinfo=UTC)


def test_every_type_of_fact_that_members_make_is_in_it(stream: list[Fact]) -> None:
    """Those of the first programme: what others need is not in it, so that a run stays the same bytes."""
    of_others = {"order.amended", "member.described", "member.joined", "activity.done", "activity.undone"}
    of_others |= {"points.claimed", "exchange.requested", "exchange.reversed", "benefit.returned", "transfer.requested"}
    of_others |= {"house.joined", "house.left"}
    expected = {
        row.on for row in CATALOGUE if not (row.is_operators or row.is_partners or row.is_follow_up)
    } - of_others
    assert {BY_CLASS[type(fact)].on for fact in stream} == expected


def test_the_eleventh_of_november_is_the_busiest_day_and_618_comes_next(stream: list[Fact]) -> None:
    days = Counter(fact.time.astimezone(START.tzinfo).strftime("%m-%d") for fact in stream)
    assert [day for day, _ in days.most_common(2)] == ["11-11", "06-18"]


@pytest.mark.parametrize(("skew", "least", "most"), [(0.0, 5, 40), (0.8, 300, 1_000), (1.2, 1_000, 3_000)])
def test_the_more_skew_the_more_the_first_member_does(skew: float, least: int, most: int) -> None:
    """Of 10,000 facts of 500 members, of whom each does 20 on average."""
    members = Counter(decode(raw)[0].subject for raw in traffic(10_000, 500, skew=skew))
    assert least < members["m-1"] < most


def test_an_order_that_was_paid_completes_as_it_was_and_ends_once(stream: list[Fact]) -> None:
    paid: dict[str, Fact] = {}
    ended: set[str] = set()
    for fact in stream:
        match fact:
            case OrderPaid():
                paid[fact.data.order] = fact
            case OrderCompleted() | OrderCancelled() | OrderRejected():
                order = fact.data.order
                assert order not in ended
                ended.add(order)
                if order in paid:
                    assert paid[order].subject == fact.subject
                if isinstance(fact, OrderCompleted) and order in paid:
                    assert paid[order].data.lines == fact.data.lines
            case _:
                pass
    assert 0.8 < len(ended & paid.keys()) / len(paid) <= 1


def test_returns_and_reviews_are_of_lines_that_the_member_has_and_never_of_more_pieces(
    stream: list[Fact],
) -> None:
    left: dict[tuple[str, str, str], int] = {}
    unreviewed: set[tuple[str, str, str]] = set()
    for fact in stream:
        match fact:
            case OrderCompleted():
                for line in fact.data.lines:
                    left[fact.subject, fact.data.order, line.line] = line.quantity
                    unreviewed.add((fact.subject, fact.data.order, line.line))
            case OrderReturned():
                for line in fact.data.lines:
                    left[fact.subject, fact.data.order, line.line] -= line.quantity
            case ReviewPosted():
                unreviewed.remove((fact.subject, fact.data.order, fact.data.line))
            case _:
                pass
    assert min(left.values()) == 0


def test_points_on_an_order_were_redeemed_for_it_before(stream: list[Fact]) -> None:
    asked: dict[tuple[str, str], tuple[int, int]] = {}
    with_points = 0
    for fact in stream:
        if isinstance(fact, RedemptionRequested) and fact.data.order:
            asked[fact.subject, fact.data.order] = (fact.data.points, fact.data.settlement_fen)
        elif isinstance(fact, OrderPaid | OrderCompleted) and any(line.points for line in fact.data.lines):
            points = sum(line.points for line in fact.data.lines)
            cash = sum(line.paid_fen for line in fact.data.lines)
            assert (points, points + cash) == asked[fact.subject, fact.data.order]
            with_points += 1
    assert with_points > 10


@pytest.mark.parametrize(
    ("first", "name", "later"),
    [
        (ReviewPosted, "review", (ReviewRemoved,)),
        (RedemptionRequested, "redemption", (RedemptionReversed,)),
        (HoldRequested, "hold", (HoldCaptured, HoldReleased)),
    ],
)
def test_what_is_undone_was_done_before_by_the_same_member_and_once(
    stream: list[Fact], first: Any, name: str, later: tuple[Any, ...]
) -> None:
    done: set[tuple[str, str]] = set()
    undone = 0
    for fact in stream:
        if isinstance(fact, first):
            done.add((fact.subject, getattr(fact.data, name)))
        elif isinstance(fact, later):
            done.remove((fact.subject, getattr(fact.data, name)))
            undone += 1
    assert undone > 10


def test_a_card_is_refunded_at_its_price_to_who_bought_it(stream: list[Fact]) -> None:
    bought = {
        fact.data.card: (fact.subject, fact.data.paid_fen) for fact in stream if type(fact).__name__ == "CardPurchased"
    }
    refunds = [fact for fact in stream if isinstance(fact, CardRefunded)]
    assert refunds
    assert all(bought[fact.data.card] == (fact.subject, fact.data.refund_fen) for fact in refunds)


@pytest.mark.parametrize(
    "wrong",
    [
        {"facts": -1},
        {"members": 0},
        {"days": 0},
        {"skew": -0.1},
        {"seed": -1},
        {"start": datetime(2025, 1, 1)},
    ],
)
def test_what_makes_no_sense_is_said_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        traffic(**({"facts": 1, "members": 1} | wrong))
