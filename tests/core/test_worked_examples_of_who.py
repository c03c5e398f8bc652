"""Conditions on the member: who earns by a rule, who may spend, and what is known of her."""

from typing import Any

import msgspec
import pytest

from ledger.core import who
from ledger.core.account import Account
from ledger.core.evolve import evolve_entry
from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import BadProgramme
from ledger.wire.entries import Earned, Withheld
from tests.support.shop import Shop, instant

BOOK = """
programme = "corner"
name = "街角"
from = 2024-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2024-01-01, days = 730 }]

[attributes.kind]
name = "客户类型"
values = ["person", "enterprise"]

[attributes.rating]
name = "评级"
type = "number"

[attributes.birthday]
name = "生日"
type = "month-day"

[scores.level]
name = "等级"
parts = { purchase = "消费" }
tiers = [{ at_least = 100, name = "silver" }, { at_least = 1_000, name = "gold" }]

[memberships.plus]
name = "PLUS"
products = { "plus.annual" = { days = 365, cap = 150 }, "plus.trial" = { days = 30, trial = true } }

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
BEANS = """
[[award]]
rule = "beans"
name = "返豆"
on = "order.completed"
each = "line"
kind = "beans"
give = { points = 1, per_fen = 100 }
"""


def shop(who: str, more: str = "", book: str = BOOK, now: str = "2025-03-01 10:00") -> Shop:
    """A shop whose beans are for some members only."""
    return Shop(book + BEANS + f"who = {{ {who} }}\n" + more, now=now)


def described(shop: Shop, at: str = "", **attributes: Any) -> str:
    return shop._tell("member.described", at, {"attributes": attributes})


def withheld(shop: Shop) -> list[Withheld]:
    return [change for change in shop.last.changes if isinstance(change, Withheld)]


def test_a_rule_for_a_tier_gives_to_that_tier_and_says_who_it_is_not_for() -> None:
    corner = shop('tier = { level = { in = ["silver"] } }')
    corner.completes("O1", [("book", 1, 10_000)])
    assert corner.beans == 0
    assert withheld(corner) == [Withheld("beans", "not-entitled", "1", 100)]
    corner.completes("O2", [("book", 1, 10_000)], at="2025-04-01 00:00")
    assert corner.beans == 100


def test_the_order_that_raises_a_tier_earns_at_the_old_one() -> None:
    corner = shop('tier = { level = { in = [""] } }')
    corner.completes("O1", [("book", 1, 20_000), ("book", 1, 20_000)])
    assert corner.beans == 400  # both lines, although the first alone is worth a tier


def test_a_late_fact_is_judged_by_the_tier_that_was_known_for_its_instant() -> None:
    corner = shop('tier = { level = { in = ["silver"] } }')
    corner.completes("O1", [("book", 1, 10_000)])
    corner.signs_in(at="2025-04-02 10:00")  # silver since 2025-04-01T00:00
    corner.completes("O2", [("book", 1, 3_000)], at="2025-03-31 23:59")
    assert corner.beans == 0
    corner.completes("O3", [("book", 1, 3_000)], at="2025-04-01 00:00")
    assert corner.beans == 30


def test_a_tier_that_moved_because_of_a_late_fact_does_not_reach_back() -> None:
    corner = shop('tier = { level = { in = ["silver"] } }')
    corner.signs_in(at="2025-04-02 10:00")
    corner.completes("O1", [("book", 1, 10_000)], at="2025-03-31 10:00")  # silver from 2025-04-02 10:00 on
    corner.completes("O2", [("book", 1, 5_000)], at="2025-04-01 10:00")
    assert corner.beans == 0
    corner.completes("O3", [("book", 1, 5_000)], at="2025-04-02 10:00")
    assert corner.beans == 50


@pytest.mark.parametrize("kind", ["enterprise", "robot", None])
def test_what_is_unknown_is_not_known_to_be_something_else(kind: str | None) -> None:
    corner = shop('attribute = { kind = { not_in = ["enterprise"] } }')
    if kind:
        described(corner, kind=kind)
    corner.completes("O1", [("book", 1, 10_000)])
    assert corner.beans == 0  # "robot" is none of the values: unknown
    described(corner, kind="person")
    corner.completes("O2", [("book", 1, 10_000)])
    assert corner.beans == 100
    described(corner, kind="")
    corner.completes("O3", [("book", 1, 10_000)])
    assert corner.beans == 100


def test_a_number_has_bounds_and_nothing_is_below_none() -> None:
    corner = shop("attribute = { rating = { at_most = 80 } }")
    corner.completes("O1", [("book", 1, 10_000)])
    assert corner.beans == 0
    described(corner, rating=80)
    corner.completes("O2", [("book", 1, 10_000)])
    assert corner.beans == 100


def test_credit_and_stars_are_built_in_and_nought_is_unknown() -> None:
    corner = shop("attribute = { credit = { at_most = 30 } }")
    corner.has_credit(0)
    corner.completes("O1", [("book", 1, 10_000)])
    corner.has_credit(30)
    corner.completes("O2", [("book", 1, 10_000)])
    assert corner.beans == 100


def test_of_two_tellings_the_one_that_occurred_later_holds() -> None:
    corner = shop('attribute = { kind = { in = ["person"] } }')
    assert described(corner, kind="enterprise", at="2025-03-02 10:00") == "accepted"
    assert described(corner, kind="person", at="2025-03-01 10:00") == "accepted"
    corner.completes("O1", [("book", 1, 10_000)], at="2025-03-02 10:00")
    assert corner.beans == 0
    described(corner, kind="person", at="2025-03-02 10:00")  # the same instant: the later in the stream
    corner.completes("O2", [("book", 1, 10_000)])
    assert corner.beans == 100
    described(corner, kind="", at="2025-03-04 10:00")
    described(corner, kind="person", at="2025-03-03 10:00")  # a removal keeps its instant
    corner.completes("O3", [("book", 1, 10_000)], at="2025-03-04 10:00")
    assert corner.beans == 100
    corner.has_credit(40, at="2025-03-04 10:00")
    corner.has_credit(20, at="2025-03-03 10:00")
    assert corner.account.credit == 40


def test_undeclared_and_ill_typed_attributes_are_a_note_and_the_others_count() -> None:
    corner = shop('attribute = { kind = { in = ["person"] } }')
    told = described(corner, shoe=43, rating="good", birthday="02-30", kind="person")
    assert told == "accepted: unknown-attribute"
    assert corner.last.figures == {"attributes": "rating,birthday,shoe"}  # the book's order, then the fact's
    assert described(corner, birthday=["08-08"], rating=1.5, kind=True) == "accepted: unknown-attribute"
    assert described(corner, birthday="02-29", rating=-3) == "accepted"
    assert described(corner, birthday="08") == "accepted"
    values = {name: value for name, (value, _) in corner.account.attributes.items()}
    assert values == {"kind": "person", "rating": -3, "birthday": "08"}


def test_who_card_holds_in_a_trial_too_and_leaves_the_cards_cap_alone() -> None:
    corner = shop("card = { plus = { active = true } }")
    corner.tries_plus()
    corner.completes("O1", [("book", 1, 20_000)])
    assert corner.beans == 200  # above the cap of any card, and not frozen
    assert corner.account.terms["plus"][0].capped == 0
    corner.completes("O2", [("book", 1, 20_000)], at="2025-04-15 10:00")
    assert corner.beans == 200
    assert withheld(corner)[0].why == "not-entitled"


def test_a_card_that_is_bought_is_not_held_before_it() -> None:
    only = 'card = { plus = { in = ["plus.annual"] } }'
    corner = shop(only)
    corner.tries_plus()
    corner.completes("O1", [("book", 1, 10_000)])
    assert corner.beans == 0
    corner.buys("plus.annual")
    corner.completes("O2", [("book", 1, 10_000)])
    assert corner.beans == 100
    without = shop("card = { plus = { active = false } }")
    without.completes("O1", [("book", 1, 10_000)])
    without.tries_plus()
    without.completes("O2", [("book", 1, 10_000)])
    assert without.beans == 100


def test_of_any_one_must_hold() -> None:
    corner = shop('any = [{ attribute = { kind = { in = ["enterprise"] } } }, { card = { plus = { active = true } } }]')
    corner.completes("O1", [("book", 1, 10_000)])
    assert corner.beans == 0
    described(corner, kind="enterprise")
    corner.completes("O2", [("book", 1, 10_000)])
    assert corner.beans == 100


def test_what_fails_who_marks_no_day_and_no_first_category() -> None:
    first = """
[[award]]
rule = "first"
name = "首购"
on = "order.completed"
each = "line"
kind = "beans"
first = "category"
who = { attribute = { kind = { in = ["person"] } } }
give = { points = 7 }

[[award]]
rule = "days"
name = "三天"
on = "order.completed"
kind = "beans"
days_in_month = 2
who = { attribute = { kind = { in = ["person"] } } }
give = { points = 1_000 }
"""
    corner = shop('attribute = { kind = { in = ["enterprise"] } }', first)
    corner.completes("O1", [("book", 1, 100)], at="2025-03-01 10:00")
    described(corner, kind="person")
    corner.completes("O2", [("book", 1, 100)], at="2025-03-02 10:00")
    assert corner.beans == 7  # still the first, and the first day of two
    corner.completes("O3", [("book", 1, 100)], at="2025-03-03 10:00")
    assert corner.beans == 1_007


def test_a_rule_whose_when_does_not_hold_writes_no_line() -> None:
    corner = shop('tier = { level = { in = ["gold"] } }', 'when = { category = { in = ["food"] } }')
    corner.completes("O1", [("book", 1, 10_000)])
    assert withheld(corner) == []


def test_a_line_that_an_amendment_adds_is_judged_by_who_its_member_is_then() -> None:
    corner = shop('tier = { level = { in = ["silver"] } }')
    corner.completes("O1", [("book", 1, 10_000)])
    corner.amends("O1", [("book", 1, 10_000), ("pen", 1, 5_000)])
    assert (corner.beans, withheld(corner)) == (0, [Withheld("beans", "not-entitled", "2", 50)])
    corner.amends("O1", [("book", 1, 10_000), ("pen", 1, 5_000), ("ink", 1, 2_000)], at="2025-04-01 00:00")
    assert corner.beans == 20


def test_one_condition_is_asked_once_for_all_rules_that_have_it_and_never_out_of_their_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr(who, "tier_at", lambda *_: asked.append(1) or "silver")
    silver = 'who = { tier = { level = { in = ["silver"] } } }\n'
    rules = "".join(BEANS.replace('"beans"\nname', f'"beans-{i}"\nname') + silver for i in range(5))
    over = (
        BEANS.replace('"beans"\nname', '"over"\nname') + silver.replace('"silver"', '"gold"') + "until = 2025-03-01\n"
    )
    corner = Shop(BOOK + rules + over, now="2025-03-01 10:00")
    corner.completes("O1", [("book", 1, 10_000), ("pen", 1, 10_000)])
    assert (corner.beans, len(asked)) == (1_000, 1)


def test_a_return_asks_nobody_again() -> None:
    corner = shop('attribute = { kind = { in = ["person"] } }')
    described(corner, kind="person")
    corner.completes("O1", [("book", 1, 10_000)])
    described(corner, kind="enterprise")
    corner.returns("O1", [("1", 0, 5_000)])
    assert corner.beans == 50


def test_a_use_for_some_is_refused_with_the_condition_that_failed() -> None:
    some = "\n[uses.lounge]\nname = '休息室'\nkinds = ['beans']\n"
    some += "who = { score = { level = { at_least = 100 } }, tier = { level = { not_in = ['gold'] } } }\n"
    corner = Shop(BOOK + BEANS + some, now="2025-03-01 10:00")
    corner.completes("O1", [("book", 1, 10_000)])
    assert corner.redeems(10, "lounge") == "refused: not-entitled"
    assert corner.last.figures == {"who": "score.level, is 0"}
    assert corner.beans == 100
    assert corner.redeems(10, "lounge", at="2025-04-01 00:00") == "accepted"
    corner.completes("O2", [("book", 1, 1_000_000)])
    assert corner.redeems(10, "lounge", at="2025-05-01 00:00") == "refused: not-entitled"
    assert corner.last.figures == {"who": "tier.level, is gold"}


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ('tier = { rank = { in = ["gold"] } }', "who.tier.rank: there is no [scores.rank]"),
        ('tier = { level = { in = ["iron"] } }', 'who.tier.level: scores.level.tiers has no "iron"'),
        ("tier = { level = { at_least = 3 } }", "who.tier.level: is no number"),
        ("tier = { level = {} }", "who.tier.level: says nothing"),
        ("score = { level = { at_least = 3 } }", "who.score.level: an award may come late"),
        ("card = { gold = { active = true } }", "who.card.gold: there is no [memberships.gold]"),
        ('card = { plus = { in = ["plus.month"] } }', 'who.card.plus: no product "plus.month"'),
        ("card = { plus = {} }", "who.card.plus: says nothing"),
        ('attribute = { shoe = { in = ["43"] } }', "who.attribute.shoe: there is no [attributes.shoe]"),
        ('attribute = { kind = { in = ["robot"] } }', 'who.attribute.kind: "robot" is none of its values'),
        ('attribute = { rating = { in = ["1"] } }', "who.attribute.rating: is a number"),
        ('attribute = { birthday = { in = ["13-01"] } }', 'who.attribute.birthday: "13-01" is no month and day'),
        ('any = [{ tier = { rank = { in = ["x"] } } }]', "who.any[0].tier.rank: there is no [scores.rank]"),
        ("any = [{}]", "who.any[0]: says nothing"),
        ("", "who: says nothing"),
        ("shoe = 43", 'who (rule "beans"): no key `shoe`; there are score, tier, card, attribute, any'),
    ],
)
def test_a_bad_book_is_told_file_table_and_key(who: str, said: str) -> None:
    with pytest.raises(BadProgramme) as told:
        Programme([BOOK + BEANS + f"who = {{ {who} }}\n"], "corner.toml")
    assert str(told.value).startswith("corner.toml: ")
    assert said in str(told.value)
    assert 'rule "beans"' in str(told.value)


def test_attributes_that_cannot_be_declared() -> None:
    for table, said in (
        ("[attributes.credit]\nname = 'x'\ntype = 'number'", "attributes.credit: is built in"),
        ("[attributes.age]\nname = 'x'\ntype = 'number'\nvalues = ['1']", "attributes.age.values"),
        ("[attributes.age]\nname = 'x'\ntype = 'float'", "attributes.age"),
    ):
        with pytest.raises(BadProgramme, match=said):
            Programme([BOOK + table])


def test_no_bean_moves_by_a_description() -> None:
    corner = shop('attribute = { kind = { in = ["person"] } }')
    described(corner, kind="person")
    assert not any(isinstance(change, Earned) for change in corner.last.changes)


def test_what_engine_1_moved_is_kept_by_no_fold_as_its_snapshots_have_none() -> None:
    corner = shop('tier = { level = { in = ["silver"] } }')
    corner.completes("O1", [("book", 1, 10_000)])
    corner.signs_in(at="2025-04-02 10:00")
    assert corner.account.tier_moves["level"] == [(0, ""), (instant("2025-04-01"), "silver")]
    of_engine_1, of_engine_2 = Account(), Account()
    for entry in corner.entries:
        evolve_entry(of_engine_1, msgspec.structs.replace(entry, engine=1))
        evolve_entry(of_engine_2, entry)
    assert of_engine_1.tier_moves == {}
    assert of_engine_1.tiers == of_engine_2.tiers == {"level": "silver"}
    assert of_engine_2.tier_moves == corner.account.tier_moves
