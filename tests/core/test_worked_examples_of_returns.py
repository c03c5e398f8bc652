"""Worked examples of the shipped jd book: what comes back: exact claw-back, restored points, debt.

How to read them: test_worked_examples.py.
"""

import pytest

from ledger.wire.entries import PaidInCash
from tests.support.shop import BOOK, PHONE, Shop, shop_with


def test_a_return_takes_back_exactly_what_its_lines_earned() -> None:
    """Others let a refund keep the points that it had earned."""
    shop = Shop()
    shop.completes("O1", [("phone", 1, 359_900), ("books", 1, 10_000)])
    shop.returns("O1", [("1", 1, 359_900)])
    assert shop.beans == 10 and shop.purse.clawed_back == 359


def test_the_same_return_under_another_fact_takes_nothing_twice() -> None:
    """Others took the points twice."""
    shop = Shop()
    shop.completes("O1", PHONE)
    shop.is_granted(500)
    shop.returns("O1", [("1", 1, 359_900)], back="T1")
    assert shop.returns("O1", [("1", 1, 359_900)], back="T1") == "ignored: already"
    assert shop.returns("O1", [("1", 1, 359_900)], back="T2") == "accepted"
    assert shop.beans == 500


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ([(1, 3_333)], 6),  # 10 beans for ¥100, ¥33.33 back: 10 · 66.67 / 100, rounded down
        ([(1, 3_333), (1, 3_333)], 3),
        ([(1, 3_333), (1, 3_333), (1, 3_334)], 0),
        ([(0, 5_000)], 5),  # money back without the piece
        ([(0, 1)], 9),
        ([(3, 0)], 0),  # all pieces back: nothing is kept, whatever was refunded
        ([(2, 0)], 10),  # pieces without money change nothing yet
        ([(2, 0), (1, 0)], 0),
        ([(9, 10_000)], 0),  # more pieces than bought count as those bought
        ([(1, 99_999)], 0),  # more money than paid counts as what was paid
    ],
)
def test_a_part_return_keeps_what_the_money_kept_would_have_earned(steps: list[tuple[int, int]], left: int) -> None:
    """Others ignored partial returns. However many steps: K = A · (P − F) / P, rounded down once."""
    shop = Shop()
    shop.completes("O1", [("books", 3, 10_000)])
    for pieces, fen in steps:
        assert shop.returns("O1", [("1", pieces, fen)]) == "accepted"
    assert shop.beans == left


def test_twenty_small_returns_take_as_much_as_one() -> None:
    shop = Shop()
    shop.completes("O1", [("phone", 20, 359_900)])
    for _ in range(20):
        shop.returns("O1", [("1", 1, 17_995)])
    assert shop.beans == 0 and shop.purse.clawed_back == 359


def test_a_return_reverses_at_the_rule_and_rate_that_gave_it() -> None:
    shop = Shop()
    shop.buys("plus.month", at="2025-11-01")
    shop.completes("O1", BOOK, at="2025-11-02")
    shop.returns("O1", [("1", 1, 10_000)], at="2026-03-01")  # the card is long over
    assert shop.beans == 0 and shop.purse.clawed_back == 100


def test_a_return_years_later_still_finds_its_order() -> None:
    shop = Shop()
    shop.completes("O1", PHONE, at="2022-11-11")
    shop.is_granted(1_000, at="2025-11-11")
    assert shop.returns("O1", [("1", 1, 359_900)]) == "accepted"
    assert shop.beans == 1_000, "its own lot expired: what is gone is not asked for again"


def test_beans_that_were_spent_come_from_other_lots_in_burn_order() -> None:
    shop = Shop()
    shop.completes("O1", PHONE)  # until the end of 2026
    shop.is_granted(100, expires="2026-05-01")
    shop.is_granted(500, expires="2028-01-01")
    shop.redeems(459)  # the 100 and the 359
    shop.is_granted(50, expires="2026-02-01")
    shop.returns("O1", [("1", 1, 359_900)])
    assert shop.lots == [191], "50 of the next to expire, 309 of the 500"


def test_what_cannot_be_taken_back_reduces_the_refund_and_the_rest_is_debt() -> None:
    """Others let a shortfall on claw-back vanish."""
    shop = Shop()
    shop.completes("O1", PHONE)
    shop.redeems(359)
    shop.returns("O1", [("1", 1, 300)])  # ¥3 are refunded of ¥3,599
    cash = [change for change in shop.last.changes if isinstance(change, PaidInCash)]
    assert [(c.points, c.fen) for c in cash] == [(300, 300)]
    assert (shop.debt, shop.beans, shop.purse.cash_shortfall_fen) == (59, 0, 300)


def test_the_cash_is_limited_by_the_refund_of_the_whole_return() -> None:
    shop = Shop()
    shop.completes("O1", [("a", 1, 100_000), ("b", 1, 100_000)])
    shop.redeems(200)
    shop.returns("O1", [("1", 1, 0), ("2", 1, 150)])
    assert (shop.purse.cash_shortfall_fen, shop.debt) == (150, 50)


def test_later_earnings_repay_debt_first_and_visibly() -> None:
    shop = Shop()
    shop.refuses_at_the_door("O1")
    shop.refuses_at_the_door("O2")
    assert shop.debt == 500 and shop.beans == 0
    shop.is_granted(300)
    assert (shop.debt, shop.beans) == (200, 0)
    shop.is_granted(300)
    assert (shop.debt, shop.beans) == (0, 100)
    assert shop.purse.clawed_back == 500


def test_of_a_lot_partly_spent_and_partly_expired_the_expired_is_met_first() -> None:
    shop = Shop()
    shop.completes("O1", [("books", 2, 20_000)], at="2025-11-11")  # 20 beans, until the end of 2026
    shop.redeems(12)
    shop.is_granted(100, at="2027-02-01")  # the other 8 are gone by now
    shop.returns("O1", [("1", 1, 10_000)])  # 10 are asked for: 8 of them expired, 2 were spent
    assert shop.beans == 98
    shop.returns("O1", [("1", 1, 10_000)])  # the other 10: spent
    assert shop.beans == 88


def test_points_tendered_come_back_to_their_own_lots_the_last_taken_first() -> None:
    shop = Shop()
    shop.is_granted(700, expires="2026-01-01")
    shop.is_granted(700, expires="2026-06-01")
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    assert shop.lots == [400]
    shop.completes("O1", [("food", 1, 4_000, 1_000)])
    shop.returns("O1", [("1", 0, 0 + 1, 500)])
    assert shop.lots == [200, 700], "300 to the later lot, then 200 to the sooner"
    assert shop.purse.redeemed == 500


def test_no_more_points_come_back_than_were_tendered() -> None:
    shop = shop_with(1_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    shop.completes("O1", [("food", 1, 4_000, 1_000)])
    assert shop.returns("O1", [("1", 1, 4_000, 5_000)]) == "accepted: points-capped"
    assert shop.beans == 1_000


def test_restored_points_keep_their_own_expiry_and_what_expired_meanwhile_stays_expired() -> None:
    shop = Shop()
    shop.is_granted(1_000, expires="2025-12-01")
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    shop.completes("O1", [("food", 2, 4_000, 1_000)])
    shop.returns("O1", [("1", 1, 0, 400)], at="2025-11-30")
    assert shop.beans == 400 and shop.on("2025-12-01").beans == 0
    shop.returns("O1", [("1", 0, 1, 600)], at="2025-12-02")
    assert shop.beans == 0
    assert (shop.purse.redeemed, shop.purse.expired) == (0, 1_000)


def test_within_one_return_points_are_restored_before_lines_are_clawed_back() -> None:
    shop = shop_with(1_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=100_000)
    shop.completes("O1", [("phone", 1, 100_000, 1_000)])
    shop.redeems(100)  # what the order earned
    shop.returns("O1", [("1", 1, 100_000, 1_000)])
    assert shop.beans == 900 and shop.debt == 0 and shop.purse.cash_shortfall_fen == 0


def test_restored_points_repay_debt_first() -> None:
    shop = shop_with(1_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    shop.is_adjusted(-300)
    assert shop.debt == 300
    shop.cancels("O1")
    assert (shop.beans, shop.debt) == (700, 0)


def test_a_cancelled_or_refused_order_gives_back_all_points_tendered_on_it() -> None:
    for ends in (Shop.cancels, Shop.refuses_at_the_door):
        shop = shop_with(2_000)
        shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
        shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
        assert shop.beans == 0
        assert ends(shop, "O1") == "accepted"
        assert shop.beans == 2_000 and shop.purse.redeemed == 0


def test_a_return_before_completion_waits_and_is_applied_then() -> None:
    shop = Shop()
    shop.pays("O1", [("books", 2, 20_000)])
    assert shop.returns("O1", [("1", 1, 10_000)]) == "accepted: before-completion"
    shop.completes("O1", [("books", 2, 20_000)])
    assert shop.beans == 10
    assert shop.purse.issued == 20, "the whole is awarded, and then half taken back"


def test_a_return_before_completion_of_an_order_only_redeemed_for_waits_too() -> None:
    shop = shop_with(1_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    assert shop.returns("O1", [("1", 1, 10_000, 400)]) == "accepted: before-completion"
    assert shop.beans == 400
    shop.completes("O1", [("books", 2, 20_000, 600)])
    assert shop.beans == 400 + 10


def test_a_return_of_an_order_nobody_saw_is_remembered_where_it_names_one() -> None:
    shop = Shop()
    assert shop.returns("O1", [("1", 1, 10_000)], back="T1") == "accepted: unknown-order"
    assert shop.returns("", [("1", 1, 10_000)]) == "ignored: unknown-order"
    shop.completes("O1", BOOK)
    assert shop.beans == 0
    assert shop.returns("O1", [("1", 1, 10_000)], back="T1") == "ignored: already"


def test_a_return_of_a_line_that_is_not_there_goes_on_with_its_other_lines() -> None:
    shop = Shop()
    shop.completes("O1", BOOK)
    assert shop.returns("O1", [("7", 1, 100)]) == "ignored: unknown-line"
    assert shop.returns("O1", [("7", 1, 100), ("1", 1, 10_000)]) == "accepted: unknown-line"
    assert shop.beans == 0


def test_points_of_lines_that_do_not_add_up_are_reported_and_the_redemptions_count() -> None:
    shop = shop_with(1_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    assert shop.completes("O1", [("food", 1, 4_000, 300)]) == "accepted: points-differ"
    assert shop.last.figures == {"tendered": 300, "redeemed": 1_000}


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        (Shop.cancels, Shop.cancels, "ignored: already"),
        (Shop.cancels, Shop.refuses_at_the_door, "ignored: order-cancelled"),
        (Shop.refuses_at_the_door, Shop.cancels, "ignored: order-rejected"),
        (Shop.refuses_at_the_door, Shop.refuses_at_the_door, "ignored: already"),
    ],
)
def test_an_order_ends_once(first, then, said: str) -> None:  # type: ignore[no-untyped-def]
    shop = Shop()
    shop.pays("O1", PHONE)
    first(shop, "O1")
    assert then(shop, "O1") == said
    assert shop.returns("O1", [("1", 1, 1)]).startswith("ignored: order-")
    if first is Shop.refuses_at_the_door:
        assert shop.completes("O1", PHONE) == "ignored: order-rejected"
    assert shop.beans == 0


def test_a_completed_order_cannot_be_cancelled_refused_or_paid_any_more() -> None:
    shop = Shop()
    shop.completes("O1", PHONE)
    for verb in (shop.cancels, shop.refuses_at_the_door):
        assert verb("O1") == "ignored: order-completed"
    assert shop.pays("O1", PHONE) == "ignored: order-completed"
    assert shop.beans == 359


def test_an_order_completed_twice_is_awarded_once() -> None:
    """Others awarded twice for a replayed order, and an offline till's retry doubled points."""
    shop = Shop()
    shop.completes("O1", PHONE)
    assert shop.hears_again() == "ignored: duplicate", "the very same fact"
    assert shop.completes("O1", PHONE) == "ignored: already", "the same order under another fact"
    assert shop.hears_again(1, order="O2") == "ignored: conflict", "another order under the same fact"
    assert shop.beans == 359
