"""Publishes every entry and every dead letter of a partition to a topic, in the journal's order.

The journal is the buffer: what is to be sent is read from it behind what was acknowledged, and how far that is stands
in its tracking table, moved only behind acknowledged records. After a crash some come again; none is left out.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, repeat, starmap
from operator import itemgetter
from time import monotonic, sleep
from typing import Any, ClassVar

import msgspec

from consumers.dead_letters import StoredDeadLetter
from consumers.kafka.buffers import ATTRIBUTE, CONTENT_TYPE
from consumers.kafka.client_base import Keyed, Writer
from consumers.kafka.port import Headers, StreamError
from consumers.runtime.events import Failed, Observe, Published, Recovered
from consumers.runtime.retry import STORE_FAILURES, Backoff
from ledger.journal.engines import native_module
from ledger.journal.failpoints import failpoint
from ledger.journal.ledger import Ledger
from ledger.journal.native import PlainRow, published_by
from ledger.journal.port import EntryRow, StoredRow
from ledger.journal.sql import Journal
from ledger.wire.entries import OUTCOMES
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import describe_published, position_text
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import to_text

MOST_IN_FLIGHT = 16_000  # records, and
MOST_BYTES_IN_FLIGHT = 24 << 20  # of them, over all partitions of a process
MOST_FRESH = 8_000  # entries of a partition that wait in memory, and a batch more
SENT_TOGETHER = 256  # records at most, that are acknowledged by one call
DECIDED, DEAD_LETTERED = "points.fact.decided.v1", "points.record.dead-lettered.v1"  # types of CloudEvents
JSON = b"application/json"
REMEMBER_SECONDS = 1.0  # between two moves of a tracking position

_encode = msgspec.json.Encoder().encode


# Of an entry's row.
_SEQUENCE: Callable[[Sequence[Any]], int] = itemgetter(0)
_MEMBER: Callable[[Sequence[Any]], str] = itemgetter(1)

Outgoing = tuple[int, Keyed]  # what tracking counts by, and the record


class Flow(ABC):
    """One kind of records that flows out of a partition: what was sent, what was acknowledged, what tracking knows.

    Tracking remembers it under its `name`.
    """

    name: ClassVar[str]

    def __init__(self, ledger: Ledger, partition: int, topic: str, *, has_headers: bool = False) -> None:
        self.partition = partition
        self._has_headers = has_headers  # of CloudEvents in binary mode
        self._source = f"/points-ledger/{ledger.identity}"
        self._topic = topic
        self._ledger = ledger
        self._zone = ledger.book.offset
        self._is_home = ledger.partition_of(PROGRAMME_SUBJECT) == partition
        self._remembered = self._journal.published_upto(self.name)
        self._pending: deque[int] = deque()  # in flight: the number of the last of those that were sent together
        self.begin_again()

    @property
    def _journal(self) -> Journal:
        """The partition's journal, where it stands now: a move puts it elsewhere."""
        return self._ledger.journal(self.partition)

    def begin_again(self) -> None:
        """Begin with another writer: what is not remembered as acknowledged is sent again."""
        self.acknowledged = self._sent = self._remembered
        self._pending.clear()
        self.may_have_more = True  # in the journal, behind what was sent

    def take(self, rows: Sequence[StoredRow]) -> None:
        """Look for more in the journal: something was committed. A flow may take the entries as they are."""
        self.may_have_more = True

    @property
    def is_done(self) -> bool:
        """Return True if all that was in the journal is acknowledged."""
        return not self.may_have_more and not self._pending

    @abstractmethod
    def _after(self, number: int, limit: int) -> Iterator[Outgoing]:
        """Yield what stands behind a number, in order, at most `limit` records."""

    def send(self, writer: Writer, room: int, bytes_room: int) -> None:
        """Send what stands next, as far as there is room: it may go beyond it by one record."""
        waiting = self._after(self._sent, room)
        while room > 0 and bytes_room > 0:
            last, records, held = _some(waiting, bytes_room)
            if not records:
                self.may_have_more = False
                return
            failpoint("before-publish")
            self._pending.append(last)
            writer.send_all(self._topic, self.partition, records, self._delivered)
            self._sent = last
            room -= len(records)
            bytes_room -= held

    def _headers(self, kind: str, name: str, subject: str, at: int, **more: str) -> Headers:
        """Return the headers of a CloudEvent in binary mode; none where none are wanted. `at` is in microseconds."""
        if not self._has_headers:
            return ()
        found = {"specversion": "1.0", "id": name, "source": self._source, "type": kind, "subject": subject}
        found |= {"time": to_text(at, self._zone), **more}
        return [(ATTRIBUTE + name, value.encode()) for name, value in found.items()] + [(CONTENT_TYPE, JSON)]

    def _delivered(self, _offset: int) -> None:
        """The oldest in flight are acknowledged: a writer delivers the records of a partition in order."""
        self.acknowledged = self._pending.popleft()

    def remember(self) -> int:
        """Move the tracking position behind what was acknowledged; return by how much."""
        moved = self.acknowledged - self._remembered
        if moved:
            failpoint("after-publish")
            self._journal.publish_upto(self.name, self.acknowledged)
            self._remembered = self.acknowledged
            failpoint("after-tracking")
        return moved


def _some(waiting: Iterator[Outgoing], most_bytes: int) -> tuple[int, list[Keyed], int]:
    """Return the number of the last of the next records, them, up to `SENT_TOGETHER`, and their bytes, up to so many.

    One record may go beyond that.
    """
    last, some, held = 0, list[Keyed](), 0
    for number, keyed in islice(waiting, SENT_TOGETHER):
        last = number
        some.append(keyed)
        held += len(keyed[1] or b"")
        if held >= most_bytes:
            break
    return last, some, held


class Outcomes(Flow):
    """A partition's entries, keyed by member; tracking counts places of the journal."""

    name = "outcomes"

    def __init__(self, ledger: Ledger, partition: int, topic: str, *, has_headers: bool = False) -> None:
        super().__init__(ledger, partition, topic, has_headers=has_headers)
        module = native_module()
        self._native = None if module is None else published_by(module, self._zone)

    def begin_again(self) -> None:
        """As `Flow.begin_again`; all is read from the journal."""
        super().begin_again()
        self._fresh: deque[StoredRow] = deque()  # entries that stand next behind those sent

    def take(self, rows: Sequence[StoredRow]) -> None:
        """As `Flow.take`: where nothing is between them and what was sent they are kept, and not read back."""
        super().take(rows)
        last = self._fresh[-1][0] if self._fresh else self._sent
        if rows and rows[0][0] == last + 1 and len(self._fresh) < MOST_FRESH:
            self._fresh.extend(rows)
        elif rows:
            self._fresh.clear()

    def _rows_after(self, number: int, limit: int) -> Iterator[Sequence[PlainRow | StoredRow]]:
        """Yield up to so many rows of the journal behind a number, some at a time."""
        fresh = self._fresh
        upto = number + limit
        if fresh and fresh[0][0] != number + 1:  # some were taken from it, and not sent: there was no room
            fresh.clear()
        while fresh and number < upto:
            some = [fresh.popleft() for _ in range(min(len(fresh), upto - number, SENT_TOGETHER))]
            number = some[-1][0]
            yield some
        yield from self._journal.scan_rows_of(number, upto)

    def _after(self, number: int, limit: int) -> Iterator[Outgoing]:
        for rows in self._rows_after(number, limit):
            told = [None] * len(rows) if self._native is None else self._native(rows, self._is_home)
            described = (value or self._described(EntryRow(*row)) for row, value in zip(rows, told, strict=True))
            values = told if all(told) else described
            headers = map(self._headers_of, starmap(EntryRow, rows)) if self._has_headers else repeat(())
            keys = map(str.encode, map(_MEMBER, rows))
            yield from zip(map(_SEQUENCE, rows), zip(keys, values, headers, strict=False), strict=True)

    def _described(self, row: EntryRow) -> bytes:
        is_copy = row.member == PROGRAMME_SUBJECT and not self._is_home
        return _encode(describe_published(row.sequence, decode_entry(row.state), row.link, self._zone, is_copy=is_copy))

    def _headers_of(self, row: EntryRow) -> Headers:
        entry = decode_entry(row.state)
        name, outcome = position_text(self.partition, row.sequence), OUTCOMES[entry.outcome]
        more = {"outcome": outcome, "reason": entry.reason} if entry.reason else {"outcome": outcome}
        return self._headers(DECIDED, name, row.member, entry.recorded, **more)


class DeadLetters(Flow):
    """A partition's dead letters, keyed by their position; tracking counts offsets from 1."""

    name = "dead-letters"

    def _after(self, number: int, limit: int) -> Iterator[Outgoing]:
        for parked in self._journal.parked(number - 1, limit, retried=True):
            letter = StoredDeadLetter(self.partition, *parked._replace(is_done=False))
            position, value = letter.position, _encode(letter.described(self._zone))
            headers = self._headers(DEAD_LETTERED, position, position, parked.recorded, reason=parked.reason)
            yield parked.offset + 1, (position.encode(), value, headers)


class Publisher:
    """Sends what the partitions of a process made to their topics; what is in flight is bounded.

    A failure of Kafka or the store is observed, and tried again with growing pauses; deciding goes on meanwhile.
    """

    def __init__(self, open_writer: Callable[[], Writer], observe: Observe) -> None:
        self._open_writer = open_writer
        self._observe = observe
        self._writer: Writer | None = None
        self._flows: dict[int, Sequence[Flow]] = {}
        self._backoff = Backoff()
        self._remember_at = 0.0

    def add(self, partition: int, flows: Sequence[Flow]) -> None:
        """Publish the flows of a partition from now on, from where their tracking positions stand."""
        self._flows[partition] = flows

    def drop(self, partition: int) -> None:
        """Publish a partition no more: another process does."""
        self._flows.pop(partition, None)

    def take(self, partition: int, rows: Sequence[StoredRow]) -> None:
        """Take what was just committed to a partition's journal: its entries, and perhaps dead letters."""
        for flow in self._flows.get(partition, ()):
            flow.take(rows)

    @property
    def is_done(self) -> bool:
        """Return True if all that was decided is acknowledged."""
        return all(flow.is_done for flow in self._all())

    def pump(self, timeout: float = 0.0) -> None:
        """Send what may be sent, waiting up to `timeout` seconds, and once a second remember what was acknowledged."""
        if not self._all():
            return
        if not self._backoff.is_over():
            sleep(timeout)
            return
        try:
            if self._writer is None:
                self._writer = self._open_writer()
            self._writer.poll()  # what was acknowledged meanwhile makes room
            self._send(self._writer)
            self._writer.poll(timeout)
            if monotonic() >= self._remember_at:
                self._remember()
        except (StreamError, *STORE_FAILURES) as error:
            self._observe(Failed("publishing", str(error)))
            self._backoff.failed()
            self._abandon_writer()
            return
        if self._backoff.succeeded():
            self._observe(Recovered("publishing"))

    def _send(self, writer: Writer) -> None:
        waiting = [flow for flow in self._all() if flow.may_have_more]
        shares = max(1, len(waiting))
        room = (MOST_IN_FLIGHT - writer.in_flight) // shares
        bytes_room = (MOST_BYTES_IN_FLIGHT - writer.bytes_in_flight) // shares
        if room > 0 and bytes_room > 0:
            for flow in waiting:
                flow.send(writer, room, bytes_room)

    def _remember(self) -> None:
        for flow in self._all():
            moved = flow.remember()
            if moved:
                self._observe(Published(flow.partition, flow.name, flow.acknowledged))
        self._remember_at = monotonic() + REMEMBER_SECONDS

    def _abandon_writer(self) -> None:
        """Close a writer that failed; what it did not acknowledge is sent again by the next one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for flow in self._all():
            flow.begin_again()

    def flush(self, seconds: float) -> None:
        """Publish all that was decided, for up to `seconds`, and remember what was acknowledged."""
        until = monotonic() + seconds
        while not self.is_done and monotonic() < until:
            self.pump(timeout=0.05)
        self._remember_at = 0.0
        self.pump()

    def close(self) -> None:
        """Close the writer."""
        if self._writer is not None:
            self._writer.close()

    def _all(self) -> list[Flow]:
        return [flow for flows in self._flows.values() for flow in flows]
