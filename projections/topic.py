"""The stream's own records against the journal's copies of the facts: each is an entry or parked, byte for byte."""

import sqlite3
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import msgspec

from ledger.entries import Entry, decode_entry
from ledger.facts import BadFact, canonical, decode
from ledger.journal.ledger import Ledger
from ledger.journal.port import Journal, JournalError

READ = 2_000  # records at a time


def compare_topic(ledger: Ledger, partition: int, add: Callable[[dict[str, Any]], None]) -> None:
    """Compare the inbox's records up to the journal's position with its entries and parked records."""
    journal = ledger.journal(partition)
    head = journal.head()
    entries = _entries(journal, where={"partition": partition}, add=add)
    parked = {p.offset: p.sha256 for p in journal.parked(retried=True)}
    entry = next(entries, None)
    try:
        inbox = sqlite3.connect(f"{ledger.inbox.absolute().as_uri()}?mode=ro", uri=True)
        for offset, recorded, value, whole in _records(inbox, partition, head.position):
            if not value and not whole:
                raise JournalError(
                    f"{ledger.inbox}: the stream of this restored ledger begins behind position {partition}:{offset};"
                    " what stood there came from an archive: replay without --from-topic"
                )
            where = {"partition": partition, "position": f"{partition}:{offset}"}
            if entry is not None and entry.offset == offset:
                for difference in _compare(entry, recorded, value):
                    add({**where, "member": entry.member, **difference})
                entry = next(entries, None)
            elif offset not in parked:
                add({**where, "field": "entry", "stored": "none", "derived": "a record of the stream"})
            elif parked[offset] != (whole or sha256(value).digest()):
                add({**where, "field": "parked", "stored": parked[offset].hex(), "derived": "other bytes"})
        inbox.close()
    except sqlite3.Error as error:
        raise JournalError(f"{ledger.inbox}: {error}") from error
    if entry is not None:
        position = f"{partition}:{entry.offset}"
        add({"partition": partition, "position": position, "field": "entry", "stored": "an entry", "derived": "none"})


def _entries(journal: Journal, where: dict[str, Any], add: Callable[[dict[str, Any]], None]) -> Iterator[Entry]:
    """The journal's entries in order; one that cannot be read is reported, and then missed by its record."""
    for row in journal.scan():
        try:
            yield decode_entry(row.state)
        except (msgspec.MsgspecError, ValueError) as error:
            named = {**where, "member": row.member, "number": row.number, "place": row.place}
            add({**named, "field": "bytes", "stored": row.state[:64].hex(), "derived": f"unreadable: {error}"})


def _records(inbox: Any, partition: int, upto: int) -> Iterator[tuple[int, int, bytes, bytes]]:
    after = -1
    while True:
        rows = inbox.execute(
            f"SELECT position, recorded, value, whole_sha256 FROM partition_{partition}"
            " WHERE position > ? AND position <= ? ORDER BY position LIMIT ?",
            (after, upto, READ),
        ).fetchall()
        if not rows:
            return
        yield from rows
        after = rows[-1][0]


def _compare(entry: Entry, recorded: int, value: bytes) -> Iterator[dict[str, Any]]:
    if entry.received != sha256(value).digest():
        yield {"field": "received", "stored": entry.received.hex(), "derived": sha256(value).hexdigest()}
    if entry.recorded != recorded:
        yield {"field": "recorded", "stored": entry.recorded, "derived": recorded}
    try:
        kept = canonical(decode(value)[0])
    except BadFact as bad:
        yield {"field": "fact", "stored": entry.fact[:64].hex(), "derived": str(bad)}
        return
    if kept != entry.fact:
        yield {"field": "fact", "stored": entry.fact[:64].hex(), "derived": kept[:64].hex()}
