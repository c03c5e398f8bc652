"""Records between a Kafka client and the intake: one bounded buffer per partition, and what headers declare."""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import islice, takewhile

from consumers.kafka.port import Headers, Hole, Start
from consumers.runtime.intake import MAX_AHEAD
from consumers.stream import AHEAD, BACKLOG, EMPTY, NO_KEY, NOT_STAMPED, UNTRUSTED_BACKLOG, Record, pushed_by
from ledger.journal.port import KEPT_WHOLE
from ledger.wire.facts import MAX_BYTES

RECORDED = "points-recorded"  # the header by which an importer declares `recorded`: microseconds in ASCII digits
WHOLE = "points-whole"  # see `whole_header`
MILLISECOND = 1_000
OVERHEAD = 400  # bytes of a buffered record beside its value, about
_WHOLE = re.compile(rb"([1-9][0-9]{0,15}) ([0-9a-f]{64})")


class Buffer:
    """The records of a partition that were fetched and are not yet decided; `recorded` never runs back along them."""

    __slots__ = ("_after", "_most", "_recorded", "_records", "_stops", "_takes_backlog", "_weight", "holes", "last")

    def __init__(self, start: Start, most_bytes: int, takes_backlog: bool, *, stops_at_holes: bool = False) -> None:
        self._records: deque[Record] = deque()
        self._weight = 0
        self._after = start.after
        self._recorded = start.recorded
        self._most = most_bytes
        self._takes_backlog = takes_backlog
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

    def add(
        self, offset: int, timestamp: int, is_stamped: bool, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        """Add a fetched record; `timestamp` is in milliseconds, and the broker's own if `is_stamped`."""
        if offset <= self.last:
            return  # a client may begin with the batch that an offset stands in
        backlog, fault, text, whole_length, digest, pushed = 0, "", "", 0, b"", 0
        if is_stamped:
            recorded = timestamp * MILLISECOND
            if headers:
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
        if value is None:
            value, fault = b"", EMPTY
        elif len(value) > MAX_BYTES:
            value, whole_length, digest = value[:KEPT_WHOLE], len(value), sha256(value).digest()
        elif headers:
            whole_length, digest = _whole(headers)
        if self._stops and offset > self.last + 1:
            self.holes.append(Hole(self.last + 1, offset - 1))
        self.last, self._recorded = offset, recorded
        self._weight += len(value) + OVERHEAD
        self._records.append(Record(offset, recorded, backlog, text, value, whole_length, digest, fault, pushed))

    def _declared(self, headers: Iterable[tuple[str, bytes | None]], stamped: int) -> tuple[int, int, str]:
        """Return what is recorded, the backlog flags and the fault, by a header and the broker's own stamp."""
        said = next((value for name, value in headers if name == RECORDED), None)
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


def whole_header(length: int, digest: bytes) -> tuple[str, bytes]:
    """Return the header of a record that is only the beginning of a line: the line's length and SHA-256."""
    return WHOLE, b"%d %s" % (length, digest.hex().encode())


def _whole(headers: Iterable[tuple[str, bytes | None]]) -> tuple[int, bytes]:
    """Return length and hash from a `whole_header`; with one, a record is dead-lettered as too long."""
    said = next((value for name, value in headers if name == WHOLE), None)
    found = _WHOLE.fullmatch(said) if said is not None else None
    return (int(found[1]), bytes.fromhex(found[2].decode())) if found else (0, b"")
