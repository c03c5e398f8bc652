"""What lies beside a ledger and is not part of it: views, results of audits, checkpoints, backtests.

All of it can be made again or was handed in. It lies in the ledger's folder; for one in a database a folder is named.
"""

from pathlib import Path

from ledger.journal.ledger import Ledger

VIEWS = "views"
AUDITS = "audits"
CHECKPOINTS = "checkpoints"  # in the folder of the audits, as those that follow
TREES = "trees"
BACKTESTS = "backtests"


def folder_in(ledger: Ledger, name: str, beside: Path | None = None) -> Path | None:
    """Return the folder of views or audits in one that is named, or in the ledger's own; None where neither is."""
    found = beside or ledger.folder
    return found / name if found else None
