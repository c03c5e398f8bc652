"""The stream of facts as the intake sees it: a port of one verb with two homes, Kafka and the local inbox."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from ledger.wire.times import SECOND

BACKLOG = 1  # recorded as an importer declared it
AHEAD = 2  # the importer saw that it occurred more than five minutes after the present instant

# What makes a record no fact whatever it says; the reasons under which it is dead-lettered.
OUTSIDE = 4  # it came in a file, so that no account of a ledger left it, whatever its source says
EMPTY, NO_KEY, NOT_STAMPED, UNTRUSTED_BACKLOG = "empty", "no-key", "not-stamped", "untrusted-backlog"
UNKNOWN_MODE, NOT_JSON, NOT_UTF8 = "unknown-mode", "not-json", "not-utf8"  # with a detail of the record's own


PUSHED = SECOND  # less is not told: clocks of several hosts differ by so much


def pushed_by(recorded: int, stamped: int) -> int:
    """Return by how many microseconds `recorded` is later than the clock said; 0 where that is less than a second.

    Along a partition `recorded` never runs back, so that a clock that was once ahead pushes what comes after it.
    """
    ahead = recorded - stamped
    return ahead if ahead >= PUSHED else 0


class Record(Struct, frozen=True, gc=False):
    """A record of a partition: `recorded` in microseconds, `backlog` where an importer declared it (see `AHEAD`).

    `whole_length` and `whole_sha256` are set where `value` is only the beginning of what was sent; `fault` where the
    stream found the record itself wanting (see `EMPTY`), in which case `detail` may say how; `pushed` where `recorded`
    is later than the clock said (see `pushed_by`); `sent_sha256` where `value` was made of other bytes.
    """

    offset: int
    recorded: int
    backlog: int  # 0, or BACKLOG with perhaps AHEAD; and perhaps OUTSIDE
    key: str
    value: bytes
    whole_length: int = 0
    whole_sha256: bytes = b""
    fault: str = ""
    pushed: int = 0
    detail: str = ""
    sent_sha256: bytes = b""


class Stream(Protocol):
    """Where facts come from: partitions, each an ordered log."""

    def read(self, partition: int, after: int, limit: int, most_bytes: int = ...) -> Sequence[Record]:
        """Return up to `limit` records of a partition behind an offset, and no more once they hold `most_bytes`."""
        ...
