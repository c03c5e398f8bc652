"""The lots of a large purse with their spendable sum and order kept as they come and go: a burn costs what it takes.

A purse gets such lots once it holds many, and they are no part of its bytes: they are encoded as any dictionary is.
`evolve`, the only one to touch an account, tells them of every change to what is spendable.
"""

from heapq import heapify, heappop, heappush
from typing import Protocol, TypeVar

LARGE = 256  # lots from which on keeping them in order costs less than sorting them


class _Lot(Protocol):
    left: int
    expires_at: int
    pending_until: int


L = TypeVar("L", bound=_Lot)


class OrderedLots(dict[int, L]):
    """Lots by their key. `spendable` is the sum of what is free and not pending.

    In the heap stands each spendable lot, and perhaps others that were: they are left out when they are met.
    """

    __slots__ = ("_heap", "_is_by_end", "_standing", "spendable")

    def __init__(self, lots: dict[int, L]) -> None:
        super().__init__(lots)
        self.spendable = sum([lot.left for lot in lots.values() if not lot.pending_until])
        self._is_by_end: bool | None = None  # the order of the heap; None until one is asked for
        self._heap: list[tuple[int, int]] = []
        self._standing: set[int] = set()  # keys of the heap

    def changed(self, key: int, points: int) -> None:
        """Note that so many points of a lot have become spendable, or (below 0) are so no more."""
        self.spendable += points
        if points > 0 and self._is_by_end is not None and key not in self._standing:
            self._standing.add(key)
            heappush(self._heap, self._place(key))

    def burn(self, points: int, *, by_end: bool) -> list[tuple[int, int]]:
        """Return which spendable lots a burn takes: (lot, points), those that end soonest first, or else the oldest.

        Where there are fewer points, all of them.
        """
        if self._is_by_end is not by_end:
            self._is_by_end = by_end
            self._standing = {key for key, lot in self.items() if lot.left and not lot.pending_until}
            self._heap = [self._place(key) for key in self._standing]
            heapify(self._heap)
        taken, met = [], []
        while points and self._heap:
            place = heappop(self._heap)
            key = place[1]
            lot = self.get(key)
            if lot is None or not lot.left or lot.pending_until:
                self._standing.discard(key)
                continue
            met.append(place)  # it stands until it is spent
            part = min(points, lot.left)
            taken.append((key, part))
            points -= part
        for place in met:
            heappush(self._heap, place)
        return taken

    def _place(self, key: int) -> tuple[int, int]:
        return (self[key].expires_at if self._is_by_end else 0, key)


def kept_in_order(lots: dict[int, L]) -> dict[int, L]:
    """Return the lots of a purse as they are to be kept: with their sum and order from then on where they are many."""
    return OrderedLots(lots) if len(lots) >= LARGE and type(lots) is not OrderedLots else lots
