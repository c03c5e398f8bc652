"""Entries that a journal holds no more because an archive keeps them, and how they are read all the same.

What stays in an entry's row is a stub: a zero byte, the entry's leaf, and the SHA-256 of its fact. No entry begins with
that byte, since an entry is an array of MessagePack. With it the chain, the tree and what came twice are known here;
everything else of the entry is read from its archive, and has to have the leaf that stayed.
"""

import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import groupby
from pkgutil import resolve_name
from typing import Final, NamedTuple, Protocol

from ledger.errors import PointsLedgerError
from ledger.journal.port import Damaged, Unavailable
from ledger.wire.entry_codec import decode_entry, leaf_of

ARCHIVE: Final = "POINTS_ARCHIVE"  # where the archive is now, if it is not where it was
MARK: Final = b"\0"
_LEAF = slice(1, 33)
_FACT = slice(33, 65)
STUB_BYTES: Final = 65
_KEEPER = "service.archive.kept:kept_at"  # reads archives; it stands above the ledger and is loaded when it is needed


class Span(NamedTuple):
    """Sequences of which entries were pruned, their month (YYYY-MM), and the address of the archive that has them."""

    first: int
    last: int
    month: str
    archive: str


class Keeper(Protocol):
    """An archive that entries are read from."""

    def states(self, partition: int, sequences: Sequence[int]) -> dict[int, bytes]:
        """Return the bytes of those that it has of some entries, by sequence. Raises `PointsLedgerError`, `OSError`."""


class Elsewhere(Unavailable):
    """Entries of a month (YYYY-MM) that were pruned cannot be read from their archive now: where it is, the way out."""

    def __init__(self, said: str, month: str) -> None:
        super().__init__(said)
        self.month = month

    def __reduce__(self) -> tuple[type["Elsewhere"], tuple[str, str]]:
        return Elsewhere, (str(self), self.month)


def stub_of(state: bytes) -> bytes:
    """Return what stays of an entry's bytes. Raises what `decode_entry` does."""
    return MARK + leaf_of(state) + sha256(decode_entry(state).fact).digest()


def is_stub(state: bytes) -> bool:
    """Return True if the bytes of an entry's row are not the entry but what stayed of it."""
    return len(state) == STUB_BYTES and state[:1] == MARK


def leaf_in(state: bytes) -> bytes:
    """Return the leaf of an entry, by its bytes or its stub."""
    return state[_LEAF] if is_stub(state) else leaf_of(state)


def is_of_fact(state: bytes, canonical: bytes) -> bool:
    """Return True if an entry, by its bytes or its stub, decided a fact with these canonical bytes."""
    if is_stub(state):
        return state[_FACT] == sha256(canonical).digest()
    return decode_entry(state).fact == canonical


def archived(
    name: str, owner: Callable[[int], int], spans: Sequence[Span], stubs: dict[int, bytes]
) -> dict[int, bytes]:
    """Return the bytes of entries by sequence, from the archives that have them; `stubs` is what stayed of each.

    `name` is the journal's, and `owner` says in which partition's chain the entry of a sequence stands. Raises
    `Elsewhere`, and `Damaged` where an archive has another entry.
    """
    found: dict[int, bytes] = {}
    for span in spans:
        wanted = [place for place in stubs if span.first <= place <= span.last and place not in found]
        if not wanted:
            continue
        states: dict[int, bytes] = {}
        for partition, places in groupby(sorted(wanted), owner):
            states |= _read(name, partition, span, list(places))
        for place in wanted:
            if place not in states or leaf_of(states[place]) != stubs[place][_LEAF]:
                raise Damaged(f"{name}: entry {place:,} was pruned, and the archive that has it holds another or none")
            found[place] = states[place]
    if lost := sorted(stubs.keys() - found.keys()):
        raise Damaged(f"{name}: entry {lost[0]:,} was pruned, and no archive is named that has it")
    return found


def _read(name: str, partition: int, span: Span, wanted: Sequence[int]) -> dict[int, bytes]:
    address = os.environ.get(ARCHIVE) or span.archive
    try:
        keeper: Keeper = resolve_name(_KEEPER)(address)
        return keeper.states(partition, wanted)
    except (PointsLedgerError, OSError) as error:
        raise Elsewhere(
            f"{name}: entries {span.first:,} to {span.last:,} ({span.month}) were pruned and are in the archive"
            f" {address}, which cannot be read: {error}; make it reachable, or name where it is now in {ARCHIVE}",
            span.month,
        ) from error
