"""A ledger in PostgreSQL: its settings and rule book in one schema, and a schema a partition, on one server or several.

Any number of processes may write, each the owner of some partitions: what holds them apart is the fencing token.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import msgspec
import psycopg
from msgspec.structs import replace

from ledger.journal.claims import PostgresClaims, channel_of
from ledger.journal.ledger import INBOX, KAFKA, OPEN, Ledger, Settings, Stream, new_id
from ledger.journal.migrations import Migrated, Steps, pending
from ledger.journal.port import JournalError
from ledger.journal.postgres import PostgresJournal, migrate_journal
from ledger.journal.postgres_server import CONNECTIONS, Server, has_password, name_of
from ledger.rulebook.compiled import Book
from ledger.rulebook.schema import shipped

PARTITIONS = 64  # chosen at birth and fixed for life
SCHEMA = "points"
READ, READ_BYTES = 2_000, 16 << 20  # records of an inbox at a time
_SCHEMA = re.compile("[a-z][a-z0-9_]{0,47}")
_SPAN = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")

# Each brings the ledger's own schema to the next format; a partition's has its own.
LEDGER_STEPS: Steps = (
    (
        """CREATE TABLE {schema}.ledger (
            one integer PRIMARY KEY CHECK (one = 1), format integer NOT NULL, settings text NOT NULL,
            book text NOT NULL)""",
    ),
    (  # how far each file was fed to the inbox
        """CREATE TABLE {schema}.feeds (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text NOT NULL, size bigint NOT NULL,
            lines bigint NOT NULL, digest bytea NOT NULL)""",
        "CREATE INDEX feeds_by_source ON {schema}.feeds (source, number)",
    ),
    ("ALTER TABLE {schema}.feeds ADD COLUMN tail bytea NOT NULL DEFAULT ''",),  # a last line without its end
)


class DatabaseSettings(Settings, frozen=True, forbid_unknown_fields=True):
    """What a ledger in a database was born with; `servers` are the addresses of partitions that stand elsewhere."""

    servers: dict[str, str] = msgspec.field(default_factory=dict)  # "32-63" -> postgresql://…, without a password


class _Place(NamedTuple):
    """What an address says: the driver's part, and our own two parameters."""

    address: str
    schema: str
    connections: int

    @classmethod
    def parse(cls, address: str) -> "_Place":
        base, _, query = address.partition("?")
        theirs, ours = [], {"points_schema": SCHEMA, "points_connections": str(CONNECTIONS)}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name in ours:
                ours[name] = value
            else:
                theirs.append((name, value))
        schema, most = ours["points_schema"], ours["points_connections"]
        if not _SCHEMA.fullmatch(schema):
            raise JournalError(f'points_schema="{schema}" is no name of a schema: a-z, 0-9 and _, a letter first')
        if not (most.isascii() and most.isdecimal() and 1 <= int(most) <= 1_000):
            raise JournalError(f'points_connections="{most}" is no number from 1 to 1000')
        return cls(f"{base}?{urlencode(theirs)}" if theirs else base, schema, int(most))


class DatabaseLedger(Ledger):
    """A ledger whose journals are schemas of PostgreSQL."""

    is_shared = True

    settings: DatabaseSettings

    def __init__(
        self, address: str, servers: "_Servers", settings: DatabaseSettings, book: str, *, shares_servers: bool = False
    ) -> None:
        super().__init__(settings, book)
        self._address = address
        self._servers = servers
        self._shares_servers = shares_servers

    @classmethod
    def at(cls, address: str) -> "DatabaseLedger":
        """Open a ledger that is there. Raises `JournalError` where there is none or it cannot be read."""
        place = _Place.parse(address)
        main = Server(place.address, place.connections)
        main.check()
        main.open()
        try:
            found = _read(main, place.schema)
            if found is None:
                raise JournalError(f"there is no ledger in {main.name}; `points store migrate` makes one")
        except BaseException:
            main.close()
            raise
        settings, book = found
        return cls(address, _Servers(place, main, settings), settings, book)

    @property
    def place(self) -> str:
        """The address."""
        return self._address

    @property
    def name(self) -> str:
        """The address without a password."""
        return self._servers.main.name

    @property
    def main(self) -> Server:
        """The server that keeps what belongs to no partition."""
        return self._servers.main

    @property
    def schema(self) -> str:
        """The schema of what belongs to no partition."""
        return self._servers.schema

    def server_of(self, partition: int) -> Server:
        """The server of a partition, checked and opened when it is first needed. Raises `JournalError`."""
        return self._servers.of(partition)

    def schema_of(self, partition: int) -> str:
        """The schema of a partition."""
        return self._servers.schema_of(partition)

    def reopen(self) -> "DatabaseLedger":
        """The ledger opened once more, for another thread: over the same connections."""
        return DatabaseLedger(self._address, self._servers, self.settings, self.genesis_book, shares_servers=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Nothing is held: an owner is fenced by its partition's token."""
        yield

    def claims(self) -> PostgresClaims:
        """Which partitions this process decides, of those that several may. Raises `Unavailable`."""
        return PostgresClaims(self.main, self.schema)

    def notify(self, news: str) -> None:
        """Tell every process that listens (`PostgresClaims.news`). Raises `Unavailable`."""
        self.main.rows("", "SELECT pg_notify(%s, %s)", (channel_of(self.schema), news))

    def bind_stream(self, stream: Stream, topic: str = "") -> None:
        """Take facts from a stream for life, where that is still open. Raises `OtherStream` where it is another."""
        if self.settings.stream == OPEN:
            self.settings = _bind(self.main, self.schema, stream, topic)
        self.check_stream(stream, topic)

    def records(self, partition: int, after: int, upto: int) -> list[tuple[int, int, bytes, bytes]]:
        """Some records of a partition's inbox behind `after` up to `upto`."""
        schema = self.schema_of(partition)
        return self.server_of(partition).rows(
            schema,
            f"SELECT position, recorded, value, whole_sha256 FROM ({bounded_records(schema)}) AS bounded"
            " WHERE position <= %s AND held < %s ORDER BY position",
            (after, READ, upto, READ_BYTES),
        )

    def close(self) -> None:
        """Close every journal and, where they are its own, every connection."""
        super().close()
        if not self._shares_servers:
            self._servers.close()

    def _open_journal(self, partition: int) -> PostgresJournal:
        return PostgresJournal(self.server_of(partition), self.schema_of(partition))


def bounded_records(schema: str) -> str:
    """A question for records behind a position (a parameter), so many (another); `held` are the bytes before each."""
    return (
        "SELECT *, sum(length(value)) OVER (ORDER BY position) - length(value) AS held FROM"
        f" (SELECT * FROM {schema}.inbox WHERE position > %s ORDER BY position LIMIT %s) AS waiting"
    )


class _Servers:
    """Where the partitions stand: one pool of connections a server."""

    def __init__(self, place: _Place, main: Server, settings: DatabaseSettings) -> None:
        self.main = main
        self._place = place
        self._spans = [(_span(span, settings.partitions), address) for span, address in settings.servers.items()]
        self._others: dict[str, Server] = {}

    @property
    def schema(self) -> str:
        """The schema of what belongs to no partition."""
        return self._place.schema

    def schema_of(self, partition: int) -> str:
        """The schema of a partition."""
        return f"{self._place.schema}_{partition}"

    def of(self, partition: int) -> Server:
        """The server of a partition, checked and opened when it is first needed."""
        address = next((address for span, address in self._spans if partition in span), None)
        if address is None:
            return self.main
        server = self._others.get(address)
        if server is None:
            server = Server(address, self._place.connections)
            server.check()
            server.open()
            self._others[address] = server
        return server

    def close(self) -> None:
        """End all connections."""
        for server in (self.main, *self._others.values()):
            server.close()


def migrate(
    address: str,
    *,
    partitions: int | None = None,
    book: str | None = None,
    topic: str | None = None,
    servers: Mapping[str, str] | None = None,
) -> Migrated:
    """Make all that a ledger needs, or bring what is there to this version's formats.

    A `topic` says that Kafka feeds it, for life; without one its stream is open until something feeds it.
    What a ledger was born with stays: raises `JournalError` where something else is given now, and `BadProgramme`.
    A run that was interrupted is made whole by the next. The ledger is there when its own row is, which comes last.
    """
    place = _Place.parse(address)
    main = Server(place.address, place.connections)
    main.check()
    main.open()
    try:
        known = _read(main, place.schema, may_migrate=True)
        if known is None:
            text = shipped("jd") if book is None else book
            Book([text])  # checked before anything is written
            settings = DatabaseSettings(
                partitions or PARTITIONS,
                id=new_id(),
                stream="open" if topic is None else "kafka",
                topic=topic or "",
                servers=dict(servers or {}),
            )
            _check_servers(settings)
        else:
            settings, text = known
            _check_unchanged(settings, text, partitions, book, topic, servers)
        homes = _Servers(place, main, settings)
        try:
            steps = 0
            for partition in range(settings.partitions):
                steps += _migrate_partition(homes.of(partition), homes.schema_of(partition))
            steps += _migrate_ledger(main, place.schema, settings, text)
            if topic is not None and settings.stream == OPEN:
                _bind(main, place.schema, KAFKA, topic)
        finally:
            homes.close()
        return Migrated(main.name, settings.partitions, steps)
    finally:
        main.close()


def _migrate_partition(server: Server, schema: str) -> int:
    with server.transaction() as c:
        _lock(c, schema)
        return migrate_journal(c, schema, f"{server.name}, schema {schema}")


def _migrate_ledger(server: Server, schema: str, settings: DatabaseSettings, book: str) -> int:
    with server.transaction() as c:
        _lock(c, schema)
        steps = pending(LEDGER_STEPS, _format_of(c, schema), server.name, may_migrate=True)
        if steps:
            c.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            for step in steps:
                for statement in step:
                    c.execute(statement.format(schema=schema), prepare=False)
            c.execute(
                f"INSERT INTO {schema}.ledger VALUES (1, %s, %s, %s)"
                " ON CONFLICT (one) DO UPDATE SET format = excluded.format",
                (len(LEDGER_STEPS), msgspec.json.encode(settings).decode(), book),
            )
        return len(steps)


def _bind(server: Server, schema: str, stream: Stream, topic: str) -> DatabaseSettings:
    """Settle a stream that is open, unless another process was faster; returns the settings that hold."""
    with server.transaction() as c:
        ((text,),) = c.execute(f"SELECT settings FROM {schema}.ledger FOR UPDATE").fetchall()
        settings = _decoded(text, server, schema)
        if settings.stream == OPEN:
            settings = replace(settings, stream=stream, topic=topic)
            c.execute(f"UPDATE {schema}.ledger SET settings = %s", (msgspec.json.encode(settings).decode(),))
        return settings


def _decoded(settings: str, server: Server, schema: str) -> DatabaseSettings:
    try:
        return msgspec.json.decode(settings, type=DatabaseSettings)
    except msgspec.DecodeError as error:
        raise JournalError(f"{server.name}, table {schema}.ledger: {error}") from error


def _lock(c: psycopg.Cursor[Any], schema: str) -> None:
    """One migration of a schema at a time, however long its steps take."""
    c.execute("SET LOCAL statement_timeout = 0")
    c.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"points migrate {schema}",))


def _read(server: Server, schema: str, *, may_migrate: bool = False) -> tuple[DatabaseSettings, str] | None:
    """A ledger's settings and the book it was born with; None where there is none."""
    with server.transaction() as c:
        found = _format_of(c, schema)
        if not found:
            return None
        pending(LEDGER_STEPS, found, server.name, may_migrate=may_migrate)
        ((settings, book),) = c.execute(f"SELECT settings, book FROM {schema}.ledger").fetchall()
    return _decoded(settings, server, schema), book


def _format_of(c: psycopg.Cursor[Any], schema: str) -> int:
    """The format of the ledger's own schema, 0 where there is none."""
    ((table,),) = c.execute("SELECT to_regclass(%s)::text", (f"{schema}.ledger",)).fetchall()
    if table is None:
        return 0
    ((found,),) = c.execute(f"SELECT coalesce(max(format), 0) FROM {schema}.ledger").fetchall()
    return int(found)


def _check_unchanged(
    settings: DatabaseSettings,
    text: str,
    partitions: int | None,
    book: str | None,
    topic: str | None,
    servers: Mapping[str, str] | None,
) -> None:
    if partitions not in (None, settings.partitions):
        raise JournalError(
            f"this ledger has {settings.partitions} partitions, fixed at its birth, and not {partitions}: leave it out"
        )
    if book not in (None, text):
        raise JournalError("this ledger has its book already; a new version comes as programme.published.v1")
    if topic not in (None, settings.topic) and settings.stream != OPEN:
        stream = "its own inbox" if settings.stream == INBOX else f"the topic {settings.topic}"
        raise JournalError(f"this ledger takes its facts from {stream}, for life, and not from the topic {topic}")
    if servers and dict(servers) != settings.servers:
        raise JournalError(f"this ledger's partitions are spread so: {settings.servers or 'all on one server'}")


def _check_servers(settings: DatabaseSettings) -> None:
    taken: set[int] = set()
    for span, address in settings.servers.items():
        partitions = _span(span, settings.partitions)
        if taken & set(partitions):
            raise JournalError(f"partitions {span} are given twice")
        taken |= set(partitions)
        if has_password(address):
            raise JournalError(f"{name_of(address)}: leave the password out, it would be kept: use a passfile")


def _span(text: str, partitions: int) -> range:
    """Partitions as they are written: "7" or "32-63"."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise JournalError(f'"{text}" is no span of partitions such as 32-63')
    first, last = int(found[1]), int(found[2] or found[1])
    if not first <= last < partitions:
        raise JournalError(f'"{text}" is no span of the partitions 0-{partitions - 1}')
    return range(first, last + 1)
