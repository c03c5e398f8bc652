"""What a consuming process tells of its work; metrics, log, progress and summary are made of it."""

from collections.abc import Callable
from typing import NamedTuple

from ledger.journal.partition import Tally

STAGES = ("fetch", "decode", "decide", "store")  # of a batch


class Owned(NamedTuple):
    """A partition is this process's now, in an epoch, and goes on behind a position."""

    partition: int
    epoch: int
    position: int


class Dropped(NamedTuple):
    """A partition is this process's no more, and why."""

    partition: int
    why: str


class Decided(NamedTuple):
    """A batch was decided and committed; seconds by stage."""

    partition: int
    position: int
    at: float  # seconds since 1970
    records: int
    bytes: int
    tally: Tally
    fetch: float
    decode: float
    decide: float
    store: float


class Published(NamedTuple):
    """Of a flow (outcomes, dead-letters) of a partition, all up to a number is acknowledged and remembered so."""

    partition: int
    flow: str
    upto: int


class Lag(NamedTuple):
    """How many records stand behind those decided, by partition."""

    by_partition: dict[int, int]


class Trouble(NamedTuple):
    """Something does not go now and is tried again: what (``kafka``, ``deciding``, ``publishing``), and why."""

    what: str
    why: str


class Recovered(NamedTuple):
    """What was in trouble goes again."""

    what: str


Event = Owned | Dropped | Decided | Published | Lag | Trouble | Recovered
Observe = Callable[[Event], None]
