"""The values and errors that everything around Kafka shares; `consumers.kafka.client_base` has the clients."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

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
    """Where to read a partition from: behind `after` (-1: from the first record there is).

    `recorded` (microseconds since 1970 UTC) is the latest that the journal has seen: what comes is not before it.
    """

    after: int = -1
    recorded: int = 0


class Hole(NamedTuple):
    """Offsets, `first` to `last`, at which a reader found no record."""

    first: int
    last: int


class LoggedBatch(NamedTuple):
    """What a broker's log holds from offset `first` to `last`, as one batch; at the offsets in `lost` it has no record.

    `is_hidden` says that a reader may see nothing of it: a marker, or records of a transaction, which may be aborted.
    """

    first: int
    last: int
    is_hidden: bool
    lost: tuple[Hole, ...] = ()


OnAssigned = Callable[[Sequence[int]], Mapping[int, Start]]
OnTaken = Callable[[Sequence[int]], None]
OnDelivered = Callable[[int], None]


class Topic(NamedTuple):
    """A topic as it is, or as it is to be made; `configs` by Kafka's names.

    `id` is the cluster's (KIP-516), which a topic that is made anew under the same name does not have again; empty
    where the cluster has none.
    """

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]
    id: str = ""
