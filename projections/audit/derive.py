"""One member's facts decided again, in order, as the partition's owner decided them."""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import islice

from msgspec import Struct

from ledger.core.account import NEVER, Account
from ledger.core.decide import Decision, Limits, Repetition
from ledger.core.draft import OutOfRange
from ledger.core.pages import PagesInMemory
from ledger.journal.partition import FactRecord, decided, decided_with_care, publication
from ledger.journal.port import EntryRow
from ledger.journal.sql import Journal
from ledger.rulebook.compiled import STORED, Programme
from ledger.wire.entry_codec import EntryHead, decode_head
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.facts import ProgrammePublished
from ledger.wire.unreadable import UNREADABLE

BookAt = Callable[[int], Programme]  # of a place in the journal


class Derived(Struct, frozen=True, gc=False):
    """What became of a stored entry's fact; `account` and `pages` are the member's own, as they stand after it."""

    row: EntryRow
    head: EntryHead
    item: FactRecord
    decision: Decision
    account: Account
    pages: PagesInMemory
    is_first: bool  # and no repetition of an earlier entry's fact


class Unreadable(Struct, frozen=True, gc=False):
    """A stored entry whose bytes say nothing any more."""

    row: EntryRow
    problem: str


def derive(
    journal: Journal, member: str, rows: Iterable[EntryRow], book_at: BookAt, limits: Limits, upto: int = NEVER
) -> Iterator[Derived | Unreadable]:
    """Yield a member's facts decided again, in order, until the clock passes `upto`; `rows` are all the entries."""
    done = 0
    try:
        for found in _derive(rows, book_at, limits, upto):
            done += 1
            yield found
    except OutOfRange:  # the account is spoiled; the entries before this one come out with care as they did without
        careful = _derive(journal.entries_of(member), book_at, limits, upto, with_care=True)
        yield from islice(careful, done, None)


def _derive(
    rows: Iterable[EntryRow], book_at: BookAt, limits: Limits, upto: int, *, with_care: bool = False
) -> Iterator[Derived | Unreadable]:
    """With care a fact that is beyond range changes nothing but the clock, without it `OutOfRange` is raised."""
    account, pages = Account(), PagesInMemory()
    seen: dict[tuple[str, str], tuple[int, bytes]] = {}
    for row in rows:
        try:
            head = decode_head(row.state)
            fact, occurred = decode_canonical(head.fact)
        except UNREADABLE as error:
            yield Unreadable(row, str(error))
            continue
        if head.clock > upto:
            return
        account.number = row.number - 1
        place = head.offset, head.recorded, head.backlog
        item = FactRecord(*place, fact, occurred, head.fact, head.received, head.engine, head.pushed)
        digest = sha256(head.fact).digest()
        number, first = seen.setdefault((fact.source, fact.id), (row.number, digest))
        repeats = None if number == row.number else Repetition(number, first == digest)
        book = book_at(row.sequence)
        if repeats is None and isinstance(fact, ProgrammePublished):
            stored = Programme([v.toml for v in book.by_name.values()], engine=STORED)
            decision = publication(account, stored, fact.data.toml, occurred, head.engine)
        elif with_care:
            account, decision = decided_with_care(account, pages, item, book, limits, repeats)
        else:
            decision = decided(account, pages, item, book, limits, repeats)
        account.number = row.number
        yield Derived(row, head, item, decision, account, pages, number == row.number)
