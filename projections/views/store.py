"""A build of a view: one SQLite file with its tables, its members, and its own position in every partition.

The file is a tracking recorder of the `eventsourcing` library: the position of a partition is the place of the last
entry folded, and moves in the transaction that writes what the entries came to. Views are disposable, so a commit does
not wait for the disk: after a power cut a file stands at an earlier position, whole.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from eventsourcing.persistence import PersistenceError, Tracking
from eventsourcing.sqlite import SQLiteCursor, SQLiteTrackingRecorder
from msgspec import Struct

from ledger.errors import may_pass
from ledger.journal.datastore import FileDatastore
from ledger.journal.port import JournalError, Unavailable
from projections.views.view import Key, MemberState, RowDeltas, SumTable, View, due_of, new_member, rows_by_key

FORMAT = 1
_PRAGMAS = ("synchronous=NORMAL", "cache_size=-16384")  # KiB
_LOOKUPS = 500  # members a query
_MOST = (1 << 63) - 1  # of an integer that SQLite holds as such; a sum beyond it stands in the file as text
_encode_state = msgspec.msgpack.Encoder().encode
POSITION = "partition-"  # and its number: the tracking name of a position

# member, partition, number, clock, recorded, due, state, and where the view counts what the member counts for
MemberRow = tuple[Any, ...]
TableRows = dict[str, list[tuple[Any, ...]]]  # by table: its key's columns, then its amounts


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


class Batch:
    """One transaction of a build, or a consistent state of it to read."""

    def __init__(self, build: "Build", cursor: SQLiteCursor) -> None:
        self._build = build
        self._wrapped = cursor
        self.cursor = cursor.sqlite_cursor
        self.cursor.row_factory = None

    def positions(self) -> dict[int, int]:
        """By partition, the place of the last entry folded; none where nothing was."""
        return positions_in(self.cursor)

    def links(self) -> dict[int, bytes]:
        """By partition, the chain's link of the last entry folded, which says whose entries these were."""
        return dict(self.cursor.execute("SELECT partition, link FROM chain").fetchall())

    def move(self, partition: int, place: int, link: bytes) -> None:
        """Set a partition's position, which only goes up, and the link of the entry there."""
        self._build._insert_tracking(self._wrapped, Tracking(f"{POSITION}{partition}", place))
        self.cursor.execute("INSERT OR REPLACE INTO chain VALUES (?, ?)", (partition, link))

    def building(self) -> dict[int, tuple[int, str]]:
        """By partition that is still being built, up to which place and the last member that is in."""
        rows = self.cursor.execute("SELECT partition, upto, after FROM building")
        return {partition: (upto, after) for partition, upto, after in rows}

    def is_whole(self) -> bool:
        """Whether every partition was built to where it was to be."""
        begun = self.cursor.execute("SELECT begun FROM build").fetchone()[0]
        return bool(begun) and not self.building()

    def begin_building(self, upto: dict[int, int]) -> None:
        """Set out to build every partition up to a place, unless that was done before."""
        if self.cursor.execute("SELECT begun FROM build").fetchone()[0]:
            return
        self.cursor.execute("UPDATE build SET begun = 1")
        self.cursor.executemany("INSERT INTO building VALUES (?, ?, '')", list(upto.items()))

    def built_to(self, partition: int, member: str) -> None:
        """Remember the last member that is in."""
        self.cursor.execute("UPDATE building SET after = ? WHERE partition = ?", (member, partition))

    def end_building(self, partition: int, upto: int, link: bytes) -> None:
        """A partition stands at the place it was to be built to."""
        self.cursor.execute("DELETE FROM building WHERE partition = ?", (partition,))
        if upto:
            self.move(partition, upto, link)

    def load(self, members: Sequence[str]) -> dict[str, MemberState]:
        """Members as they are kept, new ones where they are not."""
        found = {member: new_member(self._build.view, member) for member in members}
        if self._build.view.state is None:
            return found
        for first in range(0, len(members), _LOOKUPS):
            part = members[first : first + _LOOKUPS]
            marks = ",".join("?" * len(part))
            found |= {of.member: of for _, of in self.members(f"WHERE member IN ({marks})", *part)}
        return found

    @property
    def _columns(self) -> str:
        return f"partition, member, number, clock, recorded, state{', counted' if self._build.view.counts else ''}"

    def member_rows(self, partition: int, members: dict[str, MemberState]) -> list[MemberRow]:
        """Members as rows, in order."""
        view = self._build.view
        if view.state is None:
            return []
        return [member_row(view, partition, subject) for _, subject in sorted(members.items())]

    def write(self, members: Sequence[MemberRow], rows: TableRows) -> None:
        """Keep members, and add rows to their tables."""
        if members:
            marks = ", ".join("?" * len(members[0]))
            self.cursor.executemany(f"INSERT OR REPLACE INTO members VALUES ({marks})", members)
        for table in self._build.view.tables:
            add, drop = self._build.statements[table.name]
            width = len(table.key)
            self.cursor.executemany(add, [_as_stored(row, width) for row in rows[table.name]])
            lower = [row[:width] for row in rows[table.name] if min(row[width:]) < 0]  # these may have come to nothing
            self.cursor.executemany(drop, lower)

    def sums(self, table: SumTable, between: tuple[str, str] | None = None) -> Iterator[tuple[Key, list[int]]]:
        """A table's rows in the order of their keys, without those that came to nothing. Raises `JournalError`.

        `between` are the least and the greatest value of the key's first column, where not all are wanted.
        """
        width = len(table.key)
        keys = ", ".join(column.name for column in table.key)
        where = f"WHERE {table.key[0].name} BETWEEN ? AND ?" if between else ""
        query = f"SELECT * FROM {table.name} {where} ORDER BY {keys}"
        for row in self.cursor.connection.execute(query, between or ()):
            if any(row[width:]):
                yield tuple(row[:width]), self._amounts(row[width:])

    def _amounts(self, stored: Sequence[Any]) -> list[int]:
        """Amounts as they are stored."""
        kinds = set(map(type, stored))
        if kinds == {int}:
            return list(stored)
        if float in kinds:
            raise JournalError(
                f"{self._build.path}: an earlier version built this file, and a sum has outgrown it:"
                " remove it and run `points views run`"
            )
        return [int(amount) for amount in stored]

    def members(self, rest: str = "ORDER BY member", *values: int | str) -> Iterator[tuple[int, MemberState]]:
        """Return members with their partitions, in order; `rest` is SQL behind FROM members, with its values."""
        decode, query = self._build.decode_state, f"SELECT {self._columns} FROM members {rest}"
        for partition, member, number, clock, recorded, state, *counted in self.cursor.connection.execute(
            query, values
        ):
            yield partition, MemberState(member, number, clock, recorded, decode(state), *counted)

    def has_due(self, instant: int, more_than: int = 0) -> bool:
        """Return True if something falls due by an instant for more than `more_than` members of a view that counts."""
        found = self.cursor.execute("SELECT 1 FROM members WHERE due <= ? LIMIT 1 OFFSET ?", (instant, more_than))
        return found.fetchone() is not None

    def due_members(self, instant: int, limit: int = -1) -> Iterator[tuple[int, MemberState]]:
        """Members of a view that counts who count for something else by an instant, with their partitions."""
        return self.members("WHERE due <= ? LIMIT ?", instant, limit)

    def let_all_fall_due(self, partition: int) -> None:
        """Let every member of a partition be counted anew: by another rule book each may count for something else."""
        self.cursor.execute("UPDATE members SET due = 0 WHERE partition = ?", (partition,))

    def counted_at(self, instant: int) -> None:
        """Remember the latest instant at which a member was counted."""
        self.cursor.execute("UPDATE counted SET latest = max(latest, ?)", (instant,))

    def latest(self) -> int:
        """The instant from which on a view that counts is exact."""
        return int(self.cursor.execute("SELECT latest FROM counted").fetchone()[0])


class Build(SQLiteTrackingRecorder):
    """A file of a view. Raises `Unavailable`, and `JournalError` where it is damaged or no build of this view."""

    def __init__(self, path: Path, view: View, *, create: bool = False) -> None:
        self.path = path
        self.view = view
        self.decode_state = msgspec.msgpack.Decoder(view.state or Struct).decode
        self.statements = {table.name: _statements(table) for table in view.tables}
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
            form, name, version, tables = c.fetchone()
        if form != FORMAT:
            raise JournalError(f"{self.path}: format {form}; this version of points reads format {FORMAT}")
        if name != self.view.name:
            raise JournalError(f"{self.path} is a build of the view {name}, not of {self.view.name}")
        if tables != tables_of(self.view):
            if version == self.view.version:
                raise JournalError(
                    f"{self.path} was built with other tables than version {version} of the view {name} has now:"
                    f" raise its version, and run `points views rebuild {name}`"
                )
            raise JournalError(
                f"{self.path} is of version {version} of the view {name}, with other tables than version"
                f" {self.view.version} has: `points views rebuild {name}`, then `points views switch {name}`"
            )
        return int(version)

    @contextmanager
    def writing(self) -> Iterator[Batch]:
        """One transaction; its first statement waits for whoever else writes the file, and sees what was committed."""
        with named(self.path), self.datastore.transaction(commit=True) as c:
            c.execute("UPDATE build SET one = 1")
            yield Batch(self, c)

    @contextmanager
    def reading(self) -> Iterator[Batch]:
        """One consistent state of the file."""
        with named(self.path), self.datastore.transaction(commit=False) as c:
            yield Batch(self, c)

    def close(self) -> None:
        """Close the file."""
        self.datastore.close()


def make(path: Path, view: View) -> None:
    """Make an empty build, whole or not at all; what another process made of that name stays."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    Build(temporary, view, create=True).close()
    try:
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()


def tables_of(view: View) -> str:
    """What a view keeps, as text: two builds can stand for each other where it is the same."""
    return json.dumps([[t.name, [c.name for c in t.key], t.amounts] for t in view.tables] + [view.state is not None])


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


def plain_rows(batch: Batch, view: View) -> Iterator[tuple[str, Key, Any]]:
    """Everything a build keeps, row by row in a fixed order: (table, key, values), a member's state decoded.

    An older version wrote a state without the fields that came since: decoded, it is the same state.
    """
    for table in view.tables:
        for key, amounts in batch.sums(table):
            yield table.name, key, amounts
    if view.state is not None:
        columns, decode = "number, clock, recorded, due, state", msgspec.msgpack.Decoder(view.state).decode
        for member, *values, state in batch.cursor.connection.execute(
            f"SELECT member, {columns} FROM members ORDER BY member"
        ):
            yield "members", (member,), [*values, decode(state)]


def positions_in(cursor: sqlite3.Cursor) -> dict[int, int]:
    """The positions that a build's file keeps, by partition."""
    rows = cursor.execute(
        "SELECT application_name, notification_id FROM tracking WHERE application_name LIKE ?", (f"{POSITION}%",)
    )
    return {int(name.removeprefix(POSITION)): place for name, place in rows.fetchall()}


def member_row(view: View, partition: int, of: MemberState) -> MemberRow:
    """A member as a row."""
    row = of.member, partition, of.number, of.clock, of.recorded, due_of(view, of), _encode_state(of.state)
    return (*row, of.counted) if view.counts else row


def table_rows(view: View, rows: RowDeltas) -> TableRows:
    """Rows as they are written, in the order of their keys."""
    return {t.name: [(*key, *amounts) for key, amounts in rows_by_key(rows.of[t.name])] for t in view.tables}
