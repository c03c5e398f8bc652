"""The local stream as its users see it: an append-only, durable inbox of a ledger, with positions of its own.

It is kept where the ledger is: in a file of its folder, or beside the partitions' journals in PostgreSQL. What every
inbox must do is said in cases by `tests/support/inbox_contract.py`.
"""

import heapq
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from msgspec import Struct

from consumers.stream import Record
from ledger.errors import CannotRunNow
from ledger.journal.port import JournalError


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


class End(NamedTuple):
    """Where a partition ends: its last record's offset, the latest recorded, and the number that orders all lines."""

    position: int = -1
    recorded: int = 0
    number: int = 0


class Inbox(ABC):
    """The inbox of a ledger. An inbox belongs to one thread; how many processes may append is up to the ledger."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions

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

        Raises `CannotAppend` where that cannot be done now.
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


def numbered_by_partition(lines: Sequence[InboxLine], first: int) -> dict[int, list[Numbered]]:
    """Return the lines of each partition, numbered from `first` in the order they came."""
    found: dict[int, list[Numbered]] = defaultdict(list)
    for numbered in enumerate(lines, first):
        found[numbered[1].partition].append(numbered)
    return found


def places_of(lines: Sequence[InboxLine], firsts: Mapping[int, int]) -> list[tuple[int, int]]:
    """The (partition, offset) of each line, where its partition's lines stand densely from the offset in `firsts`."""
    following = {partition: count(offset) for partition, offset in firsts.items()}
    return [(line.partition, next(following[line.partition])) for line in lines]
