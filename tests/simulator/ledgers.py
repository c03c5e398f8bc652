"""The product's ledger, journals and inbox over simulated files, each opened by a process of the world."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from consumers.local import sqlite as sqlite_inbox
from consumers.local.sqlite import SQLiteInbox
from ledger.journal import sqlite as sqlite_store
from ledger.journal.ledger import Ledger, Opening, Settings
from ledger.journal.port import Claims, StreamRecord
from ledger.journal.sql import Batch
from ledger.journal.sqlite import SQLiteJournal
from ledger.rulebook.compiled import Programme
from tests.simulator.disk import Connection, Datastore, Disk
from tests.simulator.world import Process, Violation
from tests.support.histories_of_members import PARTNER


class SimulatedJournal(SQLiteJournal):
    """The product's journal over a simulated file."""

    def __init__(self, disk: Disk, process: Process, *, create: bool = False) -> None:
        super(SQLiteJournal, self).__init__(Datastore(disk, process, sqlite_store._PRAGMAS))
        self.sources = {}
        self.name = disk.name
        self.disk = disk
        self.migrated = self._migrate(create=create, may_migrate=True) if create else 0

    @contextmanager
    def transaction(self, entries: int, token: int) -> Iterator[Batch]:
        with super().transaction(entries, token) as batch:
            yield batch
            ((epoch,),) = self.disk.rows("SELECT epoch FROM shard")  # still inside of it
            if epoch != token:
                raise Violation("law 5", f"{self.name}: the owner by token {token} writes, and {epoch} is the last")


class Files:
    """The files of a ledger, by partition, and its inbox."""

    def __init__(self, settings: Settings, book: str) -> None:
        self.settings = settings
        self.book = book
        self.journals = {number: Disk(f"partition-{number}") for number in range(settings.partitions)}
        self.inbox = Disk("inbox")
        self.versions: Programme | None = None  # of the first book, compiled once

    def opened(self, process: Process) -> "SimulatedLedger":
        """The ledger as a process opens it."""
        return SimulatedLedger(self, process)

    def born(self, process: Process) -> None:
        """Make the journals, each with its origin."""
        ledger = self.opened(process)
        for partition, disk in self.journals.items():
            SimulatedJournal(disk, process, create=True).stamp(ledger.origin(partition))


def settings_of(partitions: int, **more: Any) -> Settings:
    """Return the settings of a simulated ledger."""
    return Settings(partitions, request_max_age_seconds=86_400, partners=(PARTNER,), **more)


class SimulatedLedger(Ledger):
    """A ledger over simulated files that several processes share."""

    is_shared = True

    def __init__(self, files: Files, process: Process) -> None:
        super().__init__("simulated", "the simulated ledger", files.settings, files.book)
        self.files = files
        self.process = process

    def reopen(self) -> "SimulatedLedger":
        return self.files.opened(self.process)

    def opening(self) -> Opening:
        return Opening(self.files.opened, (self.process,))  # one process has them all

    @contextmanager
    def writing(self) -> Iterator[None]:
        yield

    def claims(self) -> Claims:
        return Claims()

    def put_settings(self) -> None:
        """Nothing: they are the files'."""

    def check_inbox(self, partition: int) -> None:
        """Nothing: each block says where it ends."""

    def records(self, partition: int, after: int, upto: int) -> list[StreamRecord]:
        inbox = self.inbox_of()
        return [
            StreamRecord(r.offset, r.recorded, r.value, r.whole_sha256, r.backlog, r.key, r.whole_length, r.pushed)
            for r in inbox.read(partition, after, 2_000)
            if r.offset <= upto
        ]

    def inbox_of(self, *, create: bool = False) -> SQLiteInbox:
        """The product's inbox over the simulated file, as this ledger's process opens it."""
        connection = Connection(self.files.inbox, self.process)
        opened = SimpleNamespace(connect=lambda *_, **__: connection, Error=sqlite3.Error)
        try:
            with patch.object(sqlite_inbox, "sqlite3", opened):
                return SQLiteInbox(Path(self.files.inbox.name), self.settings.partitions, create=create)
        except BaseException:
            connection.close()  # as SQLite does with one that nobody has any more
            raise

    def new_book(self) -> Programme:
        if self.files.versions is None:
            self.files.versions = super().new_book()
        book = Programme([])
        for version in self.files.versions.by_name.values():
            book.take(version)
        return book

    def _open_journal(self, partition: int) -> SimulatedJournal:
        return SimulatedJournal(self.files.journals[partition], self.process)
