"""A ledger in PostgreSQL: its settings and rule book in one schema, and a schema a partition, on one server or several.

Any number of processes may write, each the owner of some partitions: what holds them apart is the fencing token.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from operator import itemgetter
from typing import Any

import msgspec
import psycopg
from msgspec.structs import replace

from ledger.journal.claims import PostgresClaims, channel_of
from ledger.journal.failpoints import failpoint
from ledger.journal.ledger import INBOX, KAFKA, OPEN, Ledger, LedgerLocked, Opening, Settings, Stream, new_id
from ledger.journal.migrations import Migrated, Steps, pending
from ledger.journal.origin import Origin
from ledger.journal.port import NOTHING_IN_IT, PUT_BACK, Damaged, JournalError, NothingThere, StreamRecord
from ledger.journal.postgres import PostgresJournal, migrate_journal
from ledger.journal.postgres_server import Server, format_of, migrate_schema
from ledger.journal.sql import Journal
from ledger.journal.topology import Topology
from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import shipped
from ledger.wire.unreadable import UNREADABLE

STATE = "_state"  # behind the ledger's schema: what servers share (service/state_store.py), which nobody else may read
PARTITIONS = 64  # chosen at birth and fixed for life
READ, READ_BYTES = 2_000, 16 << 20  # records of an inbox at a time

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
    (  # keys, sessions of the console, and what operators did: they may be there where the settings were lost
        "CREATE SCHEMA IF NOT EXISTS {schema}_state",
        """CREATE TABLE IF NOT EXISTS {schema}_state.keys (
            id text PRIMARY KEY, name text NOT NULL, hash bytea NOT NULL, scopes text NOT NULL, rate bigint NOT NULL,
            created bigint NOT NULL, expires bigint, last_used bigint, revoked bigint, seal bytea)""",
        "CREATE UNIQUE INDEX IF NOT EXISTS live ON {schema}_state.keys (name) WHERE revoked IS NULL",
        """CREATE TABLE IF NOT EXISTS {schema}_state.people (
            issuer text NOT NULL, subject text NOT NULL, name text NOT NULL UNIQUE, since bigint NOT NULL,
            PRIMARY KEY (issuer, subject))""",
        "CREATE TABLE IF NOT EXISTS {schema}_state.blocked (name text PRIMARY KEY, since bigint NOT NULL)",
        "CREATE TABLE IF NOT EXISTS {schema}_state.secret (one integer PRIMARY KEY, secret bytea NOT NULL)",
        """CREATE TABLE IF NOT EXISTS {schema}_state.sessions (
            token bytea PRIMARY KEY, key text NOT NULL, began double precision NOT NULL,
            used double precision NOT NULL, ends double precision NOT NULL, person bytea)""",
        "CREATE TABLE IF NOT EXISTS {schema}_state.sign_ins (random text PRIMARY KEY, began double precision NOT NULL)",
        "CREATE TABLE IF NOT EXISTS {schema}_state.operator_lines (number bigint PRIMARY KEY, line bytea NOT NULL)",
        "CREATE TABLE IF NOT EXISTS {schema}_state.operator_head (one integer PRIMARY KEY, head text NOT NULL)",
    ),
    (  # results of audits, checkpoints
        """CREATE TABLE IF NOT EXISTS {schema}_state.documents (
            sort text NOT NULL, name text NOT NULL, content bytea NOT NULL, stamp bigint NOT NULL,
            PRIMARY KEY (sort, name))""",
    ),
    (  # webhooks, and texts and backtests of drafts
        """CREATE TABLE IF NOT EXISTS {schema}_state.webhooks (
            name text PRIMARY KEY, url text NOT NULL, secret text NOT NULL, types text NOT NULL,
            outcomes text NOT NULL, is_private bigint NOT NULL, by text NOT NULL, created bigint NOT NULL,
            is_active bigint NOT NULL, failing_since bigint, failures bigint NOT NULL, why text NOT NULL,
            delivered bigint NOT NULL, delivered_at bigint, old_secret text NOT NULL DEFAULT '',
            old_until bigint NOT NULL DEFAULT 0, once text NOT NULL DEFAULT '')""",
        """CREATE TABLE IF NOT EXISTS {schema}_state.told (
            name text NOT NULL, partition bigint NOT NULL, sequence bigint NOT NULL, link bytea NOT NULL,
            PRIMARY KEY (name, partition))""",
        """CREATE TABLE IF NOT EXISTS {schema}_state.texts (
            sha256 text PRIMARY KEY, toml bytea NOT NULL, kept bigint NOT NULL)""",
        """CREATE TABLE IF NOT EXISTS {schema}_state.backtests (
            draft text PRIMARY KEY, sha256 text NOT NULL, file text NOT NULL, by text NOT NULL, since bigint,
            state text NOT NULL, entries bigint NOT NULL, total bigint NOT NULL, began bigint NOT NULL, ended bigint,
            why text NOT NULL, cancelled_by text NOT NULL, report bytea, report_sha256 text NOT NULL)""",
    ),
)


class DatabaseSettings(Settings, frozen=True, forbid_unknown_fields=True):
    """What a ledger in a database was born with; `servers` are the addresses of partitions that stand elsewhere.

    `moved` says of the partitions that were moved since where each stands now, by number.
    """

    servers: dict[str, str] = msgspec.field(default_factory=dict)  # "32-63" -> postgresql://…, without a password
    moved: dict[str, str] = msgspec.field(default_factory=dict)  # "7" -> postgresql://… or main


class DatabaseLedger(Ledger):
    """A ledger whose journals are schemas of PostgreSQL."""

    is_shared = True

    settings: DatabaseSettings

    def __init__(
        self, topology: Topology, settings: DatabaseSettings, book: str, *, shares_connections: bool = False
    ) -> None:
        super().__init__(topology.address, topology.main.name, settings, book)
        self.topology = topology
        self._shares_connections = shares_connections

    @classmethod
    def at(cls, address: str) -> "DatabaseLedger":
        """Open a ledger that is there. Raises `JournalError` where there is none or it cannot be read."""
        topology = Topology(address)
        try:
            found = _read(topology)
            if found is None:
                _check_unborn(topology)
                raise JournalError(f"there is no ledger in {topology.main.name}; `points store migrate` makes one")
            settings, book = found
            topology.spread(settings.born_partitions, settings.servers, settings.moved)
        except BaseException:
            topology.close()
            raise
        return cls(topology, settings, book)

    def reopen(self) -> "DatabaseLedger":
        """Return the ledger opened once more, for another thread: over the same connections."""
        return DatabaseLedger(self.topology, self.settings, self.genesis_book, shares_connections=True)

    def opening(self) -> Opening:
        """Return how another process opens this ledger."""
        return Opening(DatabaseLedger.at, (self.place,))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Nothing is held: an owner is fenced by its partition's token."""
        yield

    def claims(self) -> PostgresClaims:
        """Return which partitions this process decides, of those that several may. Raises `Unavailable`."""
        return PostgresClaims(self.topology.main, self.topology.schema)

    def notify(self, message: str) -> None:
        """Send a message to every process that listens (`PostgresClaims.notifications`). Raises `Unavailable`."""
        self.topology.main.rows("", "SELECT pg_notify(%s, %s)", (channel_of(self.topology.schema), message))

    def bind_stream(self, stream: Stream, topic: str = "") -> None:
        """Take facts from a stream for life, where that is still open. Raises `OtherStream` where it is another."""
        if self.settings.stream == OPEN:
            self.settings = _bind(self.topology, stream, topic)
            self._origin = None
        self.check_stream(stream, topic)

    def records(self, partition: int, after: int, upto: int) -> list[StreamRecord]:
        """Return some records of a partition's inbox behind `after` up to `upto`."""
        schema = self.topology.schema_of(partition)
        rows = self.topology.server_of(partition).rows(
            schema,
            "SELECT position, recorded, value, whole_sha256, backlog, key, whole_length, pushed"
            f" FROM ({bounded_records(schema)}) AS bounded WHERE position <= %s AND held < %s ORDER BY position",
            (after, READ, upto, READ_BYTES),
        )
        return [
            StreamRecord(offset, recorded, value, digest, backlog, key.decode("utf-8", "replace"), length, pushed)
            for offset, recorded, value, digest, backlog, key, length, pushed in rows
        ]

    def check_inbox(self, partition: int) -> None:
        """Raise `Damaged` where the row that says where a partition's inbox ends is not its last record's."""
        schema = self.topology.schema_of(partition)
        rows = self.topology.server_of(partition).rows(
            schema,
            "SELECT (e.position, e.recorded) IS DISTINCT FROM (coalesce(i.position, -1), coalesce(i.recorded, 0))"
            f" FROM {schema}.inbox_end AS e LEFT JOIN {schema}.inbox AS i"
            f" ON i.position = (SELECT max(position) FROM {schema}.inbox)",
        )
        if rows != [(False,)]:
            raise Damaged(f"{self.name}, schema {schema}: the table inbox_end does not say where the inbox ends")

    def settings_there(self) -> DatabaseSettings:
        """As `Ledger.settings_there` says, with where partitions stand, and will stand, by what is known here."""
        known = _read(self.topology)
        if known is None:
            raise JournalError(f"there is no ledger in {self.topology.main.name}; `points store migrate` makes one")
        return replace(known[0], moved=self.settings.moved)

    @contextmanager
    def making(self, partitions: range) -> Iterator[dict[int, Journal]]:
        """Open the journals of partitions that a split makes, in schemas of their own until they are whole.

        Each is made where its parent stands, also where that was moved: the settings say so with the split.
        """
        topology = self.topology
        with self.alone():
            parents = {partition: topology.address_of(partition % self.settings.partitions) for partition in partitions}
            elsewhere = {str(p): address for p, address in parents.items() if topology.address_of(p) != address}
            self._know(replace(self.settings, moved={**self.settings.moved, **elsewhere}))
            made: dict[int, Journal] = {}
            for partition in partitions:
                server, schema = topology.server_of(partition), topology.making_of(partition)
                with server.transaction() as c:
                    if format_of(c, f"{topology.schema_of(partition)}.shard"):
                        schema = topology.schema_of(partition)
                    else:
                        migrate_journal(c, schema, f"{server.name}, schema {schema}")
                made[partition] = PostgresJournal(server, schema)
            yield made

    def grow(self, settings: Settings, partitions: range) -> None:
        """Let the schemas of new partitions have their names, and put the settings, by which the ledger has them."""
        topology = self.topology
        for partition in partitions:
            making, schema = topology.making_of(partition), topology.schema_of(partition)
            with topology.server_of(partition).transaction(making) as c:
                if format_of(c, f"{making}.shard"):
                    c.execute(f"ALTER SCHEMA {making} RENAME TO {schema}")
            failpoint("split-moved")
        with topology.main.transaction() as c:
            c.execute(f"UPDATE {topology.schema}.ledger SET settings = %s", (msgspec.json.encode(settings).decode(),))
        failpoint("split-switched")

    def put_moved(self, partition: int, address: str) -> None:
        """Write into the settings where a partition stands from now on."""
        topology = self.topology
        with topology.main.transaction() as c:
            ((text,),) = c.execute(f"SELECT settings FROM {topology.schema}.ledger FOR UPDATE").fetchall()
            settings = _decoded(text, topology)
            settings = replace(settings, moved={**settings.moved, str(partition): address})
            text = msgspec.json.encode(settings).decode()
            c.execute(f"UPDATE {topology.schema}.ledger SET settings = %s", (text,))
        self.settings = settings  # with what others changed of them since they were read
        self._know(settings)

    def _know(self, settings: DatabaseSettings) -> None:
        """Go by settings of which others have said where partitions stand."""
        self.settings = replace(self.settings, moved=settings.moved)
        self._origin = None
        self.topology.move(settings.moved)

    def find_moved(self) -> None:
        """Read where partitions stand now. Raises `JournalError`."""
        known = _read(self.topology)
        if known is not None:
            self._know(known[0])

    def put_settings(self) -> None:
        """Write the settings and the book that this ledger was opened with."""
        schema = self.topology.schema
        with self.topology.main.transaction() as c:
            _migrate_schema(c, self.topology)
            c.execute(
                f"INSERT INTO {schema}.ledger VALUES (1, %s, %s, %s) ON CONFLICT (one) DO UPDATE"
                " SET settings = excluded.settings, book = excluded.book",
                (len(LEDGER_STEPS), msgspec.json.encode(self.settings).decode(), self.genesis_book),
            )

    def close(self) -> None:
        """Close every journal and, where they are its own, every connection."""
        super().close()
        if not self._shares_connections:
            self.topology.close()

    def migrate_journals(self, *, is_birth: bool) -> int:
        """Bring every journal to this version's format; returns how many steps that took.

        At the ledger's birth they are made. Later one that is missing is not made anew. Those of an older version are
        stamped with this ledger's origin once all of them were looked at. Raises `JournalError`.
        """
        steps, waiting = 0, []
        for partition in self.partitions:
            server, schema = self.topology.server_of(partition), self.topology.schema_of(partition)
            name = f"{server.name}, schema {schema}"
            with server.transaction() as c:
                if format_of(c, f"{schema}.ledger"):
                    raise JournalError(f"{name} is the home of another ledger: name another points_schema")
                if not is_birth and not format_of(c, f"{schema}.shard"):
                    raise JournalError(f"{name} {NOTHING_IN_IT}")
                steps += migrate_journal(c, schema, name)
            journal = self._open_journal(partition)
            if not self.belonging(partition, journal, is_birth=is_birth):
                waiting.append((partition, journal))
        for partition, journal in waiting:
            journal.stamp(self.origin(partition))
        return steps

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others from splitting the ledger and moving its partitions. Raises `LedgerLocked`."""
        topology = self.topology
        with closing(topology.main.connect()) as connection, topology.main.errors():
            row = connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", (topology.growing_lock,)).fetchone()
            if row != (True,):
                raise LedgerLocked(f"{self.name} is being split, or a partition of it moved, by another process")
            known = _read(topology)
            if known is None or known[0].grown != self.settings.grown:
                raise LedgerLocked(f"{self.name} was split meanwhile: run the command again")
            self._know(known[0])
            yield

    def journal(self, partition: int) -> Journal:
        """As `Ledger.journal` says; one that was found gone, or whose parent was, is looked for anew."""
        known = self._journals.get(partition)
        if isinstance(known, PostgresJournal):
            if known.is_gone:
                self.close_journal(partition)
            elif isinstance(known.parent, PostgresJournal) and known.parent.is_gone:
                known.parent, known.begins = self._parent(partition)
        return super().journal(partition)

    def look_again(self, partition: int) -> None:
        """As `Ledger.look_again` says."""
        known = self._journals.get(partition)
        if isinstance(known, PostgresJournal) and not known.is_there():
            self.close_journal(partition)

    def _open_journal(self, partition: int) -> PostgresJournal:
        schema, server = self.topology.schema_of(partition), self.topology.server_of(partition)
        try:
            return PostgresJournal(server, schema)
        except NothingThere:
            self.find_moved()
            if self.topology.server_of(partition) is server:
                raise
        return PostgresJournal(self.topology.server_of(partition), schema)


def bounded_records(schema: str) -> str:
    """Return a question for records behind an offset, up to a limit (both parameters); `held`: bytes before each."""
    return (
        "SELECT *, sum(length(value)) OVER (ORDER BY position) - length(value) AS held FROM"
        f" (SELECT * FROM {schema}.inbox WHERE position > %s ORDER BY position LIMIT %s) AS waiting"
    )


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
    with closing(Topology(address)) as topology:
        known = _read(topology, may_migrate=True)
        if known is None:
            _check_unborn(topology)
            text = shipped("jd") if book is None else book
            Programme([text])  # checked before anything is written
            settings = DatabaseSettings(
                partitions or PARTITIONS,
                id=new_id(),
                stream="open" if topic is None else "kafka",
                topic=topic or "",
                servers=dict(servers or {}),
            )
        else:
            settings, text = known
            _check_unchanged(settings, text, partitions, book, topic, servers)
        topology.spread(settings.born_partitions, settings.servers, settings.moved)
        ledger = DatabaseLedger(topology, settings, text, shares_connections=True)
        steps = ledger.migrate_journals(is_birth=known is None)
        steps += _migrate_ledger(topology, settings, text)
        if topic is not None and settings.stream == OPEN:
            _bind(topology, KAFKA, topic)
        return Migrated(topology.main.name, settings.partitions, steps)


def _check_unborn(topology: Topology) -> None:
    """Raise `JournalError` where a schema without settings holds a ledger that lost them, or a part of another one."""
    schema, name = topology.schema, topology.main.name
    with topology.main.transaction() as c:
        if format_of(c, f"{schema}.shard"):
            raise JournalError(f"{name}, schema {schema} is a partition of another ledger: name another points_schema")
        for other in schemas_of_journals(c, schema):
            ((taken,),) = c.execute(
                f"SELECT (SELECT max(head) FROM {other}.shard) + (SELECT count(*) FROM {other}.tracking)"
            ).fetchall()
            if taken:
                raise JournalError(
                    f"{name}: the settings in {schema}.ledger are missing, and schema {other} of a ledger is there;"
                    f" {PUT_BACK}"
                )


def schemas_of_journals(c: psycopg.Cursor[Any], schema: str) -> list[str]:
    """Return the schemas of a ledger's partitions that stand on a server, by partition."""
    found = c.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname ~ %s AND to_regclass(nspname || '.shard') IS NOT NULL",
        (f"^{schema}_[0-9]{{1,4}}$",),
    ).fetchall()
    return sorted((name for (name,) in found), key=lambda name: int(name.rpartition("_")[2]))


def _migrate_ledger(topology: Topology, settings: DatabaseSettings, book: str) -> int:
    schema = topology.schema
    with topology.main.transaction() as c:
        steps = _migrate_schema(c, topology)
        c.execute(
            f"INSERT INTO {schema}.ledger VALUES (1, %s, %s, %s)"
            " ON CONFLICT (one) DO UPDATE SET format = excluded.format",
            (len(LEDGER_STEPS), msgspec.json.encode(settings).decode(), book),
        )
        return steps


def _migrate_schema(c: psycopg.Cursor[Any], topology: Topology) -> int:
    """Bring a ledger's own schema to this version's format, one whose row is gone excepted; returns the steps taken."""
    table = f"{topology.schema}.ledger"
    if not format_of(c, table) and c.execute("SELECT to_regclass(%s)::text", (table,)).fetchall() != [(None,)]:
        return 0
    return migrate_schema(c, topology.schema, "ledger", LEDGER_STEPS, topology.main.name)


def _bind(topology: Topology, stream: Stream, topic: str) -> DatabaseSettings:
    """Bind a stream that is open, unless another process was faster; returns the settings that hold."""
    with topology.main.transaction() as c:
        ((text,),) = c.execute(f"SELECT settings FROM {topology.schema}.ledger FOR UPDATE").fetchall()
        settings = _decoded(text, topology)
        if settings.stream == OPEN:
            settings = replace(settings, stream=stream, topic=topic)
            text = msgspec.json.encode(settings).decode()
            c.execute(f"UPDATE {topology.schema}.ledger SET settings = %s", (text,))
        return settings


def _decoded(settings: str, topology: Topology) -> DatabaseSettings:
    try:
        return msgspec.json.decode(settings, type=DatabaseSettings)
    except UNREADABLE as error:
        raise JournalError(f"{topology.main.name}, table {topology.schema}.ledger: {error}") from error


def _read(topology: Topology, *, may_migrate: bool = False) -> tuple[DatabaseSettings, str] | None:
    """Return a ledger's settings and the book it was born with; None where there is none."""
    with topology.main.transaction() as c:
        found = format_of(c, f"{topology.schema}.ledger")
        if not found:
            return None
        pending(LEDGER_STEPS, found, topology.main.name, may_migrate=may_migrate)
        ((settings, book),) = c.execute(f"SELECT settings, book FROM {topology.schema}.ledger").fetchall()
    return _decoded(settings, topology), book


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


def kept_in(address: str) -> list[tuple[str, int, Origin | None, str]]:
    """Return what each journal of a ledger keeps of it, by partition: where, partition, origin, and what is wrong.

    Those on other servers are found where one on the main server names them. Raises `JournalError`.
    """
    with closing(Topology(address)) as topology:
        with topology.main.transaction() as c:
            schemas = schemas_of_journals(c, topology.schema)
        found = [_kept(topology.main, schema) for schema in schemas]
        origin = next((one[2] for one in found if one[2] is not None), None)
        if origin is not None:
            settings = _decoded(origin.settings, topology)
            topology.spread(settings.born_partitions, settings.servers, settings.moved)
            known = {one[1] for one in found}
            others = [
                p for p in range(settings.partitions) if p not in known or topology.server_of(p) is not topology.main
            ]
            found += [_kept(topology.server_of(p), topology.schema_of(p)) for p in others]
        return sorted(found, key=itemgetter(1))


def _kept(server: Server, schema: str) -> tuple[str, int, Origin | None, str]:
    partition = int(schema.rpartition("_")[2])
    try:
        return f"{server.name}, schema {schema}", partition, PostgresJournal(server, schema).state().origin, ""
    except JournalError as error:
        return f"{server.name}, schema {schema}", partition, None, str(error)


def born_as(address: str, origin: Origin) -> DatabaseLedger:
    """Return the ledger that a journal at an address was born in, whatever its settings say now."""
    topology = Topology(address)
    try:
        settings = _decoded(origin.settings, topology)
        topology.spread(settings.born_partitions, settings.servers, settings.moved)
    except BaseException:
        topology.close()
        raise
    return DatabaseLedger(topology, settings, origin.book)
