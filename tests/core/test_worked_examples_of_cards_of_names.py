"""What orders of one name earned at the rate of another name's card: two-accounts.md F and G, with orders.md 10.

How to read them: test_worked_examples.py.
"""

import pytest

from ledger.core import card_orders
from ledger.rulebook.schema import shipped
from tests.core.test_worked_examples_of_merges import done, merges, parts, spendable, takes_back
from tests.support.town import Town

PRICE = 14_900


def earned(town: Town, *orders: tuple[str, str, int], on: str = "order.completed") -> None:
    """Orders of a line each: the name, the order and the price in fen."""
    for name, order, fen in orders:
        line = {"line": "1", "category": "phone", "quantity": 1, "paid_fen": fen}
        town.tells(name, on, order=order, lines=[line])
        done(town)


def together(*orders: tuple[str, str, int]) -> Town:
    """A and B are one, at B, who has the card K; at its rate a line of ¥1,000 earns 1,000 beans, else 100."""
    town = Town(shipped("jd"), "2025-05-01 12:00")
    town.tells("B", "card.purchased", card="K", product="plus.annual", paid_fen=PRICE)
    earned(town, *orders, on="order.paid")
    merges(town, "A", "B")
    done(town)
    earned(town, *orders)
    return town


def refunds(town: Town, name: str = "B") -> str:
    answer = town.tells(name, "card.refunded", at="2025-05-03 12:00", card="K", refund_fen=PRICE)
    done(town)
    return answer


def test_a_refund_reaches_the_orders_of_a_name_that_has_left() -> None:
    """Both have an order O1, of ¥1,000 and ¥2,000: at the ordinary rate 100 and 200 beans, and 0 once returned."""
    town = together(("A", "O1", 100_000), ("B", "O1", 200_000))
    parts(town, "B", "A")
    done(town)
    assert spendable(town, "A", "B") == [1_000, 2_000]
    assert refunds(town).startswith("accepted")
    assert spendable(town, "A", "B") == [100, 200]
    for name, fen in (("A", 100_000), ("B", 200_000)):
        takes_back(town, name, "O1", fen)
    assert spendable(town, "A", "B") == [0, 0]


def test_what_was_spent_meanwhile_is_owed_by_the_name_whose_order_it_was() -> None:
    """Of A's 1,000 beans 950 are spent: of the 900 that are too many 50 are there, and 850 are owed."""
    town = together(("A", "O1", 100_000))
    parts(town, "B", "A")
    done(town)
    data = {"redemption": "R", "kind": "beans", "points": 950, "use": "coupon"}
    assert town.tells("A", "redemption.requested", **data) == "accepted"
    refunds(town)
    assert [(town.member(name).purse().spendable(), town.member(name).purse().debt) for name in "AB"] == [
        (0, 850),
        (0, 0),
    ]


def test_while_they_are_one_both_orders_of_one_id_are_met() -> None:
    town = together(("A", "O1", 100_000), ("B", "O1", 200_000))
    refunds(town)
    assert spendable(town, "B") == [100 + 200]
    parts(town, "B", "A")
    done(town)
    assert spendable(town, "A", "B") == [100, 200]


def test_it_follows_the_name_wherever_that_is_by_then() -> None:
    """A parted from B and became C's: the orders are met there, under A's name."""
    town = together(("A", "O1", 100_000))
    parts(town, "B", "A")
    done(town)
    merges(town, "A", "C")
    done(town)
    refunds(town)
    assert spendable(town, "A", "B", "C") == [0, 0, 100]
    parts(town, "C", "A")
    done(town)
    assert spendable(town, "A", "C") == [100, 0]


def test_a_card_that_left_with_its_name_reaches_the_orders_that_stayed() -> None:
    town = Town(shipped("jd"), "2025-05-01 12:00")
    town.tells("A", "card.purchased", card="K", product="plus.annual", paid_fen=PRICE)
    merges(town, "A", "B")
    done(town)
    earned(town, ("B", "O1", 100_000), ("A", "O2", 100_000))
    parts(town, "B", "A")
    done(town)
    assert spendable(town, "A", "B") == [1_000, 1_000]
    refunds(town, "A")
    assert spendable(town, "A", "B") == [100, 100]


def test_many_orders_stay_with_their_card_and_are_told_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_orders, "ORDERS_A_PAGE", 2)
    town = together(*(("A", f"O{number}", 10_000) for number in range(5)))
    parts(town, "B", "A")
    done(town)
    refunds(town)
    assert [letter.to for letter in town.sent if letter.kind == "card.taken-back.v1"] == ["A"] * 3
    assert spendable(town, "A", "B") == [5 * 10, 0]
