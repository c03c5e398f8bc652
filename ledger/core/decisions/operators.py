"""What operators and campaigns say: grants, adjustments, opening lots, freezing."""

from ledger.core.aims import take_of
from ledger.core.asks import open_asks_of
from ledger.core.decisions.pools import give_up_ask, stop
from ledger.core.draft import Draft
from ledger.core.lots import collect, earn, forfeit, release_hold
from ledger.core.pages import GrantPage
from ledger.wire.entries import Closed, Earned, Frozen, Reopened, Unfrozen
from ledger.wire.facts import Adjustment, Grant, OpeningLot, Publication, Reason
from ledger.wire.times import to_instant


def freeze(draft: Draft, data: Reason) -> None:
    """Decide that an account is frozen."""
    stop(draft)
    draft.emit(Frozen(data.reason))


def unfreeze(draft: Draft, data: Reason) -> None:
    """Decide that an account is no longer frozen."""
    if not draft.account.frozen:
        draft.decline("not-frozen")
    draft.emit(Unfrozen(data.reason))


def close(draft: Draft, data: Reason) -> None:
    """Decide that an account is closed: its holds are released, and all that can be spent or waits is forfeited."""
    account = draft.account
    if account.closed:
        draft.decline("already")
    if account.bundle is not None and (account.bundle.merger is not None or account.bundle.awaited):
        draft.decline("merge-busy")  # else what is on its way here were lost
    for asked in open_asks_of(draft):
        give_up_ask(draft, asked)
    for name, hold in list(account.holds.items()):
        release_hold(draft, name, hold, draft.clock)
    for kind, purse in account.purses.items():
        for key, lot in sorted(purse.lots.items()):
            if lot.left:
                forfeit(draft, kind, key, lot)
    stop(draft)
    draft.emit(Closed(data.reason))


def reopen(draft: Draft, data: Reason) -> None:
    """Decide that a closed account goes on."""
    if not draft.account.closed:
        draft.decline("not-closed")
    draft.emit(Reopened(data.reason))


def publish(draft: Draft, _data: Publication) -> None:
    """Decline a published rule book, which is no member's: the intake takes it before it comes here."""
    draft.decline("not-a-member")


def grant(draft: Draft, data: Grant) -> None:
    """Decide points that a campaign gives."""
    kind = draft.kind_of(data.kind, data.shop)
    if draft.pages.get(f"grant/{data.grant}") is not None:
        draft.decline("already")
    expires = draft.version.expires_at(kind, draft.occurred) if data.expires is None else to_instant(data.expires)
    lot = _earn(draft, kind, data.points, "campaign", draft.occurred, expires, data.campaign)
    draft.pages.put(f"grant/{data.grant}", GrantPage(kind, lot))


def _earn(draft: Draft, kind: str, points: int, rule: str, earned_at: int, expires_at: int, page: str) -> int:
    """Open a lot of points that stand in the fact itself; an adjustment may be aimed at it.

    Returns its key, 0 where the member has points of the kind at too many shops, and none are given.
    """
    if not draft.has_room_for(kind):
        return 0
    lot, may_be_claimed = draft.next_lot(), draft.engine >= 2
    earned = Earned(
        kind, lot, points, rule, earned_at, expires_at, page=page, uncapped=points, returnable=may_be_claimed
    )
    return earn(draft, earned)


def adjust(draft: Draft, data: Adjustment) -> None:
    """Decide points put on or taken off by hand, which needs two people."""
    kind = draft.kind_of(data.kind, data.shop)
    if draft.pages.get(f"adjustment/{data.adjustment}") is not None:
        draft.decline("already")
    if not data.approved_by or data.approved_by == data.by:
        draft.decline("not-approved", by=data.by, approved_by=data.approved_by)
    if data.of is not None and data.points < 0:
        aimed = take_of(draft, data.of, kind, -data.points)
        if aimed < -data.points:
            draft.note("adjustment-capped", asked=-data.points, held=aimed)
    draft.take_id(f"adjustment/{data.adjustment}")
    draft.figures["reason"] = data.reason
    if data.points > 0:
        expires = draft.version.expires_at(kind, draft.occurred)
        _earn(draft, kind, data.points, "adjustment", draft.occurred, expires, data.adjustment)
    elif data.of is None:
        collect(draft, kind, -data.points, "adjustment")


def open_lot(draft: Draft, data: OpeningLot) -> None:
    """Decide a lot carried over from an older system."""
    kind = draft.kind_of(data.kind, data.shop)
    draft.take_id(f"opening/{data.lot}")
    _earn(draft, kind, data.points, "lot.opened", to_instant(data.earned_at), to_instant(data.expires_at), data.lot)
