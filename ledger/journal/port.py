"""What a store of journals is to the code above it: the port that each store fills, and the words both sides use.

A journal holds one partition: entries with their chain, receipts, pages, snapshots, parked facts and the stream's
position. `tests/support/store_contract.py` says in cases what every store must do.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ledger.core.pages import Page
from ledger.errors import CannotRunNow, Unusable, damage

STREAM = "facts"  # the tracking name of the stream's position
TOPIC = "points.entry.v1"  # a stored event's topic: a stable name, never a path of code
SOURCES = 10_000  # numbers of sources that a journal remembers


class Fenced(CannotRunNow):
    """Another owner has raised the epoch: nothing was written, and this owner must stop."""


class JournalError(Unusable):
    """A journal that cannot be used: what is wrong, and the way out."""


class Damaged(JournalError):
    """What is stored cannot be read, or contradicts what is to be written."""

    def for_people(self) -> str:
        """Return the message with the way out."""
        return damage(self)


class Unavailable(CannotRunNow, JournalError):
    """The store cannot be read or written now (a full disk, no rights, no connection); later it may be.

    Of a batch that was being committed nobody knows whether it is in: its owner is made anew and reads where it stands.
    """


class Head(NamedTuple):
    """Where a journal stands: entries so far, the chain's last link, the stream's position and its last recorded."""

    entries: int
    link: bytes
    position: int  # offset of the last record taken, -1 before the first
    recorded: int


class Parked(NamedTuple):
    """A record that is no fact: kept with the reason; long bytes only in part, with their length and hash."""

    offset: int
    recorded: int
    reason: str
    detail: str
    length: int
    sha256: bytes
    kept: bytes
    is_done: bool = False  # driven again, or its bytes were dropped


class EntryRow(NamedTuple):
    """An entry as it is stored."""

    place: int
    member: str
    number: int
    state: bytes
    link: bytes


class Receipt(NamedTuple):
    """A fact by what names it, and the place of the entry that took it first."""

    source: str
    id: str
    member: str
    place: int


class Published(NamedTuple):
    """A rule book that was published to a partition, and the place of the entry that took it."""

    place: int
    version: str
    toml: str


class Batch(Protocol):
    """What one transaction of a journal may do. It has its numbers already: entries stand behind place `before`."""

    before: int
    link: bytes  # the chain's last, for the writer to move on

    def source(self, name: str) -> int:
        """The number by which receipts name a source."""
        ...

    def receive(self, receipts: Sequence[tuple[int, str, str, int]]) -> dict[int, int]:
        """Take receipts (source, id, member, place); returns place -> place of the first, where one came before."""
        ...

    def prefetch(self, members: Iterable[str], pages: Iterable[tuple[str, str]]) -> None:
        """A hint of what will be asked for: members in the order in which they will be loaded, pages (key, member)."""
        ...

    def account(self, member: str) -> tuple[int, bytes] | None:
        """A member's snapshot: the entry number it stands at, and its bytes."""
        ...

    def entries_of(self, member: str, after: int) -> list[EntryRow]:
        """A member's entries after a number."""
        ...

    def entry_state(self, place: int) -> bytes | None:
        """The bytes of an entry of an earlier batch."""
        ...

    def page(self, key: str, member: str) -> Page | None:
        """A member's page."""
        ...

    def append(self, rows: Sequence[tuple[int, str, int, str, bytes, bytes]]) -> None:
        """Write entries: (place, member, number, topic, state, link)."""
        ...

    def put_pages(self, pages: Sequence[tuple[str, str, Page]]) -> None:
        """Write pages: (key, member, page), best in the order of their keys."""
        ...

    def put_accounts(self, accounts: Sequence[tuple[str, int, bytes]]) -> None:
        """Write snapshots: (member, number, bytes), best in the order of members."""
        ...

    def put_programme(self, place: int, version: str, toml: str) -> None:
        """Keep a published rule book."""
        ...

    def park(self, parked: Sequence[Parked]) -> None:
        """Keep records that are no facts."""
        ...

    def finish(self, link: bytes, position: int, recorded: int) -> None:
        """Move the chain's last link and the stream's position; the transaction commits after this."""
        ...


class Claims(Protocol):
    """Which partitions this process decides, of a ledger that several may decide. It ends with the process.

    A claim keeps two from deciding in turns; what protects the ledger is the epoch, as ever.
    """

    def take(self, partitions: Sequence[int]) -> set[int]:
        """Claim partitions; returns those that are this process's now. Raises `Unavailable`: then none is any more."""
        ...

    def release(self, partitions: Sequence[int]) -> None:
        """Leave partitions to others. Raises `Unavailable`."""
        ...

    def close(self) -> None:
        """Leave all."""
        ...


class Journal(Protocol):
    """One partition's journal. Everything but `own` and `transaction` may be asked by anybody, at any time.

    Any of it raises `Damaged` and `Unavailable`.
    """

    def own(self) -> int:
        """Become the owner: the epoch is raised and returned; what an earlier owner still has in hand is rejected."""
        ...

    def transaction(self, entries: int, epoch: int) -> AbstractContextManager[Batch]:
        """One batch of `entries` entries in one transaction. Raises `Fenced` before anything is written."""
        ...

    def head(self) -> Head:
        """Where the journal stands."""
        ...

    def published_upto(self, flow: str) -> int:
        """How far a flow out of this journal was acknowledged, 0 at its beginning."""
        ...

    def publish_upto(self, flow: str, number: int) -> None:
        """Remember how far a flow was acknowledged; nothing happens where a later owner has moved it further."""
        ...

    def scan(self, after: int = 0, upto: int | None = None) -> Iterator[EntryRow]:
        """Entries in journal order, streamed."""
        ...

    def scan_by_member(self, after: str = "") -> Iterator[EntryRow]:
        """Entries by member, in the order of their names' code points, and number, streamed."""
        ...

    def receipts(self, upto: int) -> Iterator[Receipt]:
        """The receipts of entries up to a place, in whatever order, streamed."""
        ...

    def entries_of(self, member: str, after: int = 0, limit: int | None = None) -> list[EntryRow]:
        """A member's entries after a number, in order, at most so many."""
        ...

    def last_number(self, member: str) -> int:
        """The number of a member's last entry, 0 where there is none."""
        ...

    def snapshot(self, member: str) -> tuple[int, bytes] | None:
        """A member's last snapshot: the entry number it stands at, and its bytes."""
        ...

    def latest(self, member: str) -> tuple[tuple[int, bytes] | None, list[EntryRow]]:
        """A member's last snapshot and the entries behind it, all of one state."""
        ...

    def page(self, member: str, key: str) -> Page | None:
        """A page of a member."""
        ...

    def published(self) -> list[Published]:
        """The rule books published to this partition, in order."""
        ...

    def parked(
        self, after: int = -1, limit: int | None = None, *, upto: int | None = None, retried: bool = False
    ) -> list[Parked]:
        """Parked records by position, behind `after` up to `upto`; those that are done only when `retried` asks."""
        ...

    def count_parked(self, upto: int | None = None, *, retried: bool = False) -> int:
        """How many records are parked up to a position; those that are done count only when `retried` asks."""
        ...

    def parked_reasons(self, recorded_by: int) -> dict[str, int]:
        """How many records that wait were parked for each reason, of those recorded by an instant."""
        ...

    def mark_retried(self, positions: Sequence[int]) -> None:
        """Remember that parked records were driven again; they stay as a trace."""
        ...

    def drop_parked(self, position: int, detail: str) -> None:
        """Remove a parked record's bytes for good; `detail` says so in place of what was wrong."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
