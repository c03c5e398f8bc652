"""Instants are integers: microseconds since 1970-01-01T00:00Z. Months and days are counted at a fixed offset.

A month is the integer ``year * 12 + month - 1``, a day is days since 1970-01-01; both are local to the book's offset.
"""

from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

SECOND = 1_000_000
DAY = 86_400 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIN_INSTANT = 0
MAX_INSTANT = 32_503_680_000 * SECOND  # 3000-01-01T00:00Z


def to_instant(moment: datetime) -> int:
    """An aware datetime as microseconds since the epoch (exact; no float is involved)."""
    delta = moment - EPOCH
    return delta.days * DAY + delta.seconds * SECOND + delta.microseconds


def to_datetime(instant: int, offset: int = 0) -> datetime:
    """An instant as an aware datetime at ``offset`` microseconds east of UTC."""
    return (EPOCH + timedelta(microseconds=instant)).astimezone(timezone(timedelta(microseconds=offset)))


@lru_cache(maxsize=16_384)
def to_text(instant: int, offset: int) -> str:
    """RFC 3339 at the given offset; a fraction only where there is one."""
    return to_datetime(instant, offset).isoformat()


def parse_instant(text: str, offset: int) -> int:
    """An instant from RFC 3339, or from a date or local time, which stand at ``offset``. Raises ValueError."""
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone(timedelta(microseconds=offset)))
    instant = to_instant(moment)
    if not MIN_INSTANT <= instant < MAX_INSTANT:
        raise ValueError(f"{text} lies outside the years 1970 to 2999")
    return instant


@lru_cache(maxsize=8192)
def month_of_day(day: int) -> int:
    """The month of a day, as year * 12 + month - 1."""
    date = (EPOCH + timedelta(days=day)).date()
    return date.year * 12 + date.month - 1


def day_of(instant: int, offset: int) -> int:
    """The local day of an instant, in days since 1970-01-01."""
    return (instant + offset) // DAY


def month_of(instant: int, offset: int) -> int:
    """The local month of an instant, as year * 12 + month - 1."""
    return month_of_day((instant + offset) // DAY)


@lru_cache(maxsize=8192)
def month_start(month: int, offset: int) -> int:
    """The instant at which a local month begins."""
    year, index = divmod(month, 12)
    return to_instant(datetime(year, index + 1, 1, tzinfo=UTC)) - offset


@lru_cache(maxsize=8192)
def month_text(month: int) -> str:
    """A month as ``YYYY-MM``."""
    year, index = divmod(month, 12)
    return f"{year:04d}-{index + 1:02d}"


@lru_cache(maxsize=8192)
def day_text(day: int) -> str:
    """A day as ``YYYY-MM-DD``."""
    return (EPOCH + timedelta(days=day)).date().isoformat()
