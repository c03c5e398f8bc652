"""What somebody does who changes a ledger behind its back."""

from contextlib import closing
from pathlib import Path

from ledger.journal.folder import FolderLedger


def stamp_anew(folder: Path) -> None:
    """Let the journals say what lies beside them now, as a thorough forger does."""
    with closing(FolderLedger.at(folder)) as ledger:
        for partition in ledger.partitions:
            with closing(ledger._open_journal(partition)) as journal:
                journal.stamp(ledger.origin(partition))
