"""Facts that were decided before: they are answered from their receipts, and nothing is appended.

In a stream the same fact again is an entry `duplicate`, as ever; so is one that is decided while it is asked for here.
Source: orders.md 16.
"""

from collections.abc import Sequence

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.answers import Decision
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import describe_decision
from ledger.wire.fact_codec import canonical
from ledger.wire.facts import PROGRAMME_SUBJECT, Fact

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
        try:
            journal = ledger.journal(partition)
        except JournalError:
            continue  # its receipts say so once it is decided
        for start in range(0, len(of), FACTS_AT_ONCE):
            some = of[start : start + FACTS_AT_ONCE]
            names = {place: (facts[place].source, facts[place].id, facts[place].subject) for place in some}
            rows = journal.received(list(dict.fromkeys(names.values())))
            for place, name in names.items():
                row = rows.get(name)
                entry = decode_entry(row.state) if row is not None else None
                if row is not None and entry is not None and entry.fact == canonical(facts[place]):
                    found[place] = describe_decision(entry, row.link, ledger.book.offset, is_repeated=True)
    return found
