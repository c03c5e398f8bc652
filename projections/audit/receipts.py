"""Whether a partition's receipts, by which a fact counts once, are those that its entries give.

They are compared by a sum that is the same in any order, so that nothing is held; which differ is looked for only
where the sums do.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Protocol

from ledger.journal.port import EntryRow
from ledger.journal.sql import Journal
from ledger.wire.entry_codec import decode_head
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.unreadable import UNREADABLE
from projections.audit.differences import Differences, where_of


class ReceiptSums(Protocol):
    """The receipts that a partition's entries give, as they are counted."""

    def add(self, source: str, id: str, member: str, place: int) -> None:
        """Count a receipt."""
        ...

    def is_of(self, journal: Journal) -> bool:
        """Return True if a journal has these receipts and no others."""
        ...


class ReceiptSum:
    """How many receipts there are up to a place, and the sum of their hashes.

    What is decided while a replay runs stands behind that place, and its receipts with it.
    """

    __slots__ = ("count", "sum", "upto")

    def __init__(self, upto: int) -> None:
        self.upto = upto
        self.count = self.sum = 0

    def add(self, source: str, id: str, member: str, place: int) -> None:
        """Count a receipt."""
        if place <= self.upto:
            self.count += 1
            self.sum += hash((source, id, member, place))

    def is_of(self, journal: Journal) -> bool:
        """Return True if a journal has these receipts and no others."""
        count = total = furthest = 0
        for receipt in journal.receipts():
            if receipt.sequence <= self.upto:
                count += 1
                total += hash(receipt)
            elif receipt.sequence > furthest:
                furthest = receipt.sequence
        if furthest > self.upto and furthest > journal.head().entries:
            return False  # of no entry, and of none that was made meanwhile
        return (count, total) == (self.count, self.sum)


def compare_receipts(journal: Journal, upto: int, differ: Differences) -> None:
    """Find receipts of entries up to a place that are missing, changed or of no entry, in bounded memory."""
    with closing(sqlite3.connect("")) as file:  # a temporary file of its own, which goes with it
        file.execute("CREATE TABLE kept (source, id, member, place, PRIMARY KEY (source, id, member)) WITHOUT ROWID")
        file.executemany("INSERT INTO kept VALUES (?, ?, ?, ?)", journal.receipts())
        meanwhile = (upto, journal.head().entries)
        file.execute("DELETE FROM kept WHERE place > ? AND place <= ?", meanwhile)
        for row, name in _firsts(journal, upto):
            if name is None:
                file.execute("DELETE FROM kept WHERE place = ?", (row.sequence,))  # nobody can say whose it is
                continue
            kept = file.execute(
                "DELETE FROM kept WHERE source = ? AND id = ? AND member = ? RETURNING place", (*name, row.member)
            ).fetchall()
            if kept != [(row.sequence,)]:
                stored = f"place {kept[0][0]}" if kept else "none"
                differ.add(**where_of(row), field="receipt", stored=stored, derived=" ".join(name))
        for source, id, member, place in file.execute("SELECT * FROM kept"):
            where = {"member": member, "number": 0, "place": place}
            differ.add(**where, field="receipt", stored=f"{source} {id}", derived="no such fact")


def _firsts(journal: Journal, upto: int) -> Iterator[tuple[EntryRow, tuple[str, str] | None]]:
    """Yield the entries that took a fact first, with the fact's source and id, or None where they cannot be read."""
    for _, rows in journal.by_member():
        seen: set[tuple[str, str]] = set()
        for row in rows:
            if row.sequence > upto:
                continue
            try:
                fact, _ = decode_canonical(decode_head(row.state).fact)
            except UNREADABLE:
                yield row, None
                continue
            name = fact.source, fact.id
            if name not in seen:
                seen.add(name)
                yield row, name
