"""Worked examples of the shipped jd book, to be read without knowing Python: what happened, and what she has then.

They stand in the files test_worked_examples_of_….py, one a subject. Each figure of the contract (wire.md, sections 3
and 4) has its case at the boundary. How to read one:

    shop = Shop()                                                 a shop, and a member who has nothing
    shop.completes("O1", [("phone", 2, 359_900)])                 her order of two phones for ¥3,599 completes
    assert shop.redeems(400) == "refused: beans-short"            she asks for more than she has
    assert shop.on("2027-01-01").beans == 0                       what she will have then, if nothing else happens

A line is (category, pieces, paid in fen). Times are Shanghai's; where none is given, it is now.
"""

import re
from pathlib import Path

import pytest

from tests.support.shop import Shop

# The mistakes that others shipped (jd-programme.md, section 7), and the examples that show them not made here.
MISTAKES = {
    "a refund kept the points it had earned": "a_return_takes_back_exactly_what_its_lines_earned",
    "a refund took the points twice": "the_same_return_under_another_fact_takes_nothing_twice",
    "a partial return was ignored": "a_part_return_keeps_what_the_money_kept_would_have_earned",
    "expired credits were dropped while all debits stayed": "expired_beans_go_and_what_was_spent_of_them_stays_spent",
    "a replayed order awarded twice; a till's retry doubled points": "an_order_completed_twice_is_awarded_once",
    "64 requests claimed one coupon nine times": "of_64_requests_for_the_last_coupon_one_is_granted",
    "a spend linked to an order skipped the balance check": "a_spend_linked_to_an_order_is_checked_like_any_other",
    "a shortfall on claw-back vanished": "what_cannot_be_taken_back_reduces_the_refund_and_the_rest_is_debt",
    "tiers followed the spendable balance": "a_tier_follows_what_was_earned_and_not_what_is_left_to_spend",
    "a policy change was applied to points already earned": "a_policy_change_does_not_touch_what_was_earned_before",
    "a settlement ran in the wrong time zone, or twice": "the_month_of_a_score_turns_at_midnight_in_shanghai_and_once",
}


def test_the_example_above_is_true() -> None:
    shop = Shop()
    shop.completes("O1", [("phone", 2, 359_900)])
    assert shop.redeems(400) == "refused: beans-short"
    assert shop.on("2027-01-01").beans == 0


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_that_others_shipped_has_its_example(mistake: str) -> None:
    files = Path(__file__).parent.glob("test_worked_examples_of_*.py")
    text = "".join(path.read_text("utf-8") for path in files)
    examples = set(re.findall(r"^def test_(\w+)", text, re.MULTILINE))
    assert MISTAKES[mistake] in examples
