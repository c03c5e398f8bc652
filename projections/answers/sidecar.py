"""What lies beside a ledger and is not part of it: views, results of audits, checkpoints, backtests.

All of it can be made again or was handed in. It lies in the ledger's folder; for one in a database a folder is named.
"""

from pathlib import Path

from ledger.journal.folder import FolderLedger
from ledger.journal.ledger import Ledger

VIEWS = "views"
AUDITS = "audits"
CHECKPOINTS = "checkpoints"  # in the folder of the audits, as those that follow
TREES = "trees"
BACKTESTS = "backtests"


def folder_in(ledger: Ledger, name: str, beside: Path | None = None) -> Path | None:
    """The folder of views or audits: in the one that was named, or in the ledger's own; None where there is neither."""
    if beside is None and isinstance(ledger, FolderLedger):
        beside = ledger.folder
    return beside / name if beside else None
