"""The shipped books by examples, a book at a time: what members do, and what they have then.

The figures are worked out by hand from each book's rules. Amounts are in fen, or a hundredth of the book's currency.
"""

from ledger.rulebook.schema import shipped
from ledger.wire.entries import Drawn
from tests.support.post_office import PostOffice
from tests.support.shop import OPERATORS, Shop

YEAR_LATER = "2026-08-10T09:00:00+08:00"


def open_shop(book: str, now: str) -> Shop:
    return Shop(shipped(book), now=now)


def spendable(shop: Shop, kind: str) -> int:
    return int(shop.shown["points"].get(kind, {}).get("spendable", 0))


def level(shop: Shop, score: str) -> list:
    """The value and the tier."""
    return [shop.shown["scores"][score][key] for key in ("value", "tier")]


def line(paid_fen: int, **more: object) -> list[dict]:
    return [{"line": "1", "paid_fen": paid_fen} | more]


# -- 京东PLUS企业会员 --------------------------------------------------------------------------------------------------


def enterprise(kind: str, product: str, paid_fen: int) -> tuple[Shop, str]:
    shop = open_shop("jd-enterprise", "2025-08-10 09:00")
    if kind:
        shop.tells("member.described", attributes={"kind": kind})
    return shop, shop.buys(product, paid_fen=paid_fen)


def test_an_enterprise_opens_the_classic_card() -> None:
    shop, outcome = enterprise("enterprise", "ent.classic", 9_900)
    assert outcome == "accepted"
    card = shop.shown["memberships"]["plus-enterprise"]
    assert (card["state"], card["until"]) == ("active", YEAR_LATER)
    assert [card["quotas"][name] for name in ("welcome", "rebate", "doorstep-return")] == [1, 12, 12]


def test_who_may_not_open_the_card_or_pays_another_price_has_a_note_and_the_card() -> None:
    assert enterprise("person", "ent.premium", 29_900)[1] == "accepted: not-eligible"
    assert enterprise("", "ent.premium", 29_900)[1] == "accepted: not-eligible"
    shop, outcome = enterprise("enterprise", "ent.premium", 19_900)
    assert outcome == "accepted: price-differs"
    assert shop.shown["memberships"]["plus-enterprise"]["state"] == "active"


def test_a_computer_may_be_exchanged_within_180_days() -> None:
    def bought() -> Shop:
        shop, _ = enterprise("enterprise", "ent.classic", 9_900)
        computer = {"line": "1", "paid_fen": 500_000, "category": "computer", "self_operated": True}
        book = {"line": "2", "paid_fen": 5_000, "category": "book", "self_operated": True}
        shop.completes("O1", [computer, book], at="2025-09-01 12:00")
        return shop

    shop = bought()
    assert shop.claims("exchange-180", order="O1", line="2", at="2026-02-01 12:00") == "refused: no-right"
    assert shop.claims("exchange-180", order="O1", line="1", at="2026-02-28 11:59:59") == "accepted"
    assert shop.claims("exchange-180", order="O1", line="1", at="2026-02-28 11:59:59") == "refused: quota-used"
    assert shop.claims("exchange-180", order="O1", line="1", at="2026-02-28 12:00") == "refused: right-over"
    assert bought().claims("exchange-180", order="O1", line="1", at="2026-02-28 12:00") == "refused: right-over"


def test_twelve_returns_at_the_door_a_year() -> None:
    shop, _ = enterprise("enterprise", "ent.classic", 9_900)
    assert [shop.claims("doorstep-return", at="2025-09-01") for _ in range(12)] == ["accepted"] * 12
    assert shop.claims("doorstep-return", at="2025-12-31 23:59:59") == "refused: quota-used"
    assert shop.claims("doorstep-return", at="2026-01-01") == "accepted"


def test_three_buyers_share_the_quotas_of_their_enterprise() -> None:
    office, house = PostOffice(shipped("jd-enterprise"), now="2025-08-10 09:00"), "house/acme"
    office.at(house).tells("member.described", attributes={"kind": "enterprise"})
    assert office.at(house).buys("ent.classic", card="C1") == "accepted"
    for buyer in "abc":
        office.at(house).tells("house.joined", house="acme", card="C1", member=buyer)
    office.delivers_all()
    reasons = []
    for number in range(13):
        buyer = office.at("abc"[number % 3])
        assert buyer.claims("doorstep-return", claim=f"D{number}", at="2025-09-01") == "accepted: asked"
        office.delivers_all()
        reasons.append(buyer.last.reason)
    assert reasons == [""] * 12 + ["quota-used"]
    computer = {"line": "1", "paid_fen": 500_000, "category": "computer", "self_operated": True}
    office.at("a").completes("O1", [computer], at="2025-09-02")
    assert office.at("a").claims("exchange-180", order="O1", line="1") == "accepted"  # a right of the line, by the seat
    assert office.at("d").completes("O2", [computer], at="2025-09-02") == "accepted"
    assert office.at("d").claims("exchange-180", order="O2", line="1") == "refused: no-right"


# -- 京东企业店铺会员 --------------------------------------------------------------------------------------------------


def test_stars_are_counted_for_each_shop() -> None:
    shop = open_shop("enterprise-shop", "2024-01-05 10:00")
    shop.tells("member.joined", shop="shop-a")
    assert level(shop, "stars@shop-a") == [0, "1-star"]
    shop.completes("a1", line(3_499_999), shop="shop-a", at="2024-01-06 10:00")
    assert level(shop, "stars@shop-a") == [34_999, "1-star"]
    assert spendable(shop, "shop-points@shop-a") == 34_999
    shop.completes("a2", line(100), shop="shop-a")
    assert level(shop, "stars@shop-a") == [35_000, "2-star"]
    assert spendable(shop, "shop-points@shop-a") == 35_000
    later = shop.on("2034-01-01")
    assert level(later, "stars@shop-a") == [35_000, "2-star"]
    assert spendable(later, "shop-points@shop-a") == 0
    assert spendable(shop.on("2026-01-05 09:59:59"), "shop-points@shop-a") == 35_000
    assert spendable(shop.on("2026-01-05 10:00"), "shop-points@shop-a") == 0


def test_what_was_bought_before_joining_does_not_count() -> None:
    shop = open_shop("enterprise-shop", "2024-01-05 10:00")
    shop.completes("b1", line(1_000_000), shop="shop-b")
    assert "stars@shop-b" not in shop.shown["scores"]
    shop.tells("member.joined", shop="shop-b", at="2024-01-06 10:00")
    assert level(shop, "stars@shop-b") == [0, "1-star"]
    assert spendable(shop, "shop-points@shop-b") == 0


def test_five_stars_earn_half_as_much_again() -> None:
    shop = open_shop("enterprise-shop", "2024-01-05 10:00")
    shop.tells("member.joined", shop="shop-a")
    shop.completes("a1", line(60_000_000), shop="shop-a")
    assert (level(shop, "stars@shop-a"), spendable(shop, "shop-points@shop-a")) == ([600_000, "5-star"], 600_000)
    shop.completes("a2", line(10_000), shop="shop-a")
    assert (level(shop, "stars@shop-a"), spendable(shop, "shop-points@shop-a")) == ([600_100, "5-star"], 600_150)


# -- 88会员 · 淘气值 ---------------------------------------------------------------------------------------------------


def test_caps_of_an_order_a_day_a_shop_and_a_category_hold_together() -> None:
    shop = open_shop("taoqi-88vip", "2017-08-10 10:00")

    def amount() -> int:
        return int(shop.on("2017-09-08").shown["scores"]["taoqi"]["parts"]["amount"])

    lines = [{"line": str(n), "category": "food", "paid_fen": fen} for n, fen in enumerate((50_000, 40_000, 30_000), 1)]
    shop.completes("1", lines, shop="s1")
    assert amount() == 100
    shop.completes("2", line(200_000, category="food"), shop="s1")
    assert amount() == 200
    shop.completes("3", line(10_000, category="food"), shop="s2")
    assert amount() == 200
    shop.completes("4", line(200_000, category="food"), shop="s1", at="2017-08-11 10:00")
    assert amount() == 200
    shop.completes("5", line(200_000, category="food"), shop="s2", at="2017-08-11 10:00")
    assert amount() == 300


def test_a_month_counts_from_the_8th_of_the_next() -> None:
    shop = open_shop("taoqi-88vip", "2017-08-10 10:00")
    shop.verifies_identity()
    assert level(shop, "taoqi") == [300, "ordinary"]
    shop.completes("1", line(100_000), at="2017-08-20 10:00")
    assert level(shop.on("2017-09-07 23:59:59"), "taoqi")[0] == 300
    assert level(shop.on("2017-09-08"), "taoqi")[0] == 402


# -- 淘宝大会员 --------------------------------------------------------------------------------------------------------


def august() -> Shop:
    shop = open_shop("taobao", "2025-08-10 10:00")
    shop.completes("t1", line(299_900), channel="app")
    shop.completes("eleme/1", line(3_580), channel="eleme")
    shop.completes("fliggy/1", line(128_000, quantity=2), channel="fliggy")
    shop.completes("hema/1", line(15_990), channel="hema")
    return shop


def test_four_shops_fill_one_score() -> None:
    shop = august()
    assert level(shop.on("2025-08-31"), "taobao") == [0, "bronze"]
    assert level(shop.on("2025-09-01"), "taobao") == [385, "bronze"]
    assert level(shop.on("2026-09-01"), "taobao") == [0, "bronze"]


def test_rides_of_a_day_give_ten_at_most() -> None:
    shop = august()
    shop.tells("activity.done", done="r1", activity="ride", amount_fen=26_700)
    shop.tells("activity.done", done="r2", activity="ride", amount_fen=5_000)
    assert level(shop.on("2025-09-01"), "taobao")[0] == 395


def test_free_meals_are_by_tier_and_month() -> None:
    shop = open_shop("taobao", "2025-08-10 10:00")
    shop.completes("t1", line(1_000_000), channel="app")
    shop.completes("t2", line(1_000_000), channel="app", at="2025-09-10 10:00")
    assert level(shop.on("2025-09-20"), "taobao") == [1_000, "platinum"]
    assert shop.claims("free-meal", at="2025-09-20") == "accepted"
    assert shop.claims("free-meal", at="2025-09-21") == "refused: quota-used"
    assert level(shop.on("2025-10-01"), "taobao") == [2_000, "diamond"]
    assert [shop.claims("free-meal", at="2025-10-02") for _ in range(3)] == ["accepted"] * 2 + ["refused: quota-used"]
    assert shop.on("2026-09-01").shown["benefits"]["free-meal"]["left"] == 1


def test_tiers_begin_at_their_value() -> None:
    shop = open_shop("taobao", "2025-08-10 10:00")
    shop.completes("t1", line(449_000), channel="app")
    assert level(shop.on("2025-09-01"), "taobao") == [449, "bronze"]
    assert shop.claims("fliggy", at="2025-09-01 10:00") == "refused: not-entitled"
    assert shop.claims("hema", at="2025-09-01 10:00") == "accepted"
    shop.completes("t2", line(1_000), channel="app", at="2025-09-02 10:00")
    assert level(shop.on("2025-10-01"), "taobao") == [450, "silver"]


# -- 美团 and 万豪 -----------------------------------------------------------------------------------------------------


def diner() -> Shop:
    shop = open_shop("meituan", "2025-03-15 10:00")
    shop.completes("1", line(1_499_999), channel="delivery")
    assert level(shop, "growth") == [14_999, "platinum"]
    shop.completes("2", line(100), channel="delivery")
    shop.completes("3", line(10_000, category="top-up"), channel="dining")
    assert level(shop, "growth") == [15_000, "black-gold"]
    return shop


def test_a_tier_of_one_programme_gives_one_of_another() -> None:
    shop = diner()
    assert shop.claims("marriott-gold", at="2025-07-01 10:00") == "refused: not-entitled"
    assert shop.claims("marriott-silver", at="2025-07-01 10:00") == "accepted"
    assert level(shop, "bonvoy") == [0, "silver"]
    shop.completes("4", line(1_500_000), channel="delivery", at="2025-07-15 10:00")
    assert level(shop, "growth") == [30_000, "black-diamond"]
    assert shop.claims("marriott-gold", at="2025-08-01 10:00") == "accepted"
    assert level(shop.on("2026-07-31"), "bonvoy")[1] == "gold"
    assert level(shop.on("2026-08-01 10:00"), "bonvoy")[1] == ""


def test_silver_ends_after_a_year() -> None:
    shop = diner()
    shop.claims("marriott-silver", at="2025-07-01 10:00")
    assert level(shop.on("2026-07-01 09:59:59"), "bonvoy")[1] == "silver"
    assert level(shop.on("2026-07-01 10:00"), "bonvoy")[1] == ""


def test_growth_ages_after_twelve_whole_months() -> None:
    shop = open_shop("meituan", "2025-03-15 10:00")
    shop.completes("1", line(3_000_000), channel="delivery")
    assert level(shop.on("2026-03-31 23:59:59"), "growth") == [30_000, "black-diamond"]
    assert level(shop.on("2026-04-01"), "growth") == [0, "ordinary"]


# -- Marriott Bonvoy ---------------------------------------------------------------------------------------------------


def guest() -> Shop:
    return open_shop("marriott", "2024-03-01T10:00:00-05:00")


def test_ten_points_a_dollar_and_a_night_each() -> None:
    shop = guest()
    shop.completes("1", line(60_000, quantity=3, category="room"))
    assert (spendable(shop, "points"), level(shop, "nights")) == (6_000, [3, ""])


def test_gold_earns_a_quarter_more_rounded_once() -> None:
    shop = guest()
    shop.completes("1", line(0, quantity=25, category="room"))
    assert level(shop, "nights") == [25, "gold"]
    shop.completes("2", line(10_199, category="incidentals"))
    assert spendable(shop, "points") == 1_274
    shop.completes("3", line(0, quantity=25, category="room"))
    shop.returns("2", [("1", 0, 5_100)])
    assert (level(shop, "nights")[1], spendable(shop, "points")) == ("platinum", 636)


def test_points_end_two_years_after_the_last_movement() -> None:
    shop = guest()
    shop.completes("1", line(60_000, category="room"), at="2024-06-01T12:00:00-05:00")
    assert spendable(shop.on("2026-06-01T11:59:59-05:00"), "points") == 6_000
    assert spendable(shop.on("2026-06-01T12:00:00-05:00"), "points") == 0
    shop.completes("2", line(10, category="incidentals"), at="2026-06-01T11:59:00-05:00")
    assert spendable(shop.on("2028-05-31T11:58:59-05:00"), "points") == 6_001
    assert spendable(shop.on("2028-05-31T11:59:00-05:00"), "points") == 0


def test_a_granted_tier_is_a_floor_and_adds_nothing() -> None:
    shop = guest()
    data = {"grant": "g1", "score": "nights", "tier": "silver", "until": "2025-07-01T00:00:00-05:00"}
    shop._tell("tier.granted", "", data, source=OPERATORS)
    assert level(shop, "nights")[1] == "silver"
    shop.completes("1", line(0, quantity=25, category="room"))
    assert level(shop, "nights")[1] == "gold"
    assert level(shop.on("2025-07-02"), "nights")[1] == "gold"


# -- Amazon Prime ------------------------------------------------------------------------------------------------------


def test_the_price_rose_in_2014() -> None:
    shop = open_shop("prime", "2013-06-01T10:00:00-08:00")
    assert shop.buys("prime.annual", paid_fen=7_900) == "accepted"
    assert shop.buys("prime.annual", at="2014-04-01T10:00:00-08:00", paid_fen=7_900) == "accepted: price-differs"


def test_a_trial_ends_where_a_card_begins_and_comes_once() -> None:
    shop = open_shop("prime", "2017-01-01T00:00:00-08:00")
    shop.tells("card.trial-started", card="t", product="prime.trial")
    shop.buys("prime.annual", at="2017-01-11T00:00:00-08:00")
    assert shop.shown["memberships"]["prime"]["until"] == "2018-01-11T00:00:00-08:00"
    assert shop.tells("card.trial-started", card="t2", product="prime.trial").endswith("trial-used")


def test_a_book_a_month_from_the_day_that_lending_began() -> None:
    shop = open_shop("prime", "2011-10-01T10:00:00-08:00")
    shop.buys("prime.annual", paid_fen=7_900)
    assert shop.claims("kindle-loan", at="2011-11-01T10:00:00-08:00") == "refused: not-open"
    assert shop.claims("kindle-loan", at="2012-05-02T10:00:00-08:00") == "accepted"
    assert shop.claims("kindle-loan", at="2012-05-30T10:00:00-08:00") == "refused: quota-used"
    assert shop.claims("kindle-loan", at="2012-06-01T10:00:00-08:00") == "accepted"


# -- 苏宁易购 ----------------------------------------------------------------------------------------------------------


def super_member(now: str = "2020-01-31 10:00") -> Shop:
    shop = open_shop("suning", now)
    shop.buys("super.annual", paid_fen=14_900)
    return shop


def test_what_super_gives_more_is_capped_by_the_card() -> None:
    shop = super_member()
    shop.completes("1", line(199_900), tags=["super-20x"], at="2020-02-01 10:00")
    assert spendable(shop, "diamonds") == 3_798 + 199 + 50
    shop.completes("2", line(26_000_000), tags=["super-20x"])
    with_raise = 3_798 + 199 + 46_202 + 26_000  # the line that meets the cap takes what is left of it
    raised = 50 + 100 + 150  # growth rose to v2 with the first order, to v4 with the second
    assert spendable(shop, "diamonds") == with_raise + raised
    shop.completes("3", line(10_000))
    assert spendable(shop, "diamonds") == with_raise + raised + 10
    shop.returns("1", [("1", 0, 100_000)])
    assert spendable(shop, "diamonds") == with_raise + raised + 10 - 1_900 - 100
    assert spendable(shop.on("2022-01-01"), "diamonds") == 0


def test_a_second_card_follows_the_first() -> None:
    shop = super_member()
    shop.buys("super.annual", paid_fen=14_900, at="2020-06-01 10:00")
    assert shop.shown["memberships"]["super"]["until"] == "2021-01-30T10:00:00+08:00"
    assert shop.on("2021-01-30 10:00").shown["memberships"]["super"]["until"] == "2022-01-30T10:00:00+08:00"


def test_v3_pays_less_from_the_day_of_its_price() -> None:
    def pays(spent: int, paid: int, at: str) -> str:
        shop = open_shop("suning", "2019-12-01 10:00")
        shop.completes("1", line(spent))
        return shop.buys("super.annual", paid_fen=paid, at=at)

    assert pays(100, 14_900, "2020-02-01 10:00") == "accepted"
    assert pays(500_000, 10_900, "2020-02-01 10:00") == "accepted"
    assert pays(500_000, 14_900, "2020-02-01 10:00") == "accepted: price-differs"
    assert pays(500_000, 14_900, "2019-12-31 10:00") == "accepted"


def test_diamonds_pay_half_an_order_in_hundreds() -> None:
    def asks(points: int) -> str:
        shop = open_shop("suning", "2020-02-01 10:00")
        shop.tells("campaign.granted", grant="g", campaign="c", kind="diamonds", points=20_000)
        asked = {"redemption": "r", "kind": "diamonds", "points": points, "use": "offset"}
        return shop.tells("redemption.requested", **asked, order="o", settlement_fen=10_000)

    assert asks(5_000) == "accepted"
    assert asks(5_100) == "refused: above-share"
    assert asks(4_950) == "refused: not-a-multiple"


# -- 唯品会 ------------------------------------------------------------------------------------------------------------


def buyer() -> Shop:
    shop = open_shop("vip-shop", "2024-03-10 10:00")
    shop.completes("1", line(499_999))
    shop.completes("2", line(100), at="2024-04-10 10:00")
    return shop


def test_levels_settle_on_the_first() -> None:
    shop = buyer()
    assert level(shop.on("2024-03-31"), "level") == [0, ""]
    assert level(shop.on("2024-04-01"), "level") == [4_999, "silver"]
    assert level(shop.on("2024-05-01"), "level") == [5_000, "gold"]
    assert level(shop.on("2025-04-01"), "level") == [1, ""]


def test_coins_are_by_level_rounded_once_and_end_with_the_next_year() -> None:
    shop = buyer()
    assert spendable(shop, "coins") == 1
    shop.completes("3", line(9_999), at="2024-05-05 10:00")
    assert spendable(shop, "coins") == 150
    assert spendable(shop.on("2025-12-31 23:59:59"), "coins") == 150
    assert spendable(shop.on("2026-01-01"), "coins") == 0


# -- 考拉海购 ----------------------------------------------------------------------------------------------------------


def test_a_black_card_doubles_beans_until_it_is_given_back() -> None:
    shop = open_shop("kaola", "2018-01-04 10:00")
    shop.completes("1", line(10_099))
    shop.buys("black.annual", card="C", paid_fen=27_900)
    shop.completes("2", line(10_099))
    assert spendable(shop, "kaola-beans") == 100 + 201
    assert shop.refunds_card("C", refund_fen=27_900, at="2018-02-04 10:00") == "accepted: refund-not-due"
    shop.completes("3", line(10_099))
    assert spendable(shop, "kaola-beans") == 401


def test_a_card_that_was_used_is_refunded_with_a_note() -> None:
    shop = open_shop("kaola", "2018-01-04 10:00")
    shop.buys("black.annual", card="C", paid_fen=27_900)
    assert shop.shown["memberships"]["black"]["until"] == "2019-01-04T10:00:00+08:00"
    assert shop.claims("first-pack") == "accepted"
    assert spendable(shop, "kaola-beans") == 1_000
    assert shop.refunds_card("C", refund_fen=27_900) == "accepted: refund-not-due"


# -- 成长值 ------------------------------------------------------------------------------------------------------------


def grown() -> Shop:
    shop = open_shop("jd-2013-growth", "2014-01-10 00:00")
    shop.completes("1", line(2_000_000))
    return shop


def test_a_tier_holds_a_year_then_costs_growth() -> None:
    shop = grown()
    for day, value, tier in [
        ("2014-01-10", 20_000, "gold"),
        ("2015-01-10", 16_000, "gold"),
        ("2016-01-10", 12_000, "gold"),
        ("2017-01-09", 8_000, "silver"),
        ("2017-06-01", 8_000, "silver"),
    ]:
        assert level(shop.on(day), "growth") == [value, tier], day
    assert level(shop.on("2017-01-08 23:59:59"), "growth") == [12_000, "gold"]


def test_signing_in_gives_five_a_day_to_who_has_bought() -> None:
    shop = open_shop("jd-2013-growth", "2014-01-10 10:00")
    shop.signs_in()
    shop.completes("1", line(10_000))
    assert level(shop, "growth")[0] == 100
    shop.signs_in(at="2014-01-11 09:00")
    shop.signs_in(at="2014-01-11 10:00")
    assert level(shop, "growth")[0] == 105


def test_a_rating_weighs_what_is_bought() -> None:
    def gives(rating: int | None, paid_fen: int, category: str = "") -> int:
        shop = open_shop("jd-2013-growth", "2014-01-10 10:00")
        if rating is not None:
            shop.tells("member.described", attributes={"rating": rating})
        shop.completes("1", line(paid_fen, category=category))
        return int(level(shop, "growth")[0])

    assert gives(120, 9_999) == 119
    assert gives(None, 9_999) == 99
    assert gives(80, 10_000) == 80
    assert gives(None, 999) == 0
    assert gives(None, 9_999, "prepaid-card") == 0


def test_a_birthday_pack_is_for_its_month_once_a_year() -> None:
    shop = grown()
    shop.tells("member.described", attributes={"birthday": "08-08"})
    assert shop.claims("birthday", at="2014-07-31 10:00") == "refused: not-open"
    assert shop.claims("birthday", at="2014-08-31 10:00") == "accepted"
    assert shop.claims("birthday", at="2014-09-01 10:00") == "refused: not-open"
    shop.tells("member.described", attributes={"birthday": "09-01"})
    assert shop.claims("birthday") == "refused: quota-used"


# -- 京东会员 ----------------------------------------------------------------------------------------------------------


def jd_member(paid_yuan: int, *, now: str = "2019-02-10", category: str = "book") -> Shop:
    """A member who bought one line in the month before: a point for each ¥1, and ten for a new category."""
    shop = open_shop("jd", now)
    shop.completes("O1", line(100 * (paid_yuan - 10), category=category))
    return shop


def test_the_price_of_the_annual_card_falls_with_the_score() -> None:
    for value, paid_fen, note in (
        (5_000, 9_900, "accepted"),
        (5_000, 14_900, "accepted: price-differs"),
        (4_999, 14_900, "accepted"),
        (4_999, 9_900, "accepted: price-differs"),
    ):
        assert jd_member(value).buys("plus.annual", at="2019-03-01", paid_fen=paid_fen) == note


def test_a_credit_of_30_or_a_score_of_201_opens_the_annual_card() -> None:
    for credit, value, note in ((29, 200, "accepted: not-eligible"), (30, 200, "accepted"), (29, 201, "accepted")):
        shop = jd_member(value)
        shop.has_credit(credit)
        assert shop.buys("plus.annual", at="2019-03-01", paid_fen=14_900) == note


def test_a_gift_pack_from_the_5th_to_the_20th_once_a_month() -> None:
    shop = jd_member(10_000)
    assert shop.claims("gift-pack", at="2019-03-04 23:59:59") == "refused: not-open"
    assert shop.claims("gift-pack", at="2019-03-05") == "accepted: asked"
    assert shop.claims("gift-pack", at="2019-03-20 23:59:59") == "refused: quota-used"
    assert shop.claims("gift-pack", at="2019-03-21") == "refused: not-open"
    assert jd_member(9_999).claims("gift-pack", at="2019-03-05") == "refused: not-entitled"


def test_the_gift_packs_of_a_month_are_first_come_first_served() -> None:
    """The shipped book has 10,000 of them a month; here it has one."""
    office = PostOffice(shipped("jd").replace("stock = 10_000 ", "stock = 1 "), now="2019-02-10")
    for name in ("first", "second"):
        office.at(name).completes("O1", line(100 * 9_990, category="book"))
        office.at(name).claims("gift-pack", at="2019-03-05")
    office.delivers_all()
    assert [office.at(name).last.reason for name in ("first", "second")] == ["", "pool-empty"]
    assert office.at("second").claims("gift-pack", at="2019-03-06") == "accepted: asked"  # the quota is free again
    assert office.at("first").claims("gift-pack", at="2019-03-06") == "refused: quota-used"


def test_plus_day_is_paid_out_of_the_jdp_plans_budget() -> None:
    office = PostOffice(shipped("jd"), now="2020-01-07")
    shop = office.at("m")
    shop.buys("plus.annual", paid_fen=14_900)
    shop.completes("O1", line(12_345, category="phone"), at="2020-01-08")
    assert (shop.beans, shop.pending) == (123, 123)
    office.delivers_all()
    assert (shop.beans, shop.pending) == (246, 0)
    pool = office.at("pool/campaigns.jdp")
    (drawn,) = [change.n for entry in pool.entries for change in entry.changes if isinstance(change, Drawn)]
    assert pool.book.versions[-1].pools["pool/campaigns.jdp"].limit - drawn == 999_999_999_877


def test_beans_that_are_grabbed_come_out_of_one_budget_and_no_more_than_50_a_member() -> None:
    office = PostOffice(shipped("jd").replace("budget = 1_000_000 ", "budget = 60 "), now="2020-06-01")
    for name in ("m", "n"):
        for time in range(6):
            office.at(name).tells("activity.done", done=f"{name}{time}", activity="grab-beans")
    office.delivers_all()
    assert (office.at("m").awarded, office.at("m").beans, office.at("n").beans) == ([10] * 5, 50, 10)


def test_the_gifts_of_88_members_day_come_out_of_its_budget_once_a_member() -> None:
    office = PostOffice(shipped("taoqi-88vip"), now="2017-08-08 10:00")
    member = office.at("m")
    member.tells("activity.done", done="D0", activity="day-88")
    assert member.awarded == []  # it is for super members and above
    member.tells("tier.granted", grant="g", score="taoqi", tier="super", until="2018-08-08T00:00:00+08:00")
    assert [member.tells("activity.done", done=f"D{n}", activity="day-88") for n in (1, 2)] == ["accepted"] * 2
    office.delivers_all()
    assert member.account.purse("welfare").spendable() == 8_800


def test_a_birthday_is_for_persons_in_its_month() -> None:
    for told, found in (("person", "accepted"), ("enterprise", "refused: not-entitled"), ("", "refused: not-entitled")):
        shop = jd_member(500, now="2019-07-10")
        shop.tells("member.described", attributes={"birthday": "08-08"} | ({"kind": told} if told else {}))
        assert shop.claims("birthday", at="2019-08-31 23:59:59") == found
    shop.tells("member.described", attributes={"kind": "person"})
    assert shop.claims("birthday", at="2019-09-01") == "refused: not-open"


def test_plus_day_gives_once_more_beside_the_cap() -> None:
    shop = open_shop("jd", "2020-01-07")
    shop.buys("plus.annual", paid_fen=14_900)
    shop.completes("O1", line(12_345, category="phone"), at="2020-01-08")
    assert shop.awarded == [123, 123]
    assert shop.account.terms["plus"][0].capped == 123, "the cap counts what the card gave, and no more"
    shop.completes("O2", line(12_345, category="phone"), at="2020-01-09")
    assert shop.awarded == [123, 123, 123]
    without = open_shop("jd", "2020-01-08")
    without.completes("O1", line(12_345, category="phone"))
    assert without.awarded == [12]


def test_a_medal_is_lit_by_what_was_bought_for_babies() -> None:
    shop = open_shop("jd", "2019-03-02")
    shop.completes("O1", line(99_999, category="baby"))
    assert level(shop.on("2019-04-01"), "medal-baby") == [999, ""]
    shop.completes("O2", line(100, category="baby"), at="2019-03-03")
    shop.completes("O3", line(100, category="toy"), tags=["pin-gou"], at="2019-03-04")
    assert level(shop.on("2019-03-31 23:59:59"), "medal-baby") == [0, ""]
    assert level(shop.on("2019-04-01"), "medal-baby") == [1_000, "lit"]
    assert level(shop.on("2019-04-01"), "jd-value") == [999 + 1 + 1 + 10 + 10 + 30 + 2, "201"]
    assert shop.claims("medal-baby", at="2019-03-31") == "refused: not-entitled"
    assert [shop.claims("medal-baby", at="2019-04-01") for _ in range(2)] == ["accepted", "refused: quota-used"]


def test_beans_become_brand_points_that_end_no_later() -> None:
    shop = open_shop("jd", "2019-03-01")
    shop.is_granted(1_000, expires="2019-06-01")
    assert shop.tells("exchange.requested", request="X1", exchange="brand", points=1_000) == "accepted"
    assert (spendable(shop, "beans"), spendable(shop, "brand-points")) == (0, 100)
    assert spendable(shop.on("2019-05-31 23:59:59"), "brand-points") == 100
    assert spendable(shop.on("2019-06-01"), "brand-points") == 0
    later = open_shop("jd", "2019-03-01")
    later.is_granted(1_000, expires="2021-01-01")
    later.tells("exchange.requested", request="X1", exchange="brand", points=1_000)
    assert spendable(later.on("2020-02-28 23:59:59"), "brand-points") == 100, "365 days of a brand point"
    assert spendable(later.on("2020-02-29"), "brand-points") == 0
    assert later.tells("exchange.requested", request="X2", exchange="brand", points=50) == "refused: not-a-multiple"


def test_a_card_opens_a_year_of_films_and_is_not_refunded_then() -> None:
    shop = open_shop("jd", "2019-03-01")
    shop.has_credit(30)
    shop.buys("plus.annual", card="K", paid_fen=14_900)
    assert shop.claims("iqiyi") == "accepted"
    assert shop.shown["memberships"]["iqiyi"]["until"] == "2020-02-29T00:00:00+08:00"
    assert shop.refunds_card("K", at="2019-03-02", refund_fen=14_900) == "accepted: refund-not-due"
    unused = open_shop("jd", "2019-03-01")
    unused.buys("plus.annual", card="K", paid_fen=14_900)
    assert unused.refunds_card("K", at="2019-03-08", refund_fen=14_900) == "accepted"


def test_what_a_card_gives_by_the_piece_of_thirty_days() -> None:
    shop = open_shop("jd", "2019-03-01")
    shop.buys("plus.annual", paid_fen=14_900)
    assert [shop.claims("shipping-month") for _ in range(6)] == ["accepted"] * 5 + ["refused: quota-used"]
    assert shop.claims("shipping-month", at="2019-03-30 23:59:59") == "refused: quota-used"
    assert shop.claims("shipping-month", at="2019-03-31") == "accepted"
    assert shop.claims("cleaning") == "refused: beans-short"
    shop.is_granted(2_000)
    assert (shop.claims("cleaning"), shop.beans) == ("accepted", 0)
    assert shop.claims("instant-shipping") == "refused: not-open"


def test_a_phone_of_the_shops_own_may_be_exchanged_for_180_days() -> None:
    shop = open_shop("jd", "2019-03-01")
    shop.buys("plus.annual", paid_fen=14_900)
    phone = {"line": "1", "paid_fen": 200_000, "category": "phone", "self_operated": True}
    shop.completes("O1", [phone, {"line": "2", "paid_fen": 5_000, "category": "book", "self_operated": True}])
    assert shop.claims("exchange-180", order="O1", line="2") == "refused: no-right"
    assert shop.claims("exchange-180", order="O1", line="1", at="2019-08-27 23:59:59") == "accepted"
    assert shop.claims("exchange-180", order="O1", line="1", at="2019-08-28") == "refused: right-over"


def test_tiers_of_the_score_have_what_needs_no_card() -> None:
    high, low = jd_member(20_000), jd_member(19_999)
    names = ("two-way-shipping", "pick-up", "vip-line", "lightning-refund", "exchange-for-repair")
    assert [high.claims(name, at="2019-03-01") for name in names] == ["accepted"] * 5
    assert [low.claims(name, at="2019-03-01") for name in names] == ["refused: not-entitled"] * 5
    low.tries_plus()
    assert low.claims("vip-line") == "accepted", "a card opens the line as well"
    assert low.claims("return-shipping") == "accepted"


def test_a_good_deed_counts_until_it_is_undone() -> None:
    shop = open_shop("jd", "2019-03-01")
    shop.tells("activity.done", done="D1", activity="charity")
    shop.tells("activity.done", done="D2", activity="marathon")
    assert level(shop.on("2019-04-01"), "jd-value") == [2, ""]
    shop.tells("activity.undone", done="D1")
    assert level(shop.on("2019-04-01"), "jd-value") == [0, ""]
