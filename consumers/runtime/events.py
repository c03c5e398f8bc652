"""What happens in a consuming process, as values; metrics, log, progress and summary are made of them."""

from collections.abc import Callable
from typing import NamedTuple

from ledger.journal.partition import Tally

MOST_PARKED = 5  # told of one batch
STAGES = ("fetch", "decode", "decide", "store")  # of a batch


class Acquired(NamedTuple):
    """This process owns a partition now, under a fencing token, and goes on behind an offset."""

    partition: int
    token: int
    offset: int


class Released(NamedTuple):
    """This process owns a partition no more, or is no more to own one that it left, and why."""

    partition: int
    why: str


class Left(NamedTuple):
    """A partition cannot be gone on with, and why; this process goes on with its others until it ends."""

    partition: int
    why: str


class WentBack(NamedTuple):
    """The store lost what this process had decided behind an offset, up to `known`; it is decided again."""

    partition: int
    offset: int
    known: int


class Parked(NamedTuple):
    """A record that was dead-lettered, and why."""

    offset: int
    reason: str
    detail: str


class Decided(NamedTuple):
    """A batch of records was decided and committed up to an offset; `fetch` to `store` are seconds by stage.

    `parked` are the first of those dead-lettered, at most `MOST_PARKED`; the tally counts all. `ahead` is by how many
    seconds its last `recorded` is later than the clock, 0 where that is less than a minute.
    """

    partition: int
    offset: int
    at: float  # seconds since 1970
    records: int
    bytes: int
    tally: Tally
    fetch: float
    decode: float
    decide: float
    store: float
    ahead: int = 0
    parked: tuple[Parked, ...] = ()


class Told(NamedTuple):
    """What entries left for other accounts was appended to the stream, up to an offset of each partition."""

    upto: dict[int, int]


class Published(NamedTuple):
    """All of a flow (outcomes, dead-letters) of a partition is acknowledged, and remembered so, up to a number."""

    partition: int
    flow: str
    upto: int


class Lag(NamedTuple):
    """How many records stand behind those decided, by partition."""

    by_partition: dict[int, int]


class Failed(NamedTuple):
    """A stage (``store``, ``kafka``, ``split``, ``deciding``, ``publishing``) failed and is tried again, and why."""

    stage: str
    why: str


class Recovered(NamedTuple):
    """A stage that had failed works again."""

    stage: str


Event = Acquired | Released | Left | WentBack | Decided | Told | Published | Lag | Failed | Recovered
Observe = Callable[[Event], None]
