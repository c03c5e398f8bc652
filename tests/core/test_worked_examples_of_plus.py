"""Worked examples of the shipped jd book: PLUS: rates, caps, terms, quotas, and the trial.

How to read them: test_worked_examples.py.
"""

from datetime import timedelta

import pytest

from ledger.wire.entries import Confirmed, Expired
from tests.support.shop import BOOK, Shop, moment


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
    assert shop.awarded == [10, 100, 100, 10]
    assert shop.plus["state"] == "ended" and shop.plus["until"] == end.isoformat()


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
    assert Shop().buys("plus.decade") == "ignored: unknown-product"


def test_a_refunded_card_ends_at_its_refund_and_later_terms_move_up() -> None:
    shop = Shop()
    shop.buys("plus.month", at="2025-11-01", card="C1")
    shop.buys("plus.annual", at="2025-11-02", card="C2")
    shop.completes("O1", BOOK, at="2025-11-05")
    shop.refunds_card("C1", at="2025-11-06", refund_fen=9_000)
    assert shop.plus["product"] == "plus.annual"
    assert shop.plus["from"] == "2025-11-06T00:00:00+08:00"
    assert shop.plus["until"] == "2026-11-06T00:00:00+08:00"
    assert shop.beans == 100, "it was not refunded whole, so what was lived keeps its PLUS"


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


def test_a_card_that_moves_up_never_begins_before_it_was_bought() -> None:
    shop = Shop()
    shop.buys("plus.quarter", at="2025-04-22", card="C1")
    shop.buys("plus.annual", at="2025-06-19", card="C2")
    shop.refunds_card("C1", at="2025-05-18")  # told late
    assert (shop.plus["from"], shop.plus["until"]) == ("2025-06-19T00:00:00+08:00", "2026-06-19T00:00:00+08:00")


def test_a_refunded_card_that_moves_up_still_ends_at_its_refund() -> None:
    shop = Shop()
    shop.buys("plus.month", at="2025-05-01", card="C1")
    shop.buys("plus.annual", at="2025-05-02", card="C2")
    shop.refunds_card("C2", at="2025-06-20")
    shop.refunds_card("C1", at="2025-05-11")  # told late
    shop.buys("plus.month", at="2025-06-21", card="C3")
    assert shop.on("2025-06-20").plus["from"] == "2025-05-11T00:00:00+08:00"
    assert shop.on("2025-06-20").plus["until"] == "2025-06-20T00:00:00+08:00"


def test_a_card_laid_behind_a_trial_moves_up_when_the_next_card_ends_the_trial() -> None:
    shop = Shop()
    shop.tries_plus(at="2025-05-10")
    shop.buys("plus.month", at="2025-05-05", card="C1")  # told late, bought before the trial: it waits behind it
    assert shop.on("2025-06-09").plus["from"] == "2025-06-09T00:00:00+08:00"
    shop.buys("plus.month", at="2025-05-20", card="C2")
    assert shop.on("2025-05-20").plus["from"] == "2025-05-20T00:00:00+08:00", (
        "no day without PLUS between the trial and the cards paid"
    )
    assert shop.on("2025-06-19").plus["from"] == "2025-06-19T00:00:00+08:00"


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


def test_an_order_of_the_trial_that_is_told_after_a_card_bought_too_late_has_lapsed_as_well() -> None:
    shop = Shop()
    shop.tries_plus(at="2025-01-01 10:00")
    shop.buys("plus.annual", at="2025-08-01 10:00")
    shop.completes("O1", [("phone", 1, 77_700)], at="2025-01-10 10:00")
    assert (shop.beans, shop.purse.issued, shop.purse.expired) == (0, 777, 777)


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
