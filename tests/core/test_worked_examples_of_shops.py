"""Worked examples of points and scores that are kept for each shop.

How to read them: test_worked_examples.py. The book is the draft of 京东企业店铺会员.
"""

from typing import Any

import pytest

from ledger.core.draft import MAX_SHOPS
from ledger.rulebook.checks import misfits, parse_programme
from ledger.rulebook.schema import BadProgramme
from ledger.wire.entries import Withheld
from tests.support.shop import OPERATORS, Shop

BOOK = """
programme = "enterprise-shop"
name = "企业店铺"
from = 2024-01-01
utc_offset = "+08:00"
default_kind = "shop-points"

[kinds.shop-points]
name = "店铺积分"
each = "shop"
expiry = [{ from = 2024-01-01, days = 730 }]

[scores.stars]
name = "店铺星级"
each = "shop"
joined = true
window = "life"
settle = "at-once"
parts = { purchase = "消费" }
tiers = [
    { at_least = 0, name = "1-star" }, { at_least = 35_000, name = "2-star" }, { at_least = 100_000, name = "3-star" },
    { at_least = 200_000, name = "4-star" }, { at_least = 600_000, name = "5-star" },
]

[[award]]
rule = "stars.purchase"
name = "消费"
on = "order.completed"
each = "line"
score = "stars"
part = "purchase"
give = { points = 1, per_fen = 100 }

[[award]]
rule = "shop-points.purchase"
name = "店铺积分"
on = "order.completed"
each = "line"
kind = "shop-points"
who = { tier = { stars = { in = ["1-star", "2-star", "3-star", "4-star", "5-star"] } } }
give = { points = 1, per_fen = 100 }
times = [{ who = { tier = { stars = { in = ["5-star"] } } }, by = "3/2" }]

[uses.at-shop]
name = "抵现"
kinds = ["shop-points"]
"""


def member(now: str = "2024-01-05 10:00", **more: str) -> Shop:
    shop = Shop(BOOK, now=now)
    assert joins(shop, "shop-a") == "accepted"
    return shop


def joins(shop: Shop, name: str, at: str = "") -> str:
    return shop._tell("member.joined", at, {"shop": name})


def stars(shop: Shop, name: str = "shop-a") -> tuple[int, str] | None:
    score = shop.shown["scores"].get(f"stars@{name}")
    return (score["value"], score["tier"]) if score else None


def points(shop: Shop, name: str = "shop-a") -> int:
    return shop.account.purse(f"shop-points@{name}").spendable()


def test_the_second_star_begins_at_the_instant_at_which_its_points_are_there() -> None:
    shop = member()
    assert stars(shop) == (0, "1-star")
    shop.completes("O1", [("", 1, 3_499_999)], at="2024-01-06 10:00", shop="shop-a")
    assert (stars(shop), points(shop)) == ((34_999, "1-star"), 34_999)
    shop.completes("O2", [("", 1, 100)], at="2024-01-06 12:00", shop="shop-a")
    assert (stars(shop), points(shop)) == ((35_000, "2-star"), 35_000)


def test_a_return_takes_out_of_the_shop_that_gave() -> None:
    shop = member()
    shop.completes("O1", [("", 1, 3_499_999)], shop="shop-a")
    shop.completes("O2", [("", 1, 100)], shop="shop-a")
    shop.returns("O1", [("1", 1, 3_499_999)])
    assert (stars(shop), points(shop)) == ((1, "1-star"), 1)


def test_nothing_counts_before_the_member_joined_nor_afterwards() -> None:
    shop = member()
    shop.completes("O1", [("", 1, 1_000_000)], shop="shop-b")
    why = [(change.rule, change.why) for change in shop.entries[-1].changes if isinstance(change, Withheld)]
    assert why == [("stars.purchase", "not-joined"), ("shop-points.purchase", "not-entitled")]
    assert (stars(shop, "shop-b"), points(shop, "shop-b")) == (None, 0)
    joins(shop, "shop-b", at="2024-01-06 10:00")
    assert (stars(shop, "shop-b"), points(shop, "shop-b")) == ((0, "1-star"), 0)
    assert joins(shop, "shop-b") == "ignored: already"


def test_nothing_ages_and_the_points_end() -> None:
    shop = member()
    shop.completes("O1", [("", 1, 3_500_000)], at="2024-01-06 10:00", shop="shop-a")
    later = shop.on("2034-01-01")
    assert (stars(later), points(later)) == ((35_000, "2-star"), 0)
    assert points(shop.on("2026-01-05 09:59:59")) == 35_000
    assert points(shop.on("2026-01-05 10:00")) == 0, "730 days later"


def test_the_line_that_reaches_five_stars_earned_at_the_old_rate() -> None:
    shop = member()
    shop.completes("O1", [("", 1, 60_000_000)], shop="shop-a")
    assert (stars(shop), points(shop)) == ((600_000, "5-star"), 600_000)
    shop.completes("O2", [("", 1, 10_000)], shop="shop-a")
    assert (stars(shop), points(shop)) == ((600_100, "5-star"), 600_150)


def test_an_account_has_no_score_of_a_shop_in_it() -> None:
    shop = member()
    shop.completes("O1", [("", 1, 3_500_000)], shop="shop-a")
    assert (shop.account.sums, shop.account.tiers) == ({}, {})


def test_points_are_spent_and_owed_only_where_they_were_earned() -> None:
    shop = member()
    joins(shop, "shop-b")
    shop.completes("O1", [("", 1, 10_000)], shop="shop-a")
    shop.completes("O2", [("", 1, 20_000)], shop="shop-b")
    ask = {"points": 150, "use": "at-shop"}
    assert shop._tell("redemption.requested", "", {"redemption": "R1", **ask}) == "refused: shop-missing"
    short = shop._tell("redemption.requested", "", {"redemption": "R1", "shop": "shop-a", **ask})
    assert short == "refused: shop-points-short"
    assert shop._tell("redemption.requested", "", {"redemption": "R1", "shop": "shop-b", **ask}) == "accepted"
    assert (points(shop), points(shop, "shop-b")) == (100, 50)
    shop.returns("O2", [("1", 1, 20_000)])
    assert (points(shop), points(shop, "shop-b"), shop.account.purse("shop-points@shop-b").debt) == (100, 0, 150)
    shop.gives_back("R1")
    assert (points(shop, "shop-b"), shop.account.purse("shop-points@shop-b").debt) == (0, 0)


def _facts() -> list[tuple[str, dict[str, Any]]]:
    by_hand = {"adjustment": "J1", "points": 5, "reason": "x", "by": "a", "approved_by": "b"}
    lot = {"lot": "L1", "points": 5, "earned_at": "2024-01-01T00:00:00Z", "expires_at": "2025-01-01T00:00:00Z"}
    return [
        ("campaign.granted", {"grant": "G1", "campaign": "c", "points": 5}),
        ("points.adjusted", by_hand),
        ("lot.opened", lot),
    ]


@pytest.mark.parametrize(("fact", "data"), _facts(), ids=[fact for fact, _ in _facts()])
def test_what_gives_points_by_itself_names_the_shop(fact: str, data: dict[str, Any]) -> None:
    shop = member()
    source = "/shop" if fact == "campaign.granted" else OPERATORS
    assert shop._tell(fact, "", data, source=source) == "ignored: shop-missing"
    assert shop._tell(fact, "", data | {"shop": "shop-a"}, source=source) == "accepted"
    assert points(shop) == 5, "the kind that is left out is the book's own"


def test_a_hold_is_of_one_shop() -> None:
    shop = member()
    shop.completes("O1", [("", 1, 10_000)], shop="shop-a")
    ask = {"hold": "H1", "points": 60, "until": "2024-02-01T00:00:00Z"}
    assert shop._tell("hold.requested", "", ask) == "refused: shop-missing"
    assert shop._tell("hold.requested", "", ask | {"shop": "shop-a"}) == "accepted"
    shop.captures("H1", 20)
    assert points(shop) == 80


def test_a_member_has_points_at_so_many_shops_and_no_more() -> None:
    shop = member()
    for number in range(MAX_SHOPS):
        grant = {"grant": f"G{number}", "campaign": "c", "points": 1, "shop": f"s{number}"}
        assert shop._tell("campaign.granted", "", grant) == "accepted"
    grant = {"grant": "G", "campaign": "c", "points": 1, "shop": "x"}
    assert shop._tell("campaign.granted", "", grant) == "accepted: too-many-shops"
    assert "shop-points@x" not in shop.account.purses
    shop.completes("O1", [("", 1, 10_000)], shop="shop-a")
    assert shop.entries[-1].reason == "too-many-shops" and stars(shop) == (100, "1-star")


def test_another_book_has_a_kind_of_its_own_for_facts_that_name_none() -> None:
    book = BOOK.replace('each = "shop"\nexpiry', "expiry").replace("default_kind", "default_kind", 1)
    shop = Shop(book, now="2024-01-05 10:00")
    shop._tell("campaign.granted", "", {"grant": "G1", "campaign": "c", "points": 5})
    shop._tell("campaign.granted", "", {"grant": "G2", "campaign": "c", "points": 5, "kind": "shop-points"})
    assert shop.account.purse("shop-points").spendable() == 10
    assert shop.redeems(7, "at-shop") == "accepted"
    assert shop.redeems(7, "at-shop") == "refused: shop-points-short"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('settle = "at-once"', 'settle = "daily"', r"scores\.stars"),
        ('window = "life"', "window_months = 12", r"scores\.stars"),
        ('each = "shop"\njoined', "joined", r"scores\.stars\.joined: needs each"),
        ('on = "order.completed"\neach = "line"\nscore', 'on = "item.shared"\nscore', r"item\.shared names no shop"),
        ('on = "order.completed"\neach = "line"\nkind', 'on = "review.posted"\nkind', r"review\.posted names no shop"),
        ('default_kind = "shop-points"', 'default_kind = "nose"', r"default_kind: there is no \[kinds\.nose\]"),
        (
            "[kinds.shop-points]",
            '[kinds.beans]\nname = "b"\nexpiry = [{ from = 2024-01-01, days = 1 }]\n[kinds.shop-points]',
            r"default_kind: facts that name no kind",
        ),
    ],
)
def test_a_bad_book_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(BadProgramme, match=said):
        parse_programme(BOOK.replace(old, new, 1))


def test_a_later_version_keeps_what_is_kept_for_each_shop() -> None:
    first = parse_programme(BOOK)
    later = parse_programme(BOOK.replace('each = "shop"\nexpiry', "expiry"))
    assert next(misfits(first, later)) == "kinds.shop-points.each: is None; this ledger keeps it shop"
