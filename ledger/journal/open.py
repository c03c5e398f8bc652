"""Opens the ledger at a place: the one file that knows both homes, a folder and a database."""

from pathlib import Path

from ledger.journal.folder import SETTINGS, FolderLedger
from ledger.journal.ledger import Ledger, Settings, is_address


def open_ledger(place: str | Path) -> Ledger:
    """Return the ledger in a folder or at an address (``postgresql://…``), opened for reading.

    Raises `JournalError` where there is none or it cannot be read.
    """
    if is_address(place):
        from ledger.journal.database import DatabaseLedger  # here, since its driver is an extra

        return DatabaseLedger.at(str(place))
    return FolderLedger.at(Path(place))


def open_or_create(place: str | Path, book: str | None = None, settings: Settings | None = None) -> Ledger:
    """Return the ledger at a place, made in its folder where there is none.

    `book` is the TOML it is born with, by default the shipped `jd`. One in a database is made by
    `points store migrate` alone. Raises `BadProgramme` and `JournalError`.
    """
    if is_address(place):
        return open_ledger(place)
    return FolderLedger.at_or_created(Path(place), book, settings)


def is_ledger(place: str | Path) -> bool:
    """Return True if there is a ledger in a folder, or if the place is an address, where one is said to be."""
    return is_address(place) or (Path(place) / SETTINGS).exists()
