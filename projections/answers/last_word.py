"""The last word on a fact that other accounts go on with: for an old name of a member, or a claim that asked a stock.

What was sent to an old name is decided at its head, perhaps after it waited there or went back and forth; a claim of
what members share ends where its member's account takes the answer. Each step is read from the journals.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

from ledger.core.decisions.forwarding import FORWARDED, HANDED_BACK, WAITS
from ledger.journal.ledger import Ledger
from ledger.wire.answers import Decision
from ledger.wire.entries import ACCEPTED, OUTCOMES, DecidedLate, Entry, Told
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import describe_decision
from ledger.wire.facts import Fact, MemberForwarded, PoolAnswered, PoolAsked
from ledger.wire.follow_ups import name_of, source_of

ASKED: Final = "asked"  # the reason of a claim that waits for what members share
_OPEN: Final = frozenset({ASKED, FORWARDED, HANDED_BACK, WAITS})
_MOST: Final = 1_000  # entries of an account that are looked through behind one


class _Ask(Struct, gc=False):
    frm: str
    ask: str


_ask_in = msgspec.json.Decoder(_Ask)


class _Step(Struct, frozen=True, gc=False):
    """An entry on the way of a fact, and its link; where it decides facts that waited, the one of entry `late`."""

    entry: Entry
    link: bytes
    late: int = 0

    def ended(self) -> tuple[str, str]:
        """Return the outcome and the reason of the fact."""
        for change in self.entry.changes if self.late else ():
            if isinstance(change, DecidedLate) and change.number == self.late:
                return change.outcome, change.reason
        return OUTCOMES[self.entry.outcome], self.entry.reason

    def told(self, kind: type[Fact]) -> Told | None:
        """Return the last follow-up of a type that the fact left."""
        found = None
        for change in self.entry.changes:
            if isinstance(change, Told) and change.fact == kind.__struct_config__.tag:
                found = change
            if isinstance(change, DecidedLate):
                if change.number == self.late:
                    break
                found = None
        return found


def is_open(decision: Decision) -> bool:
    """Return True if another entry has the last word on what was decided."""
    return decision.outcome == OUTCOMES[ACCEPTED] and decision.reason in _OPEN


def last_word(ledger: Ledger, decision: Decision) -> Decision | None:
    """Return the decision in which a fact ended, the first where nothing follows; None where it is not known yet."""
    if not is_open(decision):
        return decision
    step = _entry_at(ledger, decision.member, decision.number)
    while step is not None:
        outcome, reason = step.ended()
        if outcome != OUTCOMES[ACCEPTED] or reason not in _OPEN:
            told = describe_decision(step.entry, step.link, ledger.book.offset, is_repeated=decision.repeated)
            return msgspec.structs.replace(told, outcome=outcome, reason=reason)
        step = _next(ledger, step, reason, decision)
    return None


def _next(ledger: Ledger, step: _Step, reason: str, decision: Decision) -> _Step | None:
    """Return the step behind one that has not the last word, None where there is none yet."""
    if reason == WAITS:
        waiting = step.entry.number
        for later in _behind(ledger, step.entry.member, waiting):
            if any(isinstance(change, DecidedLate) and change.number == waiting for change in later.entry.changes):
                return _Step(later.entry, later.link, waiting)
        return None
    if reason == ASKED:
        return _answered(ledger, step, decision)
    told = step.told(MemberForwarded)
    return _taken(ledger, step.entry, told) if told is not None else None


def _answered(ledger: Ledger, step: _Step, decision: Decision) -> _Step | None:
    """Return the entry that took the answer to a claim: of the account that asked, or of the name it asked under."""
    told = step.told(PoolAsked)
    if told is None:
        return None
    asked, member = _ask_in.decode(told.data), step.entry.member
    places = {member: step.entry.number}
    if asked.frm == decision.member:  # the names may have parted since
        places[decision.member] = max(decision.number, places.get(decision.member, 0))
    mark = b'"%s"' % str(PoolAnswered.__struct_config__.tag).encode()
    ask, name = b'"ask":%s' % msgspec.json.encode(asked.ask), b'"subject":%s' % msgspec.json.encode(asked.frm)
    for account, number in places.items():
        for later in _behind(ledger, account, number):
            if all(part in later.entry.fact for part in (mark, ask, name)):
                return later
    return None


def _entry_at(ledger: Ledger, member: str, number: int) -> _Step | None:
    return next(_behind(ledger, member, number - 1, 1), None)


def _behind(ledger: Ledger, member: str, number: int, most: int = _MOST) -> Iterator[_Step]:
    for row in ledger.journal(ledger.partition_of(member)).entries_of(member, number, most):
        yield _Step(decode_entry(row.state), row.link)


def _taken(ledger: Ledger, entry: Entry, told: Told) -> _Step | None:
    """Return the entry that took a follow-up, None where it was not taken yet."""
    name = source_of(ledger.born_in(ledger.partition_of(entry.member))), name_of(entry, told), told.to
    row = ledger.journal(ledger.partition_of(told.to)).received([name]).get(name)
    return _Step(decode_entry(row.state), row.link) if row is not None else None
