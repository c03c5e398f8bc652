"""What the views on points share: a member's open lots as their state, and which changes move points."""

from typing import Any, ClassVar

from msgspec import Struct

from ledger.core.account import Account, Lot, move_lapse
from ledger.core.evolve import evolve
from ledger.wire.entries import (
    Captured,
    Change,
    ClawedBack,
    Confirmed,
    DebtIncurred,
    Earned,
    Expired,
    Held,
    PaidInCash,
    Released,
    Repaid,
    Restored,
    Spent,
    TermMoved,
    WrittenOff,
)
from projections.views.view import View

POINTS = frozenset(
    {
        Earned,
        Spent,
        Expired,
        ClawedBack,
        Repaid,
        Restored,
        Confirmed,
        DebtIncurred,
        PaidInCash,
        WrittenOff,
        Held,
        Captured,
        Released,
        TermMoved,
    }
)


class PointsView(View):
    """A view that keeps the points of each account: purses with their lots, debt and totals, and holds."""

    changes = POINTS
    state: ClassVar[type[Struct] | None] = Account

    def evolve(self, state: Any, change: Change) -> None:
        """Apply a change that moves points; of a term only that frozen points wait until another instant."""
        if isinstance(change, TermMoved):
            if change.pending_until:
                move_lapse(state, change.pending_until)
        else:
            evolve(state, change)


def lot_of(account: Account, change: Spent | Expired | ClawedBack | Repaid | Captured | Released) -> Lot:
    """The lot that a change takes from, before it does."""
    return account.purses[change.kind].lots[change.lot]
