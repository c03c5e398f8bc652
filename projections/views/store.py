"""A build of a view in one SQLite file: its tables, its members, and its own position in every partition.

The file is a tracking recorder of the `eventsourcing` library: the position of a partition is the place of the last
entry folded, and moves in the transaction that writes what the entries came to. Views are disposable, so a commit does
not wait for the disk: after a power cut a file stands at an earlier position, whole.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from eventsourcing.persistence import PersistenceError, Tracking
from eventsourcing.sqlite import SQLiteCursor, SQLiteTrackingRecorder

from ledger.errors import may_pass
from ledger.journal.datastore import FileDatastore
from ledger.journal.port import JournalError, Unavailable
from projections.views.port import Build
from projections.views.sql import FORMAT, POSITION, Batch, MemberRow, check_build, tables_of
from projections.views.view import SumTable, View

_PRAGMAS = ("synchronous=NORMAL", "cache_size=-16384")  # KiB
_MOST = (1 << 63) - 1  # of an integer that SQLite holds as such; a sum beyond it stands in the file as text


@contextmanager
def named(path: Path) -> Iterator[None]:
    """What SQLite or the library raises, as the port's errors that name the file."""
    try:
        yield
    except (sqlite3.Error, PersistenceError) as error:
        if may_pass(error):
            raise Unavailable(f"{path}: {error}") from error
        raise JournalError(
            f"{path}: {error}; a view is disposable: remove the file and run `points views run`"
        ) from error


class FileBatch(Batch):
    """One transaction of a file, or a consistent state of it to read."""

    def __init__(self, build: "FileBuild", cursor: SQLiteCursor) -> None:
        super().__init__(build.view, build.place)
        self._build = build
        self._wrapped = cursor
        self._cursor = cursor.sqlite_cursor
        self._cursor.row_factory = None

    def run(self, sql: str, *values: Any) -> list[Any]:
        """As `Batch.run` says."""
        return self._cursor.execute(sql, values).fetchall()

    def stream(self, sql: str, *values: Any) -> Iterator[Any]:
        """As `Batch.stream` says."""
        return self._cursor.connection.execute(sql, values)

    def track(self, positions: Mapping[int, int]) -> None:
        """As `Batch.track` says."""
        for partition, place in positions.items():
            self._build._insert_tracking(self._wrapped, Tracking(f"{POSITION}{partition}", place))

    def put_members(self, rows: Sequence[MemberRow]) -> None:
        """As `Batch.put_members` says."""
        marks = ", ".join("?" * len(rows[0]))
        self._cursor.executemany(f"INSERT OR REPLACE INTO members VALUES ({marks})", rows)

    def add_rows(self, table: SumTable, rows: Sequence[tuple[Any, ...]]) -> None:
        """As `Batch.add_rows` says."""
        add, drop = self._build.statements[table.name]
        width = len(table.key)
        self._cursor.executemany(add, [_as_stored(row, width) for row in rows])
        lower = [row[:width] for row in rows if min(row[width:]) < 0]  # these may have come to nothing
        self._cursor.executemany(drop, lower)


class FileBuild(SQLiteTrackingRecorder, Build):
    """A file of a view. Raises `Unavailable`, and `JournalError` where it is damaged or no build of this view."""

    def __init__(self, path: Path, view: View, *, create: bool = False) -> None:
        self.path, self.name, self.place = path, path.name, str(path)
        self.view = view
        self.statements = {table.name: _statements(table) for table in view.tables}
        self._inode = _inode_of(path)
        with named(path):
            super().__init__(FileDatastore(path, _PRAGMAS, {"exact_sum": _exact_sum}, create=create))
            if create:
                self.create_table()
            self.version = self._check()

    def construct_create_table_statements(self) -> list[str]:
        """The view's tables beside the library's own for the positions."""
        statements = super().construct_create_table_statements()
        statements.append(
            "CREATE TABLE IF NOT EXISTS build (one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER NOT NULL,"
            " view TEXT NOT NULL, version INTEGER NOT NULL, tables TEXT NOT NULL, begun INTEGER NOT NULL)"
        )
        statements.append("CREATE TABLE IF NOT EXISTS chain (partition INTEGER PRIMARY KEY, link BLOB NOT NULL)")
        statements.append(
            "CREATE TABLE IF NOT EXISTS building"
            " (partition INTEGER PRIMARY KEY, upto INTEGER NOT NULL, after TEXT NOT NULL)"
        )
        if self.view.state is not None:
            statements.append(
                "CREATE TABLE IF NOT EXISTS members (member TEXT PRIMARY KEY, partition INTEGER NOT NULL,"
                " number INTEGER NOT NULL, clock INTEGER NOT NULL, recorded INTEGER NOT NULL, due INTEGER NOT NULL,"
                f" state BLOB NOT NULL{', counted BLOB NOT NULL' if self.view.counts else ''}) WITHOUT ROWID"
            )
        if self.view.counts:
            statements.append("CREATE INDEX IF NOT EXISTS by_due ON members (due)")
            statements.append("CREATE TABLE IF NOT EXISTS counted (latest INTEGER NOT NULL)")
        return [*statements, *(_create(table) for table in self.view.tables)]

    def _create_table(self, c: SQLiteCursor) -> None:
        super()._create_table(c)
        c.execute(
            "INSERT OR IGNORE INTO build VALUES (1, ?, ?, ?, ?, 0)",
            (FORMAT, self.view.name, self.view.version, tables_of(self.view)),
        )
        if self.view.counts:
            c.execute("INSERT INTO counted SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counted)")

    def _check(self) -> int:
        with self.datastore.transaction(commit=False) as c:
            c.execute("SELECT format, view, version, tables FROM build")
            return check_build(tuple(c.fetchone()), self.view, self.place)

    @contextmanager
    def writing(self) -> Iterator[FileBatch]:
        """One transaction; its first statement waits for whoever else writes the file, and sees what was committed."""
        with named(self.path), self.datastore.transaction(commit=True) as c:
            c.execute("UPDATE build SET one = 1")
            yield FileBatch(self, c)

    @contextmanager
    def reading(self) -> Iterator[FileBatch]:
        """One consistent state of the file."""
        with named(self.path), self.datastore.transaction(commit=False) as c:
            yield FileBatch(self, c)

    def is_there(self) -> bool:
        """As `Build.is_there` says: the file of the name is the one that is open."""
        return self._inode == _inode_of(self.path)

    def close(self) -> None:
        """Close the file."""
        self.datastore.close()


def _inode_of(path: Path) -> int:
    """Return the number of a file in its file system, 0 where it is not there."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def make(path: Path, view: View) -> None:
    """Make an empty build, whole or not at all; what another process made of that name stays."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    FileBuild(temporary, view, create=True).close()
    try:
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()


def _create(table: SumTable) -> str:
    keys = ", ".join(f"{c.name} {'INTEGER' if c.form == 'integer' else 'TEXT'} NOT NULL" for c in table.key)
    amounts = ", ".join(f"{name} NOT NULL" for name in table.amounts)  # of no type, so that text is left as it is
    names = ", ".join(column.name for column in table.key)
    return f"CREATE TABLE IF NOT EXISTS {table.name} ({keys}, {amounts}, PRIMARY KEY ({names})) WITHOUT ROWID"


def _statements(table: SumTable) -> tuple[str, str]:
    """How rows are added, and how a row that came to nothing is dropped."""
    keys = [column.name for column in table.key]
    marks = ", ".join("?" * (len(keys) + len(table.amounts)))
    sums = ", ".join(
        f"{name} = CASE typeof({name} + excluded.{name}) WHEN 'integer' THEN {name} + excluded.{name}"
        f" ELSE exact_sum({name}, excluded.{name}) END"
        for name in table.amounts
    )
    add = f"INSERT INTO {table.name} VALUES ({marks}) ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sums}"
    same = " AND ".join([*(f"{key} = ?" for key in keys), *(f"{name} = 0" for name in table.amounts)])
    return add, f"DELETE FROM {table.name} WHERE {same}"


def _exact_sum(one: int | str | float, other: int | str | float) -> int | str:
    """The sum of two amounts as they are stored, where SQLite's own would be no integer."""
    if isinstance(one, float) or isinstance(other, float):
        raise OverflowError("a sum that was kept inexactly")
    return _stored(int(one) + int(other))


def _as_stored(row: tuple[Any, ...], width: int) -> tuple[Any, ...]:
    """A row whose key has `width` columns, as SQLite holds it."""
    amounts = row[width:]
    if max(amounts) <= _MOST and min(amounts) >= -_MOST:
        return row
    return (*row[:width], *map(_stored, amounts))


def _stored(amount: int) -> int | str:
    return amount if -_MOST <= amount <= _MOST else str(amount)
