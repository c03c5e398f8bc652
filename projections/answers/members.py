"""Finding a member: the account at an instant, the entries, or an error that says that nobody knows the member."""

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from ledger.core.account import Account
from ledger.core.decisions.forwarding import FORWARDED, HANDED_BACK, WAITS
from ledger.errors import NotFound
from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import NOT_MEMBERS
from ledger.wire.answers import Entry, Outcome
from ledger.wire.entries import OUTCOMES, Change
from ledger.wire.entries import Entry as StoredEntry
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import describe_entry, fact_head
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.facts import MAX_NAMES, PROGRAMME_SUBJECT, Fact, MemberForwarded

ELSEWHERE = frozenset({FORWARDED, HANDED_BACK, WAITS})  # reasons of entries whose facts another entry decides
LOOKED_AT = 4_000  # entries for one page at most, where a filter leaves out most of them


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


def is_member(subject: str) -> bool:
    """Return False for the accounts of a ledger that are no members: what publishes rule books, pools and houses."""
    return subject != PROGRAMME_SUBJECT and not subject.startswith(NOT_MEMBERS)


def is_alias(account: Account) -> bool:
    """Return True if an account is another name of a member, who is counted where that name lives."""
    return account.bundle is not None and account.bundle.alias is not None


def head_of(ledger: Ledger, member: str, as_of: int) -> str:
    """Return the account in which a member's name lives at an instant: its own, or the one that it became a name of."""
    for _ in range(MAX_NAMES):
        account = ledger.account(member, as_of)
        if account is None or account.bundle is None or account.bundle.alias is None:
            break
        member = account.bundle.alias.head
    return member


def is_active(entry: StoredEntry) -> bool:
    """Return True if an entry says that a member is active: a fact that is handed on does so where it is decided."""
    return is_member(entry.member) and entry.reason not in (FORWARDED, HANDED_BACK)


def decided_fact(fact: bytes) -> Fact:
    """Return the fact that an entry decided, by what it keeps: of one that came for another name, the fact within."""
    found = decode_canonical(fact)[0]
    return decode_canonical(bytes(found.data.fact))[0] if isinstance(found, MemberForwarded) else found


def members_after(ledger: Ledger, after: str, limit: int) -> list[str]:
    """Return up to `limit` members behind a member's token, in the order of tokens, over all partitions."""
    each = (ledger.journal(partition).members(after) for partition in ledger.partitions)
    return list(islice(filter(is_member, heapq.merge(*each)), limit))


def account_of(ledger: Ledger, member: str, as_of: int, known_at: int | None = None) -> Account:
    """Return a member's account at an instant. Raises `UnknownMember`."""
    account = None if member == PROGRAMME_SUBJECT else ledger.account(member, as_of, known_at)
    if account is None:
        raise UnknownMember(ledger, member)
    return account


class EntryFilter(NamedTuple):
    """Which entries of a member; what is left out leaves none out.

    Of a kind of points or a score that they moved, of types of facts, with outcomes, and of facts that occurred from an
    instant until before another, in microseconds.
    """

    kind: str = ""
    types: frozenset[str] = frozenset()
    outcomes: frozenset[Outcome] = frozenset()
    since: int | None = None
    until: int | None = None

    def has(self, entry: StoredEntry) -> bool:
        """Return True if an entry is one of them."""
        return (
            (not self.outcomes or OUTCOMES[entry.outcome] in self.outcomes)
            and (self.since is None or entry.occurred >= self.since)
            and (self.until is None or entry.occurred < self.until)
            and (not self.types or fact_head(entry).type in self.types)
            and (not self.kind or any(self.kind in _units(change) for change in entry.changes))
        )


def _units(change: Change) -> tuple[str, ...]:
    """Return the kind of points and the score that a change is about, as far as it is about one."""
    return tuple(getattr(change, name) for name in ("kind", "score") if hasattr(change, name))


def filtered_entries(
    ledger: Ledger, member: str, after: int, limit: int, wanted: EntryFilter
) -> tuple[list[Entry], int | None]:
    """Return up to `limit` entries behind a number, and behind which number the next ones are; None where none are.

    A page looks at `LOOKED_AT` entries at most, so it may have less than `limit` and be followed by more. Raises
    `UnknownMember`.
    """
    require_member(ledger, member)
    journal, zone = ledger.journal(ledger.partition_of(member)), ledger.book.offset
    looked = limit + 1 if wanted == EntryFilter() else max(LOOKED_AT, limit + 1)
    found: list[Entry] = []
    last = count = 0
    for row in journal.entries_of(member, after, looked):
        entry = decode_entry(row.state)
        count += 1
        if len(found) == limit:
            return found, last
        last = entry.number
        if wanted.has(entry):
            found.append(describe_entry(entry, row.link, zone))
    return found, last if count == looked else None


def entries_of(ledger: Ledger, member: str, after: int = 0, limit: int | None = None) -> Iterator[Entry]:
    """Return the entries of a member behind a number, in order, at most `limit`. Raises `UnknownMember`."""
    require_member(ledger, member)
    rows = ledger.journal(ledger.partition_of(member)).entries_of(member, after, limit)
    offset = ledger.book.offset
    return (describe_entry(decode_entry(row.state), row.link, offset) for row in rows)
