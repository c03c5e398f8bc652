"""Several owners' books in one ledger: one space of names, a day of its own for each; an owner replaces their own.

The worked example of docs/several-books.md is told by its facts; its figures are worked out by hand from its books.
"""

import json
from hashlib import sha256
from itertools import permutations
from pathlib import Path

import pytest

from ledger.rulebook.checks import parts_of
from ledger.rulebook.compiled import Programme, ProgrammeVersion, checked_version
from ledger.rulebook.schema import BadProgramme, shipped
from ledger.rulebook.union import Part, joined
from projections.explaining.book import sentences
from tests.support.shop import Shop

MALL = Path(__file__).resolve().parents[2] / "examples" / "mall"
OWNERS = ("card", "hotel", "legacy", "mall")


def file(name: str) -> str:
    return (MALL / f"{name}.toml").read_text(encoding="utf-8")


def parts(*books: tuple[str, str]) -> list[Part]:
    """Books by their files' names."""
    return [part for name, toml in books for part in parts_of(toml, name)]


def union(*names: str) -> str:
    return joined(parts(*((f"{name}.toml", file(name)) for name in names)))


def complaint_of(*books: tuple[str, str]) -> str:
    with pytest.raises(BadProgramme) as caught:
        checked_version(parts(*books))
    return str(caught.value)


def book(name: str, more: str = "", begins: str = "2025-01-01", kinds: str = "kinds = {}") -> str:
    """A small book; `more` are its tables."""
    return f'programme = "{name}"\nname = "{name}"\nfrom = {begins}\nutc_offset = "+08:00"\n{kinds}\n{more}\n'


COINS = '[kinds.coins]\nname = "金币"\nexpiry = [{ from = 2020-01-01, days = 365 }]\n'
GROWTH = '[scores.growth]\nname = "成长值"\nparts = { all = "全部" }\ntiers = [{ at_least = 100, name = "gold" }]\n'
CARD = '[memberships.club]\nname = "会员"\nproducts = { "club.year" = { days = 365 } }\n'


def award(rule: str, gives: str, more: str = "") -> str:
    return f'[[award]]\nrule = "{rule}"\nname = "奖"\non = "member.signed-in"\n{gives}\n{more}\n'


# -- the worked example ------------------------------------------------------------------------------------------------


def told(*books: str, until: int = 99) -> Shop:
    shop = Shop(*books)
    for line in (MALL / "facts.ndjson").read_text(encoding="utf-8").splitlines()[:until]:
        shop.hears(json.loads(line))
    return shop


def test_a_mall_its_card_a_partner_and_a_score_of_before_are_one_ledger() -> None:
    shop = told(union(*OWNERS))
    assert [entry.reason for entry in shop.entries] == ["", "", "", "", "unknown-benefit", "", ""]
    shown = shop.on("2025-08-01").shown
    assert shown["points"]["coins"]["spendable"] == 500 + 300 + 300, "none for what was bought before there were coins"
    assert (shown["scores"]["legacy-growth"]["value"], shown["scores"]["legacy-growth"]["tier"]) == (6_000, "veteran")
    assert (shown["scores"]["hotel-status"]["value"], shown["scores"]["hotel-status"]["tier"]) == (3, "silver")
    assert shown["memberships"]["gold-card"]["quotas"] == {"shipping": 12}


def test_a_stranger_pays_the_price_of_a_stranger() -> None:
    shop = Shop(union(*OWNERS), now="2025-02-01")
    assert shop.buys("gold-card.year", paid_fen=4_400) == "accepted: price-differs"


def test_a_version_says_the_sentences_of_every_book() -> None:
    version = ProgrammeVersion(union(*OWNERS))
    said = {one.table for one in sentences(version, "en")}
    assert {"kinds.coins", "scores.hotel-status", "memberships.gold-card", "scores.legacy-growth"} <= said


# -- order and name ----------------------------------------------------------------------------------------------------


def test_whatever_order_they_are_given_in_they_are_one_version() -> None:
    texts = {union(*order) for order in permutations(OWNERS)}
    assert len(texts) == 1
    version = ProgrammeVersion(texts.pop())
    in_order = "".join(file(name) for name in OWNERS)
    assert version.name == sha256(in_order.encode()).hexdigest()[:16]
    assert [part.tables.programme for part in version.parts] == list(OWNERS)
    assert version.programme.from_.isoformat() == "2020-01-01", "the earliest"
    assert list(version.rules) == ["card.double", "hotel.night", "legacy.purchase", "mall.purchase"]


def test_texts_in_another_order_are_no_version() -> None:
    with pytest.raises(BadProgramme, match="do not stand in the order of their `programme`"):
        ProgrammeVersion(file("mall") + "\f" + file("card"))


# -- what clashes ------------------------------------------------------------------------------------------------------

TABLES = (
    ("kinds.coins", COINS, COINS),
    ("scores.growth", GROWTH, GROWTH),
    ("attributes.region", '[attributes.region]\nname = "地区"\n', '[attributes.region]\nname = "区域"\n'),
    ("memberships.club", CARD, CARD.replace("club.year", "club.month")),
    ("memberships.other.products.club.year", CARD, CARD.replace("memberships.club", "memberships.other")),
    ("benefits.gift", '[benefits.gift]\nname = "礼"\n', '[benefits.gift]\nname = "礼"\n'),
    (
        "memberships.club.benefits.gift",
        '[benefits.gift]\nname = "礼"\n',
        f'{CARD}\n[memberships.club.benefits.gift]\nname = "礼"\n',
    ),
)


@pytest.mark.parametrize(("place", "ours", "theirs"), TABLES, ids=[row[0] for row in TABLES])
def test_a_name_in_two_files_is_refused_with_both_files_table_and_key(place: str, ours: str, theirs: str) -> None:
    said = complaint_of(("a.toml", book("a", ours, kinds="[kinds]")), ("b.toml", book("b", theirs, kinds="[kinds]")))
    assert said.startswith(f"a.toml and b.toml: {place}: ")
    assert 'names are one space for all files: call one of them "b.' in said


def test_two_rules_of_one_name_are_refused() -> None:
    rule = award("daily", 'score = "growth"\npart = "all"\ngive = { points = 1 }')
    said = complaint_of(("a.toml", book("a", GROWTH + rule)), ("b.toml", book("b", rule)))
    assert said.startswith('a.toml and b.toml: award (rule "daily"): stands in both')


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("utc_offset", 'utc_offset = "+09:00"'),
        ("currency", 'utc_offset = "+08:00"\ncurrency = "USD"'),
        ("late_days", 'utc_offset = "+08:00"\nlate_days = 40'),
    ],
)
def test_what_they_have_in_common_is_alike(key: str, other: str) -> None:
    theirs = book("b").replace('utc_offset = "+08:00"', other)
    said = complaint_of(("a.toml", book("a")), ("b.toml", theirs))
    assert said.startswith(f"a.toml and b.toml: {key}: is ") and "in common" in said


def test_two_files_of_one_programme_are_refused() -> None:
    assert 'programme: both are "a"' in complaint_of(("a.toml", book("a")), ("b.toml", book("a")))


def test_one_of_them_says_which_kind_facts_mean_that_name_none() -> None:
    a, b = book("a", COINS, kinds='default_kind = "coins"'), book("b", kinds='default_kind = "other"\nkinds = {}')
    assert checked_version(parts(("a", a), ("b", book("b")))).default_kind == "coins"
    assert "default_kind: is coins in the one and other in the other" in complaint_of(("a", a), ("b", b))


def test_what_is_wrong_in_one_file_is_said_of_that_file() -> None:
    good = book("a", award("a.daily", 'kind = "coins"\ngive = { points = 1 }') + COINS, kinds="")
    rule = award("b.daily", 'kind = "stars"\ngive = { points = 1 }')
    said = complaint_of(("a.toml", good), ("b.toml", book("b", rule)))
    assert said == 'b.toml: award[0] (rule "b.daily").kind: there is no [kinds.stars]'
    said = complaint_of(("a.toml", book("a")), ("b.toml", book("b").replace("name", "nmae")))
    assert said.startswith("b.toml: ")
    dotted = "[benefits.a]\nname = '礼'\n", "[benefits.'a.gift']\nname = '礼'\nper = 'line'\n"
    said = complaint_of(("a.toml", book("a", dotted[0])), ("b.toml", book("b", dotted[1])))
    assert said.startswith("b.toml: benefits.a.gift.per: ")


# -- days --------------------------------------------------------------------------------------------------------------


def test_a_file_holds_from_its_own_day_on() -> None:
    stars = COINS.replace("coins", "stars")
    old = book("a", COINS + award("a.daily", 'kind = "coins"\ngive = { points = 1 }'), "2024-01-01", "")
    new = book("b", stars + award("b.daily", 'kind = "stars"\ngive = { points = 2 }') + CARD, "2025-01-01", "")
    shop = Shop(joined(parts(("a", old), ("b", new))), now="2024-12-31 10:00")
    shop.signs_in()
    assert shop.awarded == [1]
    assert shop.buys("club.year") == "ignored: unknown-product"
    shop.signs_in(at="2025-01-01")
    assert shop.awarded == [1, 1, 2], "the rules of a, then those of b"
    assert shop.buys("club.year") == "accepted"
    shop.signs_in(at="2024-12-30")  # late
    assert shop.awarded == [1, 1, 2, 1], "what occurred before the day is decided as it was then"


def test_a_condition_on_a_file_that_does_not_hold_yet_is_not_met() -> None:
    gift = "[benefits.gift]\nname = '礼'\nwho = { any = [{ tier = { growth = { in = ['gold', ''] } } }, " + (
        "{ score = { growth = { at_most = 5 } } }, { card = { club = { active = true } } }] }\n"
    )
    old, new = book("a", gift, "2024-01-01"), book("b", GROWTH + CARD, "2025-01-01")
    shop = Shop(joined(parts(("a", old), ("b", new))), now="2024-06-01")
    assert shop.claims("gift") == "refused: not-entitled"
    assert shop.claims("gift", at="2025-01-01") == "accepted"


def test_what_a_rule_gives_is_there_from_the_rules_day_on() -> None:
    old = book("a", award("a.daily", 'kind = "coins"\ngive = { points = 1 }'), "2024-01-01")
    said = complaint_of(("a.toml", old), ("b.toml", book("b", COINS, "2025-01-01", "")))
    assert said.startswith('a.toml: award[0] (rule "a.daily").kind: there is no [kinds.coins] on 2024-01-01')


# -- each owner's own --------------------------------------------------------------------------------------------------


def test_an_owner_replaces_their_own_book_alone_and_from_its_day_on() -> None:
    shop = told(union(*OWNERS), until=3)
    replaced = shop.book.beside(parts(("hotel-2026.toml", file("hotel-2026"))))
    version = shop.book.take(ProgrammeVersion.of(replaced))
    assert [part.toml for part in version.parts] == [file(name) for name in ("card", "hotel-2026", "legacy", "mall")]
    assert joined(replaced) == union("card", "hotel-2026", "legacy", "mall"), "as its owners would have it together"
    shop.tells("activity.done", at="2025-12-31 23:59:59", done="D1", activity="hotel-night", count=9)
    assert shop.shown["scores"]["hotel-status"]["tier"] == "guest", "silver is from 10 until then"
    shop.tells("activity.done", at="2026-01-01", done="D2", activity="hotel-night", count=8)
    assert shop.shown["scores"]["hotel-status"]["tier"] == "silver"
    assert shop.entries[-2].version != shop.entries[-1].version == version.name
    shop.tells("activity.done", at="2025-12-30", done="D3", activity="hotel-night", count=1)  # late
    assert shop.last.version != version.name, "decided by the book of its day"


def test_a_new_owner_stands_beside_those_that_are_there() -> None:
    ours = Programme([shipped("jd")])
    parted = ours.beside(parts(("hotel.toml", file("hotel").replace("gold-card", "plus"))))
    version = ours.take(ProgrammeVersion.of(parted))
    assert [part.tables.programme for part in version.parts] == ["hotel", "jd"]
    assert [stage.programme.from_.isoformat() for stage in ours.versions] == ["2017-09-14", "2025-06-01"]
    assert [one.name for one in ours.whole_versions] == [ours.versions[0].name, version.name]


def test_two_owners_publish_one_after_the_other_and_neither_undoes_the_other() -> None:
    ours = Programme([union("hotel", "mall", "card", "legacy")])
    for name, toml in (("hotel", file("hotel-2026")), ("mall", file("mall").replace("2024-01-01", "2025-09-01"))):
        ours.take(ProgrammeVersion.of(ours.beside(parts((name, toml)))))
    last = ours.versions[-1]
    assert {part.toml for part in last.parts} >= {file("hotel-2026"), file("mall").replace("2024-01-01", "2025-09-01")}
    between = ours.at(last.since - 1)
    assert between is not None and {part.toml for part in between.parts} >= {
        file("hotel"), file("mall").replace("2024-01-01", "2025-09-01")
    }  # fmt: skip


def test_a_book_without_what_another_owner_has_is_no_version() -> None:
    ours = Programme([union("mall")])
    ours.take(ProgrammeVersion.of(ours.beside(parts(("legacy", file("legacy"))))))
    with pytest.raises(BadProgramme, match="scores: lacks legacy-growth, which this ledger's accounts have"):
        ours.add(file("mall").replace("2024-01-01", "2026-01-01"))


def test_the_same_texts_divided_in_another_way_are_refused() -> None:
    a, b, between = book("a"), book("b"), "penalties = {}\n"
    ours = Programme([a + between + "\f" + b])
    with pytest.raises(BadProgramme, match="the ledger has these texts already, divided in another way"):
        ours.add(a + "\f" + between + b)
