"""Notifications between processes that share a ledger: which partitions to look at, never what stands there.

A notification is a hint. What is lost of them is found by looking, now and then.
"""

from collections.abc import Iterable
from typing import NamedTuple

APPENDED = "appended"  # first word: records were appended to the inboxes of the partitions that follow
DECIDED = "decided"  # first word: they were decided further; with the last word
BOOK = "book"  # among the decided facts was a published programme


class Notification(NamedTuple):
    """What happened, and to which partitions."""

    kind: str
    partitions: frozenset[int]
    has_book: bool = False


def encode_notification(kind: str, partitions: Iterable[int], *, has_book: bool = False) -> str:
    """Return the text of a notification."""
    return " ".join((kind, *map(str, sorted(set(partitions))), *(BOOK,) * has_book))


def decode_notification(text: str) -> Notification:
    """Return the notification of a text; words that cannot be read are left out."""
    kind, *rest = text.split() or [""]
    return Notification(kind, frozenset(int(word) for word in rest if word.isdecimal()), BOOK in rest)
