"""What the views on points share: each member's whole account, for time gives points as well as it takes them.

A tier that is reached as a month begins may give points: so nothing can be left out of an account but what was met for
the first time, on which time gives nothing. (A set has no order, and two builds are to be alike byte for byte.)
"""

from typing import Any, ClassVar

from msgspec import Struct

from ledger.core.account import Account
from ledger.core.awards import ONCE
from ledger.core.evolve import APPLY, evolve
from ledger.wire.entries import Change, FirstSeen
from projections.views.view import View


class PointsView(View):
    """A view that keeps the account of each member."""

    changes = frozenset(APPLY)
    state: ClassVar[type[Struct] | None] = Account

    def evolve(self, state: Any, change: Change) -> None:
        """Apply a change to the account, unless it is what was met for the first time."""
        if type(change) is not FirstSeen or change.mark == ONCE:
            evolve(state, change)
