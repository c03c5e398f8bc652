"""The state of servers in PostgreSQL, in a schema beside the ledger's. `points store migrate` makes its tables."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from ledger.journal.database import STATE
from ledger.journal.port import Unavailable
from ledger.journal.postgres_server import Server
from ledger.journal.topology import schema_named
from service.state_store import Rows, Statements, StateStore, Taken

CONNECTIONS = 4  # of a process
WAIT_SECONDS = 1.0  # for one of them: who asks may be a server's event loop
PAUSE_SECONDS = 2.0  # that nobody is kept waiting for a database that was away


class _Transaction(Statements):
    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor

    def run(self, sql: str, *values: Any) -> Rows:
        """As `Statements.run` says."""
        try:
            self._cursor.execute(sql.replace("%", "%%").replace("?", "%s"), values)
        except psycopg.errors.UniqueViolation as error:
            raise Taken(str(error)) from error
        return Rows(self._cursor.fetchall() if self._cursor.description else [], self._cursor.rowcount)


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
    def changing(self) -> Iterator[Statements]:
        """As `StateStore.changing` says."""
        with self._transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (self._schema,))
            yield _Transaction(cursor)

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
