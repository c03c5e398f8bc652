"""Finding a member: the account at an instant, the entries, or an error that says that nobody knows the member."""

import heapq
from collections.abc import Iterator
from itertools import islice

from ledger.core.account import Account
from ledger.errors import NotFound
from ledger.journal.ledger import Ledger
from ledger.wire.answers import Entry
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import describe_entry
from ledger.wire.facts import PROGRAMME_SUBJECT


class UnknownMember(NotFound):
    """The ledger has no entry of this member."""

    def __init__(self, ledger: Ledger, member: str) -> None:
        if member == PROGRAMME_SUBJECT:
            what = f'"{member}" is the subject of published rule books and no member'
        else:
            what = f'no entry of a member "{member}" in {ledger.name}'
        super().__init__(f"{what}; `points export balances` lists the members")


def require_member(ledger: Ledger, member: str) -> None:
    """Raise `UnknownMember` unless the member has an entry."""
    if member == PROGRAMME_SUBJECT or not ledger.journal(ledger.partition_of(member)).last_number(member):
        raise UnknownMember(ledger, member)


def members_after(ledger: Ledger, after: str, limit: int) -> list[str]:
    """Return up to `limit` members behind a member's token, in the order of tokens, over all partitions."""
    each = (ledger.journal(partition).members(after) for partition in ledger.partitions)
    found = (member for member in heapq.merge(*each) if member != PROGRAMME_SUBJECT)
    return list(islice(found, limit))


def account_of(ledger: Ledger, member: str, as_of: int, known_at: int | None = None) -> Account:
    """Return a member's account at an instant. Raises `UnknownMember`."""
    account = None if member == PROGRAMME_SUBJECT else ledger.account(member, as_of, known_at)
    if account is None:
        raise UnknownMember(ledger, member)
    return account


def entries_of(ledger: Ledger, member: str, after: int = 0, limit: int | None = None) -> Iterator[Entry]:
    """Return the entries of a member behind a number, in order, at most `limit`. Raises `UnknownMember`."""
    require_member(ledger, member)
    rows = ledger.journal(ledger.partition_of(member)).entries_of(member, after, limit)
    offset = ledger.book.offset
    return (describe_entry(decode_entry(row.state), row.link, offset) for row in rows)
