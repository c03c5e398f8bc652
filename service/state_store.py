"""Where a server's state is kept that is no part of the ledger: keys, sessions, webhooks, drafts, what operators did.

Of a ledger in a folder it is in files beside it. Of one in PostgreSQL it is in a schema of its own beside the ledger's
(`points_state`), so that any number of servers behind a balancer are one service. Both speak the same SQL, with `?` for
values.
"""

import fcntl
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

from ledger.errors import ControlFlow
from ledger.journal.ledger import is_address
from ledger.journal.opening import private_database

ADOPTED = ".adopted"  # behind the name of a file whose rows went into a database
BUSY_SECONDS = 5  # that one process waits for another


class Taken(ControlFlow):
    """What was to be kept has a name that is not free."""


class Rows(NamedTuple):
    """The rows of a statement, and how many it changed."""

    rows: list[Any]
    changed: int

    def first(self) -> Any:
        """Return the first row, None where there is none."""
        return self.rows[0] if self.rows else None


class Statements(ABC):
    """What runs statements."""

    @abstractmethod
    def run(self, sql: str, *values: Any) -> Rows:
        """Run one statement. Raises `Taken` where a name is not free."""


class StateStore(Statements):
    """A database of state, which threads may share; `name` is for people, without a password."""

    name: str

    @abstractmethod
    def changing(self, what: str) -> AbstractContextManager[Statements]:
        """A transaction that is all done or not at all, one at a time among all processes that change the same."""

    @abstractmethod
    def alone(self, what: str) -> AbstractContextManager[Callable[[], None]]:
        """Wait until no process does what is named, and keep the others from it until this ends, or the process.

        Yields what raises `Unavailable` where that is no longer so.
        """

    @abstractmethod
    def is_done(self, what: str) -> bool:
        """Return True if a process is `alone` with what is named."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""


class FileState(StateStore):
    """A file of SQLite for its owner's eyes only, or memory where no path is given; `tables` make what it lacks."""

    def __init__(self, path: Path | None, tables: tuple[str, ...], *, is_durable: bool = True) -> None:
        """Raises `sqlite3.Error` and `OSError`."""
        self.name = str(path) if path else "memory"
        self._path = path
        self._db = (
            private_database(path, BUSY_SECONDS)
            if path
            else sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        )
        self.run(f"PRAGMA synchronous={'FULL' if is_durable else 'OFF'}")
        for table in tables:
            self.run(table)

    def run(self, sql: str, *values: Any) -> Rows:
        """As `Statements.run` says."""
        try:
            cursor = self._db.execute(sql, values)
            return Rows(cursor.fetchall(), cursor.rowcount)
        except sqlite3.IntegrityError as error:
            raise Taken(str(error)) from error

    @contextmanager
    def changing(self, what: str) -> Iterator[Statements]:
        """As `StateStore.changing` says; of a file there is one at a time, whatever it changes."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def alone(self, what: str) -> Iterator[Callable[[], None]]:
        """As `StateStore.alone` says: by a lock of a file beside this one. Raises `OSError`."""
        lock = os.open(self._lock(what), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield _nothing_is_lost
        finally:
            os.close(lock)

    def is_done(self, what: str) -> bool:
        """As `StateStore.is_done` says."""
        try:
            lock = os.open(self._lock(what), os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(lock)
        return False

    def _lock(self, what: str) -> Path:
        assert self._path is not None
        return self._path.with_name(f"{what}.lock")

    def close(self) -> None:
        """As `StateStore.close` says."""
        self._db.close()


def _nothing_is_lost() -> None:
    """A file's lock ends with its process only."""


def put_aside(path: Path) -> None:
    """Keep a file whose rows a database has taken in under another name, so that nobody takes it to hold still."""
    with suppress(FileNotFoundError):  # another process was faster
        path.rename(path.with_name(f"{path.name}{ADOPTED}"))


@contextmanager
def sharing(place: str) -> Iterator[StateStore | None]:
    """Yield what `shared_state` returns, and close it. Raises `JournalError`."""
    state = shared_state(place)
    try:
        yield state
    finally:
        if state is not None:
            state.close()


def shared_state(place: str) -> StateStore | None:
    """Return where the state of a ledger in a database is kept, None for one in a folder. Raises `JournalError`."""
    if not is_address(place):
        return None
    store: StateStore = resolve_name("service.state_in_postgres:TableState")(place)
    return store
