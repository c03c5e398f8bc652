"""Merkle trees of RFC 9162 over leaves that are read once, in order: memory is a hash a level, whatever the size."""

from collections.abc import Callable, Iterable, Sequence
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
        """The tree head (MTH)."""
        if not self.peaks:
            return EMPTY
        node = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            node = sha256(b"\1" + peak + node).digest()
        return node


def inclusion_path(index: int, size: int) -> list[range]:
    """The leaves under each node of the path from leaf `index` (from 0) to the head, lowest first (2.1.3.1)."""
    path: list[range] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _largest_power_below(end - first)
        if index < middle:
            path.append(range(middle, end))
            end = middle
        else:
            path.append(range(first, middle))
            first = middle
    return path[::-1]


def consistency_path(earlier: int, later: int) -> list[range]:
    """The leaves under each node that leads from a tree of `earlier` leaves to one of `later` (2.1.4.1)."""
    if not 0 < earlier < later:
        return []
    path: list[range] = []
    first, end = 0, later
    while earlier < end:
        middle = first + _largest_power_below(end - first)
        if earlier <= middle:
            path.append(range(middle, end))
            end = middle
        else:
            path.append(range(first, middle))
            first = middle
    if first:  # the whole earlier tree is no node of its own: its last subtree has to be given
        path.append(range(first, end))
    return path[::-1]


class Blocks:
    """A tree whose full blocks of leaves have known heads: any part of a path is a few of those, and a few leaves.

    `block` is a power of two; `leaves` gives the leaf inputs from one index up to another.
    """

    def __init__(self, heads: Sequence[bytes], block: int, leaves: Callable[[int, int], Iterable[bytes]]) -> None:
        self._heads = heads
        self._block = block
        self._leaves = leaves

    def head(self, part: range) -> bytes:
        """The head over a range of leaves that a path names, or over the first so many."""
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
        """Whether the block that holds a leaf is the one whose head is known; true where none is."""
        number = index // self._block
        if number >= len(self._heads):
            return True
        tree = Frontier()
        for leaf in self._leaves(number * self._block, (number + 1) * self._block):
            tree.add(leaf)
        return tree.head() == self._heads[number]


def _largest_power_below(size: int) -> int:
    """The largest power of two smaller than `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1
