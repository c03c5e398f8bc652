"""A member's entries in order: what was decided about each fact, why, and what it changed."""

from collections.abc import Iterator

from ledger.journal.ledger import Ledger
from ledger.wire.answers import Entry
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import describe_entry
from projections.answers.members import require_member


def entries_of(ledger: Ledger, member: str, after: int = 0, limit: int | None = None) -> Iterator[Entry]:
    """Yield the entries of a member behind a number, at most `limit`. Raises `UnknownMember`."""
    require_member(ledger, member)
    rows = ledger.journal(ledger.partition_of(member)).entries_of(member, after, limit)
    offset = ledger.book.offset
    return (describe_entry(decode_entry(row.state), row.link, offset) for row in rows)
