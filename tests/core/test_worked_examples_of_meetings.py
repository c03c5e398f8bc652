"""Worked examples of where two rules of the contract meet, each reckoned by hand from its text.

How to read them: test_worked_examples.py. Under the shipped jd book a line of ¥100 earns 10 beans, and 100 with PLUS.
"""

import pytest

from ledger.rulebook.schema import shipped
from ledger.wire.entries import PaidInCash
from service.time_zones import with_transitions
from tests.support.shop import Shop

LINE = ("books", 1, 10_000)


def shop(granted: int = 0, **more: str) -> Shop:
    """A member on 1 March 2025, with beans that a campaign granted."""
    told = Shop(now="2025-03-01 10:00", **more)
    if granted:
        told.is_granted(granted, expires="2027-06-01", grant="G")
    return told


def cash(told: Shop) -> int:
    """What the last fact paid in cash, in fen."""
    return sum(change.fen for change in told.last.changes if isinstance(change, PaidInCash))


def line(name: str, fen: int, quantity: int = 1, **more: object) -> dict:
    return {"line": name, "sku": "s", "category": "books", "quantity": quantity, "paid_fen": fen, **more}


# -- orders that complete in parts (orders.md 2) -----------------------------------------------------------------------


def test_parcels_come_back_whole_only_when_nothing_more_is_to_come() -> None:
    told = shop(1_000)
    told.redeems(1_000, order="O", settlement_fen=20_000)
    told.completes("O", [line("1", 10_000)], more=True)
    told.returns("O", [("1", 1, 10_000)])
    assert told.beans == 0
    told.completes("O", [line("2", 10_000)])
    assert told.beans == 10
    assert told.returns("O", [("2", 1, 10_000)]) == "accepted: rest-restored"
    assert (told.beans, told.debt) == (1_000, 0)


def test_cancelling_the_rest_of_an_order_that_came_back_gives_back_what_was_spent() -> None:
    told = shop(1_000)
    told.redeems(1_000, order="O", settlement_fen=20_000)
    told.completes("O", [line("1", 10_000)], more=True)
    told.returns("O", [("1", 1, 10_000)])
    assert told.cancels("O") == "accepted: rest-cancelled"
    assert told.beans == 1_000
    assert told.completes("O", [line("2", 10_000)]) == "ignored: already"


def test_a_fact_rule_is_asked_at_the_first_parcel_alone() -> None:
    told = shop()
    told.completes("O", [line("1", 100)], more=True)
    told.completes("O", [line("2", 100)], pay="jd-pay")
    told.completes("P", [line("1", 100)], pay="jd-pay", more=True)
    told.completes("P", [line("2", 100)], pay="jd-pay")
    assert told.on("2025-04-01").score["parts"]["activity"] == 2


def test_each_parcel_goes_by_the_card_of_its_own_completion() -> None:
    told = shop()
    told.completes("O", [line("1", 10_000)], more=True)
    told.buys("plus.month", card="K", paid_fen=1_980)
    told.completes("O", [line("2", 10_000)])
    assert told.beans == 110
    told.refunds_card("K", refund_fen=1_980)
    assert told.beans == 20


def test_points_of_a_line_that_is_to_come_go_back_at_once() -> None:
    told = shop(2_000)
    told.redeems(1_000, order="O", settlement_fen=40_000)
    told.completes("O", [line("1", 10_000)], more=True)
    assert told.returns("O", [("2", 1, 10_000, 400)]) == "accepted: before-completion"
    assert told.beans == 1_410
    told.completes("O", [line("2", 10_000)])
    assert (told.beans, told.debt) == (1_410, 0)


def test_what_completed_before_is_left_out_of_a_parcel() -> None:
    told = shop()
    told.completes("O", [line("1", 10_000)], more=True)
    assert told.completes("O", [line("1", 99_000)], more=True) == "ignored: already"
    assert told.completes("O", [line("1", 99_000), line("2", 10_000)]) == "accepted: line-completed"
    assert told.beans == 20


# -- amendments (orders.md 3) ------------------------------------------------------------------------------------------


def test_a_return_before_an_amendment_and_one_after_it() -> None:
    told = shop()
    told.completes("O", [line("1", 20_000, 2)])
    told.returns("O", [("1", 1, 10_000)])
    assert told.beans == 10
    told.amends("O", [line("1", 30_000, 3)])
    assert told.beans == 20, "K(30) = 30 * 20,000 / 30,000"
    told.returns("O", [("1", 2, 20_000)])
    assert told.beans == 0


def test_an_amendment_takes_back_from_cash_up_to_its_refund() -> None:
    told = shop()
    told.completes("O", [line("1", 20_000)])
    told.redeems(20)
    told.amends("O", [line("1", 15_000)], refund_fen=3)
    assert (told.beans, cash(told), told.debt) == (0, 3, 2)


def test_an_amendment_below_the_threshold_takes_all_back() -> None:
    told = shop()
    told.completes("O", [line("1", 20_000)])
    told.amends("O", [line("1", 4_999)])
    assert (told.beans, told.debt) == (0, 0)


def test_after_the_late_days_an_amendment_takes_and_does_not_give() -> None:
    told = shop()
    told.completes("O", [line("1", 20_000)])
    told.amends("O", [line("1", 30_000)], at="2026-04-05 10:00")
    assert told.beans == 30, "400 days after"
    told.amends("O", [line("1", 40_000)], at="2026-04-05 10:00:01")
    assert told.beans == 30
    told.amends("O", [line("1", 10_000)], at="2026-04-07")
    assert told.beans == 10


def test_a_line_that_an_amendment_leaves_out_came_back_whole() -> None:
    told = shop()
    told.completes("O", [line("1", 10_000), line("2", 20_000)])
    told.amends("O", [line("1", 10_000)])
    assert told.beans == 10
    assert told.amends("O", [line("1", 10_000), line("2", 20_000)]) == "accepted: line-returned"
    assert told.beans == 10


def test_the_last_line_left_out_is_a_whole_return() -> None:
    told = shop(1_000)
    told.redeems(1_000, order="O", settlement_fen=30_000)
    told.completes("O", [line("1", 10_000), line("2", 10_000)])
    told.returns("O", [("1", 1, 10_000)])
    assert told.amends("O", [line("1", 10_000)]) == "accepted: rest-restored"
    assert (told.beans, told.debt) == (1_000, 0)


def test_a_category_is_new_with_the_line_that_an_amendment_adds() -> None:
    told = shop()
    told.completes("O", [("books", 1, 100)])
    told.amends("O", [("books", 1, 100), ("toys", 1, 100)])
    assert told.on("2025-04-01").score["value"] == 22
    told.completes("P", [("toys", 1, 100)])
    assert told.on("2025-04-01").score["value"] == 23


def test_the_id_of_a_return_is_the_members_and_not_the_orders() -> None:
    told = shop()
    for order in ("O", "P"):
        told.completes(order, [LINE])
    assert told.returns("O", [("1", 1, 10_000)], back="R1") == "accepted"
    assert told.returns("P", [("1", 1, 10_000)], back="R1") == "ignored: already"
    assert told.returns("P", [("1", 1, 10_000)], back="R2") == "accepted"
    assert told.beans == 0


def test_a_line_that_takes_the_place_of_another_leaves_the_order_standing() -> None:
    told = shop(1_000)
    told.redeems(1_000, order="O", settlement_fen=30_000)
    told.completes("O", [line("1", 10_000)])
    told.amends("O", [line("2", 20_000)])
    assert told.beans == 20


def test_a_line_that_an_amendment_adds_goes_by_the_card_of_its_own_instant() -> None:
    told = shop()
    told.completes("O", [line("1", 10_000)])
    told.buys("plus.month")
    told.amends("O", [line("1", 20_000), line("2", 10_000)])
    assert told.beans == 20 + 100


def test_an_amendment_of_an_unknown_or_ended_order_is_ignored() -> None:
    told = shop()
    assert told.amends("O", [line("1", 10_000)]) == "ignored: unknown-order"
    told.cancels("O")
    assert told.amends("O", [line("1", 10_000)]) == "ignored: order-cancelled"
    told.refuses_at_the_door("P")
    assert told.amends("P", [line("1", 10_000)]) == "ignored: order-rejected"


def test_a_capped_line_is_amended_within_its_cap_and_returned_from_it() -> None:
    told = shop()
    told.completes("O", [line("1", 2_000_000)])
    told.amends("O", [line("1", 3_000_000)])
    assert told.beans == 1_000
    told.returns("O", [("1", 0, 1_500_000)])
    assert told.beans == 500


def test_of_a_cards_cap_the_difference_fits_whole_or_not_at_all() -> None:
    told = shop()
    told.buys("plus.month")
    told.completes("O", [line("1", 300_000)])
    told.amends("O", [line("1", 450_000)])
    assert told.beans == 3_000
    told.returns("O", [("1", 0, 225_000)])
    assert told.beans == 1_500


def test_a_score_that_an_amendment_gives_more_stands_in_the_month_of_the_completion() -> None:
    told = shop()
    told.completes("O", [line("1", 10_000, category="")])
    told.amends("O", [line("1", 20_000, category="")], at="2025-05-05")
    assert told.on("2026-03-31 23:59:59").score["value"] == 200
    assert told.on("2026-04-01").score["value"] == 0


def test_an_award_that_an_amendment_grew_is_taken_newest_lot_first() -> None:
    told = shop()
    told.completes("O", [line("1", 20_000, 2)])
    told.amends("O", [line("1", 30_000, 2)], at="2025-03-02")
    told.returns("O", [("1", 1, 15_000)])
    assert told.lots == [15], "15 of 30 are kept: the 10 of the second lot went, and 5 of the first"


# -- orders that go on after a cancellation (orders.md 4) --------------------------------------------------------------


def test_what_a_cancellation_gave_back_counts_no_more_towards_the_half() -> None:
    told = shop(2_000)
    told.redeems(1_000, "offset", order="O", settlement_fen=2_000)
    told.cancels("O")
    assert told.beans == 2_000
    assert told.completes("O", [LINE]) == "accepted: after-cancellation"
    assert told.redeems(1_000, "offset", order="O", settlement_fen=2_000) == "accepted: order-ended"
    assert told.redeems(1_000, "offset", order="O", settlement_fen=2_000) == "refused: above-share"
    assert told.beans == 1_010


def test_a_return_that_was_remembered_is_dropped_by_the_cancellation() -> None:
    told = shop()
    told.pays("O", [LINE])
    told.returns("O", [("1", 1, 10_000)], back="T")
    told.cancels("O")
    told.completes("O", [LINE])
    assert told.beans == 10
    assert told.returns("O", [("1", 1, 10_000)], back="T") == "ignored: already"
    told.returns("O", [("1", 1, 10_000)], back="U")
    assert told.beans == 0


def test_a_payment_from_before_the_cancellation_does_not_reopen() -> None:
    told = shop()
    told.cancels("O", at="2025-03-02 10:00")
    assert told.pays("O", [LINE], at="2025-03-02 09:59") == "ignored: order-cancelled"
    assert told.pays("O", [LINE], at="2025-03-02 10:00") == "accepted: after-cancellation"


def test_a_cancellation_of_an_order_never_seen_is_remembered() -> None:
    told = shop(1_000)
    assert told.cancels("O") == "accepted: unknown-order"
    assert told.redeems(20, order="O", settlement_fen=100) == "refused: order-ended"
    assert told.completes("O", [LINE]) == "accepted: after-cancellation"


def test_a_rejected_order_stays_ended() -> None:
    told = shop(1_000)
    told.refuses_at_the_door("O")
    assert told.completes("O", [LINE]) == "ignored: order-rejected"
    assert told.pays("O", [LINE]) == "ignored: order-rejected"
    assert told.redeems(20, order="O", settlement_fen=100) == "refused: order-ended"
    assert told.beans == 1_000


def test_an_order_reopened_under_a_card_that_is_refunded_whole_counts_at_the_ordinary_rate() -> None:
    told = shop()
    told.cancels("O")
    told.buys("plus.month", card="K", paid_fen=1_980)
    told.completes("O", [LINE])
    assert told.beans == 100
    told.refunds_card("K", refund_fen=1_980)
    assert told.beans == 10
    told.completes("P", [LINE])
    assert told.beans == 20


# -- exchanges and returns that come first (orders.md 5, 6) ------------------------------------------------------------


def test_an_exchange_an_amendment_and_a_return() -> None:
    told = shop()
    told.completes("O", [line("1", 20_000, 2)])
    told.exchanges("O", [("1", 1, 10_000)])
    assert told.beans == 20
    told.amends("O", [line("1", 30_000, 3)])
    assert told.beans == 30
    told.returns("O", [("1", 1, 10_000)])
    assert told.beans == 20


def test_the_refund_of_an_exchange_is_no_room_for_cash() -> None:
    told = shop()
    told.completes("O", [line("1", 10_000), line("2", 10_000)])
    told.redeems(20)
    lines = [
        {"line": "1", "quantity": 1, "refund_fen": 500, "exchange": True},
        {"line": "2", "quantity": 1, "refund_fen": 4},
    ]
    told.tells("order.returned", **{"order": "O", "return": "T", "lines": lines})
    assert (cash(told), told.debt) == (4, 6)


def test_an_exchange_gives_points_back_all_the_same() -> None:
    told = shop(1_000)
    told.redeems(1_000, order="O", settlement_fen=20_000)
    told.completes("O", [line("1", 10_000, points=1_000)])
    told.exchanges("O", [("1", 1, 0, 300)])
    assert told.beans == 310
    assert told.returns("O", [("1", 1, 10_000)]) == "accepted: rest-restored"
    assert told.beans == 1_000


def test_points_of_a_return_that_came_first_are_asked_for_again() -> None:
    told = shop(1_000)
    assert told.returns("O", [("1", 1, 10_000, 300)]) == "accepted: unknown-order"
    told.redeems(1_000, order="O", settlement_fen=20_000)
    told.completes("O", [line("1", 20_000, 2, points=1_000)])
    assert told.beans == 10 + 300


def test_a_whole_return_that_came_first_gives_back_all() -> None:
    told = shop(1_000)
    told.returns("O", [("1", 1, 10_000, 300)])
    told.redeems(1_000, order="O", settlement_fen=20_000)
    told.completes("O", [line("1", 10_000, points=1_000)])
    assert (told.beans, told.debt) == (1_000, 0)


def test_a_return_that_came_first_meets_a_card_that_is_refunded() -> None:
    told = shop()
    told.returns("O", [("1", 1, 10_000)])
    told.buys("plus.month", card="K", paid_fen=1_980)
    told.completes("O", [line("1", 20_000, 2)])
    assert told.beans == 100
    told.refunds_card("K", refund_fen=1_980)
    assert told.beans == 10


def test_a_return_without_an_order_is_not_remembered() -> None:
    assert shop().returns("", [("1", 1, 10_000)]) == "ignored: unknown-order"


PAYMENT = """
programme = "payment"
name = "p"
from = 2024-01-01
utc_offset = "+08:00"
[kinds.beans]
name = "b"
expiry = [{ from = 2024-01-01, never = true }]
[[award]]
rule = "paid"
name = "p"
on = "order.paid"
each = "line"
kind = "beans"
give = { points = 1, per_fen = 1_000 }
"""


def test_a_return_that_came_before_the_payment_is_taken_of_what_the_payment_gives() -> None:
    told = Shop(PAYMENT, now="2025-03-01 10:00")
    told.returns("O", [("1", 1, 10_000)])
    told.pays("O", [line("1", 20_000, 2)])
    assert told.beans == 10
    told.completes("O", [line("1", 20_000, 2)])
    assert told.beans == 10
    told.returns("O", [("1", 1, 10_000)])
    assert (told.beans, told.debt) == (0, 0)


# -- whole returns (orders.md 7) ---------------------------------------------------------------------------------------


def test_what_is_restored_meets_the_claim_of_a_whole_return() -> None:
    told = shop(1_000)
    told.redeems(1_000, order="O", settlement_fen=200_000)
    told.completes("O", [line("1", 100_000)])
    told.redeems(100)
    told.returns("O", [("1", 1, 0)])
    assert (told.beans, told.debt, cash(told)) == (900, 0, 0)


def test_what_a_whole_return_restores_may_have_expired() -> None:
    told = Shop(now="2025-03-01 10:00")
    told.is_granted(1_000, expires="2025-04-01")
    told.redeems(1_000, order="O", settlement_fen=20_000)
    told.completes("O", [LINE])
    told.returns("O", [("1", 1, 10_000)], at="2025-05-01")
    assert (told.beans, told.purse.expired, told.purse.redeemed) == (0, 1_000, 0)


def test_more_points_than_were_spent_are_capped() -> None:
    told = shop(1_000)
    told.redeems(600, order="O", settlement_fen=20_000)
    told.completes("O", [line("1", 20_000, 2)])
    assert told.returns("O", [("1", 1, 10_000, 900)]) == "accepted: points-capped"
    assert told.beans == 1_000 + 10
    told.returns("O", [("1", 1, 10_000, 900)])
    assert told.beans == 1_000


# -- benefits and adjustments (orders.md 8, 9) -------------------------------------------------------------------------


def test_a_claim_comes_back_with_its_order_and_is_made_again_for_the_reopened_one() -> None:
    told = shop()
    told.buys("plus.month")
    told.claims(order="O", claim="A")
    assert told.plus["quotas"]["shipping"] == 4
    told.cancels("O")
    assert told.plus["quotas"]["shipping"] == 5
    assert told.claims(order="O") == "refused: order-ended"
    told.completes("O", [LINE])
    assert told.claims(order="O", claim="B") == "accepted"
    told.returns("O", [("1", 1, 10_000)])
    assert told.plus["quotas"]["shipping"] == 4, "a whole return gives none back"
    assert told.gives_claim_back("A") == "ignored: already"
    told.gives_claim_back("B")
    assert told.plus["quotas"]["shipping"] == 5


def test_an_adjustment_aimed_at_what_was_spent_leaves_debt_and_no_claim() -> None:
    told = shop()
    told.completes("O", [line("1", 20_000)])
    told.redeems(20)
    assert told.is_adjusted_of(-20, order="O", line="1") == "accepted"
    assert told.debt == 20
    told.returns("O", [("1", 1, 20_000)])
    assert (told.debt, cash(told)) == (20, 0)


def test_returns_and_amendments_reckon_with_what_an_adjustment_took() -> None:
    told = shop()
    told.completes("O", [line("1", 20_000, 2)])
    told.is_adjusted_of(-5, order="O", line="1")
    told.amends("O", [line("1", 30_000, 2)])
    assert told.beans == 25
    told.returns("O", [("1", 0, 15_000)])
    assert told.beans == 12, "25 * 15,000 / 30,000"


def test_an_adjustment_above_what_the_award_holds_is_capped() -> None:
    told = shop(100)
    told.completes("O", [line("1", 20_000)])
    assert told.is_adjusted_of(-50, order="O", line="1") == "accepted: adjustment-capped"
    assert (told.beans, told.debt) == (100, 0)


def test_what_expired_of_a_grant_is_not_asked_for() -> None:
    told = shop()
    told.is_granted(100, expires="2025-04-01", grant="OLD")
    told.is_granted(70, expires="2026-04-01", grant="NEW")
    told.is_adjusted_of(-100, at="2025-05-01", grant="OLD")
    assert (told.beans, told.debt) == (70, 0)


def test_a_cards_refund_reckons_with_what_an_adjustment_took() -> None:
    told = shop()
    told.buys("plus.month", card="K", paid_fen=1_980)
    told.completes("O", [LINE])
    told.is_adjusted_of(-4, order="O", line="1")
    told.refunds_card("K", refund_fen=1_980)
    assert told.beans == 6, "A is 10 less 4"


def test_an_adjustment_of_another_kind_is_unknown_and_one_that_gives_needs_no_aim() -> None:
    told = shop(100)
    assert told.is_adjusted_of(-5, kind="brand-points", grant="G") == "ignored: unknown-award"
    assert told.is_adjusted_of(5, grant="NONE") == "accepted"
    assert told.beans == 105


# -- cards (orders.md 10 to 12) ----------------------------------------------------------------------------------------

UPGRADES = 'cap = 50_000\nupgrades = ["plus.month"]'


def test_an_upgraded_card_and_the_refund_of_the_better_one() -> None:
    told = Shop(shipped("jd").replace("cap = 50_000", UPGRADES, 1), now="2025-03-01 10:00")
    told.buys("plus.month", card="M", paid_fen=1_500)
    told.completes("O", [LINE])
    told.buys("plus.annual", at="2025-03-11 10:00", card="Y", paid_fen=14_900)
    assert (told.last.figures["unused_days"], told.last.figures["unused_fen"]) == (20, 1_000)
    told.completes("P", [LINE])
    assert told.beans == 200
    told.refunds_card("Y", at="2025-03-12 10:00", refund_fen=14_900)
    assert told.beans == 110
    told.completes("Q", [LINE], at="2025-03-13")
    assert told.beans == 120, "the month ended where the year began"
    assert told.refunds_card("M", refund_fen=1_500) == "ignored: card-ended"


MONTHS = """
programme = "club"
name = "c"
from = 2024-01-01
time_zone = "Europe/Berlin"
[kinds.beans]
name = "b"
expiry = [{ from = 2024-01-01, end_of_month_after = 1 }]
[scores.standing]
name = "s"
window_months = 1
parts = { all = "a" }
[memberships.club]
name = "club"
products = { "club.month" = { months = 1 } }
[[award]]
rule = "done"
name = "d"
on = "activity.done"
score = "standing"
part = "all"
give = { points = 7 }
"""


def berlin(now: str) -> Shop:
    return Shop(with_transitions(MONTHS), now=now)


def test_terms_of_months_across_an_hour_that_the_clocks_skip() -> None:
    told = berlin("2025-01-30T02:30:00+01:00")
    for card in "ABC":
        told.buys("club.month", card=card)
    until = [
        told.on(at).shown["memberships"]["club"]["until"]
        for at in ("2025-02-01T00:00:00Z", "2025-03-01T00:00:00Z", "2025-04-01T00:00:00Z")
    ]
    assert until == ["2025-02-28T02:30:00+01:00", "2025-03-30T03:00:00+02:00", "2025-04-30T02:30:00+02:00"]


@pytest.mark.parametrize(
    ("at", "months"),
    [
        ("2025-02-28T23:30:00Z", ("2025-03", "2025-04", "2025-05")),  # +01:00
        ("2025-03-31T22:30:00Z", ("2025-04", "2025-05", "2025-06")),  # +02:00
        ("2025-02-28T22:30:00Z", ("2025-01", "2025-03", "2025-04")),
        ("2024-02-29T23:30:00Z", ("2024-03", "2024-04", "2024-05")),
    ],
)
def test_a_month_begins_by_the_clocks_of_the_zone(at: str, months: tuple[str, ...]) -> None:
    told = berlin(at)
    told.tells("activity.done", done="D", activity="a")
    values = [told.on(f"{of}-15T00:00:00Z").shown["scores"]["standing"]["value"] for of in months]
    assert values == [0, 7, 0], "a month counts the month before it"


def test_points_to_the_end_of_the_next_month_over_a_leap_day() -> None:
    told = berlin("2024-01-31T12:00:00Z")
    told.is_granted(5)
    (lot,) = told.shown["points"]["beans"]["lots"]
    assert lot["expires_at"] == "2024-03-01T00:00:00+01:00"
    assert (told.on("2024-02-29T22:59:59Z").beans, told.on("2024-02-29T23:00:00Z").beans) == (5, 0)


# -- kinds in order, uses, exchanges (orders.md 13, grammar 9) ---------------------------------------------------------

KINDS = """
programme = "kinds"
name = "k"
from = 2024-01-01
utc_offset = "+08:00"
[kinds.gift]
name = "g"
fen = 10
expiry = [{ from = 2024-01-01, never = true }]
[kinds.beans]
name = "b"
expiry = [{ from = 2024-01-01, never = true }]
[uses.pay]
name = "p"
kinds = ["gift", "beans"]
order = true
share = "1/2"
[uses.day]
name = "d"
kinds = ["beans"]
cap = [{ per = "day", points = 100 }]
"""


def two_kinds(gift: int, beans: int) -> Shop:
    told = Shop(KINDS, now="2025-03-01 10:00")
    told.tells("campaign.granted", grant="1", campaign="c", kind="gift", points=gift)
    told.tells("campaign.granted", grant="2", campaign="c", kind="beans", points=beans)
    return told


def pays_by_both(told: Shop, points: int, settlement_fen: int) -> str:
    data = {"redemption": f"R{points}", "kind": "", "points": points, "use": "pay", "order": "O"}
    return told.tells("redemption.requested", **data, settlement_fen=settlement_fen)


def left(told: Shop) -> tuple[int, int]:
    return told.account.purse("gift").spendable(), told.account.purse("beans").spendable()


def test_a_return_gives_back_of_two_kinds_what_was_taken_last() -> None:
    told = two_kinds(80, 120)
    assert pays_by_both(told, 150, 10_000) == "accepted"
    assert left(told) == (0, 50)
    told.completes("O", [line("1", 100), line("2", 100)])
    told.returns("O", [("1", 1, 100, 100)])
    assert left(told) == (30, 120)
    told.returns("O", [("2", 1, 100)])
    assert left(told) == (80, 120)


def test_the_half_counts_fen_over_all_kinds() -> None:
    told = two_kinds(40, 200)
    assert pays_by_both(told, 141, 1_000) == "refused: above-share", "400 + 101 fen of 500"
    assert pays_by_both(told, 140, 1_000) == "accepted"
    assert pays_by_both(told, 120, 2_000) == "refused: points-short", "100 are left"


def test_a_cap_of_a_day_has_no_room_again_by_a_reversal() -> None:
    told = two_kinds(1, 500)
    told.redeems(60, "day", redemption="R")
    assert told.redeems(50, "day") == "refused: cap-full"
    told.gives_back("R")
    assert told.redeems(50, "day") == "refused: cap-full"
    assert told.redeems(40, "day") == "accepted"
    assert told.redeems(100, "day", at="2025-03-02") == "accepted"


@pytest.mark.parametrize(
    ("first", "second", "given"),
    [
        (333, 667, [33, 67]),
        (5, 95, [1, 9]),  # a half each: to the lot that was burned earlier
        (4, 96, [10]),  # a share of 0 opens no lot
        (500, 500, [50, 50]),
    ],
)
def test_what_an_exchange_gives_is_shared_out_by_the_largest_remainder(
    first: int, second: int, given: list[int]
) -> None:
    told = Shop(now="2025-03-01 10:00")
    told.is_granted(first, expires="2025-12-01")
    told.is_granted(second, expires="2026-12-01")
    told.tells("exchange.requested", request="X", exchange="brand", points=first + second)
    lots = told.shown["points"]["brand-points"]["lots"]
    assert [lot["earned"] for lot in lots] == given
    assert lots[-1]["expires_at"] == "2026-03-01T10:00:00+08:00", "the kind's own 365 days end sooner"
    if len(given) > 1:
        assert lots[0]["expires_at"] == "2025-12-01T00:00:00+08:00"
    assert told.tells("exchange.reversed", request="X") == "accepted"
    assert (told.beans, told.account.purse("brand-points").spendable()) == (first + second, 0)


def test_what_expires_sooner_is_burned_first_and_equals_in_the_order_of_entries() -> None:
    told = Shop(now="2025-03-01 10:00")
    for name, day in (("A", "2025-06-01"), ("B", "2025-05-01"), ("C", "2025-06-01")):
        told.is_granted(100, expires=day, grant=name)
    told.redeems(150)
    assert told.lots == [50, 100]
    told.redeems(60)
    assert told.lots == [90]


# -- closing (orders.md 15), reviews (18), rejections ------------------------------------------------------------------


def test_a_late_return_of_a_closed_account() -> None:
    told = shop(1_000)
    told.redeems(500, order="O", settlement_fen=20_000)
    told.completes("O", [LINE])
    told.holds("H", 100, until="2025-12-01")
    assert told.is_closed() == "accepted"
    assert (told.beans, told.purse.forfeited, told.purse.held()) == (0, 510, 0)
    told.returns("O", [("1", 1, 10_000)])
    assert (told.beans, told.purse.forfeited, told.purse.written_off, told.debt) == (0, 1_010, 10, 0)
    assert cash(told) == 0
    told.is_reopened()
    told.completes("P", [LINE])
    assert told.beans == 10


def test_a_closed_account_refuses_before_a_frozen_one_and_ignores_the_rest() -> None:
    told = shop(1_000)
    told.is_frozen()
    told.is_closed()
    assert told.redeems(20) == "refused: account-closed"
    assert told.completes("O", [LINE]) == "ignored: account-closed"
    assert told.is_closed() == "ignored: already"
    told.is_reopened()
    assert told.redeems(20) == "refused: account-frozen"
    assert told.is_reopened() == "ignored: not-closed"


def test_a_debt_outlives_the_closing() -> None:
    told = shop()
    told.completes("O", [LINE])
    told.redeems(10)
    told.returns("O", [("1", 1, 0)])
    assert told.debt == 10
    told.is_closed()
    told.is_reopened()
    told.completes("P", [line("1", 30_000)])
    assert (told.beans, told.debt) == (20, 0)


def test_a_review_from_before_the_completion_is_in_time_and_scores_in_its_own_month() -> None:
    told = shop()
    told.completes("O", [LINE], at="2025-04-01 00:00")
    assert told.reviews("O", at="2025-03-31 23:00") == "accepted"
    assert told.beans == 30
    assert told.on("2025-04-15").score["parts"]["activity"] == 2
    assert told.on("2026-04-15").score["parts"]["activity"] == 0


def test_the_second_rejection_of_a_month_costs_500_and_what_is_short_is_repaid_first() -> None:
    told = shop(300)
    told.refuses_at_the_door("O")
    assert told.beans == 300
    told.refuses_at_the_door("P")
    assert (told.beans, told.debt) == (0, 200)
    told.completes("Q", [line("1", 250_000)])
    assert (told.beans, told.debt) == (50, 0)


def test_lines_whose_points_do_not_add_up_are_said() -> None:
    told = shop(1_000)
    told.redeems(600, order="O", settlement_fen=20_000)
    assert told.completes("O", [line("1", 10_000, points=500)]) == "accepted: points-differ"
    assert told.last.figures == {"tendered": 500, "redeemed": 600}


# -- further meetings --------------------------------------------------------------------------------------------------


def test_an_amendment_may_say_that_more_lines_are_to_come() -> None:
    told = shop(1_000)
    told.redeems(1_000, order="O", settlement_fen=20_000)
    told.completes("O", [LINE])
    told.amends("O", [line("1", 10_000)], more=True)
    told.returns("O", [("1", 1, 10_000)])
    assert told.beans == 0
    told.completes("O", [line("2", 10_000)])
    told.returns("O", [("2", 1, 10_000)])
    assert told.beans == 1_000


def test_all_the_money_without_the_pieces_is_no_whole_return() -> None:
    told = shop(1_000)
    told.redeems(1_000, order="O", settlement_fen=40_000)
    told.completes("O", [line("1", 20_000, 2)])
    told.returns("O", [("1", 0, 20_000)])
    assert told.beans == 0, "the line keeps nothing, and the order keeps its points"
    told.returns("O", [("1", 2, 0)])
    assert told.beans == 1_000


def test_a_review_goes_by_what_the_line_was_when_it_came() -> None:
    told = shop()
    told.completes("O", [LINE, ("books", 1, 10_000)])
    told.reviews("O", "1")
    told.amends("O", [line("1", 5_000)])
    assert told.beans == 5 + 20, "review beans stay"
    told.reviews("O", "2")
    assert told.beans == 25, "the line came back whole"
    told.completes("P", [LINE])
    told.amends("P", [line("1", 5_000)])
    told.reviews("P")
    assert told.beans == 25 + 5 + 10


def test_a_line_that_did_not_fit_the_card_is_asked_anew_and_goes_back() -> None:
    told = shop()
    told.buys("plus.month")
    told.completes("O", [line("1", 500_000)])
    assert told.beans == 500, "5,000 do not fit in 4,000"
    told.amends("O", [line("1", 300_000)])
    assert told.beans == 3_000
    told.amends("O", [line("1", 300_000, category="virtual")])
    assert (told.beans, told.debt) == (0, 0)


def test_fewer_pieces_than_came_back_are_a_whole_line() -> None:
    told = shop()
    told.completes("O", [line("1", 30_000, 3)])
    told.returns("O", [("1", 2, 20_000)])
    assert told.beans == 10
    told.amends("O", [line("1", 20_000, 2)])
    assert (told.beans, told.debt) == (0, 0)


def test_what_an_amendment_gives_more_ends_by_its_own_instant() -> None:
    told = shop()
    told.completes("O", [LINE], at="2025-12-30 10:00")
    told.amends("O", [line("1", 20_000)], at="2026-01-05 10:00")
    ends = [lot["expires_at"] for lot in told.shown["points"]["beans"]["lots"]]
    assert ends == ["2026-07-04T10:00:00+08:00", "2027-01-01T00:00:00+08:00"], "180 days from 2026 on"


def test_of_several_redemptions_the_last_one_comes_back_first() -> None:
    told = Shop(now="2025-03-01 10:00")
    told.is_granted(100, expires="2025-06-01", grant="a")
    told.is_granted(100, expires="2025-07-01", grant="b")
    told.redeems(60, order="O", settlement_fen=9_999)
    told.redeems(80, order="O", settlement_fen=9_999)
    told.completes("O", [line("1", 100, 2)])
    told.returns("O", [("1", 1, 50, 90)])
    assert told.lots == [50, 100], "40 of b and 40 of a, then 10 of the first redemption"


def test_restored_points_repay_debt_before_a_claim_meets_them() -> None:
    told = shop(1_000)
    told.redeems(1_000, order="O", settlement_fen=200_000)
    told.completes("O", [line("1", 10_000, 2)])
    told.redeems(10)
    told.refuses_at_the_door("X")
    told.refuses_at_the_door("Y")
    assert told.debt == 500
    told.returns("O", [("1", 1, 5_000, 600)])
    assert (told.beans, told.debt) == (95, 0), "600 - 500, of which 5 were earned by what came back"


def test_a_rejection_gives_back_before_it_costs() -> None:
    told = shop(600)
    told.refuses_at_the_door("A")
    told.redeems(600, order="B", settlement_fen=20_000)
    told.refuses_at_the_door("B")
    assert (told.beans, told.debt) == (100, 0)


def test_plus_forgives_five_rejections_of_a_month() -> None:
    told = shop(3_000)
    told.buys("plus.month")
    for number in range(7):
        told.refuses_at_the_door(f"X{number}")
    assert told.beans == 2_000


def test_frozen_points_of_a_closed_account_are_released_by_no_card() -> None:
    told = shop()
    told.tries_plus()
    told.completes("O", [LINE])
    told.is_closed()
    assert (told.pending, told.purse.forfeited) == (0, 100)
    told.is_reopened()
    told.buys("plus.month")
    told.returns("O", [("1", 1, 10_000)])
    assert (told.beans, told.debt) == (0, 0), "what was forfeited is not asked for"


@pytest.mark.parametrize(("end", "left"), [("order.cancelled", 5), ("order.rejected", 5), ("rest", 4)])
def test_a_claim_for_an_order_nobody_saw_comes_back_with_its_end(end: str, left: int) -> None:
    told = shop()
    told.buys("plus.month")
    told.claims(order="O")
    if end == "rest":
        told.completes("O", [LINE], more=True)
    told.tells("order.cancelled" if end == "rest" else end, order="O")
    assert told.plus["quotas"]["shipping"] == left


def test_an_adjustment_of_an_award_that_grew_takes_the_newest_lot_first() -> None:
    told = shop()
    told.completes("O", [line("1", 20_000)])
    told.amends("O", [line("1", 30_000)], at="2025-03-02")
    told.is_adjusted_of(-12, order="O", line="1")
    assert told.lots == [18]
    assert told.is_adjusted_of(-30, lot="2.1") == "accepted: adjustment-capped", "either lot names the award"
    assert (told.beans, told.debt) == (0, 0)
