"""What has to hold when all is healed: each acknowledged fact is decided once, and as its sender was told."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ledger.journal.ledger import Ledger
from ledger.wire.entries import OUTCOMES
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import fact_head
from tests.chaos.traffic import Acknowledged, Key

DUPLICATE = "duplicate"
Position = tuple[int, int]


class Decided(NamedTuple):
    """What stands in a ledger at a position: the entry of a fact, or a dead letter (a fact without an id)."""

    fact: Key
    sha256: bytes
    outcome: str
    reason: str
    number: int


def decided_in(ledger: Ledger) -> dict[Position, Decided]:
    """Return everything that a ledger took, by where it stands in the stream."""
    found: dict[Position, Decided] = {}
    for partition in ledger.partitions:
        journal = ledger.journal(partition)
        for row in journal.scan():
            entry = decode_entry(row.state)
            head = fact_head(entry)
            name = (head.source, head.id, row.member)
            outcome = OUTCOMES[entry.outcome]
            found[partition, entry.offset] = Decided(name, entry.received, outcome, entry.reason, row.number)
        for letter in journal.parked(retried=True):
            found[partition, letter.offset] = Decided(("", "", ""), letter.sha256, "dead letter", letter.reason, 0)
    return found


def faults(
    acknowledged: Iterable[Acknowledged], decided: Mapping[Position, Decided], *, is_same_stream: bool = True
) -> list[str]:
    """Return what is wrong, a line each: facts that are lost, decided twice, elsewhere, or not as was told.

    Where the stream is another one by now (it lost records, or a ledger goes on with a new one), positions say nothing.
    """
    wrong: list[str] = []
    firsts = Counter(row.fact for row in decided.values() if row.fact[1] and row.reason != DUPLICATE)
    wrong += [f"{fact} is decided {times} times" for fact, times in firsts.items() if times > 1]
    letters = {row.sha256 for row in decided.values() if not row.fact[1]}
    by_fact: dict[Key, list[Decided]] = defaultdict(list)
    for row in decided.values():
        by_fact[row.fact].append(row)
    for told in acknowledged:
        source, name, _ = told.fact
        where = f"{name} (acknowledged by {told.by} at {told.position[0]}:{told.position[1]})"
        if not (firsts[told.fact] if source else told.sha256 in letters):
            wrong.append(f"{where} is lost")
            continue
        there = decided.get(told.position)
        if is_same_stream and told.position[1] >= 0 and (there is None or there.sha256 != told.sha256):
            wrong.append(f"{where} is not what stands there: {there}")
        elif told.outcome and not any(_is_as_told(told, each) for each in by_fact[told.fact]):
            wrong.append(f"{where} was told as {told.outcome} {told.reason} {told.number}: {by_fact[told.fact]}")
    return wrong


def _is_as_told(told: Acknowledged, row: Decided) -> bool:
    return (told.outcome, told.reason, told.number) == (row.outcome, row.reason, row.number)
