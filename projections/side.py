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


def side_of(ledger: Ledger, named: Path | None = None) -> Side:
    """The folders beside a ledger, in the folder that was named or in its own."""
    return Side(folder_in(ledger, VIEWS, named), folder_in(ledger, AUDITS, named))


def folder_in(ledger: Ledger, name: str, named: Path | None = None) -> Path | None:
    """One of them; None for a ledger in a database for which no folder was named."""
    beside = ledger.folder if named is None and isinstance(ledger, FolderLedger) else named
    return None if beside is None else beside / name
