"""Worked examples of the shipped jd book: what shops do to orders after they were placed, and to accounts.

How to read them: test_worked_examples.py.
"""

from typing import Any

import pytest

from ledger.rulebook.schema import shipped
from ledger.wire.entries import Scored, WrittenOff
from tests.support.shop import BOOK, PHONE, Shop, shop_with

ONE = [("books", 1, 10_000)]  # 10 beans


def named(line: str, **fields: Any) -> dict[str, Any]:
    """A line by its name, for books paid ¥100 unless said."""
    return {"line": line, "category": "books", "quantity": 1, "paid_fen": 10_000} | fields


# -- 1: redemptions for an order that ended ----------------------------------------------------------------------------


@pytest.mark.parametrize("end", [Shop.cancels, Shop.refuses_at_the_door])
def test_an_order_that_was_cancelled_or_rejected_takes_no_redemption(end) -> None:  # type: ignore[no-untyped-def]
    shop = shop_with(2_000)
    shop.pays("O1", BOOK)
    end(shop, "O1")
    assert shop.redeems(1_000, "offset", order="O1", settlement_fen=5_000) == "refused: order-ended"
    assert shop.last.figures == {"order": "O1", "status": "cancelled" if end is Shop.cancels else "rejected"}
    assert shop.beans == 2_000


def test_a_redemption_for_a_completed_order_is_decided_like_any_other() -> None:
    shop = shop_with(2_000)
    shop.completes("O1", BOOK)
    assert shop.redeems(1_000, "offset", order="O1", settlement_fen=5_000) == "accepted: order-ended"
    shop.returns("O1", [("1", 1, 10_000)])
    assert shop.beans == 2_000, "the whole order came back, and with it what was spent on it"


def test_a_captured_hold_is_given_back_by_a_reversal_of_its_name() -> None:
    shop = shop_with(1_000)
    shop.holds("H1", 600, until="2025-12-01")
    shop.captures("H1", 400)
    assert shop.beans == 600
    assert shop.gives_back("H1", 150) == "accepted"
    assert shop.beans == 750 and shop.purse.redeemed == 250
    assert shop.gives_back("H1", 900) == "accepted: points-capped"
    assert shop.beans == 1_000 and shop.purse.redeemed == 0
    assert shop.gives_back("H1") == "ignored: already"


def test_a_redemption_and_a_captured_hold_of_one_name_both_come_back() -> None:
    shop = shop_with(1_000)
    shop.holds("X", 300, until="2025-12-01")
    shop.redeems(200, redemption="X")
    shop.captures("X", 300)
    shop.gives_back("X")
    shop.gives_back("X")
    assert shop.beans == 1_000


# -- 2: parcels --------------------------------------------------------------------------------------------------------


def test_an_order_in_two_parcels_is_one_order() -> None:
    """4,000 beans, 2,000 spent on ¥100; line 1 (¥50) gives 5; line 2 comes later, and comes back with its 750."""
    shop = shop_with(4_000)
    shop.redeems(2_000, "offset", order="O1", settlement_fen=10_000)
    assert shop.completes("O1", [named("1", paid_fen=5_000, points=1_250)], more=True) == "accepted"
    assert shop.completes("O1", [named("2", paid_fen=3_000, points=750)]) == "accepted"
    assert shop.returns("O1", [("2", 1, 3_000, 750)]) == "accepted"
    assert shop.beans == 2_755


def test_a_line_completes_once_at_its_own_time_card_and_version() -> None:
    shop = Shop()
    shop.completes("O1", [named("1")], at="2025-11-11", more=True)
    shop.buys("plus.month", at="2025-11-12")
    assert shop.completes("O1", [named("1"), named("2")], at="2025-11-13", more=True) == "accepted: line-completed"
    assert shop.last.figures == {"lines": "1"}
    assert shop.awarded == [10, 100]
    assert shop.completes("O1", [named("1")], more=True) == "ignored: already"
    assert shop.completes("O1", [named("3")]) == "accepted"
    assert shop.completes("O1", [named("4")]) == "ignored: already", "nothing more was to come"


def test_rules_of_the_whole_order_are_asked_at_its_first_parcel_only() -> None:
    shop = Shop()
    shop.completes("O1", [named("1")], at="2025-11-11", pay="jd-pay", more=True)
    shop.completes("O1", [named("2")], at="2025-11-12", pay="jd-pay")
    rules = [c.rule for entry in shop.entries for c in entry.changes if isinstance(c, Scored)]
    assert rules.count("activity.jd-pay") == 1
    days = [shop.completes(f"P{n}", ONE, at=f"2025-11-{12 + n}") for n in range(2)]
    assert len(days) == 2
    assert "purchase.three-days" in [c.rule for c in shop.last.changes if isinstance(c, Scored)], "11, 12 and 13"


def test_a_return_of_a_line_still_to_come_waits_for_it_and_its_points_come_back_now() -> None:
    shop = shop_with(2_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    shop.completes("O1", [named("1", points=600)], more=True)
    assert shop.returns("O1", [("2", 1, 10_000, 400)]) == "accepted: before-completion"
    assert shop.beans == 1_000 + 10 + 400
    shop.completes("O1", [named("2", points=400)])
    assert shop.beans == 1_410, "what line 2 earned is taken back at once; line 1 and its 600 stay"


def test_a_parcels_early_return_of_a_line_that_never_comes_is_said_when_nothing_more_is_to_come() -> None:
    shop = Shop()
    shop.completes("O1", [named("1")], more=True)
    shop.returns("O1", [("9", 1, 10_000)])
    assert shop.completes("O1", [named("2")], more=True) == "accepted"
    assert shop.completes("O1", [named("3")]) == "accepted: unknown-line"
    assert shop.beans == 30


def test_what_is_still_to_come_of_an_order_may_be_cancelled() -> None:
    shop = shop_with(1_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    shop.completes("O1", [named("1", points=500)], more=True)
    assert shop.cancels("O1") == "accepted: rest-cancelled"
    assert shop.completes("O1", [named("2")]) == "ignored: already"
    assert shop.cancels("O1") == "ignored: order-completed"
    assert shop.beans == 10, "the redemption stands on the order"
    shop.returns("O1", [("1", 1, 10_000)])
    assert shop.beans == 1_000, "that was the last piece of the last line"


def test_points_that_lines_name_are_compared_when_the_order_is_whole() -> None:
    shop = shop_with(2_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    assert shop.completes("O1", [named("1", points=600)], more=True) == "accepted"
    assert shop.completes("O1", [named("2", points=300)]) == "accepted: points-differ"
    assert shop.last.figures == {"tendered": 900, "redeemed": 1_000}


# -- 3: amendments -----------------------------------------------------------------------------------------------------


def test_an_amended_line_gives_what_it_comes_to_more_and_a_new_line_completes_now() -> None:
    shop = Shop()
    shop.completes("O1", [named("1")], at="2025-05-01")
    assert shop.amends("O1", [named("1", quantity=2, paid_fen=20_000)], at="2025-05-02") == "accepted"
    assert shop.beans == 20 and shop.lots == [10, 10]
    shop.amends("O1", [named("1", quantity=2, paid_fen=20_000), named("2", quantity=2, paid_fen=20_000)])
    assert shop.beans == 40
    shop.returns("O1", [("2", 1, 10_000)])
    assert shop.beans == 30


def test_a_return_after_an_amendment_reckons_with_the_new_price_pieces_and_award_the_newest_lot_first() -> None:
    shop = Shop()
    shop.completes("O1", [named("1")])
    shop.amends("O1", [named("1", quantity=3, paid_fen=30_000)])
    shop.returns("O1", [("1", 1, 10_000)])
    assert shop.lots == [10, 10], "20 of the second lot's, the newest, were to go down by 10"
    shop.returns("O1", [("1", 2, 20_000)])
    assert shop.beans == 0 and shop.purse.clawed_back == 30


def test_a_line_that_came_to_less_gives_back_the_difference_and_the_refund_may_pay_it() -> None:
    shop = Shop()
    shop.completes("O1", [named("1", paid_fen=100_000)])
    shop.redeems(100)
    assert shop.amends("O1", [named("1", paid_fen=40_000)], refund_fen=50) == "accepted"
    assert (shop.purse.cash_shortfall_fen, shop.debt) == (50, 10), "60 of 100 beans, which are spent"


def test_an_amendment_goes_by_the_card_and_version_of_the_completion() -> None:
    shop = Shop()
    shop.buys("plus.month", at="2025-05-01", card="K")
    shop.completes("O1", [named("1")], at="2025-05-30")
    shop.amends("O1", [named("1", paid_fen=20_000)], at="2025-07-01")  # the card is over
    assert shop.awarded == [100, 100]
    shop.completes("O2", [named("1", paid_fen=99)], at="2025-07-01")
    shop.buys("plus.month", at="2025-07-02")
    shop.amends("O2", [named("1")], at="2025-07-03")
    assert shop.awarded[2:] == [10], "no card held when it completed; the ordinary rule is asked anew"


def test_of_a_cards_cap_the_difference_fits_whole_or_not_at_all() -> None:
    shop = Shop()
    shop.buys("plus.month")
    shop.completes("O1", [named("1", paid_fen=390_000)])
    shop.amends("O1", [named("1", paid_fen=410_000)])
    assert shop.awarded == [3_900]
    shop.amends("O1", [named("1", paid_fen=400_000)])
    assert shop.awarded == [3_900, 100]
    shop.returns("O1", [("1", 1, 400_000)])
    assert shop.beans == 0


def test_an_amended_score_goes_to_the_month_of_the_completion() -> None:
    shop = Shop()
    shop.completes("O1", [named("1")], at="2025-05-30")
    shop.amends("O1", [named("1", paid_fen=30_000)], at="2025-06-02")
    items = [(c.rule, c.month % 12 + 1, c.points) for c in shop.last.changes if isinstance(c, Scored)]
    assert items == [("purchase.amount", 5, 200)]
    assert shop.on("2025-06-03").score["value"] == 310


def test_what_came_back_before_an_amendment_stays_back() -> None:
    """20 beans on ¥200 for two pieces, one back: 10. Amended to three pieces for ¥300: ⌊30 · 200 / 300⌋ = 20."""
    shop = Shop()
    shop.completes("O1", [named("1", quantity=2, paid_fen=20_000)])
    shop.returns("O1", [("1", 1, 10_000)])
    shop.amends("O1", [named("1", quantity=3, paid_fen=30_000)])
    assert shop.beans == 20


def test_a_line_that_is_missing_counts_as_returned_whole_and_does_not_come_back() -> None:
    shop = Shop()
    shop.completes("O1", [named("1"), named("2")])
    assert shop.amends("O1", [named("1")]) == "accepted"
    assert shop.beans == 10
    assert shop.amends("O1", [named("1"), named("2")]) == "accepted: line-returned"
    assert shop.beans == 10


def test_an_amendment_that_leaves_nothing_of_an_order_gives_back_what_was_spent_on_it() -> None:
    shop = shop_with(1_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=30_000)
    shop.completes("O1", [named("1", points=500), named("2", points=500)])
    shop.returns("O1", [("1", 1, 10_000, 400)])
    assert shop.amends("O1", [named("1")]) == "accepted: rest-restored"
    assert shop.beans == 1_000


def test_more_than_late_days_after_the_completion_an_amendment_only_takes() -> None:
    shop = Shop()
    shop.completes("O1", [named("1"), named("2")], at="2024-01-01")
    shop.is_granted(1_000, at="2025-03-01")
    shop.amends("O1", [named("1", paid_fen=90_000), named("2", paid_fen=5_000)], at="2025-03-01")
    assert shop.beans == 10 + 5 + 1_000, "line 1 gives nothing more; line 2 keeps 5 of its 10"
    shop.returns("O1", [("1", 1, 90_000)])
    assert shop.beans == 1_005


def test_before_completion_the_newest_lines_count_and_nothing_is_given() -> None:
    shop = Shop()
    shop.pays("O1", [named("1")])
    assert shop.amends("O1", [named("1"), named("2")]) == "accepted"
    assert shop.returns("O1", [("2", 1, 10_000)]) == "accepted: before-completion"
    assert shop.beans == 0
    shop.completes("O1", [named("1"), named("2")])
    assert shop.beans == 10


def test_an_unknown_or_ended_order_cannot_be_amended() -> None:
    shop = Shop()
    assert shop.amends("O1", ONE) == "ignored: unknown-order"
    shop.cancels("O1")
    assert shop.amends("O1", ONE) == "ignored: order-cancelled"
    shop.refuses_at_the_door("O2")
    assert shop.amends("O2", ONE) == "ignored: order-rejected"


def test_an_amendment_back_to_what_was_gives_back_what_it_gave() -> None:
    shop = Shop()
    shop.completes("O1", [named("1")])
    before = shop.score
    for paid in (20_000, 55_500, 1_000, 10_000):
        shop.amends("O1", [named("1", paid_fen=paid)])
    assert shop.beans == 10 and shop.score == before


# -- 4: reopened -------------------------------------------------------------------------------------------------------


def test_an_order_that_is_paid_or_completed_after_its_cancellation_goes_on() -> None:
    shop = Shop()
    shop.pays("O1", ONE, at="2025-05-01")
    shop.cancels("O1", at="2025-05-02")
    assert shop.pays("O1", ONE, at="2025-05-03") == "accepted: after-cancellation"
    assert shop.completes("O1", ONE, at="2025-05-04") == "accepted"
    assert shop.beans == 10
    shop.pays("O2", ONE)
    shop.cancels("O2")
    assert shop.completes("O2", ONE) == "accepted: after-cancellation"
    assert shop.beans == 20


def test_a_payment_that_occurred_before_the_cancellation_does_not_reopen_the_order() -> None:
    shop = Shop()
    assert shop.cancels("O1", at="2025-05-02") == "accepted: unknown-order"
    assert shop.pays("O1", ONE, at="2025-05-01") == "ignored: order-cancelled"
    assert shop.cancels("O1") == "ignored: already"


def test_what_a_cancellation_gave_back_is_not_taken_again_and_counts_no_more() -> None:
    shop = shop_with(2_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=2_000)
    shop.cancels("O1")
    shop.pays("O1", ONE)
    assert shop.beans == 2_000
    assert shop.redeems(1_000, "offset", order="O1", settlement_fen=2_000) == "accepted", "the half is free again"
    shop.completes("O1", [("books", 1, 10_000, 1_000)])
    shop.returns("O1", [("1", 1, 10_000)])
    assert shop.beans == 2_000


def test_returns_before_a_cancellation_are_dropped_and_a_rejection_stays() -> None:
    shop = Shop()
    shop.pays("O1", ONE)
    shop.returns("O1", [("1", 1, 10_000)])
    shop.cancels("O1")
    shop.completes("O1", ONE)
    assert shop.beans == 10
    shop.refuses_at_the_door("O2")
    assert shop.pays("O2", ONE) == shop.completes("O2", ONE) == "ignored: order-rejected"


# -- 5: exchange of goods ----------------------------------------------------------------------------------------------


def test_an_exchange_of_goods_takes_nothing_back() -> None:
    shop = Shop()
    shop.completes("O1", [("shoes", 1, 100_000)])
    assert shop.exchanges("O1", [("1", 1, 0)]) == "accepted"
    assert shop.beans == 100
    shop.returns("O1", [("1", 1, 100_000)])
    assert shop.beans == 0


def test_an_exchange_gives_points_back_and_its_refund_is_no_room_for_cash() -> None:
    shop = shop_with(1_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=30_000)
    shop.completes("O1", [("shoes", 2, 100_000, 1_000)])
    shop.exchanges("O1", [("1", 2, 100_000, 300)])
    assert shop.beans == 400
    shop.redeems(400)
    told = [
        {"line": "1", "quantity": 1, "refund_fen": 100_000, "exchange": True},
        {"line": "1", "quantity": 0, "refund_fen": 50_000},
    ]
    shop._tell("order.returned", "", {"order": "O1", "return": "T", "lines": told})
    assert shop.purse.cash_shortfall_fen == 50, "the other line's refund pays for all 50"
    told[1]["refund_fen"] = 10
    shop._tell("order.returned", "", {"order": "O1", "return": "T2", "lines": told})
    assert shop.purse.cash_shortfall_fen == 51 and shop.debt == 0


# -- 6: returns of orders never seen -----------------------------------------------------------------------------------


def test_a_return_of_an_order_never_seen_is_netted_when_it_completes() -> None:
    shop = Shop()
    assert shop.returns("O1", [("1", 1, 100_000)], at="2025-05-06", back="R1") == "accepted: unknown-order"
    shop.completes("O1", [("books", 1, 100_000)], at="2025-05-05")
    assert shop.beans == 0
    assert shop.returns("O1", [("1", 1, 100_000)], back="R1") == "ignored: already"


def test_points_that_found_nothing_burned_are_asked_for_again_at_completion() -> None:
    shop = shop_with(2_000)
    shop.returns("O1", [("1", 0, 1, 700)])
    assert shop.beans == 2_000
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    shop.completes("O1", [("food", 2, 4_000, 1_000)])
    assert shop.beans == 1_700


def test_an_early_return_of_a_cancelled_order_moves_nothing() -> None:
    shop = Shop()
    shop.returns("O1", [("1", 1, 10_000)])
    shop.cancels("O1")
    shop.completes("O1", ONE)
    assert shop.beans == 10


def test_at_most_1000_lines_are_remembered_for_an_order() -> None:
    shop = Shop()
    assert shop.returns("O1", [(str(n), 1, 1) for n in range(600)]) == "accepted: unknown-order"
    assert shop.returns("O1", [(str(n), 1, 1) for n in range(401)]) == "ignored: too-many-returns"
    assert shop.returns("O1", [(str(n), 1, 1) for n in range(400)]) == "accepted: before-completion"
    assert shop.returns("O1", [("1", 1, 1)]) == "ignored: too-many-returns"


# -- 7: a whole return -------------------------------------------------------------------------------------------------


def test_the_last_piece_of_the_last_line_gives_back_the_rest_of_what_was_spent() -> None:
    """150 beans on two lines of 122 and 27: one was lost by rounding."""
    shop = shop_with(150)
    shop.redeems(150, "service", order="O1")
    shop.completes("O1", [("books", 1, 44_850, 122), ("books", 1, 9_973, 27)])
    assert shop.returns("O1", [("1", 1, 44_850, 122)]) == "accepted"
    assert shop.returns("O1", [("2", 1, 9_973, 27)]) == "accepted: rest-restored"
    assert shop.last.figures == {"rest": 1}
    assert shop.beans == 150


def test_a_whole_return_that_names_no_points_gives_back_all() -> None:
    shop = shop_with(1_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    shop.completes("O1", [("books", 1, 9_000, 1_000)])
    assert shop.returns("O1", [("1", 1, 9_000)]) == "accepted: rest-restored"
    assert shop.beans == 1_000 and shop.debt == 0, "the rest came back before the 9 were taken"


def test_with_every_return_after_the_last_piece_later_redemptions_come_back_too() -> None:
    shop = shop_with(1_000)
    shop.completes("O1", ONE)
    shop.returns("O1", [("1", 1, 10_000)])
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    assert shop.beans == 0
    shop.returns("O1", [("1", 0, 1)])
    assert shop.beans == 1_000


def test_returns_that_were_whole_before_the_completion_give_back_all_at_it() -> None:
    shop = shop_with(1_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    shop.returns("O1", [("1", 1, 9_000)])
    assert shop.beans == 0
    assert shop.completes("O1", [("books", 1, 9_000, 1_000)]) == "accepted: rest-restored"
    assert shop.beans == 1_000


def test_exchange_lines_are_no_pieces() -> None:
    shop = shop_with(1_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    shop.completes("O1", [("books", 1, 9_000, 1_000)])
    assert shop.exchanges("O1", [("1", 1, 0)]) == "accepted"
    assert shop.beans == 9


# -- 8: benefits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [Shop.cancels, Shop.refuses_at_the_door])
def test_a_shipping_coupon_comes_back_with_its_order(end) -> None:  # type: ignore[no-untyped-def]
    shop = Shop()
    shop.buys("plus.month")
    for number in range(7):
        order = f"O{number}"
        shop.pays(order, ONE)
        assert shop.claims(order=order) == "accepted"
        end(shop, order)
        assert shop.claims(order=order) == "refused: order-ended"
    assert shop.plus["quotas"]["shipping"] == 5


def test_a_whole_return_keeps_the_coupon_and_other_benefits_stay_used() -> None:
    shop = Shop()
    shop.buys("plus.annual")
    shop.claims("shipping", order="O1")
    shop.claims("iqiyi", order="O2")
    shop.completes("O1", ONE)
    shop.returns("O1", [("1", 1, 10_000)])
    shop.cancels("O2")
    assert shop.claims("iqiyi", order="O2") == "refused: quota-used"
    assert shop.plus["quotas"]["shipping"] == 59 and shop.plus["quotas"]["iqiyi"] == 0


def test_any_claim_may_be_given_back_once_in_the_bucket_where_it_counted() -> None:
    shop = Shop()
    shop.buys("plus.annual", at="2025-01-10")
    shop.claims("check-up", at="2025-01-31", claim="B1")
    assert shop.claims("check-up", at="2025-01-31") == "refused: quota-used"
    assert shop.gives_claim_back("B1", at="2025-02-01") == "accepted"
    assert shop.gives_claim_back("B1") == "ignored: already"
    assert shop.gives_claim_back("B9") == "ignored: unknown-claim"
    assert shop.claims("check-up", at="2025-02-02") == "accepted"
    assert shop.claims("check-up", at="2025-02-02") == "refused: quota-used", "January has its claim back, not February"


# -- 9: aimed adjustments ----------------------------------------------------------------------------------------------


def test_an_aimed_adjustment_is_not_taken_again_by_a_return() -> None:
    shop = Shop()
    shop.completes("O1", [("books", 1, 100_000)])
    assert shop.is_adjusted_of(-100, order="O1", line="1") == "accepted"
    assert shop.beans == 0
    shop.returns("O1", [("1", 1, 100_000)])
    assert (shop.beans, shop.debt, shop.purse.cash_shortfall_fen) == (0, 0, 0)


def test_every_later_reckoning_is_less_what_was_adjusted() -> None:
    shop = Shop()
    shop.completes("O1", [("books", 2, 100_000)])
    shop.is_adjusted_of(-40, order="O1", line="1")
    shop.returns("O1", [("1", 1, 50_000)])
    assert shop.beans == 30, "half of 60"
    shop.amends("O1", [named("1", quantity=2, paid_fen=200_000)])
    assert shop.beans == 120, "200 less 40, of which ¥1,500 of ¥2,000 are kept"


def test_a_grant_is_withdrawn_from_its_own_lot() -> None:
    shop = Shop(now="2026-01-02 12:00")
    shop.is_granted(200, grant="REF1", expires="2026-12-31")
    shop.is_granted(200, grant="OWN", expires="2026-06-30")
    assert shop.is_adjusted_of(-200, grant="REF1") == "accepted"
    assert shop.lots == [200] and shop.shown["points"]["beans"]["lots"][0]["expires_at"].startswith("2026-06-30")
    assert shop.is_adjusted_of(-1, grant="REF1") == "accepted: adjustment-capped"
    assert shop.beans == 200


def test_what_of_the_award_was_spent_comes_from_other_lots_and_the_rest_is_debt() -> None:
    shop = Shop()
    shop.is_granted(200, grant="G", expires="2026-01-01")
    shop.redeems(150)
    shop.is_granted(30, expires="2027-01-01")
    assert shop.is_adjusted_of(-500, grant="G") == "accepted: adjustment-capped"
    assert shop.last.figures["held"] == 200
    assert (shop.beans, shop.debt) == (0, 120)


def test_what_of_the_award_expired_is_not_asked_for() -> None:
    shop = Shop()
    shop.is_granted(200, grant="G", expires="2025-12-01")
    shop.redeems(50)
    shop.is_granted(1_000, at="2025-12-02")
    shop.is_adjusted_of(-200, grant="G")
    assert shop.beans == 950, "150 expired, 50 were spent"


def test_a_lot_names_the_award_that_opened_it_wherever_that_stands() -> None:
    shop = Shop()
    shop.completes("O1", [("books", 1, 10_000), ("books", 1, 50_000)])  # lots 1.1 and 1.2
    shop.reviews("O1", "1", review="V1")  # 2.1
    shop.signs_in()  # 3.1
    shop.amends("O1", [named("1", paid_fen=30_000), named("2", paid_fen=50_000)])  # 4.1 is line 1's second lot
    shop.is_granted(40)  # 5.1
    assert shop.beans == 10 + 50 + 20 + 1 + 20 + 40
    for lot, points in (("1.2", 50), ("2.1", 20), ("3.1", 1), ("4.1", 30), ("5.1", 40)):
        before = shop.beans
        assert shop.is_adjusted_of(-1_000, lot=lot) == "accepted: adjustment-capped"
        assert before - shop.beans == points, lot
        assert shop.is_adjusted_of(-1, lot=lot) == "accepted: adjustment-capped"
    assert shop.beans == 0
    shop.returns("O1", [("1", 1, 30_000), ("2", 1, 50_000)])
    shop.takes_review_down("V1")
    assert shop.debt == 0


def test_a_lot_that_is_spent_still_names_its_award() -> None:
    shop = Shop()
    shop.is_granted(40, grant="G")
    shop.redeems(40)
    shop.is_granted(100)
    shop.is_adjusted_of(-40, lot="1.1")
    assert shop.beans == 60
    shop.is_adjusted_of(-40, grant="G")
    assert shop.beans == 60, "it holds nothing more"


def test_an_award_that_is_unknown_or_of_another_kind_is_not_adjusted() -> None:
    shop = Shop()
    shop.completes("O1", ONE)
    for of in (
        {"order": "O1", "line": "2"},
        {"order": "O2", "line": "1"},
        {"grant": "G"},
        {"lot": "9.1"},
        {"lot": "1.2"},
    ):
        assert shop.is_adjusted_of(-1, **of) == "ignored: unknown-award"
    assert shop.beans == 10


def test_points_put_on_are_aimed_at_nothing() -> None:
    shop = Shop()
    assert shop.is_adjusted_of(5, grant="nobody") == "accepted"
    assert shop.beans == 5


# -- 15: closed accounts -----------------------------------------------------------------------------------------------


def test_a_closed_account_forfeits_what_it_has_and_takes_nothing_but_returns() -> None:
    shop = shop_with(1_000)
    shop.buys("plus.month")
    shop.completes("O1", ONE)
    shop.holds("H", 300, until="2026-01-01")
    assert not shop.shown["closed"]
    assert shop.is_closed() == "accepted"
    assert shop.shown["closed"]
    assert (shop.beans, shop.purse.held(), shop.purse.forfeited) == (0, 0, 1_100)
    assert shop.is_closed() == "ignored: already"
    assert shop.redeems(1) == "refused: account-closed"
    shop.is_frozen()
    assert shop.claims() == "refused: account-closed"
    assert shop.completes("O2", ONE) == shop.is_granted(5) == shop.is_adjusted(5) == "ignored: account-closed"
    assert shop.returns("O1", [("1", 1, 10_000)]) == "accepted"
    assert [c.points for c in shop.last.changes if isinstance(c, WrittenOff)] == [100]
    assert (shop.debt, shop.purse.written_off, shop.purse.cash_shortfall_fen) == (0, 100, 0)
    assert shop.on("2027-01-01").plus["state"] == "ended", "time runs on"


def test_what_a_return_gives_back_to_a_closed_account_is_forfeited_at_once() -> None:
    shop = shop_with(1_000)
    shop.redeems(1_000, "offset", order="O1", settlement_fen=10_000)
    shop.completes("O1", [("food", 1, 4_000, 1_000)])
    shop.is_closed()
    shop.returns("O1", [("1", 1, 4_000, 1_000)])
    assert (shop.beans, shop.purse.redeemed, shop.purse.forfeited) == (0, 0, 1_000)


def test_pending_points_are_forfeited_and_debt_stays() -> None:
    shop = Shop()
    shop.refuses_at_the_door("O1")
    shop.refuses_at_the_door("O2")
    shop.tries_plus()
    shop.completes("O3", PHONE)
    assert (shop.purse.pending(), shop.debt) == (3_599, 500)
    shop.is_closed()
    assert (shop.purse.pending(), shop.purse.forfeited, shop.debt) == (0, 3_599, 500)


def test_a_reopened_account_goes_on_with_no_points() -> None:
    shop = shop_with(1_000)
    shop.completes("O1", ONE)
    assert shop.is_reopened() == "ignored: not-closed"
    shop.is_closed()
    assert shop.is_reopened() == "accepted"
    assert shop.beans == 0
    shop.is_granted(50)
    shop.returns("O1", [("1", 1, 10_000)])
    assert shop.beans == 50, "what was forfeited is gone, and is not asked for again"
    assert shop.score["month"] == "2025-11"


# -- 17: a rule instead of another -------------------------------------------------------------------------------------


def test_a_rule_that_gave_leaves_out_the_one_it_names_wherever_others_stand_between() -> None:
    plus = shipped("jd")
    between = """
[[award]]
rule = "purchase.extra"
name = "extra"
on = "order.completed"
each = "line"
kind = "beans"
member = "plus"
give = { points = 1, per_fen = 1_000 }

"""
    at = plus.index('[[award]]\nrule = "purchase.beans"')
    shop = Shop(plus[:at] + between.lstrip() + plus[at:])
    shop.buys("plus.annual")
    shop.completes("O1", ONE)
    assert shop.awarded == [100, 10]


def test_a_rule_whose_own_cap_is_full_leaves_out_no_other() -> None:
    book = shipped("jd").replace(
        "give = { points = 1, per_fen = 100 }",
        'give = { points = 1, per_fen = 100 }\ncap = [{ per = "month", points = 100 }]',
        1,
    )
    shop = Shop(book)
    shop.buys("plus.annual")
    shop.completes("O1", ONE)
    shop.completes("O2", ONE)
    assert shop.awarded == [100, 10]


# -- 18: a review that occurred before its line's completion -----------------------------------------------------------


def test_a_review_that_occurred_before_its_completion_is_in_time_and_counts_in_its_own_month() -> None:
    shop = Shop()
    shop.completes("O1", ONE, at="2025-05-01")
    assert shop.reviews("O1", at="2025-04-30") == "accepted"
    assert shop.awarded == [10, 20]
    assert [c.month % 12 + 1 for c in shop.last.changes if isinstance(c, Scored)] == [4]


def test_a_review_of_a_later_parcel_is_in_time_by_its_own_completion() -> None:
    shop = Shop()
    shop.completes("O1", [named("1")], at="2025-01-01", more=True)
    shop.completes("O1", [named("2")], at="2025-03-10")
    shop.reviews("O1", "1", at="2025-03-11")
    shop.reviews("O1", "2", at="2025-03-11")
    assert shop.awarded == [10, 10, 20], "line 1 completed 69 days before, line 2 the day before"
