"""Lots that go from one account to another: with the name they are of, or after it."""

from ledger.core.account import Lot
from ledger.core.draft import Draft
from ledger.core.moved_pages import Numbers
from ledger.wire.entries import MovedIn, MovedOut, owner_of
from ledger.wire.facts import LotReturn, LotReturned, MovedLot
from ledger.wire.times import to_datetime


def moved_lot(kind: str, key: int, lot: Lot) -> MovedLot:
    """Return a lot as it is told to another account."""
    return MovedLot(
        kind=kind,
        lot=key,
        points=lot.left,
        held=lot.held,
        earned=lot.earned,
        earned_at=lot.earned_at,
        expires_at=lot.expires_at,
        rule=lot.rule,
        pending_until=lot.pending_until,
        returnable=lot.returnable,
        waits=lot.waits,
    )


def came(lot: MovedLot, numbers: Numbers, frm: str) -> MovedIn:
    """Return the change by which a lot comes in from the account `frm`."""
    return MovedIn(
        lot.kind,
        numbers.lot(lot.lot),
        lot.points,
        lot.held,
        lot.rule,
        lot.earned,
        lot.earned_at,
        lot.expires_at,
        lot.pending_until,
        lot.returnable,
        lot.waits,
        frm,
    )


def lives_elsewhere(draft: Draft, key: int) -> bool:
    """Return True if a lot is of a name that this account has no more."""
    bundle = draft.account.bundle
    return owner_of(key) > 0 and bundle is not None and not bundle.has(key)


def send_on(draft: Draft, kind: str, key: int) -> None:
    """Send what came back to a lot on to the name that it is of."""
    bundle = draft.account.bundle
    assert bundle is not None
    lot = draft.account.purses[kind].lots[key]
    to = bundle.known[owner_of(key) - 1]
    told = LotReturn(
        frm=draft.name,
        at=to_datetime(draft.clock),
        known=[draft.own_name, *bundle.known],
        lot=moved_lot(kind, key, lot),
        points=lot.left,
    )
    draft.emit(MovedOut(kind, key, lot.left, 0, to))
    draft.tell(to, LotReturned, told, draft.clock)
