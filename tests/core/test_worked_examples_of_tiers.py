"""Tiers: what a score counts and when, how long a tier is held, what takes it away, and what is granted."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from ledger.core.account import Account
from ledger.core.evolve import evolve_entry
from ledger.rulebook.compiled import Programme, ProgrammeVersion
from ledger.rulebook.schema import BadProgramme
from ledger.wire.entries import Earned, Expired, Scored, TierHeld, TierHoldEnded, TierMoved
from projections.answers.programmes import warnings as warnings_of
from tests.support.shop import OPERATORS, Shop, instant, moment

HEAD = """
programme = "corner"
name = "街角"
from = 2014-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2014-01-01, days = 365 }]

[[award]]
rule = "purchase"
name = "消费"
on = "order.completed"
each = "line"
score = "level"
part = "purchase"
give = { points = 1, per_fen = 100 }

[[award]]
rule = "known"
name = "实名"
on = "identity.verified"
score = "level"
part = "purchase"
once = true
give = { points = 300 }

[scores.level]
name = "等级"
parts = { purchase = "消费", deduction = "扣减" }
"""
THREE = (
    'tiers = [{ at_least = 10, name = "silver" }, { at_least = 25, name = "gold" }, { at_least = 50, name = "top" }]'
)
LIFE = 'settle = "at-once"\nwindow = "life"\n'
NIGHTS = f'settle = "at-once"\nwindow = "year"\nhold = {{ end_of_year_after = 1 }}\n{THREE}'
GROWTH = """
settle = "at-once"
window = "life"
hold = { days = 365 }
deduct = { bronze = 0, silver = 1_000, gold = 4_000, diamond = 10_000 }
tiers = [
    { at_least = 1, name = "bronze" },
    { at_least = 2_000, name = "silver" },
    { at_least = 10_000, name = "gold" },
    { at_least = 30_000, name = "diamond" },
]
"""


def shop(level: str, more: str = "", now: str = "2024-03-01 10:00", head: str = HEAD) -> Shop:
    return Shop(head + level + "\n" + more, now=now)


def buys(corner: Shop, points: int, at: str = "", order: str = "") -> str:
    """An order that is worth so many points of the score."""
    return corner.completes(order or f"O{len(corner.entries) + 1}", [("book", 1, points * 100)], at=at)


def comes_back(corner: Shop, order: str, points: int, at: str = "") -> str:
    return corner.returns(order, [("1", 0, points * 100)], at=at)


def stands(corner: Shop, at: str) -> tuple[int, str]:
    """Value and tier at an instant, without any fact in between."""
    score = corner.on(at).shown["scores"]["level"]
    return score["value"], score["tier"]


def granted(corner: Shop, tier: str, until: str, at: str = "", grant: str = "G1", score: str = "level") -> str:
    data = {"grant": grant, "score": score, "tier": tier, "until": until}
    return corner._tell("tier.granted", at, data, source=OPERATORS)


def withdrawn(corner: Shop, grant: str = "G1", at: str = "") -> str:
    return corner._tell("tier.withdrawn", at, {"grant": grant}, source=OPERATORS)


def changes(corner: Shop, kind: type) -> list[Any]:
    return [change for entry in corner.entries for change in entry.changes if isinstance(change, kind)]


# -- what counts, and when ---------------------------------------------------------------------------------------------


def test_daily_counts_the_days_before_the_day() -> None:
    corner = shop(f'settle = "daily"\nwindow_days = 365\n{THREE}')
    buys(corner, 100, at="2024-03-01 10:00")
    assert stands(corner, "2024-03-01 23:59:59") == (0, "")
    assert stands(corner, "2024-03-02 00:00") == (100, "top")
    assert stands(corner, "2025-03-01 23:59:59") == (100, "top")
    assert stands(corner, "2025-03-02 00:00") == (0, "")


def test_daily_tiers_move_on_their_own_days_however_long_nothing_came() -> None:
    corner = shop(f'settle = "daily"\nwindow_days = 30\n{THREE}')
    buys(corner, 12, at="2024-03-01 10:00")
    buys(corner, 20, at="2024-03-05 10:00")
    corner.signs_in(at="2026-01-01 10:00")
    moved = [(m.before, m.after, m.at) for m in changes(corner, TierMoved)]
    assert moved == [
        ("", "silver", instant("2024-03-02")),
        ("silver", "gold", instant("2024-03-06")),
        ("gold", "silver", instant("2024-04-01")),
        ("silver", "", instant("2024-04-05")),
    ]


def test_at_once_counts_the_running_month_and_whole_ones_before_it() -> None:
    corner = shop(f'settle = "at-once"\nwindow_months = 12\n{THREE}')
    buys(corner, 30, at="2025-03-15 10:00")
    assert corner.account.tiers == {"level": "gold"}
    assert stands(corner, "2026-03-31 23:59:59") == (30, "gold")
    assert stands(corner, "2026-04-01 00:00") == (0, "")


def test_a_month_settles_on_its_day() -> None:
    corner = shop('settle_day = 8\ntiers = [{ at_least = 300, name = "ordinary" }]', now="2017-08-20 10:00")
    buys(corner, 299)
    assert stands(corner, "2017-09-07 23:59:59") == (0, "")
    assert stands(corner, "2017-09-08 00:00") == (299, "")
    corner.verifies_identity(at="2017-09-09 10:00")
    assert stands(corner, "2017-09-09 10:00") == (599, "ordinary")  # what is given once counts at once
    assert stands(corner, "2018-09-07 23:59:59") == (599, "ordinary")
    assert stands(corner, "2018-09-08 00:00") == (300, "ordinary")


def test_a_life_outlives_what_is_forgotten_and_meets_returns_of_years_ago() -> None:
    corner = shop(f'settle = "at-once"\nwindow = "life"\n{THREE}', now="2014-05-01 10:00")
    buys(corner, 60, order="OLD")
    for year in range(2015, 2024):
        corner.signs_in(at=f"{year}-05-01 10:00")
    assert stands(corner, "2024-01-01") == (60, "top")
    comes_back(corner, "OLD", 40, at="2024-01-02 10:00")
    assert stands(corner, "2024-01-02 10:00") == (20, "silver")


def test_a_value_is_never_shown_below_nought_and_the_sum_is_kept() -> None:
    corner = shop(GROWTH, now="2014-01-10 00:00")
    buys(corner, 2_500, order="O1")
    corner.signs_in(at="2015-01-10 00:00")  # silver's hold ends: 1,000 less
    comes_back(corner, "O1", 2_500, at="2015-02-01 10:00")
    assert stands(corner, "2015-02-01 10:00") == (0, "")
    buys(corner, 1_500, at="2015-03-01 10:00")
    assert stands(corner, "2015-03-01 10:00") == (500, "bronze")


def test_before_any_item_a_member_has_the_tier_of_nought_without_a_move() -> None:
    corner = shop('settle = "at-once"\nhold = { days = 30 }\n tiers = [{ at_least = 0, name = "ordinary" }]')
    corner.signs_in()
    corner.signs_in(at="2024-09-01 10:00")
    assert stands(corner, "2024-09-01 10:00") == (0, "ordinary")
    assert changes(corner, TierMoved) == changes(corner, TierHeld) == []


# -- holds -------------------------------------------------------------------------------------------------------------


def test_each_tier_has_a_hold_of_its_own() -> None:
    corner = shop(NIGHTS)
    buys(corner, 25)
    assert {c.tier: c.until_at for c in changes(corner, TierHeld)} == {
        "silver": instant("2026-01-01"),
        "gold": instant("2026-01-01"),
    }
    buys(corner, 9, at="2025-10-01 10:00")
    buys(corner, 1, at="2025-11-02 10:00")  # silver is reached in 2025, gold's own end stays
    assert stands(corner, "2025-12-31 23:59:59") == (10, "gold")
    assert corner.on("2025-12-31 23:59:59").shown["scores"]["level"]["held_until"] == "2026-01-01T00:00:00+08:00"
    assert stands(corner, "2026-01-01 00:00") == (0, "silver")
    assert stands(corner, "2026-12-31 23:59:59") == (0, "silver")
    assert stands(corner, "2027-01-01 00:00") == (0, "")


def test_a_return_pierces_a_hold_after_the_window_moved_on() -> None:
    corner = shop(NIGHTS)
    buys(corner, 25, order="O1")
    assert stands(corner, "2025-02-01") == (0, "gold")
    comes_back(corner, "O1", 16, at="2025-02-01 10:00")
    assert stands(corner, "2025-02-01 10:00") == (0, "")
    assert [(c.tier, c.why) for c in changes(corner, TierHoldEnded)] == [("silver", "pierced"), ("gold", "pierced")]


def test_bought_reached_claimed_and_returned() -> None:
    corner = shop(f'settle = "at-once"\nwindow_months = 12\nhold = {{ days = 365 }}\n{THREE}')
    buys(corner, 30, order="O1")
    comes_back(corner, "O1", 10)
    assert stands(corner, "2024-03-01 10:00") == (20, "silver")
    buys(corner, 5, order="O2")
    assert stands(corner, "2024-03-01 10:00") == (25, "gold")  # reached again: held anew
    comes_back(corner, "O2", 5)
    assert stands(corner, "2024-03-01 10:00") == (20, "silver")


def test_a_hold_is_against_ageing_and_renewed_by_reaching_not_by_having() -> None:
    corner = shop(f'settle = "at-once"\nwindow_months = 1\nhold = {{ days = 90 }}\n{THREE}')
    buys(corner, 30, at="2024-03-01 10:00")
    buys(corner, 5, at="2024-03-20 10:00")  # gold is not reached again
    assert stands(corner, "2024-05-30 09:59:59") == (0, "gold")
    assert stands(corner, "2024-05-30 10:00") == (0, "")
    buys(corner, 30, at="2024-05-10 10:00")  # within the hold: reached anew, as the value had aged
    assert stands(corner, "2024-08-08 09:59:59") == (0, "gold")
    assert stands(corner, "2024-08-08 10:00") == (0, "")


def test_a_monthly_score_is_held_from_the_month_that_reaches() -> None:
    corner = shop(f"window_months = 1\nhold = {{ days = 60 }}\n{THREE}")
    buys(corner, 30, at="2024-03-15 10:00")
    assert stands(corner, "2024-03-31 23:59") == (0, "")
    assert stands(corner, "2024-04-01") == (30, "gold")
    assert stands(corner, "2024-05-30 23:59") == (0, "gold")
    assert stands(corner, "2024-05-31") == (0, "")
    corner.signs_in(at="2024-06-10 10:00")
    moved = [(m.after, m.at) for m in changes(corner, TierMoved)]
    assert moved == [("gold", instant("2024-04-01")), ("", instant("2024-05-31"))]


def test_step_falls_one_tier_at_each_end_of_a_hold_and_holds_it_anew() -> None:
    corner = shop(f'settle = "at-once"\nwindow_months = 1\nhold = {{ days = 90 }}\ndown = "step"\n{THREE}')
    buys(corner, 60, order="O1")
    assert stands(corner, "2024-05-30 09:59") == (0, "top")
    assert stands(corner, "2024-05-30 10:00") == (0, "gold")
    assert stands(corner, "2024-08-28 10:00") == (0, "silver")
    assert stands(corner, "2024-11-26 10:00") == (0, "")
    corner.signs_in(at="2024-06-01 10:00")
    comes_back(corner, "O1", 40, at="2024-06-02 10:00")  # 20 are left without ageing: gold is pierced
    assert stands(corner, "2024-06-02 10:00") == (0, "")


def test_a_late_item_of_last_year_begins_the_hold_of_that_year() -> None:
    corner = shop(NIGHTS)
    buys(corner, 20, at="2024-03-01 10:00")
    corner.signs_in(at="2025-02-01 10:00")
    buys(corner, 5, at="2024-12-31 10:00")
    assert stands(corner, "2025-02-01 10:00") == (0, "gold")
    assert stands(corner, "2026-01-01") == (0, "")
    late = shop(NIGHTS.replace("= 1 }", "= 0 }"))
    buys(late, 20, at="2024-03-01 10:00")
    late.signs_in(at="2025-02-01 10:00")
    buys(late, 5, at="2024-12-31 10:00")
    assert stands(late, "2025-02-01 10:00") == (0, "")  # that year's hold is over


def test_a_late_item_at_once_moves_the_tier_at_the_clock() -> None:
    corner = shop(f'settle = "at-once"\nwindow_months = 12\nhold = {{ days = 30 }}\n{THREE}')
    corner.signs_in(at="2024-06-01 10:00")
    buys(corner, 30, at="2024-03-01 10:00")
    assert [(m.after, m.at) for m in changes(corner, TierMoved)] == [("gold", instant("2024-06-01 10:00"))]
    assert changes(corner, TierHeld)[-1].until_at == instant("2024-07-01 10:00")


# -- deductions --------------------------------------------------------------------------------------------------------


def test_deductions_of_dormant_years_each_have_their_due_date() -> None:
    corner = shop(GROWTH, now="2014-01-10 00:00")
    buys(corner, 20_000)
    assert stands(corner, "2015-01-09 23:59:59") == (20_000, "gold")
    assert stands(corner, "2015-01-10 00:00") == (16_000, "gold")
    assert stands(corner, "2016-01-10 00:00") == (12_000, "gold")
    assert stands(corner, "2017-01-08 23:59:59") == (12_000, "gold")
    assert stands(corner, "2017-01-09 00:00") == (8_000, "silver")
    corner.signs_in(at="2017-06-01 10:00")
    taken = [c for c in corner.last.changes if isinstance(c, Scored)]
    assert [(c.part, c.points) for c in taken] == [("deduction", -4_000)] * 3
    ends = [c.at for c in corner.last.changes if isinstance(c, TierHoldEnded)]
    assert ends == [instant("2015-01-10"), instant("2016-01-10"), instant("2017-01-09")]
    assert [(m.before, m.after, m.at) for m in corner.last.changes if isinstance(m, TierMoved)] == [
        ("gold", "silver", instant("2017-01-09"))
    ]
    assert corner.account.tier_holds["level"]["silver"].until == instant("2018-01-09")


def test_with_deduct_the_hold_begins_anew_in_another_tier() -> None:
    corner = shop(GROWTH, now="2014-01-10 00:00")
    buys(corner, 2_000, order="O1")
    buys(corner, 8_000, at="2014-06-01 00:00", order="O2")  # gold from here, and silver's hold is no more
    assert list(corner.account.tier_holds["level"]) == ["gold"]
    assert stands(corner, "2015-01-10") == (10_000, "gold")
    comes_back(corner, "O2", 1, at="2014-07-01 00:00")
    assert stands(corner, "2015-06-30 23:59") == (9_999, "silver")
    assert stands(corner, "2015-07-01 00:00") == (8_999, "silver")


def test_a_deduction_takes_no_more_than_there_is() -> None:
    book = GROWTH.replace("silver = 1_000", "silver = 5_000")
    corner = shop(book, now="2014-01-10 00:00")
    buys(corner, 2_500)
    assert stands(corner, "2015-01-10") == (0, "")
    corner.signs_in(at="2015-02-01 10:00")
    assert [c.points for c in corner.last.changes if isinstance(c, Scored)] == [-2_500]


# -- granted tiers -----------------------------------------------------------------------------------------------------


def test_a_granted_tier_is_a_floor_until_its_end() -> None:
    corner = shop(NIGHTS, now="2024-07-01 10:00")
    assert granted(corner, "silver", "2025-07-01T00:00:00+08:00") == "accepted"
    assert corner.shown["scores"]["level"]["granted_until"] == "2025-07-01T00:00:00+08:00"
    assert stands(corner, "2024-07-01 10:00") == (0, "silver")
    buys(corner, 25, at="2024-08-01 10:00")
    assert stands(corner, "2025-06-30 23:59") == (0, "gold")
    assert stands(corner, "2025-07-01") == (0, "gold")
    other = shop(NIGHTS, now="2024-07-01 10:00")
    granted(other, "top", "2025-07-01T00:00:00+08:00")
    assert stands(other, "2025-06-30 23:59:59") == (0, "top")
    assert stands(other, "2025-07-01") == (0, "")
    assert changes(other, TierHeld) == []  # a grant reaches nothing


def test_a_floor_and_a_hold_do_not_add_up() -> None:
    corner = shop(NIGHTS, now="2024-07-01 10:00")
    buys(corner, 10)
    granted(corner, "top", "2024-12-01T00:00:00+08:00")
    assert stands(corner, "2024-12-01") == (10, "silver")  # two tiers down at once


def test_a_grant_is_withdrawn_once() -> None:
    corner = shop(NIGHTS)
    granted(corner, "gold", "2025-07-01T00:00:00+08:00")
    assert granted(corner, "top", "2025-07-01T00:00:00+08:00") == "ignored: already"
    assert withdrawn(corner) == "accepted"
    assert stands(corner, "2024-03-01 10:00") == (0, "")
    assert withdrawn(corner) == "ignored: already"
    assert withdrawn(corner, "G2") == "ignored: unknown-grant"
    assert granted(corner, "gold", "2025-07-01T00:00:00+08:00") == "ignored: already"
    assert granted(corner, "iron", "2025-07-01T00:00:00+08:00", grant="G3") == "ignored: unknown-tier"
    assert granted(corner, "gold", "2025-07-01T00:00:00+08:00", grant="G3", score="rank") == "ignored: unknown-tier"
    assert granted(corner, "gold", "2024-03-01T10:00:00+08:00", grant="G3") == "ignored: over"


def test_an_invited_tier_needs_its_points_and_an_invitation() -> None:
    tiers = 'tiers = [{ at_least = 10, name = "silver" }, { at_least = 25, name = "apass", invited = true }]'
    corner = shop(f'settle = "at-once"\nwindow = "life"\nhold = {{ days = 30 }}\n{tiers}')
    granted(corner, "apass", "2025-01-01T00:00:00+08:00")
    assert stands(corner, "2024-03-01 10:00") == (0, "")
    buys(corner, 25)
    assert stands(corner, "2024-03-01 10:00") == (25, "apass")
    assert stands(corner, "2025-01-01") == (25, "silver")
    withdrawn(corner)
    assert stands(corner, "2024-03-01 10:00") == (25, "silver")
    granted(corner, "apass", "2025-01-01T00:00:00+08:00", grant="G2")
    assert stands(corner, "2024-03-01 10:00") == (25, "apass")


# -- time, and versions ------------------------------------------------------------------------------------------------


def _due(corner: Shop) -> list[Any]:
    return [change for change in corner.last.changes if isinstance(change, Expired | TierMoved)]


def test_what_is_due_is_written_strictly_by_its_instant() -> None:
    beans = '[[award]]\nrule = "beans"\nname = "豆"\non = "member.signed-in"\nkind = "beans"\ngive = { points = 1 }\n'
    corner = shop(f"window_months = 1\n{THREE}", beans)
    corner.signs_in(at="2024-03-01 10:00")  # a bean for 365 days
    buys(corner, 30, at="2025-01-15 10:00")
    corner.visits("s", at="2025-06-01 10:00")
    due = [(type(c).__name__, c.due_at if isinstance(c, Expired) else c.at) for c in _due(corner)]
    assert due == [
        ("TierMoved", instant("2025-02-01")),
        ("TierMoved", instant("2025-03-01")),
        ("Expired", instant("2025-03-01 10:00")),
    ]


def test_a_tier_that_time_raised_awards_at_the_due_instant() -> None:
    reached = (
        '[[award]]\nrule = "welcome"\nname = "升级"\non = "tier.reached"\nkind = "beans"\n'
        'when = { tier = { in = ["gold"] } }\ngive = { points = 100 }\n'
    )
    corner = shop(f"window_months = 12\n{THREE}", reached)
    buys(corner, 30)
    assert corner.beans == 0
    assert corner.on("2024-04-01").beans == 100
    corner.signs_in(at="2024-06-01 10:00")
    (earned,) = [c for c in corner.last.changes if isinstance(c, Earned)]
    assert (earned.points, earned.earned_at) == (100, instant("2024-04-01"))


def test_a_new_version_places_anew_and_nothing_is_reached_by_that() -> None:
    first = f'settle = "at-once"\nhold = {{ days = 30 }}\n{THREE}'
    second = first.replace("at_least = 25", "at_least = 15").replace('"silver"', '"argent"')
    corner = shop(first)
    buys(corner, 20)
    assert stands(corner, "2024-03-01 10:00") == (20, "silver")
    corner.book.add(HEAD.replace("2014-01-01\nutc", "2024-04-01\nutc") + second)
    assert stands(corner, "2024-03-31 23:59") == (20, "silver")
    assert stands(corner, "2024-04-01") == (20, "gold")
    corner.signs_in(at="2024-04-05 10:00")
    assert [(m.before, m.after, m.at) for m in corner.last.changes if isinstance(m, TierMoved)] == [
        ("silver", "gold", instant("2024-04-01"))
    ]
    assert [c.tier for c in changes(corner, TierHeld)] == ["silver"]
    corner.book.add(
        HEAD.replace("2014-01-01\nutc", "2024-04-02\nutc") + second.replace("15", "10").replace("argent", "a")
    )
    corner.signs_in(at="2024-04-06 10:00")  # published later: at the clock of the next entry
    assert [c for c in corner.last.changes if isinstance(c, TierMoved)] == []
    corner.book.add(HEAD.replace("2014-01-01\nutc", "2024-04-03\nutc") + first)
    corner.signs_in(at="2024-04-07 10:00")
    assert [(m.before, m.after, m.at) for m in corner.last.changes if isinstance(m, TierMoved)] == [
        ("gold", "silver", instant("2024-04-07 10:00"))
    ]


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("deduct = { silver = 5 }", "deduct: needs hold and window"),
        ('settle = "at-once"\nwindow = "life"\ndeduct = { silver = 5 }', "deduct: needs hold"),
        ('settle = "at-once"\nwindow = "year"\nwindow_months = 3', "window: give one of"),
        ('settle = "daily"', 'settle: "daily" needs window_days'),
        ('settle = "daily"\nwindow_days = 3\nwindow_months = 3', "window: give one of"),
        ("window_days = 3", 'window_days: needs settle = "daily"'),
        ('window = "life"', 'window: "life" needs settle = "at-once"'),
        ('settle = "daily"\nwindow_days = 9\nwindow = "year"', "window: give one of"),
        ('settle = "at-once"\nsettle_day = 8', "settle_day: is for"),
        ("settle_day = 29", "scores.level.settle_day"),
        ("hold = {}", "hold: give either days or end_of_year_after"),
        ("hold = { days = 3, end_of_year_after = 1 }", "hold: give either"),
        (
            'settle = "at-once"\nwindow = "life"\nhold = { days = 9 }\ndeduct = { iron = 5 }\n' + THREE,
            "deduct: no tier iron",
        ),
        (
            'settle = "at-once"\nwindow = "life"\nhold = { days = 9 }\ndeduct = { silver = 5 }\ndown = "step"\n'
            + THREE,
            'down: "step" is not for a score with deduct',
        ),
        ("window_months = 24", "window_months: 24 months need late_days of 775"),
    ],
)
def test_a_bad_book_is_told_table_and_key(level: str, said: str) -> None:
    with pytest.raises(BadProgramme, match=r"scores\.level") as told:
        Programme([HEAD + level])
    assert said in str(told.value)


@pytest.mark.parametrize(
    "later",
    [
        f'settle = "at-once"\nwindow = "life"\n{THREE}',
        f'settle = "at-once"\n{THREE}',
        'settle = "daily"\nwindow_days = 9',
    ],
)
def test_a_new_version_cannot_change_what_sums_are_kept(later: str) -> None:
    book = Programme([HEAD + THREE])
    with pytest.raises(BadProgramme, match=r"scores\.level"):
        book.add(HEAD.replace("2014-01-01\nutc", "2024-04-01\nutc") + later)


def test_a_window_that_grows_is_warned_of() -> None:
    book = Programme([HEAD + "window_months = 6\n" + THREE])
    later = ProgrammeVersion(HEAD.replace("2014-01-01\nutc", "2024-04-01\nutc") + "window_months = 12\n" + THREE)
    said = [text for text in warnings_of(later, book) if "scores.level" in text]
    assert said == [
        "scores.level: its window grows from 6 months to 12: "
        "what was dropped before is not in it, until as many months have passed"
    ]


SHAPES = {
    "monthly": f"window_months = 3\nhold = {{ days = 45 }}\n{THREE}",
    "step": f'settle = "at-once"\nwindow_months = 2\nhold = {{ days = 50 }}\ndown = "step"\n{THREE}',
    "daily": f'settle = "daily"\nwindow_days = 40\nhold = {{ days = 20 }}\n{THREE}',
    "year": NIGHTS,
    "life": LIFE + THREE,
    "deduct": LIFE + "hold = { days = 60 }\ndeduct = { silver = 5, gold = 20 }\n" + THREE,
    "settled": f"window_months = 2\nsettle_day = 8\nhold = {{ days = 31 }}\n{THREE}",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_what_time_does_depends_on_no_fact_that_came_meanwhile(shape: str, seed: int) -> None:
    random, start = Random(seed), datetime(2024, 1, 1, tzinfo=UTC)
    quiet, busy = shop(SHAPES[shape]), shop(SHAPES[shape])
    bought: dict[str, int] = {}
    hour = 0
    for number in range(25):
        hour += random.randrange(1, 24 * 40)
        at = (start + timedelta(hours=hour)).isoformat()
        for between in range(hour - 200, hour, 50):
            when = (start + timedelta(hours=between)).isoformat()
            if moment(when) > busy.now:
                busy.signs_in(at=when)
        order = random.choice([*bought, ""])
        for corner in (quiet, busy):
            if order and number % 3 == 0:
                comes_back(corner, order, bought[order], at=at)
            else:
                buys(corner, 5 + number * 7 % 40, at=at, order=f"N{number}")
        if order and number % 3 == 0:
            del bought[order]
        else:
            bought[f"N{number}"] = 5 + number * 7 % 40
        assert quiet.account.tiers.get("level", "") == busy.account.tiers.get("level", "")
        assert quiet.account.tier_holds == busy.account.tier_holds
        assert quiet.account.tier_moves == busy.account.tier_moves
        later = (start + timedelta(hours=hour + random.randrange(1, 24 * 90))).isoformat()
        assert stands(quiet, later) == stands(busy, later)
        assert stands(quiet, later)[1] == quiet.on(later).account.tiers.get("level", "")
        folded = Account()
        for entry in quiet.entries:
            evolve_entry(folded, entry)
        assert folded.tier_holds == quiet.account.tier_holds
    times = [c.at for c in changes(quiet, TierMoved)]
    assert times == sorted(times)
