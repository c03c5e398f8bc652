"""Worked examples of the shipped jd book: late facts, changed policies, and the books after a long story.

How to read them: test_worked_examples.py.
"""

from datetime import timedelta

from ledger.rulebook.schema import shipped
from ledger.wire.entries import Resettled
from tests.support.shop import BOOK, PHONE, YUAN, Shop, moment


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
    jd = shipped("jd")
    stingy = jd.replace("from = 2017-09-14\nutc", "from = 2025-11-20\nutc", 1).replace(
        "points = 10, per_fen = 10_000", "points = 5, per_fen = 10_000"
    )
    assert stingy != jd
    shop = Shop(jd, stingy)
    shop.completes("O1", BOOK, at="2025-11-19 23:59:59")
    shop.completes("O2", BOOK, at="2025-11-20 00:00")
    shop.completes("O3", BOOK, at="2025-11-19 12:00")  # reported late: the old book of its day
    assert shop.awarded == [10, 5, 10]
    shop.returns("O1", [("1", 1, 10_000)], at="2025-12-01")
    assert shop.purse.clawed_back == 10, "taken back as it was given"
