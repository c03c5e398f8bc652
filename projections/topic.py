"""The stream's own records against the journal's copies of the facts: each is an entry or parked, byte for byte."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from ledger.entries import Entry, decode_entry
from ledger.facts import BadFact, canonical, decode
from ledger.journal.folder import Ledger
from ledger.journal.sqlite import JournalError, SQLiteJournal

READ = 2_000  # records at a time


class Streamed(NamedTuple):
    """A record as its stream has it; `whole` is the SHA-256 of what was sent, where `value` is only its beginning."""

    offset: int
    recorded: int
    value: bytes
    whole: bytes


def compare_topic(ledger: Ledger, partition: int, add: Callable[[dict[str, Any]], None]) -> None:
    """Compare the inbox's records up to the journal's position with its entries and parked records."""
    position = ledger.journal(partition).head().position
    try:
        inbox = sqlite3.connect(f"{ledger.inbox.absolute().as_uri()}?mode=ro", uri=True)
        compare_records(ledger, partition, _records(inbox, partition, position), add)
        inbox.close()
    except sqlite3.Error as error:
        raise JournalError(f"{ledger.inbox}: {error}") from error


def compare_records(
    ledger: Ledger, partition: int, records: Iterable[Streamed], add: Callable[[dict[str, Any]], None]
) -> None:
    """Compare a stream's records up to the journal's position with its entries and parked records."""
    journal = ledger.journal(partition)
    entries = _entries(journal, where={"partition": partition}, add=add)
    parked = {p.offset: p.sha256 for p in journal.parked(retried=True)}
    entry = next(entries, None)
    for offset, recorded, value, whole in records:
        where = {"partition": partition, "position": f"{partition}:{offset}"}
        if entry is not None and entry.offset == offset:
            for difference in _compare(entry, recorded, value):
                add({**where, "member": entry.member, **difference})
            entry = next(entries, None)
        elif offset not in parked:
            add({**where, "field": "entry", "stored": "none", "derived": "a record of the stream"})
        elif parked[offset] != (whole or sha256(value).digest()):
            add({**where, "field": "parked", "stored": parked[offset].hex(), "derived": "other bytes"})
    if entry is not None:
        position = f"{partition}:{entry.offset}"
        add({"partition": partition, "position": position, "field": "entry", "stored": "an entry", "derived": "none"})


def _entries(journal: SQLiteJournal, where: dict[str, Any], add: Callable[[dict[str, Any]], None]) -> Iterator[Entry]:
    """The journal's entries in order; one that cannot be read is reported, and then missed by its record."""
    for row in journal.scan():
        try:
            yield decode_entry(row.state)
        except (msgspec.MsgspecError, ValueError) as error:
            named = {**where, "member": row.member, "number": row.number, "place": row.place}
            add({**named, "field": "bytes", "stored": row.state[:64].hex(), "derived": f"unreadable: {error}"})


def _records(inbox: Any, partition: int, upto: int) -> Iterator[Streamed]:
    after = -1
    while True:
        rows = inbox.execute(
            f"SELECT position, recorded, value, whole_sha256 FROM partition_{partition}"
            " WHERE position > ? AND position <= ? ORDER BY position LIMIT ?",
            (after, upto, READ),
        ).fetchall()
        if not rows:
            return
        yield from map(Streamed._make, rows)
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
