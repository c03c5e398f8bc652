"""Worked examples of the shipped jd book: 京享值: what scores, in which month, and how it ages.

How to read them: test_worked_examples.py.
"""

import pytest

from ledger.wire.entries import Resettled
from tests.support.shop import YUAN, Shop, shop_with


def test_the_score_of_january_2019_counts_the_year_2018() -> None:
    shop = Shop(now="2017-12-31 23:59:59")
    shop.completes("O1", [("", 1, 100 * YUAN)])
    shop.completes("O2", [("", 1, 20 * YUAN)], at="2018-01-01 00:00")
    shop.completes("O3", [("", 1, 3 * YUAN)], at="2018-12-31 23:59:59")
    shop.completes("O4", [("", 1, 1_000 * YUAN)], at="2019-01-01 00:00")
    assert shop.score["month"] == "2019-01" and shop.score["value"] == 23
    assert shop.on("2019-02-01").score["value"] == 1_003, "February: from 2018-02-01 to 2019-01-31"


def test_the_month_of_a_score_turns_at_midnight_in_shanghai_and_once() -> None:
    """Others settled a month's end in the wrong time zone, or twice."""
    shop = Shop(now="2025-10-05")
    shop.completes("O1", [("", 1, 100 * YUAN)], at="2025-10-31T15:59:59+00:00")  # October in Shanghai
    shop.completes("O2", [("", 1, 900 * YUAN)], at="2025-10-31T16:00:00+00:00")  # November
    assert shop.score["value"] == 100
    assert shop.on("2025-11-30T15:59:59+00:00").score["value"] == 100
    assert shop.on("2025-11-30T16:00:00+00:00").score["value"] == 1_000
    assert shop.on("2025-12-01").on("2025-12-01").on("2025-12-31").score["value"] == 1_000


def test_each_yuan_is_a_point_each_line_and_a_new_category_10_more() -> None:
    shop = Shop(now="2025-10-05")
    shop.completes("O1", [("phone", 1, 19_999), ("phone", 1, 99), ("food", 1, 0), ("", 1, 150)])
    assert shop.on("2025-11-01").score["parts"]["purchase"] == 199 + 0 + 0 + 1 + 10 + 10


def test_a_category_is_new_once_in_stream_order_and_in_the_month_of_its_order() -> None:
    shop = Shop(now="2025-10-05")
    shop.completes("O1", [("phone", 1, 0)])
    shop.completes("O2", [("phone", 1, 0)], at="2025-09-05")  # reported later, bought before
    assert shop.on("2025-10-31").score["parts"]["purchase"] == 0
    assert shop.on("2025-11-01").score["parts"]["purchase"] == 10


def test_three_different_days_with_an_order_in_a_month_give_30_once() -> None:
    shop = Shop(now="2025-10-01")
    for day in ("02", "02", "03"):
        shop.completes(f"O{len(shop.entries)}", [("", 1, 0)], at=f"2025-10-{day}")
    assert shop.on("2025-11-01").score["value"] == 0
    for day in ("31", "30", "29"):
        shop.completes(f"O{len(shop.entries)}", [("", 1, 0)], at=f"2025-10-{day} 12:00")
    assert shop.on("2025-11-01").score["value"] == 30


def test_what_comes_back_loses_its_score_in_the_month_that_earned_it_and_the_day_and_category_stay() -> None:
    shop = Shop(now="2025-08-01")
    for day in ("02", "03", "04"):
        shop.completes(f"O{day}", [("phone", 1, 100 * YUAN)], at=f"2025-08-{day}")
    assert shop.on("2025-09-01").score["value"] == 300 + 10 + 30
    shop.returns("O04", [("1", 1, 100 * YUAN)], at="2025-10-15")
    assert shop.score["value"] == 200 + 10 + 30
    assert [c.first_month for c in shop.last.changes if isinstance(c, Resettled)], "settled months are said to move"


@pytest.mark.parametrize(
    ("each", "cap", "verb"),
    [(2, 50, Shop.answers), (2, 10, Shop.shares)],
)
def test_answers_and_shares_score_2_up_to_their_cap_of_the_month(each: int, cap: int, verb) -> None:  # type: ignore[no-untyped-def]
    shop = Shop(now="2025-10-05")
    for _ in range(cap // each):
        verb(shop)
    assert shop.on("2025-11-01").score["parts"]["activity"] == cap
    assert verb(shop) == "accepted", "a fact that earns nothing is accepted"
    assert shop.on("2025-11-01").score["parts"]["activity"] == cap
    verb(shop, at="2025-11-05")
    assert shop.on("2025-12-01").score["parts"]["activity"] == cap + each


@pytest.mark.parametrize(("images", "each", "cap"), [(1, 5, 150), (0, 2, 60)])
def test_photo_reviews_score_5_up_to_150_and_others_2_up_to_60(images: int, each: int, cap: int) -> None:
    shop = Shop(now="2025-10-05")
    shop.completes("O1", [("", 1, 0)] * 40)
    before = shop.on("2025-11-01").score["parts"]["activity"]
    for line in range(1, cap // each + 2):
        shop.reviews("O1", line=str(line), images=images, characters=0)
    assert before == 0
    assert shop.on("2025-11-01").score["parts"]["activity"] == cap


def test_a_photo_review_is_not_also_a_review() -> None:
    shop = Shop(now="2025-10-05")
    shop.completes("O1", [("", 1, 0)] * 2)
    shop.reviews("O1", line="1", images=3)
    shop.reviews("O1", line="2", images=0, characters=0)
    assert shop.on("2025-11-01").score["parts"]["activity"] == 5 + 2


def test_no_room_comes_back_under_a_cap_when_a_review_is_taken_down() -> None:
    shop = Shop(now="2025-10-05")
    shop.completes("O1", [("", 1, 0)] * 40)
    for line in range(1, 31):
        shop.reviews("O1", line=str(line), images=1, review=f"V{line}")
    shop.takes_review_down("V1")
    shop.reviews("O1", line="31", images=1)
    assert shop.on("2025-11-01").score["parts"]["activity"] == 145


def test_jd_pay_scores_2_an_order_at_completion_up_to_60() -> None:
    shop = Shop(now="2025-10-05")
    shop.completes("O0", [("", 1, 0)], pay="card")
    for number in range(1, 32):
        shop.completes(f"O{number}", [("", 1, 0)], pay="jd-pay")
    assert shop.on("2025-11-01").score["parts"]["activity"] == 60


def test_identity_wechat_and_qq_count_at_once_once_and_for_ever() -> None:
    shop = Shop(now="2020-01-05")
    shop.verifies_identity()
    assert shop.score["value"] == 100
    shop.binds_wechat()
    shop.binds_qq()
    assert shop.verifies_identity() == "accepted"
    assert shop.score["parts"]["account"] == 140
    assert shop.on("2030-01-05").score["value"] == 140


def test_one_star_holds_the_score_at_200_until_the_stars_return() -> None:
    shop = Shop(now="2025-10-05")
    shop.completes("O1", [("", 1, 9_000 * YUAN)])
    shop.is_rated(1, at="2025-11-02")
    assert (shop.score["value"], shop.score["tier"]) == (200, "")
    shop.is_rated(5)
    assert (shop.score["value"], shop.score["tier"]) == (9_000, "5001")


def test_one_star_does_not_lift_a_smaller_score() -> None:
    shop = Shop(now="2025-10-05")
    shop.verifies_identity()
    shop.is_rated(1)
    assert shop.score["value"] == 100


@pytest.mark.parametrize(
    ("value", "tier"),
    [(200, ""), (201, "201"), (5_000, "201"), (5_001, "5001"), (10_001, "10001"), (20_000, "10001"), (20_001, "20001")],
)
def test_the_tiers_begin_at_201_5001_10001_and_20001(value: int, tier: str) -> None:
    shop = Shop(now="2025-10-05")
    shop.completes("O1", [("", 1, value * YUAN)])
    assert shop.on("2025-11-01").score["tier"] == tier


def test_a_tier_follows_what_was_earned_and_not_what_is_left_to_spend() -> None:
    """Others let tiers follow the spendable balance."""
    shop = Shop(now="2025-10-05")
    shop.completes("O1", [("", 1, 6_000 * YUAN)])
    tier = shop.on("2025-11-01").score["tier"]
    shop.redeems(shop.beans)
    assert shop.beans == 0
    assert shop.on("2025-11-01").score["tier"] == tier == "5001"


def test_a_score_ages_out_after_twelve_months() -> None:
    shop = Shop(now="2025-10-05")
    shop.completes("O1", [("", 1, 6_000 * YUAN)])
    assert shop.on("2026-10-31").score["value"] == 6_000
    assert shop.on("2026-11-01").score["value"] == 0


def test_no_score_comes_from_beans_credit_or_what_the_book_does_not_name() -> None:
    shop = shop_with(1_000, now="2025-10-05")
    shop.signs_in()
    shop.visits("a")
    shop.has_credit(110)
    shop.buys("plus.annual")
    assert shop.on("2025-11-01").score["value"] == 0
