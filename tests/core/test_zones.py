"""A book's time zone: its days and months begin by the zone's clocks, summer time included."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ledger.rulebook.compiled import Programme, ProgrammeVersion
from ledger.rulebook.schema import BadProgramme
from ledger.wire.times import instant_at, local_at, month_start, months_later, parse_instant, to_instant, to_text
from service.time_zones import with_transitions
from tests.support.shop import Shop

BOOK = """
programme = "berlin"
name = "b"
from = 2020-01-01
time_zone = "Europe/Berlin"
[kinds.beans]
name = "b"
expiry = [{ from = 2020-01-01, end_of_month_after = 0 }]
"""
BERLIN = ProgrammeVersion(with_transitions(BOOK)).offset


@pytest.mark.parametrize("name", ["Europe/Berlin", "Africa/Monrovia", "America/St_Johns", "Asia/Shanghai"])
def test_the_transitions_say_what_the_zone_says(name: str) -> None:
    zone = ProgrammeVersion(with_transitions(BOOK.replace("Europe/Berlin", name))).offset
    own, at = ZoneInfo(name), datetime(1970, 1, 1, tzinfo=UTC)
    while at.year < 2100:
        offset = at.astimezone(own).utcoffset()
        assert local_at(to_instant(at), zone) == to_instant(at + (offset or timedelta())), at
        at += timedelta(days=5, hours=7)


def test_days_begin_by_the_zones_clocks_in_winter_and_in_summer() -> None:
    shop = Shop(with_transitions(BOOK))
    for at, end in (("2025-01-10", "2025-02-01T00:00:00+01:00"), ("2025-07-10", "2025-08-01T00:00:00+02:00")):
        shop.is_granted(5, at=f"{at}T10:00:00Z")
        assert shop.shown["points"]["beans"]["lots"][0]["expires_at"] == end


def test_a_time_that_clocks_skip_is_the_end_of_the_gap_and_of_two_it_is_the_first() -> None:
    assert to_text(parse_instant("2025-03-30T02:30:00", BERLIN), BERLIN) == "2025-03-30T03:00:00+02:00"
    assert to_text(parse_instant("2025-10-26T02:30:00", BERLIN), BERLIN) == "2025-10-26T02:30:00+02:00"
    assert to_text(parse_instant("2025-10-26T03:00:00", BERLIN), BERLIN) == "2025-10-26T03:00:00+01:00"


def test_local_time_and_back_is_the_same_instant_where_clocks_do_not_fall_back() -> None:
    for day in range(0, 40_000, 13):
        noon = (day * 24 + 12) * 3_600_000_000
        assert local_at(instant_at(noon, BERLIN), BERLIN) == noon


def test_months_later_keeps_the_time_of_day_across_summer_time() -> None:
    start = parse_instant("2025-01-31T12:00:00", BERLIN)
    assert [to_text(months_later(start, n, BERLIN), BERLIN) for n in (1, 2, 3)] == [
        "2025-02-28T12:00:00+01:00",
        "2025-03-31T12:00:00+02:00",
        "2025-04-30T12:00:00+02:00",
    ]
    assert to_text(months_later(parse_instant("2025-02-28T02:30:00", BERLIN), 1, BERLIN), BERLIN)[:10] == "2025-03-28"


def test_after_the_last_transition_its_offset_stays() -> None:
    assert to_text(month_start(2150 * 12 + 6, BERLIN), BERLIN) == "2150-07-01T00:00:00+01:00"


def test_the_version_is_named_by_the_text_and_its_transitions() -> None:
    whole = with_transitions(BOOK)
    assert with_transitions(whole) == whole
    other = whole.replace("2025-03-30T01:00:00Z", "2025-03-30T02:00:00Z")
    assert ProgrammeVersion(whole).name != ProgrammeVersion(other).name


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (BOOK, "transitions: none of Europe/Berlin"),
        (BOOK.replace("time_zone", 'utc_offset = "+01:00"\ntime_zone'), "give either utc_offset or time_zone"),
        (BOOK.replace('time_zone = "Europe/Berlin"', ""), "give either utc_offset or time_zone"),
    ],
)
def test_a_book_says_its_zone_once_and_whole(toml: str, said: str) -> None:
    with pytest.raises(BadProgramme, match=said):
        ProgrammeVersion(toml)


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(BadProgramme, match="knows no zone Europe/Atlantis"):
        with_transitions(BOOK.replace("Berlin", "Atlantis"))


def test_a_later_version_has_the_same_zone_and_the_same_past() -> None:
    book = Programme([with_transitions(BOOK)])
    later = with_transitions(BOOK.replace("from = 2020-01-01\ntime", "from = 2030-01-01\ntime"))
    book.add(later.replace("2031-03-30T01:00:00Z", "2031-04-06T01:00:00Z"))
    with pytest.raises(BadProgramme, match="transitions: differ"):
        book.add(later.replace("2025-03-30T01:00:00Z", "2025-03-31T01:00:00Z"))
    with pytest.raises(BadProgramme, match="time_zone: is Europe/Paris; this ledger counts at Europe/Berlin"):
        book.add(with_transitions(BOOK.replace("Berlin", "Paris").replace("2020", "2031")))
    with pytest.raises(BadProgramme, match="time_zone"):
        book.add(BOOK.replace('time_zone = "Europe/Berlin"', 'utc_offset = "+01:00"').replace("2020", "2031"))
