"""Differences between what is stored and what the facts say, as they are found."""

from typing import Any

from ledger.journal.port import EntryRow

MAX_DIFFERENCES = 1_000  # that are listed; all are counted

Difference = dict[str, Any]


class Differences:
    """The differences of one partition: `count` of all, the first 1,000 `listed`, each good for JSON."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.count = 0
        self.listed: list[Difference] = []

    def add(self, **difference: Any) -> None:
        """Count a difference: where it is, the `field`, and what is `stored` and `derived`."""
        self.count += 1
        if len(self.listed) < MAX_DIFFERENCES:
            self.listed.append({"partition": self.partition, **difference})

    def add_all(self, other: "Differences") -> None:
        """Count the differences that were found apart from these."""
        self.count += other.count
        self.listed.extend(other.listed[: MAX_DIFFERENCES - len(self.listed)])

    def add_unreadable(self, row: EntryRow, problem: object) -> None:
        """Count an entry whose bytes cannot be read."""
        stored = row.state[:64].hex()
        self.add(**where_of(row), field="bytes", stored=stored, derived=f"unreadable: {problem}")


def where_of(row: EntryRow) -> dict[str, Any]:
    """Return where an entry stands within its partition."""
    return {"member": row.member, "number": row.number, "place": row.sequence}
