"""What operators and campaigns say: grants, adjustments, opening lots, freezing."""

from ledger.core.draft import Draft
from ledger.core.lots import collect, earn
from ledger.wire.entries import Earned, Frozen, Unfrozen
from ledger.wire.facts import Adjustment, Grant, OpeningLot, Publication, Reason
from ledger.wire.times import to_instant


def freeze(draft: Draft, data: Reason) -> None:
    """Decide that an account is frozen."""
    draft.emit(Frozen(data.reason))


def unfreeze(draft: Draft, data: Reason) -> None:
    """Decide that an account is no longer frozen."""
    if not draft.account.frozen:
        draft.decline("not-frozen")
    draft.emit(Unfrozen(data.reason))


def publish(draft: Draft, _data: Publication) -> None:
    """Decline a published rule book, which is no member's: the intake takes it before it comes here."""
    draft.decline("not-a-member")


def grant(draft: Draft, data: Grant) -> None:
    """Decide points that a campaign gives."""
    draft.check_kind(data.kind)
    draft.take_id(f"grant/{data.grant}")
    expires = draft.version.expires_at(data.kind, draft.occurred) if data.expires is None else to_instant(data.expires)
    _earn(draft, data, "campaign", draft.occurred, expires, data.campaign)


def _earn(
    draft: Draft, data: Grant | Adjustment | OpeningLot, rule: str, earned_at: int, expires_at: int, page: str
) -> None:
    """Open a lot of points that stand in the fact itself."""
    lot, points = draft.next_lot(), data.points
    earn(draft, Earned(data.kind, lot, points, rule, earned_at, expires_at, page=page, uncapped=points))


def adjust(draft: Draft, data: Adjustment) -> None:
    """Decide points put on or taken off by hand, which needs two people."""
    draft.check_kind(data.kind)
    if draft.pages.get(f"adjustment/{data.adjustment}") is not None:
        draft.decline("already")
    if not data.approved_by or data.approved_by == data.by:
        draft.decline("not-approved", by=data.by, approved_by=data.approved_by)
    draft.take_id(f"adjustment/{data.adjustment}")
    draft.figures["reason"] = data.reason
    if data.points > 0:
        expires = draft.version.expires_at(data.kind, draft.occurred)
        _earn(draft, data, "adjustment", draft.occurred, expires, data.adjustment)
    else:
        collect(draft, data.kind, -data.points, "adjustment")


def open_lot(draft: Draft, data: OpeningLot) -> None:
    """Decide a lot carried over from an older system."""
    draft.check_kind(data.kind)
    draft.take_id(f"opening/{data.lot}")
    _earn(draft, data, "lot.opened", to_instant(data.earned_at), to_instant(data.expires_at), data.lot)
