"""Worked examples of the shipped jd book, to be read without knowing Python: what happened, and what she has then.

A line is (category, pieces, paid in fen): ("phone", 2, 359900) are two phones for ¥3,599. Each figure of the contract
(wire.md, sections 3 and 4) has its case at the boundary, and each mistake that others shipped stands here as a test.
"""

from datetime import timedelta

import pytest

from ledger.entries import Confirmed, Expired, PaidInCash, Resettled
from tests.shop import DOOR, YUAN, Shop, moment

PHONE = [("phone", 1, 359_900)]  # 359 beans, or 3,599 with PLUS
BOOK = [("books", 1, 10_000)]  # 10 beans, or 100 with PLUS


def shop_with(beans: int, **more: str) -> Shop:
    """A member who has beans until the end of 2026."""
    shop = Shop(**more)
    shop.is_granted(beans, expires="2027-01-01")
    return shop


# == what an order earns =================================================================================================


@pytest.mark.parametrize(
    ("category", "paid_fen", "beans"),
    [
        ("phone", 4_999, 0),  # below ¥50 nothing
        ("phone", 5_000, 5),
        ("phone", 5_999, 5),  # counted in steps of ¥10
        ("phone", 10_000, 10),
        ("phone", 359_900, 359),
        ("phone", 1_000_000, 1_000),
        ("phone", 1_009_999, 1_000),  # at most 1,000 a line
        ("phone", 9_999_900, 1_000),
        ("", 10_000, 10),
        ("virtual", 10_000, 0),  # excluded
        ("investment-gold", 10_000, 0),
        ("car", 20_000_000, 0),
    ],
)
def test_a_line_earns_10_beans_for_100_yuan(category: str, paid_fen: int, beans: int) -> None:
    shop = Shop()
    shop.completes("O1", [(category, 1, paid_fen)])
    assert shop.beans == beans


def test_each_line_is_counted_by_itself() -> None:
    shop = Shop()
    shop.completes("O1", [("food", 1, 4_990), ("food", 1, 4_990), ("books", 3, 5_990)])
    assert shop.lots == [5]


def test_the_line_cap_is_of_a_line_and_not_of_the_order() -> None:
    shop = Shop()
    shop.completes("O1", [("phone", 1, 2_000_000), ("phone", 1, 2_000_000)])
    assert shop.lots == [1_000, 1_000]


def test_a_paid_order_shows_no_beans_until_it_completes() -> None:
    shop = Shop()
    shop.pays("O1", PHONE)
    assert shop.beans == 0 and shop.purse.pending() == 0
    shop.completes("O1", PHONE)
    assert shop.beans == 359


def test_an_order_may_complete_that_was_never_reported_as_paid() -> None:
    shop = Shop()
    assert shop.completes("O1", PHONE) == "accepted"


def test_what_completes_is_awarded_and_not_what_was_paid() -> None:
    shop = Shop()
    shop.pays("O1", PHONE)
    shop.completes("O1", BOOK)
    assert shop.beans == 10


# == expiry ==============================================================================================================


def test_beans_earned_before_2026_live_to_the_end_of_the_next_year() -> None:
    shop = Shop()
    shop.completes("O1", BOOK, at="2025-12-31 23:59:59")
    assert shop.shown["points"]["beans"]["lots"][0]["expires_at"] == "2027-01-01T00:00:00+08:00"
    assert shop.on("2026-12-31 23:59:59").beans == 10
    assert shop.on("2027-01-01 00:00").beans == 0, "the end of 31 December is 1 January, 00:00"


def test_beans_earned_from_2026_on_live_180_days_to_the_second() -> None:
    shop = Shop()
    shop.completes("O1", BOOK, at="2026-01-01 00:00")
    gone = moment("2026-01-01 00:00") + timedelta(days=180)
    assert shop.on(gone - timedelta(microseconds=1)).beans == 10
    assert shop.on(gone).beans == 0
    assert shop.on(gone).purse.expired == 10


def test_the_year_ends_in_shanghai_and_not_in_greenwich() -> None:
    shop = Shop()
    shop.completes("O1", BOOK, at="2024-12-31T16:00:00+00:00")  # already 2025 in Shanghai
    assert shop.on("2026-06-01").beans == 10
    other = Shop()
    other.completes("O1", BOOK, at="2024-12-31T15:59:59+00:00")  # still 2024
    assert other.on("2026-01-01").beans == 0


def test_the_rule_of_the_day_of_earning_decides_and_not_that_of_the_day_it_is_reported() -> None:
    shop = Shop()
    shop.signs_in(at="2026-02-01")
    shop.completes("O1", BOOK, at="2025-12-30")
    assert [lot["expires_at"][:10] for lot in shop.shown["points"]["beans"]["lots"]] == ["2026-07-31", "2027-01-01"]


def test_beans_are_spent_soonest_to_expire_first() -> None:
    shop = Shop()
    shop.is_granted(100, expires="2026-06-01")
    shop.is_granted(100, expires="2025-12-01")
    shop.is_granted(100)
    shop.redeems(150)
    assert shop.lots == [50, 100]
    assert shop.shown["points"]["beans"]["lots"][0]["entry"] == 1


def test_of_equal_expiry_the_older_entry_and_then_the_first_line_goes_first() -> None:
    shop = Shop()
    shop.completes("O1", [("a", 1, 10_000), ("b", 1, 20_000)])
    shop.completes("O2", [("a", 1, 30_000)])
    shop.redeems(15)
    assert [(lot["entry"], lot["left"]) for lot in shop.shown["points"]["beans"]["lots"]] == [(1, 15), (2, 30)]


def test_expired_beans_go_and_what_was_spent_of_them_stays_spent() -> None:
    """Others dropped the credits that expired and kept all debits: the balance collapsed."""
    shop = Shop()
    shop.is_granted(1_000, expires="2025-12-01")
    shop.is_granted(300)
    shop.redeems(800)
    later = shop.on("2025-12-02")
    assert later.beans == 300
    assert (later.purse.issued, later.purse.redeemed, later.purse.expired) == (1_300, 800, 200)


def test_a_dormant_members_beans_expire_without_anybody_looking() -> None:
    shop = Shop()
    shop.completes("O1", PHONE)
    assert shop.account.number == 1
    assert shop.on("2030-01-01").beans == 0


def test_a_grant_already_over_comes_and_goes_in_one_entry() -> None:
    shop = Shop()
    assert shop.is_granted(100, expires="2025-11-11 10:00") == "accepted"
    assert shop.beans == 0 and shop.purse.expired == 100


# == PLUS ================================================================================================================


@pytest.mark.parametrize(
    ("category", "paid_fen", "beans"),
    [("phone", 99, 0), ("phone", 100, 1), ("food", 4_999, 49), ("phone", 359_900, 3_599), ("virtual", 50_000, 0)],
)
def test_plus_earns_1_percent_without_a_threshold(category: str, paid_fen: int, beans: int) -> None:
    shop = Shop()
    shop.buys("plus.annual")
    shop.completes("O1", [(category, 1, paid_fen)])
    assert shop.beans == beans


def test_plus_lines_know_no_cap_of_1000_a_line() -> None:
    shop = Shop()
    shop.buys("plus.annual")
    shop.completes("O1", [("phone", 1, 1_500_000)])
    assert shop.beans == 15_000


@pytest.mark.parametrize(("product", "cap"), [("plus.annual", 50_000), ("plus.quarter", 12_000), ("plus.month", 4_000)])
def test_a_line_that_fits_exactly_under_the_cards_cap_earns_at_the_plus_rate(product: str, cap: int) -> None:
    shop = Shop()
    shop.buys(product)
    shop.completes("O1", [("phone", 1, cap * 100)])
    assert shop.beans == cap
    shop.completes("O2", [("phone", 1, 9_900)])
    assert shop.beans == cap + 9, "no room is left: the ordinary rule holds"


def test_a_line_whose_plus_beans_no_longer_fit_earns_wholly_at_the_ordinary_rate() -> None:
    shop = Shop()
    shop.buys("plus.month")
    shop.completes("O1", [("phone", 1, 390_000), ("phone", 1, 20_000), ("phone", 1, 10_000), ("food", 1, 4_000)])
    assert shop.lots == [3_900, 20, 100], "200 do not fit into 100, 100 do; of the last line ¥40 earn nothing"


def test_the_ordinary_line_cap_holds_where_plus_has_no_room() -> None:
    shop = Shop()
    shop.buys("plus.month")
    shop.completes("O1", [("phone", 1, 1_500_000)])
    assert shop.beans == 1_000


def test_a_return_gives_no_room_back_under_the_cap() -> None:
    shop = Shop()
    shop.buys("plus.month")
    shop.completes("O1", [("phone", 1, 400_000)])
    shop.returns("O1", [("1", 1, 400_000)])
    shop.completes("O2", BOOK)
    assert shop.beans == 10


@pytest.mark.parametrize(("product", "days"), [("plus.annual", 365), ("plus.quarter", 90), ("plus.month", 30)])
def test_a_card_holds_from_its_instant_to_its_end(product: str, days: int) -> None:
    shop = Shop()
    shop.completes("O0", BOOK, at="2025-11-11 09:59:59")
    shop.buys(product, at="2025-11-11 10:00")
    shop.completes("O1", BOOK, at="2025-11-11 10:00")
    end = moment("2025-11-11 10:00") + timedelta(days=days)
    shop.completes("O2", BOOK, at=(end - timedelta(seconds=1)).isoformat())
    shop.completes("O3", BOOK, at=end.isoformat())
    assert [award.points for award in awards(shop)] == [10, 100, 100, 10]
    assert shop.plus["state"] == "ended" and shop.plus["until"] == end.isoformat()


def awards(shop: Shop) -> list:
    return [change for entry in shop.entries for change in entry.changes if type(change).__name__ == "Earned"]


def test_a_renewal_starts_where_the_last_term_ends() -> None:
    shop = Shop()
    shop.buys("plus.annual", at="2025-01-01")
    shop.buys("plus.annual", at="2025-12-20")
    assert shop.on("2026-06-01").plus["from"] == "2026-01-01T00:00:00+08:00"
    assert shop.on("2026-06-01").plus["until"] == "2027-01-01T00:00:00+08:00"


def test_a_renewal_has_a_cap_and_quotas_of_its_own() -> None:
    shop = Shop()
    shop.buys("plus.month", at="2025-11-01")
    shop.buys("plus.month", at="2025-11-02")
    shop.completes("O1", [("phone", 1, 400_000)], at="2025-11-03")
    assert [shop.claims() for _ in range(6)] == ["accepted"] * 5 + ["refused: quota-used"]
    shop.completes("O2", [("phone", 1, 400_000)], at="2025-12-02")
    assert shop.claims() == "accepted"
    assert shop.beans == 8_000


def test_a_card_bought_after_the_end_starts_at_its_own_instant() -> None:
    shop = Shop()
    shop.buys("plus.month", at="2025-01-01")
    shop.buys("plus.month", at="2025-06-01")
    assert shop.plus["from"] == "2025-06-01T00:00:00+08:00"


def test_a_code_opens_the_same_card() -> None:
    shop = Shop()
    assert shop.redeems_code("plus.quarter") == "accepted"
    assert shop.plus["state"] == "active"


@pytest.mark.parametrize(("product", "quota"), [("plus.annual", 60), ("plus.quarter", 15), ("plus.month", 5)])
def test_free_shipping_has_its_quota_a_term(product: str, quota: int) -> None:
    shop = Shop()
    shop.buys(product)
    assert shop.plus["quotas"]["shipping"] == quota
    assert {shop.claims() for _ in range(quota)} == {"accepted"}
    assert shop.claims() == "refused: quota-used"
    assert shop.plus["quotas"]["shipping"] == 0


def test_a_trial_has_one_free_shipping() -> None:
    shop = Shop()
    shop.tries_plus()
    assert [shop.claims(), shop.claims()] == ["accepted", "refused: quota-used"]


def test_a_claim_without_a_card_is_refused() -> None:
    assert Shop().claims() == "refused: no-membership"


def test_a_card_of_a_product_nobody_knows_is_ignored() -> None:
    assert Shop().buys("plus.student") == "ignored: unknown-product"


def test_a_refunded_card_ends_at_its_refund_and_later_terms_move_up() -> None:
    shop = Shop()
    shop.buys("plus.month", at="2025-11-01", card="C1")
    shop.buys("plus.annual", at="2025-11-02", card="C2")
    shop.completes("O1", BOOK, at="2025-11-05")
    shop.refunds_card("C1", at="2025-11-06")
    assert shop.plus["product"] == "plus.annual"
    assert shop.plus["from"] == "2025-11-06T00:00:00+08:00"
    assert shop.plus["until"] == "2026-11-06T00:00:00+08:00"
    assert shop.beans == 100, "what was lived keeps its PLUS"


def test_after_the_refund_of_the_only_card_there_is_no_plus() -> None:
    shop = Shop()
    shop.buys("plus.annual", at="2025-11-01", card="C1")
    shop.refunds_card("C1", at="2025-11-06")
    shop.completes("O1", BOOK)
    assert shop.plus["state"] == "ended" and shop.beans == 10
    assert shop.refunds_card("C1") == "ignored: already"


def test_a_card_that_has_run_out_has_nothing_to_refund() -> None:
    shop = Shop()
    shop.buys("plus.month", at="2025-01-01", card="C1")
    assert shop.refunds_card("C1", at="2025-01-31") == "ignored: card-ended"
    assert shop.refunds_card("C9") == "ignored: unknown-card"


def test_a_refunded_card_that_has_not_begun_is_taken_out() -> None:
    shop = Shop()
    shop.buys("plus.month", at="2025-11-01", card="C1")
    shop.buys("plus.quarter", at="2025-11-02", card="C2")
    shop.buys("plus.month", at="2025-11-03", card="C3")
    shop.refunds_card("C2", at="2025-11-04")
    assert shop.on("2025-12-02").plus["product"] == "plus.month"
    assert shop.on("2025-12-02").plus["from"] == "2025-12-01T00:00:00+08:00"


# -- the trial -----------------------------------------------------------------------------------------------------------


def test_beans_of_a_trial_are_seen_but_not_spent_until_a_card_is_bought() -> None:
    shop = Shop()
    shop.tries_plus(at="2025-11-01")
    shop.completes("O1", BOOK, at="2025-11-02")
    assert (shop.beans, shop.purse.pending()) == (0, 100)
    assert shop.redeems(1) == "refused: beans-short"
    assert shop.shown["points"]["beans"]["lots"][0]["pending"] is True
    shop.buys("plus.month", at="2025-11-10")
    assert (shop.beans, shop.purse.pending()) == (100, 0)
    assert any(isinstance(change, Confirmed) for change in shop.last.changes)


def test_a_trial_ends_at_payment_and_the_card_starts_there() -> None:
    shop = Shop()
    shop.tries_plus(at="2025-11-01")
    shop.buys("plus.annual", at="2025-11-10")
    assert shop.plus == {
        **shop.plus,
        "state": "active",
        "from": "2025-11-10T00:00:00+08:00",
        "until": "2026-11-10T00:00:00+08:00",
    }


def test_trial_beans_lapse_30_days_after_the_trials_end() -> None:
    shop = Shop()
    shop.tries_plus(at="2025-11-01")
    shop.completes("O1", BOOK, at="2025-11-02")
    assert shop.on("2025-12-30 23:59:59").purse.pending() == 100
    lapsed = shop.on("2025-12-31")  # 30 days of trial and 30 more
    assert (lapsed.purse.pending(), lapsed.beans, lapsed.purse.expired) == (0, 0, 100)


def test_a_card_bought_within_the_30_days_after_the_trial_still_frees_its_beans() -> None:
    shop = Shop()
    shop.tries_plus(at="2025-11-01")
    shop.completes("O1", BOOK, at="2025-11-02")
    shop.completes("O2", BOOK, at="2025-12-10")  # in the gap: the ordinary rate
    assert shop.beans == 10
    shop.buys("plus.month", at="2025-12-30 23:59:59")
    assert shop.beans == 110


def test_a_card_bought_too_late_frees_nothing() -> None:
    shop = Shop()
    shop.tries_plus(at="2025-11-01")
    shop.completes("O1", BOOK, at="2025-11-02")
    shop.buys("plus.month", at="2025-12-31")
    assert shop.beans == 0 and shop.purse.expired == 100
    assert any(isinstance(change, Expired) for change in shop.last.changes)


def test_a_trial_earns_at_most_4000_and_then_at_the_ordinary_rate_at_once() -> None:
    shop = Shop()
    shop.tries_plus()
    shop.completes("O1", [("phone", 1, 400_000), ("phone", 1, 10_000)])
    assert (shop.purse.pending(), shop.beans) == (4_000, 10)


def test_a_member_has_one_trial_and_none_beside_a_card() -> None:
    shop = Shop()
    shop.tries_plus(at="2025-01-01")
    assert shop.tries_plus(at="2025-06-01") == "ignored: trial-used"
    other = Shop()
    other.buys("plus.annual")
    assert other.tries_plus() == "ignored: trial-used"


def test_the_state_of_a_membership_is_trial_active_or_ended() -> None:
    shop = Shop()
    assert shop.plus == {}
    shop.tries_plus(at="2025-11-01")
    assert shop.plus["state"] == "trial"
    assert shop.on("2025-12-01").plus["state"] == "ended"
    shop.buys("plus.month", at="2025-11-02")
    assert shop.plus["state"] == "active"


# == returns =============================================================================================================


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
    shop.completes("O1", [("food", 1, 4_000, 1_000)])
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


def test_a_return_of_an_order_nobody_saw_is_ignored_and_not_remembered() -> None:
    shop = Shop()
    assert shop.returns("O1", [("1", 1, 10_000)], back="T1") == "ignored: unknown-order"
    assert shop.returns("", [("1", 1, 10_000)]) == "ignored: unknown-order"
    shop.completes("O1", BOOK)
    assert shop.beans == 10
    assert shop.returns("O1", [("1", 1, 10_000)], back="T1") == "accepted"


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
    assert shop.completes("O1", PHONE) == f"ignored: order-{'cancelled' if first is Shop.cancels else 'rejected'}"
    assert shop.returns("O1", [("1", 1, 1)]).startswith("ignored: order-")
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


# == refused at the door =================================================================================================


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


# == spending ============================================================================================================


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


# -- holds ---------------------------------------------------------------------------------------------------------------


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


# -- operators -----------------------------------------------------------------------------------------------------------


def test_an_adjustment_needs_somebody_elses_approval() -> None:
    shop = Shop()
    assert shop.is_adjusted(100, by="ann", approved_by="") == "ignored: not-approved"
    assert shop.is_adjusted(100, by="ann", approved_by="ann") == "ignored: not-approved"
    assert shop.is_adjusted(100, by="ann", approved_by="bob") == "accepted"
    assert shop.beans == shop.purse.issued == 100


def test_a_negative_adjustment_beyond_what_is_spendable_leaves_debt() -> None:
    shop = shop_with(100)
    shop.is_adjusted(-150)
    assert (shop.beans, shop.debt, shop.purse.clawed_back) == (0, 50, 100)


def test_an_opening_lot_keeps_the_dates_of_the_older_system() -> None:
    shop = Shop()
    shop.opens_with(800, expires="2026-03-01", earned="2024-05-05", lot="L1")
    assert shop.beans == 800 and shop.on("2026-03-01").beans == 0
    assert shop.opens_with(800, expires="2026-03-01", lot="L1") == "ignored: already"


# == small earnings ======================================================================================================


def test_a_sign_in_gives_a_bean_once_a_day_of_shanghai() -> None:
    shop = Shop()
    shop.signs_in(at="2025-11-11 00:00")
    assert shop.signs_in(at="2025-11-11 23:59:59") == "accepted", "it earns nothing more, and contradicts nothing"
    assert shop.beans == 1
    shop.signs_in(at="2025-11-11T16:00:00+00:00")  # already the 12th in Shanghai
    assert shop.beans == 2


def test_a_sign_in_may_say_which_day_it_is_for() -> None:
    shop = Shop()
    shop.signs_in(at="2025-11-12 00:01", day="2025-11-11")
    shop.signs_in(at="2025-11-12 00:02")
    shop.signs_in(at="2025-11-12 00:03", day="2025-11-11")
    assert shop.beans == 2


def test_a_shop_visit_gives_a_bean_a_shop_a_day_and_at_most_5_a_day() -> None:
    shop = Shop()
    for name in ("a", "a", "b", "c", "d", "e", "f"):
        shop.visits(name)
    assert shop.beans == 5
    shop.visits("a", at="2025-11-12 10:00")
    assert shop.beans == 6


def test_a_grant_gives_what_it_says_until_when_it_says_and_once() -> None:
    shop = Shop()
    shop.is_granted(500, expires="2025-12-01", grant="G1")
    shop.is_granted(300, grant="G2")
    assert shop.is_granted(500, grant="G1") == "ignored: already"
    assert shop.beans == 800
    assert shop.on("2025-12-01").beans == 300
    assert shop.on("2026-12-31 23:59").beans == 300, "without an end of its own, as purchase beans"


# == reviews =============================================================================================================


@pytest.mark.parametrize(
    ("paid_fen", "characters", "beans"),
    [(1_999, 10, 0), (2_000, 10, 10), (9_999, 10, 10), (10_000, 10, 20), (10_000, 9, 0), (999_900, 500, 20)],
)
def test_a_review_of_10_characters_gives_10_beans_from_20_yuan_and_20_from_100(
    paid_fen: int, characters: int, beans: int
) -> None:
    shop = Shop()
    shop.completes("O1", [("virtual", 1, paid_fen)])  # which itself earns none
    shop.reviews("O1", characters=characters)
    assert shop.beans == beans


def test_exactly_60_days_after_completion_is_still_in_time() -> None:
    for seconds, beans in ((0, 20), (1, 0)):
        shop = Shop()
        shop.completes("O1", [("virtual", 1, 10_000)], at="2025-11-11 10:00")
        late = moment("2025-11-11 10:00") + timedelta(days=60, seconds=seconds)
        assert shop.reviews("O1", at=late.isoformat()) == "accepted"
        assert shop.beans == beans
        assert shop.on("2026-02-01").score["parts"]["activity"] == 2, "it scores all the same"


def test_each_line_has_one_review_and_a_short_one_is_its_review_too() -> None:
    shop = Shop()
    shop.completes("O1", [("virtual", 1, 10_000)])
    shop.reviews("O1", characters=9)
    assert shop.reviews("O1", characters=50) == "ignored: already-reviewed"
    assert shop.beans == 0


def test_a_review_of_a_line_that_is_not_completed_is_ignored_and_not_remembered() -> None:
    shop = Shop()
    assert shop.reviews("O1", review="V1") == "ignored: line-not-completed"
    shop.completes("O1", [("virtual", 1, 10_000)])
    assert shop.reviews("O1", line="2", review="V1") == "ignored: line-not-completed"
    assert shop.reviews("O1", review="V1") == "accepted"
    assert shop.beans == 20


def test_a_line_wholly_returned_earns_no_review_beans_and_after_a_part_return_paid_fen_still_decides() -> None:
    shop = Shop()
    shop.completes("O1", [("virtual", 2, 10_000), ("virtual", 1, 10_000)])
    shop.returns("O1", [("1", 1, 9_000), ("2", 1, 10_000)])
    shop.reviews("O1", line="2")
    assert shop.beans == 0
    shop.reviews("O1", line="1")
    assert shop.beans == 20


def test_review_beans_stay_when_the_line_comes_back_later() -> None:
    shop = Shop()
    shop.completes("O1", [("virtual", 1, 10_000)])
    shop.reviews("O1")
    shop.returns("O1", [("1", 1, 10_000)])
    assert shop.beans == 20


def test_a_review_taken_down_loses_its_beans_and_its_score_of_the_month_it_was_given() -> None:
    shop = Shop()
    shop.completes("O1", [("virtual", 1, 10_000)], at="2025-10-01")
    shop.reviews("O1", at="2025-10-02", images=1, review="V1")
    shop.takes_review_down("V1", at="2025-12-02")
    assert shop.beans == 0 and shop.score["parts"]["activity"] == 0
    assert shop.takes_review_down("V1") == "ignored: already"
    assert shop.takes_review_down("V9") == "ignored: unknown-review"


def test_beans_of_a_review_taken_down_that_were_spent_become_debt() -> None:
    shop = Shop()
    shop.completes("O1", [("virtual", 1, 10_000)])
    shop.reviews("O1", review="V1")
    shop.redeems(20, "draw")
    shop.takes_review_down("V1")
    assert (shop.beans, shop.debt) == (0, 20)


# == 京享值: the score ====================================================================================================


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


# == late facts ==========================================================================================================


def test_a_late_order_counts_in_its_own_month_and_says_which_settled_months_moved() -> None:
    shop = Shop(now="2025-12-10")
    shop.signs_in()
    assert shop.score["value"] == 0
    shop.completes("O1", [("", 1, 300 * YUAN)], at="2025-09-10")
    assert shop.score["value"] == 300
    moved = [change for change in shop.last.changes if isinstance(change, Resettled)]
    assert [(change.first_month % 12 + 1, change.last_month % 12 + 1) for change in moved] == [(10, 12)]


def test_a_late_fact_never_turns_the_clock_back() -> None:
    shop = Shop()
    shop.is_granted(100, at="2025-11-01", expires="2025-11-10")
    shop.signs_in(at="2025-11-11")
    assert shop.redeems(50, at="2025-11-09", recorded="2025-11-09") == "refused: beans-short"


def test_past_400_days_a_fact_comes_too_late() -> None:
    for seconds, said in ((0, "accepted"), (1, "ignored: too-late")):
        shop = Shop(now="2025-11-11 10:00")
        shop.signs_in()
        at = moment("2025-11-11 10:00") - timedelta(days=400, seconds=seconds)
        assert shop.completes("O1", PHONE, at=at.isoformat()) == said


def test_before_the_first_version_of_the_book_nothing_is_decided() -> None:
    shop = Shop(now="2017-09-01")
    assert shop.completes("O1", PHONE, at="2017-09-13 23:59:59") == "ignored: no-programme"
    assert shop.completes("O2", PHONE, at="2017-09-14 00:00") == "accepted"
    assert Shop(now="2017-01-01").redeems(20) == "refused: no-programme"


# == the books ===========================================================================================================


def test_the_books_of_a_long_story_balance() -> None:
    shop = Shop(now="2025-01-05")
    shop.tries_plus(card="C0")
    shop.completes("O1", PHONE)
    shop.buys("plus.month", at="2025-01-20", card="C1")
    shop.redeems(1_000, "offset", order="O2", settlement_fen=10_000)
    shop.completes("O2", [("food", 2, 9_000, 1_000)])
    shop.holds("H1", 700, "2025-02-20")
    shop.returns("O1", [("1", 1, 359_900)], at="2025-02-01")
    shop.captures("H1", 300)
    shop.returns("O2", [("1", 1, 4_500, 500)])
    purse = shop.purse
    assert shop.debt + shop.purse.cash_shortfall_fen > 0
    assert purse.issued == 3_599 + 90
    at_hand = shop.beans + purse.pending() + purse.held()
    assert purse.issued == at_hand + purse.redeemed + purse.expired + purse.clawed_back


def test_a_policy_change_does_not_touch_what_was_earned_before() -> None:
    """Others applied a new policy to points already earned."""
    from ledger.programme import shipped

    jd = shipped("jd")
    stingy = jd.replace("from = 2017-09-14\nutc", "from = 2025-11-20\nutc", 1).replace(
        "points = 10, per_fen = 10_000", "points = 5, per_fen = 10_000"
    )
    assert stingy != jd
    shop = Shop(jd, stingy)
    shop.completes("O1", BOOK, at="2025-11-19 23:59:59")
    shop.completes("O2", BOOK, at="2025-11-20 00:00")
    shop.completes("O3", BOOK, at="2025-11-19 12:00")  # reported late: the old book of its day
    assert [award.points for award in awards(shop)] == [10, 5, 10]
    shop.returns("O1", [("1", 1, 10_000)], at="2025-12-01")
    assert shop.purse.clawed_back == 10, "taken back as it was given"


def test_a_fact_says_where_it_came_from() -> None:
    assert DOOR == "/shop"
