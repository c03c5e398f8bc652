"""A ledger: its settings, its rule book, and a journal a partition, whatever the home they are kept in."""

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from hashlib import sha256
from itertools import chain
from operator import itemgetter
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from ledger.core.account import Account
from ledger.core.decide import Limits
from ledger.errors import CannotRunNow, WrongUse
from ledger.journal.accounts_at import account_of, accounts_at, folded
from ledger.journal.books import Books
from ledger.journal.failpoints import failpoint
from ledger.journal.growth import End, Growth, branch_of, owner_at, parent_of, partitions_after_birth
from ledger.journal.origin import Origin, problem_with
from ledger.journal.partition import PartitionWriter
from ledger.journal.partitioning import Partitioner
from ledger.journal.port import Claims, JournalError, StreamRecord
from ledger.journal.sql import Journal
from ledger.rulebook.compiled import STORED, Programme
from ledger.rulebook.schema import version_of
from ledger.wire.entry_codec import decode_entry
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import SECOND
from ledger.wire.unreadable import UNREADABLE

LEDGER_NAME = "^([a-z0-9][a-z0-9.-]{0,63})?$"  # of a ledger, as a rule book names it
_ADDRESSES = ("postgresql://", "postgres://")
Stream = Literal["inbox", "kafka"]
INBOX: Stream = "inbox"
KAFKA: Stream = "kafka"
OPEN = "open"  # nothing has fed the ledger yet
_LOOKED_AT = 1_000  # entries of an older journal, before it is stamped

WAY_OUT = (
    "nothing was read or written: `points store settings` says what each journal was born with, and with --put-back"
    " gives the ledger its settings and book again; a journal of another ledger goes back where it came from"
)


class LedgerLocked(CannotRunNow):
    """Another process writes this ledger."""

    def for_people(self) -> str:
        """Return the message with the way out."""
        return f"{self}; wait for it to end, or stop it: it resumes where it was"


class OtherStream(WrongUse):
    """This ledger is fed by another stream, for life: which, and the way out."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What a ledger was born with; `request_max_age_seconds` bounds how old a request may be when it is recorded.

    `id` is drawn at random at birth (`new_id`); ledgers made before there was one have none.
    `stream` is where its facts come from, and `topic` which one where that is Kafka: positions mean nothing elsewhere.
    It may be open until the first that feeds the ledger settles it for life. `grantors` are sources that
    may grant tiers, as the operators may. `name` is what other ledgers call this one, and `peers` the ledgers of ours
    that may give points here, and be asked for some; `partners` are the sources that may answer to exchanges with
    them. `claimers` are sources that may have a guest's account become a name of a member's. `partitions` is how many
    there are now, and `grown` the splits that made them of those it was born with.
    """

    partitions: Annotated[int, Meta(ge=1, le=1024)]
    id: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")] = ""
    operators: tuple[str, ...] = ("/operators",)
    request_max_age_seconds: Annotated[int, Meta(ge=0, le=10**9)] = 86_400
    stream: Literal["inbox", "kafka", "open"] = "inbox"
    topic: str = ""
    grantors: tuple[str, ...] = ()
    name: Annotated[str, Meta(pattern=LEDGER_NAME)] = ""
    peers: tuple[Annotated[str, Meta(pattern=LEDGER_NAME)], ...] = ()
    partners: tuple[str, ...] = ()
    claimers: tuple[str, ...] = ()
    grown: tuple[Growth, ...] = ()

    @property
    def born_partitions(self) -> int:
        """How many partitions the ledger was born with."""
        return self.grown[0].partitions if self.grown else self.partitions


def new_id() -> str:
    """Return the id of a new ledger: 128 random bits, in hex."""
    return token_hex(16)


class Ledger(ABC):
    """A ledger, opened for reading; `writing` makes it one that may be written.

    `is_shared` says whether several processes may write, each the owner of some partitions. `place` is the folder or
    address by which another process opens it, and may hold a password: never show it. `name` is for people.
    """

    is_shared: bool
    is_archived = False  # True where journals hold entries alone: no receipts, pages or snapshots
    folder: Path | None = None  # its own, where it is kept in one

    def __init__(self, place: str, name: str, settings: Settings, book: str) -> None:
        self.place = place
        self.name = name
        self.settings = settings
        self.genesis_book = book  # the TOML that the ledger was born with
        self._books: Books | None = None
        self._origin: Origin | None = None
        self._journals: dict[int, Journal] = {}
        self._partitioner = Partitioner(settings.partitions)

    @abstractmethod
    def reopen(self) -> "Ledger":
        """Return the ledger opened once more, for another thread of this process; close it before this one."""

    @abstractmethod
    def opening(self) -> "Opening":
        """Return how another process opens this ledger."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[None]:
        """Hold what a writer must hold. Raises `LedgerLocked` that names the holder."""

    @abstractmethod
    def claims(self) -> Claims:
        """Return which partitions this process decides. Close it; a folder's writer has all partitions."""

    def check_stream(self, stream: Stream, topic: str = "") -> None:
        """Raise `OtherStream` where the facts come from another stream."""
        settings = self.settings
        if settings.stream == stream and settings.topic == topic:
            return
        if settings.stream == INBOX:
            raise OtherStream(
                f"{self.name} takes its facts from its own inbox, for life: `points ingest FILE` decides them there;"
                " name another ledger for one that is fed by Kafka"
            )
        if settings.stream == OPEN:
            raise OtherStream(f"nothing feeds {self.name} yet; `points ingest FILE`, `serve` or `consume` begins")
        if stream == INBOX:
            raise OtherStream(
                f"{self.name} takes its facts from the Kafka topic {settings.topic}, for life: send them there"
                " (`points produce FILE`), and `points consume` decides them"
            )
        raise OtherStream(
            f"{self.name} takes its facts from the topic {settings.topic}, for life, and the settings name {topic}:"
            " correct them, or name another ledger"
        )

    def bind_stream(self, stream: Stream, topic: str = "") -> None:
        """Take facts from a stream for life, where that is still open. Raises `OtherStream` where it is another."""
        self.check_stream(stream, topic)

    def change_settings(self, settings: Settings) -> None:
        """Take other settings from now on, in every journal and beside them; owners are fenced.

        They may differ in who counts: the operators, the name, its peers, partners and claimers. The ledger has to be
        one that may be written. Interrupted, it is to be done again. Raises `JournalError`.
        """
        self.settings = settings
        self._origin = None
        for partition in self.partitions:
            journal = self._open_journal(partition)
            journal.check_open()
            stored, wanted = journal.state().origin, self.origin(partition)
            if stored is None or stored._replace(settings="") != wanted._replace(settings=""):
                raise JournalError(f"{journal.name} {problem_with(stored, wanted)}; {WAY_OUT}")
            if stored != wanted:
                journal.stamp(wanted)
            journal.close()
        self.put_settings()

    @abstractmethod
    def put_settings(self) -> None:
        """Write the settings and the book that this ledger was opened with, in place of those that lie there."""

    @abstractmethod
    def check_inbox(self, partition: int) -> None:
        """Raise `JournalError` where what the local stream says of its end is not where it ends."""

    @abstractmethod
    def records(self, partition: int, after: int, upto: int) -> list[StreamRecord]:
        """Return some records of the local stream behind `after` up to `upto`, in order; none at its end."""

    @abstractmethod
    def _open_journal(self, partition: int) -> Journal:
        """Open a partition's journal. Raises `JournalError`."""

    def partition_of(self, member: str) -> int:
        """Return the partition of a member."""
        return self._partitioner(member)

    def writer(self, partition: int, share: float = 1.0) -> PartitionWriter:
        """Return the new owner of a partition (see `writing`), with a share (0 to 1) of the memory for accounts."""
        self.look_again(partition)
        home = self.partition_of(PROGRAMME_SUBJECT) == partition
        journal = self.journal(partition)
        self._catch_up(partition, journal)
        return PartitionWriter(journal, partition, self.new_book(), self.limits, counts_programme=home, share=share)

    @property
    def identity(self) -> str:
        """Which ledger this is, for checkpoints and archives: its id, or of an old one what it was born with."""
        return self.settings.id or self.genesis[:32]

    @property
    def genesis(self) -> str:
        """SHA-256, in hex, of what decides from birth on: id, partitions, age of requests, and the rule book's text."""
        born = self.settings
        deciding = msgspec.json.encode([born.id, self.born_partitions, born.request_max_age_seconds])
        return sha256(deciding + b"\n" + self.genesis_book.encode()).hexdigest()

    def origin(self, partition: int) -> Origin:
        """Return what the journal of a partition keeps of this ledger."""
        if self._origin is None:
            self._origin = self.origin_by(self.settings, 0)
        return self._origin._replace(partition=partition)

    def origin_by(self, settings: Settings, partition: int) -> Origin:
        """Return what the journal of a partition keeps of this ledger where it has these settings."""
        text = msgspec.json.encode(settings).decode()
        return Origin(settings.id, partition, settings.partitions, self.genesis, text, self.genesis_book)

    def _origin_before(self, partition: int) -> Origin | None:
        """Return what a journal that was there before the last split kept until then, None for one that was not."""
        born = self.settings
        if not born.grown or partition >= born.grown[-1].partitions:
            return None
        before = replace(born, partitions=born.grown[-1].partitions, grown=born.grown[:-1])
        return self.origin_by(before, partition)

    def _is_behind(self, partition: int, stored: Origin | None) -> bool:
        """Return True if a journal keeps what the ledger was before its last split, to be stamped anew."""
        before = self._origin_before(partition)
        return (
            before is not None
            and bool(problem_with(stored, self.origin(partition)))
            and not problem_with(stored, before)
        )

    @property
    def born_partitions(self) -> int:
        """How many partitions the ledger was born with: what accounts tell each other goes by these, for life."""
        return self.settings.born_partitions

    def _catch_up(self, partition: int, journal: Journal) -> None:
        """Let a journal know of the last split, where it does not yet, and be decided on again."""
        if self._is_behind(partition, journal.state().origin):
            journal.stamp(self.origin(partition), reopens=True)

    def settings_there(self) -> Settings:
        """Return the settings as they are stored now: others may have changed them. Raises `JournalError`."""
        return self.settings

    def was_split(self) -> bool:
        """Return True once the ledger has other partitions than when it was opened. Raises `JournalError`."""
        return self.settings_there().partitions != self.settings.partitions

    def making(self, partitions: range) -> AbstractContextManager[dict[int, Journal]]:
        """Open the journals of partitions that a split makes, beside the others until they are whole.

        Those that were begun go on. Raises `LedgerLocked` where another process makes them, and `WrongUse` of what is
        not split.
        """
        raise WrongUse(f"{self.name} is none of those that are split")

    def grow(self, settings: Settings, partitions: range) -> None:
        """Put the journals of new partitions in their place, and then the settings, by which the ledger has them."""
        raise WrongUse(f"{self.name} is none of those that are split")

    def has_split_to_end(self) -> bool:
        """Return True if the last split was killed before all journals knew of it."""
        return any(self._is_behind(partition, self.journal(partition).state().origin) for partition in self.partitions)

    def end_split(self) -> None:
        """Let all journals know of the last split."""
        for partition in self.partitions:
            self._catch_up(partition, self.journal(partition))
            failpoint("split-reopened")

    def born_in(self, partition: int) -> int:
        """Return the partition that the accounts of a partition were born in."""
        return partition % self.born_partitions

    def branch(self, partition: int) -> End:
        """Return where a partition branched off its parent: its own entries come behind that.

        Its positions do, too, but where Kafka feeds the ledger: a new partition of a topic begins at 0.
        """
        found = branch_of(self.settings.grown, partition)
        return replace(found, offset=-1) if self.settings.stream == KAFKA else found

    def owner_at(self, partition: int, sequence: int) -> int:
        """Return the partition in whose chain an entry stands, of a member at home in a partition."""
        return owner_at(self.settings.grown, partition, sequence)

    def took_copies(self, partition: int) -> Callable[[str], bool]:
        """Return what says of a member whether a partition began with copies of what its parent has of the member."""
        settings = self.settings
        then = Partitioner(partitions_after_birth(settings.grown, partition, settings.partitions))
        return partial(then.is_home, partition)

    def positions(self, found: Mapping[int, int]) -> dict[int, int]:
        """Return how far each partition was read, from what is known of that.

        Of a partition that branched off since, what it shares with its parent was read there.
        """
        read: dict[int, int] = {}
        for partition in self.partitions:
            branch = self.branch(partition).entries
            parent = parent_of(self.settings.grown, partition)
            known = found.get(partition, 0)
            read[partition] = known if known or parent == partition else min(branch, read[parent])
        return read

    @property
    def limits(self) -> Limits:
        """The settings that bound decisions."""
        return Limits(self.settings.request_max_age_seconds * SECOND, self.born_partitions)

    @property
    def partitions(self) -> range:
        """The numbers of the partitions."""
        return range(self.settings.partitions)

    def count(self) -> int:
        """Return how many entries there are."""
        return sum(head - self.branch(partition).entries for partition, head in self.heads().items())

    def heads(self) -> dict[int, int]:
        """Return the sequence of each partition's last entry; it counts from its oldest parent's first on."""
        return {partition: self.journal(partition).head().entries for partition in self.partitions}

    def new_book(self) -> Programme:
        """Return the rule book the ledger was born with; an owner adds what its partition published."""
        return Programme([self.genesis_book], f"the book of {self.name}", STORED)

    @property
    def book(self) -> Programme:
        """The whole rule book, with every published version, for what is about no member. Raises `JournalError`."""
        return self.books().whole

    def book_of(self, member: str) -> Programme:
        """Return the rule book that decides about a member, with every published version. Raises `JournalError`."""
        return self.books().of(member)

    def books(self, known_at: int | None = None) -> Books:
        """Return the rule book of each partition, with the versions that were recorded by an instant, or with all.

        Each partition has them all: one that cannot be read is passed over while another can. Raises `JournalError`.
        """
        if known_at is not None:
            return self._books_of({partition: self._published(partition, known_at) for partition in self.partitions})
        if self._books is None:
            heard: dict[int, list[str]] = {}
            error = None
            for partition in self.partitions:
                try:
                    heard[partition] = self._published(partition)
                except JournalError as unreadable:
                    error = unreadable
            if error is not None and not heard:
                raise error
            self._books = self._books_of(heard)
        return self._books

    def _books_of(self, heard: dict[int, list[str]]) -> Books:
        whole = self.new_book()
        for toml in chain.from_iterable(heard.values()):
            whole.add(toml, engine=STORED)
        return Books(whole, heard, self.partition_of)

    def _published(self, partition: int, known_at: int | None = None) -> list[str]:
        """Return the texts of the versions that a partition heard, recorded by an instant, in its order."""
        journal = self.journal(partition)
        found = journal.published()
        if known_at is None:
            return [book.toml for book in found]
        rows = ((book.toml, row) for book in found for row in journal.scan(book.sequence - 1, book.sequence))
        return [toml for toml, row in rows if decode_entry(row.state).recorded <= known_at]

    def forget_book(self) -> None:
        """Read the rule book again when it is next asked for: a version may have been published since."""
        self._books = None

    def journal(self, partition: int) -> Journal:
        """Return a partition's journal, opened once. Raises `JournalError`, also where it is another ledger's."""
        journal = self._journals.get(partition)
        if journal is None:
            journal = self._open_journal(partition)
            stored = journal.state().origin
            problem = problem_with(stored, self.origin(partition))
            if problem and not self._is_behind(partition, stored):
                journal.close()
                raise JournalError(f"{journal.name} {problem}; {WAY_OUT}")
            journal.partitions = self.settings.partitions
            if self.settings.grown:
                journal.parent, journal.begins = self._parent(partition)
                journal.is_home = partial(self.is_home, partition)
            self._journals[partition] = journal
        return journal

    def _parent(self, partition: int) -> tuple[Journal | None, int]:
        """Return the journal that a partition branched off, and the sequence behind which its own entries come."""
        parent = parent_of(self.settings.grown, partition)
        return (None if parent == partition else self.journal(parent)), self.branch(partition).entries

    def is_home(self, partition: int, member: str) -> bool:
        """Return True if a partition decides about a member, or about the rule book, as each does."""
        return self._partitioner.is_home(partition, member)

    def look_again(self, partition: int) -> None:  # noqa: B027  # only what has several servers moves
        """Have a partition's journal opened where it stands now, if it was moved since it was opened."""

    def close_journal(self, partition: int) -> None:
        """Close a partition's journal, which is opened anew when it is needed: its file may have been mended."""
        journal = self._journals.pop(partition, None)
        if journal is not None:
            journal.close()

    def belonging(self, partition: int, journal: Journal, *, is_birth: bool = False) -> bool:
        """Return True if a journal carries this ledger's origin, False where it is still to be stamped.

        One without an origin was made by an older version: what it holds has to be this partition's. At the ledger's
        birth a journal has to be empty, whatever an interrupted birth left in it. Raises `JournalError`.
        """
        state, wanted = journal.state(), self.origin(partition)
        stored, problem = state.origin, problem_with(state.origin, wanted)
        if not problem:
            return bool(state.seal)
        head = journal.head()
        is_empty = head.entries == 0 and head.offset < 0
        if is_birth and is_empty:
            return False
        if is_birth:
            raise JournalError(f"{journal.name} holds {head.entries} entries of a ledger that is not here; {WAY_OUT}")
        if stored is not None:
            raise JournalError(f"{journal.name} {problem}; {WAY_OUT}")
        self._check_contents(partition, journal)
        return False

    def _check_contents(self, partition: int, journal: Journal) -> None:
        """Raise `JournalError` where what a journal holds is not of this partition, or of another first book."""
        said = f"{journal.name}: nothing was changed; put back what ledger.json and book.toml were, and its own file:"
        for member in journal.members():
            if member != PROGRAMME_SUBJECT and (home := self.partition_of(member)) != partition:
                raise JournalError(
                    f'{said} member "{member}" belongs to partition {home} of {self.settings.partitions}, not to'
                    f" {partition}"
                )
        known = {"", version_of(self.genesis_book), *(book.version for book in journal.published())}
        for row in journal.scan(0, _LOOKED_AT):
            try:
                entry = decode_entry(row.state)
            except UNREADABLE:
                continue  # `points verify` names it
            if entry.partition != partition:
                raise JournalError(f"{said} entry {row.sequence} is of partition {entry.partition}, not of {partition}")
            if entry.version not in known:
                raise JournalError(f"{said} entry {row.sequence} was decided by the unknown version {entry.version}")

    def close(self) -> None:
        """Close every journal."""
        for journal in self._journals.values():
            journal.close()
        self._journals.clear()

    def account(self, member: str, as_of: int, known_at: int | None = None) -> Account | None:
        """Return a member's account by the entries whose clock is <= `as_of` and that were recorded by `known_at`.

        It is run to `as_of`; None where the member has no entry at all.
        """
        journal = self.journal(self.partition_of(member))
        snapshot, behind = journal.latest(member) if known_at is None else (None, journal.entries_of(member, 0, 1))
        if snapshot is None and not behind:
            return None
        account = account_of(snapshot, as_of)
        is_all = known_at is None and (snapshot is None or account.number)
        rows = behind if is_all else journal.each_entry_of(member)
        return folded(account, rows, self.books(known_at).of(member), as_of, known_at)

    def accounts(self, as_of: int, known_at: int | None = None) -> Iterator[tuple[str, Account]]:
        """Return every member with an entry by then and the account at an instant, by member, streamed."""
        books = self.books(known_at)
        streams = [
            accounts_at(self.journal(partition), books.in_partition(partition), as_of, known_at)
            for partition in self.partitions
        ]
        return heapq.merge(*streams, key=itemgetter(0))


class Opening(NamedTuple):
    """How a ledger is opened in another process, to which this is sent: a function found by its name, its arguments."""

    function: Callable[..., Ledger]
    arguments: tuple[Any, ...]

    def open(self) -> Ledger:
        """Return the ledger. Raises `JournalError`."""
        return self.function(*self.arguments)


def is_address(place: str | Path) -> bool:
    """Return True if a place is a database's address, and no folder."""
    return str(place).startswith(_ADDRESSES)
