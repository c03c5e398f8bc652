"""Merkle trees of RFC 9162 over leaves that are read once, in order: memory is a hash a level, whatever the size."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

EMPTY = sha256().digest()  # the head of a tree without leaves


class Frontier:
    """The head of a tree that grows: `peaks` are the heads of its full subtrees, the largest first."""

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Go on from a tree of `size` leaves. Raises ValueError where the peaks are not as many as it has."""
        if len(peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks, not {len(peaks)}")
        self.size = size
        self.peaks = list(peaks)

    def add(self, leaf: bytes) -> None:
        """Take the next leaf input."""
        self.add_node(sha256(b"\0" + leaf).digest())

    def add_node(self, node: bytes) -> None:
        """Take the hash of the next leaf, or the head of the next subtree where all are of one size."""
        full = self.size
        while full & 1:
            node = sha256(b"\1" + self.peaks.pop() + node).digest()
            full >>= 1
        self.peaks.append(node)
        self.size += 1

    def head(self) -> bytes:
        """Return the tree head (MTH)."""
        if not self.peaks:
            return EMPTY
        node = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            node = sha256(b"\1" + peak + node).digest()
        return node


def inclusion_path(index: int, size: int) -> list[range]:
    """Return the leaves under each node of the path from leaf `index` (from 0) to the head, lowest first (2.1.3.1)."""
    return [other for _, other in _halves(index, size)][::-1]


def consistency_path(earlier: int, later: int) -> list[range]:
    """Return the leaves under each node that leads from a tree of `earlier` leaves to one of `later` (2.1.4.1)."""
    path: list[range] = []
    if 0 < earlier < later:
        for part, other in _halves(earlier - 1, later):
            path.append(other)
            if part.stop == earlier:
                if part.start:  # the whole earlier tree is no node of its own: its last subtree has to be given
                    path.append(part)
                break
    return path[::-1]


def _halves(index: int, size: int) -> Iterator[tuple[range, range]]:
    """From the head down to a leaf: the subtree that holds it, and the one beside that."""
    first, end = 0, size
    while end - first > 1:
        middle = first + (1 << (end - first - 1).bit_length() - 1)  # the largest power of two below the size
        left, right = range(first, middle), range(middle, end)
        part, other = (left, right) if index < middle else (right, left)
        yield part, other
        first, end = part.start, part.stop


class Blocks:
    """A tree whose full blocks of leaves have known heads: any part of a path is a few of those, and a few leaves.

    `block` is a power of two; `leaves` gives the leaf inputs from one index up to another.
    """

    def __init__(self, heads: Sequence[bytes], block: int, leaves: Callable[[int, int], Iterable[bytes]]) -> None:
        self._heads = heads
        self._block = block
        self._leaves = leaves

    def head(self, part: range) -> bytes:
        """Return the head over a range of leaves that a path names, or over the first of all."""
        first, last = -(-part.start // self._block), part.stop // self._block
        upper, lower = Frontier(), Frontier()
        if part.start % self._block:
            last = first  # it lies within a block
        for node in self._heads[first:last]:
            upper.add_node(node)
        for leaf in self._leaves(max(part.start, last * self._block) if last > first else part.start, part.stop):
            lower.add(leaf)
        return Frontier(len(part), [*upper.peaks, *lower.peaks]).head()

    def is_block(self, index: int) -> bool:
        """Return True if the block that holds a leaf is the one whose head is known, or none is."""
        number = index // self._block
        if number >= len(self._heads):
            return True
        tree = Frontier()
        for leaf in self._leaves(number * self._block, (number + 1) * self._block):
            tree.add(leaf)
        return tree.head() == self._heads[number]
