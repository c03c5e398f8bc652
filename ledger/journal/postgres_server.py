"""The connections of a process to a server of PostgreSQL: its settings, its errors, and what an address says."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, urlencode

import psycopg
from eventsourcing.persistence import PersistenceError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row, tuple_row
from psycopg_pool import ConnectionPool, PoolTimeout

from ledger.journal.migrations import Steps, pending
from ledger.journal.port import Damaged, JournalError, Unavailable

PASSWORD_FILE = "POINTS_LEDGER_PASSWORD_FILE"  # names a file with the role's password, where the address has none
_LONGEST = 1_000  # bytes of it that are read
OURS = ("points_schema", "points_connections")  # parameters of an address that libpq does not know
OLDEST = 15  # major version of the server
CONNECTIONS = 8  # of a process to one server, unless its address says otherwise
CONNECT_SECONDS = 5
# A batch takes well under a second. An owner that was stopped in the middle of one is ended by the server after
# `IDLE_SECONDS`. One that was stopped while it was sending entries is not: whoever takes over waits `LOCK_SECONDS`.
IDLE_SECONDS, LOCK_SECONDS, STATEMENT_SECONDS = 10, 15, 60

# Held against the user's own, which win.
_CONNECTION = {
    "connect_timeout": str(CONNECT_SECONDS),
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "fallback_application_name": "points",
}
# Answered is durable: the one setting that would take that away is put right; others bound every wait. Every question
# here is answered by an index, a set at a time: a planner that has not counted a new table yet would read all of it.
_SETTINGS = f"""SELECT
    set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false),
    set_config('idle_in_transaction_session_timeout', '{IDLE_SECONDS}s', false),
    set_config('lock_timeout', '{LOCK_SECONDS}s', false),
    set_config('statement_timeout', '{STATEMENT_SECONDS}s', false),
    set_config('default_transaction_isolation', 'read committed', false),
    set_config('enable_seqscan', 'off', false),
    set_config('enable_hashjoin', 'off', false),
    set_config('enable_mergejoin', 'off', false),
    set_config('max_parallel_workers_per_gather', '0', false),
    set_config('jit', 'off', false)"""


def split(address: str) -> tuple[str, dict[str, str]]:
    """Return an address as libpq reads it, and those of its parameters that are ours (`OURS`), by name."""
    base, _, query = address.partition("?")
    theirs, ours = [], {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in OURS:
            ours[name] = value
        else:
            theirs.append((name, value))
    return f"{base}?{urlencode(theirs)}" if theirs else base, ours


def name_of(address: str) -> str:
    """Return a server and its database without a password, for people."""
    parts = _parts(split(address)[0])
    user = f"{parts['user']}@" if "user" in parts else ""
    port = f":{parts['port']}" if "port" in parts else ""
    return f"postgresql://{user}{parts.get('host', parts.get('service', ''))}{port}/{parts.get('dbname', '')}"


def has_password(address: str) -> bool:
    """Return True if an address holds a password."""
    return "password" in _parts(address)


def password_said(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the password that stands in a file that is named, as a parameter of a connection; none where none is.

    libpq reads a passfile of its owner's alone, which a secret that Kubernetes mounts is not. Raises `Unavailable`.
    """
    named = environment.get(PASSWORD_FILE)
    if not named:
        return {}
    try:
        with open(named, "rb") as file:
            text = file.read(_LONGEST + 1).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{PASSWORD_FILE}: {named} cannot be read: {error}; name a file with the password") from None
    if not 0 < len(text) <= _LONGEST or not text.isprintable():
        raise Unavailable(f"{PASSWORD_FILE}: {named} has no password: one line of 1 to {_LONGEST} bytes is needed")
    return {"password": text}


def _parts(address: str) -> dict[str, Any]:
    try:
        return {name: value for name, value in conninfo_to_dict(address).items() if value is not None}
    except psycopg.Error:  # what it says would repeat the address, and a password with it
        raise JournalError(
            "the address of the ledger cannot be read; it has the form postgresql://USER@HOST:PORT/DATABASE"
        ) from None


class Server:
    """The connections of this process to one server, shared by the journals in it."""

    def __init__(
        self,
        address: str,
        most: int = CONNECTIONS,
        *,
        schema: str = "",
        wait: float = CONNECT_SECONDS,
        otherwise: type[JournalError] = Damaged,
    ) -> None:
        """Names are looked up in `schema` where it is given; `wait` is how many seconds a connection is waited for.

        `otherwise` is what an error is where the server is there and its tables are not as they should be.
        """
        self._otherwise = otherwise
        self.name = name_of(address)
        said = {**_CONNECTION, **password_said(), **_parts(address), "client_encoding": "UTF8"}
        self._address = make_conninfo("", **said)
        self.pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            self._address,
            kwargs={"autocommit": True, "row_factory": dict_row},
            min_size=0,
            max_size=most,
            open=False,
            configure=partial(_configure, schema),
            check=ConnectionPool.check_connection,  # one that died is replaced before it is used
            timeout=wait,
            reconnect_timeout=CONNECT_SECONDS,  # given up then, and tried anew for whoever asks next
        )

    def open(self) -> None:
        """Let journals use it. Raises `Unavailable` where it does not answer, `JournalError` where it will not do."""
        with self.errors(), psycopg.connect(self._address, autocommit=True) as connection:
            version = connection.info.server_version // 10_000
            encoding = connection.info.parameter_status("server_encoding")
        if version < OLDEST:
            raise JournalError(f"{self.name} is PostgreSQL {version}; {OLDEST} is the oldest that will do")
        if encoding != "UTF8":
            raise JournalError(f"{self.name} is encoded in {encoding}; a ledger needs a database in UTF8")
        self.pool.open()

    @contextmanager
    def errors(self, where: str = "") -> Iterator[None]:
        """What the driver raises, as the port's errors; `where` names a schema."""
        try:
            yield
        except (psycopg.Error, PersistenceError) as error:  # the library's: a position that would not move forward
            place = f"{self.name}, schema {where}" if where else self.name
            raise self._error_of_the_port(error, place) from error

    def _error_of_the_port(self, error: Exception, place: str) -> JournalError:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, psycopg.Error):
            cause = cause.__cause__
        state = getattr(cause, "sqlstate", None) or ""
        if isinstance(cause, psycopg.Error) and state in ("42P01", "3F000", "42703"):  # no such table, schema, column
            return JournalError(
                f"{place}: {cause.diag.message_primary}: it has an older format than this version of points reads, or"
                " was never made whole; run `points store migrate`, which makes what is missing and keeps what is there"
            )
        if isinstance(cause, PoolTimeout):
            return Unavailable(f"{place}: {self._why_no_connection()}")
        # No connection, no rights, no transaction any more, a disk that is full, a wait that was too long.
        is_not_now = isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError) or state[:2] == "25"
        return (Unavailable if is_not_now or state == "42501" else self._otherwise)(f"{place}: {error}")

    def _why_no_connection(self) -> str:
        """The pool tells how long it waited, and not for what."""
        try:
            psycopg.connect(self._address).close()
        except psycopg.Error as error:
            return str(error)
        return f"no connection was free for {self.pool.timeout:g} s, of {self.pool.max_size} that this process may have"

    @contextmanager
    def transaction(self, where: str = "") -> Iterator[psycopg.Cursor[Any]]:
        """Return a cursor of plain tuples in a transaction that commits; `where` names a schema for errors."""
        with (
            self.errors(where),
            self.pool.connection() as connection,
            connection.transaction(),
            connection.cursor(row_factory=tuple_row, binary=True) as cursor,
        ):
            yield cursor

    def rows(self, where: str, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return the answer to one question, in plain tuples."""
        with (
            self.errors(where),
            self.pool.connection() as connection,
            connection.cursor(row_factory=tuple_row, binary=True) as cursor,
        ):
            return cursor.execute(sql, parameters).fetchall()

    def connect(self) -> psycopg.Connection[Any]:
        """Return a connection of its own, which whoever asks closes: what it holds is free when it is gone."""
        with self.errors():
            return psycopg.connect(self._address, autocommit=True)

    def close(self) -> None:
        """End its connections."""
        self.pool.close()


def format_of(c: psycopg.Cursor[Any], table: str) -> int:
    """Return the format that a table's row says, 0 where there is no such table."""
    ((found,),) = c.execute("SELECT to_regclass(%s)::text", (table,)).fetchall()
    if found is not None:
        ((found,),) = c.execute(f"SELECT max(format) FROM {table}").fetchall()
    return int(found or 0)


def migrate_schema(c: psycopg.Cursor[Any], schema: str, table: str, steps: Steps, where: str) -> int:
    """Bring a schema to the format that `steps` lead to, in the transaction at hand; returns how many it took.

    `table` holds its format. There is one migration of a schema at a time, however long its steps take.
    """
    c.execute("SET LOCAL statement_timeout = 0")
    c.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"points migrate {schema}",))
    to_take = pending(steps, format_of(c, f"{schema}.{table}"), where, may_migrate=True)
    if to_take:
        c.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    for statement in chain.from_iterable(to_take):
        c.execute(statement.format(schema=schema), prepare=False)
    return len(to_take)


def _configure(schema: str, connection: psycopg.Connection[Any]) -> None:
    connection.execute(_SETTINGS)
    if schema:
        connection.execute("SELECT set_config('search_path', %s, false)", (schema,))
