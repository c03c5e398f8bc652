"""Worked examples of the shipped jd book: what points may be spent on, held for, and given back.

How to read them: test_worked_examples.py.
"""

import pytest

from tests.support.shop import BOOK, YUAN, Shop, shop_with


@pytest.mark.parametrize(
    ("points", "settlement_yuan", "said"),
    [
        (1_000, 20, "accepted"),  # exactly half
        (1_000, 19.99, "refused: above-share"),
        (2_000, 40, "accepted"),
        (500, 100, "refused: not-a-multiple"),
        (1_500, 100, "refused: not-a-multiple"),
        (9_000, 10_000, "refused: beans-short"),
    ],
)
def test_an_offset_is_in_thousands_and_at_most_half_of_the_settlement(
    points: int, settlement_yuan: float, said: str
) -> None:
    shop = shop_with(5_000)
    assert shop.redeems(points, "offset", order="O1", settlement_fen=round(settlement_yuan * YUAN)) == said


def test_several_offsets_for_one_order_share_its_half() -> None:
    shop = shop_with(5_000)
    assert shop.redeems(1_000, "offset", order="O1", settlement_fen=5_000) == "accepted"
    assert shop.redeems(1_000, "offset", order="O1", settlement_fen=5_000) == "accepted"
    assert shop.redeems(1_000, "offset", order="O1", settlement_fen=5_000) == "refused: above-share"
    assert shop.redeems(1_000, "offset", order="O2", settlement_fen=5_000) == "accepted"


def test_the_half_and_the_fifth_hold_for_the_sum_of_an_orders_redemptions_whatever_their_use() -> None:
    shop = shop_with(5_000)
    assert shop.redeems(1_000, "offset", order="O1", settlement_fen=5_000) == "accepted"
    assert shop.redeems(1, "top-up", order="O1", settlement_fen=5_000) == "refused: above-share", "a fifth is 1,000"
    assert shop.redeems(1_000, "offset", order="O1", settlement_fen=5_000) == "accepted", "a half is 2,500"


def test_an_offset_needs_500_beans_at_hand() -> None:
    shop = shop_with(499)
    assert shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000) == "refused: balance-too-small"
    shop.is_granted(1)
    assert shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000) == "refused: beans-short"


def test_a_spend_linked_to_an_order_is_checked_like_any_other() -> None:
    """Others skipped the balance check for a spend that named an order."""
    shop = shop_with(1_000)
    assert shop.redeems(2_000, "offset", order="O1", settlement_fen=100_000) == "refused: beans-short"
    assert shop.last.figures == {"asked": 2_000, "spendable": 1_000}
    assert shop.beans == 1_000


@pytest.mark.parametrize(
    ("points", "settlement_fen", "said"),
    [
        (1_000, 5_000, "accepted"),  # exactly a fifth
        (1_001, 5_000, "refused: above-share"),
        (10, 4_999, "refused: settlement-too-small"),
        (10, 5_000, "accepted"),
    ],
)
def test_a_top_up_is_at_most_a_fifth_of_at_least_50_yuan(points: int, settlement_fen: int, said: str) -> None:
    shop = shop_with(5_000)
    assert shop.redeems(points, "top-up", order="O1", settlement_fen=settlement_fen) == said


def test_offset_and_top_up_need_an_order_and_the_others_do_not() -> None:
    shop = shop_with(5_000)
    assert shop.redeems(1_000, "offset") == "refused: order-missing"
    assert shop.redeems(1_000, "top-up") in ("refused: order-missing", "refused: settlement-too-small")
    assert [shop.redeems(1, use) for use in ("coupon", "data", "service")] == ["accepted"] * 3


def test_a_draw_is_exactly_20_beans() -> None:
    shop = shop_with(100)
    assert [shop.redeems(n, "draw") for n in (19, 20, 21, 40)] == [
        "refused: not-exact",
        "accepted",
        "refused: not-exact",
        "refused: not-exact",
    ]
    assert shop.beans == 80


def test_all_that_is_spendable_can_be_spent_and_not_a_bean_more() -> None:
    shop = shop_with(100)
    assert shop.redeems(101) == "refused: beans-short"
    assert shop.redeems(100) == "accepted"
    assert shop.redeems(1) == "refused: beans-short"


def test_of_64_requests_for_the_last_coupon_one_is_granted() -> None:
    """Others let 64 concurrent requests claim one coupon nine times."""
    shop = shop_with(1_000)
    said = [shop.redeems(1_000, "coupon") for _ in range(64)]
    assert said.count("accepted") == 1 and said.count("refused: beans-short") == 63
    member = Shop()
    member.tries_plus()
    assert [member.claims() for _ in range(64)].count("accepted") == 1


def test_a_redemption_is_known_by_its_own_name_and_one_that_was_refused_may_be_asked_again() -> None:
    shop = shop_with(100)
    assert shop.redeems(200, redemption="R1") == "refused: beans-short"
    shop.is_granted(100)
    assert shop.redeems(200, redemption="R1") == "accepted"
    shop.is_granted(200)
    assert shop.redeems(200, redemption="R1") == "ignored: already"
    assert shop.beans == 200


def test_a_redemption_is_given_back_in_part_and_then_the_rest_and_no_more() -> None:
    shop = shop_with(100)
    shop.redeems(100, redemption="R1")
    assert shop.gives_back("R1", 30) == "accepted"
    assert shop.beans == 30
    assert shop.gives_back("R1", 500) == "accepted: points-capped"
    assert shop.beans == 100 and shop.purse.redeemed == 0
    assert shop.gives_back("R1") == "ignored: already"
    assert shop.gives_back("R9") == "ignored: unknown-redemption"


def test_points_tendered_on_an_order_come_back_with_it_and_not_by_hand() -> None:
    shop = shop_with(1_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000, redemption="R1")
    assert shop.gives_back("R1") == "ignored: redemption-of-an-order"


def test_a_redemption_for_an_order_already_ended_is_decided_like_any_other() -> None:
    shop = shop_with(1_000)
    shop.completes("O1", BOOK)
    assert shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000) == "accepted: order-ended"


def test_a_request_a_day_old_is_taken_and_one_a_second_older_is_stale() -> None:
    shop = shop_with(100, now="2025-11-10")
    at = "2025-11-11 10:00:00"
    assert shop.redeems(10, at=at, recorded="2025-11-12 10:00:00") == "accepted"
    assert shop.redeems(10, at=at, recorded="2025-11-12 10:00:01") == "refused: stale"
    assert shop.is_granted(1, at=at) == "accepted", "only requests grow stale"


def test_a_frozen_account_goes_on_earning_and_refuses_requests() -> None:
    shop = shop_with(100)
    shop.buys("plus.annual")
    shop.is_frozen()
    assert shop.shown["frozen"] is True
    assert shop.redeems(10) == shop.claims() == shop.holds("H1", 10, "2026-01-01") == "refused: account-frozen"
    shop.completes("O1", BOOK)
    assert shop.beans == 200
    shop.is_unfrozen()
    assert shop.redeems(10) == "accepted"
    assert shop.is_unfrozen() == "ignored: not-frozen"


def test_held_points_are_neither_spendable_nor_in_a_lot() -> None:
    shop = shop_with(100)
    assert shop.holds("H1", 60, "2025-11-20") == "accepted"
    assert (shop.beans, shop.purse.held(), shop.lots) == (40, 60, [40])
    assert shop.redeems(41) == "refused: beans-short"
    assert shop.holds("H2", 41, "2025-11-20") == "refused: beans-short"
    assert shop.holds("H1", 1, "2025-11-20") == "ignored: already"


def test_a_capture_in_part_releases_the_rest() -> None:
    shop = shop_with(100)
    shop.holds("H1", 60, "2025-11-20")
    assert shop.captures("H1", 25) == "accepted"
    assert (shop.beans, shop.purse.held(), shop.purse.redeemed) == (75, 0, 25)
    assert shop.captures("H1", 25) == "ignored: already"
    assert shop.releases("H1") == "ignored: hold-ended"


def test_no_more_is_captured_than_is_held() -> None:
    shop = shop_with(100)
    shop.holds("H1", 60, "2025-11-20")
    assert shop.captures("H1", 90) == "accepted: points-capped"
    assert (shop.beans, shop.purse.redeemed) == (40, 60)


def test_a_hold_ends_by_itself_at_its_instant() -> None:
    shop = shop_with(100)
    shop.holds("H1", 60, "2025-11-20")
    assert shop.on("2025-11-19 23:59:59").beans == 40
    assert shop.on("2025-11-20").beans == 100
    assert shop.captures("H1", 10, at="2025-11-20") == "ignored: hold-ended"
    assert shop.holds("H2", 10, "2025-11-20") == "refused: hold-over"


def test_held_points_do_not_expire_while_held_and_expire_at_once_when_released() -> None:
    shop = Shop()
    shop.is_granted(100, expires="2025-12-01")
    shop.holds("H1", 60, "2026-02-01")
    waiting = shop.on("2026-01-01")
    assert (waiting.beans, waiting.purse.held(), waiting.purse.expired) == (0, 60, 40)
    over = shop.on("2026-02-01")
    assert (over.beans, over.purse.held(), over.purse.expired) == (0, 0, 100)
    shop.captures("H1", 50, at="2026-01-01")
    assert (shop.purse.redeemed, shop.purse.expired) == (50, 50)


def test_released_points_repay_debt_first() -> None:
    shop = shop_with(100)
    shop.holds("H1", 100, "2025-11-20")
    shop.is_adjusted(-30)
    assert shop.debt == 30
    shop.releases("H1")
    assert (shop.beans, shop.debt) == (70, 0)
