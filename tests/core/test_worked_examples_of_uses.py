"""Worked examples of what a use takes: several kinds in their order, bounds, and caps.

How to read them: test_worked_examples.py.
"""

import pytest

from tests.support.shop import Shop

BOOK = """
programme = "wallets"
name = "w"
from = 2025-01-01
utc_offset = "+08:00"
[kinds.free]
name = "f"
fen = 100
expiry = [{ from = 2025-01-01, days = 3650 }]
[kinds.paid]
name = "p"
fen = 10
expiry = [{ from = 2025-01-01, days = 30 }]
[uses.pay]
name = "o"
kinds = ["free", "paid"]
[uses.offset]
name = "o"
kinds = ["free", "paid"]
order = true
share = "1/2"
"""


def wallets(more: str = "") -> Shop:
    shop = Shop(BOOK + more, now="2025-05-01 12:00")
    shop.tells("campaign.granted", grant="A", campaign="w", points=50, kind="free")
    shop.tells("campaign.granted", grant="B", campaign="w", points=150, kind="paid")
    return shop


def left(shop: Shop) -> tuple[int, int]:
    return shop.account.purse("free").spendable(), shop.account.purse("paid").spendable()


def pays(shop: Shop, points: int, kind: str = "", use: str = "pay", **more: object) -> str:
    name = f"R{len(shop.entries)}"
    return shop.tells("redemption.requested", redemption=name, points=points, use=use, kind=kind, **more)


def test_a_request_of_no_kind_burns_the_kinds_in_their_order() -> None:
    shop = wallets()
    assert pays(shop, 80) == "accepted" and left(shop) == (0, 120)


def test_what_came_from_two_kinds_goes_back_to_both() -> None:
    shop = wallets()
    shop.tells("redemption.requested", redemption="R", points=80, use="pay", kind="")
    assert shop.gives_back("R", 40) == "accepted" and left(shop) == (10, 150), "the last taken first: 30 paid, 10 free"
    shop.gives_back("R")
    assert left(shop) == (50, 150)


def test_more_than_all_kinds_have_is_points_short() -> None:
    shop = wallets()
    assert pays(shop, 201) == "refused: points-short"
    assert shop.last.figures == {"asked": 201, "spendable": 200}
    assert pays(shop, 51, "free") == "refused: free-short"


def test_the_half_counts_the_worth_of_every_kind() -> None:
    """50 free are 5,000 fen, 30 paid are 300: 5,300 fen in all."""
    assert pays(wallets(), 80, use="offset", order="O", settlement_fen=10_600) == "accepted"
    assert pays(wallets(), 80, use="offset", order="O", settlement_fen=10_599) == "refused: above-share"
    shop = wallets()
    pays(shop, 50, "free", use="offset", order="O", settlement_fen=10_000)
    assert pays(shop, 1, "paid", use="offset", order="O", settlement_fen=10_000) == "refused: above-share"
    assert pays(shop, 1, "paid", use="offset", order="O", settlement_fen=10_020) == "accepted"


def test_a_use_takes_so_many_points_at_least_and_at_most() -> None:
    shop = wallets("[uses.gift]\nname = 'g'\nkinds = ['paid']\nat_least = 100\nat_most = 5_000\n")
    assert pays(shop, 99, "paid", "gift") == "refused: below-least"
    assert pays(shop, 5_001, "paid", "gift") == "refused: above-most"
    assert pays(shop, 100, "paid", "gift") == "accepted"


@pytest.mark.parametrize("per", ["day", "month", "year", "ever"])
def test_a_cap_of_a_use_has_room_again_in_its_next_bucket(per: str) -> None:
    shop = wallets(f"[uses.gift]\nname = 'g'\nkinds = ['paid']\ncap = [{{ per = '{per}', points = 20 }}]\n")
    assert [pays(shop, points, "paid", "gift") for points in (15, 6, 5, 1)] == [
        "accepted",
        "refused: cap-full",
        "accepted",
        "refused: cap-full",
    ]
    assert shop.last.figures == {"asked": 1, "per": per, "cap": 20, "given": 20}
    shop.gives_back("R2")
    assert pays(shop, 1, "paid", "gift") == "refused: cap-full", "no room comes back"
    for at, is_free in (("2025-05-02", "day"), ("2025-06-01", "month"), ("2026-01-01", "year")):
        shop.tells("campaign.granted", at, grant=at, campaign="w", points=1, kind="paid")
        is_open = per != "ever" and ("day", "month", "year").index(per) <= ("day", "month", "year").index(is_free)
        assert pays(shop, 1, "paid", "gift") == ("accepted" if is_open else "refused: cap-full")


def test_a_cap_of_an_order_is_for_each_order() -> None:
    cap = "cap = [{ per = 'order', points = 20 }]\n"
    shop = wallets(f"[uses.gift]\nname = 'g'\nkinds = ['paid']\norder = true\n{cap}")
    assert pays(shop, 20, "paid", "gift", order="O1") == "accepted"
    assert pays(shop, 1, "paid", "gift", order="O1") == "refused: cap-full"
    assert pays(shop, 1, "paid", "gift", order="O2") == "accepted"


def test_the_checks_come_in_the_order_of_the_contract() -> None:
    """Each request mends the fault that the one before was refused for."""
    shop = wallets(
        "[uses.all]\nname = 'a'\nkinds = ['paid']\norder = true\nmultiple = 10\nat_least = 50\nat_most = 100\n"
        "settlement_at_least_fen = 1_000\nshare = '1/2'\nbalance_at_least = 200\n"
        "cap = [{ per = 'ever', points = 80 }]\n"
    )
    asked = [
        ("nothing", "paid", 5, {}, "unknown-use"),
        ("all", "gold", 5, {}, "unknown-kind"),
        ("all", "free", 5, {}, "kind-not-taken"),
        ("all", "paid", 5, {}, "not-a-multiple"),
        ("all", "paid", 40, {}, "below-least"),
        ("all", "paid", 110, {}, "above-most"),
        ("all", "paid", 90, {}, "order-missing"),
        ("all", "paid", 90, {"order": "O", "settlement_fen": 999}, "settlement-too-small"),
        ("all", "paid", 90, {"order": "O", "settlement_fen": 1_000}, "above-share"),
        ("all", "paid", 90, {"order": "O", "settlement_fen": 9_000}, "cap-full"),
        ("all", "paid", 80, {"order": "O", "settlement_fen": 9_000}, "balance-too-small"),
    ]
    for use, kind, points, more, why in asked:
        assert pays(shop, points, kind, use, **more) == f"refused: {why}"
