"""What pages a member has, found by deciding the member's entries again: no index lists them by member."""

from collections.abc import Iterable

from ledger.core.account import Account
from ledger.core.decide import Limits, Repetition, decide
from ledger.core.evolve import evolve_entry
from ledger.core.pages import PagesInMemory
from ledger.journal.port import EntryRow, Published
from ledger.rulebook.compiled import STORED, Programme
from ledger.wire.entry_codec import decode_entry
from ledger.wire.fact_codec import decode_canonical

REPETITIONS = frozenset(("duplicate", "conflict"))  # reasons of entries whose fact came before
_OUT_OF_RANGE = "out-of-range"


def page_keys(rows: Iterable[EntryRow], book: Programme, published: Iterable[Published], limits: Limits) -> list[str]:
    """Return the keys of all pages of a member, in order, by the member's entries from the first on.

    Each is decided by the versions of `book` that its partition had heard of by then: the `published` ones came later.
    """
    account, pages, heard = Account(), PagesInMemory(), Programme([])
    since = {one.version: one.sequence for one in published}
    to_come = list(book.by_name.values())
    for row in rows:
        while to_come and since.get(to_come[0].name, 0) < row.sequence:
            heard.take(to_come.pop(0), engine=STORED)
        entry = decode_entry(row.state)
        if entry.reason == _OUT_OF_RANGE:
            evolve_entry(account, entry)
            continue
        repeats = None
        if entry.reason in REPETITIONS:
            repeats = Repetition(int(entry.figures["first"]), entry.reason == "duplicate")
        fact, occurred = decode_canonical(entry.fact)
        decide(
            account,
            pages,
            fact,
            occurred,
            heard,
            recorded=entry.recorded,
            pushed=entry.pushed,
            backlog=entry.backlog,
            limits=limits,
            repeats=repeats,
            engine=entry.engine,
        )
        account.number = entry.number
    return pages.all_keys()
