"""What is aimed at a lot by its name, or at the grant that opened it, reaches it wherever its name lives now."""

import pytest

from tests.core.test_laws_of_reach import BOOK as REACH
from tests.core.test_worked_examples_of_gifts import BOOK
from tests.core.test_worked_examples_of_merges import done, merges, parts, spendable
from tests.core.test_worked_examples_of_merges import takes_back as returns
from tests.support.shop import OPERATORS
from tests.support.town import Town


def adjusts(town: Town, name: str, points: int, **of: str) -> str:
    about = {"adjustment": f"J{len(town.sent)}-{name}-{points}", "reason": "test", "by": "ann", "approved_by": "bob"}
    answer = town.tells(name, "points.adjusted", "", OPERATORS, **about, points=points, of=of)
    return done(town)[-1] if answer == "accepted: forwarded" else answer


def grants(town: Town, name: str, grant: str, points: int) -> None:
    town.tells(name, "campaign.granted", grant=grant, campaign="c", points=points, expires="2026-06-01T00:00:00+08:00")


def merged() -> Town:
    """A with the lots 1.1 (an order's, 100), 2.1 (a grant's, 40), B with 1.1 (an order's, 7), 2.1 (a grant's, 5)."""
    town = Town(BOOK, "2025-04-01 10:00")
    for name, beans, granted in (("A", 100, 40), ("B", 7, 5)):
        town.tells(name, "order.completed", order=f"O{name}", lines=[{"line": "1", "paid_fen": beans * 100}])
        grants(town, name, "G", granted)
    merges(town, "A", "B")
    done(town)
    return town


@pytest.mark.parametrize(("name", "lot"), [("A", "1.1"), ("B", "1.1~1.1")])
def test_an_adjustment_reaches_the_lot_of_the_name_that_is_meant_and_returns_reckon_with_it(
    name: str, lot: str
) -> None:
    town = merged()
    assert adjusts(town, name, -30, lot=lot) == "accepted"
    assert spendable(town, "B") == [152 - 30]
    returns(town, "A", "OA")
    done(town)
    assert spendable(town, "B") == [52], "of A's order 70 were left"
    returns(town, "B", "OB")
    done(town)
    assert spendable(town, "B") == [45], "B's own was not touched"


def test_a_lot_without_a_name_is_one_of_the_name_that_was_meant_and_of_no_other() -> None:
    town = merged()
    grants(town, "B", "later", 9)
    third = town.member("B").last.number
    assert adjusts(town, "B", -7, lot="1.1") == "accepted"
    assert spendable(town, "B") == [152 + 9 - 7]
    assert adjusts(town, "A", -9, lot=f"{third}.1") == "ignored: unknown-award", "A opened none of that name"
    for lot in ("1.1~2.1", "1.1~1.0", "9.1", f"{1 << 40}.1"):
        assert adjusts(town, "B", -1, lot=lot) == "ignored: unknown-award"
    assert adjusts(town, "A", -1, lot="1.1~1.1") == "ignored: unknown-award", "A may number names otherwise"


def test_points_put_on_stand_under_the_name_that_was_meant_whatever_they_are_aimed_at() -> None:
    town = merged()
    assert adjusts(town, "A", 3, lot="9.1") == adjusts(town, "B", 4, lot="1.1~1.1") == "accepted"
    parts(town, "B", "A")
    done(town)
    assert spendable(town, "A", "B") == [147, 12], "what is aimed at a lot goes with it"


def test_a_grant_is_reached_and_no_more_than_it_holds_is_taken() -> None:
    town = merged()
    assert adjusts(town, "A", -100, grant="G") == "accepted: adjustment-capped"
    assert spendable(town, "B") == [112]
    assert adjusts(town, "B", -1, grant="G") == "accepted"
    assert spendable(town, "B") == [111]


def test_a_lot_opened_at_the_head_under_another_name_goes_with_that_name() -> None:
    town = merged()
    grants(town, "A", "since", 20)
    done(town)
    lot = f"{town.member('B').last.number}.1"
    assert adjusts(town, "B", -5, lot=f"{lot}~1.0") == "accepted"
    assert parts(town, "B", "A") == "accepted"
    done(town)
    assert spendable(town, "A", "B") == [155, 12]
    known = town.member("A").account.bundle.known.index("B") + 1
    assert adjusts(town, "A", -100, lot=f"{lot}~0.{known}") == "accepted: adjustment-capped"
    assert spendable(town, "A", "B") == [140, 12]
    assert adjusts(town, "A", -1, lot="1.1") == adjusts(town, "B", -1, lot="1.1") == "accepted"
    assert spendable(town, "A", "B") == [139, 11]
    town.check_streams()


@pytest.mark.parametrize("parted", [False, True])
def test_a_card_that_is_refunded_whole_takes_back_what_its_orders_gave_wherever_they_live(parted: bool) -> None:
    """Twice the ordinary rate: of 200 beans 100 stay, of which 150 were spent before the names met."""
    town = Town(REACH, "2025-04-01 10:00")
    town.tells("A", "card.purchased", card="K", product="club.year", paid_fen=9_900)
    town.tells("A", "order.completed", order="O", lines=[{"line": "1", "paid_fen": 10_000}])
    town.spends("A", 150, "R")
    town.opens("B", "L", 60, "2030-01-01")
    merges(town, "A", "B")
    done(town)
    assert spendable(town, "B") == [110]
    if parted:
        parts(town, "B", "A")
        done(town)
    town.tells("A", "card.refunded", card="K", refund_fen=9_900)
    done(town)
    assert spendable(town, "A", "B") == ([0, 60] if parted else [0, 10])
    assert [town.member(name).purse().debt for name in ("A", "B")] == ([50, 0] if parted else [0, 0])
    town.tells("A", "redemption.reversed", redemption="R")
    returns(town, "A", "O")
    done(town)
    assert spendable(town, "A", "B") == [0, 60]
