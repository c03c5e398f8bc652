"""Changes of single values, row by row and column by column, in every table of a store; and who finds them."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import psycopg

from ledger.errors import PointsLedgerError
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from projections.audit.replay import replay
from projections.audit.verify import verify

OPENING, VERIFY, REPLAY, FROM_TOPIC = "opening", "verify", "replay", "replay --from-topic"
NOBODY = "nobody"
DELETED, ADDED = "(row deleted)", "(row added)"


class Spot(NamedTuple):
    """Where something is changed: a table, a column (or what is done to a whole row), and the number of the row."""

    table: str
    column: str
    row: int


def flipped(value: Any, random: Random) -> Any:
    """Return a value with one bit or one character changed."""
    if value is None:
        return random.choice([0, 1, b"\0"])
    if isinstance(value, bytes):
        changed = bytearray(value or b"\0")
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
        return bytes(changed)
    if isinstance(value, str):
        if not value:
            return "x"
        at = random.randrange(len(value))
        return value[:at] + ("x" if value[at] != "x" else "y") + value[at + 1 :]
    return random.choice([value + 1, value - 1, value ^ (1 << random.randrange(20))])


class Store:
    """Tables of a file of SQLite or of a schema of PostgreSQL, to be changed by hand."""

    def __init__(self, connection: Any, tables: dict[str, list[str]], key: str, mark: str) -> None:
        self._db = connection
        self.tables = tables  # by name, with the columns
        self._key = key
        self._mark = mark

    def rows(self, table: str) -> int:
        """How many rows a table has."""
        ((count,),) = self._db.execute(f"SELECT count(*) FROM {table}").fetchall()
        return int(count)

    def change(self, spot: Spot, random: Random) -> bool:
        """Make one change. False where the store itself refuses it, or nothing would be another."""
        columns = self.tables[spot.table]
        order = ", ".join(str(number) for number in range(1, len(columns) + 1))
        sql = f"SELECT {', '.join(columns)} FROM {spot.table} ORDER BY {order} LIMIT 1 OFFSET {spot.row}"
        row = self._db.execute(sql).fetchall()[0]
        where = " AND ".join(f"{column} IS NOT DISTINCT FROM {self._mark}" for column in columns)
        try:
            if spot.column == DELETED:
                self._db.execute(f"DELETE FROM {spot.table} WHERE {where}", row)
            elif spot.column == ADDED:
                marks = ", ".join([self._mark] * len(columns))
                added = [_another(value, random) for value in row]
                self._db.execute(f"INSERT INTO {spot.table} ({', '.join(columns)}) VALUES ({marks})", added)
            else:
                at = columns.index(spot.column)
                value = flipped(row[at], random)
                if value == row[at]:
                    return False
                self._db.execute(f"UPDATE {spot.table} SET {spot.column} = {self._mark} WHERE {where}", (value, *row))
        except (sqlite3.Error, psycopg.Error, OverflowError):
            return False
        return True


def _another(value: Any, random: Random) -> Any:
    """A value of the same kind, for a row that nobody wrote."""
    return value + random.randrange(1, 1_000) if isinstance(value, int) else flipped(value, random)


def of_a_file(connection: sqlite3.Connection) -> Store:
    """The tables of a file of SQLite."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")]
    tables = {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in names}
    return Store(connection, tables, "rowid", "?")


def of_schemas(connection: "psycopg.Connection[Any]", schemas: Sequence[str]) -> Store:
    """The tables of schemas of PostgreSQL."""
    found = connection.execute(
        "SELECT table_schema || '.' || table_name, array_agg(column_name::text ORDER BY ordinal_position)"
        " FROM information_schema.columns WHERE table_schema = ANY (%s) GROUP BY 1 ORDER BY 1",
        (list(schemas),),
    ).fetchall()
    return Store(connection, {table: list(columns) for table, columns in found}, "ctid", "%s")


def spots(store: Store, random: Random, rows: int) -> Iterator[Spot]:
    """Some rows of each column of each table, and of what may be done to whole rows."""
    for table, columns in store.tables.items():
        count = store.rows(table)
        for column in (*columns, DELETED, ADDED):
            for row in random.sample(range(count), min(rows, count)):
                yield Spot(table, column, row)


def found_by(place: Path | str) -> str:
    """Return which audit finds that a ledger was changed, the first in their order."""
    try:
        ledger = open_ledger(place)
        ledger.heads()
    except PointsLedgerError:
        return OPENING
    with closing(ledger):
        return _found_in(ledger)


def _found_in(ledger: Ledger) -> str:
    try:
        if verify(ledger)["broken"]:
            return VERIFY
    except PointsLedgerError:
        return VERIFY
    for name, from_topic in ((REPLAY, False), (FROM_TOPIC, True)):
        try:
            if replay(ledger, from_topic=from_topic)["differences"]:
                return name
        except PointsLedgerError:
            return name
    return NOBODY
