"""A ledger in a folder: its settings, its rule book, an inbox, and a journal a partition. One writer at a time."""

import fcntl
import json
import os
import re
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict

from ledger.journal.blocks import blocks_after, inbox_id
from ledger.journal.durable import sync
from ledger.journal.failpoints import failpoint
from ledger.journal.ledger import Ledger, LedgerLocked, Opening, Settings, new_id
from ledger.journal.migrations import Migrated
from ledger.journal.opening import reading_of
from ledger.journal.origin import Origin
from ledger.journal.port import PUT_BACK, Claims, Damaged, JournalError, StreamRecord
from ledger.journal.sql import Journal
from ledger.journal.sqlite import SQLiteJournal
from ledger.rulebook.compiled import STORED, Programme
from ledger.rulebook.schema import BadProgramme, shipped
from ledger.wire.unreadable import UNREADABLE

PARTITIONS = 4  # of an embedded ledger, chosen at birth and fixed for life
SETTINGS = "ledger.json"
BOOK = "book.toml"
LOCK = "lock"
INBOX = "inbox.db"
MAKING = "splitting"  # the folder of journals that a split makes
BIRTH = "ledger.json.part"  # the settings, while the rest is still being made
FORMAT = 1  # of the folder; each file in it has one of its own
_JOURNAL = re.compile(r"partition-(\d{1,4})\.db")
READ = 2_000  # records at a time, and the rest of their block


class FolderSettings(Settings, frozen=True, forbid_unknown_fields=True):
    """What `ledger.json` says."""

    format: int = FORMAT


class Lock:
    """A folder's lock that is held. A process that is started and given it holds it too, to its end."""

    def __init__(self, *descriptors: int) -> None:
        self._descriptors = descriptors

    def __reduce__(self) -> tuple[Callable[..., "Lock"], tuple[Any, ...]]:
        return _given, tuple(map(DupFd, self._descriptors))


def _given(*descriptors: Any) -> Lock:
    return Lock(*(descriptor.detach() for descriptor in descriptors))


class FolderLedger(Ledger):
    """An embedded ledger. `lock` is there while `writing` holds it."""

    is_shared = False
    folder: Path

    def __init__(self, folder: Path, settings: Settings, book: str) -> None:
        super().__init__(str(folder), str(folder), settings, book)
        self.folder = folder
        self.lock: Lock | None = None

    @classmethod
    def at(cls, folder: Path) -> "FolderLedger":
        """Open a ledger that is there. Raises `JournalError` where there is none or it cannot be read."""
        path = folder / SETTINGS
        if not path.is_file():
            _check_unborn(folder)
            raise JournalError(f"there is no ledger in {folder}; `points ingest FILE`, `consume` or `demo` makes one")
        try:
            settings = msgspec.json.decode(path.read_bytes(), type=FolderSettings)
        except OSError as error:
            raise JournalError(f"{path}: {error}") from error
        except UNREADABLE as error:
            raise JournalError(f"{path}: {error}; {PUT_BACK}") from error
        try:
            book = (folder / BOOK).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise JournalError(f"{folder / BOOK} is missing; {PUT_BACK}") from None
        except UnicodeDecodeError as error:
            raise JournalError(f"{folder / BOOK}: {error}; {PUT_BACK}") from error
        except OSError as error:
            raise JournalError(f"{folder / BOOK}: {error}") from error
        if settings.format != FORMAT:
            raise JournalError(f"{path}: format {settings.format}; this version of points reads format {FORMAT}")
        return cls(folder, settings, book)

    @classmethod
    def at_or_created(cls, folder: Path, book: str | None = None, settings: Settings | None = None) -> "FolderLedger":
        """Open a ledger, or make one with the shipped `jd` book (or another's TOML). Raises `BadProgramme`."""
        if (folder / SETTINGS).is_file():
            return cls.at(folder)
        text = shipped("jd") if book is None else book
        Programme([text])  # checked before anything is written
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _check_unborn(folder)
            if any(folder.iterdir()) and not (folder / LOCK).exists():
                raise JournalError(f"{folder} is a folder of something else; name an empty one or one to be made")
            with _locked(folder):
                if not (folder / SETTINGS).is_file():
                    cls._bear(folder, FolderSettings(**asdict(settings or Settings(PARTITIONS, id=new_id()))), text)
        except OSError as error:
            raise JournalError(f"{folder}: {error.strerror or error}") from error
        return cls.at(folder)

    @classmethod
    def _bear(cls, folder: Path, settings: FolderSettings, book: str) -> None:
        """Make a ledger. An interrupted birth has left `BIRTH` and empty journals, and is begun anew."""
        _write_whole(folder / BIRTH, _settings_file(settings))
        _write_whole(folder / BOOK, book.encode())
        ledger = cls(folder, settings, (folder / BOOK).read_text(encoding="utf-8"))  # with its ends of lines
        for partition in ledger.partitions:
            with closing(SQLiteJournal(_journal_in(folder, partition), create=True)) as journal:
                if not ledger.belonging(partition, journal, is_birth=True):
                    journal.stamp(ledger.origin(partition))
        (folder / BIRTH).replace(folder / SETTINGS)
        sync(folder)

    def migrate(self) -> Migrated:
        """Bring every journal to this version's format, with the lock held; returns how many steps that took.

        Those of an older version are stamped with this ledger's origin once all of them were looked at. A journal that
        is missing or empty is not made anew. Raises `JournalError`.
        """
        steps = 0
        with self.writing():
            strange = [path for path in journals_in(self.folder) if path.name not in self._journal_names()]
            if strange:
                raise JournalError(
                    f"{strange[0]} belongs to none of the {self.settings.partitions} partitions that ledger.json names;"
                    " nothing was changed: put back what ledger.json was, or the file where it came from"
                )
            waiting = []
            for partition in self.partitions:
                with closing(SQLiteJournal(self._journal_file(partition), migrate=True)) as journal:
                    steps += journal.migrated
                    if not self.belonging(partition, journal):
                        waiting.append(partition)
            for partition in waiting:
                with closing(SQLiteJournal(self._journal_file(partition))) as journal:
                    journal.stamp(self.origin(partition))
        return Migrated(self.name, self.settings.partitions, steps)

    def _journal_names(self) -> set[str]:
        return {_journal_in(self.folder, partition).name for partition in self.partitions}

    def put_settings(self) -> None:
        """Write the settings and the book that this ledger was opened with, with the lock held."""
        _write_whole(self.folder / BOOK, self.genesis_book.encode())
        _write_whole(self.folder / SETTINGS, _settings_file(self.settings))

    @property
    def inbox(self) -> Path:
        """The file of the local stream, where that is what feeds it."""
        return self.folder / INBOX

    @property
    def is_inbox_made(self) -> bool:
        """Return True if there is an inbox; one whose making was interrupted has a file and no format.

        Raises `JournalError`.
        """
        if not self.inbox.is_file():
            return False
        try:
            with reading_of(self.inbox) as inbox:
                return bool(inbox.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.Error as error:
            raise JournalError(f"{self.inbox}: {error}") from error

    def settings_there(self) -> Settings:
        """As `Ledger.settings_there` says."""
        with closing(self.reopen()) as now:
            return now.settings

    @contextmanager
    def making(self, partitions: range) -> Iterator[dict[int, Journal]]:
        """Open the journals of partitions that a split makes, in a folder of their own until they are whole."""
        folder = self.folder / MAKING
        folder.mkdir(exist_ok=True)
        with _locked(folder), ExitStack() as stack:
            if self.settings_there().grown != self.settings.grown:
                raise LedgerLocked(f"{self.name} was split meanwhile: run the command again")
            made: dict[int, Journal] = {}
            for partition in partitions:
                path = _journal_in(self.folder, partition)
                path = path if path.exists() else _journal_in(folder, partition)
                made[partition] = stack.enter_context(closing(SQLiteJournal(path, create=True)))
            yield made

    def grow(self, settings: Settings, partitions: range) -> None:
        """Put the journals of new partitions in their place, and then the settings, by which the ledger has them."""
        for partition in partitions:
            made = _journal_in(self.folder / MAKING, partition)
            if made.exists():
                _settle(made)
                made.replace(_journal_in(self.folder, partition))
                failpoint("split-moved")
        sync(self.folder)
        _write_whole(self.folder / SETTINGS, _settings_file(settings))
        sync(self.folder)
        failpoint("split-switched")

    def reopen(self) -> "FolderLedger":
        """Return the ledger opened once more, for another thread of this process."""
        return FolderLedger.at(self.folder)

    def opening(self) -> Opening:
        """Return how another process opens this ledger."""
        return Opening(FolderLedger.at, (self.folder,))

    def claims(self) -> Claims:
        """Return claims of all partitions: one process writes, which holds the folder's lock."""
        return Claims()

    def records(self, partition: int, after: int, upto: int) -> list[StreamRecord]:
        """Return some records of the inbox behind `after` up to `upto`. Raises `JournalError`.

        An inbox that was not made yet has none; where records were decided, one that is missing is an error.
        """
        found: list[StreamRecord] = []
        if self.journal(partition).head().offset < 0 and not self.is_inbox_made:
            return found
        try:
            with reading_of(self.inbox) as inbox:
                for first, block in blocks_after(inbox, partition, after):
                    for place, (recorded, value) in enumerate(zip(block.recorded, block.values, strict=True)):
                        if after < first + place <= upto:
                            length, digest = block.wholes.get(place, (0, b""))
                            declared = block.backlog[place], block.keys[place], length, block.pushed.get(place, 0)
                            found.append(StreamRecord(first + place, recorded, value, digest, *declared))
                    if first + len(block.recorded) > upto or len(found) >= READ:
                        break
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise JournalError(f"{self.inbox}: {error}") from error
        return found

    def check_inbox(self, partition: int) -> None:
        """Raise `Damaged` for another inbox than the one that a partition's journal was fed from.

        Each block says where it ends, which is checked whenever it is read.
        """
        known = self.journal(partition).state().stream
        if known and self.inbox.exists():
            with reading_of(self.inbox) as inbox:
                found = inbox_id(inbox)
            if found != known:
                raise Damaged(
                    f"{self.inbox}: partition {partition} was fed from the inbox with the id {known}, and this one has"
                    f" {found or 'none'}: it was replaced"
                )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the ledger's lock. Raises `LedgerLocked` that names the holder."""
        with _locked(self.folder) as self.lock:
            try:
                yield
            finally:
                self.lock = None

    def new_book(self) -> Programme:
        """Return the rule book the ledger was born with; an owner adds what its partition published."""
        try:
            return Programme([self.genesis_book], str(self.folder / BOOK), STORED)
        except BadProgramme as error:
            raise JournalError(f"{error}; it was edited, and {PUT_BACK}") from error

    def compact(self, partition: int) -> None:
        """Give the room that a journal holds and does not use back to the disk, with the lock held.

        As much room is needed meanwhile as the journal takes then. Raises `JournalError`.
        """
        self.close_journal(partition)
        path = self._journal_file(partition)
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise JournalError(f"{path}: {error}; what was pruned is pruned, and its room is used again") from error

    def _open_journal(self, partition: int) -> SQLiteJournal:
        return SQLiteJournal(self._journal_file(partition))

    def _journal_file(self, partition: int) -> Path:
        path = _journal_in(self.folder, partition)
        if not path.is_file():
            raise JournalError(f"{path} is missing; a ledger has a file for each of its partitions: restore it")
        return path


def journal_made(path: Path, origin: Origin | None) -> Journal:
    """Return an empty journal in a file that is not there yet, of the ledger that `origin` names.

    Without one it is still to be stamped.
    """
    journal = SQLiteJournal(path, create=True)
    if origin is not None:
        journal.stamp(origin)
    return journal


def _journal_in(folder: Path, partition: int) -> Path:
    return folder / f"partition-{partition}.db"


def _settle(path: Path) -> None:
    """Bring all of a file of SQLite that nobody has open into the file itself."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sync(path)


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is either wholly there or not at all."""
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def journals_in(folder: Path) -> list[Path]:
    """Return the files of journals in a folder, by partition."""
    found = ((_JOURNAL.fullmatch(path.name), path) for path in folder.glob("partition-*.db"))
    return [path for _, path in sorted((int(match[1]), path) for match, path in found if match)]


def kept_in(folder: Path) -> list[tuple[str, int, Origin | None, str]]:
    """Return what each journal of a folder keeps of its ledger: file, partition by its name, origin, what is wrong."""
    found: list[tuple[str, int, Origin | None, str]] = []
    for path in journals_in(folder):
        partition = int(path.stem.rpartition("-")[2])
        try:
            with closing(SQLiteJournal(path)) as journal:
                found.append((path.name, partition, journal.state().origin, ""))
        except JournalError as error:
            found.append((path.name, partition, None, str(error)))
    return found


def _check_unborn(folder: Path) -> None:
    """Raise `JournalError` where a folder without settings holds a ledger that has lost them."""
    if (folder / SETTINGS).exists() or (folder / BIRTH).exists():
        return
    kept = [*journals_in(folder), *(path for path in [folder / INBOX] if path.exists())]
    if kept:
        raise JournalError(f"{folder / SETTINGS} is missing, and {kept[0].name} of a ledger is there; {PUT_BACK}")


def _settings_file(settings: Settings) -> bytes:
    return msgspec.json.format(msgspec.json.encode(settings))


@contextmanager
def _locked(folder: Path) -> Iterator[Lock]:
    """The folder's lock, which ends with the process that holds it; the file says who that is.

    The folder itself is locked, too: a file that is removed by hand lets nobody in.
    """
    try:
        file = (folder / LOCK).open("a+")
        itself = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise JournalError(f"{folder}: {error.strerror or error}") from error
    with file, _closing(itself):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(itself, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise LedgerLocked(f"{folder} is being written by {_holder(file.read(4096))}") from None
        file.truncate(0)
        about = {"pid": os.getpid(), "host": socket.gethostname(), "command": " ".join(["points", *sys.argv[1:]])[:200]}
        json.dump({**about, "since": datetime.now(UTC).isoformat(timespec="seconds")}, file)
        file.flush()
        yield Lock(file.fileno(), itself)


def writer_of(folder: Path) -> str:
    """Return who holds a folder's lock, "" where nobody does; nothing is held or written."""
    try:
        with (folder / LOCK).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return _holder(file.read(4096))
    except OSError:
        pass  # it was never written
    return ""


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


def _holder(text: str) -> str:
    try:
        about: dict[str, Any] = json.loads(text)
        return f"process {about['pid']} on {about['host']} since {about['since']} ({about['command']})"
    except (ValueError, KeyError, TypeError):
        return "another process, which does not say who it is: its file `lock` was removed"
