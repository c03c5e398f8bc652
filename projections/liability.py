"""What the points of all members may still cost at an instant: those outstanding, by the month they would expire in."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from ledger.account import Purse
from ledger.journal.ledger import Ledger
from ledger.times import month_text, to_text
from projections.show import open_lots

TICK_EVERY = 500  # members


def liability(ledger: Ledger, as_of: int, progress: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """By kind: points outstanding, and the open lots by local month of expiry. `progress` hears of members.

    What is held stands in no lot, so outstanding = the months together + held.
    """
    version = ledger.book.nearest(as_of)
    sums = {kind: _OfKind() for kind in version.programme.kinds}
    members = 0
    for _, account in ledger.accounts(as_of):
        members += 1
        for kind, purse in account.purses.items():
            sums.setdefault(kind, _OfKind()).add(purse, version.month)
        if not members % TICK_EVERY:
            progress(members)
    points = {kind: found.to_dict() for kind, found in sums.items()}
    return {"as_of": to_text(as_of, version.offset), "members": members, "points": points}


class _OfKind:
    """What was summed of a kind of points."""

    def __init__(self) -> None:
        self._spendable = self._pending = self._held = 0
        self._by_month: Counter[int] = Counter()

    def add(self, purse: Purse, month: Callable[[int], int]) -> None:
        """Add a member's purse."""
        self._spendable += purse.spendable()
        self._pending += purse.pending()
        self._held += purse.held()
        for _, lot in open_lots(purse):
            self._by_month[month(lot.expires_at - 1)] += lot.left  # gone at `expires_at`: the month it ends in

    def to_dict(self) -> dict[str, Any]:
        """The figures."""
        return {
            "outstanding": self._spendable + self._pending + self._held,
            "spendable": self._spendable,
            "pending": self._pending,
            "held": self._held,
            "by_month": {month_text(month): points for month, points in sorted(self._by_month.items())},
        }
