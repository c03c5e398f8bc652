"""A book's time zone as the machine that publishes it knows it: its transitions, written into the book's text.

A decision is derived again years later on another machine, whose tables of time zones may differ. So a book that names
a `time_zone` carries the zone's transitions, and only whoever publishes it asks the machine for them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ledger.rulebook.bounded_toml import read_toml
from ledger.rulebook.schema import BadProgramme
from ledger.wire.unreadable import UNREADABLE

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_STEP = timedelta(hours=12)  # no zone changes its clocks twice in it
_SECOND = timedelta(seconds=1)


def with_transitions(toml: str, where: str = "rule book") -> str:
    """A book's text with the transitions of its `time_zone`, from 1970 to 2099, at its end.

    The text as it is where it names no zone, has them already, or is no TOML: the check says what is wrong with it.
    Raises `BadProgramme` for a zone that this machine does not know.
    """
    try:
        document = read_toml(toml)
    except UNREADABLE:
        return toml
    name = document.get("time_zone")
    if not isinstance(name, str) or "transitions" in document:
        return toml
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadProgramme(
            f"{where}: time_zone: this machine knows no zone {name}; give one such as Europe/Berlin"
        ) from None
    lines = [f'    {{ at = {at:%Y-%m-%dT%H:%M:%SZ}, offset = "{_text(offset)}" }},' for at, offset in _changes(zone)]
    return "\n".join([toml.rstrip("\n"), "", "[transitions]", f'"{name}" = [', *lines, "]", ""])


def _changes(zone: ZoneInfo) -> Iterator[tuple[datetime, timedelta]]:
    """The offset at the first instant, then each instant at which it becomes another one."""
    before = _offset(zone, _FIRST)
    yield _FIRST, before
    low = _FIRST
    while low < _LAST:
        high = min(low + _STEP, _LAST)
        if _offset(zone, high) != before:
            first, last = low, high
            while last - first > _SECOND:
                middle = first + (last - first) // 2
                middle = middle.replace(microsecond=0)
                first, last = (middle, last) if _offset(zone, middle) == before else (first, middle)
            before = _offset(zone, last)
            if last < _LAST:
                yield last, before
        low = high


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _text(offset: timedelta) -> str:
    """An offset from UTC as a book says it: ``+02:00``, with seconds where there are any."""
    sign, seconds = ("-", -offset) if offset < timedelta() else ("+", offset)
    minutes, rest = divmod(int(seconds.total_seconds()), 60)
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}" + (f":{rest:02d}" if rest else "")
