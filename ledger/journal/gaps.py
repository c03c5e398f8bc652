"""Positions of a stream without records, which an operator accepted: each stands as a dead letter at its last position.

So it is written in the transaction that moves the journal's position, is listed and published with the dead letters,
and stays for auditors. Its bytes are the gap as JSON.
"""

from collections.abc import Iterator
from hashlib import sha256

import msgspec
from msgspec import Struct

from ledger.journal.port import DeadLetter
from ledger.journal.sql import Journal
from ledger.wire.unreadable import UNREADABLE

GAP = "gap"  # the reason of its dead letter


class Gap(Struct, frozen=True):
    """Positions of a partition, `first` to `last`, that have no records: who accepted that, when and why."""

    first: int
    last: int
    by: str
    at: str
    why: str


def letter_of(gap: Gap, recorded: int) -> DeadLetter:
    """Return the dead letter that stands for a gap; `recorded` is that of the record before it."""
    raw = msgspec.json.encode(gap)
    detail = f"positions {gap.first} to {gap.last} have no records; {gap.by} accepted that at {gap.at}: {gap.why}"
    return DeadLetter(gap.last, recorded, GAP, detail[:1000], len(raw), sha256(raw).digest(), raw)


def gaps_of(journal: Journal) -> Iterator[tuple[DeadLetter, Gap | None]]:
    """Yield the dead letters of a journal that stand for gaps, each with its gap; None where its bytes were changed."""
    for offset in journal.parked_for(GAP):
        for letter in journal.parked(offset - 1, upto=offset, retried=True):
            try:
                gap = msgspec.json.decode(letter.raw, type=Gap)
            except UNREADABLE:
                yield letter, None
            else:
                yield letter, gap if letter_of(gap, letter.recorded) == letter else None
