"""What processes that share a ledger tell each other: that there is something to look at, and never what.

News are hints. What is lost of them is found by looking, now and then.
"""

from collections.abc import Iterable
from typing import NamedTuple

APPENDED = "appended"  # the first word of news: records stand in the inboxes of the partitions that follow
DECIDED = "decided"  # they were decided further, and with the last word
BOOK = "book"  # about a rule book that was published


class News(NamedTuple):
    """What was told, about which partitions."""

    kind: str
    partitions: frozenset[int]
    has_book: bool = False

    def concerning(self, ours: frozenset[int]) -> frozenset[int]:
        """The partitions that a process looks at, which decides `ours`: what came to them, what others decided."""
        return self.partitions & ours if self.kind == APPENDED else self.partitions - ours


def news(kind: str, partitions: Iterable[int], *, has_book: bool = False) -> str:
    """The text of news."""
    return " ".join((kind, *map(str, sorted(set(partitions))), *(BOOK,) * has_book))


def read_news(text: str) -> News:
    """The news of a text; what cannot be read in it says nothing."""
    kind, *rest = text.split() or [""]
    return News(kind, frozenset(int(word) for word in rest if word.isdecimal()), BOOK in rest)
