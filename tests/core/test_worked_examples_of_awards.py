"""Worked examples of what any book may say of an award: multipliers, caps, hours, pending points.

How to read them: test_worked_examples.py. The books are small and made up; what they say stands above each example.
"""

import pytest

from ledger.rulebook import compiled
from ledger.rulebook.checks import parse_programme
from ledger.rulebook.schema import BadProgramme, shipped
from ledger.wire.entries import Earned, Multiplied, Withheld
from tests.support.shop import OPERATORS, Shop

HEAD = """
programme = "corner"
name = "街角"
from = 2017-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2017-01-01, end_of_year_after = 1 }]

[scores.growth]
name = "成长"
window_months = 12
parts = { purchase = "消费" }
tiers = [{ at_least = 200, name = "gold" }]

[memberships.plus]
name = "会员"
[memberships.plus.products]
"plus.year" = { days = 365, cap = 100, fill = true }
"""


def award(keys: str, rule: str = "rule", on: str = "order.completed", what: str = 'kind = "beans"') -> str:
    return f'[[award]]\nrule = "{rule}"\nname = "{rule}"\non = "{on}"\n{what}\n{keys}\n'


def line_award(keys: str, **more: str) -> str:
    return award(f'each = "line"\n{keys}', **more)


def shop_of(*awards: str, now: str = "2025-11-11 10:00") -> Shop:
    return Shop(HEAD + "".join(awards), now=now)


def withheld(shop: Shop) -> list[tuple[str, int]]:
    return [(change.why, change.would) for change in shop.entries[-1].changes if isinstance(change, Withheld)]


# -- times -----------------------------------------------------------------------------------------------------------


def test_a_multiplier_is_rounded_once_with_what_it_multiplies() -> None:
    shop = shop_of(line_award('give = { points = 10, per_fen = 100 }\ntimes = [{ by = "5/4" }]'))
    shop.completes("O1", [("room", 1, 10_199)])
    assert shop.awarded == [1_274], "1,019 times 5/4, each rounded, would be 1,273"
    assert [change.by for change in shop.entries[-1].changes if isinstance(change, Multiplied)] == ["5/4"]


def test_what_a_multiplied_line_gave_comes_back_by_the_one_formula() -> None:
    shop = shop_of(line_award('give = { points = 10, per_fen = 100 }\ntimes = [{ by = "5/4" }]'))
    shop.completes("O1", [("room", 1, 10_199)])
    shop.returns("O1", [("1", 0, 5_100)])
    assert shop.beans == 636, "1,274 times 5,099 out of 10,199"


def test_the_first_multiplier_that_holds_is_taken_and_none_is_one() -> None:
    times = """times = [
        { by = "3", when = { category = { in = ["food"] } } },
        { by = "2", when = { paid_fen = { at_least = 5_000 } } },
    ]"""
    shop = shop_of(line_award(f"give = {{ points = 1, per_fen = 1_000 }}\n{times}"))
    shop.completes("O1", [("food", 1, 5_000), ("toy", 1, 5_000), ("toy", 1, 4_000)])
    assert shop.awarded == [15, 10, 4]


def test_a_multiplier_holds_from_its_first_instant_to_before_its_last() -> None:
    times = 'times = [{ by = "2", from = 2025-11-11, until = 2025-11-12 }]'
    shop = shop_of(line_award(f"give = {{ points = 1, per_fen = 100 }}\n{times}"))
    for order, at in enumerate(("2025-11-10 23:59:59", "2025-11-11", "2025-11-11 23:59:59", "2025-11-12")):
        shop.completes(f"O{order}", [("food", 1, 10_000)], at=at)
    assert shop.awarded == [100, 200, 200, 100]


def test_flat_points_steps_and_rates_are_multiplied_too() -> None:
    flat = line_award('give = { points = 3 }\ntimes = [{ by = "3/2" }]', rule="flat")
    steps = line_award(
        'give = { steps = [{ at_least_fen = 100, points = 5 }] }\ntimes = [{ by = "3/2" }]', rule="steps"
    )
    rates = line_award(
        'give = { points = 1, per_fen = 100 }\nrates = { food = 50 }\ntimes = [{ by = "3/2" }]', rule="rates"
    )
    shop = shop_of(flat, steps, rates)
    shop.completes("O1", [("food", 1, 10_199)])
    assert shop.awarded == [4, 7, 76], "⌊4.5⌋, ⌊7.5⌋ and ⌊10,199 · 50 · 3 / 20,000⌋"


def test_pieces_are_counted_and_come_back_by_money_and_then_whole() -> None:
    shop = shop_of(line_award("give = { points = 10, per_count = 3 }"))
    shop.completes("O1", [("room", 8, 60_000)])
    assert shop.awarded == [26]
    shop.returns("O1", [("1", 1, 7_500)])
    assert shop.beans == 22, "26 times 52,500 out of 60,000"
    shop.returns("O1", [("1", 7, 0)])
    assert shop.beans == 0


def test_a_multiplier_may_be_for_some_members_alone_as_they_stood_before_the_order() -> None:
    growth = line_award(
        "give = { points = 1, per_fen = 100 }", rule="growth", what='score = "growth"\npart = "purchase"'
    )
    times = 'times = [{ by = "3/2", who = { tier = { growth = { in = ["gold"] } } } }]'
    shop = shop_of(growth, line_award(f"give = {{ points = 1, per_fen = 100 }}\n{times}"), now="2025-10-31 10:00")
    shop.completes("O1", [("food", 1, 10_000), ("food", 1, 10_000)])
    assert shop.awarded == [100, 100]
    shop.completes("O2", [("food", 1, 9_999)], at="2025-11-01")
    assert shop.awarded == [100, 100, 149], "⌊9,999 · 3 / 200⌋ = ⌊149.985⌋; rounded twice it would be 148"
    assert withheld(shop) == [], "a multiplier that is not hers leaves no mark"


# -- caps ------------------------------------------------------------------------------------------------------------


def test_an_order_has_one_room_for_all_its_lines_in_their_order() -> None:
    shop = shop_of(line_award('give = { points = 1, per_fen = 1_000 }\ncap = [{ per = "order", points = 100 }]'))
    shop.completes("O1", [("food", 1, 50_000), ("food", 1, 40_000), ("food", 1, 30_000)])
    assert shop.awarded == [50, 40, 10]
    assert withheld(shop) == [("cap-full", 20)]
    shop.completes("O2", [("food", 1, 50_000)])
    assert shop.awarded == [50, 40, 10, 50]


def test_no_room_of_an_order_comes_back_by_a_return() -> None:
    shop = shop_of(line_award('give = { points = 1, per_fen = 1_000 }\ncap = [{ per = "order", points = 100 }]'))
    shop.completes("O1", [("food", 1, 60_000), ("food", 1, 60_000)])
    shop.returns("O1", [("1", 1, 60_000)])
    assert shop.beans == 40


def test_caps_of_order_day_category_and_shop_hold_together_and_count_what_was_given() -> None:
    """The award of 淘气值: an order 100, a day 200, in a month 300 of a category and 200 at a shop."""
    caps = """cap = [
        { per = "order", points = 100 }, { per = "day", points = 200 },
        { per = "month", points = 300, each = "category" }, { per = "month", points = 200, each = "shop" },
    ]"""
    shop = shop_of(line_award(f"give = {{ points = 1, per_fen = 1_000 }}\n{caps}"))
    shop.completes("O1", [("food", 1, 50_000), ("food", 1, 40_000), ("food", 1, 30_000)], shop="s1")
    shop.completes("O2", [("food", 1, 200_000)], shop="s1")
    assert shop.awarded == [50, 40, 10, 100]
    shop.completes("O3", [("food", 1, 10_000)], shop="s2")
    assert shop.awarded == [50, 40, 10, 100], "the day is full"
    shop.completes("O4", [("food", 1, 10_000)], shop="s1", at="2025-11-12 10:00")
    assert shop.awarded == [50, 40, 10, 100], "the shop is full"
    shop.completes("O5", [("food", 1, 200_000)], shop="s2")
    assert shop.awarded == [50, 40, 10, 100, 100]
    shop.completes("O6", [("toy", 1, 200_000)], shop="s3")
    assert shop.awarded[-1] == 100, "the day has 100 left, another category its own 300"
    shop.completes("O7", [("food", 1, 200_000)], shop="s1", at="2025-12-01 10:00")
    assert shop.awarded[-1] == 100, "a new month"


@pytest.mark.parametrize(("skus", "given"), [(("a", "a"), [40, 10]), (("a", "b"), [40, 40]), (("", ""), [40, 10])])
def test_a_cap_has_a_room_for_each_sku(skus: tuple[str, str], given: list[int]) -> None:
    shop = shop_of(
        line_award('give = { points = 1, per_fen = 1_000 }\ncap = [{ per = "day", points = 50, each = "sku" }]')
    )
    shop.completes("O1", [{"paid_fen": 40_000, "sku": sku} for sku in skus])
    assert shop.awarded == given


def test_a_cap_for_ever_is_never_free_again() -> None:
    shop = shop_of(line_award('give = { points = 1, per_fen = 1_000 }\ncap = [{ per = "ever", points = 50 }]'))
    shop.completes("O1", [("food", 1, 40_000)], at="2019-11-11")
    shop.completes("O2", [("food", 1, 40_000)], at="2025-11-11")
    assert shop.awarded == [40, 10]


def test_a_cap_of_a_term_is_of_the_card_and_a_new_card_has_its_own() -> None:
    shop = shop_of(
        line_award('member = "plus"\ngive = { points = 1, per_fen = 1_000 }\ncap = [{ per = "term", points = 50 }]')
    )
    shop.buys("plus.year", card="C1")
    shop.completes("O1", [("food", 1, 40_000), ("food", 1, 40_000)])
    assert shop.awarded == [40, 10]
    shop.buys("plus.year", card="C2")
    shop.completes("O2", [("food", 1, 40_000)], at="2026-11-12 10:00")
    assert shop.awarded == [40, 10, 40]


def test_a_card_that_is_filled_gives_what_is_left_and_the_line_that_meets_the_cap_earns_no_ordinary_points() -> None:
    plus = line_award('member = "plus"\ninstead_of = "ordinary"\ngive = { points = 1, per_fen = 1_000 }', rule="plus")
    ordinary = line_award("give = { points = 1, per_fen = 10_000 }", rule="ordinary")
    shop = shop_of(plus, ordinary)
    shop.buys("plus.year")
    shop.completes("O1", [("food", 1, 60_000), ("food", 1, 60_000), ("food", 1, 60_000)])
    assert shop.awarded == [60, 40, 6], "the third meets a cap that is full, and earns at the ordinary rate"
    assert withheld(shop) == [("card-cap-full", 20), ("card-cap-full", 60)]


# -- hours -----------------------------------------------------------------------------------------------------------


def test_a_rule_may_begin_and_end_at_an_hour_of_another_zone() -> None:
    dates = "from = 2017-07-10T18:00:00-08:00\nuntil = 2017-07-12T00:00:00-08:00"
    shop = shop_of(line_award(f"{dates}\ngive = {{ points = 1 }}"))
    for order, at in enumerate(
        ("2017-07-11T01:59:59Z", "2017-07-11T02:00:00Z", "2017-07-12T07:59:59Z", "2017-07-12T08:00:00Z")
    ):
        shop.completes(f"O{order}", [("food", 1, 100)], at=at)
    assert shop.awarded == [1, 1]


def test_what_one_piece_was_paid_is_a_field_of_the_line() -> None:
    shop = shop_of(line_award("when = { unit_fen = { at_least = 1_000 } }\ngive = { points = 1 }"))
    shop.completes("O1", [("food", 3, 2_999), ("food", 3, 3_000)])
    assert shop.awarded == [1]


# -- pending ---------------------------------------------------------------------------------------------------------


def test_pending_points_become_spendable_by_themselves_and_their_expiry_runs_from_the_earning() -> None:
    shop = shop_of(line_award("pending = { days = 7 }\ngive = { points = 1, per_fen = 100 }"))
    shop.completes("O1", [("food", 1, 10_000)], at="2025-03-01 10:00")
    lot = shop.shown["points"]["beans"]["lots"][0]
    assert (shop.beans, shop.pending, lot["pending_until"]) == (0, 100, "2025-03-08T10:00:00+08:00")
    assert shop.on("2025-03-08 09:59:59").beans == 0
    after = shop.on("2025-03-08 10:00")
    assert (after.beans, after.pending) == (100, 0)
    assert after.shown["points"]["beans"]["lots"][0]["expires_at"] == "2027-01-01T00:00:00+08:00"


def test_a_return_takes_from_what_is_still_pending() -> None:
    shop = shop_of(line_award("pending = { days = 7 }\ngive = { points = 1, per_fen = 100 }"))
    shop.completes("O1", [("food", 1, 10_000)], at="2025-03-01 10:00")
    shop.returns("O1", [("1", 0, 4_000)], at="2025-03-05 10:00")
    assert (shop.pending, shop.debt) == (60, 0)
    assert shop.on("2025-03-08 10:00").beans == 60


def test_points_of_this_month_may_come_on_the_tenth_of_the_next() -> None:
    shop = shop_of(line_award("pending = { day_of_next_month = 10 }\ngive = { points = 5 }"))
    shop.completes("O1", [("food", 1, 100)], at="2025-12-31 23:59:59")
    assert shop.on("2026-01-09 23:59:59").beans == 0
    assert shop.on("2026-01-10").beans == 5


def test_what_waits_for_a_claim_lapses_and_counts_as_expired() -> None:
    shop = shop_of(line_award("pending = { claim_days = 30 }\ngive = { points = 5 }"))
    shop.completes("O1", [("food", 1, 100)], at="2025-03-01 10:00")
    after = shop.on("2025-03-31 10:00")
    assert (after.beans, after.pending, after.purse.expired) == (0, 0, 5)


def test_what_became_spendable_repays_debt() -> None:
    shop = shop_of(line_award("pending = { days = 7 }\ngive = { points = 5 }"))
    shop.is_adjusted(-3, at="2025-03-01")
    shop.completes("O1", [("food", 1, 100)], at="2025-03-01 10:00")
    assert (shop.pending, shop.debt) == (5, 3)
    after = shop.on("2025-03-08 10:00")
    assert (after.beans, after.debt) == (2, 0)


def test_a_late_fact_whose_wait_is_over_is_spendable_at_once() -> None:
    shop = shop_of(line_award("pending = { days = 7 }\ngive = { points = 5 }"))
    shop.is_granted(1, at="2025-04-01")
    shop.completes("O1", [("food", 1, 100)], at="2025-03-01 10:00")
    assert (shop.beans, shop.pending) == (6, 0)


# -- bad books -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('give = { points = 1 }\ntimes = [{ by = "0" }]', r'award\[0\]\.times\[0\]\.by \(rule "rule"\)'),
        (
            'give = { points = 1 }\ntimes = [{ by = "2", when = { pay = { at_least = 1 } } }]',
            r"times\[0\]\.when\.pay: ",
        ),
        ('give = { points = 1 }\ntimes = [{ by = "2", when = { nose = {} } }]', r'times\[0\]\.when: no field "nose"'),
        ("give = { points = 1 }\nfrom = 2017-07-10T18:00:00", r'award\[0\] \(rule "rule"\)\.from: .* has no offset'),
        ("give = { points = 1 }\nuntil = 3", r'award\[0\]\.until \(rule "rule"\): .* a date like 2017-07-10'),
        ("give = { points = 1, per_count = 1, per_fen = 1 }", r"\.give\.per_count: counts pieces"),
        ('give = { points = 1 }\ncap = [{ per = "term", points = 1 }]', r'\.cap: per = "term" is of the card'),
        ('give = { points = 1 }\ncap = [{ per = "year", points = 1, each = "sku" }]', r"\.cap\[0\]\.each: needs per"),
        ("give = { points = 1 }\npending = {}", r"\.pending: give one of claim_days, days, day_of_next_month"),
        ("give = { points = 1 }\npending = { day_of_next_month = 29 }", r"\.pending\.day_of_next_month"),
    ],
)
def test_a_bad_book_is_refused_with_the_table_and_key(keys: str, said: str) -> None:
    with pytest.raises(BadProgramme, match=said):
        parse_programme(HEAD + line_award(keys))


def test_caps_of_orders_are_for_lines_and_pending_is_for_points() -> None:
    with pytest.raises(BadProgramme, match=r'\.cap: per = "order" is for each = "line"'):
        parse_programme(HEAD + award('give = { points = 1 }\ncap = [{ per = "order", points = 1 }]'))
    with pytest.raises(BadProgramme, match=r"\.pending: is for points"):
        parse_programme(
            HEAD + award("give = { points = 1 }\npending = { days = 1 }", what='score = "growth"\npart = "purchase"')
        )


# -- any fact may award ----------------------------------------------------------------------------------------------


def test_a_card_that_is_bought_may_give_points_once() -> None:
    first = award(
        'when = { product = { in = ["plus.year"] } }\nonce = true\ngive = { points = 500 }', on="card.purchased"
    )
    shop = shop_of(first)
    shop.buys("plus.year")
    shop.buys("plus.year")
    assert shop.awarded == [500]
    assert withheld(shop) == [("once", 500)]


def test_what_a_card_cost_may_be_counted() -> None:
    shop = shop_of(award("give = { points = 1, per_fen = 100 }", on="card.purchased"))
    shop.buys("plus.year")
    assert shop.awarded == [99]


def test_a_fact_that_is_refused_or_ignored_awards_nothing() -> None:
    shop = shop_of(
        award("give = { points = 1 }", on="hold.requested"), award("give = { points = 2 }", "again", "card.refunded")
    )
    assert shop.holds("H1", 5, until="2025-12-01") == "refused: beans-short"
    assert shop.refunds_card("C1") == "ignored: unknown-card"
    assert shop.awarded == []


def does(shop: Shop, activity: str, done: str, at: str = "", **more: object) -> str:
    return shop._tell("activity.done", at, {"done": done, "activity": activity, **more})


def undoes(shop: Shop, done: str, at: str = "") -> str:
    return shop._tell("activity.undone", at, {"done": done})


def test_what_another_system_knows_gives_by_its_amount_its_count_or_as_it_stands() -> None:
    ride = 'when = { activity = { in = ["ride"] } }\ngive = { points = 1, per_fen = 1_000 }'
    nights = 'when = { activity = { in = ["night"] } }\ngive = { points = 10, per_count = 1 }'
    charity = 'when = { activity = { in = ["charity"] }, tags = { has = "tree" } }\ngive = { points = 2 }'
    shop = shop_of(*(award(keys, rule, "activity.done") for rule, keys in (("a", ride), ("b", nights), ("c", charity))))
    does(shop, "ride", "A1", amount_fen=26_700)
    does(shop, "night", "A2", count=3)
    does(shop, "charity", "A3", tags=["tree"])
    does(shop, "charity", "A4")
    assert shop.awarded == [26, 30, 2]
    assert does(shop, "unheard-of", "A5") == "accepted", "one that no rule names gives nothing"
    assert does(shop, "ride", "A1", amount_fen=1) == "ignored: already"


def test_an_activity_that_did_not_stand_is_taken_back_whole_without_room_under_the_cap() -> None:
    cap = 'cap = [{ per = "month", points = 10 }]'
    points = award(f"give = {{ points = 6 }}\n{cap}", "points", "activity.done")
    score = award("give = { points = 7 }", "score", "activity.done", 'score = "growth"\npart = "purchase"')
    shop = shop_of(points, score)
    does(shop, "ride", "A1", at="2025-10-11")
    assert undoes(shop, "A1", at="2025-11-12") == "accepted"
    assert (shop.beans, shop.debt) == (0, 0)
    assert shop.on("2025-11-12").shown["scores"]["growth"]["value"] == 0, "out of October, which earned it"
    assert undoes(shop, "A1") == "ignored: already"
    assert undoes(shop, "A9") == "ignored: unknown-activity"
    does(shop, "ride", "A2", at="2025-11-13")
    undoes(shop, "A2")
    does(shop, "ride", "A3", at="2025-11-13")
    assert shop.beans == 4, "the month has 10, and 6 of them are gone"


PENALTY = """
[penalties.violation]
name = "违规"
on = "activity.done"
when = { activity = { in = ["violation"] } }
points = 50
"""


def test_a_penalty_of_an_activity_is_given_back_with_it_to_the_lots_it_came_from() -> None:
    shop = Shop(HEAD + PENALTY + 'kind = "beans"\n')
    shop.is_granted(30, expires="2026-01-01")
    shop.is_granted(30, expires="2026-02-01")
    does(shop, "violation", "A1")
    assert shop.lots == [10]
    undoes(shop, "A1")
    assert shop.lots == [30, 30]
    assert shop.purse.clawed_back == 0


def test_a_penalty_that_became_debt_is_owed_no_more_and_what_was_repaid_comes_back() -> None:
    shop = Shop(HEAD + PENALTY + 'kind = "beans"\n')
    does(shop, "violation", "A1")
    does(shop, "violation", "A2")
    assert shop.debt == 100
    undoes(shop, "A1")
    assert (shop.debt, shop.beans) == (50, 0)
    shop.is_granted(70)
    assert (shop.debt, shop.beans) == (0, 20)
    undoes(shop, "A2")
    assert (shop.debt, shop.beans) == (0, 70)


def test_a_penalty_on_a_score_is_an_item_of_its_month() -> None:
    score = award("give = { points = 70 }", "score", "item.shared", 'score = "growth"\npart = "purchase"')
    shop = Shop(HEAD + score + PENALTY + 'score = "growth"\npart = "purchase"\n')
    shop.shares(at="2025-10-11")
    does(shop, "violation", "A1", at="2025-10-12")
    assert shop.on("2025-11-01").shown["scores"]["growth"]["value"] == 20
    undoes(shop, "A1", at="2025-11-01")
    assert shop.on("2025-11-01").shown["scores"]["growth"]["value"] == 70


def test_a_penalty_may_stand_on_any_fact_each_time_or_from_a_count_on() -> None:
    book = HEAD + '[penalties.back]\nname = "退卡"\non = "card.refunded"\nkind = "beans"\npoints = 5\n'
    shop = Shop(book)
    shop.is_granted(100)
    shop.buys("plus.year", card="C1")
    shop.refunds_card("C1")
    assert shop.beans == 95
    shop = Shop(book + "from_in_year = 2\n")
    shop.is_granted(100)
    for card in ("C1", "C2"):
        shop.buys("plus.year", card=card)
        shop.refunds_card(card)
    assert shop.beans == 95


# -- what a payment gives --------------------------------------------------------------------------------------------

AT_PAYMENT = line_award("give = { points = 1, per_fen = 100 }", on="order.paid")


def test_points_of_a_payment_come_then_and_not_again_at_completion() -> None:
    shop = shop_of(AT_PAYMENT)
    shop.pays("O1", [("food", 1, 10_000)])
    assert shop.beans == 100
    shop.completes("O1", [("food", 1, 10_000)])
    shop.completes("O2", [("food", 1, 10_000)])
    assert shop.beans == 100, "an order that was never paid gives nothing by such a rule"


@pytest.mark.parametrize("end", ["cancels", "refuses_at_the_door"])
def test_an_end_of_the_order_takes_back_what_the_payment_gave(end: str) -> None:
    shop = shop_of(AT_PAYMENT, award("give = { points = 7 }", "whole", "order.paid"))
    shop.pays("O1", [("food", 1, 10_000)])
    assert shop.beans == 107
    getattr(shop, end)("O1")
    assert (shop.beans, shop.debt) == (0, 0)


def test_a_return_goes_by_what_was_paid_also_where_the_completion_tells_another() -> None:
    shop = shop_of(AT_PAYMENT)
    shop.pays("O1", [("food", 2, 10_000)])
    shop.completes("O1", [("food", 1, 4_000)])
    shop.returns("O1", [("1", 1, 4_000)])
    assert shop.beans == 60


def test_a_return_before_completion_takes_back_what_the_payment_gave_once() -> None:
    shop = shop_of(AT_PAYMENT, line_award("give = { points = 1, per_fen = 100 }", rule="done"))
    shop.pays("O1", [("food", 2, 10_000)])
    shop.returns("O1", [("1", 0, 4_000)])
    assert shop.beans == 60
    shop.completes("O1", [("food", 2, 10_000)])
    assert shop.beans == 120
    shop.returns("O1", [("1", 2, 0)])
    assert shop.beans == 0


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (award("give = { points = 1, per_fen = 1 }", on="card.refunded"), r"\.give: card\.refunded has no amount"),
        (
            award("give = { points = 1, per_count = 1 }", on="item.shared"),
            r"\.give\.per_count: item\.shared counts nothing",
        ),
        (
            award("give = { points = 1 }", on="programme.published"),
            r'\.on: no rule can stand on "programme\.published"',
        ),
        (
            award("give = { points = 1 }", on="tier.reached", what='score = "growth"\npart = "purchase"'),
            r"\.score: a tier that is reached gives points, never a score",
        ),
        (
            award('give = { points = 1 }\ncap = [{ per = "day", points = 1 }]', on="tier.reached"),
            r'\.cap: per = "month", "year" or "ever"',
        ),
        (
            award("give = { points = 1 }\nwhen = { score = { at_least = 1 } }", on="tier.reached"),
            r"\.when\.score: is no number",
        ),
        (
            award('give = { points = 1 }\nwhen = { score = { in = ["a"] } }', on="credit.scored"),
            r"\.when\.score: is a number",
        ),
        (PENALTY, r"penalties\.violation: give either kind \(points\) or score and part"),
        (
            PENALTY + 'score = "growth"\npart = "nose"',
            r'penalties\.violation\.part: scores\.growth\.parts has no "nose"',
        ),
        (PENALTY.replace("activity.done", "tier.reached"), r"penalties\.violation\.on: no penalty can stand on"),
    ],
)
def test_what_a_fact_cannot_give_or_cost_is_refused(toml: str, said: str) -> None:
    with pytest.raises(BadProgramme, match=said):
        parse_programme(HEAD + toml)


# -- tiers that are reached ------------------------------------------------------------------------------------------

LEVELS = """
[scores.level]
name = "等级"
window = "life"
settle = "at-once"
parts = { purchase = "消费" }
tiers = [
    { at_least = 0, name = "v1" }, { at_least = 100, name = "v2" },
    { at_least = 200, name = "v3" }, { at_least = 300, name = "v4" },
]
"""
LEVEL = line_award("give = { points = 1, per_fen = 100 }", rule="level", what='score = "level"\npart = "purchase"')


def raised(tier: str, points: int, more: str = "once = true", score: str = "level") -> str:
    when = f'when = {{ score = {{ in = ["{score}"] }}, tier = {{ in = ["{tier}"] }} }}'
    return award(f"{when}\n{more}\ngive = {{ points = {points} }}", f"raised.{score}.{tier}", "tier.reached")


def test_each_tier_that_is_passed_gives_the_lowest_first_and_each_once() -> None:
    shop = Shop(HEAD + LEVELS + LEVEL + raised("v4", 150) + raised("v2", 50) + raised("v3", 100) + raised("v1", 7))
    shop.completes("O1", [("food", 1, 30_000)])
    assert shop.awarded == [50, 100, 150], "nobody reaches the tier that everybody has"
    shop.returns("O1", [("1", 1, 30_000)])
    assert shop.beans == 300, "a return that lowers the tier takes no such award back"
    shop.completes("O2", [("food", 1, 30_000)])
    assert shop.awarded == [50, 100, 150], "up, down, up again"


def test_without_once_a_tier_gives_as_often_as_it_is_reached() -> None:
    shop = Shop(HEAD + LEVELS + LEVEL + raised("v2", 50, more=""))
    for order in ("O1", "O2"):
        shop.completes(order, [("food", 1, 10_000)])
        shop.returns(order, [("1", 1, 10_000)])
    assert shop.awarded == [50, 50]


def test_a_tier_that_time_raised_awards_at_its_instant_the_same_in_every_query() -> None:
    growth = line_award(
        "give = { points = 1, per_fen = 100 }", rule="growth", what='score = "growth"\npart = "purchase"'
    )
    shop = Shop(HEAD + growth + raised("gold", 50, score="growth"), now="2025-10-20")
    shop.completes("O1", [("food", 1, 20_000)])
    assert (shop.on("2025-10-31 23:59:59").beans, shop.on("2025-11-01").beans, shop.on("2025-12-24").beans) == (
        0,
        50,
        50,
    )
    lot = shop.on("2025-12-24").shown["points"]["beans"]["lots"][0]
    assert lot["earned_at"] == "2025-11-01T00:00:00+08:00"
    shop.signs_in(at="2025-12-25")
    assert shop.shown["points"]["beans"]["lots"][0] == lot


def test_what_a_reached_tier_gave_is_there_also_where_the_fact_is_ignored() -> None:
    growth = line_award(
        "give = { points = 1, per_fen = 100 }", rule="growth", what='score = "growth"\npart = "purchase"'
    )
    shop = Shop(HEAD + growth + raised("gold", 50, score="growth"), now="2025-10-20")
    shop.completes("O1", [("food", 1, 20_000)])
    assert shop.cancels("O1", at="2025-11-02") == "ignored: order-completed"
    assert shop.beans == 50
    take = {"adjustment": "J1", "kind": "beans", "points": -20, "reason": "x", "by": "a", "approved_by": "b"}
    assert shop._tell("points.adjusted", "", take | {"of": {"lot": "2.1"}}, source=OPERATORS) == "accepted"
    assert shop.beans == 30


# -- many rules ------------------------------------------------------------------------------------------------------


def many(number: int) -> str:
    """A rule for each of so many categories, every third with a channel besides, and one for all of them."""
    rules = []
    for place in range(number):
        channel = ', channel = { in = ["app"] }' if place % 3 == 0 else ""
        keys = f'when = {{ category = {{ in = ["c{place}", "both"] }}{channel} }}\ngive = {{ points = {place + 1} }}'
        rules.append(line_award(keys, rule=f"r{place}"))
    return "".join(rules) + line_award("give = { points = 1_000 }", rule="all")


def asked_of(shop: Shop) -> int:
    """How many rules were looked at for the last order's line."""
    rules = shop.book.versions[0].line_rules_without_card
    assert rules.lookup is not None
    return max(len(found) for found in rules.lookup.known.values())


def test_of_many_rules_only_those_are_asked_that_may_be_met_and_they_give_in_the_books_order() -> None:
    shop = shop_of(many(200))
    shop.completes("O1", [("c7", 1, 100), ("none", 1, 100)])
    assert shop.awarded == [8, 1_000, 1_000]
    assert asked_of(shop) == 2, "one of 200 names the category, and one names none"
    shop.completes("O2", [("both", 1, 100)], channel="web")
    assert shop.awarded[3:] == [place + 1 for place in range(200) if place % 3] + [1_000]


VARIED = (
    'when = { category = { in = ["c1", "c2"] } }',
    'when = { category = { not_in = ["c1"] }, channel = { in = ["app"] } }',
    "when = { paid_fen = { at_least = 200, at_most = 400 } }",
    "when = { paid_fen = { at_most = 199 }, quantity = { at_least = 2 } }",
    'when = { tags = { has = "sale" }, self_operated = { in = [true] } }',
    "from = 2025-11-11T12:00:00+08:00\nuntil = 2025-11-12",
    'from = 2025-11-12\nwhen = { category = { in = ["c2"] } }',
    "until = 2025-11-12",
)


def test_an_index_decides_as_the_rules_do_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = "".join(
        line_award(f"{keys}\ngive = {{ points = {place + 1} }}", rule=f"r{place}") for place, keys in enumerate(VARIED)
    )
    indexed = shop_of(rules)
    assert indexed.book.versions[0].line_rules.lookup is not None
    monkeypatch.setattr(compiled, "MANY", 1_000)
    plain = shop_of(f"{rules}\n# another text: one that was read before is not compiled again\n")
    assert plain.book.versions[0].line_rules.lookup is None
    lines = [(name, count, fen) for name in ("c1", "c2", "c3", "") for count in (1, 2) for fen in (199, 200, 400, 401)]
    given = set()
    for hour in ("2025-11-11 11:59:59", "2025-11-11 12:00", "2025-11-11 23:59:59", "2025-11-12 00:00"):
        for channel, tags, own in (("app", ["sale"], True), ("app", ["new"], True), ("web", ["sale"], False)):
            for shop in (indexed, plain):
                shop.completes(f"O{hour}{channel}{tags}", lines, at=hour, channel=channel, tags=tags, self_operated=own)
            assert indexed.entries[-1].changes == plain.entries[-1].changes
            given |= {change.rule for change in plain.entries[-1].changes if isinstance(change, Earned)}
    assert len(given) == len(VARIED)


def test_a_line_has_tags_of_its_own_beside_those_of_its_order() -> None:
    book = shipped("jd").replace(
        "[[award]]",
        """[[award]]
rule = "marked"
name = "marked"
on = "order.completed"
each = "line"
kind = "beans"
when = { tags = { has = "marked" } }
give = { points = 7 }

[[award]]""",
        1,
    )
    line = {"category": "virtual", "quantity": 1, "paid_fen": 100}
    lines = [{"line": "1", **line, "tags": ["marked"]}, {"line": "2", **line}]
    for tags, given in (([], 7), (["marked"], 14)):
        shop = Shop(book)
        assert shop.completes("O1", lines, tags=tags) == "accepted"
        assert shop.beans == given
        assert shop.returns("O1", [("1", 1, 100)]) == "accepted"
        assert shop.beans == given - 7
