"""Worked examples of a book's own expiry: months, ends of months, never, and points that end when they are idle.

How to read them: test_worked_examples.py.
"""

import pytest

from ledger.rulebook.checks import parse_programme
from ledger.rulebook.schema import BadProgramme
from tests.support.shop import Shop

ONE_STAR = """
programme = "expiring"
name = "x"
from = 2016-01-01
utc_offset = "+08:00"
[kinds.beans]
name = "b"
expiry = [{ from = 2016-01-01, HOW }]
[uses.coupon]
name = "c"
kinds = ["beans"]
"""


def shop(how: str) -> Shop:
    return Shop(ONE_STAR.replace("HOW", how))


def ends(of: Shop) -> list[str | None]:
    return [lot["expires_at"] for lot in of.shown["points"]["beans"]["lots"]]


def test_points_that_never_end_have_no_end() -> None:
    member = shop("never = true")
    member.is_granted(7, at="2025-03-10")
    assert ends(member) == [None]
    assert member.on("2999-12-31").beans == 7


@pytest.mark.parametrize(
    ("how", "earned", "end"),
    [
        ("end_of_month_after = 1", "2025-03-10", "2025-05-01T00:00:00+08:00"),
        ("end_of_month_after = 0", "2025-03-31 23:59:59", "2025-04-01T00:00:00+08:00"),
        ("months = 1", "2025-01-31 12:00", "2025-02-28T12:00:00+08:00"),
        ("months = 12", "2024-02-29 12:00", "2025-02-28T12:00:00+08:00"),
        ("months = 3", "2025-11-11 10:00", "2026-02-11T10:00:00+08:00"),
    ],
)
def test_points_end_by_months(how: str, earned: str, end: str) -> None:
    member = shop(how)
    member.is_granted(7, at=earned)
    assert ends(member) == [end]
    assert member.on(end).beans == 0


IDLE = "idle_days = 730"


def test_one_movement_moves_the_end_of_all() -> None:
    """Marriott: 6,000 points of 2024-06-01T12:00 end 2026-06-01T12:00; one point a minute before carries them on."""
    member = shop(IDLE)
    member.is_granted(6_000, at="2024-06-01 12:00")
    assert ends(member) == ["2026-06-01T12:00:00+08:00"]
    assert member.on("2026-06-01 11:59:59").beans == 6_000 and member.on("2026-06-01 12:00").beans == 0
    member.is_granted(1, at="2026-06-01 11:59")
    assert ends(member) == ["2028-05-31T11:59:00+08:00"] * 2
    assert member.on("2028-05-31 11:58:59").beans == 6_001 and member.on("2028-05-31 11:59").beans == 0


def test_a_redemption_and_its_reversal_keep_the_points_alive() -> None:
    member = shop(IDLE)
    member.is_granted(100, at="2020-01-01")
    member.redeems(40, at="2021-01-01", redemption="R")
    member.gives_back("R", at="2022-01-01")
    assert (member.beans, ends(member)) == (100, ["2024-01-01T00:00:00+08:00"])


def test_a_claw_back_and_a_hold_do_not() -> None:
    member = shop(IDLE)
    member.is_granted(100, at="2020-01-01")
    member.is_adjusted(-10, at="2021-01-01")
    member.holds("H", 20, until="2021-06-01", at="2021-02-01")
    assert ends(member.on("2021-07-01")) == ["2021-12-31T00:00:00+08:00"]


def test_what_is_restored_or_released_after_the_end_is_gone_at_once() -> None:
    member = shop(IDLE)
    member.is_granted(100, at="2020-01-01")
    member.redeems(40, at="2020-01-02", redemption="R")
    member.holds("H", 20, until="2024-01-01", at="2020-01-03")
    member.is_granted(5, at="2023-01-01")
    assert member.beans == 5, "40 are spent, 20 are held, 40 ended 730 days after the redemption"
    member.gives_back("R", at="2023-01-02")
    member.releases("H", at="2023-01-03")
    assert (member.beans, member.purse.expired) == (5, 100)
    assert ends(member) == ["2024-12-31T00:00:00+08:00"], "what was gone keeps nothing alive"


def test_an_end_of_its_own_may_come_before_the_idle_one() -> None:
    member = shop(IDLE)
    member.is_granted(5, at="2023-01-01", expires="2023-02-01")
    member.is_granted(7, at="2023-01-01")
    assert member.on("2023-02-01").beans == 7


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("days = 1, months = 1", "give either days"),
        ("never = false", "give either days"),
        ("days = 5 }, { from = 2020-01-01, idle_days = 5", "idle_days is the only period of its kind"),
    ],
)
def test_a_book_says_one_end_for_each_period(how: str, said: str) -> None:
    with pytest.raises(BadProgramme, match=said):
        parse_programme(ONE_STAR.replace("HOW", how))
