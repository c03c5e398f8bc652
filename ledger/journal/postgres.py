"""A partition's journal in a schema of PostgreSQL, as a recorder of the `eventsourcing` library.

The tables are those of the SQLite store. A batch is one transaction that begins with the fence, as there, and is
written set by set: entries, receipts and new pages by binary COPY. What it will read is fetched ahead, set by set too,
since each read by itself would be a round trip.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

import psycopg
from eventsourcing.persistence import IntegrityError, PersistenceError, StoredEvent, Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresProcessRecorder
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row, tuple_row
from psycopg_pool import ConnectionPool, PoolTimeout

from ledger.core.pages import Page, decode_page, encode_page
from ledger.journal.migrations import Steps, pending
from ledger.journal.port import (
    SOURCES,
    STREAM,
    Damaged,
    EntryRow,
    Fenced,
    Head,
    JournalError,
    Parked,
    Published,
    Receipt,
    Unavailable,
)

OLDEST = 15  # major version of the server
CONNECTIONS = 8  # of a process to one server, unless its address says otherwise
CONNECT_SECONDS = 5
# A batch takes well under a second. An owner that was stopped in the middle of one is ended by the server after
# `IDLE_SECONDS`. One that was stopped while it was sending entries is not: whoever takes over waits `LOCK_SECONDS`.
IDLE_SECONDS, LOCK_SECONDS, STATEMENT_SECONDS = 10, 15, 60
SCAN_ROWS = 1_000  # read at a time
AHEAD_MEMBERS, AHEAD_PAGES = 256, 2_000  # fetched at a time
_ALL = (1 << 63) - 1

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

# Each brings a partition's schema to the next format. Names are told apart and ordered by their bytes ("C"), as Python
# and SQLite do.
JOURNAL_STEPS: Steps = (
    (
        """CREATE TABLE {schema}.stored_events (
            notification_id bigint PRIMARY KEY, originator_id text COLLATE "C" NOT NULL,
            originator_version bigint NOT NULL, topic text NOT NULL, state bytea NOT NULL, link bytea)""",
        "CREATE UNIQUE INDEX by_member ON {schema}.stored_events (originator_id, originator_version)",
        """CREATE TABLE {schema}.shard (
            one integer PRIMARY KEY CHECK (one = 1), format integer NOT NULL, epoch bigint NOT NULL,
            head bigint NOT NULL, link bytea NOT NULL, recorded bigint NOT NULL) WITH (fillfactor = 10)""",
        "INSERT INTO {schema}.shard VALUES (1, 0, 0, 0, decode(repeat('00', 32), 'hex'), 0)",
        'CREATE TABLE {schema}.sources (number bigint PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE)',
        """CREATE TABLE {schema}.receipts (
            source bigint NOT NULL, id text COLLATE "C" NOT NULL, member text COLLATE "C" NOT NULL,
            place bigint NOT NULL, PRIMARY KEY (source, id, member))""",
        """CREATE TABLE {schema}.pages (
            key text COLLATE "C" NOT NULL, member text COLLATE "C" NOT NULL, state bytea NOT NULL,
            PRIMARY KEY (key, member)) WITH (fillfactor = 80)""",
        """CREATE TABLE {schema}.accounts (
            member text COLLATE "C" PRIMARY KEY, number bigint NOT NULL, state bytea NOT NULL)
            WITH (fillfactor = 80)""",
        """CREATE TABLE {schema}.parked (
            position bigint PRIMARY KEY, recorded bigint NOT NULL, reason text NOT NULL, detail text NOT NULL,
            length bigint NOT NULL, sha256 bytea NOT NULL, kept bytea NOT NULL, retried integer NOT NULL DEFAULT 0)""",
        "CREATE TABLE {schema}.programmes (place bigint PRIMARY KEY, version text NOT NULL, toml text NOT NULL)",
        """CREATE TABLE {schema}.tracking (
            application_name text PRIMARY KEY, notification_id bigint NOT NULL) WITH (fillfactor = 10)""",
    ),
    (  # the partition's inbox (consumers/local/postgres.py); a key is bytes, since a text holds no NUL
        """CREATE TABLE {schema}.inbox (
            position bigint PRIMARY KEY, line bigint NOT NULL, recorded bigint NOT NULL, backlog integer NOT NULL,
            feed bigint NOT NULL, key bytea NOT NULL, value bytea NOT NULL, whole_length bigint NOT NULL,
            whole_sha256 bytea NOT NULL)""",
        """CREATE TABLE {schema}.inbox_end (
            one integer PRIMARY KEY CHECK (one = 1), position bigint NOT NULL, recorded bigint NOT NULL)
            WITH (fillfactor = 10)""",
        "INSERT INTO {schema}.inbox_end VALUES (1, -1, 0)",
        """CREATE TABLE {schema}.inbox_spans (
            feed bigint PRIMARY KEY, first bigint NOT NULL, last bigint NOT NULL)""",
    ),
)


def name_of(address: str) -> str:
    """A server and its database as people may read it: without a password."""
    parts = _parts(address)
    user = f"{parts['user']}@" if "user" in parts else ""
    port = f":{parts['port']}" if "port" in parts else ""
    return f"postgresql://{user}{parts.get('host', parts.get('service', ''))}{port}/{parts.get('dbname', '')}"


def has_password(address: str) -> bool:
    """Whether an address holds a password."""
    return "password" in _parts(address)


def _parts(address: str) -> dict[str, Any]:
    try:
        return {name: value for name, value in conninfo_to_dict(address).items() if value is not None}
    except psycopg.Error:  # what it says would repeat the address, and a password with it
        raise JournalError(
            "the address of the ledger cannot be read; it has the form postgresql://USER@HOST:PORT/DATABASE"
        ) from None


class Server:
    """The connections of this process to one server, shared by the journals in it."""

    def __init__(self, address: str, most: int = CONNECTIONS) -> None:
        self.name = name_of(address)
        self._address = make_conninfo("", **{**_CONNECTION, **_parts(address), "client_encoding": "UTF8"})
        self.pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            self._address,
            kwargs={"autocommit": True, "row_factory": dict_row},
            min_size=0,
            max_size=most,
            open=False,
            configure=_configure,
            check=ConnectionPool.check_connection,  # one that died is replaced before it is used
            timeout=CONNECT_SECONDS,
            reconnect_timeout=CONNECT_SECONDS,  # given up then, and tried anew for whoever asks next
        )

    def check(self) -> None:
        """Raise `Unavailable` where it does not answer, and `JournalError` where it will not do."""
        with self.errors(), psycopg.connect(self._address, autocommit=True) as connection:
            version = connection.info.server_version // 10_000
            encoding = connection.info.parameter_status("server_encoding")
        if version < OLDEST:
            raise JournalError(f"{self.name} is PostgreSQL {version}; {OLDEST} is the oldest that will do")
        if encoding != "UTF8":
            raise JournalError(f"{self.name} is encoded in {encoding}; a ledger needs a database in UTF8")

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
        if state in ("42P01", "3F000"):  # no such table, no such schema
            return JournalError(f"{place}: {error}; `points store migrate` makes what a ledger needs")
        if isinstance(cause, PoolTimeout):
            return Unavailable(f"{place}: {self._why_no_connection()}")
        # No connection, no rights, no transaction any more, a disk that is full, a wait that was too long.
        is_not_now = isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError) or state[:2] == "25"
        return (Unavailable if is_not_now or state == "42501" else Damaged)(f"{place}: {error}")

    def _why_no_connection(self) -> str:
        """The pool tells how long it waited, and not for what."""
        try:
            psycopg.connect(self._address).close()
        except psycopg.Error as error:
            return str(error)
        return f"no connection was free for {CONNECT_SECONDS} s, of {self.pool.max_size} that this process may have"

    @contextmanager
    def transaction(self, where: str = "") -> Iterator[psycopg.Cursor[Any]]:
        """A cursor of plain tuples in a transaction that commits at its end; `where` names a schema for errors."""
        with (
            self.errors(where),
            self.pool.connection() as connection,
            connection.transaction(),
            connection.cursor(row_factory=tuple_row, binary=True) as cursor,
        ):
            yield cursor

    def rows(self, where: str, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """The answer to one question, in plain tuples."""
        with (
            self.errors(where),
            self.pool.connection() as connection,
            connection.cursor(row_factory=tuple_row, binary=True) as cursor,
        ):
            return cursor.execute(sql, parameters).fetchall()

    def open(self) -> None:
        """Let journals use it."""
        self.pool.open()

    def close(self) -> None:
        """End its connections."""
        self.pool.close()


def _configure(connection: psycopg.Connection[Any]) -> None:
    connection.execute(_SETTINGS)


class _Datastore(PostgresDatastore):
    """The library's, over the connections of a server that others share."""

    def __init__(self, server: Server, schema: str) -> None:
        super().__init__("", "", "", "", "", schema=schema, originator_id_type="text")
        self.pool = server.pool  # type: ignore[assignment]

    def register_type_adapters(self) -> None:
        """None are needed: nothing is written through the library's composite type."""

    def close(self) -> None:
        """The server is closed by whoever opened it."""


class PostgresJournal(PostgresProcessRecorder):
    """One partition's journal: entries with their chain, receipts, pages, snapshots, parked facts and the position."""

    def __init__(self, server: Server, schema: str) -> None:
        super().__init__(_Datastore(server, schema), tracking_table_name="tracking")
        self.schema = schema
        self.server = server
        self._sources: dict[str, int] = {}
        with server.transaction() as c:
            pending(JOURNAL_STEPS, _format_of(c, schema), f"{server.name}, schema {schema}")

    # -- owning ------------------------------------------------------------------------------------------------------

    def own(self) -> int:
        """Become the owner: the epoch is raised and returned; what an earlier owner still has in hand is rejected.

        An earlier owner that was stopped in the middle of a batch, and holds the partition's row, loses its session.
        Raises `JournalError` where the server does not keep what it has answered (fsync = off).
        """
        try:
            return self._raise_epoch()
        except Unavailable as error:
            if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise
        self._rows(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE mode = 'RowExclusiveLock'"
            " AND relation = %s::regclass AND pid <> pg_backend_pid()",
            (f"{self.schema}.shard",),
        )
        return self._raise_epoch()

    def _raise_epoch(self) -> int:
        with self.server.transaction(self.schema) as c:
            c.execute(
                f"UPDATE {self.schema}.shard SET epoch = epoch + 1 RETURNING epoch, format, current_setting('fsync')"
            )
            epoch, found, fsync = _one(c)
            pending(JOURNAL_STEPS, found, f"{self.server.name}, schema {self.schema}")  # migrated since it was opened?
            if fsync != "on":
                raise JournalError(
                    f"{self.server.name} runs with fsync = {fsync}: a power cut would lose what was decided;"
                    " set fsync = on and start it again"
                )
            return int(epoch)

    @contextmanager
    def transaction(self, entries: int, epoch: int) -> Iterator["PostgresBatch"]:
        """One batch of `entries` entries in one transaction. Raises `Fenced` before anything is written.

        It is never tried again here: after an error at its commit nobody knows whether it is in (`Unavailable`).
        """
        with self.server.transaction(self.schema) as c:
            batch = PostgresBatch(self, c, entries, epoch)
            yield batch
        self._remember(batch.named)

    def head(self) -> Head:
        """Where the journal stands."""
        ((entries, link, recorded, position),) = self._rows(
            f"SELECT head, link, recorded, (SELECT notification_id FROM {self.schema}.tracking"
            f" WHERE application_name = %s) FROM {self.schema}.shard",
            (STREAM,),
        )
        return Head(entries, link, (position or 0) - 1, recorded)

    def close(self) -> None:
        """Nothing: the connections are the server's."""

    def _remember(self, named: dict[str, int]) -> None:
        """Source numbers that are committed, and so hold for ever."""
        if len(self._sources) > SOURCES:
            self._sources.clear()
        self._sources.update(named)

    # -- the library's recorder --------------------------------------------------------------------------------------

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """The library's way in: entries without a chain, by nobody's epoch."""
        with self.datastore.transaction(commit=True) as c:
            c.row_factory = tuple_row  # type: ignore[assignment]
            first = self._fence(c, len(stored_events), None)[0] + 1
            places = list(range(first, first + len(stored_events)))
            self._append(
                c,
                [
                    (place, str(e.originator_id), e.originator_version, e.topic, e.state, None)
                    for place, e in zip(places, stored_events, strict=True)
                ],
            )
            tracking: Tracking | None = kwargs.get("tracking")
            if tracking is not None:
                self._insert_tracking(c, tracking)
            return places

    def _append(self, c: psycopg.Cursor[Any], rows: Iterable[tuple[Any, ...]]) -> None:
        columns = "notification_id, originator_id, originator_version, topic, state, link"
        types = ("int8", "text", "int8", "text", "bytea", "bytea")
        _copy(c, f"{self.schema}.stored_events ({columns})", types, rows)

    def _fence(self, c: psycopg.Cursor[Any], entries: int, epoch: int | None) -> tuple[int, bytes]:
        """Lock, number and, where an owner's epoch is given, fence: the head before this batch and the last link."""
        c.execute(
            f"UPDATE {self.schema}.shard SET head = head + %s WHERE epoch = coalesce(%s, epoch) RETURNING head, link",
            (entries, epoch),
        )
        row = c.fetchone()
        if row is None:
            raise Fenced(f"epoch {epoch} is over: another process owns this partition now")
        return row[0] - entries, row[1]

    # -- reading -----------------------------------------------------------------------------------------------------

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self.server.rows(self.schema, sql, parameters)

    def published_upto(self, flow: str) -> int:
        """How far a flow out of this journal was acknowledged, 0 at its beginning."""
        with self.server.errors(self.schema):
            return self.max_tracking_id(flow) or 0

    def publish_upto(self, flow: str, number: int) -> None:
        """Remember how far a flow was acknowledged; nothing happens where a later owner has moved it further."""
        with self.server.errors(self.schema), suppress(IntegrityError):
            self.insert_tracking(Tracking(flow, number))

    def scan(self, after: int = 0, upto: int | None = None) -> Iterator[EntryRow]:
        """Entries in journal order, streamed; those that are there when the first is read."""
        last = self.head().entries if upto is None else upto
        while True:
            rows = self._rows(
                "SELECT notification_id, originator_id, originator_version, state, link"
                f" FROM {self.schema}.stored_events WHERE notification_id > %s AND notification_id <= %s"
                " ORDER BY notification_id LIMIT %s",
                (after, last, SCAN_ROWS),
            )
            yield from map(EntryRow._make, rows)
            if len(rows) < SCAN_ROWS:
                return
            after = rows[-1][0]

    def scan_by_member(self, after: str = "") -> Iterator[EntryRow]:
        """Entries by member and number, streamed; those that are there when the first is read."""
        last = self.head().entries
        number = _ALL
        while True:
            rows = self._rows(
                "SELECT notification_id, originator_id, originator_version, state, link"
                f" FROM {self.schema}.stored_events WHERE (originator_id, originator_version) > (%s, %s)"
                " AND notification_id <= %s ORDER BY originator_id, originator_version LIMIT %s",
                (after, number, last, SCAN_ROWS),
            )
            yield from map(EntryRow._make, rows)
            if len(rows) < SCAN_ROWS:
                return
            after, number = rows[-1][1:3]

    def receipts(self, upto: int) -> Iterator[Receipt]:
        """The receipts of entries up to a place, streamed."""
        after: tuple[int, str, str] = (0, "", "")
        while True:
            rows = self._rows(
                f"SELECT source, coalesce(name, ''), id, member, place FROM {self.schema}.receipts"
                f" LEFT JOIN {self.schema}.sources ON number = source"
                " WHERE (source, id, member) > (%s, %s, %s) AND place <= %s ORDER BY source, id, member LIMIT %s",
                (*after, upto, SCAN_ROWS),
            )
            yield from (Receipt._make(row[1:]) for row in rows)
            if len(rows) < SCAN_ROWS:
                return
            after = rows[-1][0], rows[-1][2], rows[-1][3]

    def entries_of(self, member: str, after: int = 0, limit: int | None = None) -> list[EntryRow]:
        """A member's entries after a number, in order, at most so many."""
        rows = self._rows(
            "SELECT notification_id, originator_id, originator_version, state, link"
            f" FROM {self.schema}.stored_events WHERE originator_id = %s AND originator_version > %s"
            " ORDER BY originator_version LIMIT %s",
            (member, after, limit),
        )
        return [EntryRow._make(row) for row in rows]

    def last_number(self, member: str) -> int:
        """The number of a member's last entry, 0 where there is none."""
        ((number,),) = self._rows(
            f"SELECT max(originator_version) FROM {self.schema}.stored_events WHERE originator_id = %s", (member,)
        )
        return number or 0

    def snapshot(self, member: str) -> tuple[int, bytes] | None:
        """A member's last snapshot: the entry number it stands at, and its bytes."""
        rows = self._rows(f"SELECT number, state FROM {self.schema}.accounts WHERE member = %s", (member,))
        return rows[0] if rows else None

    def latest(self, member: str) -> tuple[tuple[int, bytes] | None, list[EntryRow]]:
        """A member's last snapshot and the entries behind it, all of one state."""
        rows = self._rows(
            f"WITH snapshot AS (SELECT number, state FROM {self.schema}.accounts WHERE member = %s)"
            " SELECT 0 AS place, '' AS member, number, state, ''::bytea AS link FROM snapshot UNION ALL"
            " SELECT notification_id, originator_id, originator_version, state, link"
            f" FROM {self.schema}.stored_events WHERE originator_id = %s"
            " AND originator_version > coalesce((SELECT number FROM snapshot), 0) ORDER BY place",
            (member, member),
        )
        first = rows.pop(0) if rows and rows[0][0] == 0 else None
        return (first[2], first[3]) if first else None, [EntryRow._make(row) for row in rows]

    def page(self, member: str, key: str) -> Page | None:
        """A page of a member."""
        rows = self._rows(f"SELECT state FROM {self.schema}.pages WHERE key = %s AND member = %s", (key, member))
        return decode_page(rows[0][0]) if rows else None

    def published(self) -> list[Published]:
        """The rule books published to this partition, in order."""
        rows = self._rows(f"SELECT place, version, toml FROM {self.schema}.programmes ORDER BY place")
        return [Published._make(row) for row in rows]

    def parked(
        self, after: int = -1, limit: int | None = None, *, upto: int | None = None, retried: bool = False
    ) -> list[Parked]:
        """Parked records by position, behind `after` up to `upto`; those that are done only when `retried` asks."""
        rows = self._rows(
            "SELECT position, recorded, reason, detail, length, sha256, kept, retried > 0"
            f" FROM {self.schema}.parked WHERE position > %s AND position <= %s AND retried <= %s"
            " ORDER BY position LIMIT %s",
            (after, _ALL if upto is None else upto, int(retried), limit),
        )
        return [Parked._make(row) for row in rows]

    def count_parked(self, upto: int | None = None, *, retried: bool = False) -> int:
        """How many records are parked up to a position; those that are done count only when `retried` asks."""
        ((count,),) = self._rows(
            f"SELECT count(*) FROM {self.schema}.parked WHERE position <= %s AND retried <= %s",
            (_ALL if upto is None else upto, int(retried)),
        )
        return int(count)

    def parked_reasons(self, recorded_by: int) -> dict[str, int]:
        """How many records that wait were parked for each reason, of those recorded by an instant."""
        return dict(
            self._rows(
                f"SELECT reason, count(*) FROM {self.schema}.parked WHERE retried = 0 AND recorded <= %s"
                ' GROUP BY reason ORDER BY reason COLLATE "C"',
                (recorded_by,),
            )
        )

    def mark_retried(self, positions: Sequence[int]) -> None:
        """Remember that parked records were driven again; they stay as a trace."""
        with self.server.transaction(self.schema) as c:
            c.execute(
                f"UPDATE {self.schema}.parked SET retried = 1 WHERE position = ANY (%b::bigint[])", (list(positions),)
            )

    def drop_parked(self, position: int, detail: str) -> None:
        """Remove a parked record's bytes; `detail` says so. The file keeps them until VACUUM takes the old row away."""
        with self.server.transaction(self.schema) as c:
            c.execute(
                f"UPDATE {self.schema}.parked SET kept = '', detail = %s, retried = 1 WHERE position = %s",
                (detail, position),
            )


class PostgresBatch:
    """What one transaction of a journal may do, fence first."""

    def __init__(self, journal: PostgresJournal, cursor: psycopg.Cursor[Any], entries: int, epoch: int) -> None:
        self._journal = journal
        self._schema = journal.schema
        self._cursor = cursor
        self.before, self.link = journal._fence(cursor, entries, epoch)
        self._known = journal._sources
        self.named: dict[str, int] = {}  # sources whose number was looked up or given here
        self._members_ahead: Iterator[str] = iter(())
        self._accounts: dict[str, tuple[int, bytes] | None] = {}  # fetched ahead, until they are asked for
        self._entries: dict[str, list[EntryRow]] = {}
        self._pages: dict[tuple[str, str], bytes | None] = {}  # None: it is known that there is none

    def source(self, name: str) -> int:
        """The number by which receipts name a source."""
        number = self._known.get(name) or self.named.get(name)
        if number is None:
            self._cursor.execute(  # nobody else numbers: the shard's row is locked
                f"INSERT INTO {self._schema}.sources SELECT coalesce(max(number), 0) + 1, %s"
                f" FROM {self._schema}.sources ON CONFLICT (name) DO NOTHING",
                (name,),
            )
            self._cursor.execute(f"SELECT number FROM {self._schema}.sources WHERE name = %s", (name,))
            number = self.named[name] = int(_one(self._cursor)[0])
        return number

    def receive(self, receipts: Sequence[tuple[int, str, str, int]]) -> dict[int, int]:
        """Take receipts (source, id, member, place); returns place -> place of the first, where one came before."""
        if not receipts:
            return {}
        sources, names, members, _ = (list(column) for column in zip(*receipts, strict=True))
        self._cursor.execute(
            f"SELECT source, id, member, place FROM {self._schema}.receipts"
            " JOIN unnest(%b::bigint[], %b::text[], %b::text[]) AS n (source, id, member) USING (source, id, member)",
            (sources, names, members),
        )
        first = {(source, name, member): place for source, name, member, place in self._cursor}
        new, repeated = [], {}
        for receipt in receipts:
            source, name, member, place = receipt
            place_of_first = first.setdefault((source, name, member), place)
            if place_of_first == place:
                new.append(receipt)
            else:
                repeated[place] = place_of_first
        _copy(self._cursor, f"{self._schema}.receipts", ("int8", "text", "text", "int8"), new)
        return repeated

    def prefetch(self, members: Iterable[str], pages: Iterable[tuple[str, str]]) -> None:
        """Say what will be asked for: members in the order in which they will be loaded, and pages (key, member)."""
        self._members_ahead = iter(members)
        names = iter(pages)
        while some := list(islice(names, AHEAD_PAGES)):
            self._pages.update(dict.fromkeys(some))
            keys, members_of = (list(column) for column in zip(*some, strict=True))
            self._cursor.execute(
                f"SELECT key, member, state FROM {self._schema}.pages"
                " JOIN unnest(%b::text[], %b::text[]) AS n (key, member) USING (key, member)",
                (keys, members_of),
            )
            self._pages.update({(key, member): state for key, member, state in self._cursor})

    def _fetch_members(self) -> None:
        """The snapshots of the members that come next, and their entries behind them."""
        members = list(islice(self._members_ahead, AHEAD_MEMBERS))
        if not members:
            return
        self._accounts.update(dict.fromkeys(members))
        self._cursor.execute(
            f"SELECT member, number, state FROM {self._schema}.accounts WHERE member = ANY (%b::text[])", (members,)
        )
        self._accounts.update({member: (number, state) for member, number, state in self._cursor})
        self._entries.update({member: [] for member in members})
        self._cursor.execute(
            "SELECT notification_id, originator_id, originator_version, e.state, link"
            f" FROM unnest(%b::text[]) AS n (member) LEFT JOIN {self._schema}.accounts AS a USING (member)"
            f" JOIN {self._schema}.stored_events AS e"
            " ON originator_id = n.member AND originator_version > coalesce(a.number, 0)"
            " ORDER BY originator_id, originator_version",
            (members,),
        )
        for row in self._cursor:
            self._entries[row[1]].append(EntryRow._make(row))

    def account(self, member: str) -> tuple[int, bytes] | None:
        """A member's snapshot."""
        if member not in self._accounts:
            self._fetch_members()
        if member in self._accounts:
            return self._accounts.pop(member)
        self._cursor.execute(f"SELECT number, state FROM {self._schema}.accounts WHERE member = %s", (member,))
        row = self._cursor.fetchone()
        return (row[0], row[1]) if row else None

    def entries_of(self, member: str, after: int) -> list[EntryRow]:
        """A member's entries after a number."""
        ahead = self._entries.pop(member, None)  # those behind her snapshot
        if ahead is not None:
            return [row for row in ahead if row.number > after]
        self._cursor.execute(
            "SELECT notification_id, originator_id, originator_version, state, link"
            f" FROM {self._schema}.stored_events WHERE originator_id = %s AND originator_version > %s"
            " ORDER BY originator_version",
            (member, after),
        )
        return [EntryRow._make(row) for row in self._cursor]

    def entry_state(self, place: int) -> bytes | None:
        """The bytes of an entry of an earlier batch."""
        self._cursor.execute(f"SELECT state FROM {self._schema}.stored_events WHERE notification_id = %s", (place,))
        row = self._cursor.fetchone()
        return row[0] if row else None

    def page(self, key: str, member: str) -> Page | None:
        """A member's page."""
        name = (key, member)
        if name not in self._pages:
            self._cursor.execute(f"SELECT state FROM {self._schema}.pages WHERE key = %s AND member = %s", name)
            row = self._cursor.fetchone()
            self._pages[name] = row[0] if row else None
        state = self._pages[name]
        return decode_page(state) if state is not None else None

    def append(self, rows: Sequence[tuple[int, str, int, str, bytes, bytes]]) -> None:
        """Write entries: (place, member, number, topic, state, link)."""
        self._journal._append(self._cursor, rows)

    def put_pages(self, pages: Sequence[tuple[str, str, Page]]) -> None:
        """Write pages: (key, member, page), best in the order of their keys."""
        new: list[tuple[str, str, bytes]] = []
        changed: list[tuple[str, str, bytes]] = []
        for key, member, page in pages:
            is_new = self._pages.get((key, member), b"") is None
            (new if is_new else changed).append((key, member, encode_page(page)))
        _copy(self._cursor, f"{self._schema}.pages", ("text", "text", "bytea"), new)
        self._upsert("pages", "key, member", ("text", "text", "bytea"), "state = excluded.state", changed)

    def put_accounts(self, accounts: Sequence[tuple[str, int, bytes]]) -> None:
        """Write snapshots: (member, number, bytes), best in the order of members."""
        new_state = "number = excluded.number, state = excluded.state"
        self._upsert("accounts", "member", ("text", "bigint", "bytea"), new_state, accounts)

    def _upsert(
        self, table: str, key: str, types: Sequence[str], assignments: str, rows: Sequence[tuple[Any, ...]]
    ) -> None:
        if not rows:
            return
        arrays = ", ".join(f"%b::{kind}[]" for kind in types)
        self._cursor.execute(
            f"INSERT INTO {self._schema}.{table} SELECT * FROM unnest({arrays})"
            f" ON CONFLICT ({key}) DO UPDATE SET {assignments}",
            [list(column) for column in zip(*rows, strict=True)],
        )

    def put_programme(self, place: int, version: str, toml: str) -> None:
        """Keep a published rule book."""
        self._cursor.execute(f"INSERT INTO {self._schema}.programmes VALUES (%s, %s, %s)", (place, version, toml))

    def park(self, parked: Sequence[Parked]) -> None:
        """Keep records that are no facts."""
        columns = "position, recorded, reason, detail, length, sha256, kept"
        types = ("int8", "int8", "text", "text", "int8", "bytea", "bytea")
        rows = [record._replace(detail=record.detail.replace("\0", "�"))[:7] for record in parked]  # no NUL in a text
        _copy(self._cursor, f"{self._schema}.parked ({columns})", types, rows)

    def finish(self, link: bytes, position: int, recorded: int) -> None:
        """Move the chain's last link and the stream's position; the transaction commits after this."""
        self._cursor.execute(f"UPDATE {self._schema}.shard SET link = %s, recorded = %s", (link, recorded))
        self._journal._insert_tracking(self._cursor, Tracking(STREAM, position + 1))


def migrate_journal(c: psycopg.Cursor[Any], schema: str, where: str) -> int:
    """Bring a partition's schema to this version's format, in the transaction at hand; says how many steps it took.

    An owner that still runs is fenced: it was made for the older format.
    """
    steps = pending(JOURNAL_STEPS, _format_of(c, schema), where, may_migrate=True)
    if steps:
        c.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for step in steps:
            for statement in step:
                c.execute(statement.format(schema=schema), prepare=False)
        c.execute(f"UPDATE {schema}.shard SET format = %s, epoch = epoch + 1", (len(JOURNAL_STEPS),))
    return len(steps)


def _format_of(c: psycopg.Cursor[Any], schema: str) -> int:
    """The format of a partition's schema, 0 where there is none."""
    c.execute("SELECT to_regclass(%s)", (f"{schema}.shard",))
    if _one(c)[0] is None:
        return 0
    c.execute(f"SELECT format FROM {schema}.shard")
    return int(_one(c)[0])


def _copy(c: psycopg.Cursor[Any], table: str, types: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    if not rows:
        return
    with c.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _one(c: psycopg.Cursor[Any]) -> Any:
    row = c.fetchone()
    assert row is not None
    return row
