"""What the ledger asks of a Kafka client: a reader, a writer, an admin; kafka-python and confluent-kafka give it.

Offsets have gaps (control records, aborted transactions): `after` an offset is the next record with a larger one.
Nothing here is for several threads, and every callback is called inside one of the caller's own calls.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from consumers.stream import Record, Stream
from ledger.errors import CannotRunNow

Headers = Sequence[tuple[str, bytes]]
GONE = (
    "the record that stands next is not in the topic any more: it was made anew or cut off at its beginning; restore"
    " the topic, or name the one that the ledger was fed from"
)


class StreamError(CannotRunNow):
    """Kafka cannot do what was asked of it: what happened, and the way out."""

    can_retry = False


class BrokerAway(StreamError):
    """No broker answers now; trying again later can help."""

    can_retry = True


class Denied(StreamError):
    """The cluster refuses this client (credentials, rights, no such topic, a setting); it does not pass by itself."""


class StreamBroken(StreamError):
    """The record that stands next is gone (a topic made anew, or cut off at its beginning); going on would skip it."""


class Start(NamedTuple):
    """Where an owner stands in a partition, as its journal says.

    What comes next stands behind `after` (-1: the first record there is) and is not recorded before `recorded`.
    """

    after: int = -1
    recorded: int = 0


OnAssigned = Callable[[Sequence[int]], Mapping[int, Start]]
OnTaken = Callable[[Sequence[int]], None]


class Reader(Stream, Protocol):
    """Reads partitions of one topic into bounded buffers; commits no offsets, sees no aborted transaction.

    What is asked of a partition that is not read here (not assigned, not named, dropped) raises `KeyError`.
    """

    @property
    def partitions(self) -> int:
        """How many partitions the topic has. Raises `BrokerAway`, `Denied`."""
        ...

    @property
    def trouble(self) -> str:
        """Why nothing comes: what the client last said of brokers that do not answer; empty while all is well."""
        ...

    def assign(self, starts: Mapping[int, Start]) -> None:
        """Read exactly these partitions, from where their owner stands."""
        ...

    def join(self, group: str, on_assigned: OnAssigned, on_revoked: OnTaken, on_lost: OnTaken) -> None:
        """Let a consumer group share out the partitions; `poll` calls back.

        `on_assigned` is told the partitions that are new here and answers where to read each; a partition it does not
        name is not read. `on_revoked` comes before another member is given them, `on_lost` when it may be too late.
        """
        ...

    def seek(self, partition: int, start: Start) -> None:
        """Read an assigned partition from there instead; what was buffered of it is let go."""
        ...

    def drop(self, partition: int) -> None:
        """Read no more of a partition, until `seek` or until it is assigned again."""
        ...

    def poll(self, timeout: float) -> None:
        """Fetch what has come, waiting at most `timeout` seconds for it, and call back for the group.

        A partition whose buffer is full is not fetched until it is read. A broker that is away is tried again with
        growing pauses (see `trouble`). Raises `Denied`, `StreamBroken`.
        """
        ...

    def waiting(self, partition: int) -> int:
        """How many records of a partition are buffered behind what was read."""
        ...

    def read(self, partition: int, after: int, limit: int, most_bytes: int = ...) -> Sequence[Record]:
        """Up to `limit` buffered records behind `after`, no more once they hold `most_bytes`; asks no broker.

        They stay buffered until a later `after` passes them: the same again gives the same records.
        """
        ...

    def passed(self, partition: int) -> int:
        """The offset up to which everything was fetched, the gaps at its end included.

        Where nothing is `waiting` and this has reached `end`, all that stood there has been read.
        """
        ...

    def end(self, partition: int) -> int:
        """The offset of the last committed record (perhaps a control record), -1 where there is none; asks the broker.

        Raises `BrokerAway`, `Denied`.
        """
        ...

    def ends(self, partitions: Sequence[int]) -> dict[int, int]:
        """`end` of several partitions at once."""
        ...

    def lag(self, partition: int) -> int:
        """About how many records stand behind those read, buffered ones included; asks no broker."""
        ...

    def close(self) -> None:
        """Leave the group at once (its partitions are given out again; no callback comes) and close."""
        ...


class Writer(Protocol):
    """Appends records, in order and once each (idempotent, all replicas in sync acknowledge).

    The first record that cannot be delivered makes this and every later call raise `StreamError`; records sent
    behind it may or may not stand in the topic. Begin again with a new writer from what was acknowledged.
    """

    def send(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        on_delivered: Callable[[int], None] | None = None,
    ) -> None:
        """Append a record to a partition; `on_delivered` hears its offset once it is acknowledged.

        Waits while as much is in flight as may be. Raises `Denied`, `BrokerAway`.
        """
        ...

    @property
    def in_flight(self) -> int:
        """How many records are sent and not acknowledged."""
        ...

    def poll(self, timeout: float = 0.0) -> None:
        """Call back for what was acknowledged, waiting at most `timeout` seconds for the first."""
        ...

    def flush(self, timeout: float) -> None:
        """Wait until all is acknowledged. Raises `BrokerAway` where that takes longer than `timeout` seconds."""
        ...

    def close(self) -> None:
        """Close; what is in flight may or may not be delivered."""
        ...


class Topic(NamedTuple):
    """A topic as it is, or as it is to be made; `configs` by Kafka's names."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


class Admin(Protocol):
    """Looks at topics and makes them. Every call raises `BrokerAway` and `Denied`."""

    def brokers(self) -> int:
        """How many brokers the cluster has."""
        ...

    def topic(self, name: str) -> Topic | None:
        """A topic with all its settings; None where there is none."""
        ...

    def create(self, topic: Topic) -> bool:
        """Make a topic; False where it is there already."""
        ...

    def close(self) -> None:
        """Close."""
        ...
