"""Accounts at an instant: entries folded by member, from the last snapshot where that is early enough."""

from collections.abc import Iterable, Iterator

from ledger.core.account import Account, decode_account
from ledger.core.decide import run_to
from ledger.core.evolve import evolve_entry
from ledger.core.pages import PagesInMemory
from ledger.journal.port import EntryRow, Snapshot
from ledger.journal.sql import Journal
from ledger.rulebook.compiled import Programme
from ledger.wire.entry_codec import decode_entry
from ledger.wire.facts import PROGRAMME_SUBJECT


def accounts_at(journal: Journal, book: Programme, as_of: int, known_at: int | None) -> Iterator[tuple[str, Account]]:
    """Return every member of a partition with an entry by then and the account at an instant, by member, streamed."""
    for member, rows in journal.by_member():
        if member != PROGRAMME_SUBJECT:
            start = account_of(journal.snapshot(member) if known_at is None else None, as_of)
            account = folded(start, rows, book, as_of, known_at)
            if account.number:
                yield member, account


def account_of(snapshot: Snapshot | None, as_of: int) -> Account:
    """Return the account of a snapshot that is not later than what is asked for, else an empty one."""
    account = decode_account(snapshot.state) if snapshot else Account()
    return account if account.clock <= as_of else Account()


def folded(account: Account, rows: Iterable[EntryRow], book: Programme, as_of: int, known_at: int | None) -> Account:
    """Return the account with the later of its entries folded on top, by their clock and record, run to `as_of`."""
    for row in rows:
        if row.number <= account.number:
            continue
        entry = decode_entry(row.state)
        if entry.clock > as_of or (known_at is not None and entry.recorded > known_at):
            break
        evolve_entry(account, entry)
    run_to(account, book, as_of, PagesInMemory())
    return account
