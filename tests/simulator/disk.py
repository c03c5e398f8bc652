"""Files of SQLite in memory, one a journal or inbox, whose calls may fail, crash, lose their answer or tear.

What runs over them is the product's own store. A commit is on the disk at once where the store asks for that
(`synchronous=FULL`), otherwise only with the next one that is: a power cut takes it back.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from eventsourcing.sqlite import SQLiteCursor, SQLiteDatastore

from tests.simulator.world import SAID, Process


class Disk:
    """A file. `commits` counts what was committed by anybody."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.commits = 0
        self.down_until = 0  # the turn until which nobody reaches it, but who stands beside the world
        self.db = self._opened()
        self._synced: bytes | None = None  # as it was before what is not synced

    def _opened(self) -> sqlite3.Connection:
        return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

    def before(self, *, is_synced: bool) -> None:
        """A transaction is about to commit."""
        if not is_synced and self._synced is None:
            self._synced = self.db.serialize()
        elif is_synced:
            self._synced = None

    def loses_power(self) -> None:
        """What was not synced is gone."""
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")
        if self._synced is not None:
            self.db.close()
            self.db = self._opened()
            self.db.deserialize(self._synced)
            self._synced = None
            self.commits += 1

    def rows(self, sql: str, *parameters: Any) -> list[Any]:
        """Ask, as somebody beside the world whom nothing disturbs."""
        return self.db.execute(sql, parameters).fetchall()


def _failure(what: str, name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(f"{what} {SAID}")
    error.sqlite_errorname = name
    return error


class Cursor:
    """A cursor of a process in a file; `is_writing` says that it is in a transaction that holds the file."""

    def __init__(self, disk: Disk, process: Process, *, is_writing: bool) -> None:
        self._disk = disk
        self._process = process
        self._is_writing = is_writing
        self._cursor = disk.db.cursor()
        self.row_factory = None
        self._answer: Iterator[Any] = iter(())

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> "Cursor":
        self._reaches(sql)
        self._cursor.row_factory = self.row_factory
        self._answer = iter(self._cursor.execute(sql, parameters).fetchall())  # at once: who shares the file may commit
        return self

    def executemany(self, sql: str, parameters: Any) -> "Cursor":
        self._reaches(sql)
        self._cursor.executemany(sql, parameters)
        return self

    def _reaches(self, sql: str) -> None:
        self._process.reaches(sql.split(None, 1)[0].lower(), is_writing=self._is_writing)
        if sql.startswith("PRAGMA"):
            return
        if (self._disk.down_until and self._process.is_disturbed) or self._process.strikes("store-fails"):
            raise _failure("disk I/O error", "SQLITE_IOERR_READ")
        if self._is_writing and self._process.strikes("store-full"):
            raise _failure("database or disk is full", "SQLITE_FULL")

    def fetchall(self) -> list[Any]:
        return list(self._answer)

    def fetchone(self) -> Any:
        return next(self._answer, None)

    def __iter__(self) -> Iterator[Any]:
        return self._answer

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def close(self) -> None:
        pass


class Writing:
    """A transaction that holds a file; `commit` is where it may fail, crash, or lose its answer."""

    def __init__(self, disk: Disk, process: Process, *, is_synced: bool) -> None:
        process.reaches("begin")
        self._disk = disk
        self._process = process
        self._is_synced = is_synced
        disk.db.execute("BEGIN IMMEDIATE")
        process.world.writing += 1
        self.is_open = True

    def commit(self) -> None:
        """Commit. Raises `sqlite3.OperationalError` where that fails, or where it did not and nobody hears so."""
        process = self._process
        process.check()
        if process.strikes("crash-before-commit"):
            process.dies()
        if process.strikes("commit-fails"):
            raise _failure("disk I/O error at the commit", "SQLITE_IOERR_FSYNC")
        self._disk.before(is_synced=self._is_synced)
        self._disk.db.execute("COMMIT")
        self._disk.commits += 1
        self._ended()
        if process.strikes("crash-after-commit"):
            process.dies()
        if process.strikes("answer-lost"):
            raise _failure("disk I/O error behind the commit", "SQLITE_IOERR_FSYNC")

    def rollback(self) -> None:
        """Take back what is not committed: whoever dies in a transaction leaves nothing of it."""
        if self.is_open:
            if self._disk.db.in_transaction:
                self._disk.db.execute("ROLLBACK")
            self._ended()

    def _ended(self) -> None:
        self.is_open = False
        self._process.world.writing -= 1


class Datastore(SQLiteDatastore):
    """The library's datastore over a simulated file."""

    def __init__(self, disk: Disk, process: Process, pragmas: Sequence[str]) -> None:
        self.disk = disk
        self.single_row_tracking = True
        self.originator_id_type = "text"
        self._process = process
        self._is_synced = "synchronous=FULL" in pragmas

    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        if not commit:
            self._process.reaches("read")
            yield SQLiteCursor(Cursor(self.disk, self._process, is_writing=bool(self._process.world.writing)))
            return
        writing = Writing(self.disk, self._process, is_synced=self._is_synced)
        try:
            yield SQLiteCursor(Cursor(self.disk, self._process, is_writing=True))
            writing.commit()
        finally:
            writing.rollback()

    def checkpoint(self) -> None:
        """Nothing: a simulated file has no log beside it."""

    def close(self) -> None:
        pass


class Connection:
    """A connection to a simulated file, as the inbox uses one."""

    def __init__(self, disk: Disk, process: Process) -> None:
        self._disk = disk
        self._process = process
        self._writing: Writing | None = None
        self._own = 0  # commits
        self._is_synced = False

    @property
    def in_transaction(self) -> bool:
        return self._writing is not None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        match sql:
            case "BEGIN IMMEDIATE":
                self._writing = Writing(self._disk, self._process, is_synced=self._is_synced)
            case "COMMIT":
                self._commits()
            case "ROLLBACK":
                self._rolls_back()
            case "PRAGMA synchronous=FULL" | "PRAGMA synchronous=NORMAL":
                self._is_synced = sql.endswith("FULL")
            case "PRAGMA data_version":  # moves with what other connections commit
                return _Answer([(self._disk.commits - self._own,)])
            case _:
                try:
                    return Cursor(self._disk, self._process, is_writing=self.in_transaction).execute(sql, parameters)
                except BaseException:
                    if not self._process.alive:
                        self._rolls_back()
                    raise
        return None

    def _commits(self) -> None:
        assert self._writing is not None
        before = self._disk.commits
        try:
            self._writing.commit()
        except BaseException:
            if not self._process.alive:
                self._rolls_back()
            raise
        finally:
            self._own += self._disk.commits - before
            if self._writing is not None and not self._writing.is_open:
                self._writing = None

    def _rolls_back(self) -> None:
        if self._writing is not None:
            self._writing.rollback()
            self._writing = None

    def close(self) -> None:
        self._rolls_back()


class _Answer:
    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def fetchone(self) -> Any:
        return self._rows[0]
