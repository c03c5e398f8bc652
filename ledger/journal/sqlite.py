"""A partition's journal in one SQLite file, as a recorder of the `eventsourcing` library.

An entry is a stored event: originator = member, version = its number, notification id = its place in the journal.
Everything a batch changes is one transaction that begins with the fence: the row of the shard is updated where the
epoch is still ours, which locks, numbers and fences at once.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from eventsourcing.persistence import (
    ConnectionPoolClosedError,
    IntegrityError,
    OperationalError,
    PersistenceError,
    StoredEvent,
    Tracking,
)
from eventsourcing.sqlite import SQLiteCursor, SQLiteProcessRecorder

from ledger.core.pages import Page, decode_page, encode_page
from ledger.errors import may_pass
from ledger.journal.datastore import FileDatastore
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

_ALL = 1 << 62


@contextmanager
def _named_by_the_port() -> Iterator[None]:
    """What SQLite or the library raises, as the port's errors."""
    try:
        yield
    except (sqlite3.Error, PersistenceError) as error:
        raise (Unavailable if may_pass(error) else Damaged)(str(error)) from error


_PRAGMAS = (
    "synchronous=FULL",  # a commit that was answered survives a power cut
    "cache_size=-8192",  # KiB of pages; the file system's cache holds the rest
    "wal_autocheckpoint=16000",  # pages: what changes again and again is copied once
)


# Each brings a file to the next format.
STEPS: Steps = (
    (
        """CREATE TABLE stored_events (
            rowid INTEGER PRIMARY KEY, originator_id TEXT NOT NULL, originator_version INTEGER NOT NULL,
            topic TEXT NOT NULL, state BLOB NOT NULL, link BLOB)""",
        "CREATE UNIQUE INDEX by_member ON stored_events (originator_id, originator_version)",
        """CREATE TABLE shard (
            one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, head INTEGER NOT NULL,
            link BLOB NOT NULL, recorded INTEGER NOT NULL)""",
        "INSERT INTO shard VALUES (1, 0, 0, zeroblob(32), 0)",
        "CREATE TABLE sources (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        """CREATE TABLE receipts (
            source INTEGER NOT NULL, id TEXT NOT NULL, member TEXT NOT NULL, place INTEGER NOT NULL,
            PRIMARY KEY (source, id, member)) WITHOUT ROWID""",
        """CREATE TABLE pages (
            key TEXT NOT NULL, member TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (key, member)) WITHOUT ROWID""",
        """CREATE TABLE accounts (
            member TEXT PRIMARY KEY, number INTEGER NOT NULL, state BLOB NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE parked (
            position INTEGER PRIMARY KEY, recorded INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
            length INTEGER NOT NULL, sha256 BLOB NOT NULL, kept BLOB NOT NULL, retried INTEGER NOT NULL DEFAULT 0)""",
        "CREATE TABLE programmes (place INTEGER PRIMARY KEY, version TEXT NOT NULL, toml TEXT NOT NULL)",
        """CREATE TABLE tracking (
            application_name TEXT PRIMARY KEY, notification_id INTEGER NOT NULL) WITHOUT ROWID""",
    ),
    ("DELETE FROM accounts",),  # snapshots of another layout: they are folded anew from the entries
)


class SQLiteJournal(SQLiteProcessRecorder):
    """One partition's journal: entries with their chain, receipts, pages, snapshots, parked facts and the position.

    With `create` the file is made where there is none, and an older one is brought to this version's format.
    """

    def __init__(self, path: str | Path, *, create: bool = False) -> None:
        super().__init__(FileDatastore(Path(path), _PRAGMAS, create=create))
        self.insert_events_statement = (
            "INSERT INTO stored_events (rowid, originator_id, originator_version, topic, state, link)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        self._sources: dict[str, int] = {}
        try:
            self.migrated = self._migrate(str(path), may_migrate=create)
        except (sqlite3.DatabaseError, OperationalError) as error:
            if may_pass(error):
                raise Unavailable(f"{path}: {error}; see to the rights on it and on its folder, and to room") from error
            raise JournalError(f"{path}: {error}; it is not a journal of this ledger, or it is damaged") from error

    def _migrate(self, where: str, *, may_migrate: bool) -> int:
        """Bring the file to this version's format; says how many steps it took."""
        with self.datastore.transaction(commit=may_migrate) as c:
            c.execute("PRAGMA user_version")
            steps = pending(STEPS, c.fetchone()[0], where, may_migrate=may_migrate)
            for step in steps:
                for statement in step:
                    c.execute(statement)
            if steps:
                c.execute(f"PRAGMA user_version = {len(STEPS)}")
        return len(steps)

    # -- owning ------------------------------------------------------------------------------------------------------

    def own(self) -> int:
        """Become the owner: the epoch is raised and returned; what an earlier owner still has in hand is rejected."""
        with _named_by_the_port(), self.datastore.transaction(commit=True) as c:
            c.execute("UPDATE shard SET epoch = epoch + 1 RETURNING epoch")
            return int(c.fetchone()[0])

    @contextmanager
    def transaction(self, entries: int, epoch: int) -> Iterator["SQLiteBatch"]:
        """One batch of `entries` entries in one transaction. Raises `Fenced` before anything is written."""
        with _named_by_the_port(), self.datastore.transaction(commit=True) as c:
            batch = SQLiteBatch(self, c, entries, epoch)
            yield batch
        self._remember(batch.named)

    def head(self) -> Head:
        """Where the journal stands."""
        with _named_by_the_port(), self.datastore.transaction(commit=False) as c:
            c.execute("SELECT head, link, recorded FROM shard")
            entries, link, recorded = c.fetchone()
            position = self._max_tracking_id(STREAM, c)
        return Head(entries, link, (position or 0) - 1, recorded)

    def close(self) -> None:
        """Close the file."""
        self.datastore.close()

    def _remember(self, named: dict[str, int]) -> None:
        """Source numbers that are committed, and so hold for ever."""
        if len(self._sources) > SOURCES:
            self._sources.clear()
        self._sources.update(named)

    # -- the library's recorder --------------------------------------------------------------------------------------

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        first = self._fence(c, len(stored_events), None)[0] + 1
        places = list(range(first, first + len(stored_events)))
        c.executemany(
            self.insert_events_statement,
            [
                (place, str(e.originator_id), e.originator_version, e.topic, e.state, None)
                for place, e in zip(places, stored_events, strict=True)
            ],
        )
        tracking: Tracking | None = kwargs.get("tracking")
        if tracking is not None:
            self._insert_tracking(c, tracking)
        return places

    @staticmethod
    def _fence(c: SQLiteCursor, entries: int, epoch: int | None) -> tuple[int, bytes]:
        """Lock, number and, where an owner's epoch is given, fence: the head before this batch and the last link."""
        c.execute(
            "UPDATE shard SET head = head + ? WHERE epoch = coalesce(?, epoch) RETURNING head, link", (entries, epoch)
        )
        row = c.fetchone()
        if row is None:
            raise Fenced(f"epoch {epoch} is over: another process owns this partition now")
        return row[0] - entries, row[1]

    # -- reading -----------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Cursor]:
        """A cursor of plain tuples over one consistent state of the file."""
        try:
            with _named_by_the_port(), self.datastore.transaction(commit=False) as c:
                c.sqlite_cursor.row_factory = None
                yield c.sqlite_cursor
        except ConnectionPoolClosedError:
            pass  # the journal was closed while a scan was half read, which has nothing more to give back

    def published_upto(self, flow: str) -> int:
        """How far a flow out of this journal was acknowledged, 0 at its beginning."""
        with _named_by_the_port():
            return self.max_tracking_id(flow) or 0

    def publish_upto(self, flow: str, number: int) -> None:
        """Remember how far a flow was acknowledged; nothing happens where a later owner has moved it further."""
        with _named_by_the_port(), suppress(IntegrityError):
            self.insert_tracking(Tracking(flow, number))

    def scan(self, after: int = 0, upto: int | None = None) -> Iterator[EntryRow]:
        """Entries in journal order, streamed."""
        with self.reading() as c:
            c.execute(
                "SELECT rowid, originator_id, originator_version, state, link FROM stored_events"
                " WHERE rowid > ? AND rowid <= ? ORDER BY rowid",
                (after, (1 << 62) if upto is None else upto),
            )
            for row in c:
                yield EntryRow(*row)

    def scan_by_member(self, after: str = "") -> Iterator[EntryRow]:
        """Entries by member and number, streamed."""
        with self.reading() as c:
            c.execute(
                "SELECT rowid, originator_id, originator_version, state, link FROM stored_events"
                " WHERE originator_id > ? ORDER BY originator_id, originator_version",
                (after,),
            )
            for row in c:
                yield EntryRow(*row)

    def receipts(self, upto: int) -> Iterator[Receipt]:
        """The receipts of entries up to a place, streamed."""
        with self.reading() as c:
            c.execute(
                "SELECT coalesce(name, ''), id, member, place FROM receipts LEFT JOIN sources ON number = source"
                " WHERE place <= ?",
                (upto,),
            )
            yield from map(Receipt._make, c)

    def entries_of(self, member: str, after: int = 0, limit: int | None = None) -> list[EntryRow]:
        """A member's entries after a number, in order, at most so many."""
        with self.reading() as c:
            return self._entries_of(c, member, after, limit)

    @staticmethod
    def _entries_of(c: sqlite3.Cursor, member: str, after: int, limit: int | None = None) -> list[EntryRow]:
        c.execute(
            "SELECT rowid, originator_id, originator_version, state, link FROM stored_events"
            " WHERE originator_id = ? AND originator_version > ? ORDER BY originator_version LIMIT ?",
            (member, after, _ALL if limit is None else limit),
        )
        return [EntryRow(*row) for row in c.fetchall()]

    def snapshot(self, member: str) -> tuple[int, bytes] | None:
        """A member's last snapshot: the entry number it stands at, and its bytes."""
        with self.reading() as c:
            return self._snapshot(c, member)

    @staticmethod
    def _snapshot(c: sqlite3.Cursor, member: str) -> tuple[int, bytes] | None:
        found: tuple[int, bytes] | None
        found = c.execute("SELECT number, state FROM accounts WHERE member = ?", (member,)).fetchone()
        return found

    def latest(self, member: str) -> tuple[tuple[int, bytes] | None, list[EntryRow]]:
        """A member's last snapshot and the entries behind it, all of one state."""
        with self.reading() as c:
            snapshot = self._snapshot(c, member)
            return snapshot, self._entries_of(c, member, snapshot[0] if snapshot else 0)

    def page(self, member: str, key: str) -> Page | None:
        """A page of a member."""
        with self.reading() as c:
            row = c.execute("SELECT state FROM pages WHERE key = ? AND member = ?", (key, member)).fetchone()
        return decode_page(row[0]) if row else None

    def last_number(self, member: str) -> int:
        """The number of a member's last entry, 0 where there is none."""
        with self.reading() as c:
            c.execute("SELECT max(originator_version) FROM stored_events WHERE originator_id = ?", (member,))
            return c.fetchone()[0] or 0

    def published(self) -> list[Published]:
        """The rule books published to this partition, in order."""
        with self.reading() as c:
            rows = c.execute("SELECT place, version, toml FROM programmes ORDER BY place").fetchall()
        return [Published(*row) for row in rows]

    def parked(
        self, after: int = -1, limit: int | None = None, *, upto: int | None = None, retried: bool = False
    ) -> list[Parked]:
        """Parked records by position, behind `after` up to `upto`; those that are done only when `retried` asks."""
        with self.reading() as c:
            rows = c.execute(
                "SELECT position, recorded, reason, detail, length, sha256, kept, retried FROM parked"
                " WHERE position > ? AND position <= ? AND retried <= ? ORDER BY position LIMIT ?",
                (after, _ALL if upto is None else upto, retried, _ALL if limit is None else limit),
            ).fetchall()
        return [Parked._make((*row[:7], bool(row[7]))) for row in rows]

    def count_parked(self, upto: int | None = None, *, retried: bool = False) -> int:
        """How many records are parked up to a position; those that are done count only when `retried` asks."""
        with self.reading() as c:
            c.execute(
                "SELECT count(*) FROM parked WHERE position <= ? AND retried <= ?",
                (_ALL if upto is None else upto, retried),
            )
            return int(c.fetchone()[0])

    def parked_reasons(self, recorded_by: int) -> dict[str, int]:
        """How many records that wait were parked for each reason, of those recorded by an instant."""
        with self.reading() as c:
            c.execute(
                "SELECT reason, count(*) FROM parked WHERE retried = 0 AND recorded <= ?"
                " GROUP BY reason ORDER BY reason",
                (recorded_by,),
            )
            return dict(c.fetchall())

    def mark_retried(self, positions: Sequence[int]) -> None:
        """Remember that parked records were driven again; they stay as a trace."""
        with _named_by_the_port(), self.datastore.transaction(commit=True) as c:
            c.executemany("UPDATE parked SET retried = 1 WHERE position = ?", [(p,) for p in positions])

    def drop_parked(self, position: int, detail: str) -> None:
        """Remove a parked record's bytes for good; `detail` says so in place of what was wrong."""
        with _named_by_the_port(), self.datastore.transaction(commit=True) as c:
            c.execute("PRAGMA secure_delete = ON")  # the bytes are overwritten in the file
            c.execute("UPDATE parked SET kept = x'', detail = ?, retried = 1 WHERE position = ?", (detail, position))


class SQLiteBatch:
    """What one transaction of a journal may do, fence first."""

    def __init__(self, journal: SQLiteJournal, cursor: SQLiteCursor, entries: int, epoch: int) -> None:
        self._journal = journal
        self._wrapped = cursor
        self._cursor = cursor.sqlite_cursor
        self.before, self.link = journal._fence(cursor, entries, epoch)
        self._known = journal._sources
        self.named: dict[str, int] = {}  # sources whose number was looked up or given here
        self._cursor.row_factory = None

    def source(self, name: str) -> int:
        """The number by which receipts name a source."""
        number = self._known.get(name) or self.named.get(name)
        if number is None:
            self._cursor.execute("INSERT OR IGNORE INTO sources (name) VALUES (?)", (name,))
            number = self._cursor.execute("SELECT number FROM sources WHERE name = ?", (name,)).fetchone()[0]
            self.named[name] = number
        return number

    def receive(self, receipts: Sequence[tuple[int, str, str, int]]) -> dict[int, int]:
        """Take receipts (source, id, member, place); returns place -> place of the first, where one came before."""
        self._cursor.executemany("INSERT OR IGNORE INTO receipts VALUES (?, ?, ?, ?)", receipts)
        if self._cursor.rowcount == len(receipts):
            return {}
        repeated = {}
        for source, name, member, place in receipts:
            first = self._cursor.execute(
                "SELECT place FROM receipts WHERE source = ? AND id = ? AND member = ?", (source, name, member)
            ).fetchone()[0]
            if first != place:
                repeated[place] = first
        return repeated

    def prefetch(self, members: Iterable[str], pages: Iterable[tuple[str, str]]) -> None:
        """Nothing: here a read costs no round trip."""

    def account(self, member: str) -> tuple[int, bytes] | None:
        """A member's snapshot."""
        return self._journal._snapshot(self._cursor, member)

    def entries_of(self, member: str, after: int) -> list[EntryRow]:
        """A member's entries after a number."""
        return self._journal._entries_of(self._cursor, member, after)

    def entry_state(self, place: int) -> bytes | None:
        """The bytes of an entry of an earlier batch."""
        row = self._cursor.execute("SELECT state FROM stored_events WHERE rowid = ?", (place,)).fetchone()
        return row[0] if row else None

    def page(self, key: str, member: str) -> Page | None:
        """A member's page."""
        row = self._cursor.execute("SELECT state FROM pages WHERE key = ? AND member = ?", (key, member)).fetchone()
        return decode_page(row[0]) if row else None

    def append(self, rows: Sequence[tuple[int, str, int, str, bytes, bytes]]) -> None:
        """Write entries: (place, member, number, topic, state, link)."""
        self._cursor.executemany(self._journal.insert_events_statement, rows)

    def put_pages(self, pages: Sequence[tuple[str, str, Page]]) -> None:
        """Write pages: (key, member, page), best in the order of their keys."""
        self._cursor.executemany(
            "INSERT OR REPLACE INTO pages VALUES (?, ?, ?)", [(k, m, encode_page(p)) for k, m, p in pages]
        )

    def put_accounts(self, accounts: Sequence[tuple[str, int, bytes]]) -> None:
        """Write snapshots: (member, number, bytes), best in the order of members."""
        self._cursor.executemany("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?)", accounts)

    def put_programme(self, place: int, version: str, toml: str) -> None:
        """Keep a published rule book."""
        self._cursor.execute("INSERT INTO programmes VALUES (?, ?, ?)", (place, version, toml))

    def park(self, parked: Sequence[Parked]) -> None:
        """Keep records that are no facts."""
        self._cursor.executemany(
            "INSERT INTO parked (position, recorded, reason, detail, length, sha256, kept)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [record[:7] for record in parked],
        )

    def finish(self, link: bytes, position: int, recorded: int) -> None:
        """Move the chain's last link and the stream's position; the transaction commits after this."""
        self._cursor.execute("UPDATE shard SET link = ?, recorded = ?", (link, recorded))
        self._journal._insert_tracking(self._wrapped, Tracking(STREAM, position + 1))
