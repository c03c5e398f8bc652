"""Postings: what a change of an account moves, from which named account to which.

The one definition of the ledger's double entry. A member's points stand in `spendable`, `pending` and `held`; they come
from `issued` and go to `redeemed`, `expired`, `clawed_back` or `forfeited`. What one account sends another stands in
`in_transit` until it is there: over all members, that is what is on its way. A claim that no spendable point could meet
stands beside them: `claimed`, out of the member's `debt`, out of what was `written_off`, or out of a refund
(`cash_shortfall`).

A change names its lot and not whether that lot was pending, nor when it was to expire: `postings_of` takes both from
the account as it stood before the change, which whoever folds entries has at hand.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from ledger.core.account import Account
from ledger.wire.entries import (
    Captured,
    Change,
    ClawedBack,
    Confirmed,
    DebtIncurred,
    DebtMoved,
    Earned,
    Expired,
    Forfeited,
    Forgiven,
    GivenBack,
    Held,
    MovedIn,
    MovedOut,
    PaidInCash,
    Recalled,
    Received,
    Refrozen,
    Released,
    Repaid,
    Restored,
    Sent,
    SentBack,
    Spent,
    WrittenOff,
)

SPENDABLE, PENDING, HELD = "spendable", "pending", "held"
ISSUED, REDEEMED, EXPIRED, CLAWED_BACK = "issued", "redeemed", "expired", "clawed_back"
FORFEITED, IN_TRANSIT = "forfeited", "in_transit"
CLAIMED, DEBT, WRITTEN_OFF, CASH_SHORTFALL = "claimed", "debt", "written_off", "cash_shortfall"
IN_AND_OUT = (ISSUED, REDEEMED, EXPIRED, CLAWED_BACK)  # of what members have
ACCOUNTS = (SPENDABLE, PENDING, HELD, *IN_AND_OUT, FORFEITED, IN_TRANSIT, CLAIMED, DEBT, WRITTEN_OFF, CASH_SHORTFALL)
SOURCES = frozenset({ISSUED, DEBT, WRITTEN_OFF, CASH_SHORTFALL})  # their figures grow by what leaves them

T = TypeVar("T")


class Posting(Struct, frozen=True, gc=False):
    """Points of a kind that moved. `lot` and its end (microseconds since 1970 UTC) are 0 where they are in no lot.

    `fen` is the money that `cash_shortfall` paid for the points, otherwise 0.
    """

    kind: str
    source: str
    destination: str
    points: int
    lot: int = 0
    expires_at: int = 0
    fen: int = 0


def growth(figures: Mapping[str, T]) -> Mapping[tuple[str, str], tuple[tuple[T, int], ...]]:
    """Return by (source, destination) which figures of the books a posting moves, each with its sign.

    `figures` names by account what is summed; `cash_shortfall` may be summed in points or in fen.
    """
    return {
        (source, destination): tuple(
            (figures[account], sign if account in SOURCES else -sign)
            for account, sign in ((source, 1), (destination, -1))
            if account in figures
        )
        for source in ACCOUNTS
        for destination in ACCOUNTS
    }


Postings = tuple[Posting, ...]


def postings_of(change: Change, account: Account | None) -> Postings:
    """Return what a change moves, () for one that moves no points; `account` is as it stood before the change.

    Without an account a lot's points count as `spendable` and its end as unknown: enough for who sums what came in and
    went out. Raises KeyError for a lot that the account has not.
    """
    made = _POSTINGS.get(type(change))
    return made(change, account) if made is not None else ()


def _earned(change: Earned, account: Account | None) -> Postings:
    to = PENDING if change.pending_until else SPENDABLE
    return (Posting(change.kind, ISSUED, to, change.points, change.lot, change.expires_at),)


def _restored(change: Restored, account: Account | None) -> Postings:
    return _to_own_lot(REDEEMED, change, account)


def _to_own_lot(source: str, change: Restored | SentBack, account: Account | None) -> Postings:
    lot = account.purse(change.kind).lots.get(change.lot) if account is not None else None
    to = PENDING if lot is not None and lot.pending_until else SPENDABLE  # frozen again since they were spent
    return (Posting(change.kind, source, to, change.points, change.lot, change.expires_at),)


def _moved_out(change: MovedOut, account: Account | None) -> Postings:
    """What leaves with a lot: what is free of it, and what is on hold."""
    expires_at, place = 0, SPENDABLE
    if account is not None:
        lot = account.purses[change.kind].lots[change.lot]
        expires_at, place = lot.expires_at, PENDING if lot.pending_until else SPENDABLE
    parts = ((place, change.points), (HELD, change.held))
    return tuple(
        Posting(change.kind, source, IN_TRANSIT, points, change.lot, expires_at) for source, points in parts if points
    )


def _moved_in(change: MovedIn, account: Account | None) -> Postings:
    lot = account.purse(change.kind).lots.get(change.lot) if account is not None else None
    pending_until = change.pending_until if lot is None else lot.pending_until
    parts = ((PENDING if pending_until else SPENDABLE, change.points), (HELD, change.held))
    return tuple(
        Posting(change.kind, IN_TRANSIT, to, points, change.lot, change.expires_at) for to, points in parts if points
    )


def _debt_moved(change: DebtMoved, account: Account | None) -> Postings:
    if change.points > 0:
        return (Posting(change.kind, DEBT, CLAIMED, change.points),)
    return (Posting(change.kind, CLAIMED, DEBT, -change.points),)


def _received(change: Received, account: Account | None) -> Postings:
    return (Posting(change.kind, IN_TRANSIT, SPENDABLE, change.points, change.lot, change.expires_at),)


def _sent_back(change: SentBack, account: Account | None) -> Postings:
    return _to_own_lot(IN_TRANSIT, change, account)


def _given_back(change: GivenBack, account: Account | None) -> Postings:
    return (Posting(change.kind, CLAWED_BACK, SPENDABLE, change.points, change.lot, change.expires_at),)


def _forgiven(change: Forgiven, account: Account | None) -> Postings:
    return (Posting(change.kind, CLAIMED, DEBT, change.points),)


def _from_lot(source: str, destination: str) -> Callable[[Any, Account | None], Postings]:
    """What leaves one account for another; a pending lot is in `pending` whatever the source."""

    def made(change: Any, account: Account | None) -> Postings:
        if account is None:
            return (Posting(change.kind, source, destination, change.points, change.lot),)
        lot = account.purses[change.kind].lots[change.lot]
        place = PENDING if lot.pending_until else source
        return (Posting(change.kind, place, destination, change.points, change.lot, lot.expires_at),)

    return made


def _released(change: Released, account: Account | None) -> Postings:
    lot = account.purses[change.kind].lots[change.lot] if account is not None else None
    to = PENDING if lot is not None and lot.pending_until else SPENDABLE
    return (Posting(change.kind, HELD, to, change.points, change.lot, lot.expires_at if lot is not None else 0),)


def _captured(change: Captured, account: Account | None) -> Postings:
    expires_at = account.purses[change.kind].lots[change.lot].expires_at if account is not None else 0
    return (Posting(change.kind, HELD, REDEEMED, change.points, change.lot, expires_at),)


def _claimed(source: str) -> Callable[[Any, Account | None], Postings]:
    def made(change: DebtIncurred | WrittenOff, account: Account | None) -> Postings:
        return (Posting(change.kind, source, CLAIMED, change.points),)

    return made


def _paid_in_cash(change: PaidInCash, account: Account | None) -> Postings:
    return (Posting(change.kind, CASH_SHORTFALL, CLAIMED, change.points, fen=change.fen),)


def _repaid(change: Repaid, account: Account | None) -> Postings:
    return (*_clawed_back(change, account), Posting(change.kind, CLAIMED, DEBT, change.points))


_clawed_back = _from_lot(SPENDABLE, CLAWED_BACK)

_POSTINGS: Mapping[type[Change], Callable[[Any, Account | None], Postings]] = {
    Earned: _earned,
    Confirmed: _from_lot(PENDING, SPENDABLE),
    Spent: _from_lot(SPENDABLE, REDEEMED),
    Restored: _restored,
    GivenBack: _given_back,
    Forgiven: _forgiven,
    Held: _from_lot(SPENDABLE, HELD),
    Released: _released,
    Captured: _captured,
    Refrozen: _from_lot(SPENDABLE, PENDING),
    Expired: _from_lot(SPENDABLE, EXPIRED),
    ClawedBack: _clawed_back,
    Forfeited: _from_lot(SPENDABLE, FORFEITED),
    Sent: _from_lot(SPENDABLE, IN_TRANSIT),
    Recalled: _from_lot(SPENDABLE, IN_TRANSIT),
    Received: _received,
    SentBack: _sent_back,
    Repaid: _repaid,
    DebtIncurred: _claimed(DEBT),
    WrittenOff: _claimed(WRITTEN_OFF),
    PaidInCash: _paid_in_cash,
    MovedOut: _moved_out,
    MovedIn: _moved_in,
    DebtMoved: _debt_moved,
}
MOVES = frozenset(_POSTINGS)  # the changes that move points
