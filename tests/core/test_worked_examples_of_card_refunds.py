"""Worked examples of a card that is refunded whole, under the shipped jd book and others.

How to read them: test_worked_examples.py.
"""

import pytest

from ledger.core.card_orders import ORDERS_A_PAGE
from ledger.core.pages import CardPage
from ledger.rulebook.schema import shipped
from ledger.wire.entries import Confirmed, Expired, PaidInCash, Refrozen, Scored
from tests.support.shop import Shop

PRICE = 14_900


def annual(**lines: tuple) -> Shop:
    """A member with an annual card of ¥149.00, and an order for each name with a line."""
    shop = Shop(now="2025-05-01 12:00")
    shop.buys("plus.annual", card="K", paid_fen=PRICE)
    for order, line in lines.items():
        shop.completes(order, [line], at="2025-05-02 12:00")
    return shop


# -- what was earned at the card's rate --------------------------------------------------------------------------------


def test_lines_count_at_the_ordinary_rate_from_then_on() -> None:
    """H5: ¥50,000 at 1 % were 50,000 beans; the ordinary rule gives ¥50,000 / ¥10, at most 1,000 a line."""
    shop = annual(O1=("phone", 1, 5_000_000))
    assert shop.beans == 50_000
    assert shop.refunds_card("K", at="2025-05-02 13:00", refund_fen=PRICE) == "accepted: refund-not-due"
    assert shop.beans == 1_000
    shop.returns("O1", [("1", 1, 5_000_000)], at="2025-05-03")
    assert (shop.beans, shop.debt) == (0, 0)


def test_a_refund_of_a_part_takes_nothing_back() -> None:
    shop = annual(O1=("phone", 1, 100_000))
    shop.refunds_card("K", refund_fen=PRICE - 1)
    assert shop.beans == 1_000


@pytest.mark.parametrize("keep", ["coded", "free"])
def test_a_card_without_a_price_takes_nothing_back(keep: str) -> None:
    shop = Shop(now="2025-05-01 12:00")
    if keep == "coded":
        shop.redeems_code("plus.annual", card="K")
    else:
        shop.buys("plus.annual", card="K", paid_fen=0)
    shop.completes("O1", [("phone", 1, 100_000)])
    shop.refunds_card("K", refund_fen=0)
    assert shop.beans == 1_000


def test_a_book_that_keeps_takes_nothing_back() -> None:
    shop = Shop(shipped("jd").replace('on_refund = "claw-back"', 'on_refund = "keep"'), now="2025-05-01 12:00")
    shop.buys("plus.annual", card="K", paid_fen=PRICE)
    shop.completes("O1", [("phone", 1, 100_000)])
    shop.refunds_card("K", refund_fen=PRICE)
    assert shop.beans == 1_000


def test_more_than_was_paid_is_noted_and_takes_back() -> None:
    shop = annual(O1=("phone", 1, 100_000))
    assert shop.refunds_card("K", refund_fen=PRICE + 1) == "accepted: refund-above-price"
    assert shop.beans == 100


def test_below_the_ordinary_threshold_nothing_is_kept() -> None:
    shop = annual(O1=("phone", 1, 4_999))
    shop.refunds_card("K", refund_fen=PRICE)
    assert shop.beans == 0


def test_what_came_back_before_is_not_asked_for_again() -> None:
    """Half of ¥1,000 came back: 500 of 1,000 are held. Of the ordinary 100 the line keeps 50."""
    shop = annual(O1=("phone", 2, 100_000))
    shop.returns("O1", [("1", 1, 50_000)])
    assert shop.beans == 500
    shop.refunds_card("K", refund_fen=PRICE)
    assert shop.beans == 50
    shop.returns("O1", [("1", 1, 50_000)])
    assert shop.beans == 0


def test_what_was_spent_is_cash_up_to_the_refund_and_the_rest_is_debt() -> None:
    shop = annual(O1=("phone", 1, 5_000_000))
    shop.redeems(45_000)
    shop.refunds_card("K", refund_fen=PRICE)
    paid = [change for change in shop.last.changes if isinstance(change, PaidInCash)]
    assert [change.fen for change in paid] == [PRICE]
    assert (shop.beans, shop.debt) == (0, 49_000 - 5_000 - PRICE)


def test_claims_are_met_in_the_order_of_their_lots() -> None:
    shop = annual(O1=("phone", 1, 100_000), O2=("phone", 1, 200_000))
    shop.refunds_card("K", refund_fen=PRICE)
    taken = [(change.lot >> 16, change.points) for change in shop.last.changes if hasattr(change, "origin")]
    assert taken == [(2, 900), (3, 1_800)]


@pytest.mark.parametrize("is_late", [False, True])
def test_an_order_of_the_term_earns_the_same_whether_told_before_the_refund_or_after(is_late: bool) -> None:
    """¥50,000 at 1 % would be 50,000 beans; the ordinary rule gives 1,000."""
    shop = annual()
    if not is_late:
        shop.completes("O1", [("phone", 1, 5_000_000)], at="2025-05-02 12:00")
    shop.refunds_card("K", at="2025-05-03 13:00", refund_fen=PRICE)
    if is_late:
        shop.completes("O1", [("phone", 1, 5_000_000)], at="2025-05-02 12:00")
    assert shop.beans == 1_000
    shop.amends("O1", [("phone", 1, 50_000)], at="2025-05-04")
    assert shop.beans == 50
    shop.returns("O1", [("1", 1, 50_000)], at="2025-05-05")
    assert (shop.beans, shop.debt) == (0, 0)


def test_a_part_refund_keeps_the_rate_for_what_is_told_late() -> None:
    shop = annual()
    shop.refunds_card("K", at="2025-05-03 13:00", refund_fen=PRICE - 1)
    shop.completes("O1", [("phone", 1, 100_000)], at="2025-05-02 12:00")
    assert shop.beans == 1_000


def test_only_lines_of_this_card_are_taken_back() -> None:
    shop = annual(O1=("phone", 1, 100_000))
    shop.refunds_card("K", refund_fen=1)
    shop.buys("plus.month", card="M", paid_fen=1_980)
    shop.completes("O2", [("phone", 1, 100_000)])
    shop.refunds_card("M", refund_fen=1_980)
    assert shop.beans == 1_000 + 100


def test_a_score_at_the_cards_rate_is_taken_back_too() -> None:
    book = (
        shipped("jd")
        + """
[[award]]
rule = "score.plus"
name = "x"
on = "order.completed"
each = "line"
score = "jd-value"
part = "purchase"
member = "plus"
give = { points = 1, per_fen = 1_000 }
"""
    )
    shop = Shop(book, now="2025-05-01 12:00")
    shop.buys("plus.annual", card="K", paid_fen=PRICE)
    shop.completes("O1", [("phone", 1, 100_000)])
    shop.refunds_card("K", refund_fen=PRICE)
    items = [(change.rule, change.points) for change in shop.last.changes if isinstance(change, Scored)]
    assert items == [("score.plus", -100)]


def test_the_orders_of_a_busy_card_are_all_found() -> None:
    shop = Shop(now="2025-05-01 12:00")
    shop.buys("plus.annual", card="K", paid_fen=PRICE)
    for number in range(ORDERS_A_PAGE + 5):
        shop.completes(f"O{number}", [("food", 1, 200)])
    page = shop.pages.get("card/K")
    assert isinstance(page, CardPage) and (page.full, len(page.orders)) == (1, 5)
    shop.refunds_card("K", refund_fen=PRICE)
    assert shop.beans == 0


def test_a_refund_is_found_again_in_a_card_whose_name_looks_like_a_page() -> None:
    shop = annual(O1=("phone", 1, 100_000))
    shop.buys("plus.annual", card="K/0", paid_fen=PRICE)
    assert shop.refunds_card("K/0", refund_fen=PRICE) == "accepted"
    shop.refunds_card("K", refund_fen=PRICE)
    assert shop.beans == 100


def test_an_amendment_after_the_refund_goes_by_the_ordinary_rate() -> None:
    shop = annual(O1=("phone", 1, 100_000))
    shop.refunds_card("K", refund_fen=PRICE)
    line = {"line": "1", "sku": "s", "category": "phone", "quantity": 1, "paid_fen": 200_000}
    shop.tells("order.amended", order="O1", lines=[line])
    assert shop.beans == 200
    shop.tells("order.amended", order="O1", lines=[{**line, "paid_fen": 50_000}])
    assert shop.beans == 50


def test_an_amendment_before_it_counts_too() -> None:
    shop = annual(O1=("phone", 1, 100_000))
    line = {"line": "1", "sku": "s", "category": "phone", "quantity": 1, "paid_fen": 200_000}
    shop.tells("order.amended", order="O1", lines=[line])
    assert shop.beans == 2_000
    shop.refunds_card("K", refund_fen=PRICE)
    assert shop.beans == 200


def test_a_line_that_an_amendment_adds_is_on_the_cards_pages() -> None:
    shop = annual(O1=("phone", 1, 100_000))
    lines = [{"line": name, "sku": "s", "category": "phone", "quantity": 1, "paid_fen": 100_000} for name in "12"]
    shop.tells("order.amended", order="O1", lines=lines)
    assert shop.beans == 2_000
    shop.refunds_card("K", refund_fen=PRICE)
    assert shop.beans == 200


# -- what was released from a trial ------------------------------------------------------------------------------------


def released() -> Shop:
    """H4: 3,000 beans of a trial, released by a month card on 10 May."""
    shop = Shop(now="2025-05-01 12:00")
    shop.tries_plus(card="T")
    shop.completes("O1", [("phone", 1, 300_000)], at="2025-05-02 12:00")
    shop.buys("plus.month", at="2025-05-10 12:00", card="K", paid_fen=1_980)
    assert shop.beans == 3_000
    return shop


def ends(shop: Shop) -> list[type]:
    return [type(change) for change in shop.last.changes if isinstance(change, Refrozen | Expired)]


def test_they_are_frozen_again() -> None:
    shop = released()
    assert shop.refunds_card("K", at="2025-05-10 12:05", refund_fen=9_999_999) == "accepted: refund-above-price"
    assert (shop.beans, shop.purse.pending()) == (0, 3_000)
    lapse = shop.shown["points"]["beans"]["lots"][0]["pending_until"]
    assert lapse == "2025-06-09T12:00:00+08:00", "30 days after the trial's end, which the card brought on"
    assert shop.on("2025-06-09 12:00").purse.expired == 3_000


def test_the_next_card_releases_them_again() -> None:
    shop = released()
    shop.refunds_card("K", at="2025-05-10 12:05", refund_fen=1_980)
    shop.buys("plus.month", at="2025-05-20", card="K2", paid_fen=1_980)
    assert (shop.beans, shop.purse.pending()) == (3_000, 0)
    shop.refunds_card("K2", at="2025-05-21", refund_fen=1_980)
    assert (shop.beans, shop.purse.pending()) == (0, 3_000)


def test_a_late_order_of_the_trial_waits_with_them() -> None:
    shop = released()
    shop.refunds_card("K", at="2025-05-10 12:05", refund_fen=1_980)
    shop.completes("O2", [("phone", 1, 10_000)], at="2025-05-03")
    assert (shop.beans, shop.purse.pending()) == (0, 3_100)


def test_another_card_that_stands_keeps_them_free_until_it_is_refunded_too() -> None:
    shop = released()
    shop.buys("plus.month", at="2025-05-11", card="K2", paid_fen=1_980)
    shop.refunds_card("K", at="2025-05-12", refund_fen=1_980)
    assert shop.beans == 3_000
    shop.refunds_card("K2", at="2025-05-13", refund_fen=1_980)
    assert (shop.beans, shop.purse.pending()) == (0, 3_000)


def test_what_was_spent_of_them_is_claimed_and_a_return_does_not_claim_it_again() -> None:
    shop = released()
    shop.redeems(1_000, at="2025-05-10 12:01")
    shop.refunds_card("K", at="2025-05-10 12:05", refund_fen=1_980)
    assert [change.fen for change in shop.last.changes if isinstance(change, PaidInCash)] == [1_000]
    assert (shop.beans, shop.purse.pending(), shop.debt) == (0, 2_000, 0)
    shop.returns("O1", [("1", 1, 300_000)], at="2025-05-11")
    assert (shop.purse.pending(), shop.debt) == (0, 0)
    assert not any(isinstance(change, PaidInCash) for change in shop.last.changes)


def test_it_is_claimed_from_other_beans_first() -> None:
    shop = released()
    shop.redeems(1_000, at="2025-05-10 12:01")
    shop.is_granted(400, expires="2027-01-01")
    shop.refunds_card("K", at="2025-05-10 12:05", refund_fen=500)
    assert shop.beans == 2_000 + 400, "it was not refunded whole"
    shop = released()
    shop.redeems(2_500, at="2025-05-10 12:01")
    shop.is_granted(400, expires="2027-01-01")
    shop.refunds_card("K", at="2025-05-10 12:05", refund_fen=1_980)
    assert (shop.beans, shop.purse.pending(), shop.debt) == (0, 500, 2_500 - 400 - 1_980)


def test_long_after_the_trial_they_lapse_now() -> None:
    shop = released()
    shop.refunds_card("K", at="2025-06-09 11:59:59", refund_fen=1_980)
    assert ends(shop) == [Refrozen]
    shop = released()
    shop.buys("plus.annual", at="2025-05-11", card="A", paid_fen=1)
    shop.refunds_card("K", at="2025-05-11", refund_fen=1_980)
    shop.refunds_card("A", at="2025-06-10", refund_fen=1)
    assert [type(change) for change in shop.last.changes if isinstance(change, Refrozen | Expired)] == [
        Refrozen,
        Expired,
    ]
    assert (shop.beans, shop.purse.pending(), shop.purse.expired) == (0, 0, 3_000)


def test_what_a_hold_keeps_is_frozen_when_the_hold_gives_it_back() -> None:
    shop = released()
    shop.holds("H", 500, until="2025-05-20", at="2025-05-10 12:01")
    shop.refunds_card("K", at="2025-05-10 12:05", refund_fen=1_980)
    assert (shop.beans, shop.purse.pending(), shop.purse.held()) == (0, 2_500, 500)
    shop.releases("H", at="2025-05-12")
    assert (shop.beans, shop.purse.pending(), shop.purse.held()) == (0, 3_000, 0)
    shop.buys("plus.month", at="2025-05-13", card="K2", paid_fen=1_980)
    assert any(isinstance(change, Confirmed) for change in shop.last.changes) and shop.beans == 3_000


# -- what a card that was taken out leaves behind ----------------------------------------------------------------------


def taken_out(*, is_bought_before: bool) -> Shop:
    """A trial that earned 100 beans and is dated away by a late refund, before the card is bought or after."""
    shop = Shop(now="2025-05-01 12:00")
    shop.tries_plus(card="T")
    shop.completes("O1", [("phone", 1, 10_000)], at="2025-05-02 12:00")
    if is_bought_before:
        shop.buys("plus.month", at="2025-05-03 12:00", card="K", paid_fen=1_980)
    shop.refunds_card("T", at="2025-04-30 12:00", refund_fen=0)
    if not is_bought_before:
        shop.buys("plus.month", at="2025-05-03 12:00", card="K", paid_fen=1_980)
    assert (shop.beans, shop.pending) == (100, 0)
    return shop


@pytest.mark.parametrize("is_bought_before", [True, False])
def test_points_of_a_trial_that_was_taken_out_are_frozen_again(is_bought_before: bool) -> None:
    shop = taken_out(is_bought_before=is_bought_before)
    shop.refunds_card("K", at="2025-05-04 12:00", refund_fen=1_980)
    assert (shop.beans, shop.pending) == (0, 100)
    assert shop.shown["points"]["beans"]["lots"][0]["pending_until"] == "2025-05-31T12:00:00+08:00", "30 days after"
    shop.buys("plus.month", at="2025-05-05 12:00", card="L", paid_fen=1_980)
    assert (shop.beans, shop.pending) == (100, 0)
    shop.refunds_card("L", at="2025-05-06 12:00", refund_fen=1_980)
    assert (shop.on("2025-05-31 11:59:59").pending, shop.on("2025-05-31 12:00").purse.expired) == (100, 100)


def test_what_was_spent_of_a_trial_that_was_taken_out_is_claimed() -> None:
    shop = taken_out(is_bought_before=False)
    shop.redeems(60, at="2025-05-03 13:00")
    shop.refunds_card("K", at="2025-05-04 12:00", refund_fen=1_980)
    assert [change.fen for change in shop.last.changes if isinstance(change, PaidInCash)] == [60]
    assert (shop.beans, shop.pending) == (0, 40)


def test_an_amendment_keeps_to_the_caps_of_cards_that_a_claim_gave_and_gave_back() -> None:
    """One claim opens a card of each of two clubs, with caps of their own; it is given back from before both began."""
    clubs = "".join(
        f"""
[memberships.{club}]
name = "{club}"
products = {{ "{club}.month" = {{ days = 30, cap = {cap} }} }}
[[award]]
rule = "{club}"
name = "{club}"
on = "order.completed"
each = "line"
kind = "beans"
member = "{club}"
give = {{ points = 1, per_fen = 100 }}
"""
        for club, cap in (("tea", 300), ("ale", 500))
    )
    gift = '[benefits.clubs]\nname = "c"\ngives = [{ opens = "tea.month" }, { opens = "ale.month" }]\n'
    head = 'programme = "p"\nname = "p"\nfrom = 2024-01-01\nutc_offset = "+08:00"\n'
    beans = '[kinds.beans]\nname = "b"\nexpiry = [{ from = 2024-01-01, never = true }]\n'
    shop = Shop(head + beans + gift + clubs, now="2025-05-01 12:00")
    shop.claims("clubs", claim="C")
    shop.completes("O1", [("tea", 1, 20_000)], at="2025-05-02 12:00")
    assert shop.beans == 200 + 200
    assert shop.gives_claim_back("C", at="2025-04-30 12:00") == "accepted"
    assert shop.account.terms == {"tea": [], "ale": []}
    shop.amends("O1", [("tea", 1, 30_000)], at="2025-05-03 12:00")
    assert shop.beans == 300 + 300
    shop.amends("O1", [("tea", 1, 40_000)], at="2025-05-03 12:00")
    assert shop.beans == 300 + 400, "the cap of tea is full"
    shop.amends("O1", [("tea", 1, 60_000)], at="2025-05-03 12:00")
    assert shop.beans == 300 + 400, "200 do not fit in the 100 that are left of ale"
    assert shop.refunds_card("claim/C", at="2025-05-04", refund_fen=1) == "ignored: unknown-card"
