"""Formats of what is stored, and the numbered steps from each to the next: the same for every store.

Step n brings format n to n + 1; all of them, from 0, make a store from nothing. A step that was released is never
changed: what it did stands in somebody's ledger.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ledger.journal.port import JournalError

Steps = tuple[tuple[str, ...], ...]


class Migrated(NamedTuple):
    """A ledger that has this version's formats: its name, and how many steps that took."""

    name: str
    partitions: int
    steps: int


def pending(steps: Steps, found: int, where: str, *, may_migrate: bool = False) -> Sequence[tuple[str, ...]]:
    """Return the steps still to be taken from the format found. Raises `JournalError` where it is a newer one.

    It raises it where there are any, too, unless they may be done now.
    """
    if found > len(steps):
        raise JournalError(
            f"{where} has format {found}, this version of points reads format {len(steps)}: install a newer points"
        )
    if found < len(steps) and not may_migrate:
        what = f"has format {found}" if found else "is not made yet"
        raise JournalError(
            f"{where} {what}, this version of points reads format {len(steps)}: run `points store migrate`"
        )
    return steps[found:]
