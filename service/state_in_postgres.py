"""The state of servers in PostgreSQL, in a schema beside the ledger's. `points store migrate` makes its tables."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import psycopg

from ledger.journal.claims import KEEPALIVE
from ledger.journal.database import STATE
from ledger.journal.port import Unavailable
from ledger.journal.postgres_server import Server
from ledger.journal.topology import schema_named
from service.state_store import Rows, Statements, StateStore, Taken

CONNECTIONS = 4  # of a process
WAIT_SECONDS = 1.0  # for one of them: who asks may be a server's event loop
PAUSE_SECONDS = 2.0  # that nobody is kept waiting for a database that was away

_LOOK_SECONDS = 0.5  # between two looks whether what another process does is free


class _Transaction(Statements):
    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor

    def run(self, sql: str, *values: Any) -> Rows:
        """As `Statements.run` says."""
        try:
            self._cursor.execute(sql.replace("%", "%%").replace("?", "%s"), [_kept(value) for value in values])
        except psycopg.errors.UniqueViolation as error:
            raise Taken(str(error)) from error
        return Rows(self._cursor.fetchall() if self._cursor.description else [], self._cursor.rowcount)


def _kept(value: Any) -> Any:
    """A value as PostgreSQL takes it: its texts have no NUL."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


class TableState(StateStore):
    """Raises `Unavailable` while the database is away, and at once for a moment after that."""

    def __init__(self, place: str) -> None:
        address, schema, _ = schema_named(place)
        self._schema = f"{schema}{STATE}"
        self._server = Server(address, CONNECTIONS, schema=self._schema, wait=WAIT_SECONDS)
        self._server.open()
        self.name = f"{self._server.name}, schema {self._schema}"
        self._away_until = 0.0

    def run(self, sql: str, *values: Any) -> Rows:
        """As `Statements.run` says."""
        with self._transaction() as cursor:
            return _Transaction(cursor).run(sql, *values)

    @contextmanager
    def changing(self, what: str) -> Iterator[Statements]:
        """As `StateStore.changing` says."""
        with self._transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{self._schema} {what}",))
            yield _Transaction(cursor)

    @contextmanager
    def alone(self, what: str) -> Iterator[Callable[[], None]]:
        """As `StateStore.alone` says: by a lock of a connection of its own, which ends with it."""
        with closing(self._server.connect()) as connection, self._server.errors(self._schema):
            connection.execute(KEEPALIVE)
            taking = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
            # A statement that waits in the server is a transaction, for whose end CREATE INDEX CONCURRENTLY would wait.
            while connection.execute(taking, (self._of_one(what),)).fetchone() != (True,):
                time.sleep(_LOOK_SECONDS)
            yield partial(self._check, connection)

    def _check(self, connection: psycopg.Connection[Any]) -> None:
        with self._server.errors(self._schema):
            connection.execute("SELECT 1")

    def is_done(self, what: str) -> bool:
        """As `StateStore.is_done` says."""
        is_free = "SELECT pg_try_advisory_xact_lock_shared(hashtextextended(?, 0))"
        return not self.run(is_free, self._of_one(what)).rows[0][0]

    def _of_one(self, what: str) -> str:
        return f"{self._schema} alone {what}"

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[Any]]:
        if time.monotonic() < self._away_until:
            raise Unavailable(f"{self.name} was away a moment ago")
        try:
            with self._server.transaction(self._schema) as cursor:
                yield cursor
        except Unavailable:
            self._away_until = time.monotonic() + PAUSE_SECONDS
            raise

    def close(self) -> None:
        """As `StateStore.close` says."""
        self._server.close()
