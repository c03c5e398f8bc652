"""What accounts tell each other, paired: each follow-up that an entry left with the entry that took it.

What was left and is not taken is on its way: that is no fault. What was taken and never left, or left with other bytes,
is one: somebody used a source of the ledger, or a journal lost its end.
"""

import msgspec

from ledger.journal.ledger import Ledger
from ledger.wire.answers import OnItsWay, Transit
from ledger.wire.entries import Entry, MovedIn, MovedOut, Recalled, Sent, Told, TransitChange
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import fact_head
from ledger.wire.fact_codec import BadFact, canonical, decode
from ledger.wire.facts import LEDGER_SOURCE
from ledger.wire.follow_ups import FLOW, fact_of, leaves_any, name_of, source_of, told_in
from ledger.wire.times import to_text
from projections.ticking import Progress

LISTED = 1_000
TICK_EVERY = 2_000  # entries
_SOURCE = f'"source":"{LEDGER_SOURCE}'.encode()


class _Carried(msgspec.Struct):
    kind: str = ""
    points: int = 0


_carried = msgspec.json.Decoder(_Carried)


def transit(ledger: Ledger, progress: Progress = lambda _: None) -> Transit:
    """Return what is on its way between accounts, and what was taken though no entry left it."""
    found = Transit()
    done, oldest = 0, 0
    for partition in ledger.partitions:
        journal = ledger.journal(partition)
        sent = journal.published_upto(FLOW)
        for row in journal.scan():
            done += 1
            if not done % TICK_EVERY:
                progress(done)
            leaves, takes = leaves_any(row.state), _SOURCE in row.state
            if not (leaves or takes):
                continue
            entry = decode_entry(row.state)
            _sum(found, entry)
            for told in told_in(entry):
                found.told += 1
                if _is_taken(ledger, partition, entry, told):
                    continue
                oldest = min(oldest or entry.recorded, entry.recorded)
                _wait(found, ledger, entry, told, is_sent=row.sequence <= sent)
            if takes and entry.reason != "duplicate" and (why := _fault_of(ledger, entry)):
                found.faults.append(why)
    progress(done)
    found.in_transit = {kind: points for kind, points in found.in_transit.items() if points}
    found.oldest = to_text(oldest, ledger.book.offset) if oldest else ""
    return found


def _sum(found: Transit, entry: Entry) -> None:
    for change in entry.changes:
        if isinstance(change, TransitChange | MovedOut | MovedIn):
            sign = 1 if isinstance(change, Sent | Recalled | MovedOut) else -1
            points = change.points + (change.held if isinstance(change, MovedOut | MovedIn) else 0)
            found.in_transit[change.kind] = found.in_transit.get(change.kind, 0) + sign * points


def _is_taken(ledger: Ledger, partition: int, entry: Entry, told: Told) -> bool:
    journal = ledger.journal(ledger.partition_of(told.to))
    return journal.has_receipt(source_of(partition), name_of(entry, told), told.to)


def _wait(found: Transit, ledger: Ledger, entry: Entry, told: Told, *, is_sent: bool) -> None:
    points = _carried.decode(told.data).points if told.at else 0
    found.on_its_way += 1
    found.points_on_their_way += points
    if len(found.waiting) < LISTED:
        since = to_text(entry.recorded, ledger.book.offset)
        found.waiting.append(OnItsWay(name_of(entry, told), told.to, told.fact, points, since, is_sent))


def _fault_of(ledger: Ledger, entry: Entry) -> str:
    """Return what is wrong with a follow-up that was taken, empty where an entry left it as it is."""
    head = fact_head(entry)
    if not head.source.startswith(LEDGER_SOURCE):
        return ""  # what looks like it stands in its data
    name, _, place = head.id.rpartition(".")
    frm, _, number = name.rpartition(":")
    if not (number.isdecimal() and place.isdecimal() and len(number) < 19 and len(place) < 19):
        return f"{entry.member} entry {entry.number} took {head.id}, which is no name of a follow-up"
    partition = ledger.partition_of(frm)
    rows = ledger.journal(partition).entries_of(frm, int(number) - 1, 1)
    left = decode_entry(rows[0].state) if rows and rows[0].number == int(number) else None
    for told in told_in(left) if left is not None else ():
        if told.k == int(place) and told.to == entry.member and head.source == source_of(partition):
            assert left is not None
            if _canonical(fact_of(left, told, partition)) == entry.fact:
                return ""
            return f"{entry.member} entry {entry.number} took {head.id} with other content than was left"
    return f"{entry.member} entry {entry.number} took {head.id}, which no entry left"


def _canonical(raw: bytes) -> bytes:
    try:
        return canonical(decode(raw)[0])
    except BadFact:
        return b""
