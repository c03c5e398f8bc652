"""Which inbox a ledger has: in a file of its folder, or beside its journals in PostgreSQL."""

from contextlib import closing

from consumers.local.port import Inbox
from consumers.local.sqlite import SQLiteInbox, has_partitions
from consumers.runtime.continuity import check_id
from ledger.journal.folder import FolderLedger
from ledger.journal.ledger import INBOX, Ledger
from ledger.journal.port import JournalError


def has_inbox(ledger: Ledger) -> bool:
    """Whether an inbox has been made by now."""
    return ledger.settings.stream == INBOX and (not isinstance(ledger, FolderLedger) or ledger.is_inbox_made)


def open_inbox(ledger: Ledger, *, feeding: bool = False) -> Inbox:
    """The inbox of a ledger, for one thread. `feeding` makes it where need be, and settles a stream that is open.

    Raises `OtherStream` where the facts come from Kafka, and `JournalError`, also where it lacks records that were
    decided: what is fed to it then would stand at their positions, and not be decided.
    """
    if feeding:
        ledger.bind_stream(INBOX)
    ledger.check_stream(INBOX)
    if not feeding:
        return _open(ledger)
    decided, error = _decided(ledger)
    is_new = isinstance(ledger, FolderLedger) and not ledger.is_inbox_made
    if error is not None and (is_new or not decided):
        raise error
    if is_new and max(decided.values()) >= 0:
        raise _lacks(ledger, max(decided, key=decided.__getitem__), -1, max(decided.values()))
    inbox = _open(ledger, create=True)
    for partition in decided:
        try:
            check_id(ledger, ledger.journal(partition).state().stream, inbox.id)
        except JournalError:
            inbox.close()
            raise
    for partition, position in decided.items():
        if (end := inbox.end(partition)) < position:
            inbox.close()
            raise _lacks(ledger, partition, end, position)
    return inbox


def _decided(ledger: Ledger) -> tuple[dict[int, int], JournalError | None]:
    """Return the offset that each partition has decided up to, and the error of a journal that cannot be read.

    A partition without its journal is not decided; the others are not to wait for it.
    """
    decided: dict[int, int] = {}
    error = None
    for partition in ledger.partitions:
        try:
            decided[partition] = ledger.journal(partition).head().offset
        except JournalError as unreadable:
            error = unreadable
    return decided, error


def _lacks(ledger: Ledger, partition: int, end: int, decided: int) -> JournalError:
    where = ledger.inbox if isinstance(ledger, FolderLedger) else ledger.name
    state = f"ends at {end}" if end >= 0 else "is gone"
    return JournalError(
        f"{where}: the inbox of partition {partition} {state}, and what was decided goes on to {decided}; put the"
        " newest copy of it back, or make a ledger that goes on without it: `points archive export`, then `import`"
    )


def _open(ledger: Ledger, *, create: bool = False) -> Inbox:
    if isinstance(ledger, FolderLedger):
        return SQLiteInbox(ledger.inbox, ledger.settings.partitions, create=create)
    from consumers.local.postgres import PostgresInbox  # here, since its driver is an extra
    from ledger.journal.database import DatabaseLedger

    assert isinstance(ledger, DatabaseLedger)
    return PostgresInbox(ledger)


def grow_inbox(ledger: Ledger, partitions: int) -> bool:
    """Give an inbox the partitions that a split makes; True where it has them. False where records wait in it.

    Raises `JournalError`.
    """
    if not has_inbox(ledger):
        return True
    if isinstance(ledger, FolderLedger):
        if has_partitions(ledger.inbox, partitions):
            return True
        decided = [ledger.journal(partition).head().offset for partition in ledger.partitions]
        with closing(SQLiteInbox(ledger.inbox, ledger.settings.partitions)) as inbox:
            return inbox.grow(partitions, decided)
    from consumers.local.postgres import PostgresInbox  # here, since its driver is an extra
    from ledger.journal.database import DatabaseLedger

    assert isinstance(ledger, DatabaseLedger)
    shared = PostgresInbox(ledger)
    return shared.has_partitions(partitions) or shared.grow(partitions)


def migrate_inbox(ledger: FolderLedger) -> int:
    """Bring the inbox of a folder to this version's format; says how many steps it took. Raises `JournalError`."""
    if not has_inbox(ledger):
        return 0
    with ledger.writing(), closing(SQLiteInbox(ledger.inbox, ledger.settings.partitions, create=True)) as inbox:
        return inbox.migrated
