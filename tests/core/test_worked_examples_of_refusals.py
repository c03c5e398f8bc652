"""Worked examples of the shipped jd book: orders refused at the door.

How to read them: test_worked_examples.py.
"""

from tests.support.shop import shop_with


def test_the_first_refusal_of_a_month_is_free_and_the_second_costs_500() -> None:
    shop = shop_with(2_000)
    shop.refuses_at_the_door("O1", at="2025-11-12")
    assert shop.beans == 2_000
    shop.refuses_at_the_door("O2", at="2025-11-30 23:59")
    assert shop.beans == 1_500
    shop.refuses_at_the_door("O3", at="2025-12-01")
    assert shop.beans == 1_500, "a new month, and the third of the year"


def test_the_fourth_refusal_of_a_year_costs_500_whatever_the_month() -> None:
    shop = shop_with(2_000, now="2025-01-02")
    for month in ("01", "03", "05"):
        shop.refuses_at_the_door(f"O{month}", at=f"2025-{month}-05")
    assert shop.beans == 2_000
    shop.refuses_at_the_door("O4", at="2025-07-05")
    assert shop.beans == 1_500
    shop.refuses_at_the_door("O5", at="2026-01-01")
    assert shop.beans == 1_500, "Shanghai's calendar year begins again"


def test_the_year_of_refusals_turns_at_midnight_in_shanghai() -> None:
    shop = shop_with(2_000, now="2025-12-01")
    shop.refuses_at_the_door("O1", at="2025-12-05")
    shop.refuses_at_the_door("O2", at="2025-12-31T16:00:00+00:00")  # 1 January 00:00 in Shanghai
    assert shop.beans == 2_000


def test_a_penalty_beyond_what_she_has_is_debt_and_never_a_negative_balance() -> None:
    shop = shop_with(200)
    shop.refuses_at_the_door("O1")
    shop.refuses_at_the_door("O2")
    assert (shop.beans, shop.debt) == (0, 300)
    assert shop.purse.clawed_back == 200, "points really taken"


def test_plus_exempts_the_first_five_refusals_of_a_month_that_fall_under_it() -> None:
    shop = shop_with(2_000)
    shop.buys("plus.annual")
    said = [shop.refuses_at_the_door(f"O{n}") for n in range(1, 6)]
    assert said == ["accepted", *["accepted: exempt"] * 4]
    assert shop.beans == 2_000
    shop.refuses_at_the_door("O6")
    assert shop.beans == 1_500


def test_a_refusal_that_plus_exempted_still_counts() -> None:
    shop = shop_with(2_000, now="2025-11-01")
    shop.buys("plus.month", card="C1")
    shop.refuses_at_the_door("O1", at="2025-11-02")
    shop.refunds_card("C1", at="2025-11-03")
    shop.refuses_at_the_door("O2", at="2025-11-04")
    assert shop.beans == 1_500


def test_refusing_an_order_nobody_saw_counts_all_the_same() -> None:
    shop = shop_with(1_000)
    assert shop.refuses_at_the_door("never seen") == "accepted"
    shop.refuses_at_the_door("never seen either")
    assert shop.beans == 500
