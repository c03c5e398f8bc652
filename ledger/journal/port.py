"""What a journal is asked and answers with: its rows by name, its errors, and the claims of who writes it.

A journal holds one partition: entries with their chain, receipts, pages, snapshots, parked facts and the stream's
offset. `sql.Journal` is what all stores do alike; `tests/support/store_contract.py` says in cases what each must do.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from ledger.errors import CannotRunNow, Unusable, damage

STREAM = "facts"  # the tracking name of the stream's offset
TOPIC = "points.entry.v1"  # a stored event's topic: a stable name, never a path of code
KEPT_WHOLE = 64 * 1024  # bytes of a dead letter that are kept
SOURCES = 10_000  # numbers of sources that a journal remembers


# Of a journal that a ledger has and that is empty.
NOTHING_IN_IT = (
    "holds no journal: it was emptied, or cut to nothing. Nothing was made in its place: put its newest copy back"
    " (`points restore` makes a whole ledger from a backup), then `points verify`"
)
# Of a ledger's settings or first book that are missing.
PUT_BACK = (
    "nothing was made in its place: put back the newest copy, or let `points store settings --put-back` write it from"
    " what a journal keeps of it"
)


class Fenced(CannotRunNow):
    """Another owner has raised the fencing token: nothing was written, and this owner must stop."""


class JournalError(Unusable):
    """A journal that cannot be used: what is wrong, and the way out."""


class NothingThere(JournalError):
    """A ledger's journal is not where it should be."""


class Damaged(JournalError):
    """What is stored cannot be read, or contradicts what is to be written."""

    def for_people(self) -> str:
        """Return the message with the way out."""
        return damage(self)


class Unavailable(CannotRunNow, JournalError):
    """The store cannot be read or written now (a full disk, no rights, no connection); later it may be.

    Of a batch that was being committed nobody knows whether it is in: its owner is made anew and reads where it stands.
    """


class BeingSplit(Unavailable):
    """The partition is being split or moved, or was split since the ledger was opened: it is not decided on so."""


class WentBack(Unavailable):
    """The store is not as its owner left it, by its own token: an earlier state of it stands there now.

    Nothing was written. What the owner holds in memory may never have been; who acquires reads what is there.
    """


class Head(NamedTuple):
    """Where a journal stands: entries so far, the chain's last link, the stream's offset and its last recorded."""

    entries: int
    link: bytes
    offset: int  # offset of the last record taken, -1 before the first
    recorded: int


class DeadLetter(NamedTuple):
    """A record that is no fact, with the reason; `raw` may be a part, `length` and `sha256` are of the whole bytes."""

    offset: int
    recorded: int
    reason: str
    detail: str
    length: int
    sha256: bytes
    raw: bytes
    is_done: bool = False  # driven again, or its bytes were dropped

    def seal(self) -> bytes:
        """Return the SHA-256 of a MessagePack array of the fields, in their order."""
        return sha256(msgspec.msgpack.encode(list(self))).digest()


class EntryRow(NamedTuple):
    """An entry as it is stored; `link` is the chain's up to it."""

    sequence: int
    member: str
    number: int
    state: bytes
    link: bytes
    topic: str = TOPIC


StoredRow = tuple[int, str, int, bytes, bytes, str]  # the fields of an `EntryRow`, where many are made at once


class Snapshot(NamedTuple):
    """A member's account as it is stored: the entry number it stands at, and its bytes."""

    member: str
    number: int
    state: bytes


class PageRow(NamedTuple):
    """A page of a member, to be written."""

    key: str
    member: str
    state: bytes


class ReceiptRow(NamedTuple):
    """A receipt to be taken: a fact by what names it, its source by number, and the sequence of its entry."""

    source: int
    id: str
    member: str
    sequence: int


class Receipt(NamedTuple):
    """A fact by what names it, and the sequence of the entry that took it first."""

    source: str
    id: str
    member: str
    sequence: int


class StreamRecord(NamedTuple):
    """A record of a stream; `sha256` is of what was sent where `value` is only its beginning, else empty.

    `backlog` is 1 in a backlog, `length` of what was sent where `value` is only its beginning, else 0; by `pushed`
    microseconds `recorded` is later than the clock said. These and `key` are None where whoever read it does not say.
    """

    offset: int
    recorded: int
    value: bytes
    sha256: bytes
    backlog: int | None = None
    key: str | None = None
    length: int | None = None
    pushed: int | None = None


class Published(NamedTuple):
    """A rule book that was published to a partition, and the sequence of the entry that took it."""

    sequence: int
    version: str
    toml: str


class Claims:
    """Which partitions this process decides: all of them, where a folder's lock is held.

    Of a ledger that several may decide `PostgresClaims` keeps two from deciding in turns; what protects the ledger is
    the fencing token. A claim ends with its process.
    """

    def take(self, partitions: Sequence[int]) -> set[int]:
        """Claim partitions; returns those that are this process's now. Raises `Unavailable`: then none is any more."""
        return set(partitions)

    def release(self, partitions: Sequence[int]) -> None:
        """Leave partitions to others. Raises `Unavailable`."""

    def close(self) -> None:
        """Leave all."""
