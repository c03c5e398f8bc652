"""The local stream as its users see it: an append-only, durable inbox of a ledger, with positions of its own.

It is kept where the ledger is: in a file of its folder, or beside the partitions' journals in PostgreSQL. What every
inbox must do is said in cases by `tests/support/inbox_contract.py`.
"""

import heapq
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import NamedTuple

import msgspec
from msgspec import Struct

from consumers import clock
from consumers.runtime.intake import MAX_AHEAD
from consumers.stream import Record, pushed_by
from ledger.errors import CannotRunNow
from ledger.journal.port import JournalError
from ledger.wire.facts import LEDGER_SOURCE, PROGRAMME_SUBJECT
from ledger.wire.times import to_instant
from ledger.wire.unreadable import UNREADABLE


class InboxLine(Struct, frozen=True, gc=False):
    """A line to append: see `Record` for the last two."""

    partition: int
    recorded: int
    backlog: int
    key: str
    value: bytes
    whole_length: int = 0
    whole_sha256: bytes = b""


Numbered = tuple[int, InboxLine]  # with a number that orders the records of a feed
Append = Callable[[Sequence[InboxLine]], list[tuple[int, int]]]  # returns the (partition, offset) of each line


class SourceCursor(NamedTuple):
    """How far a source was fed: `size` bytes and `lines` of it are in, `digest` is the SHA-256 of those bytes.

    `tail` is the SHA-256 of a last line that was taken without its end, which may be still to come: its bytes do not
    count in `size`.
    """

    number: int
    size: int
    lines: int
    digest: bytes
    tail: bytes = b""


class FedRecord(NamedTuple):
    """Where a record of a feed stands: `line` orders the records of a feed as they came."""

    line: int
    partition: int
    offset: int
    key: str


class CannotAppend(CannotRunNow, JournalError):
    """The inbox cannot be written now (a full disk); what was taken of the batch all the same counts once if resent."""


class ClockAhead(CannotAppend):
    """This host's clock is far ahead of what a second source says: nothing was stamped with it, nor appended."""


class End(NamedTuple):
    """Where a partition ends: its last record's offset, the latest recorded, and the number that orders all lines."""

    position: int = -1
    recorded: int = 0
    number: int = 0


class Inbox(ABC):
    """The inbox of a ledger. An inbox belongs to one thread; how many processes may append is up to the ledger."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._tolerance = clock.tolerance()

    @property
    def id(self) -> str:
        """What tells this inbox from others, for life; "" where it cannot be replaced without its journals."""
        return ""

    @abstractmethod
    def _end(self, partition: int) -> End:
        """Return where a partition ends."""

    def end(self, partition: int) -> int:
        """Return the offset of a partition's last record, -1 where it is empty."""
        return self._end(partition).position

    def last_recorded(self, partition: int) -> int:
        """Return the latest recorded of a partition, 0 where it is empty."""
        return self._end(partition).recorded

    @abstractmethod
    def read(self, partition: int, after: int, limit: int, most_bytes: int = 1 << 62) -> Sequence[Record]:
        """Up to `limit` records of a partition behind an offset, and no more once they hold `most_bytes`."""

    def record(self, partition: int, offset: int) -> Record | None:
        """The record at an offset."""
        found = self.read(partition, offset - 1, 1)
        return found[0] if found and found[0].offset == offset else None

    @abstractmethod
    def append(self, lines: Sequence[InboxLine], feed: SourceCursor | None = None) -> list[tuple[int, int]]:
        """Append lines, and move a feed on with them; returns the (partition, offset) of each line.

        Raises `CannotAppend` where that cannot be done now (a full disk, another process that feeds the same).
        """

    @abstractmethod
    def feeds_of(self, source: str) -> list[SourceCursor]:
        """What was fed from a source of that name, the latest first."""

    @abstractmethod
    def new_feed(self, source: str) -> SourceCursor:
        """Begin to feed from a source."""

    @abstractmethod
    def spans_of(self, feed: int) -> list[tuple[int, int, int]]:
        """The (partition, first, last) between whose offsets the records of a feed stand, with those of others."""

    def records_of(self, feed: int) -> Iterator[FedRecord]:
        """Where the records of a feed stand, in the order they came, streamed."""
        return heapq.merge(*(self._fed(feed, *span) for span in self.spans_of(feed)))

    @abstractmethod
    def _fed(self, feed: int, partition: int, first: int, last: int) -> Iterator[FedRecord]:
        """The records of a feed in a span of a partition."""

    @abstractmethod
    def count_after(self, partition: int, after: int, feed: int) -> int:
        """How many records of a feed stand behind an offset."""

    @abstractmethod
    def drop(self, partition: int, offset: int, length: int, sha256: bytes) -> None:
        """Remove a record's bytes for good; its length and hash stay in their place."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""


def last_stamp(lines: Iterable[InboxLine]) -> int:
    """Return the latest instant that this host's clock gave lines, 0 where it gave none.

    A published rule book is recorded as late as any partition, whatever the clock says.
    """
    stamps = (line.recorded for line in lines if not line.backlog and line.key != PROGRAMME_SUBJECT)
    return max(stamps, default=0)


def check_by_clock(stamp: int, other: int, tolerance: int, whose: str) -> None:
    """Raise `ClockAhead` where a stamp is further ahead of another clock than is allowed."""
    if stamp > other + tolerance:
        raise ClockAhead(
            f"this host's clock says {clock.says(stamp)}, and {whose} says {clock.says(other)}: nothing was taken,"
            f" since it would be recorded in the future; {clock.way_out(stamp, other)}"
        )


def check_by_facts(lines: Iterable[InboxLine], last: int, tolerance: int) -> None:
    """Raise `ClockAhead` where lines are stamped long after the ledger's last record, and their own times deny it.

    They do where the latest of them is near the last record, but not near the stamp. Facts that are older than that
    come late, and say nothing about the present instant. `last` is 0 where there is no record.
    """
    lines = list(lines)
    stamp, allowed = last_stamp(lines), max(tolerance, clock.LEAST_BY_FACTS)
    if not last or stamp <= last + allowed:
        return
    times = [at for line in lines if (at := _time_of(line.value)) <= stamp + MAX_AHEAD]
    latest = max(times, default=0)
    if last - allowed <= latest < stamp - allowed:
        raise ClockAhead(
            f"this host's clock says {clock.says(stamp)}, and what comes in is from {clock.says(latest)} at the latest;"
            f" the ledger's last record is from {clock.says(last)}: nothing was taken, since it may be recorded in the"
            f" future; {clock.way_out(stamp, max(last, latest))}"
        )


class _Timed(Struct, gc=False):
    time: datetime
    source: str = ""


_timed = msgspec.json.Decoder(_Timed)


def _time_of(value: bytes) -> int:
    """Return the time of a fact in microseconds; 0 where it cannot be read, and of a follow-up, whose fact is older."""
    try:
        fact = _timed.decode(value)
        return 0 if fact.source.startswith(LEDGER_SOURCE) else to_instant(fact.time)
    except (*UNREADABLE, OverflowError):
        return 0


def numbered_by_partition(lines: Sequence[InboxLine], first: int) -> dict[int, list[Numbered]]:
    """Return the lines of each partition, numbered from `first` in the order they came."""
    found: dict[int, list[Numbered]] = defaultdict(list)
    for numbered in enumerate(lines, first):
        found[numbered[1].partition].append(numbered)
    return found


def pushed_of(lines: Iterable[InboxLine], recorded: Iterable[int]) -> list[int]:
    """Return by how much each line's `recorded` is later than the clock said (see `pushed_by`).

    0 where no clock was asked: in a backlog, and for a line that declares nothing.
    """
    return [
        0 if line.backlog or not line.recorded else pushed_by(at, line.recorded)
        for line, at in zip(lines, recorded, strict=True)
    ]


def places_of(lines: Sequence[InboxLine], firsts: Mapping[int, int]) -> list[tuple[int, int]]:
    """The (partition, offset) of each line, where its partition's lines stand densely from the offset in `firsts`."""
    following = {partition: count(offset) for partition, offset in firsts.items()}
    return [(line.partition, next(following[line.partition])) for line in lines]
