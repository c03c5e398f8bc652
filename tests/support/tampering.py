"""What somebody does who changes a ledger behind its back."""

from contextlib import closing
from pathlib import Path

from ledger.journal.folder import FolderLedger


def seal_anew(folder: Path, partition: int) -> None:
    """Let the seal of a journal fit what was changed in its head."""
    with closing(FolderLedger.at(folder)) as ledger:
        journal = ledger.journal(partition)
        journal._change("UPDATE shard SET seal = ?", [(journal.state().made_seal(),)])


def stamp_anew(folder: Path) -> None:
    """Let the journals say what lies beside them now, as a thorough forger does."""
    with closing(FolderLedger.at(folder)) as ledger:
        for partition in ledger.partitions:
            with closing(ledger._open_journal(partition)) as journal:
                journal.stamp(ledger.origin(partition))
