"""The rule book as one partition knew it at each place of its journal: what was published later is not in it."""

from bisect import bisect_left
from collections.abc import Iterator

from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import version_of

_FIRST = -(1 << 62)  # before every place


class BookHistory:
    """The books of a partition, which share their versions with the ledger's own; `versions` names all it knows."""

    def __init__(self, ledger: Ledger, partition: int) -> None:
        published = ledger.journal(partition).published()
        self._places = [book.sequence for book in published]
        self._names = [version_of(ledger.genesis_book), *(book.version for book in published)]
        self.versions = frozenset(self._names)
        if not self.versions <= ledger.book.by_name.keys():
            ledger.forget_book()
        self.whole = ledger.book
        self._made: dict[int, Programme] = {}

    def books(self) -> Iterator[tuple[int, Programme]]:
        """Return each book, the first one first, with the place behind which it decides."""
        return ((place, self.before(place + 1)) for place in (_FIRST, *self._places))

    def before(self, place: int) -> Programme:
        """Return the book that decided the entry at a place."""
        published = bisect_left(self._places, place)
        book = self._made.get(published)
        if book is None:
            names = self._names[: published + 1]
            book = self._made[published] = Programme([])
            book.by_name = {name: self.whole.by_name[name] for name in names}
            # Of equal dates the one published last is last, and each partition may have heard them in its own order.
            book.versions = sorted(book.by_name.values(), key=lambda version: version.since)
        return book
