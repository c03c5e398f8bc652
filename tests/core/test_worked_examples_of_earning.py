"""Worked examples of the shipped jd book: what an order earns, and for how long.

How to read them: test_worked_examples.py.
"""

from datetime import timedelta

import pytest

from tests.support.shop import BOOK, PHONE, Shop, moment


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
