"""Benefits that stand by themselves, are claimed at a price and give something; and rights of an order's line."""

import json

import pytest

from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import BadProgramme
from ledger.wire.entries import RightEnded, RightGiven
from projections.answers.programmes import warnings
from tests.support.shop import Shop

BOOK = """
programme = "mall"
name = "商场"
from = 2025-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2025-01-01, days = 365 }]

[attributes.birthday]
name = "生日"
type = "month-day"

[attributes.kind]
name = "客户类型"
values = ["person", "enterprise"]

[scores.level]
name = "等级"
settle = "at-once"
window = "life"
parts = { purchase = "消费" }
tiers = [
    { at_least = 1_000, name = "platinum" },
    { at_least = 2_000, name = "diamond" },
    { at_least = 10_000, name = "black" },
]

[scores.partner]
name = "伙伴"
settle = "at-once"
window = "year"
parts = { nights = "夜" }
tiers = [{ at_least = 10, name = "silver" }, { at_least = 25, name = "gold" }]

[memberships.plus]
name = "PLUS"
products = { "plus.annual" = { days = 365 }, "plus.month" = { days = 30 } }

[memberships.video]
name = "视频"
products = { "video.year" = { days = 365 }, "video.month" = { months = 1 } }

[[award]]
rule = "level.purchase"
name = "消费"
on = "order.completed"
each = "line"
score = "level"
part = "purchase"
give = { points = 1, per_fen = 100 }

[uses.coupon]
name = "券"
kinds = ["beans"]
"""
FREE_MEAL = """
[benefits.meal]
name = "免单券"
who = { tier = { level = { in = ["platinum", "diamond", "black"] } } }
quota = [
    { who = { tier = { level = { in = ["black"] } } }, times = 4 },
    { who = { tier = { level = { in = ["diamond"] } } }, times = 2 },
    { times = 1 },
]
per = "month"
"""


def shop(benefits: str, now: str = "2025-03-01 10:00") -> Shop:
    return Shop(BOOK + benefits, now=now)


def spends(shop: Shop, fen: int, at: str = "") -> None:
    """One order of one line; a yuan is one of the score."""
    assert shop.completes(f"S{len(shop.entries)}", [("books", 1, fen)], at) == "accepted"


def left(shop: Shop, benefit: str) -> object:
    return shop.shown["benefits"][benefit]["left"]


def figures(shop: Shop) -> dict[str, object]:
    return dict(shop.last.figures)


# -- whose it is, and how often ----------------------------------------------------------------------------------------


def test_a_benefit_is_refused_to_whom_it_is_not_for_with_the_condition_that_fails() -> None:
    member = shop(FREE_MEAL)
    assert member.claims("meal") == "refused: not-entitled"
    assert figures(member) == {"who": "tier.level, is none"}
    spends(member, 100_000)
    assert member.claims("meal") == "accepted"
    assert member.claims("meal") == "refused: quota-used"
    assert figures(member) == {"benefit": "meal", "quota": 1, "used": 1}
    assert member.claims("meal", "2025-03-31 23:59") == "refused: quota-used"
    assert member.claims("meal", "2025-04-01 00:00") == "accepted"


def test_a_tier_that_rises_gives_the_difference_and_counts_outlive_the_tier() -> None:
    member = shop(FREE_MEAL)
    spends(member, 100_000)
    assert left(member, "meal") == 1
    assert member.claims("meal") == "accepted"
    assert left(member, "meal") == 0
    spends(member, 100_000)
    assert left(member, "meal") == 1
    assert member.claims("meal") == "accepted"
    assert member.claims("meal") == "refused: quota-used"
    spends(member, 800_000)
    assert (member.claims("meal"), member.claims("meal"), member.claims("meal")) == (
        "accepted",
        "accepted",
        "refused: quota-used",
    )
    member.returns("S5", [("1", 1, 800_000)])
    assert left(member, "meal") == 0
    assert member.on("2025-04-01").shown["benefits"]["meal"] == {"left": 2, "entitled": True, "open": True}


def test_the_claim_behind_the_order_that_reaches_the_tier_is_entitled() -> None:
    member = shop(FREE_MEAL)
    assert left(member, "meal") == 1
    assert member.shown["benefits"]["meal"]["entitled"] is False
    spends(member, 100_000, "2025-03-02 10:00")
    assert member.claims("meal", "2025-03-02 10:00") == "accepted"


def test_no_entry_of_a_quota_that_holds_is_not_entitled() -> None:
    quota = 'quota = [{ who = { tier = { level = { in = ["black"] } } }, times = 4 }]\nper = "year"\n'
    member = shop('[benefits.lounge]\nname = "贵宾厅"\n' + quota)
    assert member.claims("lounge") == "refused: not-entitled"
    assert figures(member) == {"who": "tier.level, is none"}


def test_a_benefit_without_a_quota_is_given_without_a_limit() -> None:
    member = shop('[benefits.hema]\nname = "折扣"\n')
    assert [member.claims("hema") for _ in range(3)] == ["accepted"] * 3
    assert member.shown["benefits"]["hema"] == {"left": None, "entitled": True, "open": True}


@pytest.mark.parametrize(
    ("per", "last", "again"),
    [
        ('per = "day"', "2025-03-01 23:59", "2025-03-02 00:00"),
        ('per = "month"', "2025-03-31 23:59", "2025-04-01 00:00"),
        ('per = "year"', "2025-12-31 23:59", "2026-01-01 00:00"),
        # From the book's first day on: the third piece of 30 days is 2 March to 31 March.
        ('per = "days"\ndays = 30', "2025-03-01 23:59", "2025-03-02 00:00"),
    ],
)
def test_a_quota_counts_by_day_month_year_or_pieces_of_days(per: str, last: str, again: str) -> None:
    member = shop(f'[benefits.gift]\nname = "礼"\nquota = 1\n{per}\n')
    assert member.claims("gift", "2025-03-01 10:00") == "accepted"
    assert member.claims("gift", last) == "refused: quota-used"
    assert member.claims("gift", again) == "accepted"
    assert member.claims("gift", again) == "refused: quota-used"


def test_ever_is_once_and_for_all() -> None:
    member = shop('[benefits.ticket]\nname = "票"\nquota = 1\nper = "ever"\n')
    assert member.claims("ticket") == "accepted"
    assert member.claims("ticket", "2031-03-01 10:00") == "refused: quota-used"


def test_pieces_of_thirty_days_begin_with_the_card_where_a_month_would_give_five_for_one_day() -> None:
    pack = '[memberships.plus.benefits.pack]\nname = "券包"\nquota = { "plus.annual" = 5 }\nper = "days"\ndays = 30\n'
    member = shop(pack, "2025-01-31 12:00")
    member.buys("plus.annual")
    assert [member.claims("pack") for _ in range(6)] == ["accepted"] * 5 + ["refused: quota-used"]
    assert member.claims("pack", "2025-03-02 11:59") == "refused: quota-used"
    assert member.plus["quotas"]["pack"] == 0
    assert member.claims("pack", "2025-03-02 12:00") == "accepted"
    assert member.plus["quotas"]["pack"] == 4


def test_pieces_that_are_longer_than_the_ledger_keeps_late_facts_are_still_counted() -> None:
    member = shop('[benefits.gift]\nname = "礼"\nquota = 1\nper = "days"\ndays = 2_000\n')
    assert member.claims("gift") == "accepted"
    assert member.claims("gift", "2030-01-01 10:00") == "refused: quota-used"


def test_a_cards_old_days_are_counted_together_and_it_stays_used() -> None:
    daily = '[memberships.plus.benefits.daily]\nname = "日券"\nquota = 1\nper = "day"\n'
    member = shop(daily)
    member.buys("plus.annual", card="L1")
    member.buys("plus.annual", card="L2")
    assert member.claims("daily", claim="B1") == "accepted"
    assert member.claims("daily", claim="B2", at="2026-02-01 10:00") == "accepted"
    assert member.claims("daily", "2027-02-01 10:00") == "accepted"
    first = member.account.terms["plus"][0]
    assert (first.card, sorted(first.used.values()), first.used["daily:0"]) == ("L1", [1, 1], 1)
    assert member.gives_claim_back("B1") == "accepted"
    assert "daily:0" not in first.used


def test_a_memberships_benefit_of_ever_is_one_for_all_its_cards() -> None:
    gift = '[memberships.plus.benefits.welcome]\nname = "开卡礼"\nquota = 1\nper = "ever"\n'
    member = shop(gift)
    member.buys("plus.month")
    assert member.claims("welcome", claim="B1") == "accepted"
    member.buys("plus.month", "2025-06-01 10:00")
    assert member.claims("welcome") == "refused: quota-used"
    assert member.gives_claim_back("B1") == "accepted"
    assert member.claims("welcome") == "accepted"


def test_a_membership_benefit_may_have_a_number_for_every_card_and_conditions_besides() -> None:
    lines = (
        '[memberships.plus.benefits.cleaning]\nname = "保洁"\nquota = 1\n'
        'who = { attribute = { kind = { in = ["person"] } } }\n'
    )
    member = shop(lines)
    assert member.claims("cleaning") == "refused: no-membership"
    member.buys("plus.month")
    assert member.claims("cleaning") == "refused: not-entitled"
    assert figures(member) == {"who": "attribute.kind, is unknown"}
    assert member.plus["quotas"] == {}
    member.tells("member.described", attributes={"kind": "person"})
    assert member.plus["quotas"] == {"cleaning": 1}
    assert member.claims("cleaning") == "accepted"
    assert member.claims("cleaning") == "refused: quota-used"


# -- when it is open ---------------------------------------------------------------------------------------------------

BIRTHDAY = """
[benefits.birthday]
name = "生日礼"
quota = 1
per = "year"
open = { month_of = "birthday" }
"""


def test_a_birthday_gift_is_open_in_its_month_and_one_a_year_stays_one_when_the_month_is_told_anew() -> None:
    member = shop(BIRTHDAY, "2025-08-01 10:00")
    assert member.claims("birthday") == "refused: not-open"
    member.tells("member.described", attributes={"birthday": "08-08"})
    assert member.claims("birthday", "2025-08-31 23:59") == "accepted"
    assert member.claims("birthday", "2025-09-01 00:00") == "refused: not-open"
    assert figures(member) == {"open": "month of birthday", "month": "08", "day": "2025-09-01"}
    member.tells("member.described", attributes={"birthday": "09-01"})
    assert member.claims("birthday") == "refused: quota-used"


@pytest.mark.parametrize("birthday", ["02-29", "02"])
def test_the_29th_of_february_and_a_month_alone_are_february(birthday: str) -> None:
    member = shop(BIRTHDAY, "2025-02-01 10:00")
    member.tells("member.described", attributes={"birthday": birthday})
    assert member.claims("birthday", "2025-02-28 10:00") == "accepted"
    assert member.claims("birthday", "2026-03-01 00:00") == "refused: not-open"


def test_a_gift_pack_is_open_from_the_5th_to_the_20th_both_included() -> None:
    member = shop('[benefits.pack]\nname = "礼包"\nquota = 1\nper = "month"\nopen = { days_of_month = [5, 20] }\n')
    assert member.claims("pack", "2025-03-04 23:59:59") == "refused: not-open"
    assert figures(member) == {"open": "days 5 to 20", "day": "2025-03-04"}
    assert member.claims("pack", "2025-03-05 00:00") == "accepted"
    assert member.claims("pack", "2025-03-20 23:59:59") == "refused: quota-used"
    assert member.claims("pack", "2025-03-21 00:00") == "refused: not-open"
    assert member.claims("pack", "2025-04-20 23:59:59") == "accepted"


def test_a_benefit_may_begin_and_end_at_an_instant() -> None:
    hours = "open = { from = 2025-03-11T18:00:00+08:00, until = 2025-03-13T00:00:00+08:00 }"
    member = shop(f'[benefits.day]\nname = "会员日"\n{hours}\n')
    assert member.claims("day", "2025-03-11 17:59:59") == "refused: not-open"
    assert member.shown["benefits"]["day"]["open"] is False
    assert member.claims("day", "2025-03-11 18:00") == "accepted"
    assert member.claims("day", "2025-03-12 23:59:59") == "accepted"
    assert member.claims("day", "2025-03-13 00:00") == "refused: not-open"
    assert figures(member) == {"open": "over"}


# -- what it costs and gives -------------------------------------------------------------------------------------------

CLEANING = """
[benefits.cleaning]
name = "家政保洁"
quota = 2
per = "year"
price = [
    { kind = "beans", points = 1_000, who = { tier = { level = { in = ["platinum"] } } } },
    { kind = "beans", points = 2_000 },
]
"""


def test_a_price_in_points_is_burned_at_the_claim_and_comes_back_with_it() -> None:
    member = shop(CLEANING)
    member.is_granted(1_999)
    assert member.claims("cleaning") == "refused: beans-short"
    assert figures(member) == {"asked": 2_000, "spendable": 1_999}
    assert left(member, "cleaning") == 2
    member.is_granted(101)
    assert member.claims("cleaning", claim="B1") == "accepted"
    assert (member.beans, left(member, "cleaning")) == (100, 1)
    assert member.gives_claim_back("B1") == "accepted"
    assert (member.beans, left(member, "cleaning")) == (2_100, 2)
    assert member.gives_claim_back("B1") == "ignored: already"
    assert member.gives_claim_back("B9") == "ignored: unknown-claim"


def test_the_first_price_that_holds_is_taken() -> None:
    member = shop(CLEANING)
    spends(member, 100_000)
    member.is_granted(1_000)
    assert member.claims("cleaning") == "accepted"
    assert member.beans == 0


def test_what_expired_meanwhile_is_given_back_and_expires_at_once() -> None:
    member = shop(CLEANING)
    member.is_granted(2_000, expires="2025-03-10 00:00")
    assert member.claims("cleaning", claim="B1") == "accepted"
    assert member.gives_claim_back("B1", "2025-03-11 10:00") == "accepted"
    assert (member.beans, member.purse.redeemed, member.purse.expired) == (0, 0, 2_000)


def test_no_price_that_holds_is_not_entitled() -> None:
    price = 'price = [{ kind = "beans", points = 1, who = { tier = { level = { in = ["black"] } } } }]\n'
    member = shop('[benefits.lounge]\nname = "贵宾厅"\n' + price)
    member.is_granted(5)
    assert member.claims("lounge") == "refused: not-entitled"


FIRST_PACK = """
[memberships.plus.benefits.first-pack]
name = "开卡礼包"
quota = { "plus.annual" = 1 }
gives = [{ kind = "beans", points = 1_000, days = 30 }]
"""


def test_a_claim_gives_points_that_end_as_the_book_says() -> None:
    member = shop(FIRST_PACK)
    member.buys("plus.annual")
    assert member.claims("first-pack", claim="B1") == "accepted"
    assert member.beans == 1_000
    (lot,) = member.shown["points"]["beans"]["lots"]
    assert (lot["rule"], lot["expires_at"]) == ("benefit.first-pack", "2025-03-31T10:00:00+08:00")
    member.redeems(300)
    assert member.gives_claim_back("B1") == "accepted"
    assert (member.beans, member.debt) == (0, 300)
    assert member.claims("first-pack") == "accepted"


def test_an_adjustment_of_what_a_claim_gave_leaves_less_to_take_back_with_it() -> None:
    member = shop(FIRST_PACK)
    member.buys("plus.annual")
    member.claims("first-pack", claim="B1")
    member.is_granted(1_000)
    assert member.is_adjusted_of(-400, lot="2.1") == "accepted"
    assert member.beans == 1_600
    member.gives_claim_back("B1")
    assert (member.beans, member.debt) == (1_000, 0)


def test_a_gift_of_a_month_that_may_be_had_twice_is_warned_of() -> None:
    assert warnings(shop(BIRTHDAY).book.versions[0]) == []
    (warned,) = warnings(shop(BIRTHDAY.replace("year", "month")).book.versions[0])
    assert warned.startswith('benefits.birthday.per: is "month"')


def test_what_a_claim_gave_stays_when_the_card_is_refunded() -> None:
    member = shop(FIRST_PACK)
    member.buys("plus.annual", card="C1")
    member.claims("first-pack")
    member.refunds_card("C1")
    assert member.beans == 1_000


VIDEO = """
[memberships.plus.benefits.video]
name = "视频会员"
quota = 1
gives = [{ opens = "video.year" }]
"""


def test_a_claim_opens_a_card_of_another_membership_which_outlives_the_one_that_opened_it() -> None:
    member = shop(VIDEO)
    member.buys("plus.month", card="C1")
    assert member.claims("video") == "accepted"
    member.refunds_card("C1", "2025-03-05 10:00")
    video = member.on("2026-02-28 10:00").shown["memberships"]["video"]
    assert (video["state"], video["from"], video["until"]) == (
        "active",
        "2025-03-01T10:00:00+08:00",
        "2026-03-01T10:00:00+08:00",
    )


def test_a_card_that_is_opened_lies_behind_those_there_are_and_goes_with_the_claim() -> None:
    member = shop(VIDEO)
    member.buys("video.month", card="V1")
    member.buys("plus.month")
    assert member.claims("video", claim="B1") == "accepted"
    member.buys("video.month", card="V2")
    assert [(term.card, term.product) for term in member.account.terms["video"]] == [
        ("V1", "video.month"),
        ("claim/B1", "video.year"),
        ("V2", "video.month"),
    ]
    assert member.gives_claim_back("B1", "2025-03-10 10:00") == "accepted"
    v1, v2 = member.account.terms["video"]
    assert (v1.card, v2.card, v2.start) == ("V1", "V2", v1.until)
    assert member.claims("video") == "accepted"


def test_a_card_that_runs_ends_where_its_claim_is_given_back_and_is_no_card_that_money_comes_back_for() -> None:
    member = shop(VIDEO)
    member.buys("plus.annual")
    member.claims("video", claim="B1")
    assert member.refunds_card("claim/B1") == "ignored: unknown-card"
    assert member.buys("video.month", card="claim/B1") == "ignored: already"
    member.gives_claim_back("B1", "2025-04-01 10:00")
    assert member.shown["memberships"]["video"]["state"] == "ended"
    assert member.shown["memberships"]["video"]["until"] == "2025-04-01T10:00:00+08:00"


SILVER = """
[benefits.silver]
name = "银卡"
who = { tier = { level = { in = ["platinum"] } } }
quota = 1
per = "year"
gives = [{ score = "partner", tier = "silver", days = 365 }]
"""


def partner(shop: Shop) -> str:
    return str(shop.shown["scores"]["partner"]["tier"])


def test_a_claim_grants_a_tier_that_is_lived_out_when_her_own_falls() -> None:
    member = shop(SILVER)
    spends(member, 100_000)
    assert member.claims("silver", "2025-03-02 10:00", claim="B1") == "accepted"
    assert partner(member) == "silver"
    member.returns("S0", [("1", 1, 100_000)], "2025-03-03 10:00")
    assert member.claims("silver") == "refused: not-entitled"
    assert partner(member.on("2026-03-02 09:59")) == "silver"
    assert partner(member.on("2026-03-02 10:00")) == ""


def test_a_granted_tier_ends_with_its_claim_or_is_withdrawn_alone() -> None:
    member = shop(SILVER)
    spends(member, 100_000)
    member.claims("silver", claim="B1")
    assert member.tells("tier.withdrawn", source="/operators", grant="claim/B1") == "accepted"
    assert partner(member) == ""
    assert member.gives_claim_back("B1") == "accepted"
    assert member.claims("silver", claim="B2") == "accepted"
    assert partner(member) == "silver"
    member.gives_claim_back("B2")
    assert partner(member) == ""


def test_price_quota_and_gifts_are_one_decision() -> None:
    swap = """
[benefits.swap]
name = "换"
quota = 1
per = "ever"
price = [{ kind = "beans", points = 100 }]
gives = [{ opens = "video.month" }, { kind = "beans", points = 10 }, { score = "partner", tier = "gold", days = 10 }]
"""
    member = shop(swap)
    member.is_granted(99)
    assert member.claims("swap") == "refused: beans-short"
    assert (member.beans, member.account.terms, partner(member)) == (99, {}, "")
    member.is_granted(1)
    assert member.claims("swap", claim="B1") == "accepted"
    assert (member.beans, partner(member)) == (10, "gold")
    assert member.shown["memberships"]["video"]["state"] == "active"
    member.gives_claim_back("B1")
    assert (member.beans, partner(member), member.shown["memberships"]["video"]["state"]) == (100, "", "ended")


def test_a_rule_on_claims_gives_and_its_points_go_with_the_claim() -> None:
    rule = """
[benefits.check]
name = "打卡"
[[award]]
rule = "claim.beans"
name = "领取返豆"
on = "benefit.claimed"
kind = "beans"
when = { benefit = { in = ["check"] } }
give = { points = 7 }
"""
    member = shop(rule)
    member.claims("check", claim="B1")
    assert member.beans == 7
    member.gives_claim_back("B1")
    assert member.beans == 0


def test_a_cancelled_order_gives_back_a_claim_with_all_that_it_cost_and_gave() -> None:
    freight = """
[benefits.freight]
name = "运费"
quota = 1
per = "month"
returns_with_order = true
price = [{ kind = "beans", points = 50 }]
"""
    member = shop(freight)
    member.is_granted(60)
    member.pays("O1", [("books", 1, 10_000)])
    assert member.claims("freight", order="O1") == "accepted"
    assert (member.beans, left(member, "freight")) == (10, 0)
    member.cancels("O1")
    assert (member.beans, left(member, "freight")) == (60, 1)
    assert member.claims("freight", order="O1") == "refused: order-ended"


# -- the order of checks -----------------------------------------------------------------------------------------------


def test_the_checks_of_a_claim_stand_in_the_contracts_order() -> None:
    strict = """
[memberships.plus.benefits.strict]
name = "严"
quota = { "plus.annual" = 1 }
who = { attribute = { kind = { in = ["person"] } } }
open = { from = 2025-05-01 }
price = [{ kind = "beans", points = 5 }]
returns_with_order = true
"""
    member = shop(strict)
    said: list[str] = []

    def asks(at: str = "", **more: str) -> None:
        said.append(member.claims("strict", at, **more))

    member.pays("O1", [("books", 1, 10_000)])
    member.cancels("O1")
    asks(order="O1")
    asks()
    member.buys("plus.month")
    asks()
    member.buys("plus.annual", "2025-04-10 10:00")
    asks()
    member.tells("member.described", attributes={"kind": "person"})
    asks()
    asks("2025-05-01 00:00")
    member.is_granted(10)
    asks(claim="B9")
    asks()
    asks(claim="B9")
    assert said == [
        "refused: order-ended",
        "refused: no-membership",
        "refused: not-in-card",
        "refused: not-entitled",
        "refused: not-open",
        "refused: beans-short",
        "accepted",
        "refused: quota-used",
        "ignored: already",
    ]


# -- rights of an order's line -----------------------------------------------------------------------------------------

EXCHANGE_180 = """
[memberships.plus.benefits.exchange-180]
name = "180天只换不修"
of = "line"
days = 180
quota = 1
per = "line"
when = { self_operated = { in = [true] }, category = { in = ["phone", "computer"] } }
"""


def test_a_line_gets_its_right_at_completion_and_keeps_it_when_the_card_has_ended() -> None:
    member = shop(EXCHANGE_180)
    member.buys("plus.month")
    member.completes("O1", [("computer", 1, 500_000), ("books", 1, 5_000)], "2025-03-10 12:00")
    (given,) = [change for change in member.last.changes if isinstance(change, RightGiven)]
    assert (given.line, given.order) == ("1", "O1")
    assert member.claims("exchange-180", order="O1", line="2") == "refused: no-right"
    assert member.claims("exchange-180", order="O1", line="9") == "refused: line-not-completed"
    assert member.claims("exchange-180", order="O9", line="1") == "refused: line-not-completed"
    assert member.claims("exchange-180", "2025-09-06 11:59:59", order="O1", line="1") == "accepted"
    assert member.claims("exchange-180", order="O1", line="1") == "refused: quota-used"
    assert figures(member) == {"benefit": "exchange-180", "quota": 1, "used": 1}
    assert member.claims("exchange-180", "2025-09-06 12:00", order="O1", line="1") == "refused: right-over"


def test_a_line_completed_without_the_card_or_before_the_version_has_no_right() -> None:
    member = Shop(BOOK, now="2025-03-01 10:00")
    member.buys("plus.annual")
    member.completes("O1", [("computer", 1, 500_000)])
    member.book.add(BOOK.replace("from = 2025-01-01\nutc", "from = 2025-04-01\nutc") + EXCHANGE_180)
    assert member.claims("exchange-180", "2025-04-02 10:00", order="O1", line="1") == "refused: no-right"
    member.completes("O2", [("computer", 1, 500_000)])
    assert member.claims("exchange-180", order="O2", line="1") == "accepted"
    bare = shop(EXCHANGE_180)
    bare.completes("O1", [("computer", 1, 500_000)])
    bare.buys("plus.annual")
    assert bare.claims("exchange-180", order="O1", line="1") == "refused: no-right"


def test_a_line_that_came_back_whole_has_no_right_and_a_claim_given_back_may_come_again() -> None:
    member = shop(EXCHANGE_180)
    member.buys("plus.annual")
    member.completes("O1", [("computer", 2, 500_000)])
    member.claims("exchange-180", claim="B1", order="O1", line="1")
    assert member.gives_claim_back("B1") == "accepted"
    member.returns("O1", [("1", 1, 250_000)])
    assert member.claims("exchange-180", order="O1", line="1") == "accepted"
    member.returns("O1", [("1", 1, 250_000)])
    assert [type(change) for change in member.last.changes if isinstance(change, RightEnded)] == [RightEnded]
    assert member.claims("exchange-180", order="O1", line="1") == "refused: line-returned"
    member.returns("O1", [("1", 1, 0)])
    assert not any(isinstance(change, RightEnded) for change in member.last.changes)


def test_a_card_is_used_by_a_lines_right_until_that_line_comes_back_whole() -> None:
    book = BOOK.replace('"plus.annual" = { days = 365 }', '"plus.annual" = { days = 365, refund = { unused = true } }')
    member = Shop(book + EXCHANGE_180, now="2025-03-01 10:00")
    member.buys("plus.annual", card="C1")
    member.completes("O1", [("computer", 1, 500_000)])
    assert member.account.terms["plus"][0].rights == 1
    other = Shop(book + EXCHANGE_180, now="2025-03-01 10:00")
    for entry in member.entries:
        other.hears(json.loads(entry.fact))
    assert member.refunds_card("C1", refund_fen=9_900) == "accepted: refund-not-due"
    other.returns("O1", [("1", 1, 500_000)])
    assert other.refunds_card("C1", refund_fen=9_900) == "accepted"


def test_a_right_judged_at_the_claim_asks_the_member_then() -> None:
    at_claim = EXCHANGE_180 + 'at = "claim"\n'
    member = shop(at_claim)
    member.completes("O1", [("computer", 1, 500_000), ("books", 1, 5_000)])
    assert member.claims("exchange-180", order="O1", line="1") == "refused: no-membership"
    member.buys("plus.month")
    assert member.claims("exchange-180", order="O1", line="2") == "refused: no-right"
    assert member.claims("exchange-180", order="O1", line="1") == "accepted"
    assert member.claims("exchange-180", order="O1", line="1") == "refused: quota-used"
    assert member.claims("exchange-180", "2025-04-15 10:00", order="O1", line="1") == "refused: no-membership"


def test_a_right_judged_at_the_claim_knows_the_tags_of_its_line_too() -> None:
    """It knew those of the order alone: a line with a tag of its own never had the right."""
    of_tag = """
[benefits.repair]
name = "以换代修"
of = "line"
at = "claim"
when = { tags = { has = "own" } }
"""
    member = shop(of_tag)
    lines = [{"line": str(n), "quantity": 1, "paid_fen": 9_900, "tags": tags} for n, tags in ((1, ["own"]), (2, []))]
    member.completes("O1", lines, "2025-03-01 10:00")
    assert member.claims("repair", order="O1", line="1") == "accepted"
    assert member.claims("repair", order="O1", line="2") == "refused: no-right"
    member.amends("O1", [line | {"tags": ["own"] if line["line"] == "2" else []} for line in lines], "2025-03-02 10:00")
    assert member.claims("repair", order="O1", line="1") == "refused: no-right", "as the amendment has it"
    assert member.claims("repair", order="O1", line="2") == "accepted"
    member.completes("O2", [("books", 1, 100)], "2025-03-03 10:00", tags=["own"])
    assert member.claims("repair", order="O2", line="1") == "accepted", "the order's tags are every line's"


def test_a_right_of_who_alone_is_judged_before_the_orders_own_changes() -> None:
    of_tier = """
[benefits.care]
name = "延保"
of = "line"
who = { tier = { level = { in = ["platinum"] } } }
"""
    member = shop(of_tier)
    member.completes("O1", [("computer", 1, 100_000)])
    assert member.claims("care", order="O1", line="1") == "refused: no-right"
    member.completes("O2", [("computer", 1, 100)])
    assert member.claims("care", "2029-01-01 10:00", order="O2", line="1") == "accepted"
    assert member.shown["benefits"] == {}


# -- cards that a rule opens -------------------------------------------------------------------------------------------


def test_a_card_that_is_bought_opens_another_without_a_claim() -> None:
    rule = """
[[award]]
rule = "plus.video"
name = "开卡即送"
on = "card.purchased"
when = { product = { in = ["plus.annual"] } }
opens = "video.month"
once = true
"""
    member = shop(rule)
    member.buys("plus.month")
    assert "video" not in member.account.terms
    member.buys("plus.annual")
    (term,) = member.account.terms["video"]
    assert (term.product, term.start) == ("video.month", member.account.clock)
    member.buys("plus.annual")
    assert len(member.account.terms["video"]) == 1


def test_a_tier_that_is_reached_opens_a_card() -> None:
    rule = """
[[award]]
rule = "level.video"
name = "升级送"
on = "tier.reached"
when = { score = { in = ["level"] } }
opens = "video.month"
"""
    member = shop(rule)
    spends(member, 200_000)
    first, second = member.account.terms["video"]
    assert first.card != second.card and second.start == first.until


# -- bad books ---------------------------------------------------------------------------------------------------------

ALONE = '[benefits.x]\nname = "x"\n'


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (ALONE + 'quota = { "plus.annual" = 1 }\nper = "month"', "benefits.x.quota: is by product"),
        (ALONE + "quota = 1", 'benefits.x.per: "term" is of a card'),
        (ALONE + 'quota = 1\nper = "days"', 'benefits.x.days: per = "days" needs them'),
        (ALONE + "days = 5", 'benefits.x.days: needs of = "line" or per = "days"'),
        (ALONE + 'when = { category = { in = ["a"] } }', 'benefits.x.when: needs of = "line"'),
        (ALONE + 'quota = 1\nper = "line"', 'benefits.x.per: "line" needs of = "line"'),
        (ALONE + 'of = "line"\nquota = 1\nper = "year"', 'benefits.x.per: is "year"'),
        (ALONE + 'of = "line"\nwho = { score = { level = { at_least = 1 } } }', "benefits.x.who.score.level: an award"),
        (
            ALONE + 'who = { tier = { level = { in = ["tin"] } } }',
            "benefits.x.who.tier.level: scores.level.tiers has no",
        ),
        (ALONE + 'quota = [{ times = 1 }, { times = 2 }]\nper = "day"', "benefits.x.quota[1]: is never reached"),
        (
            ALONE + 'price = [{ kind = "beans", points = 1 }, { kind = "beans", points = 2 }]',
            "benefits.x.price[1]: is never reached: price[0] stands before it",
        ),
        (ALONE + 'price = [{ kind = "gold", points = 1 }]', "benefits.x.price[0].kind: there is no [kinds.gold]"),
        (ALONE + 'open = { month_of = "kind" }', "benefits.x.open.month_of: there is no [attributes.kind] of type"),
        (ALONE + "open = { days_of_month = [20, 5] }", "benefits.x.open.days_of_month: the first day is behind"),
        (ALONE + 'gives = [{ opens = "nothing" }]', 'benefits.x.gives[0].opens: there is no product "nothing"'),
        (ALONE + 'gives = [{ kind = "beans" }]', "benefits.x.gives[0].points: is wanted"),
        (
            ALONE + 'gives = [{ score = "partner", tier = "tin", days = 1 }]',
            "benefits.x.gives[0].tier: scores.partner has no",
        ),
        (ALONE + 'gives = [{ score = "partner", tier = "gold" }]', "benefits.x.gives[0].days: a tier is given"),
        (ALONE + "saves = { }", "benefits.x.saves: give either fen or share"),
        (
            ALONE + '[memberships.plus.benefits.x]\nname = "x"',
            "memberships.plus.benefits.x: stands in benefits, too",
        ),
        (
            '[memberships.plus.benefits.a]\nname = "a"\ngives = [{ opens = "video.year" }]\n'
            '[memberships.video.benefits.b]\nname = "b"\ngives = [{ opens = "plus.month" }]',
            "opens may not go in a circle",
        ),
        (
            ALONE + 'who = { card = { plus = { active = true } } }\ngives = [{ opens = "plus.month" }]',
            "benefits.x.gives: opens memberships.plus again",
        ),
        (
            '[[award]]\nrule = "o"\nname = "o"\non = "card.purchased"\nopens = "video.year"\nkind = "beans"',
            ".kind: is for points; opens gives a card",
        ),
    ],
)
def test_a_book_that_says_what_cannot_be_is_refused_with_its_table_and_key(more: str, said: str) -> None:
    with pytest.raises(BadProgramme) as refused:
        Programme([BOOK + more])
    assert said in str(refused.value)


def test_an_unreachable_price_of_a_card_is_refused_and_one_of_an_earlier_time_is_not() -> None:
    price = '"plus.annual" = { days = 365, price = [{ from = 2025-02-01, fen = 9_900 }, { %s }] }'
    with pytest.raises(BadProgramme, match=r"products.plus.annual.price\[1\]: is never reached"):
        Programme([BOOK.replace('"plus.annual" = { days = 365 }', price % "from = 2025-03-01, fen = 1")])
    Programme([BOOK.replace('"plus.annual" = { days = 365 }', price % "fen = 7_900")])


# -- what is kept for each shop ----------------------------------------------------------------------------------------

AT_SHOPS = """
[scores.stars]
name = "星级"
each = "shop"
settle = "at-once"
window = "life"
parts = { purchase = "消费" }
tiers = [{ at_least = 100, name = "2-star" }]

[kinds.shop-points]
name = "店铺积分"
each = "shop"
expiry = [{ from = 2025-01-01, days = 365 }]

[[award]]
rule = "stars.purchase"
name = "消费"
on = "order.completed"
each = "line"
score = "stars"
part = "purchase"
give = { points = 1, per_fen = 100 }

[benefits.tea]
name = "茶"
who = { tier = { stars = { in = ["2-star"] } } }
quota = 1
per = "month"
gives = [{ kind = "shop-points", points = 5 }]
"""


def test_a_benefit_that_asks_a_shops_score_has_a_quota_in_each_shop() -> None:
    member = shop(AT_SHOPS)
    for name in ("shop-a", "shop-b"):
        member.completes(f"O-{name}", [("tea", 1, 10_000)], shop=name)
    assert member.claims("tea") == "refused: not-entitled"
    assert member.claims("tea", shop="shop-c") == "refused: not-entitled"
    assert member.claims("tea", claim="B1", shop="shop-a") == "accepted"
    assert member.claims("tea", shop="shop-a") == "refused: quota-used"
    assert member.claims("tea", shop="shop-b") == "accepted"
    assert member.account.purse("shop-points@shop-a").spendable() == 5
    assert member.account.counts.get(2025 * 12 + 2, {}).get("benefit/tea") is None
    member.gives_claim_back("B1")
    assert member.account.purse("shop-points@shop-a").spendable() == 0
    assert member.claims("tea", shop="shop-a") == "accepted"
