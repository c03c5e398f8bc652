"""The stream's own records against the journal's copies of the facts, byte for byte: an entry or a dead letter each."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from ledger.journal.gaps import GAP
from ledger.journal.ledger import INBOX, Ledger
from ledger.journal.port import KEPT_WHOLE, DeadLetter, JournalError, StreamRecord
from ledger.journal.sql import Journal
from ledger.wire.entries import Entry
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import position_text
from ledger.wire.fact_codec import BadFact, canonical, decode
from ledger.wire.reasons import PARKED, REASONS
from ledger.wire.unreadable import UNREADABLE
from projections.audit.differences import Differences

_ALL = (1 << 62) - 1


def compare_topic(ledger: Ledger, differ: Differences) -> None:
    """Compare the inbox's records up to the journal's position with its entries and dead letters."""
    ledger.check_stream(INBOX)
    partition = differ.partition
    position, first = ledger.journal(partition).head().offset, ledger.branch(partition).offset
    compare_records(ledger, position, _records(ledger, partition, position, first), differ)
    ledger.check_inbox(partition)
    for _ in _records(ledger, partition, _ALL, position):
        pass  # what waits is read, too: it raises where it is damaged


def compare_records(ledger: Ledger, upto: int, records: Iterable[StreamRecord], differ: Differences) -> None:
    """Compare a partition's records in the stream up to a position with the journal's entries and dead letters."""
    partition = differ.partition
    journal = ledger.journal(partition)
    entries = _entries(journal, ledger.branch(partition).entries, upto, differ)
    parked = journal.scan_parked(-1, upto)
    entry, letter = next(entries, None), next(parked, None)
    for record in records:
        offset = record.offset
        position = position_text(partition, offset)
        while letter is not None and letter.offset < offset:
            _add_extra(differ, letter)
            letter = next(parked, None)
        if entry is not None and entry.offset == offset:
            for difference in _compare(entry, record):
                differ.add(position=position, member=entry.member, **difference)
            entry = next(entries, None)
        elif letter is None or letter.offset != offset:
            differ.add(position=position, field="entry", stored="none", derived="a record of the stream")
        else:
            for difference in _compare_dead_letter(letter, record):
                differ.add(position=position, **difference)
            letter = next(parked, None)
    while letter is not None:
        _add_extra(differ, letter)
        letter = next(parked, None)
    if entry is not None:
        position = position_text(partition, entry.offset)
        differ.add(position=position, field="entry", stored="an entry", derived="none")


def _add_extra(differ: Differences, letter: DeadLetter) -> None:
    """Name a dead letter that no record made; an accepted gap is one, and says so itself."""
    if letter.reason == GAP:
        return
    position = position_text(differ.partition, letter.offset)
    differ.add(position=position, field="parked", stored="a dead letter", derived="none")


def _compare_dead_letter(letter: DeadLetter, record: StreamRecord) -> Iterator[dict[str, Any]]:
    """Yield where a dead letter is not what the record makes it: hash, length, instant, kept bytes, code.

    Of the reason only that there is such a code is compared: a later version may take what an earlier one did not.
    """
    kept = record.value[:KEPT_WHOLE]
    if letter.sha256 != (record.sha256 or sha256(record.value).digest()):
        yield {"field": "parked", "stored": letter.sha256.hex(), "derived": "other bytes"}
    elif letter.raw != kept and not (letter.is_done and not letter.raw):  # whose bytes were dropped
        yield {"field": "kept", "stored": letter.raw[:64].hex(), "derived": kept[:64].hex()}
    if letter.length != (record.length or len(record.value)):
        yield {"field": "parked", "stored": f"{letter.length} bytes", "derived": "another length"}
    if letter.recorded != record.recorded:
        yield {"field": "recorded", "stored": letter.recorded, "derived": record.recorded}
    if record.backlog and record.pushed:
        yield {"field": "pushed", "stored": record.pushed, "derived": "none, in a backlog"}
    if letter.reason not in REASONS or REASONS[letter.reason].where != PARKED:
        yield {"field": "reason", "stored": letter.reason, "derived": "a code of dead letters"}


def _entries(journal: Journal, after: int, upto: int, differ: Differences) -> Iterator[Entry]:
    """Yield the entries behind a sequence up to an offset, in order.

    An unreadable one is reported, and then missed by its record.
    """
    for row in journal.scan(after):
        try:
            entry = decode_entry(row.state)
        except UNREADABLE as error:
            differ.add_unreadable(row, error)
            continue
        if entry.offset > upto:
            return
        yield entry


def _records(ledger: Ledger, partition: int, upto: int, after: int = -1) -> Iterator[StreamRecord]:
    while after < upto and (rows := ledger.records(partition, after, upto)):
        for record in rows:
            if not record.value and not record.sha256:
                raise JournalError(
                    f"the stream of this restored ledger begins behind position {partition}:{record.offset};"
                    " what stood there came from an archive: replay without --from-topic"
                )
            yield record
        after = rows[-1].offset


def _compare(entry: Entry, record: StreamRecord) -> Iterator[dict[str, Any]]:
    recorded, value = record.recorded, record.value
    if record.key not in (None, entry.member):
        yield {"field": "key", "stored": entry.member, "derived": record.key}
    if record.backlog not in (None, int(entry.backlog)):
        yield {"field": "backlog", "stored": entry.backlog, "derived": record.backlog}
    if record.length or record.sha256:
        yield {"field": "length", "stored": "a whole record", "derived": f"the beginning of {record.length} bytes"}
    if entry.received != sha256(value).digest():
        yield {"field": "received", "stored": entry.received.hex(), "derived": sha256(value).hexdigest()}
    if entry.recorded != recorded:
        yield {"field": "recorded", "stored": entry.recorded, "derived": recorded}
    if record.pushed not in (None, entry.pushed) and entry.engine >= 2:  # an earlier one knew of none
        yield {"field": "pushed", "stored": entry.pushed, "derived": record.pushed}
    try:
        kept = canonical(decode(value)[0])
    except BadFact as bad:
        yield {"field": "fact", "stored": entry.fact[:64].hex(), "derived": str(bad)}
        return
    if kept != entry.fact:
        yield {"field": "fact", "stored": entry.fact[:64].hex(), "derived": kept[:64].hex()}
