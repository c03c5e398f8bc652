"""Traps of the grammar that no other worked example plays: docs/coverage.md has the whole list with its tests."""

import pytest

from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import BadProgramme
from tests.support.shop import Shop

BOOK = """
programme = "corner"
name = "街角"
from = 2024-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2024-01-01, days = 365 }]

[scores.growth]
name = "成长"
settle = "at-once"
window_months = 12
parts = { purchase = "消费" }
tiers = [{ at_least = 100, name = "gold" }]

[[award]]
rule = "purchase"
name = "购物"
on = "order.completed"
each = "line"
kind = "beans"
give = { points = 1, per_fen = 100 }
cap = [{ per = "order", points = 100 }]
"""


def test_a_return_goes_by_what_a_cap_had_left_of_the_award() -> None:
    shop = Shop(BOOK, now="2025-03-01 10:00")
    shop.completes("O1", [("room", 4, 40_000)])
    assert shop.beans == 100, "400 before the cap of an order"
    shop.returns("O1", [("1", 1, 10_000)])
    assert shop.beans == 75, "three quarters of the 100 that were given, and not of 400"


def test_one_order_id_of_two_systems_is_one_order() -> None:
    shop = Shop(BOOK, now="2025-03-01 10:00")
    shop.completes("1001", [("room", 1, 5_000)])
    fact = {"specversion": "1.0", "type": "order.completed.v1", "subject": "m-1", "time": "2025-03-02T10:00:00+08:00"}
    lines = [{"line": "1", "paid_fen": 2_000}]
    told = fact | {"id": "e-1", "source": "/eleme", "data": {"order": "1001", "lines": lines}}
    assert shop.hears(told) == "ignored: already"
    assert shop.hears(told | {"id": "e-2", "data": {"order": "eleme/1001", "lines": lines}}) == "accepted"
    assert shop.beans == 50 + 20


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("window_months = 12", 'window = "year"', r"scores\.growth\.window: is year; this ledger counts it months"),
        ('settle = "at-once"\n', "", r"scores\.growth\.settle: is monthly; this ledger counts it at-once"),
    ],
)
def test_a_later_version_keeps_a_scores_window_and_when_it_settles(old: str, new: str, said: str) -> None:
    book = Programme([BOOK])
    later = BOOK.replace("from = 2024-01-01\nutc", "from = 2025-01-01\nutc")
    book.add(later.replace("window_months = 12", "window_months = 13"))
    with pytest.raises(BadProgramme, match=said):
        book.add(later.replace(old, new))
