"""The last word on a claim that asked a stock: the entry in which the member's account took the answer."""

from typing import Final

from ledger.journal.ledger import Ledger
from ledger.wire.answers import Decision
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import describe_decision

ASKED: Final = "asked"  # the reason of a claim that waits for its stock
_MOST: Final = 1_000  # entries of the member behind the claim that are looked through


def answer_to(ledger: Ledger, asked: Decision) -> Decision | None:
    """Return the decision in which a claim that was `asked` ended, None where it still waits."""
    claim = asked.figures.get("claim")
    journal = ledger.journal(ledger.partition_of(asked.member))
    for row in journal.entries_of(asked.member, asked.number, _MOST):
        entry = decode_entry(row.state)
        if entry.figures.get("claim") == claim and b'"pool.answered.v1"' in entry.fact:
            return describe_decision(entry, row.link, ledger.book.offset, is_repeated=asked.repeated)
    return None
