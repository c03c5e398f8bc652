"""What is read ahead: a journal's next rows, while the native engine works on those before with the lock released."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(blocks: Iterator[T]) -> Iterator[T]:
    """Yield what an iterator yields; a thread of its own asks for the next one meanwhile.

    What the iterator raises is raised here. The thread ends with this generator.
    """
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        coming = reader.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = reader.submit(next, blocks, None)
            yield block
