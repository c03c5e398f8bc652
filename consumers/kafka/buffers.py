"""Records between a Kafka client and the intake: one bounded buffer per partition, and what headers declare."""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import islice, takewhile

from consumers.cloudevents import BadData, UnknownMode, assembled, is_binary
from consumers.kafka.port import Headers, Hole, Start
from consumers.runtime.intake import MAX_AHEAD
from consumers.stream import (
    AHEAD,
    BACKLOG,
    EMPTY,
    NO_KEY,
    NOT_JSON,
    NOT_STAMPED,
    NOT_UTF8,
    UNKNOWN_MODE,
    UNTRUSTED_BACKLOG,
    Record,
    pushed_by,
)
from ledger.journal.native import TakePlain
from ledger.journal.port import KEPT_WHOLE
from ledger.wire.facts import MAX_BYTES

RECORDED = "points-recorded"  # the header by which an importer declares `recorded`: microseconds in ASCII digits
WHOLE = "points-whole"  # see `whole_header`
MILLISECOND = 1_000
ATTRIBUTE = "ce_"  # in front of an attribute's name, in a header of a CloudEvent in binary mode
CONTENT_TYPE = "content-type"
SCHEMA_ID = 5  # bytes: zero, and the number of a schema, in front of a value
OVERHEAD = 400  # bytes of a buffered record beside its value, about
Fetched = tuple[int, int, bool, bytes | None, bytes | None, Headers]  # a record, as `Buffer.add` takes it
_WHOLE = re.compile(rb"([1-9][0-9]{0,15}) ([0-9a-f]{64})")


class Buffer:
    """The records of a partition that were fetched and are not yet decided; `recorded` never runs back along them."""

    __slots__ = (
        "_after",
        "_most",
        "_recorded",
        "_records",
        "_stops",
        "_take_plain",
        "_takes_backlog",
        "_takes_schema_ids",
        "_weight",
        "holes",
        "last",
    )

    def __init__(
        self,
        start: Start,
        most_bytes: int,
        takes_backlog: bool,
        *,
        stops_at_holes: bool = False,
        takes_schema_ids: bool = False,
        take_plain: TakePlain | None = None,
    ) -> None:
        self._take_plain = take_plain
        self._records: deque[Record] = deque()
        self._weight = 0
        self._after = start.after
        self._recorded = start.recorded
        self._most = most_bytes
        self._takes_backlog = takes_backlog
        self._takes_schema_ids = takes_schema_ids
        self._stops = stops_at_holes
        self.holes: deque[Hole] = deque()  # where it stops, until somebody has looked at them
        self.last = start.after  # the offset of the last record that was added

    def __len__(self) -> int:
        return len(self._records)

    @property
    def is_full(self) -> bool:
        """Return True if no more is to be fetched."""
        return self._weight >= self._most

    @property
    def has_room(self) -> bool:
        """Return True if fetching may go on after the buffer was full."""
        return self._weight <= self._most // 2

    def extend(self, rows: list[Fetched]) -> None:
        """Add fetched records in their order, each as `add` does; the native engine takes those that are plain."""
        done = 0
        while done < len(rows):
            if self._take_plain is not None:
                plain, self._recorded, size = self._take_plain(
                    rows, done, self.last, self._recorded, self._takes_backlog
                )
                self._records.extend(plain)
                self._weight += size + OVERHEAD * len(plain)
                self.last += len(plain)
                done += len(plain)
            if done < len(rows):
                self.add(*rows[done])
                done += 1

    def add(
        self, offset: int, timestamp: int, is_stamped: bool, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        """Add a fetched record; `timestamp` is in milliseconds, and the broker's own if `is_stamped`.

        What of this holds for a plain one stands in `engine/src/arrived.rs`, too.
        """
        if offset <= self.last:
            return  # a client may begin with the batch that an offset stands in
        backlog, fault, text, whole_length, digest, pushed = 0, "", "", 0, b"", 0
        names = {name for name, _ in headers} if headers else _NONE
        if is_stamped:
            recorded = timestamp * MILLISECOND
            if RECORDED in names:
                recorded, backlog, fault = self._declared(headers, recorded)
            if recorded < self._recorded:
                pushed = 0 if backlog else pushed_by(self._recorded, recorded)
                recorded = self._recorded
        else:
            recorded, fault = self._recorded, NOT_STAMPED
        try:
            text = key.decode() if key is not None else ""
        except UnicodeDecodeError:
            key = None
        if key is None:
            fault = NO_KEY
        made, detail, sent = value or b"", "", b""
        if len(made) > MAX_BYTES + (SCHEMA_ID if made.startswith(b"\0") else 0):
            whole_length, digest, made = len(made), sha256(made).digest(), made[:KEPT_WHOLE]
        elif WHOLE in names:
            whole_length, digest = _whole(headers)
        if not whole_length and not (made and names <= _OURS and made[0]):  # otherwise it is as it was sent
            made, wrong, detail = self._event_of(value, () if names <= _OURS else headers)
            if wrong:
                fault = wrong
            elif value and made is not value:
                sent = sha256(value).digest()
        if self._stops and offset > self.last + 1:
            self.holes.append(Hole(self.last + 1, offset - 1))
        self.last, self._recorded = offset, recorded
        self._weight += len(made) + OVERHEAD
        self._records.append(
            Record(offset, recorded, backlog, text, made, whole_length, digest, fault, pushed, detail, sent)
        )

    def _event_of(self, value: bytes | None, headers: Headers) -> tuple[bytes, str, str]:
        """Return a value as a structured event, or as it is with why it is none: the fault and its detail."""
        plain = value or b""
        if plain.startswith(b"\0"):
            if not self._takes_schema_ids or len(plain) < SCHEMA_ID:
                return plain, UNKNOWN_MODE, _FRAMED
            plain = plain[SCHEMA_ID:]
        if not headers:
            return plain, "" if value is not None else EMPTY, ""
        try:
            content_type, attributes = _attributes(headers)
            if is_binary(content_type, attributes):
                return assembled(attributes, plain), "", ""
        except UnicodeDecodeError as error:
            return plain, NOT_UTF8, f"a header of the record is not UTF-8: {error}"
        except UnknownMode as error:
            return plain, UNKNOWN_MODE, str(error)
        except BadData as error:
            return plain, NOT_JSON, str(error)
        return plain, "" if value is not None else EMPTY, ""

    def _declared(self, headers: Iterable[tuple[str, bytes | None]], stamped: int) -> tuple[int, int, str]:
        """Return what is recorded, the backlog flags and the fault, by a header and the broker's own stamp."""
        said = next(value for name, value in headers if name == RECORDED)
        if said is None:
            return stamped, 0, ""
        if not self._takes_backlog or not said.isdigit() or len(said) > 16:
            return stamped, 0, UNTRUSTED_BACKLOG
        declared = int(said)
        if declared > stamped + MAX_AHEAD:
            return 0, BACKLOG | AHEAD, ""
        return declared, BACKLOG, ""

    def read(self, after: int, limit: int, most_bytes: int) -> Sequence[Record]:
        """Return up to `limit` records behind `after`, fewer once they hold `most_bytes`; those up to it are let go.

        None behind the first of `holes` is returned.
        """
        if after < self._after:
            raise LookupError(f"what stands behind offset {after} was let go, up to {self._after}: seek first")
        self._after = after
        records = self._records
        while records and records[0].offset <= after:
            self._weight -= len(records.popleft().value) + OVERHEAD
        held = 0
        if self.holes:
            first = self.holes[0].first
            limit = min(limit, sum(1 for _ in takewhile(lambda record: record.offset < first, records)))
        for count, record in enumerate(islice(records, limit), 1):
            held += len(record.value)
            if held >= most_bytes:
                return list(islice(records, count))
        return list(islice(records, limit))


_NONE: frozenset[str] = frozenset()
_OURS = frozenset({RECORDED, WHOLE})  # headers that say nothing of a CloudEvent
_FRAMED = (
    "it begins with a zero byte, as values of a schema registry's serializers do; with kafka.takes_schema_ids they are"
    " taken (JSON Schema; Avro and Protobuf are not)"
)


def _attributes(headers: Headers) -> tuple[str, dict[str, str]]:
    """Return the content type and the attributes of a record's headers; of several the last holds."""
    content_type, found = "", dict[str, str]()
    for name, value in headers:
        if name.startswith(ATTRIBUTE) and value is not None:
            found[name.removeprefix(ATTRIBUTE)] = value.decode()
        elif name == CONTENT_TYPE and value is not None:
            content_type = value.decode(errors="replace")
    return content_type, found


def whole_header(length: int, digest: bytes) -> tuple[str, bytes]:
    """Return the header of a record that is only the beginning of a line: the line's length and SHA-256."""
    return WHOLE, b"%d %s" % (length, digest.hex().encode())


def _whole(headers: Iterable[tuple[str, bytes | None]]) -> tuple[int, bytes]:
    """Return length and hash from a `whole_header`; with one, a record is dead-lettered as too long."""
    said = next((value for name, value in headers if name == WHOLE), None)
    found = _WHOLE.fullmatch(said) if said is not None else None
    return (int(found[1]), bytes.fromhex(found[2].decode())) if found else (0, b"")
