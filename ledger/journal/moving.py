"""Moving a partition of a ledger in PostgreSQL to another server.

Its tables are copied from server to server while deciding goes on, round by round. Then the journal is closed by its
fencing token: nobody decides. The last round is short, both sides are compared, and the ledger's settings say where the
partition stands: that is the switch. Killed anywhere, the same command goes on from there.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from time import monotonic
from typing import Any, Final, NamedTuple

import psycopg
from msgspec.structs import replace
from psycopg.sql import quote

from ledger.errors import WrongUse
from ledger.journal.database import DatabaseLedger
from ledger.journal.failpoints import failpoint
from ledger.journal.port import BeingSplit, Damaged, JournalError, NothingThere, Unavailable
from ledger.journal.postgres import MOVED_AWAY, PostgresJournal, migrate_journal
from ledger.journal.postgres_server import Server, has_password, name_of
from ledger.journal.sql import CLOSED
from ledger.journal.topology import MAIN

AT_ONCE: Final = 20_000  # entries in a transaction
SHORT: Final = 2_000  # entries that the last round, while nobody decides, may have left
ROUNDS: Final = 10
_GROWING = {"receipts": "place", "inbox": "position"}  # rows are added behind, and never changed
_BY_MEMBER = ("pages", "accounts")
_INBOX = ("inbox_end", "inbox_spans")  # change with each append
_NOTE = "moving"  # the table by which a copy is known, and how far its pages were copied
_INDEX = "moving_pages_by_member"
Progress = Callable[[int], None]  # entries copied
MOVED: Final = "where it was being moved, `points partitions move N --to URL` goes on, with the server it was moved to"
_Connection = psycopg.Connection[Any]


class Moved(NamedTuple):
    """What a move did: from where, to where, and for how many seconds nothing was decided of the partition.

    `left` is the schema on the server of before that can be dropped.
    """

    partition: int
    source: str
    target: str
    entries: int
    stopped_seconds: float
    left: str


class Place(NamedTuple):
    """Where a partition stands; `state` says whether it is decided on: open, or closed by a split or a move.

    Of one that is moved, `moves_to` is the address at which the same command goes on. One that cannot be read now has
    the state unreadable, with the reason in `problem`, and -1 entries.
    """

    partition: int
    server: str
    schema: str
    entries: int
    state: str
    moves_to: str = ""
    problem: str = ""


def places(ledger: DatabaseLedger) -> list[Place]:
    """Return where each partition of a ledger stands; a server that is away is asked once."""
    found: list[Place] = []
    away: dict[str, str] = {}  # why, by address
    for partition in ledger.partitions:
        address, schema = ledger.topology.address_of(partition), ledger.topology.schema_of(partition)
        name = ledger.topology.main.name if address == MAIN else name_of(address)
        unreadable = Place(partition, name, schema, -1, "unreadable")
        if address in away:
            found.append(unreadable._replace(problem=away[address]))
            continue
        try:
            found.append(_place(ledger, partition))
        except Unavailable as error:
            away[address] = str(error)
            found.append(unreadable._replace(problem=str(error)))
        except NothingThere as error:
            found.append(unreadable._replace(problem=f"{error}; {MOVED}"))
        except JournalError as error:
            found.append(unreadable._replace(problem=str(error)))
    return found


def _place(ledger: DatabaseLedger, partition: int) -> Place:
    address, schema = ledger.topology.address_of(partition), ledger.topology.schema_of(partition)
    state, server = ledger.journal(partition).state(), ledger.topology.server_of(partition)
    asked = "SELECT obj_description(to_regclass(%s), 'pg_class'), to_regclass(%s) IS NOT NULL"
    ((to, is_copy),) = server.rows(schema, asked, (f"{schema}.{_INDEX}", f"{schema}.{_NOTE}"))
    moves_to = address if is_copy else to or ""  # a copy that was switched to: what is behind that has to be done
    return Place(partition, server.name, schema, state.head, "closed" if state.epoch >= CLOSED else "open", moves_to)


def check_movable(ledger: DatabaseLedger, partition: int, to: str) -> int:
    """Return how many entries would be moved to an address, or to the main server.

    Raises `WrongUse` where the partition cannot be moved there.
    """
    if partition not in ledger.partitions:
        raise WrongUse(f"{ledger.name} has the partitions 0-{ledger.settings.partitions - 1}, and no {partition}")
    if to != MAIN and has_password(to):
        raise WrongUse(f"{name_of(to)}: leave the password out, it would be kept: use a passfile")
    topology = ledger.topology
    is_there = topology.address_of(partition) == to
    if is_there and not _has_note(topology.server_of(partition), topology.schema_of(partition)):
        raise WrongUse(f"partition {partition} stands there already: nothing was done")
    with ExitStack() as stack:
        copy = _Copy(ledger, partition, to, stack)
        copy.check_not_split()
        return copy.entries()


def move(ledger: DatabaseLedger, partition: int, to: str, progress: Progress = lambda _: None) -> Moved:
    """Move a partition to the server at an address, or to the main one; the same again goes on where it was killed.

    Raises `WrongUse`, `LedgerLocked` where it is moved or split meanwhile, `Damaged` where the copy is not as it was.
    """
    check_movable(ledger, partition, to)
    with ExitStack() as stack:
        stack.enter_context(ledger.alone())
        copy = _Copy(ledger, partition, to, stack)
        if ledger.topology.address_of(partition) == to:  # killed behind the switch
            return copy.end(0.0)
        copy.check_not_split()
        if not copy.is_stamped():
            copy.prepare()
            for _ in range(ROUNDS):
                if copy.round(progress) <= SHORT:
                    break
            copy.compare_grown()
        stopped = monotonic()
        if not copy.is_stamped():
            copy.close_source()
            copy.round(progress)
            copy.last_round()
        copy.switch()
        return copy.end(monotonic() - stopped)


def cancel(ledger: DatabaseLedger, partition: int, to: str) -> None:
    """Give up a move that was begun: its copy goes, and the partition is decided where it stands.

    Raises `WrongUse` where there is none, or it has been switched, whatever the settings say.
    """
    with ExitStack() as stack:
        stack.enter_context(ledger.alone())
        copy = _Copy(ledger, partition, to, stack)
        if copy.source_address == to or not copy.is_begun():
            raise WrongUse(f"no move of partition {partition} to {copy.target.name} is under way")
        copy.check_not_switched()
        copy.give_up()


class _Copy:
    """A partition where it stands, and what is made of it elsewhere. Its connections end with `stack`."""

    def __init__(self, ledger: DatabaseLedger, partition: int, to: str, stack: ExitStack) -> None:
        self._ledger, self._partition, self._to = ledger, partition, to
        topology = ledger.topology
        self.source_address = topology.address_of(partition)
        self.schema = topology.schema_of(partition)
        self.source, self.target = topology.server_of(partition), topology.server_at(to)
        self._compared: dict[str, int] = {}  # up to where tables were compared that only grow
        self._from = stack.enter_context(closing(self.source.connect()))
        self._into = stack.enter_context(closing(self.target.connect()))
        stack.enter_context(self._errors())

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """What the driver raises, as the port's errors that name the server which failed, and how to go on."""
        try:
            yield
        except psycopg.Error as error:
            server = self.source if self._from.broken else self.target
            try:
                with server.errors(self.schema):
                    raise
            except JournalError as told:
                raise type(told)(
                    f"{told}; partition {self._partition} moves from {self.source.name} to {self.target.name}:"
                    " nothing was lost, and the same command goes on"
                ) from error

    # -- before the switch -------------------------------------------------------------------------------------------

    def entries(self) -> int:
        """Return how many entries the partition has."""
        return self._head(self._into if self.has_left() else self._from)

    def has_left(self) -> bool:
        """Return True if the partition is whole in the target and there is none where the settings say it stands.

        Then settings from before the switch were put back.
        """
        return not _has(self._from, f"{self.schema}.shard") and self.is_stamped()

    def is_begun(self) -> bool:
        """Return True if the target has a copy of this partition that is being made. Raises `JournalError`."""
        if self.source_address == self._to:
            return True
        note = _note(self._into, self.schema)
        if note is None and _has(self._into, f"{self.schema}.shard"):
            origin = PostgresJournal(self.target, self.schema).state().origin
            if origin is not None and origin.ledger == self._ledger.identity:
                raise WrongUse(
                    f"{self.target.name} has partition {self._partition} of this ledger already: nothing was done"
                )
            raise JournalError(
                f"{self.target.name} has a schema {self.schema} already, which is no copy that is being made: drop it,"
                " or name another database"
            )
        if note is not None and note[0] != self._ledger.identity:
            raise JournalError(f"{self.target.name}, schema {self.schema} is being made for another ledger: {note[0]}")
        return note is not None

    def check_not_split(self) -> None:
        """Raise `BeingSplit` where the partition is being split: what a split has closed is not opened by a move."""
        if self.has_left():
            return
        known = (0, MOVED_AWAY, self._ledger.settings.partitions)
        is_closed = not self.is_begun() and self._ledger.journal(self._partition).state().epoch >= CLOSED
        if is_closed or _one(self._from, f"SELECT partitions FROM {self.schema}.inbox_end") not in known:
            raise BeingSplit(
                f"{self._ledger.name} is being split: run `points split` again, which goes on, before this"
            )

    def is_stamped(self) -> bool:
        """Return True if the copy is whole, compared and a journal of the ledger: the switch is all that lacks."""
        if not self.is_begun():
            return False
        state = PostgresJournal(self.target, self.schema).state()
        return state.origin is not None and state.epoch < CLOSED

    def check_not_switched(self) -> None:
        """Raise `WrongUse` where somebody appended to the copy or decided in it, so that it is none any more."""
        if not self.is_stamped():
            return
        question = f"SELECT position, head, epoch FROM {self.schema}.shard, {self.schema}.inbox_end"
        there = self._into.execute(question).fetchone()
        here = None if self.has_left() else self._from.execute(question).fetchone()
        if here is None or there != (*here[:2], here[2] - CLOSED + 1):
            raise WrongUse(
                f"partition {self._partition} is decided on {self.target.name} already, and cannot be given up there:"
                " run the same without --cancel"
            )

    def prepare(self) -> None:
        """Make the target's tables, and the index by which the source finds the pages of some members."""
        schema = self.schema
        if not self.is_begun():
            with self.target.transaction() as c:
                migrate_journal(c, schema, f"{self.target.name}, schema {schema}")
                c.execute(f"CREATE TABLE {schema}.{_NOTE} (ledger text, source text, since bigint)")
                values = (self._ledger.identity, self.source_address)
                c.execute(f"INSERT INTO {schema}.{_NOTE} VALUES (%s, %s, NULL)", values)
            failpoint("move-begun")
        if self._rows(self._from, "pruned") != self._rows(self._into, "pruned"):  # entries were changed in their place
            with self._into.transaction():
                for table in ("stored_events", "pruned", *_GROWING, *_BY_MEMBER):
                    self._into.execute(f"TRUNCATE {schema}.{table}")
                self._into.execute(f"UPDATE {schema}.{_NOTE} SET since = NULL")
                self._copy("pruned")
        self._from.execute(f"DROP INDEX IF EXISTS {schema}.{_INDEX}")  # one that was killed is none
        self._from.execute(f"CREATE INDEX CONCURRENTLY {_INDEX} ON {schema}.pages (member)")
        self._from.execute(f"COMMENT ON INDEX {schema}.{_INDEX} IS {quote(self._to)}")  # for who asks where it goes
        self._into.execute(f"CREATE INDEX IF NOT EXISTS {_INDEX} ON {schema}.pages (member)")

    def round(self, progress: Progress) -> int:
        """Copy what is there now and was not copied yet; return how many entries came meanwhile."""
        schema, upto = self.schema, self._head(self._from)
        done = self._last(self._into, "stored_events", "notification_id")
        while done < upto:
            last = min(done + AT_ONCE, upto)
            self._copy("stored_events", f"notification_id > {done} AND notification_id <= {last}")
            progress(last - done)
            done = last
            failpoint("move-entries")
        for table, column in _GROWING.items():
            self._copy(table, f"{column} > {self._last(self._into, table, column)}")
        since = _note(self._into, schema)
        if since is None or since[2] is None:
            with self._into.transaction():
                for table in _BY_MEMBER:
                    self._into.execute(f"TRUNCATE {schema}.{table}")
                    self._copy(table)
                self._into.execute(f"UPDATE {schema}.{_NOTE} SET since = {upto}")
        else:
            self._copy_members(int(since[2]), upto)
        failpoint("move-pages")
        return self._head(self._from) - upto

    def close_source(self) -> None:
        """Let nobody decide on the partition any more."""
        self._ledger.journal(self._partition).close_for_split()
        failpoint("move-closed")

    def last_round(self) -> None:
        """Copy of the closed journal what rounds leave out, and compare. Raises `Damaged` where it is another."""
        schema = self.schema
        if self._rows(self._from, "pruned") != self._rows(self._into, "pruned"):
            raise Damaged(f"{self.source.name}, schema {schema} was pruned while it was copied: run the same again")
        self._copy_snapshots()
        with self._into.transaction():
            for table in self._tables():
                if table not in ("stored_events", "pruned", *_GROWING, *_BY_MEMBER, *_INBOX):
                    self._into.execute(f"TRUNCATE {schema}.{table}")
                    self._copy(table)
        failpoint("move-copied")
        self.compare_grown()
        self.close_inbox()
        for table in self._tables():
            if table not in ("stored_events", "inbox_end", *_GROWING):
                self._check_same(table)
        settings = self._ledger.settings_there()
        moved = {**settings.moved, str(self._partition): self._to}
        origin = self._ledger.origin_by(replace(settings, moved=moved), self._partition)
        PostgresJournal(self.target, schema).stamp(origin, reopens=True)
        failpoint("move-stamped")

    def close_inbox(self) -> None:
        """Let nobody append where the partition stood, and copy what was appended until then.

        Appenders ask for nobody's leave, and read with the end that they lock how many partitions there are.
        """
        end = f"{self.schema}.inbox_end"
        self._from.execute(f"UPDATE {end} SET partitions = {MOVED_AWAY}")
        failpoint("move-fenced")
        with self._into.transaction():
            self._copy("inbox", f"position > {self._last(self._into, 'inbox', 'position')}")
            for table in _INBOX:
                self._into.execute(f"TRUNCATE {self.schema}.{table}")
                self._copy(table)
            self._into.execute(f"UPDATE {end} SET partitions = %s", (self._ledger.settings.partitions,))
        self.compare_grown()

    def switch(self) -> None:
        """Have the ledger's settings say where the partition stands."""
        self._ledger.put_moved(self._partition, self._to)
        failpoint("move-switched")

    def give_up(self) -> None:
        """Drop the copy, and open the journal again where it stands."""
        self._into.execute(f"DROP SCHEMA {self.schema} CASCADE")
        self._from.execute(f"DROP INDEX IF EXISTS {self.schema}.{_INDEX}")
        self._from.execute(
            f"UPDATE {self.schema}.inbox_end SET partitions = %s WHERE partitions = %s",
            (self._ledger.settings.partitions, MOVED_AWAY),
        )
        journal = self._ledger.journal(self._partition)
        journal.stamp(self._ledger.origin(self._partition), reopens=True)

    # -- behind it ---------------------------------------------------------------------------------------------------

    def end(self, seconds: float) -> Moved:
        """Put the journal of before aside, and let the other journals know; return what was done."""
        note = _note(self._into, self.schema)
        assert note is not None
        source = self._ledger.topology.server_at(note[1])
        left = f"{self.schema}_moved"
        with _connection(source) as before:
            if _has(before, f"{self.schema}.shard"):
                epoch = _one(before, f"SELECT epoch FROM {self.schema}.shard")
                left = f"{self.schema}_moved_{epoch & 0xFFFFFFFF}"
                before.execute(f"DROP INDEX IF EXISTS {self.schema}.{_INDEX}")
                before.execute(f"ALTER SCHEMA {self.schema} RENAME TO {left}")
        failpoint("move-renamed")
        self._ledger.close_journal(self._partition)
        self._ledger.change_settings(self._ledger.settings)
        self._into.execute(f"DROP INDEX IF EXISTS {self.schema}.{_INDEX}")
        self._into.execute(f"DROP TABLE {self.schema}.{_NOTE}")
        return Moved(self._partition, source.name, self.target.name, self._head(self._into), seconds, left)

    # -- copying -----------------------------------------------------------------------------------------------------

    def _copy(self, table: str, where: str = "true", joined: str = "") -> None:
        """Copy rows of a table as they are, in one statement on either side."""
        columns = ", ".join(self._columns(table))
        chosen = ", ".join(f"t.{column}" for column in self._columns(table))
        wanted = f"SELECT {chosen} FROM {self.schema}.{table} AS t {joined} WHERE {where}"
        with (
            self._from.cursor() as source,
            self._into.cursor() as target,
            source.copy(f"COPY ({wanted}) TO STDOUT (FORMAT BINARY)") as rows,
            target.copy(f"COPY {self.schema}.{table} ({columns}) FROM STDIN (FORMAT BINARY)") as copied,
        ):
            for data in rows:
                copied.write(data)

    def _copy_members(self, since: int, upto: int) -> None:
        """Copy pages and snapshots of the members who were decided on since these were copied."""
        schema = self.schema
        decided = (
            f"SELECT DISTINCT originator_id AS member FROM {schema}.stored_events"
            f" WHERE notification_id > {since} AND notification_id <= {upto}"
        )
        self._from.execute("DROP TABLE IF EXISTS pg_temp.decided")
        self._from.execute(f"CREATE TEMPORARY TABLE decided AS {decided}")
        with self._into.transaction():
            for table in _BY_MEMBER:
                self._into.execute(f"DELETE FROM {schema}.{table} WHERE member IN ({decided})")
                self._copy(table, joined="JOIN pg_temp.decided AS d ON d.member = t.member")
            self._into.execute(f"UPDATE {schema}.{_NOTE} SET since = {upto}")

    def _copy_snapshots(self) -> None:
        """Copy the snapshots that were written of members who were not decided on since."""
        differ = [
            member
            for member, here, there in _side_by_side(
                *(self._numbers(connection) for connection in (self._from, self._into))
            )
            if here != there
        ]
        self._from.execute("DROP TABLE IF EXISTS pg_temp.decided")
        self._from.execute('CREATE TEMPORARY TABLE decided (member text COLLATE "C")')
        with self._from.cursor() as cursor:
            cursor.executemany("INSERT INTO pg_temp.decided VALUES (%s)", [(member,) for member in differ])
        with self._into.transaction():
            self._into.execute(f"DELETE FROM {self.schema}.accounts WHERE member = ANY(%s)", (differ,))
            self._copy("accounts", joined="JOIN pg_temp.decided AS d ON d.member = t.member")

    # -- looking -----------------------------------------------------------------------------------------------------

    def compare_grown(self) -> None:
        """Compare what never changes any more, so that less is left for when nobody decides. Raises `Damaged`.

        One thing does: records of dead letters whose bytes were dropped since. They are copied once more.
        """
        dropped = f"SELECT position FROM {self.schema}.parked WHERE octet_length(kept) = 0"
        dropped += f" AND position <= {self._last(self._into, 'inbox', 'position')}"
        positions = [position for (position,) in self._from.execute(dropped)]
        with self._into.transaction():
            self._into.execute(f"DELETE FROM {self.schema}.inbox WHERE position = ANY(%s)", (positions,))
            self._copy("inbox", f"position IN ({dropped})")
        for table, column in (("stored_events", "notification_id"), *_GROWING.items()):
            upto = self._last(self._into, table, column)
            self._check_same(table, f"{column} > {self._compared.get(table, -1)} AND {column} <= {upto}")
            self._compared[table] = upto

    def _check_same(self, table: str, where: str = "true") -> None:
        summed = "count(*), sum(hashtextextended(t::text, 0))"
        if table in _BY_MEMBER:  # what stands in them was copied with the entries that it comes from; they may be large
            summed = "count(*), sum(octet_length(t.state))"
        question = f"SELECT {summed} FROM {self.schema}.{table} AS t WHERE {where}"
        if self._from.execute(question).fetchone() != self._into.execute(question).fetchone():
            raise Damaged(f"{self.target.name}: the table {self.schema}.{table} is not as it was copied")

    def _tables(self) -> list[str]:
        found = self._from.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (self.schema,))
        return sorted(name for (name,) in found if name != _NOTE)

    def _columns(self, table: str) -> list[str]:
        found = self._from.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
            " ORDER BY ordinal_position",
            (self.schema, table),
        )
        return [f'"{name}"' for (name,) in found]

    def _rows(self, connection: _Connection, table: str) -> list[Any]:
        return connection.execute(f"SELECT * FROM {self.schema}.{table} ORDER BY 1").fetchall()

    def _numbers(self, connection: _Connection) -> Iterator[tuple[str, int]]:
        """Yield (member, number) of every snapshot, by member."""
        with connection.transaction(), connection.cursor("numbers") as cursor:
            cursor.itersize = AT_ONCE
            yield from cursor.execute(f"SELECT member, number FROM {self.schema}.accounts ORDER BY member")

    def _head(self, connection: _Connection) -> int:
        return int(_one(connection, f"SELECT head FROM {self.schema}.shard"))

    def _last(self, connection: _Connection, table: str, column: str) -> int:
        return int(_one(connection, f"SELECT coalesce(max({column}), -1) FROM {self.schema}.{table}"))


@contextmanager
def _connection(server: Server) -> Iterator[_Connection]:
    """Yield a connection of its own, whose errors are the port's."""
    with closing(server.connect()) as connection, server.errors():
        yield connection


def _note(connection: _Connection, schema: str) -> tuple[str, str, int | None] | None:
    """Return what is kept of a move beside a copy: the ledger, from where, and up to which entry pages were copied."""
    if not _has(connection, f"{schema}.{_NOTE}"):
        return None
    return connection.execute(f"SELECT ledger, source, since FROM {schema}.{_NOTE}").fetchone()


def _has_note(server: Server, schema: str) -> bool:
    with _connection(server) as connection:
        return _note(connection, schema) is not None


def _has(connection: _Connection, table: str) -> bool:
    return _one(connection, f"SELECT to_regclass('{table}') IS NOT NULL") is True


def _one(connection: _Connection, question: str) -> Any:
    row = connection.execute(question).fetchone()
    return None if row is None else row[0]


def _side_by_side(
    these: Iterator[tuple[str, int]], those: Iterator[tuple[str, int]]
) -> Iterator[tuple[str, int | None, int | None]]:
    """Yield each name of two sorted runs once, with the number that either has."""
    this, that = next(these, None), next(those, None)
    while this is not None or that is not None:
        if that is None or (this is not None and this[0].encode() < that[0].encode()):
            assert this is not None
            yield this[0], this[1], None
            this = next(these, None)
        elif this is None or that[0].encode() < this[0].encode():
            yield that[0], None, that[1]
            that = next(those, None)
        else:
            yield this[0], this[1], that[1]
            this, that = next(these, None), next(those, None)
