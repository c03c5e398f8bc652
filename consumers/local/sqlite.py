"""The inbox of an embedded ledger.

One SQLite file holds every partition and how far each file was fed, so that a feed and its records are one
transaction: after a crash the same command goes on exactly where the inbox stands.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, groupby
from pathlib import Path
from secrets import randbelow
from typing import Any

from msgspec.structs import replace

from consumers.local.port import (
    CannotAppend,
    ClockAhead,
    End,
    FedRecord,
    Inbox,
    InboxLine,
    Numbered,
    SourceCursor,
    check_by_facts,
    numbered_by_partition,
    places_of,
    pushed_of,
)
from consumers.stream import Record
from ledger.errors import may_pass
from ledger.journal.blocks import Block, blocks_after, encode_block, inbox_id
from ledger.journal.opening import BUSY_SECONDS, reading_of
from ledger.journal.port import Damaged, JournalError, Unavailable
from ledger.wire.facts import PROGRAMME_SUBJECT

FORMAT = 2
# A block is full at so many records or bytes of them: who wants one of its records reads it whole.
BLOCK_RECORDS = 256
BLOCK_BYTES = 128 << 10


class SQLiteInbox(Inbox):
    """The inbox of a ledger in a folder. Any number of processes append and read.

    With `create` the file is made where there is none, and an older one is brought to this version's format.
    """

    def __init__(self, path: Path, partitions: int, *, create: bool = False) -> None:
        self.path = path
        super().__init__(partitions)
        mode = "rwc" if create else "rw"
        try:
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                timeout=BUSY_SECONDS,
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")  # what was appended survives a power cut
            self._db.execute("PRAGMA wal_autocheckpoint=4000")
            self.migrated = self._migrate() if create else 0
            found = self._format()
        except sqlite3.Error as error:
            raise JournalError(f"{path}: {error}") from error
        if found != FORMAT:
            way_out = "install a newer points" if found > FORMAT else "run `points store migrate`"
            raise JournalError(f"{path} has format {found}, this version of points reads format {FORMAT}: {way_out}")
        self._check_partitions()
        self._seen = -1  # the version of the file's content when its ends were read
        self._ends: list[End] = []

    @property
    def id(self) -> str:
        """As `inbox_id` has it: drawn when the file was made, or first fed by a version that knows of ids."""
        with self._reading():
            return inbox_id(self._db)

    def _check_partitions(self) -> None:
        """Raise `JournalError` where the inbox has other partitions: the ledger is being split, or was since."""
        if (found := _partitions_of(self._db)) != self.partitions:
            raise JournalError(
                f"{self.path} has {found} partitions, and the ledger {self.partitions}: it was split, or is being"
                " split; start again, or run `points split` again, which goes on"
            )

    def _format(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self) -> int:
        """Bring the file to this version's format, unless it has a newer one; says how many steps it took."""
        self._db.execute("BEGIN IMMEDIATE")
        found = self._format()
        if found < FORMAT:
            for partition in range(self.partitions):
                if found:
                    self._db.execute(f"ALTER TABLE partition_{partition} RENAME TO records_{partition}")
                self._make_table(partition)
                if found:
                    self._make_blocks(partition)
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS feeds (number INTEGER PRIMARY KEY, source TEXT NOT NULL,"
                " size INTEGER NOT NULL, lines INTEGER NOT NULL, digest BLOB NOT NULL)"
            )
            self._db.execute("ALTER TABLE feeds ADD COLUMN tail BLOB NOT NULL DEFAULT x''")
            # Where in each partition a feed's records begin and end; those of others stand between.
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS spans (feed INTEGER NOT NULL, partition INTEGER NOT NULL,"
                " first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (feed, partition)) WITHOUT ROWID"
            )
            self._db.execute(f"PRAGMA user_version = {FORMAT}")
        if found <= FORMAT and not inbox_id(self._db):
            self._db.execute(f"PRAGMA application_id = {1 + randbelow((1 << 31) - 1)}")
        self._db.execute("COMMIT")
        return max(0, FORMAT - found)

    def _make_table(self, partition: int) -> None:
        self._db.execute(
            f"CREATE TABLE partition_{partition} (last INTEGER PRIMARY KEY, first INTEGER NOT NULL,"
            " recorded INTEGER NOT NULL, line INTEGER NOT NULL, feed INTEGER NOT NULL, block BLOB NOT NULL)"
        )

    def _make_blocks(self, partition: int) -> None:
        """From format 1, which had a row a record."""
        rows = self._db.execute(
            "SELECT feed, position, line, recorded, backlog, key, value, whole_length, whole_sha256"
            f" FROM records_{partition} ORDER BY position"
        )
        for feed, records in groupby(rows, lambda row: int(row[0])):
            for first, some in _cut((row[1], (row[2], InboxLine(partition, *row[3:]))) for row in records):
                self._insert(partition, first, some, 0, feed)
        self._db.execute(f"DROP TABLE records_{partition}")

    # -- reading -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Say what SQLite says by the port's errors."""
        try:
            yield
        except sqlite3.Error as error:
            raise (Unavailable if may_pass(error) else Damaged)(f"{self.path}: {error}") from error

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        with self._reading():
            return self._db.execute(sql, parameters).fetchall()

    def _end(self, partition: int) -> End:
        rows = self._rows(f"SELECT last, recorded, line FROM partition_{partition} ORDER BY last DESC LIMIT 1")
        return End(*rows[0]) if rows else End()

    def read(self, partition: int, after: int, limit: int, most_bytes: int = 1 << 62) -> Sequence[Record]:
        found: list[Record] = []
        held = 0
        with self._reading():
            for record in self._records_after(partition, after) if limit else ():
                found.append(record)
                held += len(record.value)
                if held >= most_bytes or len(found) == limit:
                    break
        return found

    def _records_after(self, partition: int, after: int) -> Iterator[Record]:
        for first, block in blocks_after(self._db, partition, after):
            records = list(map(Record, range(first, 1 << 62), block.recorded, block.backlog, block.keys, block.values))
            for place, (length, sha256) in block.wholes.items():
                records[place] = replace(records[place], whole_length=length, whole_sha256=sha256)
            for place, pushed in block.pushed.items():
                records[place] = replace(records[place], pushed=pushed)
            yield from records[max(0, after + 1 - first) :]

    # -- feeds -------------------------------------------------------------------------------------------------------

    def feeds_of(self, source: str) -> list[SourceCursor]:
        rows = self._rows(
            "SELECT number, size, lines, digest, tail FROM feeds WHERE source = ? ORDER BY number DESC", (source,)
        )
        return [SourceCursor(*row) for row in rows]

    def new_feed(self, source: str) -> SourceCursor:
        ((number,),) = self._rows(
            "INSERT INTO feeds (source, size, lines, digest) VALUES (?, 0, 0, ?) RETURNING number",
            (source, b""),
        )
        return SourceCursor(number, 0, 0, b"")

    def spans_of(self, feed: int) -> list[tuple[int, int, int]]:
        rows = self._rows("SELECT partition, first, last FROM spans WHERE feed = ?", (feed,))
        return [(row[0], row[1], row[2]) for row in rows]

    def _fed(self, feed: int, partition: int, first: int, last: int) -> Iterator[FedRecord]:
        with self._reading():
            for at, block in blocks_after(self._db, partition, first - 1, last, feed):
                for place, (line, key) in enumerate(zip(block.lines, block.keys, strict=True)):
                    yield FedRecord(line, partition, at + place, key)

    def count_after(self, partition: int, after: int, feed: int) -> int:
        ((count,),) = self._rows(
            f"SELECT coalesce(sum(last - max(first - 1, ?)), 0) FROM partition_{partition} WHERE last > ? AND feed = ?",
            (after, after, feed),
        )
        return int(count)

    # -- writing -----------------------------------------------------------------------------------------------------

    def append(self, lines: Sequence[InboxLine], feed: SourceCursor | None = None) -> list[tuple[int, int]]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            ends = list(self._ends_now())
            check_by_facts(lines, max(end.recorded for end in ends), self._tolerance)
            firsts = self._append(lines, ends, feed.number if feed else 0)
            if feed is not None:
                self._db.execute(
                    "UPDATE feeds SET size = ?, lines = ?, digest = ?, tail = ? WHERE number = ?",
                    (feed.size, feed.lines, feed.digest, feed.tail, feed.number),
                )
            self._db.execute("COMMIT")
        except ClockAhead:
            self._db.execute("ROLLBACK")
            raise
        except (sqlite3.Error, JournalError) as error:
            self._seen = -1  # nobody knows whether it was committed: the ends are looked up again
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise CannotAppend(f"{self.path}: {error}; nothing of this batch was taken") from error
        self._ends = ends
        return places_of(lines, firsts)

    def _ends_now(self) -> list[End]:
        """Where each partition ends; looked up where another connection may have appended."""
        seen = self._db.execute("PRAGMA data_version").fetchone()[0]
        if seen != self._seen:
            self._check_partitions()
            self._ends = [self._end(partition) for partition in range(self.partitions)]
            self._seen = seen
        return self._ends

    def _append(self, lines: Sequence[InboxLine], ends: list[End], feed: int) -> dict[int, int]:
        """Append behind `ends`, which move on; returns each partition's first offset."""
        numbered = numbered_by_partition(lines, 1 + max(end.number for end in ends))
        firsts = {partition: ends[partition].position + 1 for partition in numbered}
        for partition, first in firsts.items():
            for at, some in _cut(enumerate(numbered[partition], first)):
                ends[partition] = self._insert(partition, at, some, ends[partition].recorded, feed)
            if feed:
                self._db.execute(
                    "INSERT INTO spans VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET last = excluded.last",
                    (feed, partition, first, ends[partition].position),
                )
        return firsts

    def _insert(self, partition: int, first: int, some: Sequence[Numbered], recorded: int, feed: int) -> End:
        """Insert a block; along a partition recorded never runs back behind what it was before."""
        stamps = list(accumulate((line.recorded for _, line in some), max, initial=recorded))[1:]
        pushed = pushed_of((line for _, line in some), stamps)
        block = Block(
            stamps,
            [line.backlog for _, line in some],
            [number for number, _ in some],
            [line.key for _, line in some],
            [line.value for _, line in some],
            {at: (line.whole_length, line.whole_sha256) for at, (_, line) in enumerate(some) if line.whole_sha256},
            {at: by for at, by in enumerate(pushed) if by},
        )
        end = End(first + len(some) - 1, block.recorded[-1], block.lines[-1])
        self._db.execute(
            f"INSERT INTO partition_{partition} VALUES (?, ?, ?, ?, ?, ?)",
            (end.position, first, end.recorded, end.number, feed, encode_block(block)),
        )
        return end

    def drop(self, partition: int, offset: int, length: int, sha256: bytes) -> None:
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.execute("BEGIN IMMEDIATE")
        first, block = next(blocks_after(self._db, partition, offset - 1))
        place = offset - first
        if block.keys[place] != PROGRAMME_SUBJECT:
            block.keys[place] = ""
        block.values[place] = b""
        block.wholes[place] = (length, sha256)
        last = first + len(block.keys) - 1
        self._db.execute(f"UPDATE partition_{partition} SET block = ? WHERE last = ?", (encode_block(block), last))
        self._db.execute("COMMIT")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def begin_behind(self, partition: int, position: int, recorded: int) -> None:
        """Let an empty partition begin behind a position whose records are kept elsewhere; `recorded` is the last's.

        A record without bytes and hash stands at that position.
        """
        if self.end(partition) < 0:
            self._insert(partition, position, [(0, InboxLine(partition, recorded, 0, "", b""))], 0, 0)

    def grow(self, partitions: int, decided: Sequence[int]) -> bool:
        """Give the inbox more partitions, each of which goes on behind the one it branches off; close it after that.

        Return False, with nothing done, where records wait behind the offsets that were `decided`.
        """
        with self._reading():
            self._db.execute("BEGIN IMMEDIATE")
            ends = [self._end(partition) for partition in range(self.partitions)]
            if [end.position for end in ends] != list(decided):
                self._db.execute("ROLLBACK")
                return False
            for partition in range(self.partitions, partitions):
                self._make_table(partition)
                end = ends[partition % self.partitions]
                if end.position >= 0:
                    self._insert(partition, end.position, [(0, InboxLine(partition, end.recorded, 0, "", b""))], 0, 0)
            self._db.execute("COMMIT")
        return True

    def close(self) -> None:
        self._db.close()


def has_partitions(path: Path, partitions: int) -> bool:
    """Return True if an inbox has so many partitions. Raises `JournalError`."""
    try:
        with reading_of(path) as db:
            return _partitions_of(db) == partitions
    except sqlite3.Error as error:
        raise (Unavailable if may_pass(error) else Damaged)(f"{path}: {error}") from error


def _partitions_of(db: sqlite3.Connection) -> int:
    tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB 'partition_[0-9]*'"
    return int(db.execute(tables).fetchone()[0])


def _cut(numbered: Iterable[tuple[int, Numbered]]) -> Iterator[tuple[int, list[Numbered]]]:
    """Blocks of lines that stand behind each other, each with the offset of its first."""
    some: list[Numbered] = []
    first = held = 0
    for offset, line in numbered:
        if not some:
            first, held = offset, 0
        some.append(line)
        held += len(line[1].value)
        if len(some) >= BLOCK_RECORDS or held >= BLOCK_BYTES:
            yield first, some
            some = []
    if some:
        yield first, some
