"""Which inbox a ledger has: in a file of its folder, or beside its journals in PostgreSQL."""

from contextlib import closing

from consumers.inbox import Inbox
from ledger.journal.folder import FolderLedger
from ledger.journal.ledger import INBOX, Ledger


def has_inbox(ledger: Ledger) -> bool:
    """Whether an inbox has been made by now."""
    return ledger.settings.stream == INBOX and (not isinstance(ledger, FolderLedger) or ledger.inbox.exists())


def open_inbox(ledger: Ledger, *, feeding: bool = False) -> Inbox:
    """The inbox of a ledger, for one thread. `feeding` makes it where need be, and settles a stream that is open.

    Raises `OtherStream` where the facts come from Kafka, and `JournalError`.
    """
    if feeding:
        ledger.settle(INBOX)
    ledger.check_stream(INBOX)
    if isinstance(ledger, FolderLedger):
        from consumers.sqlite_inbox import SQLiteInbox

        return SQLiteInbox(ledger.inbox, ledger.settings.partitions, create=feeding)
    from consumers.postgres_inbox import PostgresInbox  # here, since its driver is an extra
    from ledger.journal.database import DatabaseLedger

    assert isinstance(ledger, DatabaseLedger)
    return PostgresInbox(ledger)


def migrate_inbox(ledger: FolderLedger) -> int:
    """Bring the inbox of a folder to this version's format; says how many steps it took. Raises `JournalError`."""
    if not has_inbox(ledger):
        return 0
    from consumers.sqlite_inbox import SQLiteInbox

    with ledger.writing(), closing(SQLiteInbox(ledger.inbox, ledger.settings.partitions, create=True)) as inbox:
        return inbox.migrated
