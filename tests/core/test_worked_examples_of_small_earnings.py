"""Worked examples of the shipped jd book: sign-ins, visits, grants, reviews, and what operators do.

How to read them: test_worked_examples.py.
"""

from datetime import timedelta

import pytest

from tests.support.shop import Shop, moment, shop_with


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
    assert shop.beans == shop.purse.issued == 800 and shop.on("2026-03-01").beans == 0
    assert shop.opens_with(800, expires="2026-03-01", lot="L1") == "ignored: already"
