"""What the views on points share: a member's open lots as their state, and which changes move points."""

from typing import Any, ClassVar

from msgspec import Struct

from ledger.core.account import Account, move_lapse
from ledger.core.evolve import evolve
from ledger.core.postings import MOVES
from ledger.wire.entries import Change, IdleEnded, IdleMoved, TermMoved
from projections.views.view import View

POINTS = MOVES | {IdleMoved, IdleEnded, TermMoved}  # of a term: until when a trial's points are frozen


class PointsView(View):
    """A view that keeps the points of each account: purses with their lots, debt and totals, and holds."""

    changes = POINTS
    state: ClassVar[type[Struct] | None] = Account

    def evolve(self, state: Any, change: Change) -> None:
        """Apply a change that moves points; of a term only that frozen points wait until another instant."""
        if type(change) is TermMoved:
            if change.pending_until:
                move_lapse(state, change.pending_until)
        else:
            evolve(state, change)
