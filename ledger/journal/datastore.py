"""The `eventsourcing` library's datastore over one file of SQLite, opened as the rights on it allow."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from eventsourcing.persistence import PersistenceError
from eventsourcing.sqlite import SQLiteConnection, SQLiteConnectionPool, SQLiteDatastore

from ledger.journal.opening import BUSY_SECONDS, Opening, check_it_lies, opening
from ledger.journal.port import Unavailable

# Bytes are bound as they are: where nothing is registered for them, the driver looks for it at every value.
sqlite3.register_adapter(bytes, bytes)

Functions = Mapping[str, Callable[..., Any]]  # by name: pure functions that statements may call


class _Connection(SQLiteConnection):
    """A connection, and how it was opened."""

    def __init__(self, connection: sqlite3.Connection, opened: Opening) -> None:
        super().__init__(connection, None)
        self.opened = opened


class _Pool(SQLiteConnectionPool):
    """Connections with our settings. The library caches one statement a connection; a batch uses a dozen."""

    def __init__(self, path: Path, pragmas: Sequence[str], functions: Functions, *, create: bool) -> None:
        super().__init__(db_name=str(path), pool_size=2)
        self._path = path
        self._pragmas = pragmas
        self._functions = functions
        self._create = create

    def _create_connection(self) -> SQLiteConnection:
        opened = opening(self._path, create=self._create)
        connection = sqlite3.connect(
            opened.address, uri=True, check_same_thread=False, isolation_level=None, timeout=BUSY_SECONDS
        )
        connection.row_factory = sqlite3.Row
        for pragma in self._pragmas:
            connection.execute(f"PRAGMA {pragma}")
        if opened.is_written:
            connection.execute("PRAGMA journal_mode=WAL")  # readers go on while one writes
        for name, function in self._functions.items():
            connection.create_function(name, -1, function, deterministic=True)
        return _Connection(connection, opened)


class FileDatastore(SQLiteDatastore):
    """The connections to one file in WAL mode, made where `create` says so; `functions` are for its statements."""

    def __init__(
        self, path: Path, pragmas: Sequence[str], functions: Functions = MappingProxyType({}), *, create: bool
    ) -> None:
        super().__init__(str(path), originator_id_type="text", pool_size=2)
        self._path = path
        self.pool = _Pool(path, pragmas, functions, create=create)

    @contextmanager
    def get_connection(self, *, commit: bool) -> Iterator[SQLiteConnection]:
        """Return a connection of the pool. Raises `Unavailable` where what it read as it lay was written meanwhile."""
        with super().get_connection(commit=commit) as connection:
            assert isinstance(connection, _Connection)
            try:
                yield connection
            finally:
                try:
                    check_it_lies(self._path, connection.opened)
                except Unavailable:
                    connection.close()  # the next one sees the file as it is then
                    raise

    def checkpoint(self) -> None:
        """Copy what was committed into the file as far as no reader needs it as it was, also while others have it open.

        Where that cannot be now, whoever closes the file last does it.
        """
        with suppress(sqlite3.Error, PersistenceError), self.get_connection(commit=True) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")
