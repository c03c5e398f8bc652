"""What became of each record: an entry of the journal or a dead letter, looked up by position or told feed by feed."""

import heapq
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from consumers.local.port import Inbox
from ledger.journal.ledger import Ledger
from ledger.journal.partition import Tally
from ledger.journal.port import DeadLetter
from ledger.journal.sql import Journal
from ledger.wire.answers import DeadLettered, Fate
from ledger.wire.entries import Entry
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import describe_decision, position_text
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import Zone


class DecidedRecord(NamedTuple):
    """What stands at an offset of a partition: an entry (its bytes, or decoded) with its link, or a dead letter."""

    offset: int
    what: Entry | DeadLetter | bytes
    link: bytes


def outcome_at(ledger: Ledger, partition: int, offset: int) -> Fate | None:
    """What became of the record at a position; None where it is not decided yet."""
    found = next(decided_between(ledger.journal(partition), offset, offset), None)
    return fate_of(partition, found, ledger.book.offset) if found else None


def tally_between(ledger: Ledger, partition: int, first: int, last: int) -> Tally:
    """How many records at offsets `first` to `last`, which are all decided, came out in which way."""
    tally = Tally()
    is_home = ledger.partition_of(PROGRAMME_SUBJECT) == partition
    for found in decided_between(ledger.journal(partition), first, last):
        if isinstance(found.what, DeadLetter):
            tally.parked += 1
        elif isinstance(found.what, Entry) and (is_home or found.what.member != PROGRAMME_SUBJECT):  # which counts once
            tally.count([found.what.outcome])
    return tally


def outcomes_of(ledger: Ledger, inbox: Inbox, feed: int) -> Iterator[Fate]:
    """What became of each decided record of a feed, in the order they came, whichever run decided it."""
    home = ledger.partition_of(PROGRAMME_SUBJECT)
    streams = {p: decided_between(ledger.journal(p), first, last) for p, first, last in inbox.spans_of(feed)}
    for fed in inbox.records_of(feed):
        if fed.key == PROGRAMME_SUBJECT and fed.partition != home:
            continue  # a published book stands in every partition and counts once
        for decided in streams[fed.partition]:
            if decided.offset == fed.offset:
                yield fate_of(fed.partition, decided, ledger.book.offset)
            if decided.offset >= fed.offset:
                break


def decided_between(journal: Journal, first: int, last: int) -> Iterator[DecidedRecord]:
    """Entries and dead letters of a partition at the offsets `first` to `last`, in order."""
    parked = (DecidedRecord(found.offset, found, b"") for found in journal.scan_parked(first - 1, last))
    return heapq.merge(_entries(journal, first, last), parked, key=lambda found: found.offset)


def _entries(journal: Journal, first: int, last: int) -> Iterator[DecidedRecord]:
    # Every record before `first` made an entry or a dead letter; in a topic some offsets have no record.
    most = min(first - journal.count_parked(first - 1, retried=True), journal.head().entries)
    before = most
    if most > 0 and _offset_of(journal, most) >= first:
        before = bisect_left(range(1, most), first, key=lambda sequence: _offset_of(journal, sequence))
    for row in journal.scan(before, before + last + 1 - first):
        entry = decode_entry(row.state)
        if entry.offset > last:
            return
        yield DecidedRecord(entry.offset, entry, row.link)


def _offset_of(journal: Journal, sequence: int) -> int:
    return next(decode_entry(row.state).offset for row in journal.scan(sequence - 1, sequence))


def fate_of(partition: int, found: DecidedRecord, zone: Zone) -> Fate:
    """Return what became of a decided record; `zone` is the book's offset from UTC in microseconds."""
    if isinstance(found.what, DeadLetter):
        parked = found.what
        position = position_text(partition, found.offset)
        return DeadLettered(position, "parked", parked.reason, parked.detail, parked.is_done)
    entry = decode_entry(found.what) if isinstance(found.what, bytes) else found.what
    return describe_decision(entry, found.link, zone)
