"""The rule book as one partition knew it at each place of its journal: what was published later is not in it."""

from bisect import bisect_left

from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import version_of


class BookHistory:
    """The books of a partition, which share their versions with the ledger's own; `versions` names all it knows."""

    def __init__(self, ledger: Ledger, partition: int) -> None:
        published = ledger.journal(partition).published()
        self._places = [book.sequence for book in published]
        self._names = (version_of(ledger.genesis_book), *(book.version for book in published))
        self.versions = frozenset(self._names)
        if not self.versions <= ledger.book.by_name.keys():
            ledger.forget_book()
        self._books = ledger.books()
        self.whole = self._books.ordered(tuple(dict.fromkeys((*self._names, *ledger.book.by_name))))

    def before(self, place: int) -> Programme:
        """Return the book that decided the entry at a place."""
        return self._books.ordered(self._names[: bisect_left(self._places, place) + 1])
