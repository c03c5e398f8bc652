"""The inbox of a ledger in PostgreSQL: a partition's records beside its journal, fed by any number of processes.

An appender locks the ends of the partitions that it adds to, in ascending order, numbers its records from there, and
moves the ends on in the same transaction: positions are dense, in the order of commits, and recorded never runs back.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import accumulate
from typing import Any

import psycopg

from consumers.local.port import (
    CannotAppend,
    End,
    FedRecord,
    Inbox,
    InboxLine,
    Numbered,
    SourceCursor,
    check_by_clock,
    last_stamp,
    numbered_by_partition,
    places_of,
    pushed_of,
)
from consumers.runtime.notify import APPENDED, encode_notification
from consumers.stream import Record
from ledger.journal.database import DatabaseLedger, bounded_records
from ledger.journal.port import JournalError, Unavailable
from ledger.journal.postgres import MOVED_AWAY
from ledger.journal.postgres_server import Server
from ledger.wire.facts import PROGRAMME_SUBJECT

_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"  # in microseconds

_GROW_SECONDS = 2.0  # that appenders wait at most, each time, for what waits to be decided
_LOOK_SECONDS = 0.02
_MOVE_SECONDS = 5.0  # that an append waits at most for a partition that moves to another server
FED_ROWS = 1_000  # of a feed, read at a time
_MOST_LINES = 1 << 32  # of one append; a line's number orders a feed's records

_INSERT = """WITH moved AS (UPDATE {schema}.inbox_end SET position = %b, recorded = %b)
    INSERT INTO {schema}.inbox SELECT position, line, recorded, backlog, %b::bigint, key, value, length, sha256, pushed
    FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::integer[], %b::bytea[], %b::bytea[], %b::bigint[],
    %b::bytea[], %b::bigint[]) AS new (position, line, recorded, backlog, key, value, length, sha256, pushed)"""
_MOVE_SPAN = """INSERT INTO {schema}.inbox_spans VALUES (%b, %b, %b)
    ON CONFLICT (feed) DO UPDATE SET last = excluded.last"""


class IsMoving(CannotAppend):
    """A partition takes no records where it is looked for: it moves to another server, or has."""


class PostgresInbox(Inbox):
    """The inbox of a ledger in PostgreSQL. Partitions of one server are appended to in one transaction.

    Where they stand on several, a crash between two of them leaves a batch in some. A feed moves on last, so that the
    batch is fed again; others send it again: what was in already is decided once more, as a duplicate.
    """

    def __init__(self, ledger: DatabaseLedger) -> None:
        super().__init__(ledger.settings.partitions)
        self._ledger = ledger
        self._topology = ledger.topology
        self._feeds: dict[int, SourceCursor] = {}  # as far as this process knows

    # -- reading -----------------------------------------------------------------------------------------------------

    def _end(self, partition: int) -> End:
        (row,) = self._rows(partition, "SELECT position, recorded FROM {schema}.inbox_end")
        return End(*row)

    def read(self, partition: int, after: int, limit: int, most_bytes: int = 1 << 62) -> Sequence[Record]:
        rows = self._rows(
            partition,
            "SELECT position, recorded, backlog, key, value, whole_length, whole_sha256, pushed"
            f" FROM ({bounded_records('{schema}')}) AS bounded WHERE held < %s ORDER BY position",
            after,
            limit,
            most_bytes,
        )
        return [
            Record(offset, recorded, backlog, key.decode(), value, whole_length, whole_sha256, pushed=pushed)
            for offset, recorded, backlog, key, value, whole_length, whole_sha256, pushed in rows
        ]

    # -- feeds -------------------------------------------------------------------------------------------------------

    def feeds_of(self, source: str) -> list[SourceCursor]:
        rows = self._topology.main.rows(
            self._topology.schema,
            f"SELECT number, size, lines, digest, tail FROM {self._topology.schema}.feeds WHERE source = %s"
            " ORDER BY number DESC",
            (source,),
        )
        feeds = [SourceCursor._make(row) for row in rows]
        self._feeds.update((feed.number, feed) for feed in feeds)
        return feeds

    def new_feed(self, source: str) -> SourceCursor:
        ((number,),) = self._topology.main.rows(
            self._topology.schema,
            f"INSERT INTO {self._topology.schema}.feeds (source, size, lines, digest) VALUES (%s, 0, 0, '')"
            " RETURNING number",
            (source,),
        )
        feed = self._feeds[number] = SourceCursor(number, 0, 0, b"")
        return feed

    def spans_of(self, feed: int) -> list[tuple[int, int, int]]:
        return [
            (partition, first, last)
            for partition in self._ledger.partitions
            for first, last in self._rows(
                partition, "SELECT first, last FROM {schema}.inbox_spans WHERE feed = %s", feed
            )
        ]

    def _fed(self, feed: int, partition: int, first: int, last: int) -> Iterator[FedRecord]:
        after = first - 1
        while after < last:
            rows = self._rows(
                partition,
                "SELECT line, position, key FROM {schema}.inbox WHERE position > %s AND position <= %s AND feed = %s"
                " ORDER BY position LIMIT %s",
                after,
                last,
                feed,
                FED_ROWS,
            )
            if not rows:
                return
            for line, after, key in rows:
                yield FedRecord(line, partition, after, key.decode())

    def count_after(self, partition: int, after: int, feed: int) -> int:
        ((count,),) = self._rows(
            partition, "SELECT count(*) FROM {schema}.inbox WHERE position > %s AND feed = %s", after, feed
        )
        return int(count)

    # -- writing -----------------------------------------------------------------------------------------------------

    def append(self, lines: Sequence[InboxLine], feed: SourceCursor | None = None) -> list[tuple[int, int]]:
        until = time.monotonic() + _MOVE_SECONDS
        while True:
            known = self._topology.moved
            try:
                places = self._append(lines, feed)
                break
            except IsMoving:
                if time.monotonic() > until:
                    raise
                time.sleep(_LOOK_SECONDS)
                self._look_anew()
            except CannotAppend:
                raise
            except JournalError as error:
                if isinstance(error, Unavailable) or self._look_anew() == known:
                    raise CannotAppend(
                        f"{error}; what of this batch was taken counts once if it is sent again"
                    ) from error
        if lines:
            with suppress(JournalError):  # who decides it looks for itself, now and then
                self._ledger.notify(encode_notification(APPENDED, (line.partition for line in lines)))
        return places

    def _standing(self, partitions: Iterable[int]) -> dict[int, Server]:
        return {partition: self._topology.server_of(partition) for partition in partitions}

    def _look_anew(self) -> Mapping[str, str]:
        """Return which partitions were moved, and where, by what the settings say now. Raises `CannotAppend`."""
        try:
            self._ledger.find_moved()
        except JournalError as error:
            raise CannotAppend(f"{error}; nothing was taken") from error
        return self._topology.moved

    def _append(self, lines: Sequence[InboxLine], feed: SourceCursor | None) -> list[tuple[int, int]]:
        before = self._feeds[feed.number].lines if feed else 0
        batches = numbered_by_partition(lines, before * _MOST_LINES)
        offsets: dict[int, int] = {}
        stands = self._standing(batches)  # once: another thread may learn meanwhile that one was moved
        with ExitStack() as stack:
            for server in self._servers_of(stands, feed):
                c = stack.enter_context(server.transaction(self._topology.schema))
                if feed is not None and server is self._topology.main:
                    self._move(c, feed)
                here = [partition for partition in sorted(batches) if stands[partition] is server]
                ends, now = self._lock_ends(c, here, {self.partitions})
                check_by_clock(last_stamp(lines), now, self._tolerance, f"the database's ({server.name})")
                for partition in here:
                    offsets[partition] = ends[partition].position + 1
                    self._insert(c, partition, batches[partition], ends[partition], feed.number if feed else 0)
        if feed is not None:
            self._feeds[feed.number] = feed
        return places_of(lines, offsets)

    def _servers_of(self, stands: Mapping[int, Server], feed: SourceCursor | None) -> list[Server]:
        """The servers of an append, the main one first: the transactions end in the opposite order."""
        servers = {id(server): server for server in stands.values()}
        if feed is not None:
            servers[id(self._topology.main)] = self._topology.main
        return sorted(servers.values(), key=lambda server: (server is not self._topology.main, server.name))

    def _move(self, c: psycopg.Cursor[Any], feed: SourceCursor) -> None:
        """Move a feed on; until the transaction ends, whoever feeds the same waits, and then is turned away."""
        c.execute(
            f"UPDATE {self._topology.schema}.feeds SET size = %s, lines = %s, digest = %s, tail = %s"
            " WHERE number = %s AND size = %s",
            (feed.size, feed.lines, feed.digest, feed.tail, feed.number, self._feeds[feed.number].size),
        )
        if not c.rowcount:
            raise CannotAppend("another process feeds the same file; wait for it to end, and run the command again")

    def _lock_ends(self, c: psycopg.Cursor[Any], partitions: Sequence[int], of: set[int]) -> tuple[dict[int, End], int]:
        """Lock where partitions of a server end, one after the other, as every appender does.

        Return these ends, and the instant by the server's clock. Raises `CannotAppend` where they are others than `of`.
        """
        asked = " UNION ALL ".join(
            f"SELECT * FROM (SELECT {partition}, position, recorded, partitions"
            f" FROM {self._topology.schema_of(partition)}.inbox_end FOR UPDATE) AS end_{partition}"
            for partition in partitions
        )
        asked += f"{' UNION ALL ' if partitions else ''}SELECT -1, -1, {_NOW}, 0"  # as a partition that ends now
        rows = c.execute(asked).fetchall()
        if any(row[3] == MOVED_AWAY for row in rows):
            raise IsMoving(
                f"{self._ledger.name}: a partition is being moved to another server; wait for that to end, or run the"
                " same `points partitions move` again, which goes on"
            )
        if others := {row[3] for row in rows} - {0, *of}:
            raise CannotAppend(
                f"{self._ledger.name}: its inbox has {max(others)} partitions, and {self.partitions} are known here: it"
                " was split, or is being split; start again, or run `points split` again, which goes on"
            )
        found = {row[0]: End(*row[1:3]) for row in rows}
        return found, found.pop(-1).recorded

    def _insert(self, c: psycopg.Cursor[Any], partition: int, batch: Sequence[Numbered], end: End, feed: int) -> None:
        """Append to a partition whose end is locked, and move the end on."""
        recorded = list(accumulate((line.recorded for _, line in batch), max, initial=end.recorded))[1:]
        last = end.position + len(batch)
        schema = self._topology.schema_of(partition)
        c.execute(
            _INSERT.format(schema=schema),
            (
                last,
                recorded[-1],
                feed,
                list(range(end.position + 1, last + 1)),
                [number for number, _ in batch],
                recorded,
                [line.backlog for _, line in batch],
                [line.key.encode() for _, line in batch],
                [line.value for _, line in batch],
                [line.whole_length for _, line in batch],
                [line.whole_sha256 for _, line in batch],
                pushed_of((line for _, line in batch), recorded),
            ),
        )
        if feed:
            c.execute(_MOVE_SPAN.format(schema=schema), (feed, end.position + 1, last))

    def grow(self, partitions: int) -> bool:
        """Give the inbox more partitions, each of which goes on behind the one it branches off; close it after that.

        Those are in the schemas in which a split makes them. Return False, with nothing done, where records wait.
        """
        topology, ledger = self._topology, self._ledger
        with ExitStack() as stack:
            ends: dict[int, End] = {}
            cursors: dict[int, psycopg.Cursor[Any]] = {}
            for server in self._servers_of(self._standing(ledger.partitions), None):
                c = stack.enter_context(server.transaction(topology.schema))
                here = [partition for partition in ledger.partitions if topology.server_of(partition) is server]
                ends |= self._lock_ends(c, here, {self.partitions, partitions})[0]
                cursors |= dict.fromkeys(here, c)
            until = time.monotonic() + _GROW_SECONDS
            while any(ledger.journal(partition).head().offset < end.position for partition, end in ends.items()):
                if time.monotonic() > until:
                    return False
                time.sleep(_LOOK_SECONDS)
            for partition, end in ends.items():
                c = cursors[partition]
                c.execute(f"UPDATE {topology.schema_of(partition)}.inbox_end SET partitions = %s", (partitions,))
                for child in range(partition + self.partitions, partitions, self.partitions):
                    schema = topology.making_of(child)
                    c.execute(
                        f"UPDATE {schema}.inbox_end SET position = %s, recorded = %s, partitions = %s",
                        (*end[:2], partitions),
                    )
                    if end.position >= 0:
                        c.execute(
                            f"INSERT INTO {schema}.inbox (position, line, recorded, backlog, feed, key, value,"
                            " whole_length, whole_sha256) VALUES (%s, 0, %s, 0, 0, '', '', 0, '')",
                            end[:2],
                        )
        return True

    def has_partitions(self, partitions: int) -> bool:
        """Return True if the inbox has so many partitions, and not those of the ledger alone."""
        found = (
            self._rows(partition, "SELECT partitions FROM {schema}.inbox_end") for partition in self._ledger.partitions
        )
        return all(rows == [(partitions,)] for rows in found)

    def drop(self, partition: int, offset: int, length: int, sha256: bytes) -> None:
        """Remove a record's bytes; length and hash stay. The file keeps them until VACUUM takes the old row away."""
        schema = self._topology.schema_of(partition)
        with self._topology.server_of(partition).transaction(schema) as c:
            c.execute(
                f"UPDATE {schema}.inbox SET key = CASE WHEN key = %s THEN key ELSE '' END, value = '',"
                " whole_length = %s, whole_sha256 = %s WHERE position = %s",
                (PROGRAMME_SUBJECT.encode(), length, sha256, offset),
            )

    def close(self) -> None:
        """Nothing: the connections are the ledger's."""

    def _rows(self, partition: int, sql: str, *parameters: object) -> list[Any]:
        schema, server = self._topology.schema_of(partition), self._topology.server_of(partition)
        question = sql.format(schema=schema)
        try:
            return server.rows(schema, question, parameters)
        except Unavailable:
            raise
        except JournalError:
            self._ledger.find_moved()
            if (now := self._topology.server_of(partition)) is server:
                raise
        return now.rows(schema, question, parameters)
