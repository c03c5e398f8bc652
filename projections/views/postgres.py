"""The views in PostgreSQL: a schema for each build, and one row each that says which of them is live.

`{prefix}.view_builds` lists the builds; one's schema is `{prefix}_view_` and its number. Switching is one transaction:
it moves the mark, and puts the views that are for others to read (`projections.views.published`) over the new build.
A sum is `numeric`, so every one is exact. Views are disposable: a build whose schema was dropped is none, and
`points views run` makes one again. For the same reason a batch does not wait for the disk: after a crash of the server
a build stands at an earlier position, whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from ledger.journal.port import JournalError
from ledger.journal.postgres_server import Server
from ledger.journal.topology import schema_named
from projections.views.port import Build, BuildName, ViewStore
from projections.views.published import published
from projections.views.sql import FORMAT, POSITION, POSITIONS, Batch, MemberRow, check_build, positions_of, tables_of
from projections.views.view import SumTable, View

CONNECTIONS = 8  # of a process to the store
READ_SECONDS = 600  # that a reader of a whole view may take, and be idle between two reads
_FETCH = 2_000  # rows at a time
_AT_ONCE = 5_000  # rows of a statement

_TABLES = (
    """CREATE TABLE build (one integer PRIMARY KEY CHECK (one = 1), format integer NOT NULL,
        view text NOT NULL, version integer NOT NULL, tables text NOT NULL, begun integer NOT NULL)""",
    "CREATE TABLE tracking (application_name text PRIMARY KEY, notification_id bigint NOT NULL) WITH (fillfactor = 20)",
    "CREATE TABLE chain (partition integer PRIMARY KEY, link bytea NOT NULL) WITH (fillfactor = 20)",
    'CREATE TABLE building (partition integer PRIMARY KEY, upto bigint NOT NULL, after text COLLATE "C" NOT NULL)',
    "CREATE TABLE counted (latest bigint NOT NULL)",
    "INSERT INTO counted VALUES (0)",
)
_MEMBERS = """CREATE TABLE members (
    member text COLLATE "C" PRIMARY KEY, partition integer NOT NULL, number bigint NOT NULL, clock bigint NOT NULL,
    recorded bigint NOT NULL, due bigint NOT NULL, state bytea NOT NULL{counted}) WITH (fillfactor = 80)"""
_OF_MEMBERS = ("text", "int4", "int8", "int8", "int8", "int8", "bytea", "bytea")


class TableBatch(Batch):
    """One transaction of a build in a schema, or a consistent state of it to read."""

    def __init__(self, view: View, place: str, cursor: psycopg.Cursor[Any]) -> None:
        super().__init__(view, place)
        self._cursor = cursor
        self._streams = 0

    def run(self, sql: str, *values: Any) -> list[Any]:
        """As `Batch.run` says."""
        self._cursor.execute(_marked(sql), values)
        return self._cursor.fetchall() if self._cursor.description else []

    def stream(self, sql: str, *values: Any) -> Iterator[Any]:
        """As `Batch.stream` says, some rows at a time."""
        self._streams += 1
        with self._cursor.connection.cursor(name=f"rows_{self._streams}", row_factory=tuple_row) as cursor:
            cursor.itersize = _FETCH
            yield from cursor.execute(_marked(sql), values, binary=True)

    def track(self, positions: Mapping[int, int]) -> None:
        """As `Batch.track` says."""
        moved = self.run(
            f"INSERT INTO tracking AS t VALUES {', '.join(['(?, ?)'] * len(positions))}"
            " ON CONFLICT (application_name) DO UPDATE SET notification_id = excluded.notification_id"
            " WHERE t.notification_id < excluded.notification_id RETURNING 1",
            *(value for partition, place in positions.items() for value in (f"{POSITION}{partition}", place)),
        )
        if len(moved) < len(positions):
            wanted = ", ".join(f"partition {partition} to {place}" for partition, place in positions.items())
            raise JournalError(f"{self.place}: a position would not go up: {wanted}")

    def put_members(self, rows: Sequence[MemberRow]) -> None:
        """As `Batch.put_members` says."""
        names = ["partition", "number", "clock", "recorded", "due", "state", *(["counted"] * self.view.counts)]
        arrays = ", ".join(f"%b::{kind}[]" for kind in _OF_MEMBERS[: len(names) + 1])
        changed = ", ".join(f"{name} = excluded.{name}" for name in names)
        for some in _parts(rows):
            self._cursor.execute(
                f"INSERT INTO members SELECT * FROM unnest({arrays}) ON CONFLICT (member) DO UPDATE SET {changed}",
                [list(column) for column in zip(*some, strict=True)],
            )

    def add_rows(self, table: SumTable, rows: Sequence[tuple[Any, ...]]) -> None:
        """As `Batch.add_rows` says."""
        keys = [column.name for column in table.key]
        kinds = ["int8" if column.form == "integer" else "text" for column in table.key]
        arrays = ", ".join(f"%b::{kind}[]" for kind in [*kinds, *["numeric"] * len(table.amounts)])
        sums = ", ".join(f"{name} = t.{name} + excluded.{name}" for name in table.amounts)
        for some in _parts(rows):
            self._cursor.execute(
                f"INSERT INTO {table.name} AS t SELECT * FROM unnest({arrays})"
                f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sums}",
                [list(column) for column in zip(*some, strict=True)],
            )
        same = " AND ".join([*(f"t.{key} = n.{key}" for key in keys), *(f"t.{name} = 0" for name in table.amounts)])
        for some in _parts([row[: len(keys)] for row in rows if min(row[len(keys) :]) < 0]):  # may have come to nothing
            arrays = ", ".join(f"%b::{kind}[]" for kind in kinds)
            self._cursor.execute(
                f"DELETE FROM {table.name} AS t USING unnest({arrays}) AS n ({', '.join(keys)}) WHERE {same}",
                [list(column) for column in zip(*some, strict=True)],
            )


class TableBuild(Build):
    """A build in a schema of its own, over the connections of the store."""

    def __init__(self, server: Server, name: BuildName, view: View) -> None:
        self._server = server
        self._schema = name.place
        self.view, self.name = view, name.name
        self.place = f"{server.name}, schema {name.place}"
        with self.reading() as batch:
            rows = batch.run("SELECT format, view, version, tables FROM build")
        if not rows:
            raise JournalError(f"{self.place} holds no build; `points views rebuild {view.name}` makes one")
        self.version = check_build(rows[0], view, self.place)

    @contextmanager
    def writing(self) -> Iterator[TableBatch]:
        """As `Build.writing` says: the row of the build is locked."""
        with self._server.transaction(self._schema) as c:
            _look_in(c, self._schema, synchronous_commit="off")
            c.execute("UPDATE build SET one = 1")
            yield TableBatch(self.view, self.place, c)

    @contextmanager
    def reading(self) -> Iterator[TableBatch]:
        """As `Build.reading` says."""
        with self._server.transaction(self._schema) as c:
            c.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            _look_in(c, self._schema)
            yield TableBatch(self.view, self.place, c)

    def is_there(self) -> bool:
        """As `Build.is_there` says: no other schema gets its name."""
        return True


class Tables(ViewStore):
    """The views of a ledger in a database. Raises `Unavailable`, and `JournalError` where it will not do."""

    is_for_sql = True

    def __init__(self, address: str) -> None:
        theirs, self.prefix, _ = schema_named(address)
        self._server = Server(theirs, CONNECTIONS, otherwise=JournalError)  # the ledger's tables are not in question
        self._server.open()
        self.place = f"{self._server.name}, schema {self.prefix}"

    def close(self) -> None:
        """As `ViewStore.close` says."""
        self._server.close()

    def make(self) -> None:
        """As `ViewStore.make` says. The role needs the right to create schemas in the database."""
        if self._is_made():
            return
        with self._changing() as c:
            c.execute(f"CREATE SCHEMA IF NOT EXISTS {self.prefix}")
            c.execute(
                f"""CREATE TABLE IF NOT EXISTS {self.prefix}.view_builds (
                    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, view text COLLATE "C" NOT NULL,
                    version bigint NOT NULL, again bigint NOT NULL, is_live boolean NOT NULL DEFAULT false,
                    UNIQUE (view, version, again))"""
            )

    def builds(self, view: str) -> list[BuildName]:
        """As `ViewStore.builds` says."""
        return sorted(self._named(*row) for row in self._listed("view = %s", view))

    def live_builds(self) -> dict[str, BuildName]:
        """As `ViewStore.live_builds` says."""
        return {build.view: build for build in (self._named(*row) for row in self._listed("is_live"))}

    def begin(self, view: View) -> BuildName:
        """As `ViewStore.begin` says."""
        with self._changing() as c:
            ((number, again),) = c.execute(
                f"INSERT INTO {self.prefix}.view_builds (view, version, again)"
                f" SELECT %s, %s, coalesce(max(again), 0) + 1"
                f" FROM {self.prefix}.view_builds WHERE view = %s AND version = %s RETURNING number, again",
                (view.name, view.version, view.name, view.version),
            ).fetchall()
            name = self._named(number, view.name, view.version, again)
            c.execute(f"CREATE SCHEMA {name.place}")
            _look_in(c, name.place)
            for statement in _tables(view):
                c.execute(statement)
            row = FORMAT, view.name, view.version, tables_of(view)
            c.execute("INSERT INTO build VALUES (1, %s, %s, %s, %s, 0)", row)
        return name

    @contextmanager
    def opened(self, build: BuildName, view: View) -> Iterator[TableBuild]:
        """As `ViewStore.opened` says."""
        yield TableBuild(self._server, build, view)

    def positions(self, build: BuildName) -> dict[int, int]:
        """As `ViewStore.positions` says."""
        with self._server.transaction(build.place) as c:
            _look_in(c, build.place)
            return positions_of(c.execute(_marked(POSITIONS), (f"{POSITION}%",)).fetchall())

    def size(self, build: BuildName) -> int:
        """As `ViewStore.size` says."""
        ((size,),) = self._server.rows(
            build.place,
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class AS c"
            " JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind = 'r'",
            (build.place,),
        )
        return int(size)

    def switch(self, view: View, build: BuildName) -> None:
        """As `ViewStore.switch` says. Raises `JournalError` where views of others stand in the way."""
        try:
            with self._changing() as c:
                c.execute(
                    f"UPDATE {self.prefix}.view_builds SET is_live = (again, version) = (%s, %s) WHERE view = %s",
                    (build.again, build.version, view.name),
                )
                for statement in published(view, self.prefix, build.place):
                    c.execute(statement)
        except JournalError as error:
            if isinstance(error.__cause__, psycopg.errors.WrongObjectType):
                raise JournalError(
                    f"{self.place}: something else has the name of a table that is published here: {error};"
                    " give it another name, or name another schema (points_schema), and run it again"
                ) from error
            if isinstance(error.__cause__, psycopg.errors.InvalidTableDefinition):
                raise JournalError(
                    f"{self.place}: this version publishes other columns than the views that stand there: {error};"
                    " drop those of ours, with what others made of them, and switch again"
                ) from error
            raise

    def remove(self, build: BuildName) -> None:
        """As `ViewStore.remove` says; it waits for who still reads it."""
        with self._changing() as c:
            c.execute(f"DROP SCHEMA IF EXISTS {build.place} CASCADE")
            c.execute(
                f"DELETE FROM {self.prefix}.view_builds WHERE view = %s AND version = %s AND again = %s",
                (build.view, build.version, build.again),
            )

    def claim(self, view: str) -> "psycopg.Connection[Any] | None":
        """As `ViewStore.claim` says: a connection that holds an advisory lock."""
        connection = self._server.connect()
        ((is_ours,),) = connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (f"{self.prefix} view {view}",)
        ).fetchall()
        if is_ours:
            return connection
        connection.close()
        return None

    def _listed(self, where: str, *values: str) -> list[Any]:
        columns = "number, view, version, again"
        is_there = f"to_regnamespace('{self.prefix}_view_' || number) IS NOT NULL"
        listed = f"SELECT {columns} FROM {self.prefix}.view_builds WHERE {where} AND {is_there}"
        try:
            return self._server.rows("", listed, values)
        except JournalError as error:
            if isinstance(error.__cause__, psycopg.errors.UndefinedTable):
                return []
            raise

    def _is_made(self) -> bool:
        ((found,),) = self._server.rows("", "SELECT to_regclass(%s)::text", (f"{self.prefix}.view_builds",))
        return found is not None

    def _named(self, number: int, view: str, version: int, again: int) -> BuildName:
        name = f"{view}-v{version}" + (f"-{again}" if again > 1 else "")
        return BuildName(view, version, again, name, f"{self.prefix}_view_{number}")

    @contextmanager
    def _changing(self) -> Iterator[psycopg.Cursor[Any]]:
        """A transaction that makes or drops tables: one at a time."""
        with self._server.transaction(self.prefix) as c:
            c.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{self.prefix} view_builds",))
            yield c


def _tables(view: View) -> Iterator[str]:
    yield from _TABLES
    if view.state is not None:
        yield _MEMBERS.format(counted=", counted bytea NOT NULL" if view.counts else "")
    if view.counts:
        yield "CREATE INDEX by_due ON members (due)"
    for table in view.tables:
        keys = ", ".join(
            f"{c.name} bigint NOT NULL" if c.form == "integer" else f'{c.name} text COLLATE "C" NOT NULL'
            for c in table.key
        )
        amounts = ", ".join(f"{name} numeric NOT NULL" for name in table.amounts)
        names = ", ".join(column.name for column in table.key)
        yield f"CREATE TABLE {table.name} ({keys}, {amounts}, PRIMARY KEY ({names})) WITH (fillfactor = 80)"


def _look_in(c: psycopg.Cursor[Any], schema: str, **more: str) -> None:
    """Let names be a build's, and a reader take its time; `more` are settings of the transaction."""
    seconds = f"{READ_SECONDS}s"
    settings = {
        "search_path": schema,
        "statement_timeout": seconds,
        "idle_in_transaction_session_timeout": seconds,
        "enable_seqscan": "on",
        **more,
    }
    each = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    c.execute(f"SELECT {each}", [text for setting in settings.items() for text in setting])


def _marked(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


def _parts(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    return (rows[first : first + _AT_ONCE] for first in range(0, len(rows), _AT_ONCE))
