"""What the views on points share: each member's whole account, for time gives points as well as it takes them.

A tier that is reached as a month begins may give points: so nothing can be left out of an account but what was met for
the first time, on which time gives nothing. (A set has no order, and two builds are to be alike byte for byte.)
"""

from typing import Any, ClassVar, NamedTuple

from msgspec import Struct

from ledger.core.account import Account
from ledger.core.awards import ONCE
from ledger.core.evolve import APPLY, evolve
from ledger.wire.entries import Change, FirstSeen
from projections.views.view import RowDeltas, View

MOVED_BY = ("member", "month", "booked", "day", "expires")


class Move(NamedTuple):
    """Postings of a kind between two accounts, summed: the points, and the `amount`, in fen where fen paid for them.

    By what a view does not sum is "" or 0. `month` and `day` are those in which the points moved by the member's clock,
    `booked` is the month in which the ledger knew it and `expires` that of their end, as the native engine counts them:
    months and days as integers, -1 for points that are in no lot. Summed by `booked`, there is also what time took by
    the end of each month, and what of it was taken back then.
    """

    member: str
    kind: str
    source: str
    destination: str
    month: int
    booked: int
    day: int
    expires: int
    points: int
    amount: int


class PointsView(View):
    """A view that keeps the account of each member.

    A class whose state is the account, and which says in `moves_by` by which of `MOVED_BY` it sums what points moved,
    can be folded by the native engine: `moved` and `answered` then come to the same rows as `entry` and `change`.
    """

    changes = frozenset(APPLY)
    state: ClassVar[type[Struct] | None] = Account
    moves_by: ClassVar[frozenset[str] | None] = None

    def moved(self, move: Move, rows: RowDeltas) -> None:
        """Add postings that were summed."""

    def answered(self, outcome: int, reason: str, entries: int, rows: RowDeltas) -> None:
        """Add how many entries answered their fact by an outcome and a reason."""

    def evolve(self, state: Any, change: Change) -> None:
        """Apply a change to the account, unless it is what was met for the first time."""
        if type(change) is not FirstSeen or change.mark == ONCE:
            evolve(state, change)
