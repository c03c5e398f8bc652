"""The local stream as its users see it: an append-only, durable inbox of a ledger, with positions of its own.

It is kept where the ledger is: in a file of its folder, or beside the partitions' journals in PostgreSQL. What every
inbox must do is said in cases by `tests/support/inbox_contract.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple, Protocol

from msgspec import Struct

from consumers.stream import Record, Stream
from ledger.errors import CannotRunNow
from ledger.journal.port import JournalError


class Line(Struct, frozen=True, gc=False):
    """A line to append: see `Record` for the last two."""

    partition: int
    recorded: int
    backlog: int
    key: str
    value: bytes
    whole_length: int = 0
    whole_sha256: bytes = b""


class Feed(NamedTuple):
    """How far a source was fed: `size` bytes and `lines` of it are in, `digest` is the SHA-256 of those bytes.

    `tail` is the SHA-256 of a last line that was taken without its end, which may be still to come: its bytes do not
    count in `size`.
    """

    number: int
    size: int
    lines: int
    digest: bytes
    tail: bytes = b""


class Fed(NamedTuple):
    """Where a record of a feed stands: `line` orders the records of a feed as they came."""

    line: int
    partition: int
    offset: int
    key: str


class CannotAppend(CannotRunNow, JournalError):
    """The inbox cannot be written now (a full disk); what was taken of the batch all the same counts once if resent."""


class Inbox(Stream, Protocol):
    """The inbox of a ledger. An inbox belongs to one thread; how many processes may append is up to the ledger."""

    def last_recorded(self, partition: int) -> int:
        """The latest recorded of a partition, 0 where it is empty."""
        ...

    def record(self, partition: int, offset: int) -> Record | None:
        """The record at an offset."""
        ...

    def append(self, lines: Sequence[Line], feed: Feed | None = None) -> list[tuple[int, int]]:
        """Append lines, and move a feed on with them; returns the (partition, offset) of each line.

        Raises `CannotAppend` where that cannot be done now.
        """
        ...

    def feeds_of(self, source: str) -> list[Feed]:
        """What was fed from a source of that name, the latest first."""
        ...

    def new_feed(self, source: str) -> Feed:
        """Begin to feed from a source."""
        ...

    def spans_of(self, feed: int) -> list[tuple[int, int, int]]:
        """The (partition, first, last) between whose offsets the records of a feed stand, with those of others."""
        ...

    def records_of(self, feed: int) -> Iterator[Fed]:
        """Where the records of a feed stand, in the order they came, streamed."""
        ...

    def count_after(self, partition: int, after: int, feed: int) -> int:
        """How many records of a feed stand behind an offset."""
        ...

    def drop(self, partition: int, offset: int, length: int, sha256: bytes) -> None:
        """Remove a record's bytes for good; its length and hash stay in their place."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def places_of(lines: Sequence[Line], firsts: Mapping[int, int]) -> list[tuple[int, int]]:
    """The (partition, offset) of each line, where its partition's lines stand densely from the offset in `firsts`."""
    following = {partition: count(offset) for partition, offset in firsts.items()}
    return [(line.partition, next(following[line.partition])) for line in lines]
