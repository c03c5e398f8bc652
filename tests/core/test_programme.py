"""Rules are data: a figure changed changes decisions without Python, and a bad book names its file, table and key."""

import re
from importlib import resources
from pathlib import Path

import pytest

from ledger.rulebook.checks import parse_programme
from ledger.rulebook.compiled import STORED, Programme, ProgrammeVersion
from ledger.rulebook.schema import BadProgramme, shipped, version_of
from projections.answers.programmes import warnings
from service.cli import run
from tests.support.shop import BOOK, OPERATORS, PHONE, Shop, instant, shop_with

JD = shipped("jd")


def jd_with(*changes: tuple[str, str], since: str = "") -> str:
    """The shipped book with some of its text replaced, and perhaps of a later date."""
    toml = JD
    for old, new in changes:
        assert toml.count(old) >= 1, f"the book does not say: {old}"
        toml = toml.replace(old, new, 1)
    return toml.replace("from = 2017-09-14", f"from = {since}", 1) if since else toml


# -- a figure changed ------------------------------------------------------------------------------------------------


def test_another_rate_gives_other_beans() -> None:
    shop = Shop(jd_with(("points = 10, per_fen = 10_000", "points = 25, per_fen = 10_000")))
    shop.completes("O1", BOOK)
    assert shop.beans == 25


def test_another_threshold_exclusion_and_line_cap() -> None:
    book = jd_with(
        ("paid_fen = { at_least = 5_000 }", "paid_fen = { at_least = 1_000 }"),
        ('= 1_000 }, category = { not_in = ["virtual"', '= 1_000 }, category = { not_in = ["phone"'),
        ('cap = [{ per = "line", points = 1_000 }]', 'cap = [{ per = "line", points = 7 }]'),
    )
    shop = Shop(book)
    shop.completes("O1", [("virtual", 1, 1_000), ("phone", 1, 50_000), ("food", 1, 50_000)])
    assert shop.awarded == [1, 7]


def test_a_category_may_have_a_plus_rate_of_its_own_from_half_a_percent_to_two() -> None:
    book = jd_with(("# rates = { phone = 50 }", "rates = { phone = 50, books = 200 } #"))
    shop = Shop(book)
    shop.buys("plus.annual")
    shop.completes("O1", [("phone", 1, 10_000), ("books", 1, 10_000), ("food", 1, 10_000)])
    assert shop.awarded == [50, 200, 100]


@pytest.mark.parametrize(
    ("old", "new", "expires"),
    [
        ("end_of_year_after = 1", "end_of_year_after = 2", "2028-01-01T00:00:00+08:00"),
        ("end_of_year_after = 1", "days = 30", "2025-12-11T10:00:00+08:00"),
        ("from = 2026-01-01, days = 180", "from = 2025-11-01, days = 10", "2025-11-21T10:00:00+08:00"),
    ],
)
def test_another_expiry(old: str, new: str, expires: str) -> None:
    shop = Shop(jd_with((old, new)))
    shop.completes("O1", BOOK)
    assert shop.shown["points"]["beans"]["lots"][0]["expires_at"] == expires


def test_another_order_of_burning() -> None:
    for burn, left in (("soonest-expiring", [40, 100]), ("oldest", [90, 50])):
        shop = Shop(jd_with(('burn = "soonest-expiring"', f'burn = "{burn}"')))
        shop.is_granted(100, expires="2026-09-01")
        shop.is_granted(90, expires="2026-01-01")
        shop.redeems(50)
        assert shop.lots == left


@pytest.mark.parametrize(
    ("policy", "cash", "debt", "written_off"), [("cash", 300, 59, 0), ("debt", 0, 359, 0), ("clamp", 0, 0, 359)]
)
def test_another_policy_for_a_shortfall(policy: str, cash: int, debt: int, written_off: int) -> None:
    shop = Shop(jd_with(('shortfall = "cash"', f'shortfall = "{policy}"')))
    shop.completes("O1", PHONE)
    shop.redeems(359)
    shop.returns("O1", [("1", 1, 300)])
    assert (shop.purse.cash_shortfall_fen, shop.debt, shop.purse.written_off) == (cash, debt, written_off)


def test_another_share_multiple_and_balance_of_an_offset() -> None:
    book = jd_with(
        ("multiple = 1_000", "multiple = 100"),
        ('share = "1/2"', 'share = "3/4"'),
        ("balance_at_least = 500", "balance_at_least = 10"),
    )
    shop = shop_with_book(book, beans=400)
    assert shop.redeems(300, "offset", order="O1", settlement_fen=400) == "accepted"
    assert shop.redeems(100, "offset", order="O1", settlement_fen=400) == "refused: above-share"


def shop_with_book(book: str, beans: int) -> Shop:
    shop = Shop(book)
    shop.is_granted(beans)
    return shop


def test_another_penalty() -> None:
    book = jd_with(
        ("points = 500", "points = 7"), ("from_in_month = 2", "from_in_month = 1"), ("in_month = 5", "in_month = 1")
    )
    shop = shop_with_book(book, beans=100)
    shop.refuses_at_the_door("O1")
    assert shop.beans == 93
    shop.buys("plus.month")
    shop.refuses_at_the_door("O2")
    shop.refuses_at_the_door("O3")
    assert shop.beans == 86, "one is exempt"


def test_another_window_cap_and_tier_of_the_score() -> None:
    book = jd_with(
        ("window_months = 12", "window_months = 1"),
        ("points = 10 }]", "points = 4 }]"),
        ("at_least = 201,", "at_least = 5,"),
    )
    shop = Shop(book, now="2025-09-05")
    for _ in range(3):
        shop.shares()
    shop.completes("O1", [("", 1, 1_000)])
    assert shop.on("2025-10-31").score["value"] == 14
    assert shop.on("2025-10-31").score["tier"] == "201"
    assert shop.on("2025-11-01").score["value"] == 0


def test_other_days_cap_and_quota_of_a_card() -> None:
    book = jd_with(
        ('"plus.month" = { days = 30, cap = 4_000', '"plus.month" = { days = 2, cap = 50'),
        ('"plus.month" = 5', '"plus.month" = 1'),
    )
    shop = Shop(book)
    shop.buys("plus.month")
    shop.completes("O1", BOOK)
    assert shop.beans == 10
    assert [shop.claims(), shop.claims()] == ["accepted", "refused: quota-used"]
    assert shop.on("2025-11-13 10:00").plus["state"] == "ended"


def test_a_rule_that_is_added_gives() -> None:
    rule = """
[[award]]
rule = "purchase.group"
name = "拼购"
on = "order.completed"
each = "line"
kind = "beans"
from = 2025-06-01
until = 2026-01-01
when = { tags = { has = "group" }, channel = { in = ["app"] }, quantity = { at_least = 2, at_most = 3 } }
give = { points = 8 }
"""
    shop = Shop(JD + rule)
    for pieces, tags, at in (
        (2, ["group"], "2025-11-11"),
        (1, ["group"], "2025-11-12"),
        (4, ["group"], "2025-11-13"),
        (2, [], "2025-11-14"),
        (2, ["group"], "2026-01-01"),
        (2, ["group"], "2025-05-31 23:59:59"),
    ):
        shop.completes(f"O{at}", [("", pieces, 0)], at=at, tags=tags)
    assert shop.awarded == [8], "from its first day to before its last, for two or three pieces bought as a group"


# -- versions by date ------------------------------------------------------------------------------------------------


def test_the_newest_version_whose_date_has_come_decides() -> None:
    book = Programme([JD, jd_with(since="2026-06-01"), jd_with(("= 10_000", "= 20_000"), since="2026-01-01")])
    assert book.at(instant("2017-09-13 23:59:59")) is None
    assert book.at(instant("2017-09-14")) is book.versions[0]
    assert book.at(instant("2025-12-31 23:59:59")) is book.versions[0]
    assert book.at(instant("2026-01-01 00:00")) is book.versions[1]
    assert book.at(instant("2030-01-01")) is book.versions[2]


def test_of_two_versions_of_one_date_the_one_published_last_decides() -> None:
    first, second = jd_with(since="2026-01-01"), jd_with(("= 10_000", "= 20_000"), since="2026-01-01")
    assert Programme([JD, first, second]).at(instant("2026-01-01")).name == version_of(second)  # type: ignore[union-attr]
    assert Programme([JD, second, first]).at(instant("2026-01-01")).name == version_of(first)  # type: ignore[union-attr]


def test_a_version_is_named_by_its_content_and_taken_once() -> None:
    book = Programme([JD])
    assert book.add(JD) is book.versions[0] and len(book.versions) == 1
    assert version_of(JD) != version_of(JD + "\n")
    assert re.fullmatch("[0-9a-f]{16}", version_of(JD))


def test_each_entry_names_the_version_that_decided_it() -> None:
    later = jd_with(("points = 10, per_fen", "points = 20, per_fen"), since="2025-12-01")
    shop = Shop(JD, later)
    shop.completes("O1", BOOK, at="2025-11-30 23:59:59")
    shop.completes("O2", BOOK, at="2025-12-01 00:00")
    shop.completes("O3", BOOK, at="2025-11-15")
    assert [entry.version for entry in shop.entries] == [version_of(JD), version_of(later), version_of(JD)]
    assert shop.awarded == [10, 20, 10]


def test_a_later_version_keeps_what_accounts_hold() -> None:
    book = Programme([JD])
    with pytest.raises(BadProgramme, match=r"kinds: lacks beans"):
        book.add(jd_with().replace("beans", "petals"))
    with pytest.raises(BadProgramme, match=r"utc_offset: is \+00:00; this ledger counts at \+08:00"):
        book.add(jd_with(("+08:00", "+00:00")))
    assert len(book.versions) == 1


def test_an_award_stands_when_its_rule_goes() -> None:
    quiet = jd_with(('rule = "purchase.beans"', 'rule = "purchase.beans"\nuntil = 2025-12-01'), since="2025-12-01")
    shop = Shop(JD, quiet)
    shop.completes("O1", BOOK, at="2025-11-11")
    shop.completes("O2", BOOK, at="2025-12-02")
    assert shop.beans == 10
    shop.returns("O1", [("1", 1, 10_000)])
    assert shop.beans == 0


def test_only_operators_publish_and_the_shop_itself_is_no_member() -> None:
    shop = Shop()
    assert shop._tell("programme.published", "", {"toml": JD}, source=OPERATORS) == "ignored: not-a-member"


# -- a bad book ------------------------------------------------------------------------------------------------------

# What is changed in the book, and what is said of it: the table, the key, and what is wanted.
AWARD_0, AWARD_1, AWARD_2 = (
    rf'award\[{number}\].* \(rule "{rule}"\)'
    for number, rule in enumerate((r"purchase\.plus", r"purchase\.beans", r"purchase\.(amount|beans)"))
)
BAD_BOOKS = [
    ("[kinds.beans]", "[kinds.beans", "not TOML"),
    ('name = { zh = "京东会员", en = "JD members" }\n', "", r"top level: .*`name`"),
    ("late_days = 400", 'late_days = "400"', r"late_days: Expected `int`, got `str`"),
    ("late_days = 400", "late_days = 0", r"late_days: Expected `int` >= 1"),
    ("late_days = 400", "late_dayz = 400", r"late_dayz"),
    ('utc_offset = "+08:00"', 'utc_offset = "Shanghai"', r"utc_offset: "),
    ("end_of_year_after = 1 }", "end_of_year_after = 1, days = 9 }", r"kinds\.beans\.expiry\[0\]: give either"),
    ("from = 2026-01-01, days", "from = 2016-01-01, days", r"kinds\.beans\.expiry: .*not in order"),
    ("at_least = 20001", "at_least = 2", r"scores\.jd-value\.tiers: not in order"),
    ('{ "plus.annual" = 12 }', '{ "plus.weekly" = 12 }', r'consultation\.quota: no product "plus\.weekly"'),
    ('"line"\nkind = "beans"\nmember', '"piece"\nkind = "beans"\nmember', rf"{AWARD_0}: Invalid enum"),
    ('kind = "beans"\nwhen = { p', 'kind = "nuts"\nwhen = { p', rf"{AWARD_1}\.kind: there is no \[kinds\.nuts\]"),
    ('rule = "purchase.amount"', 'rule = "purchase.beans"', rf"{AWARD_2}: this rule name stands twice"),
    (
        'on = "review.posted"',
        'on = "programme.published"',
        r"award.*review\.beans.*\.on: no rule can stand on .*there are order\.paid, order\.completed, ",
    ),
    ("floor_fen = 1_000 }", "floor_fen = 0 }", rf"{AWARD_1}: Expected `int` >= 1"),
    ("give = { points = 10, per_fen", "give = { per_fen", rf"{AWARD_1}\.give: give either points or steps"),
    ("when = { paid_fen", "when = { weight", rf'{AWARD_1}\.when: no field "weight"; there are'),
    ('member = "plus" ', 'member = "prime" ', rf"{AWARD_0}\.member: there is no \[memberships\.prime\]"),
    ('instead_of = "purchase.beans"', 'instead_of = "nuts"', rf'{AWARD_0}\.instead_of: there is no rule "nuts"'),
    (
        'rule = "purchase.beans"',
        'rule = "purchase.beans"\ninstead_of = "purchase.plus"',
        r'\.instead_of: "purchase\.plus" stands before it; a rule stands before the one that it leaves out',
    ),
    ('part = "purchase"', 'part = "shopping"', rf'{AWARD_2}\.part: scores\.jd-value\.parts has no "shopping"'),
    (
        'en = "Draw" }\nkinds = ["beans"]',
        'en = "Draw" }\nkinds = ["nuts"]',
        r"uses\.draw\.kinds: there is no \[kinds\.nuts\]",
    ),
    ('{ membership = "plus"', '{ membership = "prime"', r"rejection\.exempt: there is no \[memberships\.prime\]"),
]
NAMED_TABLES = [
    ("fen = 1 ", "fen = 1.5 ", r"kinds\.beans\.fen: Expected `int`, got `float`"),
    ('burn = "soonest-expiring"', 'burn = "random"', r"kinds\.beans\.burn: Invalid enum value"),
    ("days = 365\ncap", "days = -365\ncap", r"memberships\.plus\.products.*plus\.annual.*days: Expected `int` >= 1"),
    ('per = "year"', 'per = "decade"', r"memberships\.plus\.benefits\.consultation\.per: Invalid enum value"),
    ('share = "1/2"', 'share = "50%"', r"uses\.offset\.share: "),
    ('share = "1/2"', 'share = "1/0"', r"uses\.offset\.share: "),
    ("multiple = 1_000", "multiples = 1_000", r"uses\.offset: .*`multiples`"),
    ('{ "plus.annual" = 12 }', '{ "A B" = 12 }', r"benefits\.consultation\.quota: Expected `str` matching"),
    ("parts = { account =", "parts = { account = 1, x =", r"scores\.jd-value\.parts\.account: Expected `str`"),
    ("from_in_month = 2", "from_in_month = 0", r"penalties\.rejection\.from_in_month: Expected `int` >= 1"),
]


@pytest.mark.parametrize(("old", "new", "said"), BAD_BOOKS)
def test_a_bad_book_names_the_file_the_table_and_the_key(old: str, new: str, said: str) -> None:
    assert re.search(said, complaint_of(old, new))


@pytest.mark.parametrize(("old", "new", "said"), NAMED_TABLES)
def test_a_bad_book_names_which_kind_card_benefit_use_or_penalty_it_is(old: str, new: str, said: str) -> None:
    assert re.search(said, complaint_of(old, new))


def complaint_of(old: str, new: str) -> str:
    with pytest.raises(BadProgramme) as error:
        parse_programme(jd_with((old, new)), "my-book.toml")
    message = str(error.value)
    assert message.startswith("my-book.toml: ") and "\n" not in message.strip()
    return message


def test_a_book_nested_beyond_reason_is_a_bad_book_and_no_crash() -> None:
    with pytest.raises(BadProgramme):
        parse_programme("x = " + "[" * 100_000)


def test_a_book_that_is_not_shipped_is_said_to_be_missing() -> None:
    with pytest.raises(BadProgramme, match='no rule book "amazon" is shipped'):
        shipped("amazon")


def test_every_shipped_book_is_good() -> None:
    books = [path.name for path in (resources.files("ledger") / "programmes").iterdir() if path.name.endswith(".toml")]
    assert "jd.toml" in books
    for name in books:
        version = ProgrammeVersion(shipped(name.removesuffix(".toml")))
        assert version.rules or version.benefits
        assert warnings(version) == []


def test_the_shipped_book_says_what_the_contract_says() -> None:
    programme = parse_programme(JD)
    products = programme.memberships["plus"].products
    assert {name: (p.days, p.cap) for name, p in products.items()} == {
        "plus.annual": (365, 50_000),
        "plus.quarter": (90, 12_000),
        "plus.month": (30, 4_000),
        "plus.trial": (30, 4_000),
        "plus.student": (365, None),
    }
    assert set(programme.uses) == {"offset", "coupon", "data", "top-up", "service", "draw"}
    assert [tier.name for tier in programme.scores["jd-value"].tiers] == ["201", "5001", "10001", "20001"]
    assert list(programme.scores["jd-value"].parts) == ["account", "purchase", "activity", "reputation", "credit"]
    assert programme.late_days == 400 and programme.kinds["beans"].name == "京豆"
    assert shop_with(1).book.offset == 8 * 3_600 * 1_000_000


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "when = { paid_fen = { at_least = 5_000 }",
            'when = { paid_fen = { in = ["x"] }',
            r"when\.paid_fen: is a number",
        ),
        ('when = { pay = { in = ["jd-pay"] } }', "when = { pay = { at_least = 3 } }", r"when\.pay: is no number"),
        ('when = { pay = { in = ["jd-pay"] } }', 'when = { tags = { in = ["a"] } }', r"when\.tags: is a list"),
        ('when = { pay = { in = ["jd-pay"] } }', "when = { pay = {} }", r"when\.pay: says nothing"),
        (
            'cap = [{ per = "day", points = 1 }]',
            'cap = [{ per = "line", points = 1 }]',
            r"cap: per = \"line\" is for each",
        ),
        (
            'kind = "beans"\ngive = { points = 1 }\ncap',
            'kind = "beans"\nmember = "plus"\ngive = { points = 1 }\ncap',
            r"need each",
        ),
    ],
)
def test_a_rule_that_would_be_ignored_or_could_never_be_met_is_a_bad_book(old: str, new: str, said: str) -> None:
    assert re.search(said, complaint_of(old, new))


TWO_TABLES = """
programme = "two"
name = "two"
from = 2020-01-01
utc_offset = "+08:00"
[kinds]
[memberships.a]
name = "A"
products = { "a.year" = { days = 365 } }
benefits = { shipping = { name = "A" } }
[memberships.b]
name = "B"
products = { "b.year" = { days = 365 } }
benefits = { shipping = { name = "B" } }
"""


def test_a_benefits_name_stands_in_one_table_but_a_book_that_is_stored_stays_usable() -> None:
    said = r"memberships\.b\.benefits\.shipping: stands in memberships\.a\.benefits, too"
    with pytest.raises(BadProgramme, match=said):
        parse_programme(TWO_TABLES)
    assert Programme([TWO_TABLES], engine=STORED).versions[0].benefits["shipping"][0] == "b"


# -- what a bad book is told, over the command -------------------------------------------------------------------------

_BACK = """products = { "iqiyi.year" = { days = 365 } }
[memberships.iqiyi.benefits.back]
name = "返"
gives = [{ opens = "plus.annual" }]"""
REFUSED = [
    (
        'name = { zh = "运费券"',
        'naem = { zh = "运费券"',
        "memberships.plus.benefits.shipping: no key `naem`; there are name, quota, per,",
    ),
    (
        'name = { zh = "京享礼包"',
        'nmae = { zh = "京享礼包"',
        "benefits.gift-pack: no key `nmae`; there are name, quota, per,",
    ),
    (
        "days = 365\ncap",
        "dyas = 365\ncap",
        "memberships.plus.products.plus.annual: no key `dyas`; there are days, cap,",
    ),
    (
        'name = { zh = "签到"',
        'nmae = { zh = "签到"',
        'award[14] (rule "sign-in"): no key `nmae`; there are rule, name, on, give,',
    ),
    (
        "characters = { at_least",
        "characters = { atleast",
        'award[6].when.characters (rule "review.beans"): no key `atleast`; there are at_least, at_most, in, not_in,',
    ),
    (
        "who = { tier",
        "who = { teir",
        "benefits.medal-baby.who: no key `teir`; there are score, tier, card, attribute, any",
    ),
    (
        'burn = "soonest-expiring"',
        'burn = "soonest"',
        "kinds.beans.burn: Invalid enum value 'soonest'; there are soonest-expiring, oldest",
    ),
    ("[benefits.birthday]", "[benefits.shipping]", "memberships.plus.benefits.shipping: stands in benefits, too;"),
    ('rule = "sign-in"', 'rule = "shop-visit"', 'award[15] (rule "shop-visit"): this rule name stands twice'),
    (
        'products = { "iqiyi.year" = { days = 365 } }',
        _BACK,
        "memberships.iqiyi.benefits.back.gives: opens memberships.plus again, which led to it;",
    ),
    (
        "    { from = 2017-09-14, fen = 14_900 },",
        "    { from = 2017-09-14, fen = 14_900 },\n    { from = 2017-09-14, fen = 9_900 },",
        "memberships.plus.products.plus.annual.price[2]: is never reached: price[1] stands before it and holds",
    ),
    (
        "one_star_limit = 200",
        'window = "life"\none_star_limit = 200',
        "scores.jd-value.window: give one of window_months, window_days and window",
    ),
    (
        'on = "member.signed-in"\nkind = "beans"',
        'on = "tier.reached"\nscore = "jd-value"\npart = "activity"',
        'award[14] (rule "sign-in").score: a tier that is reached gives points, never a score',
    ),
]


@pytest.mark.parametrize(("old", "new", "said"), REFUSED, ids=[said for _, _, said in REFUSED])
def test_a_bad_book_is_told_the_file_the_table_the_key_and_what_is_allowed(
    old: str, new: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.toml"
    assert old in JD
    file.write_text(JD.replace(old, new, 1), encoding="utf-8")
    assert run(["--ledger", str(tmp_path / "ledger"), "programme", "check", str(file)]) == 3
    assert f"{file}: {said}" in capfd.readouterr().err
