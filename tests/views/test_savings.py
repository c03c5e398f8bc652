"""What benefits saved a member, against what the cards cost, and what a card would have saved without one."""

from typing import Any

import pytest

from ledger.rulebook.compiled import Programme
from ledger.wire.facts import MAX_INT
from projections.answers.savings import SavingsState, TaggedLine, fold_savings, savings_of
from tests.support.shop import Shop, instant

BOOK = """
programme = "club"
name = "会员"
from = 2025-01-01
utc_offset = "+08:00"

[kinds]

[memberships.plus]
name = "PLUS"
products = { "plus.annual" = { days = 365, price = [{ fen = 9_900 }] } }

[memberships.plus.benefits.five-off]
name = "95折"
saves = { share = "5/100" }

[memberships.plus.benefits.shipping]
name = "运费券"
saves = { fen = 600 }

[benefits.hema]
name = "盒马折扣"
saves = { share = "12/100" }
"""


def line(fen: int, paid: int, by: str = "five-off", quantity: int = 1, name: str = "1") -> dict[str, Any]:
    return {"line": name, "quantity": quantity, "paid_fen": paid, "list_fen": fen, "saved_by": by}


def saved(shop: Shop, as_of: str = "") -> dict[tuple[str, str, bool], tuple[int, int, int]]:
    """By card, benefit and whether it was missed: claims, lines and fen."""
    state = SavingsState()
    for entry in shop.entries:
        fold_savings(state, entry)
    at = instant(as_of) if as_of else instant(shop.now.isoformat())
    rows = savings_of(state, shop.book.nearest(at), at)
    return {(row.card, row.benefit, row.is_missed): (row.times, row.lines, row.saved_fen) for row in rows}


def club(book: str = BOOK) -> Shop:
    return Shop(book, now="2025-03-01 10:00")


def test_a_tagged_line_saves_a_share_of_its_list_price_by_the_card_that_was_held() -> None:
    member = club()
    member.completes("O1", [line(9_999, 9_999)])
    member.buys("plus.annual", card="C1")
    member.completes("O2", [line(9_999, 9_500), line(10_000, 8_800, "hema", name="2")])
    assert saved(member) == {
        ("C1", "five-off", False): (0, 1, 499),
        ("", "hema", False): (0, 1, 1_200),
        ("", "five-off", True): (0, 1, 499),
    }


def test_a_claim_saves_until_it_is_given_back() -> None:
    member = club()
    member.buys("plus.annual", card="C1")
    member.claims("shipping", claim="B1")
    member.claims("shipping", claim="B2")
    assert saved(member) == {("C1", "shipping", False): (2, 0, 1_200)}
    member.gives_claim_back("B1")
    assert saved(member) == {("C1", "shipping", False): (1, 0, 600)}


def test_what_comes_back_saves_no_more_whenever_it_came() -> None:
    member = club()
    member.buys("plus.annual", card="C1")
    member.completes("O1", [line(10_000, 9_500, quantity=2)])
    member.returns("O1", [("1", 1, 4_750)])
    assert saved(member) == {("C1", "five-off", False): (0, 1, 250)}
    member.returns("O1", [("1", 1, 4_750)])
    assert saved(member) == {}
    member.returns("O2", [("1", 1, 4_750)])
    member.completes("O2", [line(10_000, 9_500, quantity=2)])
    assert saved(member) == {("C1", "five-off", False): (0, 1, 250)}
    member.amends("O2", [line(20_000, 19_000, quantity=2), line(100, 95, name="2")])
    assert saved(member) == {("C1", "five-off", False): (0, 2, 750 + 5)}


def test_an_unknown_list_price_an_unknown_benefit_and_a_refused_claim_count_nothing() -> None:
    member = club()
    assert member.claims("shipping") == "refused: no-membership"
    member.completes("O1", [line(0, 9_500), line(100, 95, "nothing", name="2"), line(100, 95, "shipping", name="3")])
    assert saved(member) == {}


def test_a_year_old_order_would_save_nothing_by_a_card_of_today() -> None:
    member = club()
    member.completes("O1", [line(10_000, 10_000)])
    assert saved(member, "2026-03-01 10:00") == {("", "five-off", True): (0, 1, 500)}
    assert saved(member, "2026-03-01 10:01") == {}


def test_what_a_benefit_saves_may_change_without_touching_an_entry() -> None:
    member = club()
    member.buys("plus.annual", card="C1")
    member.claims("shipping")
    later = Programme([BOOK, BOOK.replace("from = 2025-01-01", "from = 2025-02-01").replace("fen = 600", "fen = 900")])
    member.book = later
    assert saved(member) == {("C1", "shipping", False): (1, 0, 900)}


@pytest.mark.parametrize("fen", [1, MAX_INT])
def test_the_largest_list_price_is_reckoned_whole(fen: int) -> None:
    state = SavingsState()
    state.lines["O"] = {"1": TaggedLine("hema", instant("2025-03-01"), fen, 0, 1)}
    version = club().book.versions[0]
    (row,) = savings_of(state, version, instant("2025-03-02"))
    assert row.saved_fen == fen * 12 // 100
