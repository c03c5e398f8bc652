"""The rule book as one partition knew it at each place of its journal: what was published later is not in it."""

from bisect import bisect_left
from collections.abc import Iterator

from ledger.journal.ledger import Ledger
from ledger.journal.port import Damaged
from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import version_of

_FIRST = -(1 << 62)  # before every place


class BookHistory:
    """The books of a partition, which share their versions with the ledger's own; `versions` names all it knows.

    Raises `Damaged`.
    """

    def __init__(self, ledger: Ledger, partition: int) -> None:
        published = ledger.journal(partition).published()
        self._places = [book.sequence for book in published]
        self._names = (version_of(ledger.genesis_book), *(book.version for book in published))
        self.versions = frozenset(self._names)
        if not self.versions <= ledger.book.by_name.keys():
            ledger.forget_book()
        if unknown := sorted(self.versions - ledger.book.by_name.keys()):
            raise Damaged(
                f"partition {partition}: the text of version {unknown[0]} is not there: it, or its name, was changed;"
                " `points verify` says where"
            )
        self._books = ledger.books()
        self.whole = self._books.ordered(tuple(dict.fromkeys((*self._names, *ledger.book.by_name))))

    def books(self) -> Iterator[tuple[int, Programme]]:
        """Return each book, the first one first, with the place behind which it decides."""
        return ((place, self.before(place + 1)) for place in (_FIRST, *self._places))

    def before(self, place: int) -> Programme:
        """Return the book that decided the entry at a place."""
        return self._books.ordered(self._names[: bisect_left(self._places, place) + 1])
