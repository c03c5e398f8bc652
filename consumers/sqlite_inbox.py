"""The inbox of an embedded ledger.

One SQLite file holds every partition and how far each file was fed, so that a feed and its records are one
transaction: after a crash the same command goes on exactly where the inbox stands.
"""

import heapq
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from consumers.inbox import CannotAppend, Fed, Feed, Line
from consumers.stream import Record
from ledger.journal.port import JournalError
from ledger.journal.sqlite import BUSY_SECONDS

FORMAT = 1
_Row = tuple[int, int, int, int, int, str, bytes, int, bytes]


class SQLiteInbox:
    """The inbox of a ledger in a folder. Any number of processes append and read."""

    def __init__(self, path: Path, partitions: int, *, create: bool = False) -> None:
        self.path = path
        self._partitions = partitions
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
            if create:
                self._create()
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise JournalError(f"{path}: {error}") from error
        if found != FORMAT:
            raise JournalError(f"{path} has format {found}, this version of points reads format {FORMAT}")
        self._know_ends()

    def _create(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        for partition in range(self._partitions):
            self._db.execute(
                f"CREATE TABLE IF NOT EXISTS partition_{partition} (position INTEGER PRIMARY KEY,"
                " line INTEGER NOT NULL, recorded INTEGER NOT NULL, backlog INTEGER NOT NULL,"
                " feed INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,"
                " whole_length INTEGER NOT NULL, whole_sha256 BLOB NOT NULL)"
            )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS feeds (number INTEGER PRIMARY KEY, source TEXT NOT NULL,"
            " size INTEGER NOT NULL, lines INTEGER NOT NULL, digest BLOB NOT NULL)"
        )
        self._db.execute(  # where in each partition a feed's records begin and end; those of others stand between
            "CREATE TABLE IF NOT EXISTS spans (feed INTEGER NOT NULL, partition INTEGER NOT NULL,"
            " first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (feed, partition)) WITHOUT ROWID"
        )
        self._db.execute(f"PRAGMA user_version = {FORMAT}")
        self._db.execute("COMMIT")

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return self._partitions

    def _last(self, partition: int) -> tuple[int, int, int]:
        row = self._db.execute(
            f"SELECT position, recorded, line FROM partition_{partition} ORDER BY position DESC LIMIT 1"
        ).fetchone()
        return (row[0], row[1], row[2]) if row else (-1, 0, 0)

    def last_recorded(self, partition: int) -> int:
        """The latest recorded of a partition, 0 where it is empty."""
        return self._ends[partition][1]

    def end(self, partition: int) -> int:
        """The offset of a partition's last record, -1 where it is empty."""
        return self._last(partition)[0]

    def read(self, partition: int, after: int, limit: int, most_bytes: int = 1 << 62) -> Sequence[Record]:
        """Up to `limit` records of a partition behind an offset, and no more once they hold `most_bytes`."""
        rows = self._db.execute(
            f"SELECT position, recorded, backlog, key, value, whole_length, whole_sha256 FROM partition_{partition}"
            " WHERE position > ? ORDER BY position LIMIT ?",
            (after, limit),
        )
        records = []
        held = 0
        for row in rows:
            records.append(Record(*row))
            held += len(row[4])
            if held >= most_bytes:
                break
        return records

    def record(self, partition: int, offset: int) -> Record | None:
        """The record at an offset."""
        found = self.read(partition, offset - 1, 1)
        return found[0] if found and found[0].offset == offset else None

    def spans_of(self, feed: int) -> list[tuple[int, int, int]]:
        """The (partition, first, last) between whose offsets the records of a feed stand, with those of others."""
        rows = self._db.execute("SELECT partition, first, last FROM spans WHERE feed = ?", (feed,))
        return [(row[0], row[1], row[2]) for row in rows]

    def records_of(self, feed: int) -> Iterator[Fed]:
        """Where the records of a feed stand, in the order they came, streamed."""
        streams = [
            map(
                Fed._make,
                self._db.execute(
                    f"SELECT line, {partition}, position, key FROM partition_{partition}"
                    " WHERE position BETWEEN ? AND ? AND feed = ? ORDER BY position",
                    (first, last, feed),
                ),
            )
            for partition, first, last in self.spans_of(feed)
        ]
        return heapq.merge(*streams)

    def drop(self, partition: int, offset: int, length: int, sha256: bytes) -> None:
        """Remove a record's bytes for good; its length and hash stay in their place."""
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.execute(
            f"UPDATE partition_{partition} SET key = iif(key = 'programme', key, ''), value = x'', whole_length = ?,"
            " whole_sha256 = ? WHERE position = ?",
            (length, sha256, offset),
        )
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def count_after(self, partition: int, after: int, feed: int) -> int:
        """How many records of a feed stand behind an offset."""
        row = self._db.execute(
            f"SELECT count(*) FROM partition_{partition} WHERE position > ? AND feed = ?", (after, feed)
        ).fetchone()
        return int(row[0])

    def feeds_of(self, source: str) -> list[Feed]:
        """What was fed from a source of that name, the latest first."""
        rows = self._db.execute(
            "SELECT number, size, lines, digest FROM feeds WHERE source = ? ORDER BY number DESC", (source,)
        )
        return [Feed(*row) for row in rows]

    def new_feed(self, source: str) -> Feed:
        """Begin to feed from a source."""
        number = self._db.execute(
            "INSERT INTO feeds (source, size, lines, digest) VALUES (?, 0, 0, ?) RETURNING number",
            (source, b""),
        ).fetchone()[0]
        return Feed(number, 0, 0, b"")

    def append(self, lines: Sequence[Line], feed: Feed | None = None) -> list[tuple[int, int]]:
        """Append lines and move a feed on, in one transaction; returns the (partition, offset) of each line.

        Raises `CannotAppend` where the file cannot be written (a full disk); nothing is appended then.
        """
        number = feed.number if feed else 0
        try:
            self._db.execute("BEGIN IMMEDIATE")
            if self._version() != self._seen:  # another process has appended
                self._know_ends()
            rows, ends, places = self._placed(lines, number)
            for partition, values in rows.items():
                self._db.executemany(f"INSERT INTO partition_{partition} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
                if number:
                    self._db.execute(
                        "INSERT INTO spans VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET last = excluded.last",
                        (number, partition, values[0][0], values[-1][0]),
                    )
            if feed is not None:
                self._db.execute(
                    "UPDATE feeds SET size = ?, lines = ?, digest = ? WHERE number = ?",
                    (feed.size, feed.lines, feed.digest, feed.number),
                )
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise CannotAppend(f"{self.path}: {error}; nothing of this batch was taken") from error
        self._ends = ends
        self._line += len(lines)
        return places

    def _version(self) -> int:
        """A number that moves when another connection has changed the file."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def _know_ends(self) -> None:
        self._seen = self._version()
        self._ends = [self._last(p)[:2] for p in range(self._partitions)]
        self._line = max(self._last(p)[2] for p in range(self._partitions))

    def _placed(
        self, lines: Sequence[Line], feed: int
    ) -> tuple[dict[int, list[_Row]], list[tuple[int, int]], list[tuple[int, int]]]:
        """The rows of lines by partition, where the partitions then end, and where each line stands."""
        rows: dict[int, list[_Row]] = {}
        ends = list(self._ends)
        places = []
        for count, line in enumerate(lines, self._line + 1):
            partition = line.partition
            position, recorded = ends[partition]
            position += 1
            recorded = max(recorded, line.recorded)  # along a partition recorded never runs back
            ends[partition] = (position, recorded)
            places.append((partition, position))
            rows.setdefault(partition, []).append(
                (
                    position,
                    count,
                    recorded,
                    line.backlog,
                    feed,
                    line.key,
                    line.value,
                    line.whole_length,
                    line.whole_sha256,
                )
            )
        return rows, ends, places

    def begin_behind(self, partition: int, position: int, recorded: int) -> None:
        """Let an empty partition begin behind a position whose records are kept elsewhere; `recorded` is the last's.

        A record without bytes and hash stands at that position.
        """
        self._db.execute(
            f"INSERT OR IGNORE INTO partition_{partition} VALUES (?, 0, ?, 0, 0, '', x'', 0, x'')", (position, recorded)
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()
