"""Two streams in the same order, read together."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")


def side_by_side(
    ours: Iterator[A], theirs: Iterator[B], key: Callable[[A | B], Any]
) -> Iterator[tuple[A | None, B | None]]:
    """Yield what stands under each key of either, None where one has none; both are in the order of their keys."""
    one, other = next(ours, None), next(theirs, None)
    while one is not None or other is not None:
        first: Any = None if one is None else key(one)
        second: Any = None if other is None else key(other)
        is_ours = one is not None and (other is None or first <= second)
        is_theirs = other is not None and (one is None or second <= first)
        yield one if is_ours else None, other if is_theirs else None
        one = next(ours, None) if is_ours else one
        other = next(theirs, None) if is_theirs else other
