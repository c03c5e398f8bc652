"""Worked examples of points that are claimed, and of points of one kind that become points of another.

How to read them: test_worked_examples.py.
"""

import pytest

from ledger.rulebook.checks import parse_programme
from ledger.rulebook.schema import BadProgramme
from tests.support.shop import OPERATORS, Shop, moment

BOOK = """
programme = "corner"
name = "街角"
from = 2017-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2017-01-01, end_of_year_after = 1 }]

[kinds.coins]
name = "币"
expiry = [{ from = 2017-01-01, days = 365 }]

[kinds.miles]
name = "里程"
expiry = [{ from = 2017-01-01, idle_days = 30 }]

[attributes.region]
name = "地区"

[exchanges.brand]
name = "通兑"
takes = "beans"
gives = "coins"
rate = [
    { from = 2026-01-01, take = 100, give = 20 },
    { from = 2017-01-01, take = 100, give = 11, who = { attribute = { region = { in = ["north"] } } } },
    { from = 2017-09-14, take = 100, give = 10 },
]
cap = [{ per = "month", points = 1_000 }]

[exchanges.fly]
name = "换里程"
takes = "miles"
gives = "coins"
rate = [{ from = 2017-01-01, take = 1, give = 1 }]
"""

CLAIMED = """
[[award]]
rule = "riddle"
name = "灯谜"
on = "order.completed"
each = "line"
kind = "beans"
pending = { claim_days = 30 }
give = { points = 1, per_fen = 100 }
"""


def exchanges(shop: Shop, points: int, request: str, exchange: str = "brand", at: str = "") -> str:
    return shop._tell("exchange.requested", at, {"request": request, "exchange": exchange, "points": points})


def undoes(shop: Shop, request: str, at: str = "") -> str:
    return shop._tell("exchange.reversed", at, {"request": request})


def coins(shop: Shop, at: str) -> list[tuple[int, str]]:
    return [(lot["left"], lot["expires_at"][:10]) for lot in shop.on(at).shown["points"]["coins"]["lots"]]


def shop_with(*lots: tuple[int, str], now: str = "2025-11-11 10:00") -> Shop:
    shop = Shop(BOOK, now=now)
    for points, expires in lots:
        shop.is_granted(points, expires=expires)
    return shop


# -- exchanges -------------------------------------------------------------------------------------------------------


def test_points_of_one_kind_become_points_of_another_in_one_entry() -> None:
    shop = shop_with((1_000, "2027-01-01"))
    assert exchanges(shop, 500, "X1") == "accepted"
    assert (shop.beans, coins(shop, "2025-11-12")) == (500, [(50, "2026-11-11")])


def test_what_is_given_ends_with_the_shorter_life_of_the_two() -> None:
    shop = shop_with((100, "2025-12-01"), (100, "2026-10-01"), (100, "2027-01-01"))
    exchanges(shop, 300, "X1")
    assert coins(shop, "2025-11-12") == [(10, "2025-12-01"), (10, "2026-10-01"), (10, "2026-11-11")]


def test_the_points_are_shared_out_by_largest_remainder_and_a_share_of_none_opens_no_lot() -> None:
    shop = shop_with((50, "2025-12-01"), (50, "2025-12-02"), (1, "2025-12-03"), (199, "2025-12-04"))
    exchanges(shop, 300, "X1")
    assert coins(shop, "2025-11-12") == [(5, "2025-12-01"), (5, "2025-12-02"), (20, "2025-12-04")]
    shop = shop_with((15, "2025-12-01"), (15, "2025-12-02"), (70, "2025-12-03"))
    exchanges(shop, 100, "X1")
    assert coins(shop, "2025-11-12") == [(2, "2025-12-01"), (1, "2025-12-02"), (7, "2025-12-03")], "1.5 and 1.5 tie"


def test_a_lot_of_an_idle_kind_ends_with_its_purse_as_it_stands_after_the_spending() -> None:
    shop = Shop(BOOK)
    data = {"grant": "G1", "campaign": "c", "kind": "miles", "points": 100}
    shop._tell("campaign.granted", "2025-11-01", data)
    exchanges(shop, 60, "X1", "fly", at="2025-11-11")
    assert coins(shop, "2025-11-12") == [(60, "2025-12-11")]


def test_debt_of_the_given_kind_is_repaid_first() -> None:
    shop = shop_with((1_000, "2027-01-01"))
    data = {"adjustment": "J1", "kind": "coins", "points": -30, "reason": "x", "by": "a", "approved_by": "b"}
    shop._tell("points.adjusted", "", data, source=OPERATORS)
    exchanges(shop, 500, "X1")
    assert (shop.account.purse("coins").debt, coins(shop, "2025-11-12")) == (0, [(20, "2026-11-11")])


def test_the_first_rate_that_has_begun_and_is_hers_is_taken() -> None:
    shop = shop_with((1_000, "2027-01-01"))
    shop._tell("member.described", "", {"attributes": {"region": "north"}})
    exchanges(shop, 100, "X1")
    assert coins(shop, "2025-11-12") == [(11, "2026-11-11")]
    exchanges(shop, 100, "X2", at="2026-01-01")
    assert coins(shop, "2026-01-02") == [(11, "2026-11-11"), (20, "2027-01-01")]


@pytest.mark.parametrize(
    ("points", "exchange", "at", "answer"),
    [
        (100, "nose", "", "refused: unknown-exchange"),
        (150, "brand", "", "refused: not-a-multiple"),
        (1_100, "brand", "", "refused: cap-full"),
        (900, "brand", "", "refused: beans-short"),
        (100, "brand", "2017-03-01", "refused: not-entitled"),
    ],
)
def test_an_exchange_that_breaks_a_bound_is_refused_whole(points: int, exchange: str, at: str, answer: str) -> None:
    shop = shop_with((800, "2027-01-01"), now="2017-02-01") if at else shop_with((800, "2027-01-01"))
    assert exchanges(shop, points, "X1", exchange, at=at) == answer
    assert shop.beans == 800
    assert exchanges(shop, 100, "X1", at="2025-11-12") == "accepted", "what was refused may be asked again"
    assert exchanges(shop, 100, "X1") == "ignored: already"


def test_the_cap_counts_what_was_taken_in_the_month_and_what_is_undone_makes_no_room() -> None:
    shop = shop_with((5_000, "2027-01-01"))
    exchanges(shop, 900, "X1")
    undoes(shop, "X1")
    assert exchanges(shop, 200, "X2") == "refused: cap-full"
    assert exchanges(shop, 200, "X2", at="2025-12-01") == "accepted"


def test_a_frozen_account_exchanges_nothing() -> None:
    shop = shop_with((800, "2027-01-01"))
    shop.is_frozen()
    assert exchanges(shop, 100, "X1") == "refused: account-frozen"


def test_an_exchange_is_undone_while_all_that_it_gave_is_there() -> None:
    shop = shop_with((100, "2025-12-01"), (100, "2026-10-01"))
    exchanges(shop, 200, "X1")
    assert undoes(shop, "X1") == "accepted"
    assert (shop.lots, coins(shop, "2025-11-12")) == ([100, 100], [])
    assert undoes(shop, "X1") == "ignored: already"
    assert undoes(shop, "X9") == "ignored: unknown-exchange"
    purse = shop.account.purse("coins")
    assert (purse.issued, purse.clawed_back, shop.purse.redeemed) == (20, 20, 0)


def test_an_exchange_of_which_something_was_spent_or_ended_stays() -> None:
    shop = shop_with((100, "2025-12-01"), (100, "2026-10-01"))
    exchanges(shop, 200, "X1")
    assert undoes(shop, "X1", at="2025-12-01") == "ignored: given-spent"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('gives = "coins"', 'gives = "nose"', r"exchanges\.brand\.gives: there is no \[kinds\.nose\]"),
        ('gives = "coins"', 'gives = "beans"', r"exchanges\.brand\.gives: is the kind that it takes"),
        ('per = "month"', 'per = "order"', r'exchanges\.brand\.cap: per = "order" is for uses'),
        ("take = 100", "take = 0", r"exchanges\.brand\.rate\[0\]\.take"),
        ("region = { in", "size = { in", r"exchanges\.brand\.rate\[1\]\.who\.attribute\.size"),
    ],
)
def test_a_bad_exchange_is_refused_with_the_table_and_key(old: str, new: str, said: str) -> None:
    with pytest.raises(BadProgramme, match=said):
        parse_programme(BOOK.replace(old, new, 1))


# -- points that wait to be claimed ----------------------------------------------------------------------------------


def claims(shop: Shop, of: dict[str, str], at: str = "") -> str:
    return shop._tell("points.claimed", at, {"of": of})


def test_points_are_spendable_once_they_are_claimed_by_their_line_or_their_lot() -> None:
    for of in ({"order": "O1", "line": "1"}, {"lot": "1.1"}):
        shop = Shop(BOOK + CLAIMED, now="2025-03-01 10:00")
        shop.completes("O1", [("food", 1, 10_000), ("food", 1, 5_000)])
        assert (shop.beans, shop.pending) == (0, 150)
        assert claims(shop, of, at="2025-03-31 09:59:59") == "accepted"
        assert (shop.beans, shop.pending) == (100, 50)
        assert claims(shop, of) == "ignored: already"
        assert shop.on("2025-04-01").purse.expired == 50


def test_what_has_lapsed_is_not_claimed_and_what_waits_for_nothing_is_no_such_award() -> None:
    shop = Shop(BOOK + CLAIMED, now="2025-03-01 10:00")
    shop.completes("O1", [("food", 1, 10_000)])
    shop.is_granted(5, grant="G1")
    assert claims(shop, {"order": "O1", "line": "1"}, at="2025-03-31 10:00") == "ignored: lapsed"
    assert claims(shop, {"grant": "G1"}) == "ignored: unknown-award"
    assert claims(shop, {"order": "O1", "line": "9"}) == "ignored: unknown-award"
    assert claims(shop, {"lot": "9.1"}) == "ignored: unknown-award"


def test_a_claim_after_a_part_was_returned_is_of_what_is_left() -> None:
    shop = Shop(BOOK + CLAIMED, now="2025-03-01 10:00")
    shop.completes("O1", [("food", 1, 10_000)])
    shop.returns("O1", [("1", 0, 4_000)])
    claims(shop, {"order": "O1", "line": "1"})
    assert shop.beans == 60
    shop.returns("O1", [("1", 1, 0)])
    assert (shop.beans, shop.debt) == (0, 0)
    assert moment("2025-03-01 10:00") == shop.now
