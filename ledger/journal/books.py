"""The rule book as each partition has it: of versions that begin on one day, the one that it heard last is the last."""

from collections.abc import Callable, Mapping, Sequence

from ledger.rulebook.compiled import STORED, Programme
from ledger.rulebook.schema import version_of


class Books:
    """The rule books of a ledger, made once for each order in which partitions heard the versions.

    `whole` has every version in the order of the first partition: for what is about no member. What decides about a
    member, or runs an account on, is the book of the member's partition.
    """

    def __init__(
        self, whole: Programme, heard: Mapping[int, Sequence[str]], partition_of: Callable[[str], int]
    ) -> None:
        """Keep the whole book, beginning with the ledger's first version, and the texts that partitions heard."""
        self.whole = whole
        names = tuple(whole.by_name)
        self._orders = {p: tuple(dict.fromkeys((names[0], *map(version_of, texts)))) for p, texts in heard.items()}
        self._partition_of = partition_of
        self._made = {names: whole}
        self._are_one = {names} == {self._complete(order) for order in self._orders.values()}

    def of(self, member: str) -> Programme:
        """Return the book that decides about a member."""
        return self.whole if self._are_one else self.in_partition(self._partition_of(member))

    def in_partition(self, partition: int) -> Programme:
        """Return the book of a partition; versions that it did not hear yet stand behind those that it did."""
        return self.ordered(self._complete(self._orders.get(partition, ())))

    def ordered(self, names: tuple[str, ...]) -> Programme:
        """Return the book of whoever heard the versions of these names, in this order."""
        book = self._made.get(names)
        if book is None:
            book = self._made[names] = Programme([])
            for name in names:
                book.take(self.whole.by_name[name], engine=STORED)
        return book

    def _complete(self, order: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*order, *self.whole.by_name)))
