"""A ledger in a folder: its settings, its rule book, an inbox, and a journal a partition. One writer at a time."""

import fcntl
import heapq
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ledger.account import Account, decode_account, evolve_entry
from ledger.decide import Limits, run_to
from ledger.entries import decode_entry
from ledger.facts import PROGRAMME_SUBJECT
from ledger.journal.partitioning import Partitioner
from ledger.journal.port import EntryRow, Journal, JournalError
from ledger.journal.shard import Shard
from ledger.journal.sqlite import SQLiteJournal
from ledger.pages import PagesInMemory
from ledger.programme import shipped
from ledger.rules import Book
from ledger.times import SECOND

PARTITIONS = 4  # of an embedded ledger, chosen at birth and fixed for life
SETTINGS = "ledger.json"
BOOK = "book.toml"
LOCK = "lock"
INBOX = "inbox.db"


class LedgerLocked(Exception):
    """Another process writes this ledger."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What a ledger was born with; `request_max_age_seconds` bounds how old a request may be when it is recorded."""

    partitions: Annotated[int, Meta(ge=1, le=1024)] = PARTITIONS
    operators: tuple[str, ...] = ("/operators",)
    request_max_age_seconds: Annotated[int, Meta(ge=0, le=10**9)] = 86_400
    format: int = 1


class Ledger:
    """An embedded ledger, opened for reading; `writing` makes it the one writer."""

    def __init__(self, folder: Path, settings: Settings, book: str) -> None:
        self.folder = folder
        self.settings = settings
        self._genesis = book
        self._book: Book | None = None
        self._journals: dict[int, Journal] = {}
        self._partitioner = Partitioner(settings.partitions)

    @classmethod
    def open(cls, folder: Path) -> "Ledger":
        """Open a ledger that is there. Raises `JournalError` where there is none or it cannot be read."""
        path = folder / SETTINGS
        if not path.is_file():
            raise JournalError(f"there is no ledger in {folder}; `points ingest FILE` or `points demo` makes one")
        try:
            settings = msgspec.json.decode(path.read_bytes(), type=Settings)
            book = (folder / BOOK).read_text(encoding="utf-8")
        except (msgspec.DecodeError, OSError) as error:
            raise JournalError(f"{path}: {error}") from error
        if settings.format != 1:
            raise JournalError(f"{path}: format {settings.format}; this version of points reads format 1")
        return cls(folder, settings, book)

    @classmethod
    def open_or_create(cls, folder: Path, book: str | None = None) -> "Ledger":
        """Open a ledger, or make one with the shipped `jd` book (or another's TOML). Raises `BadProgramme`."""
        if (folder / SETTINGS).is_file():
            return cls.open(folder)
        text = shipped("jd") if book is None else book
        Book([text])  # checked before anything is written
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()) and not (folder / LOCK).exists():
                raise JournalError(f"{folder} is a folder of something else; name an empty one or one to be made")
            with _locked(folder):
                if not (folder / SETTINGS).is_file():
                    settings = Settings()
                    _write_whole(folder / BOOK, text.encode())
                    for partition in range(settings.partitions):
                        SQLiteJournal(folder / f"partition-{partition}.db", create=True).close()
                    _write_whole(folder / SETTINGS, msgspec.json.format(msgspec.json.encode(settings)))
        except OSError as error:
            raise JournalError(f"{folder}: {error.strerror or error}") from error
        return cls.open(folder)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the ledger's lock. Raises `LedgerLocked` that names the holder."""
        with _locked(self.folder):
            yield

    def partition_of(self, member: str) -> int:
        """The partition of a member."""
        return self._partitioner(member)

    def shard(self, partition: int, share: float = 1.0) -> Shard:
        """Become the owner of a partition (see `writing`), with a share of this process's memory for accounts."""
        home = self.partition_of(PROGRAMME_SUBJECT) == partition
        return Shard(
            self.journal(partition), partition, self.new_book(), self.limits, counts_programme=home, share=share
        )

    @property
    def inbox(self) -> Path:
        """The file of the local stream."""
        return self.folder / INBOX

    @property
    def limits(self) -> Limits:
        """The settings that bound decisions."""
        return Limits(self.settings.request_max_age_seconds * SECOND)

    @property
    def partitions(self) -> range:
        """The numbers of the partitions."""
        return range(self.settings.partitions)

    def new_book(self) -> Book:
        """The rule book the ledger was born with, for an owner to add what its partition published."""
        return Book([self._genesis], str(self.folder / BOOK))

    @property
    def book(self) -> Book:
        """The whole rule book, with every published version, for readers."""
        if self._book is None:
            self._book = self.new_book()
            for partition in self.partitions:
                for published in self.journal(partition).published():
                    self._book.add(published.toml)
        return self._book

    def book_known_at(self, known_at: int | None) -> Book:
        """The rule book with the versions that were recorded by an instant; the whole where none is given."""
        if known_at is None:
            return self.book
        book = self.new_book()
        for partition in self.partitions:
            journal = self.journal(partition)
            for published in journal.published():
                for row in journal.scan(published.place - 1, published.place):
                    if decode_entry(row.state).recorded <= known_at:
                        book.add(published.toml)
        return book

    def forget_book(self) -> None:
        """Read the rule book again when it is next asked for: a version may have been published since."""
        self._book = None

    def journal(self, partition: int) -> Journal:
        """A partition's journal, opened once."""
        journal = self._journals.get(partition)
        if journal is None:
            path = self.folder / f"partition-{partition}.db"
            if not path.is_file():
                raise JournalError(f"{path} is missing; a ledger has a file for each of its partitions: restore it")
            journal = self._journals[partition] = SQLiteJournal(path)
        return journal

    def close(self) -> None:
        """Close every journal."""
        for journal in self._journals.values():
            journal.close()
        self._journals.clear()

    # -- accounts at an instant --------------------------------------------------------------------------------------

    def account(self, member: str, as_of: int, known_at: int | None = None) -> Account | None:
        """A member's account by the entries whose clock is <= `as_of` and that were recorded by `known_at`.

        It is run to `as_of`; None where the member has no entry at all.
        """
        journal = self.journal(self.partition_of(member))
        account = self._start(journal, member, as_of, known_at)
        rows = journal.entries_of(member, account.number)
        if not rows and not account.number:
            return None
        self._fold(account, rows, as_of, known_at)
        run_to(account, self.book_known_at(known_at), as_of, PagesInMemory())
        return account

    def accounts(self, as_of: int, known_at: int | None = None) -> Iterator[tuple[str, Account]]:
        """Every member with an entry by then and the account at an instant, by member, streamed."""
        book = self.book_known_at(known_at)
        streams = [self._accounts_of(partition, book, as_of, known_at) for partition in self.partitions]
        return heapq.merge(*streams, key=lambda pair: pair[0])

    def _accounts_of(
        self, partition: int, book: Book, as_of: int, known_at: int | None
    ) -> Iterator[tuple[str, Account]]:
        journal = self.journal(partition)
        for member, rows in members_of(journal.scan_by_member()):
            if member == PROGRAMME_SUBJECT:
                continue
            account = self._start(journal, member, as_of, known_at)
            self._fold(account, rows, as_of, known_at)
            if account.number:
                run_to(account, book, as_of, PagesInMemory())
                yield member, account

    @staticmethod
    def _start(journal: Journal, member: str, as_of: int, known_at: int | None) -> Account:
        """The member's snapshot where it is not later than what is asked for, else an empty account."""
        snapshot = journal.snapshot(member) if known_at is None else None
        account = decode_account(snapshot[1]) if snapshot else Account()
        return account if account.clock <= as_of else Account()

    @staticmethod
    def _fold(account: Account, rows: "list[EntryRow] | Iterator[EntryRow]", as_of: int, known_at: int | None) -> None:
        for row in rows:
            if row.number <= account.number:
                continue
            entry = decode_entry(row.state)
            if entry.clock > as_of or (known_at is not None and entry.recorded > known_at):
                break
            evolve_entry(account, entry)


def members_of(rows: Iterator[EntryRow]) -> Iterator[tuple[str, Iterator[EntryRow]]]:
    """Group rows that come by member; each group is to be read before the next, or is skipped."""
    row = next(rows, None)
    while row is not None:
        member = row.member
        following: list[EntryRow | None] = [None]

        def group(first: EntryRow, member: str = member, end: list[EntryRow | None] = following) -> Iterator[EntryRow]:
            current: EntryRow | None = first
            while current is not None and current.member == member:
                yield current
                current = next(rows, None)
            end[0] = current

        entries = group(row)
        yield member, entries
        for _ in entries:
            pass
        row = following[0]


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is either wholly there or not at all."""
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder's lock, which ends with the process that holds it; the file says who that is."""
    try:
        file = (folder / LOCK).open("a+")
    except OSError as error:
        raise JournalError(f"{folder}: {error.strerror or error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise LedgerLocked(f"{folder} is being written by {_holder(file.read(4096))}") from None
        file.truncate(0)
        about = {"pid": os.getpid(), "host": socket.gethostname(), "command": " ".join(["points", *sys.argv[1:]])[:200]}
        json.dump({**about, "since": datetime.now(UTC).isoformat(timespec="seconds")}, file)
        file.flush()
        yield


def _holder(text: str) -> str:
    try:
        about: dict[str, Any] = json.loads(text)
        return f"process {about['pid']} on {about['host']} since {about['since']} ({about['command']})"
    except (ValueError, KeyError, TypeError):
        return "another process"
