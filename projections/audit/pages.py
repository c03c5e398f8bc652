"""Whether a partition's pages, by which a return reverses what was given, are those that its facts come to.

They are compared by sums that are the same in any order, one for each of some groups of members. Only where a sum
differs are the pages of its members compared one by one: a member may have been decided further meanwhile.
"""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from typing import Protocol

from ledger.core.pages import PagesInMemory, decode_page, encode_page
from ledger.journal.ledger import Ledger
from ledger.journal.sql import Journal
from ledger.wire.unreadable import UNREADABLE
from projections.audit.derive import Unreadable, derive
from projections.audit.differences import Differences
from projections.book_history import BookHistory

GROUPS = 4_096
_TRIES = 10  # for a member who is being decided on


class PageSums(Protocol):
    """The pages that a partition's facts come to, as they are counted, by group of members."""

    def add(self, member: str, pages: PagesInMemory) -> None:
        """Count a member's pages."""
        ...

    def leave_out(self, member: str) -> None:
        """Remember that nobody can derive a member's pages here."""
        ...

    def group_of(self, member: str) -> int:
        """Return the group of a member."""
        ...

    def groups_that_differ(self, journal: Journal) -> Collection[int]:
        """Return the groups whose stored pages come to another sum, those left out excepted."""
        ...


class PageSum:
    """By group of members: the sum of the hashes of the pages that the facts come to."""

    __slots__ = ("_sums", "_unknown")

    def __init__(self) -> None:
        self._sums = [0] * GROUPS
        self._unknown: set[int] = set()

    def add(self, member: str, pages: PagesInMemory) -> None:
        """Count a member's pages."""
        total = 0
        for key, page in pages.items():
            total += hash((key, member, encode_page(page)))
        self._sums[hash(member) % GROUPS] += total

    def leave_out(self, member: str) -> None:
        """Remember that nobody can derive a member's pages here."""
        self._unknown.add(self.group_of(member))

    def group_of(self, member: str) -> int:
        """Return the group of a member."""
        return hash(member) % GROUPS

    def groups_that_differ(self, journal: Journal) -> set[int]:
        """Return the groups whose stored pages come to another sum, those left out excepted."""
        stored = [0] * GROUPS
        for row in journal.pages():
            stored[hash(row[1]) % GROUPS] += hash(row)
        return {group for group in range(GROUPS) if stored[group] != self._sums[group]} - self._unknown


def compare_pages(ledger: Ledger, sums: PageSums, groups: Collection[int], differ: Differences) -> None:
    """Find the pages of groups of members that are missing, changed or of no fact, in bounded memory."""
    journal = ledger.journal(differ.partition)
    books = BookHistory(ledger, differ.partition)
    with closing(sqlite3.connect("")) as file:  # a temporary file of its own, which goes with it
        file.execute("CREATE TABLE kept (member, key, PRIMARY KEY (member, key)) WITHOUT ROWID")
        some = ((member, key) for key, member, _ in journal.pages() if sums.group_of(member) in groups)
        file.executemany("INSERT INTO kept VALUES (?, ?)", some)
        for member in journal.members():
            if sums.group_of(member) in groups:
                keys = [key for (key,) in file.execute("SELECT key FROM kept WHERE member = ?", (member,))]
                for key, stored, derived in _that_differ(ledger, journal, books, member, keys):
                    differ.add(member=member, field="page", page=key, stored=stored, derived=derived)
                file.execute("DELETE FROM kept WHERE member = ?", (member,))
        for member, key in file.execute("SELECT member, key FROM kept"):
            differ.add(member=member, field="page", page=key, stored="a page", derived="no such member")


def _that_differ(
    ledger: Ledger, journal: Journal, books: BookHistory, member: str, keys: list[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield the pages of a member that differ: key, what is stored, what the facts come to."""
    for _ in range(_TRIES):
        number = journal.last_number(member)
        derived = _derived(ledger, journal, books, member)
        if derived is None:
            return
        wanted = sorted({*keys, *derived})
        stored = {key: journal.page_state(member, key) for key in wanted}
        if journal.last_number(member) == number:
            break
    else:
        return  # it never rests; the next replay sees it
    for key in wanted:
        state, page = stored[key], derived.get(key)
        if state is None and page is not None:
            yield key, "none", encode_page(page)[:64].hex()
        elif state is not None and page is None:
            yield key, state[:64].hex(), "none"
        elif state is not None and page is not None and state != encode_page(page):
            try:
                is_alike = decode_page(state) == page  # in the layout of an older version
            except UNREADABLE:
                is_alike = False
            if not is_alike:
                yield key, state[:64].hex(), encode_page(page)[:64].hex()


def _derived(ledger: Ledger, journal: Journal, books: BookHistory, member: str) -> PagesInMemory | None:
    """Return the pages that a member's facts come to, None where they cannot be derived."""
    pages = PagesInMemory()
    for found in derive(journal, member, journal.entries_of(member), books.before, ledger.limits):
        if isinstance(found, Unreadable):
            return None
        pages = found.pages
    return pages
