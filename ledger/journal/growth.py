"""How a ledger's partitions grew: each new one branches off the chain of one that was there, its parent.

A partition that was there goes on with fewer members; its entries stay where they are. A new one takes copies of what
its members have, and goes on with sequences, links and positions behind those where its parent ended. So a sequence
names one entry of a chain, and an entry stands in the chain of the partition that it names.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

MOST_PARTITIONS = 1_024
_Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class End(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a partition ended: the sequence of its last entry with its link in hex, and its offset and `recorded`."""

    entries: Annotated[int, Meta(ge=0, le=1 << 62)]
    link: _Hash
    offset: Annotated[int, Meta(ge=-1, le=1 << 62)]
    recorded: Annotated[int, Meta(ge=0, le=1 << 62)]


class Growth(Struct, frozen=True, forbid_unknown_fields=True):
    """A split: how many partitions there were, and where each of them ended."""

    partitions: Annotated[int, Meta(ge=1, lt=MOST_PARTITIONS)]
    ends: tuple[End, ...]


BEGINNING = End(0, "0" * 64, -1, 0)  # of a partition that a ledger was born with


class _Known(Struct):
    grown: tuple[Growth, ...] = ()


def grown_in(settings: str) -> tuple[Growth, ...]:
    """Return the splits that a ledger's settings (JSON) name. Raises `msgspec.MsgspecError`."""
    return msgspec.json.decode(settings, type=_Known).grown


def parent_of(grown: Sequence[Growth], partition: int) -> int:
    """Return the partition that one branched off, itself where the ledger was born with it."""
    return next((partition % one.partitions for one in reversed(grown) if one.partitions <= partition), partition)


def branch_of(grown: Sequence[Growth], partition: int) -> End:
    """Return where a partition branched off its parent: what its own entries come behind."""
    for one in reversed(grown):
        if one.partitions <= partition:
            return one.ends[partition % one.partitions]
    return BEGINNING


def owner_at(grown: Sequence[Growth], partition: int, sequence: int) -> int:
    """Return the partition in whose chain an entry stands, of a member at home in a partition."""
    for one in grown:
        if sequence <= one.ends[partition % one.partitions].entries:
            return partition % one.partitions
    return partition


def parts_of(grown: Sequence[Growth], partition: int) -> list[tuple[int, int, int]]:
    """Return what a partition's chain is made of, from its oldest parent to itself: partition, behind, up to.

    Its own part is open: up to 1 << 62.
    """
    found, upto = list[tuple[int, int, int]](), 1 << 62
    while True:
        begins = branch_of(grown, partition).entries
        found.append((partition, begins, upto))
        parent = parent_of(grown, partition)
        if parent == partition:
            return found[::-1]
        partition, upto = parent, begins


def partitions_at(grown: Sequence[Growth], partition: int, sequence: int, now: int) -> int:
    """Return how many partitions there were when a partition took the entry at a sequence; `now` how many there are."""
    for one in grown:
        if partition < one.partitions and sequence <= one.ends[partition].entries:
            return one.partitions
    return now


def partitions_after_birth(grown: Sequence[Growth], partition: int, now: int) -> int:
    """Return how many partitions there were once a partition was made, whether it took entries then or none."""
    return next((one.partitions for one in grown if partition < one.partitions), now)
