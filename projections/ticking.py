"""Progress, told from time to time while rows are read."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
Progress = Callable[[int], None]  # called with how many were done so far
EVERY = 5_000


def silent(_: int) -> None:
    """Tell nobody."""


def ticking(rows: Iterable[T], progress: Progress, done: int = 0, every: int = EVERY) -> Iterator[T]:
    """Yield rows, and tell how many there were, with the `done` before them, at each `every`th."""
    for count, row in enumerate(rows, 1):
        if not count % every:
            progress(done + count)
        yield row
