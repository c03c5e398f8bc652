"""Worked examples of fees: what a card costs whom, who may open it, and when money back for it is due.

How to read them: test_worked_examples.py.
"""

import pytest

from ledger.rulebook.checks import parse_programme
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import BadProgramme
from tests.support.shop import Shop

ENTERPRISE = """
programme = "enterprise"
name = "e"
from = 2006-01-01
utc_offset = "+08:00"
[kinds]
[attributes.kind]
name = "k"
values = ["enterprise", "institution", "person"]
[memberships.ent]
name = "E"
[memberships.ent.products]
"ent.classic" = { days = 365, price = [{ fen = 9_900 }], who = { attribute = { kind = { in = ["enterprise"] } } } }
"ent.premium" = { days = 365, price = [{ fen = 29_900 }], who = { attribute = { kind = { in = ["enterprise"] } } } }
"ent.trial" = { days = 30, trial = true, who = { attribute = { kind = { in = ["enterprise"] } } } }
"""


def enterprise(kind: str = "") -> Shop:
    shop = Shop(ENTERPRISE, now="2025-08-10 09:00")
    if kind:
        shop.tells("member.described", attributes={"kind": kind})
    return shop


def test_a_card_at_its_price_for_whom_it_is_has_no_note() -> None:
    shop = enterprise("enterprise")
    assert shop.buys("ent.classic", paid_fen=9_900) == "accepted"
    term = shop.shown["memberships"]["ent"]
    assert (term["state"], term["until"]) == ("active", "2026-08-10T09:00:00+08:00")


@pytest.mark.parametrize("kind", ["person", ""])
def test_a_card_that_is_not_for_the_member_opens_all_the_same(kind: str) -> None:
    shop = enterprise(kind)
    assert shop.buys("ent.premium", paid_fen=1) == "accepted: not-eligible"
    said = "person" if kind else "unknown"
    assert shop.last.figures == {"who": f"attribute.kind, is {said}"}, "of several notes not-eligible comes first"
    assert shop.shown["memberships"]["ent"]["state"] == "active"
    assert enterprise(kind).redeems_code("ent.premium") == "accepted: not-eligible"
    assert enterprise(kind).tells("card.trial-started", card="T", product="ent.trial") == "accepted: not-eligible"


def test_another_price_is_noted() -> None:
    shop = enterprise("enterprise")
    assert shop.buys("ent.premium", paid_fen=19_900) == "accepted: price-differs"
    assert shop.last.figures == {"paid_fen": 19_900, "price_fen": 29_900}
    assert shop.redeems_code("ent.premium") == "accepted", "a code has no price"


GATED = """
programme = "gated"
name = "g"
from = 2017-09-14
utc_offset = "+08:00"
[kinds]
[scores.plus-score]
name = "PLUS综合分"
window_months = 12
parts = { activity = "a" }
tiers = [{ at_least = 90, name = "may-open" }]
[memberships.plus]
name = "PLUS"
[memberships.plus.products."plus.annual"]
days = 365
price = [{ fen = 9_900 }]
who = { score = { plus-score = { at_least = 90 } } }
GATE
[[award]]
rule = "rated"
name = "r"
on = "activity.done"
score = "plus-score"
part = "activity"
give = { points = 1, per_count = 1 }
"""
UNTIL = "who_until = 2024-07-03T11:00:00+08:00"
FROM = "who_from = 2024-07-03"


@pytest.mark.parametrize(
    ("gate", "bought", "is_noted"),
    [
        ("", "2025-01-01", True),
        (UNTIL, "2024-07-03 10:59:59", True),
        (UNTIL, "2024-07-03 11:00:00", False),
        (FROM, "2024-07-02 23:59:59", False),
        (FROM, "2024-07-03 00:00:00", True),
        (f"{FROM}\n{UNTIL}", "2024-07-03 10:00", True),
        (f"{FROM}\n{UNTIL}", "2024-07-03 12:00", False),
    ],
)
def test_a_gate_is_asked_until_it_is_retired_at_an_hour(gate: str, bought: str, is_noted: bool) -> None:
    """89 of the 90 points that were wanted; what the fact says late is judged by when it occurred."""
    shop = Shop(GATED.replace("GATE", gate), now="2024-06-03 10:00")
    shop.tells("activity.done", done="D", activity="a", count=89)
    outcome = "accepted: not-eligible" if is_noted else "accepted"
    assert shop.buys("plus.annual", at=bought) == outcome
    shop.tells("activity.done", at="2026-03-01", done="E", activity="a")
    late = Shop(GATED.replace("GATE", gate), now="2024-06-03 10:00")
    late.tells("activity.done", done="D", activity="a", count=89)
    late.tells("activity.done", at="2025-03-01", done="E", activity="a")
    assert late.buys("plus.annual", at=bought) == outcome


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("who_until = 2024-07-03T11:00:00", "who_until: 2024-07-03T11:00:00 has no offset"),
        ('who_from = "soon-or-later"', "who_from: soon-or-later is no date"),
    ],
)
def test_a_gate_with_another_time_is_a_bad_book(gate: str, said: str) -> None:
    with pytest.raises(BadProgramme, match=said):
        parse_programme(GATED.replace("GATE", gate))
    with pytest.raises(BadProgramme, match=r"products\.plus\.annual\.who_until: says when `who` is asked"):
        parse_programme(GATED.replace("GATE", UNTIL).replace("who = { score", "# who = { score"))


PRICES = """
programme = "prices"
name = "p"
from = 2006-01-01
utc_offset = "+08:00"
[kinds.beans]
name = "b"
expiry = [{ from = 2006-01-01, never = true }]
[scores.growth]
name = "g"
parts = { purchase = "p" }
tiers = [{ at_least = 100, name = "v3" }]
[memberships.super]
name = "S"
[memberships.super.products."super.annual"]
days = 365
refund = REFUND
price = [
    { from = 2020-01-08, fen = 10_900, who = { tier = { growth = { in = ["v3"] } } } },
    { from = 2017-12-01, fen = 14_900 },
]
[memberships.super.benefits.pack]
name = "p"
[[award]]
rule = "growth"
name = "g"
on = "order.completed"
each = "line"
score = "growth"
part = "purchase"
give = { points = 1, per_fen = 100 }
[[award]]
rule = "super"
name = "s"
on = "order.completed"
each = "line"
kind = "beans"
member = "super"
give = { points = 1, per_fen = 100 }
"""


def buyer(refund: str = "{ unused = true }", *, is_v3: bool = True) -> Shop:
    shop = Shop(PRICES.replace("REFUND", refund), now="2019-12-01")
    if is_v3:
        shop.completes("O", [("phone", 1, 10_000)], at="2019-12-01")
    return shop


@pytest.mark.parametrize(
    ("at", "is_v3", "price"),
    [
        ("2020-02-01", True, 10_900),
        ("2020-02-01", False, 14_900),
        ("2020-01-07 23:59:59", True, 14_900),
        ("2020-01-08", True, 10_900),
        ("2017-11-30", False, None),
    ],
)
def test_the_first_price_that_holds_is_the_price(at: str, is_v3: bool, price: int | None) -> None:
    shop = buyer(is_v3=is_v3)
    if price is None:
        shop = Shop(PRICES.replace("REFUND", "{}"), now=at)
        assert shop.buys("super.annual", paid_fen=1) == "accepted", "no price, no note"
        return
    assert shop.buys("super.annual", at=at, paid_fen=price) == "accepted"
    assert shop.buys("super.annual", at=at, paid_fen=price - 1) == "accepted: price-differs"
    assert shop.last.figures["price_fen"] == price


def test_a_renewal_is_priced_when_it_is_bought_and_not_when_it_begins() -> None:
    shop = buyer()
    shop.buys("super.annual", at="2020-01-07", paid_fen=14_900)
    assert shop.buys("super.annual", at="2020-01-07", paid_fen=14_900) == "accepted"


def test_a_card_that_gave_points_is_used() -> None:
    shop = buyer()
    shop.buys("super.annual", at="2020-02-01", card="C", paid_fen=10_900)
    shop.completes("O2", [("phone", 1, 10_000)])
    shop.returns("O2", [("1", 1, 10_000)])
    assert shop.refunds_card("C", refund_fen=10_900) == "accepted: refund-not-due"
    assert shop.last.figures == {"why": "used"}
    assert shop.on("2020-02-02").shown["memberships"]["super"]["state"] == "ended", "it is refunded all the same"


def test_so_is_one_of_which_a_benefit_was_claimed() -> None:
    shop = buyer()
    shop.buys("super.annual", at="2020-02-01", card="C", paid_fen=10_900)
    shop.claims("pack")
    assert shop.refunds_card("C", refund_fen=10_900) == "accepted: refund-not-due"


@pytest.mark.parametrize(
    ("at", "outcome"),
    [("2020-02-08 00:00", "accepted"), ("2020-02-08 00:00:00.000001", "accepted: refund-not-due")],
)
def test_money_back_is_late_after_so_many_days(at: str, outcome: str) -> None:
    shop = buyer("{ within_days = 7, unused = true }")
    shop.buys("super.annual", at="2020-02-01", card="C", paid_fen=10_900)
    assert shop.refunds_card("C", at=at, refund_fen=10_900) == outcome
    assert shop.last.figures.get("why", "late") == "late"


def test_used_comes_before_late_and_too_much_before_both() -> None:
    shop = buyer("{ within_days = 7, unused = true }")
    shop.buys("super.annual", at="2020-02-01", card="C", paid_fen=10_900)
    shop.buys("super.annual", at="2020-02-01", card="D", paid_fen=10_900)
    shop.claims("pack")
    assert shop.refunds_card("D", at="2020-03-01", refund_fen=10_901) == "accepted: refund-above-price"
    assert shop.last.figures == {"refund_fen": 10_901, "paid_fen": 10_900}
    shop.refunds_card("C", at="2020-03-01", refund_fen=10_900)
    assert shop.last.figures == {"why": "used"}


def test_without_a_rule_every_refund_is_due() -> None:
    shop = buyer("{}")
    shop.buys("super.annual", at="2020-02-01", card="C", paid_fen=10_900)
    shop.claims("pack")
    assert shop.refunds_card("C", at="2020-12-01", refund_fen=10_900) == "accepted"


def test_a_price_that_nobody_can_meet_is_a_bad_book() -> None:
    turned = PRICES.replace("REFUND", "{}").replace(
        "fen = 14_900 },", "fen = 14_900 },\n{ from = 2021-01-01, fen = 5 },"
    )
    with pytest.raises(BadProgramme, match=r"memberships.super.products.super.annual.price\[2\]: is never reached"):
        ProgrammeVersion(turned)


def test_a_bad_condition_names_its_place() -> None:
    with pytest.raises(BadProgramme, match=r"products\.super\.annual\.price\[0\]\.who\.tier\.growth"):
        parse_programme(PRICES.replace("REFUND", "{}").replace('in = ["v3"]', 'in = ["v9"]'))
