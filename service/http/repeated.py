"""Facts that were decided before: they are answered from their receipts, and nothing is appended.

In a stream the same fact again is an entry `duplicate`, as ever; so is one that is decided while it is asked for here.
Source: orders.md 16.
"""

from collections.abc import Sequence
from contextlib import suppress

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.answers import Decision
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import describe_decision
from ledger.wire.fact_codec import canonical
from ledger.wire.facts import PROGRAMME_SUBJECT, Fact
from ledger.wire.unreadable import UNREADABLE

FACTS_AT_ONCE = 1_000  # that one question names: three values each, of which SQLite takes 32,766


def decided_before(ledger: Ledger, facts: Sequence[Fact]) -> dict[int, Decision]:
    """Return by place the first decision of those facts that were decided before with the same content.

    One with other content is to be appended, so that the conflict stands in the journal.
    """
    places: dict[int, list[int]] = {}
    for place, fact in enumerate(facts):
        if fact.subject != PROGRAMME_SUBJECT:  # which every partition has to see
            places.setdefault(ledger.partition_of(fact.subject), []).append(place)
    found: dict[int, Decision] = {}
    for partition, of in places.items():
        with suppress(JournalError, *UNREADABLE):  # a journal in trouble: its receipts say so once it is decided
            found |= _decided_in(ledger, partition, {place: facts[place] for place in of})
    return found


def _decided_in(ledger: Ledger, partition: int, facts: dict[int, Fact]) -> dict[int, Decision]:
    """Return by place the first decision of those facts of a partition that were decided before."""
    journal = ledger.journal(partition)
    found: dict[int, Decision] = {}
    asked = [(place, (fact.source, fact.id, fact.subject)) for place, fact in facts.items()]
    for start in range(0, len(asked), FACTS_AT_ONCE):
        names = dict(asked[start : start + FACTS_AT_ONCE])
        rows = journal.received(list(dict.fromkeys(names.values())))
        for place, name in names.items():
            row = rows.get(name)
            entry = decode_entry(row.state) if row is not None else None
            if row is not None and entry is not None and entry.fact == canonical(facts[place]):
                found[place] = describe_decision(entry, row.link, ledger.book.offset, is_repeated=True)
    return found
