"""The journal of one partition in a schema of PostgreSQL.

The tables are those of the SQLite store. A batch is written set by set: entries, receipts and new pages by binary COPY.
What it will read is fetched ahead, set by set too, since each read by itself would be a round trip.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import psycopg
from eventsourcing.postgres import PostgresDatastore, PostgresProcessRecorder
from psycopg.rows import tuple_row

from ledger.journal.migrations import Steps, pending
from ledger.journal.port import (
    NOTHING_IN_IT,
    DeadLetter,
    EntryRow,
    JournalError,
    NothingThere,
    Snapshot,
    Unavailable,
)
from ledger.journal.postgres_server import Server, format_of, migrate_schema
from ledger.journal.sql import UPSERTS, Batch, Journal

AHEAD_MEMBERS, AHEAD_PAGES = 256, 2_000  # fetched at a time
_TYPES = {  # of the columns that are written in sets
    "stored_events": ("int8", "text", "int8", "bytea", "bytea", "text"),
    "receipts": ("int8", "text", "text", "int8"),
    "pages": ("text", "text", "bytea"),
    "accounts": ("text", "int8", "bytea"),
    "parked": ("int8", "int8", "text", "text", "int8", "bytea", "bytea", "bytea"),
}

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
    (  # which ledger it belongs to, and the seal over that and its head
        """CREATE TABLE {schema}.origin (
            one integer PRIMARY KEY CHECK (one = 1), ledger text NOT NULL, partition integer NOT NULL,
            partitions integer NOT NULL, genesis text NOT NULL, settings text NOT NULL, book text NOT NULL)""",
        "ALTER TABLE {schema}.shard ADD COLUMN seal bytea",
        "ALTER TABLE {schema}.shard ADD COLUMN stream text NOT NULL DEFAULT ''",
        "ALTER TABLE {schema}.parked ADD COLUMN seal bytea",
    ),
    ("ALTER TABLE {schema}.inbox ADD COLUMN pushed bigint NOT NULL DEFAULT 0",),  # recorded is later than the clock
    (  # which entries an archive has that were pruned here
        """CREATE TABLE {schema}.pruned (
            first bigint PRIMARY KEY, last bigint NOT NULL, month text NOT NULL, archive text NOT NULL)""",
    ),
    # How many partitions the ledger has, once it was split: who knows of others may not append.
    ("ALTER TABLE {schema}.inbox_end ADD COLUMN partitions integer NOT NULL DEFAULT 0",),
)


MOVED_AWAY = -1  # in place of how many partitions there are: the inbox moves to another server, and takes no more


class _Datastore(PostgresDatastore):
    """The library's, over the connections of a server that others share."""

    def __init__(self, server: Server, schema: str) -> None:
        super().__init__("", "", "", "", "", schema=schema, originator_id_type="text")
        self.pool = server.pool  # type: ignore[assignment]

    def register_type_adapters(self) -> None:
        """None are needed: nothing is written through the library's composite type."""

    def close(self) -> None:
        """The server is closed by whoever opened it."""


class PostgresBatch(Batch):
    """What one transaction of a journal may do."""

    def __init__(self, journal: Journal, cursor: psycopg.Cursor[Any], entries: int, token: int | None) -> None:
        cursor.row_factory = tuple_row
        super().__init__(journal, cursor, entries, token)
        self._members_ahead: Iterator[str] = iter(())
        self._snapshots: dict[str, Snapshot | None] = {}  # fetched ahead, until they are asked for
        self._entries: dict[str, list[EntryRow]] = {}
        self._pages: dict[tuple[str, str], bytes | None] = {}  # by key and member; None: it is known that there is none

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        self._cursor.execute(sql.replace("?", "%s"), parameters)
        return self._cursor.fetchall() if self._cursor.description else []

    def receive(self, receipts: Sequence[tuple[int, str, str, int]]) -> dict[int, int]:
        """Take receipts (see `ReceiptRow`); returns sequence -> sequence of the first, where one came before."""
        if not receipts:
            return {}
        sources, names, members, _ = (list(column) for column in zip(*receipts, strict=True))
        self._cursor.execute(
            f"SELECT source, id, member, place FROM {self.schema}.receipts"
            " JOIN unnest(%b::bigint[], %b::text[], %b::text[]) AS n (source, id, member) USING (source, id, member)",
            (sources, names, members),
        )
        firsts = {row[:3]: row[3] for row in self._cursor}
        new, repeated = [], {}
        for receipt in receipts:
            sequence = receipt[3]
            if receipt[:3] not in firsts:
                firsts[receipt[:3]] = sequence
                new.append(receipt)
            elif firsts[receipt[:3]] != sequence:
                repeated[sequence] = firsts[receipt[:3]]
        self._insert("receipts", "source, id, member, place", new)
        return repeated

    def prefetch(self, members: Iterable[str], pages: Iterable[tuple[str, str]]) -> None:
        """Fetch what will be asked for: members in the order in which they will be loaded, and pages (key, member)."""
        self._members_ahead = iter(members)
        self.prefetch_pages(pages)

    def prefetch_pages(self, pages: Iterable[tuple[str, str]]) -> None:
        """Fetch more pages (key, member) that will be asked for."""
        names = iter(pages)
        while some := list(islice(names, AHEAD_PAGES)):
            self._pages.update(dict.fromkeys(some))
            keys, members_of = (list(column) for column in zip(*some, strict=True))
            self._cursor.execute(
                f"SELECT key, member, state FROM {self.schema}.pages"
                " JOIN unnest(%b::text[], %b::text[]) AS n (key, member) USING (key, member)",
                (keys, members_of),
            )
            self._pages.update({(key, member): state for key, member, state in self._cursor})

    def page_states(self, asked: Sequence[tuple[str, str]]) -> list[tuple[str, str, bytes]]:
        """Return those that there are of some pages (key, member), as they are stored (key, member, bytes)."""
        self.prefetch_pages(asked)
        return [(*name, state) for name in asked if (state := self._pages[name]) is not None]

    def _fetch_members(self) -> None:
        """The snapshots of the members that come next, and their entries behind them."""
        members = list(islice(self._members_ahead, AHEAD_MEMBERS))
        if not members:
            return
        self._snapshots.update(dict.fromkeys(members))
        self._cursor.execute(
            f"SELECT member, number, state FROM {self.schema}.accounts WHERE member = ANY (%b::text[])", (members,)
        )
        self._snapshots.update({row[0]: Snapshot(*row) for row in self._cursor})
        self._entries.update({member: [] for member in members})
        self._cursor.execute(
            "SELECT notification_id, originator_id, originator_version, e.state, link"
            f" FROM unnest(%b::text[]) AS n (member) LEFT JOIN {self.schema}.accounts AS a USING (member)"
            f" JOIN {self.schema}.stored_events AS e"
            " ON originator_id = n.member AND originator_version > coalesce(a.number, 0)"
            " ORDER BY originator_id, originator_version",
            (members,),
        )
        for row in self._whole(self._cursor.fetchall()):
            self._entries[row[1]].append(EntryRow(*row))

    def snapshot(self, member: str) -> Snapshot | None:
        """Return a member's last snapshot."""
        if member not in self._snapshots:
            self._fetch_members()
        return self._snapshots.pop(member) if member in self._snapshots else super().snapshot(member)

    def entries_of(self, member: str, after: int = 0, limit: int | None = None) -> list[EntryRow]:
        """Return a member's entries after a number, in order, at most `limit`."""
        ahead = self._entries.pop(member, None)  # those behind the member's snapshot
        if ahead is None:
            return super().entries_of(member, after, limit)
        return [row for row in ahead if row.number > after][:limit]

    def page_state(self, member: str, key: str) -> bytes | None:
        """Return a page of a member as it is stored."""
        if (key, member) not in self._pages:
            return super().page_state(member, key)
        return self._pages[key, member]

    def put_pages(self, pages: Sequence[tuple[str, str, bytes]]) -> None:
        """Write pages (see `PageRow`), best in the order of their keys: those that are known to be new by COPY."""
        new: list[tuple[str, str, bytes]] = []
        others: list[tuple[str, str, bytes]] = []
        for page in pages:
            is_new = self._pages.get(page[:2], b"") is None
            (new if is_new else others).append(page)
        self._insert("pages", "key, member, state", new)
        super().put_pages(others)

    def park(self, parked: Sequence[DeadLetter]) -> None:
        """Keep records that are no facts; a text holds no NUL."""
        super().park([record._replace(detail=record.detail.replace("\0", "�")) for record in parked])

    def _insert(self, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        with self._cursor.copy(f"COPY {self.schema}.{table} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(_TYPES[table])
            for row in rows:
                copy.write_row(row)

    def _each(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        self._cursor.executemany(sql.replace("?", "%s"), parameters)

    def _replace(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        arrays = ", ".join(f"%b::{kind}[]" for kind in _TYPES[table])
        self._cursor.execute(
            f"INSERT INTO {self.schema}.{table} SELECT * FROM unnest({arrays}) ON CONFLICT {UPSERTS[table]}",
            [list(column) for column in zip(*rows, strict=True)],
        )


class PostgresJournal(Journal, PostgresProcessRecorder):
    """One partition's journal. Raises `JournalError` where its schema has not this version's format."""

    entry_id = "notification_id"
    scan_rows = 1_000  # each time a round trip
    batch = PostgresBatch

    def __init__(self, server: Server, schema: str) -> None:
        super().__init__(_Datastore(server, schema), tracking_table_name="tracking")
        self.schema = schema
        self.server = server
        self.sources = {}
        self.is_gone = False  # it was found that it does not stand here any more
        self.name = f"{server.name}, schema {schema}"
        with server.transaction() as c:
            found = format_of(c, f"{schema}.shard")
        if not found:
            raise NothingThere(f"{self.name} {NOTHING_IN_IT}")
        pending(JOURNAL_STEPS, found, self.name)

    def is_there(self) -> bool:
        """Return False where the schema is gone: the partition was moved to another server."""
        question = "SELECT 1 WHERE to_regclass(%s) IS NOT NULL"
        return bool(self.server.rows(self.schema, question, (f"{self.schema}.shard",)))

    def acquire(self) -> int:
        """Become the owner; returns the fencing token, by which every batch of an earlier owner is rejected.

        An earlier owner that was stopped in the middle of a batch, and holds the partition's row, loses its session.
        Raises `JournalError` where the server does not keep what it has answered (fsync = off).
        """
        try:
            return self._raise_token()
        except Unavailable as error:
            if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise
        self._rows(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE mode = 'RowExclusiveLock'"
            " AND relation = %s::regclass AND pid <> pg_backend_pid()",
            (f"{self.schema}.shard",),
        )
        return self._raise_token()

    def _raise_token(self) -> int:
        with self.server.transaction(self.schema) as c:
            batch = PostgresBatch(self, c, 0, None)
            ((found, fsync),) = batch._rows(f"SELECT format, current_setting('fsync') FROM {self.schema}.shard")
            pending(JOURNAL_STEPS, found, f"{self.server.name}, schema {self.schema}")  # migrated since it was opened?
            if fsync != "on":
                raise JournalError(
                    f"{self.server.name} runs with fsync = {fsync}: a power cut would lose what was decided;"
                    " set fsync = on and start it again"
                )
            return batch.take()

    def close(self) -> None:
        """Do nothing: the connections are the server's."""

    @contextmanager
    def _writing(self) -> Iterator[psycopg.Cursor[Any]]:
        with self._unless_gone(), self.server.transaction(self.schema) as cursor:
            yield cursor

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        with self._unless_gone():
            return self.server.rows(self.schema, sql.replace("?", "%s"), parameters)

    @contextmanager
    def _unless_gone(self) -> Iterator[None]:
        """Raise `Unavailable` where the journal does not stand here any more: whoever opens it anew finds it."""
        try:
            yield
        except Unavailable:
            raise
        except JournalError as error:
            if self.is_there():
                raise
            self.is_gone = True
            raise Unavailable(f"{self.name} is gone: was the partition moved to another server?") from error

    def _change(self, sql: str, parameters: Sequence[Sequence[Any]], *, erases: bool = False) -> None:
        with self._writing() as c:
            c.executemany(sql.replace("?", "%s"), parameters)


def migrate_journal(c: psycopg.Cursor[Any], schema: str, where: str) -> int:
    """Bring a partition's schema to this version's format, in the transaction at hand; returns how many steps it took.

    An owner that still runs is fenced: it was made for the older format. The seal is made when the journal is stamped.
    """
    steps = migrate_schema(c, schema, "shard", JOURNAL_STEPS, where)
    if steps:
        c.execute(f"UPDATE {schema}.shard SET format = %s, epoch = epoch + 1, seal = NULL", (len(JOURNAL_STEPS),))
    return steps
