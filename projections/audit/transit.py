"""What accounts tell each other, paired: each follow-up that an entry left with the entry that took it.

What was left and is not taken is on its way: that is no fault. What was taken and never left, or left with other bytes,
is one: somebody used a source of the ledger, or a journal lost its end.
"""

from collections.abc import Mapping

import msgspec

from ledger.core.decisions.outside import ASKED
from ledger.core.pages import OutsidePage
from ledger.journal.ledger import Ledger
from ledger.wire.answers import OnItsWay, Transit, WaitsThere
from ledger.wire.entries import (
    ACCEPTED,
    DecidedLate,
    Delayed,
    Entry,
    MovedIn,
    MovedOut,
    NameCame,
    Recalled,
    Sent,
    Told,
    TransitChange,
)
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import FactHead, fact_head
from ledger.wire.fact_codec import BadFact, canonical, decode
from ledger.wire.facts import LEDGER_SOURCE, ExchangeAsked, MemberMoved
from ledger.wire.follow_ups import fact_of, flow_to, leaves_any, ledger_of, name_of, peer_of, source_of, told_in
from ledger.wire.times import to_text
from projections.ticking import Progress

LISTED = 1_000
TICK_EVERY = 2_000  # entries
_SOURCE = f'"source":"{LEDGER_SOURCE}'.encode()


class _Carried(msgspec.Struct):
    kind: str = ""
    points: int = 0


class _Asked(msgspec.Struct):
    request: str


class _Typed(msgspec.Struct):
    type: str


class _Forwarded(msgspec.Struct):
    fact: _Typed
    points: int = 0


class _Part(msgspec.Struct):
    frm: str
    era: int
    parts: int = 1
    points: int = 0


_MOVED = str(MemberMoved.__struct_config__.tag)
_ASKED = str(ExchangeAsked.__struct_config__.tag)
_asked = msgspec.json.Decoder(_Asked)
_forwarded = msgspec.json.Decoder(_Forwarded)
_part = msgspec.json.Decoder(_Part)
_carried = msgspec.json.Decoder(_Carried)


def transit(ledger: Ledger, progress: Progress = lambda _: None, heads: Mapping[int, int] | None = None) -> Transit:
    """Return what is on its way between accounts, and what was taken though no entry left it.

    All is as of `heads`, so many entries of each partition; where they are left out, of those that are there now.
    """
    return _Pairing(ledger, heads or ledger.heads(), progress).found()


class _Pairing:
    """Follow-ups as of one number of entries of each partition, paired with what was taken by then."""

    def __init__(self, ledger: Ledger, heads: Mapping[int, int], progress: Progress) -> None:
        self._ledger = ledger
        self._heads = heads
        self._progress = progress
        self._found = Transit()
        self._waiting: set[str] = set()  # the names of what is on its way
        self._oldest = 0
        self._kept: dict[tuple[str, str], dict[int, WaitsThere]] = {}  # by account and what they wait for, by entry
        self._sent = {
            (partition, peer): ledger.journal(partition).published_upto(flow_to(peer))
            for partition in ledger.partitions
            for peer in ("", *ledger.settings.peers)
        }

    def found(self) -> Transit:
        """Return what was found."""
        done, found = 0, self._found
        for partition in self._ledger.partitions:
            for row in self._ledger.journal(partition).scan(
                self._ledger.branch(partition).entries, self._heads[partition]
            ):
                done += 1
                if not done % TICK_EVERY:
                    self._progress(done)
                leaves, takes = leaves_any(row.state), _SOURCE in row.state
                if leaves or takes:
                    entry = decode_entry(row.state)
                    points = self._sum(entry) + self._note_kept(entry)
                    self._pair_told(partition, row.sequence, entry)
                    if takes and entry.reason != "duplicate":
                        self._pair_taken(entry, points)
        for partition in self._ledger.partitions:
            for row in self._ledger.journal(partition).scan(self._heads[partition]):
                if _SOURCE in row.state:
                    self._taken_since(decode_entry(row.state))
        self._progress(done)
        found.in_transit = {kind: points for kind, points in found.in_transit.items() if points}
        kept = [one for of in self._kept.values() for one in of.values()]
        found.points_waiting, found.waits_there = sum(one.points for one in kept), kept[:LISTED]
        found.oldest = to_text(self._oldest, self._ledger.book.offset) if self._oldest else ""
        return found

    def _sum(self, entry: Entry) -> int:
        """Add what an entry let go, less what it took in; return the latter."""
        taken = 0
        for change in entry.changes:
            if isinstance(change, TransitChange | MovedOut | MovedIn):
                goes = isinstance(change, Sent | Recalled | MovedOut)
                points = change.points + (change.held if isinstance(change, MovedOut | MovedIn) else 0)
                self._found.in_transit.setdefault(change.kind, 0)
                self._found.in_transit[change.kind] += points if goes else -points
                taken += 0 if goes else points
        return taken

    def _note_kept(self, entry: Entry) -> int:
        """Note what an entry keeps until more has come, and what waits no more; return the points that it keeps."""
        head, points = fact_head(entry), 0
        for change in entry.changes:
            if isinstance(change, Delayed):
                within = _forwarded.decode(head.data)
                points = within.points
                self._keeps(entry, "", change.number, within.fact.type, points)
            elif isinstance(change, DecidedLate):
                self._kept.get((entry.member, ""), {}).pop(change.number, None)
        if head.type == _MOVED and entry.outcome == ACCEPTED:
            part = _part.decode(head.data)
            move = f"{part.era} {part.frm}"
            if any(isinstance(change, NameCame) for change in entry.changes):
                self._kept.pop((entry.member, move), None)
            elif part.parts > 1:
                points = part.points
                self._keeps(entry, move, entry.number, head.type, points)
        return points

    def _keeps(self, entry: Entry, of: str, number: int, type_: str, points: int) -> None:
        since = to_text(entry.recorded, self._ledger.book.offset)
        found = WaitsThere(entry.member, number, type_, points, since)
        self._kept.setdefault((entry.member, of), {})[number] = found

    def _pair_told(self, partition: int, sequence: int, entry: Entry) -> None:
        for told in told_in(entry):
            self._found.told += 1
            peer = peer_of(told)
            is_sent = sequence <= self._sent.get((partition, peer), 0)
            if not (self._is_through(entry, told, is_sent=is_sent) if peer else self._is_taken(partition, entry, told)):
                self._wait(entry, told, is_sent=is_sent)

    def _is_taken(self, partition: int, entry: Entry, told: Told) -> bool:
        journal = self._ledger.journal(self._ledger.partition_of(told.to))
        return journal.has_receipt(source_of(self._ledger.born_in(partition)), name_of(entry, told), told.to)

    def _is_through(self, entry: Entry, told: Told, *, is_sent: bool) -> bool:
        """Return True if nothing is to come of what another ledger was told: it was answered, or it was sent."""
        if told.fact != _ASKED:
            return is_sent
        request = _asked.decode(told.data).request
        page = self._ledger.journal(self._ledger.partition_of(entry.member)).page(entry.member, f"exchange/{request}")
        return not isinstance(page, OutsidePage) or page.state != ASKED

    def _wait(self, entry: Entry, told: Told, *, is_sent: bool) -> None:
        name, found = name_of(entry, told), self._found
        points = _carried.decode(told.data).points if told.at else 0
        if name in self._waiting:
            return
        self._waiting.add(name)
        self._oldest = min(self._oldest or entry.recorded, entry.recorded)
        found.on_its_way += 1
        found.points_on_their_way += points
        if len(found.waiting) < LISTED:
            since = to_text(entry.recorded, self._ledger.book.offset)
            found.waiting.append(OnItsWay(name, told.to, told.fact, points, since, is_sent))

    def _pair_taken(self, entry: Entry, points: int) -> None:
        """Look for the entry that left what another took: it is a fault where there is none, or it left other bytes."""
        head = fact_head(entry)
        if not head.source.startswith(LEDGER_SOURCE) or ledger_of(head.source):
            return  # what looks like it stands in its data, or another ledger left it
        left = self._left_as(head)
        if left is None:
            why = "is no name of a follow-up" if named_by(head.id) is None else "no entry left"
            self._found.faults.append(f"{entry.member} entry {entry.number} took {head.id}, which {why}")
            return
        partition, sequence, sender, told = left
        born = self._ledger.born_in(partition)
        if told.to != entry.member or head.source != source_of(born):
            self._found.faults.append(f"{entry.member} entry {entry.number} took {head.id}, which no entry left")
        elif _canonical(fact_of(sender, told, born)) != entry.fact:
            why = "with other content than was left"
            self._found.faults.append(f"{entry.member} entry {entry.number} took {head.id} {why}")
        elif sequence > self._heads[partition]:
            self._found.points_ahead += points

    def _taken_since(self, entry: Entry) -> None:
        """Count as on its way what was left by then, and taken behind it."""
        head = fact_head(entry)
        left = self._left_as(head) if head.source.startswith(LEDGER_SOURCE) else None
        if left is not None and entry.reason != "duplicate" and left[1] <= self._heads[left[0]]:
            self._wait(left[2], left[3], is_sent=True)

    def _left_as(self, head: FactHead) -> tuple[int, int, Entry, Told] | None:
        """Return the partition and sequence of the entry that left a follow-up, the entry, and the follow-up itself."""
        named = named_by(head.id)
        if named is None:
            return None
        frm, number, place = named
        partition = self._ledger.partition_of(frm)
        for row in self._ledger.journal(partition).entries_of(frm, number - 1, 1):
            entry = decode_entry(row.state)
            for told in told_in(entry) if row.number == number else ():
                if told.k == place:
                    return partition, row.sequence, entry, told
        return None


def named_by(name: str) -> tuple[str, int, int] | None:
    """Return the account, the entry's number and the place that a follow-up's name says, None where it is none."""
    of_entry, _, place = name.rpartition(".")
    frm, _, number = of_entry.rpartition(":")
    if not (number.isdecimal() and place.isdecimal() and len(number) < 19 and len(place) < 19):
        return None
    return frm, int(number), int(place)


def _canonical(raw: bytes) -> bytes:
    try:
        return canonical(decode(raw)[0])
    except BadFact:
        return b""
