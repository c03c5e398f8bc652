"""The journal of one partition in a file of SQLite."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from eventsourcing.persistence import PersistenceError
from eventsourcing.sqlite import SQLiteCursor, SQLiteProcessRecorder

from ledger.errors import may_pass
from ledger.journal.datastore import FileDatastore
from ledger.journal.migrations import Steps, pending
from ledger.journal.port import NOTHING_IN_IT, Damaged, JournalError, Unavailable
from ledger.journal.pruned import is_stub
from ledger.journal.sql import UPSERTS, Batch, Journal

_PRAGMAS = (
    "page_size=8192",  # of a file that is made now: a batch writes half as many pages
    "synchronous=FULL",  # a commit that was answered survives a power cut
    "cache_size=-8192",  # KiB of pages; the file system's cache holds the rest
    "cache_spill=0",  # a page that a batch changes twice is written once; until then it may pass the cache's size
    "wal_autocheckpoint=8000",  # pages: what changes again and again is copied once
)


# Each brings a file to the next format.
STEPS: Steps = (
    (
        """CREATE TABLE stored_events (
            rowid INTEGER PRIMARY KEY, originator_id TEXT NOT NULL, originator_version INTEGER NOT NULL,
            topic TEXT NOT NULL, state BLOB NOT NULL, link BLOB)""",
        "CREATE UNIQUE INDEX by_member ON stored_events (originator_id, originator_version)",
        """CREATE TABLE shard (
            one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, head INTEGER NOT NULL,
            link BLOB NOT NULL, recorded INTEGER NOT NULL)""",
        "INSERT INTO shard VALUES (1, 0, 0, zeroblob(32), 0)",
        "CREATE TABLE sources (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        """CREATE TABLE receipts (
            source INTEGER NOT NULL, id TEXT NOT NULL, member TEXT NOT NULL, place INTEGER NOT NULL,
            PRIMARY KEY (source, id, member)) WITHOUT ROWID""",
        """CREATE TABLE pages (
            key TEXT NOT NULL, member TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (key, member)) WITHOUT ROWID""",
        """CREATE TABLE accounts (
            member TEXT PRIMARY KEY, number INTEGER NOT NULL, state BLOB NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE parked (
            position INTEGER PRIMARY KEY, recorded INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
            length INTEGER NOT NULL, sha256 BLOB NOT NULL, kept BLOB NOT NULL, retried INTEGER NOT NULL DEFAULT 0)""",
        "CREATE TABLE programmes (place INTEGER PRIMARY KEY, version TEXT NOT NULL, toml TEXT NOT NULL)",
        """CREATE TABLE tracking (
            application_name TEXT PRIMARY KEY, notification_id INTEGER NOT NULL) WITHOUT ROWID""",
    ),
    ("DELETE FROM accounts",),  # snapshots of another layout: they are folded anew from the entries
    (  # which ledger it belongs to, and the seal over that and its head
        """CREATE TABLE origin (
            one INTEGER PRIMARY KEY CHECK (one = 1), ledger TEXT NOT NULL, partition INTEGER NOT NULL,
            partitions INTEGER NOT NULL, genesis TEXT NOT NULL, settings TEXT NOT NULL, book TEXT NOT NULL)""",
        "ALTER TABLE shard ADD COLUMN seal BLOB",
        "ALTER TABLE shard ADD COLUMN stream TEXT NOT NULL DEFAULT ''",  # the id of the topic, where that is known
        "ALTER TABLE parked ADD COLUMN seal BLOB",
    ),
    (  # which entries an archive has that were pruned here
        """CREATE TABLE pruned (
            first INTEGER PRIMARY KEY, last INTEGER NOT NULL, month TEXT NOT NULL, archive TEXT NOT NULL)""",
    ),
)


_MEMBERS_AT_ONCE = 256
_SNAPSHOTS = f"""SELECT member, number, state FROM (VALUES {", ".join(["(?)"] * _MEMBERS_AT_ONCE)}) AS asked
    CROSS JOIN accounts ON member = asked.column1"""
_ENTRIES_BEHIND = f"""SELECT originator_id, state
    FROM (VALUES {", ".join(["(?, ?)"] * _MEMBERS_AT_ONCE)}) AS asked
    CROSS JOIN stored_events ON originator_id = asked.column1 AND originator_version > asked.column2
    ORDER BY originator_id, originator_version"""
_ROWS_AT_ONCE = 64  # that one statement writes
_PAGES_AT_ONCE = 256
_PAGES = f"""SELECT key, member, state FROM (VALUES {", ".join(["(?, ?)"] * _PAGES_AT_ONCE)}) AS asked
    CROSS JOIN pages ON key = asked.column1 AND member = asked.column2"""  # in this order of the tables


@contextmanager
def _errors_of_the_port() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, PersistenceError) as error:
        raise (Unavailable if may_pass(error) else Damaged)(str(error)) from error


class SQLiteBatch(Batch):
    """What one transaction of a journal may do."""

    def __init__(self, journal: Journal, cursor: SQLiteCursor, entries: int, token: int | None) -> None:
        cursor.sqlite_cursor.row_factory = None
        super().__init__(journal, cursor.sqlite_cursor, entries, token)

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        rows: list[Any] = self._cursor.execute(sql, parameters).fetchall()
        return rows

    def receive(self, receipts: Sequence[tuple[int, str, str, int]]) -> dict[int, int]:
        """Take receipts (see `ReceiptRow`); returns sequence -> sequence of the first, where one came before."""
        if self._write("receipts", receipts, " ON CONFLICT DO NOTHING") == len(receipts):
            return {}
        firsts = {
            receipt[3]: self._rows(
                "SELECT place FROM receipts WHERE source = ? AND id = ? AND member = ?", receipt[:3]
            )[0][0]
            for receipt in receipts
        }
        return {sequence: first for sequence, first in firsts.items() if first != sequence}

    def accounts(self, members: Sequence[str]) -> list[tuple[bytes | None, list[bytes]]]:
        """Return of each of some members the last snapshot's bytes, if there is one, and the entries' behind it."""
        found: dict[str, tuple[bytes | None, list[bytes]]] = {member: (None, []) for member in members}
        for start in range(0, len(members), _MEMBERS_AT_ONCE):
            some = members[start : start + _MEMBERS_AT_ONCE]
            rest = [None] * (_MEMBERS_AT_ONCE - len(some))  # one statement, whatever their number
            numbers = dict.fromkeys(some, 0)
            for member, number, state in self._rows(_SNAPSHOTS, [*some, *rest]):
                numbers[member] = number
                found[member] = (state, [])
            behind = list(chain.from_iterable(numbers.items()))
            for member, state in self._rows(_ENTRIES_BEHIND, [*behind, *rest, *rest]):
                found[member][1].append(state)
            for member in some:
                if any(map(is_stub, found[member][1])):  # its snapshot was lost
                    rows = self.entries_of(member, numbers[member])
                    found[member] = (found[member][0], [row.state for row in rows])
        return [found[member] for member in members]

    def page_states(self, asked: Sequence[tuple[str, str]]) -> list[tuple[str, str, bytes]]:
        """Return those that there are of some pages (key, member), as they are stored (key, member, bytes)."""
        found: list[tuple[str, str, bytes]] = []
        for start in range(0, len(asked), _PAGES_AT_ONCE):
            names: list[str | None] = list(chain.from_iterable(asked[start : start + _PAGES_AT_ONCE]))
            names += [None] * (2 * _PAGES_AT_ONCE - len(names))  # one statement, whatever their number
            found += self._rows(_PAGES, names)
        return found

    def prefetch(self, members: Iterable[str], pages: Iterable[tuple[str, str]]) -> None:
        """Do nothing: here a read costs no round trip."""

    def _insert(self, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._write(f"{table} ({columns})", rows)

    def _replace(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._write(table, rows, f" ON CONFLICT {UPSERTS[table]}")

    def _each(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        self._cursor.executemany(sql, parameters)

    def _write(self, into: str, rows: Sequence[tuple[Any, ...]], where_it_is_there: str = "") -> int:
        """Insert rows of one width, in their order; returns how many were written.

        An error leaves those before it, for the transaction to undo: with OR ABORT, which is SQLite's default, each
        page would be copied before a statement of several rows changes it.
        """
        if not rows:
            return 0
        width, written, values = len(rows[0]), 0, chain.from_iterable(rows)
        marks = f"({', '.join('?' * width)})"
        for at_once, times in zip((_ROWS_AT_ONCE, 1), divmod(len(rows), _ROWS_AT_ONCE), strict=True):
            if times:
                sql = f"INSERT OR FAIL INTO {into} VALUES {', '.join([marks] * at_once)}{where_it_is_there}"
                self._cursor.executemany(sql, (tuple(islice(values, at_once * width)) for _ in range(times)))
                written += self._cursor.rowcount
        return written


class SQLiteJournal(Journal, SQLiteProcessRecorder):
    """One partition's journal. With `create` its file is made where there is none.

    With `create` or `migrate` one that is there is brought to this version's format. A file that holds nothing is made
    a journal only with `create`. Raises `JournalError`.
    """

    schema = "main"
    entry_id = "rowid"
    scan_rows = 1_000  # fewer, and a call weighs on its rows
    as_it_lies = " NOT INDEXED"
    batch = SQLiteBatch

    def __init__(self, path: str | Path, *, create: bool = False, migrate: bool = False) -> None:
        if not create and Path(path).is_file() and not Path(path).stat().st_size:  # SQLite would make a database of it
            raise JournalError(f"{path} {NOTHING_IN_IT}")
        super().__init__(FileDatastore(Path(path), _PRAGMAS, create=create))
        self.sources = {}
        self.name = str(path)
        try:
            self.migrated = self._migrate(create=create, may_migrate=create or migrate)
        except (sqlite3.DatabaseError, PersistenceError) as error:
            if may_pass(error):
                raise Unavailable(f"{path}: {error}; see to the rights on it and on its folder, and to room") from error
            raise JournalError(f"{path}: {error}; it is not a journal of this ledger, or it is damaged") from error

    def _migrate(self, *, create: bool, may_migrate: bool) -> int:
        """Bring the file to this version's format; says how many steps it took."""
        with self.datastore.transaction(commit=may_migrate) as c:
            c.execute("PRAGMA user_version")
            found = c.fetchone()[0]
            if not found and not create:
                raise JournalError(f"{self.name} {NOTHING_IN_IT}")
            steps = pending(STEPS, found, self.name, may_migrate=may_migrate)
            for step in steps:
                for statement in step:
                    c.execute(statement)
            if steps:
                c.execute(f"PRAGMA user_version = {len(STEPS)}")
        return len(steps)

    def odd_values(self) -> Iterator[str]:
        """As `Journal.odd_values` says: SQLite keeps in a column what it is given."""
        for (table,) in self._rows("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"):
            for _, column, kind, *_ in self._rows(f"PRAGMA table_info({table})"):
                odd = f"SELECT count(*) FROM {table} WHERE typeof({column}) NOT IN (?, 'null')"
                ((rows,),) = self._rows(odd, (kind.lower(),))
                if rows:
                    yield f"{self.name}: {table}.{column} is no {kind} in {rows} of its rows"

    def acquire(self) -> int:
        """Become the owner; returns the fencing token, by which every batch of an earlier owner is rejected.

        Raises `Damaged` where the journal's head is not as its last owner left it.
        """
        with self._writing() as c:
            return SQLiteBatch(self, c, 0, None).take()

    def close(self) -> None:
        """Close the file. Its owner's last batches are copied into it, so that several owners do it side by side."""
        if self.seal:
            self.datastore.checkpoint()
        self.datastore.close()

    @contextmanager
    def _writing(self) -> Iterator[SQLiteCursor]:
        with _errors_of_the_port(), self.datastore.transaction(commit=True) as c:
            yield c

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        with _errors_of_the_port(), self.datastore.transaction(commit=False) as c:
            c.sqlite_cursor.row_factory = None
            return c.sqlite_cursor.execute(sql, parameters).fetchall()

    def _change(self, sql: str, parameters: Sequence[Sequence[Any]], *, erases: bool = False) -> None:
        with self._writing() as c:
            c.execute(f"PRAGMA secure_delete = {'ON' if erases else 'OFF'}")  # ON overwrites in the file
            c.executemany(sql, parameters)
