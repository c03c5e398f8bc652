"""Member -> partition by Kafka's murmur2, remembered for recent keys."""

from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.murmur import partition_of

REMEMBERED = 100_000  # keys


class Partitioner:
    """The partition of a key among a fixed number, remembered for recent keys (murmur2 in Python costs 6 µs)."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._known: dict[str, int] = {}

    def __call__(self, key: str) -> int:
        """Return the partition of a key, from 0."""
        partition = self._known.get(key)
        if partition is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            partition = self._known[key] = partition_of(key, self.partitions)
        return partition

    def is_home(self, partition: int, member: str) -> bool:
        """Return True if a partition decides about a member, or about the rule book, as each does."""
        return member == PROGRAMME_SUBJECT or self(member) == partition
