"""What the ledger once decided otherwise than the oracle: the shortest history of each, which the contract decides."""

from tests.support.shop import BOOK, Shop

HEAD = """
programme = "found"
name = "found"
from = 2024-01-01
utc_offset = "+08:00"
[kinds.beans]
name = "beans"
expiry = [{ from = 2024-01-01, days = 30 }]
[kinds.coins]
name = "coins"
expiry = [{ from = 2024-01-01, days = 30 }]
[uses.coupon]
name = "coupon"
kinds = ["beans"]
[attributes.customer]
name = "customer"
"""
SPENT = """
[[award]]
rule = "spent"
name = "spent"
on = "order.completed"
each = "line"
kind = "beans"
give = { points = 1, per_fen = 1_000 }
"""
PEOPLE = 'who = { attribute = { customer = { in = ["person"] } } }\n'
BY_SHOP = """
[scores.stars]
name = "stars"
settle = "at-once"
window = "life"
each = "shop"
joined = true
parts = { spent = "spent" }
tiers = [{ at_least = 100, name = "star" }]
[[award]]
rule = "stars"
name = "stars"
on = "order.completed"
each = "line"
score = "stars"
part = "spent"
when = { paid_fen = { at_least = 5_000 } }
give = { points = 1, per_fen = 100 }
"""
REACHED = """
[[award]]
rule = "reached"
name = "reached"
on = "tier.reached"
kind = "beans"
give = { points = 7 }
"""
CLUB = """
[memberships.club]
name = "club"
release_days = 0
[memberships.club.products]
"club.month" = { days = 30 }
"club.trial" = { days = 14, trial = true }
[memberships.guests]
name = "guests"
products = { "guests.week" = { days = 7 } }
[[award]]
rule = "club"
name = "club"
on = "order.completed"
each = "line"
kind = "beans"
member = "club"
give = { points = 1, per_fen = 100 }
"""


def tries_the_club(shop: Shop, at: str) -> str:
    return shop.tells("card.trial-started", at, card="T", product="club.trial")


def test_a_new_line_of_an_amendment_asks_who_the_member_is() -> None:
    shop = Shop(HEAD + SPENT + PEOPLE)
    shop.completes("O1", BOOK)
    shop.amends("O1", BOOK + BOOK)
    assert shop.beans == 0
    shop.tells("member.described", attributes={"customer": "person"})
    shop.amends("O1", BOOK + BOOK + BOOK)
    assert shop.beans == 10, "of those before it is not known what she was"


def test_a_new_line_of_an_amendment_is_multiplied_by_who_the_member_is() -> None:
    shop = Shop(HEAD + SPENT + 'times = [{ by = "2", who = { attribute = { customer = { in = ["person"] } } } }]\n')
    shop.completes("O1", BOOK)
    shop.amends("O1", BOOK + BOOK)
    assert shop.awarded == [10, 10]


def test_a_rule_that_an_amendment_made_give_keeps_its_multiplier() -> None:
    rule = SPENT + "when = { paid_fen = { at_least = 5_000 } }\n"
    shop = Shop(HEAD + rule + 'times = [{ by = "2", when = { category = { in = ["books"] } } }]\n')
    shop.completes("O1", [("books", 1, 1_000)])
    shop.amends("O1", [("books", 1, 5_000)])
    shop.amends("O1", [("food", 1, 6_000)])
    assert shop.awarded == [10, 2]


def test_an_amendment_gives_nothing_at_a_shop_that_was_not_joined() -> None:
    shop = Shop(HEAD + BY_SHOP)
    shop.completes("O1", [("books", 1, 100)], shop="shop-a")
    shop.amends("O1", [("books", 1, 20_000)], shop="shop-a")
    shop.tells("member.joined", shop="shop-a")
    assert shop.shown["scores"]["stars@shop-a"]["value"] == 0
    shop.amends("O1", [("books", 1, 30_000)], shop="shop-a")
    assert shop.shown["scores"]["stars@shop-a"]["value"] == 0, "what was bought before does not count afterwards"


def test_a_penalty_takes_nothing_of_a_score_before_its_shop_is_joined() -> None:
    shop = Shop(
        HEAD
        + BY_SHOP
        + '[penalties.rude]\nname = "rude"\non = "activity.done"\nscore = "stars"\npart = "spent"\npoints = 30\n'
    )
    shop.tells("activity.done", done="D1", activity="rude", shop="shop-a")
    shop.tells("activity.done", done="D2", activity="rude")
    assert [entry.changes for entry in shop.entries] == [[], []]
    shop.tells("member.joined", shop="shop-a")
    assert shop.shown["scores"]["stars@shop-a"]["parts"] == {"spent": 0}


def test_where_a_shop_was_not_joined_there_is_no_tier_that_is_none_of_some() -> None:
    who = 'who = { tier = { stars = { not_in = ["star"] } } }\n'
    shop = Shop(HEAD + BY_SHOP + SPENT + who)
    shop.completes("O1", BOOK, shop="shop-a")
    assert shop.beans == 0
    shop.tells("member.joined", shop="shop-a")
    shop.completes("O2", BOOK, shop="shop-a")
    assert shop.beans == 10


def test_a_tier_that_is_kept_for_each_shop_is_not_granted() -> None:
    shop = Shop(HEAD + BY_SHOP)
    grant = {"grant": "X1", "score": "stars", "tier": "star", "until": "2026-01-01T00:00:00+08:00"}
    fact = {"specversion": "1.0", "id": "g", "source": "/operators", "type": "tier.granted.v1", "subject": "m-1"}
    assert shop.hears(fact | {"time": "2025-11-11T10:00:00+08:00", "data": grant}) == "ignored: unknown-tier"


def test_only_a_claim_that_gave_a_tier_is_withdrawn_as_one() -> None:
    shop = Shop(HEAD + '[benefits.lounge]\nname = "lounge"\n')
    shop.claims("lounge", claim="B1")
    fact = {"specversion": "1.0", "id": "w", "source": "/operators", "type": "tier.withdrawn.v1", "subject": "m-1"}
    told = shop.hears(fact | {"time": "2025-11-11T10:00:00+08:00", "data": {"grant": "claim/B1"}})
    assert told == "ignored: unknown-grant"


def test_a_card_that_ends_the_trial_frees_its_points_where_none_wait_after_its_end() -> None:
    shop = Shop(HEAD + CLUB)
    tries_the_club(shop, "2025-03-01")
    shop.completes("O1", BOOK, at="2025-03-02")
    shop.buys("club.month", at="2025-03-03")
    assert (shop.beans, shop.pending) == (100, 0)
    shop.completes("O2", BOOK, at="2025-03-02")
    assert shop.beans == 200, "of an order of the trial that is told late, too"


def test_a_card_of_another_membership_frees_no_points_of_a_trial() -> None:
    shop = Shop(HEAD + CLUB)
    tries_the_club(shop, "2025-03-01")
    shop.completes("O1", BOOK, at="2025-03-02")
    shop.buys("guests.week", at="2025-03-03")
    assert (shop.beans, shop.pending) == (0, 100)


def test_a_line_that_an_amendment_leaves_out_gives_back_what_its_payment_gave() -> None:
    shop = Shop(HEAD + SPENT.replace("order.completed", "order.paid"))
    shop.pays("O1", BOOK + BOOK)
    shop.completes("O1", BOOK + BOOK)
    shop.amends("O1", BOOK)
    assert shop.beans == 10


def test_what_expired_of_an_exchange_or_an_answer_is_not_asked_for() -> None:
    swap = '[exchanges.swap]\nname = "swap"\ntakes = "beans"\ngives = "coins"\n'
    swap += "rate = [{ from = 2024-01-01, take = 1, give = 1 }]\n"
    answer = SPENT.replace("order.completed", "question.answered").replace('each = "line"\n', "")
    shop = Shop(HEAD + swap + answer.replace("points = 1, per_fen = 1_000", "points = 8"))
    shop.answers(at="2025-03-01")
    shop.tells("exchange.requested", at="2025-03-01", request="E1", exchange="swap", points=4)
    assert shop.is_adjusted_of(-4, at="2025-05-01", kind="coins", lot="2.1") == "accepted"
    assert shop.is_adjusted_of(-8, at="2025-05-01", lot="1.1") == "accepted"
    assert (shop.debt, shop.account.purse("coins").debt) == (0, 0)


def test_a_score_of_twelve_months_has_them_where_facts_may_be_late_by_less() -> None:
    score = '[scores.year]\nname = "year"\nparts = { spent = "spent" }\n'
    rule = SPENT.replace('kind = "beans"', 'score = "year"\npart = "spent"')
    shop = Shop(HEAD.replace("utc_offset", "late_days = 60\nutc_offset") + score + rule)
    shop.completes("O1", BOOK, at="2025-03-10")
    shop.signs_in(at="2025-09-10")
    assert shop.shown["scores"]["year"]["value"] == 10
    shop.signs_in(at="2026-04-01")
    assert shop.shown["scores"]["year"]["value"] == 0


def test_a_tier_that_last_year_reached_by_what_is_told_late_is_reached() -> None:
    score = '[scores.nights]\nname = "nights"\nsettle = "at-once"\nwindow = "year"\nhold = { end_of_year_after = 1 }\n'
    score += 'parts = { spent = "spent" }\ntiers = [{ at_least = 10, name = "silver" }]\n'
    rule = SPENT.replace('kind = "beans"', 'score = "nights"\npart = "spent"')
    shop = Shop(HEAD + score + rule + REACHED)
    shop.signs_in(at="2025-01-10")
    shop.completes("O1", BOOK, at="2024-12-30")
    assert (shop.shown["scores"]["nights"]["tier"], shop.awarded) == ("silver", [7])


def test_a_hold_that_ends_as_the_day_of_a_new_value_begins_is_no_tier_reached() -> None:
    score = '[scores.days]\nname = "days"\nsettle = "daily"\nwindow_days = 1\nhold = { days = 1 }\n'
    score += 'parts = { spent = "spent" }\ntiers = [{ at_least = 10, name = "silver" }]\n'
    rule = SPENT.replace('kind = "beans"', 'score = "days"\npart = "spent"')
    shop = Shop(HEAD + score + rule + REACHED)
    shop.completes("O1", BOOK, at="2025-03-01")
    shop.signs_in(at="2025-03-02")
    shop.completes("O2", BOOK, at="2025-03-02 10:00")
    shop.signs_in(at="2025-03-03 10:00")
    assert shop.awarded == [7]


def test_what_a_payment_gave_is_not_taken_twice() -> None:
    whole = SPENT.replace("order.completed", "order.paid").replace('each = "line"\n', "")
    shop = Shop(HEAD + whole.replace("points = 1, per_fen = 1_000", "points = 7"))
    shop.pays("O1", BOOK, at="2025-03-01")
    shop.cancels("O1")
    assert shop.is_adjusted_of(-7, lot="1.1") == "accepted: adjustment-capped"
    assert shop.debt == 0


def test_points_of_a_cancelled_order_are_back_before_what_its_payment_gave_is_taken() -> None:
    whole = SPENT.replace("order.completed", "order.paid").replace('each = "line"\n', "")
    head = HEAD.replace('name = "beans"\n', 'name = "beans"\nshortfall = "clamp"\n')
    shop = Shop(head + whole.replace("points = 1, per_fen = 1_000", "points = 7"), now="2025-03-01")
    shop.pays("O1", BOOK)
    shop.redeems(5, order="O1", settlement_fen=100)
    shop.cancels("O1")
    assert (shop.beans, shop.purse.written_off) == (0, 0)


def test_an_amendment_gives_more_at_the_rate_of_a_card_that_was_taken_out_since() -> None:
    shop = Shop()
    shop.redeems_code("plus.annual", at="2025-04-21 10:00", card="K")
    shop.completes("O1", [("books", 1, 10_000)], at="2025-04-21 11:00")
    assert shop.beans == 100
    assert shop.refunds_card("K", at="2025-04-20 10:00", refund_fen=1) == "accepted: refund-above-price"
    assert shop.account.terms == {"plus": []}
    shop.amends("O1", [("books", 1, 20_000)], at="2025-04-22 10:00")
    assert shop.beans == 200


def test_what_an_amendment_gives_more_of_a_trial_that_was_taken_out_waits_with_the_rest() -> None:
    shop = Shop()
    shop.tries_plus(at="2025-04-21 10:00", card="K")
    shop.completes("O1", [("books", 1, 10_000)], at="2025-04-21 11:00")
    shop.refunds_card("K", at="2025-04-20 10:00", refund_fen=0)
    shop.amends("O1", [("books", 1, 20_000)], at="2025-04-22 10:00")
    assert (shop.beans, shop.pending) == (0, 200)
    shop.buys("plus.month", at="2025-04-23 10:00", card="L")
    shop.amends("O1", [("books", 1, 30_000)], at="2025-04-24 10:00")
    assert (shop.beans, shop.pending) == (300, 0)


def test_a_line_that_gave_nothing_is_amended_at_the_rate_of_its_card_that_was_taken_out_since() -> None:
    shop = Shop()
    shop.redeems_code("plus.annual", at="2025-04-21 10:00", card="K")
    shop.completes("O1", [("virtual", 1, 10_000)], at="2025-04-21 11:00")
    shop.refunds_card("K", at="2025-04-20 10:00", refund_fen=1)
    shop.amends("O1", [("books", 1, 10_000)], at="2025-04-22 10:00")
    assert shop.beans == 100


def test_an_amendment_keeps_to_the_cap_of_a_card_that_was_taken_out_since() -> None:
    shop = Shop()
    shop.redeems_code("plus.month", at="2025-04-21 10:00", card="K")
    shop.completes("O1", [("books", 1, 100_000)], at="2025-04-21 11:00")
    shop.refunds_card("K", at="2025-04-20 10:00", refund_fen=1)
    shop.amends("O1", [("books", 1, 300_000)], at="2025-04-22 10:00")
    assert shop.beans == 3_000
    shop.amends("O1", [("books", 1, 500_000)], at="2025-04-22 10:00")
    assert shop.beans == 3_000, "a month's card has a cap of 4,000"
