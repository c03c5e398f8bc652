"""The entries of all partitions as one feed: behind a cursor, in the order of each journal, so also of each member.

A cursor says how many entries of each partition were read. It is opaque: who keeps one only hands it back.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ledger.errors import BadInput
from ledger.journal.growth import parent_of, parts_of
from ledger.journal.ledger import Ledger
from ledger.journal.port import EntryRow
from ledger.wire.answers import Outcome, PublishedDecision
from ledger.wire.entries import OUTCOMES
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import describe_published, fact_head
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.unreadable import UNREADABLE

NOW = "now"  # the cursor of what is decided from now on
LOOKED_THROUGH = 4_000  # entries in one page at most, where a filter leaves out most of them
LONGEST_CURSOR = 8_000  # characters


class BadCursor(BadInput):
    """A cursor that no feed of this ledger gave, or that is ahead of it."""


class Filter(NamedTuple):
    """Which entries of a feed are told; what is empty leaves none out."""

    member: str = ""
    types: frozenset[str] = frozenset()
    outcomes: frozenset[Outcome] = frozenset()


ALL = Filter()


class Told(NamedTuple):
    """An entry of a feed, and the cursor of what stands behind it."""

    entry: PublishedDecision
    cursor: str


class Page(NamedTuple):
    """A page of a feed, the cursor behind it, and whether more stood there when it was read."""

    told: list[Told]
    cursor: str
    has_more: bool


class _Cursor(msgspec.Struct, array_like=True, frozen=True):
    ledger: str  # the beginning of its identity
    read: tuple[int, ...]


def cursor_text(ledger: Ledger, read: Sequence[int]) -> str:
    """Return the cursor of so many entries of each partition read."""
    raw = msgspec.msgpack.encode(_Cursor(ledger.identity[:8], tuple(read)))
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def read_upto(ledger: Ledger, cursor: str) -> list[int]:
    """Return how many entries of each partition a cursor says were read: "" none, `NOW` all. Raises `BadCursor`."""
    heads = ledger.heads()
    if cursor == NOW:
        return [heads[partition] for partition in ledger.partitions]
    if not cursor:
        return _branches(ledger)
    try:
        raw = cursor.encode("ascii")
        if len(raw) > LONGEST_CURSOR:
            raise ValueError
        found = msgspec.msgpack.decode(urlsafe_b64decode(raw + b"=" * (-len(raw) % 4)), type=_Cursor)
    except UNREADABLE:
        raise BadCursor("the cursor is none that this feed gave; leave it out to begin at the first entry") from None
    counts = (len(ledger.partitions), *(growth.partitions for growth in ledger.settings.grown))
    if found.ledger != ledger.identity[:8] or len(found.read) not in counts:
        raise BadCursor("the cursor is of another ledger; leave it out to begin at the first entry")
    if any(not 0 <= read <= heads[partition] for partition, read in enumerate(found.read)):
        raise BadCursor("the cursor is ahead of the ledger, which went back to an earlier state; begin anew")
    return [*found.read, *_branches(ledger)[len(found.read) :]]


def _branches(ledger: Ledger) -> list[int]:
    return [ledger.branch(partition).entries for partition in ledger.partitions]


def page_of(ledger: Ledger, cursor: str, limit: int, wanted: Filter = ALL) -> Page:
    """Return up to `limit` entries behind a cursor. Raises `BadCursor`."""
    read, heads = read_upto(ledger, cursor), ledger.heads()
    grown = ledger.settings.grown
    if wanted.member:  # whose first entries stand where its partition branched off
        chain = parts_of(grown, ledger.partition_of(wanted.member))
        heads = {partition: min(heads[partition], upto) for partition, _, upto in chain}
    asked = list(heads)
    told: list[Told] = []
    looked = LOOKED_THROUGH
    for at, partition in enumerate(asked):  # what one leaves of the page the next may fill
        if read[parent_of(grown, partition)] < ledger.branch(partition).entries:
            continue  # a member's earlier entries come first
        share = (limit - len(told)) // (len(asked) - at) or min(1, limit - len(told))
        most = read[partition] + looked // (len(asked) - at)
        rows = ledger.journal(partition).scan(read[partition], min(heads[partition], most))
        for row in rows:
            if not share:
                break
            looked -= 1
            read[partition] = row.sequence
            entry = described(ledger, partition, row, wanted)
            if entry is not None:
                told.append(Told(entry, cursor_text(ledger, read)))
                share -= 1
    return Page(told, cursor_text(ledger, read), any(read[partition] < heads[partition] for partition in asked))


def described(ledger: Ledger, partition: int, row: EntryRow, wanted: Filter) -> PublishedDecision | None:
    """Return an entry as it is told, None where it is left out.

    A published rule book stands in every partition, and is told of its home alone.
    """
    if wanted.member not in ("", row.member):
        return None
    if row.member == PROGRAMME_SUBJECT and ledger.partition_of(PROGRAMME_SUBJECT) != partition:
        return None
    entry = decode_entry(row.state)
    if wanted.outcomes and OUTCOMES[entry.outcome] not in wanted.outcomes:
        return None
    if wanted.types and fact_head(entry).type not in wanted.types:
        return None
    return describe_published(row.sequence, entry, row.link, ledger.book.offset, is_copy=False)
