"""Instants are integers: microseconds since 1970-01-01T00:00Z. Months and days are counted in the book's zone.

A month is the integer ``year * 12 + month - 1``, a day is days since 1970-01-01; both are local to the zone, which is a
fixed offset from UTC in microseconds, or a `TimeZone` whose offset changes.
"""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from msgspec import Struct

SECOND = 1_000_000
DAY = 86_400 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIN_INSTANT = 0
MAX_INSTANT = 32_503_680_000 * SECOND  # 3000-01-01T00:00Z: no clock gets there, so what ends then never does
LAST_MONTH = 2999 * 12 + 11


class TimeZone(Struct, frozen=True, eq=False, gc=False):
    """A zone by its transitions: from the instant `starts[i]` on, local time is `offsets[i]` microseconds ahead of UTC.

    The first offset holds before its start too, and the last one for ever.
    """

    name: str
    starts: tuple[int, ...]
    offsets: tuple[int, ...]


Zone = int | TimeZone


def offset_at(instant: int, zone: Zone) -> int:
    """How far local time is ahead of UTC at an instant, in microseconds."""
    if isinstance(zone, int):
        return zone
    return zone.offsets[max(bisect_right(zone.starts, instant) - 1, 0)]


def local_at(instant: int, zone: Zone) -> int:
    """What clocks show at an instant, in microseconds since 1970-01-01T00:00 by those clocks."""
    return instant + offset_at(instant, zone)


def instant_at(local: int, zone: Zone) -> int:
    """The instant at which clocks show a local time: the first of two, and the end of the gap that skips it."""
    if isinstance(zone, int):
        return local - zone
    starts, offsets = zone.starts, zone.offsets
    place = max(bisect_right(starts, local - 2 * DAY) - 1, 0)
    while place + 1 < len(starts) and local - offsets[place] >= starts[place + 1]:
        place += 1
    instant = local - offsets[place]
    return instant if place == 0 else max(instant, starts[place])


def to_instant(moment: datetime) -> int:
    """An aware datetime as microseconds since the epoch (exact; no float is involved)."""
    delta = moment - EPOCH
    return delta.days * DAY + delta.seconds * SECOND + delta.microseconds


def to_datetime(instant: int, zone: Zone = 0) -> datetime:
    """An instant as an aware datetime of a zone."""
    offset = timezone(timedelta(microseconds=offset_at(instant, zone)))
    return (EPOCH + timedelta(microseconds=instant)).astimezone(offset)


@lru_cache(maxsize=16_384)
def to_text(instant: int, zone: Zone) -> str:
    """RFC 3339 in the given zone; a fraction only where there is one."""
    return to_datetime(instant, zone).isoformat()


def end_text(instant: int, zone: Zone) -> str | None:
    """The end of points as `to_text` says it, None where they have none."""
    return to_text(instant, zone) if instant < MAX_INSTANT else None


def parse_instant(text: str, zone: Zone) -> int:
    """An instant from RFC 3339, or from a date or local time, which are the zone's. Raises ValueError."""
    moment = datetime.fromisoformat(text.strip())
    is_local = moment.tzinfo is None
    instant = to_instant(moment.replace(tzinfo=UTC) if is_local else moment)
    if is_local:
        instant = instant_at(instant, zone)
    if not MIN_INSTANT <= instant < MAX_INSTANT:
        raise ValueError(f"{text} lies outside the years 1970 to 2999")
    return instant


@lru_cache(maxsize=8192)
def month_of_day(day: int) -> int:
    """The month of a day, as year * 12 + month - 1."""
    date = (EPOCH + timedelta(days=day)).date()
    return date.year * 12 + date.month - 1


def day_of(instant: int, zone: Zone) -> int:
    """The local day of an instant, in days since 1970-01-01."""
    return (instant + zone if isinstance(zone, int) else local_at(instant, zone)) // DAY


def month_of(instant: int, zone: Zone) -> int:
    """The local month of an instant, as year * 12 + month - 1."""
    return month_of_day((instant + zone if isinstance(zone, int) else local_at(instant, zone)) // DAY)


@lru_cache(maxsize=8192)
def first_day(month: int) -> int:
    """The first day of a month."""
    year, index = divmod(month, 12)
    return to_instant(datetime(year, index + 1, 1, tzinfo=UTC)) // DAY


@lru_cache(maxsize=8192)
def month_start(month: int, zone: Zone) -> int:
    """The instant at which a local month begins; `MAX_INSTANT` where that lies beyond every clock."""
    return MAX_INSTANT if month > LAST_MONTH else instant_at(first_day(month) * DAY, zone)


def months_later(instant: int, months: int, zone: Zone, anchor: int | None = None) -> int:
    """The instant in the month `months` after an instant's, on the anchor's local day and at its time of day.

    `anchor` is an instant, by default the first one. A month that lacks the day has its last day instead. Source: the
    contract's rule for terms of months (29 February and a year is 28 February).
    """
    month = month_of(instant, zone) + months
    if month >= LAST_MONTH:
        return MAX_INSTANT
    local = local_at(instant if anchor is None else anchor, zone)
    day, time = divmod(local, DAY)
    of_month = day - first_day(month_of_day(day))
    day = min(first_day(month) + of_month, first_day(month + 1) - 1)
    return instant_at(day * DAY + time, zone)


@lru_cache(maxsize=8192)
def month_text(month: int) -> str:
    """A month as ``YYYY-MM``."""
    year, index = divmod(month, 12)
    return f"{year:04d}-{index + 1:02d}"


@lru_cache(maxsize=8192)
def day_text(day: int) -> str:
    """A day as ``YYYY-MM-DD``."""
    return (EPOCH + timedelta(days=day)).date().isoformat()
