"""What the journals at a place keep of their ledger's settings, read whatever lies beside them; and putting it back."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from ledger.journal.folder import FolderLedger, FolderSettings
from ledger.journal.folder import kept_in as kept_in_folder
from ledger.journal.ledger import Ledger, is_address
from ledger.journal.origin import Origin
from ledger.journal.port import JournalError
from ledger.wire.unreadable import UNREADABLE


class Kept(NamedTuple):
    """What one journal keeps: where it stands, the partition that stands there, and its origin or why there is none."""

    where: str
    partition: int
    origin: Origin | None
    problem: str = ""


def kept_at(place: str | Path) -> list[Kept]:
    """Return what each journal at a place keeps, by partition. Raises `JournalError` where no journal is there."""
    if is_address(place):
        from ledger.journal.database import kept_in  # here, since its driver is an extra

        found = kept_in(str(place))
    else:
        found = kept_in_folder(Path(place))
    if not found:
        raise JournalError(f"there is no journal in {place if not is_address(place) else 'the database'}")
    return [Kept(*one) for one in found]


def ledger_kept(place: str | Path, kept: Sequence[Kept], partition: int | None = None) -> Ledger:
    """Return the ledger that the journals at a place were born in, whatever its settings say now.

    By default all journals have to agree; else the one of a partition says. Raises `JournalError`.
    """
    origins = [one.origin for one in kept if one.origin is not None and partition in (None, one.partition)]
    if not origins:
        which = "no journal" if partition is None else f"no journal of partition {partition}"
        raise JournalError(f"{which} says which ledger it belongs to: restore the ledger from a copy")
    first = origins[0]
    if any(other._replace(partition=first.partition) != first for other in origins):
        raise JournalError(
            "the journals do not agree about their ledger (`points store settings` lists them): put those of another"
            " ledger where they came from, or name the partition to go by: --partition N"
        )
    if is_address(place):
        from ledger.journal.database import born_as

        ledger: Ledger = born_as(str(place), first)
    else:
        try:
            settings = msgspec.json.decode(first.settings, type=FolderSettings)
        except UNREADABLE as error:
            raise JournalError(f"partition {first.partition}: its copy of the settings is damaged: {error}") from error
        ledger = FolderLedger(Path(place), settings, first.book)
    if ledger.genesis != first.genesis:
        raise JournalError(
            f"what partition {first.partition} keeps of its ledger does not fit together: it was damaged; name another"
            " partition to go by: --partition N"
        )
    return ledger
