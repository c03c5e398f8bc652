"""What lies beside a ledger and is not part of it: views, results of audits, checkpoints, backtests.

All of it can be made again or was handed in. It lies in the ledger's folder; for one in a database a folder is named.
"""

from pathlib import Path
from typing import NamedTuple

from ledger.journal.folder import FolderLedger
from ledger.journal.ledger import Ledger

VIEWS = "views"
AUDITS = "audits"
CHECKPOINTS = "checkpoints"  # in the folder of the audits, as those that follow
TREES = "trees"
BACKTESTS = "backtests"


class Side(NamedTuple):
    """Where the views are kept, and what audits left; None where there is no folder for them."""

    views: Path | None
    audits: Path | None


def side_of(ledger: Ledger, views: Path | None = None, audits: Path | None = None) -> Side:
    """The folders beside a ledger, or those that were named."""
    return Side(folder_in(ledger, VIEWS, views), folder_in(ledger, AUDITS, audits))


def folder_in(ledger: Ledger, name: str, named: Path | None = None) -> Path | None:
    """The folder of views or audits: the one that was named, or in the ledger's own; None where there is neither."""
    if named is not None:
        return named
    return ledger.folder / name if isinstance(ledger, FolderLedger) else None
