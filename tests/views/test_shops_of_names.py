"""What is said of shops is what decisions use: the sum over the names that are here, whatever is moving meanwhile."""

import random

import msgspec
import pytest

from ledger.core.decisions import merges
from ledger.core.names import NamedPages
from ledger.core.pages import QuotaPage, ScorePage
from projections.answers.shops import ShopScores, shops_of
from tests.core.test_worked_examples_of_benefits import AT_SHOPS
from tests.core.test_worked_examples_of_benefits import BOOK as CLAIMS
from tests.support.shop import OPERATORS
from tests.support.town import Member, Town

BOOK = CLAIMS + AT_SHOPS.replace("quota = 1", "quota = 9").replace(
    'tiers = [{ at_least = 100, name = "2-star" }]',
    'tiers = [{ at_least = 100, name = "2-star" }, { at_least = 180, name = "3-star" }]\njoined = true',
)
SHOPS = ("shop-a", "shop-b")
KEYS = [f"{kind}/{shop}" for shop in SHOPS for kind in ("joined", "score/stars", "benefit/tea")]


def as_decided(member: Member) -> dict[str, object]:
    """What decisions read of a member's shops, off the pages."""
    pages = NamedPages(member.pages, member.account)
    return {key: _figures(pages.get(key)) for key in KEYS}


def as_said(member: Member, shops: ShopScores) -> dict[str, object]:
    """The same as projections say it."""
    pages = shops.pages(member.book.versions[0])
    found = {key: _figures(pages.get(key)) for key in KEYS}
    for _, key, score in shops.describe(member.book.versions[0], member.account.clock):
        page = pages.get(f"score/stars/{key.partition('@')[2]}")
        assert isinstance(page, ScorePage) and (score.value, score.tier) == (page.value(), page.tier)
    return found


def _figures(page: object) -> object:
    if isinstance(page, ScorePage):
        return {part: points for part, points in page.parts.items() if points} and (page.parts["purchase"], page.tier)
    if isinstance(page, QuotaPage):
        return {bucket: times for bucket, times in page.used.items() if times}
    return page is not None


def check(town: Town) -> None:
    for member in town.members.values():
        bundle = member.account.bundle
        shops = shops_of(member.entries)
        if bundle is not None and bundle.alias is not None:
            assert not shops.begun(member.book.versions[0]), "its head says it"
        else:
            said, decided = as_said(member, shops), as_decided(member)
            assert {k: v for k, v in said.items() if v} == {k: v for k, v in decided.items() if v}, member.name


def buys(town: Town, name: str, order: str, yuan: int, shop: str = "shop-a") -> None:
    lines = [{"line": "1", "paid_fen": yuan * 100, "category": "tea"}]
    town.tells(name, "order.completed", order=order, shop=shop, lines=lines)


def test_a_score_of_a_shop_is_shown_as_the_sum_over_names_and_as_each_ones_own_when_they_part() -> None:
    town = Town(BOOK, "2025-06-01 10:00")
    for name, yuan in (("A", 60), ("B", 70)):
        town.tells(name, "member.joined", shop="shop-a")
        buys(town, name, "O", yuan)
    town.tells("A", "member.merged", source=OPERATORS, into="B")
    town.delivers_all()
    check(town)
    stars = {key: score for _, key, score in shops_of(town.member("B").entries).describe(town.book.versions[0], 0)}
    assert (stars["stars@shop-a"].value, stars["stars@shop-a"].tier) == (130, "2-star")
    town.tells("A", "benefit.claimed", claim="B1", benefit="tea", shop="shop-a")
    town.delivers_all()
    check(town)
    town.tells("B", "member.unmerged", source=OPERATORS, name="A")
    town.delivers_all()
    check(town)
    assert [
        [score.value for _, _, score in shops_of(town.member(name).entries).describe(town.book.versions[0], 0)]
        for name in "AB"
    ] == [[60], [70]]


def test_what_a_name_has_at_a_shop_stays_its_own_where_the_head_had_nothing_there_before() -> None:
    town = Town(BOOK, "2025-06-01 10:00")
    for name in "AB":
        town.tells(name, "member.joined", shop="shop-a")
    buys(town, "A", "O", 60)
    town.tells("A", "member.merged", source=OPERATORS, into="B")
    town.delivers_all()
    buys(town, "B", "P", 70)
    check(town)
    town.tells("B", "member.unmerged", source=OPERATORS, name="A")
    town.delivers_all()
    check(town)
    pages = [town.member(name).pages["score/stars/shop-a"] for name in "AB"]
    assert [page.value() for page in pages if isinstance(page, ScorePage)] == [60, 70]


def test_what_a_build_of_before_keeps_of_shops_is_read_as_it_was() -> None:
    kept = msgspec.msgpack.encode(
        [{"stars@shop-a": [{"purchase": 120}, "2-star"]}, ["shop-a"], {"shop-a": {"tea": {7: 2}}}]
    )
    shops, version = msgspec.msgpack.decode(kept, type=ShopScores), Town(BOOK).book.versions[0]
    ((_, key, score),) = shops.describe(version, 0)
    assert (key, score.value, score.tier) == ("stars@shop-a", 120, "2-star")
    assert shops.pages(version)["benefit/tea/shop-a"] == QuotaPage({7: 2})


@pytest.mark.parametrize("seed", range(6))
def test_what_is_said_of_shops_is_what_a_decision_uses_whatever_moves(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merges, "PIECE_BYTES", 400)  # several pieces and parts for a few pages
    chance, town = random.Random(seed), Town(BOOK, "2025-06-01 10:00")
    for number in range(120):
        name, shop = chance.choice("ABC"), chance.choice(SHOPS)
        match chance.randrange(8):
            case 0:
                town.tells(name, "member.joined", shop=shop)
            case 1 | 2:
                buys(town, name, f"O{number % 7}", chance.randrange(10, 90), shop)
            case 3:
                back = {"return": f"T{number}", "order": f"O{chance.randrange(7)}"}
                lines = [{"line": "1", "quantity": 1, "refund_fen": 10_00}]
                town.tells(name, "order.returned", **back, lines=lines)
            case 4:
                town.tells(name, "benefit.claimed", claim=f"C{number % 9}", benefit="tea", shop=shop)
            case 5:
                town.tells(name, "benefit.returned", claim=f"C{chance.randrange(9)}")
            case 6:
                town.tells(name, "member.merged", source=OPERATORS, into=chance.choice("ABC"))
            case _:
                town.tells(name, "member.unmerged", source=OPERATORS, name=chance.choice("ABC"))
        for _ in range(chance.randrange(6) if number % 20 else 1_000):
            if town.post:
                town.delivers(chance.randrange(len(town.post)))
        check(town)
