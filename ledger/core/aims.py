"""Which award an adjustment is aimed at, and what is taken of it. Source: orders.md 9."""

from ledger.core.draft import Draft
from ledger.core.lots import claw_back, lot_page
from ledger.core.openings import opening_of
from ledger.core.pages import ActivityPage, Award, ClaimPage, GrantPage, OrderPage, Page, PageLine, ReviewPage
from ledger.wire.entries import Earned, lot_text
from ledger.wire.facts import Aim


def take_of(draft: Draft, aim: Aim, kind: str, points: int) -> int:
    """Take up to `points` of a kind from the award that `aim` names. Returns how many it held.

    Declines an award that is not known, or is not of that kind.
    """
    if aim.order:
        order = draft.pages.get(f"order/{aim.order}")
        line = order.line(aim.line) if isinstance(order, OrderPage) else None
        awards = [award for award in line.awards if award.kind == kind] if line is not None else []
        if order is None or not awards:
            draft.decline("unknown-award", order=aim.order, line=aim.line)
        taken = _take(draft, awards, points, aim.line)
        draft.pages.put(f"order/{aim.order}", order)
        return taken
    if aim.grant:
        grant = draft.pages.get(f"grant/{aim.grant}")
        if not isinstance(grant, GrantPage) or grant.kind != kind:
            draft.decline("unknown-award", grant=aim.grant)
        return _take_of_lot(draft, grant.lot, kind, points, lot_text(grant.lot))
    return _take_of_lot(draft, draft.find_lot(aim.lot), kind, points, aim.lot)


def _take_of_lot(draft: Draft, key: int, kind: str, points: int, name: str) -> int:
    """Take of the award that opened a lot: it stands on the page of what gave it, or on no page but the lot's."""
    earned = opening_of(draft, key)
    if earned is None or earned.kind != kind:
        draft.decline("unknown-award", lot=name)
    for name in (("order", "review") if earned.line else ("order", "claim", "activity")) if earned.page else ():
        page = draft.pages.get(f"{name}/{earned.page}")
        award = _award_of(page, earned.line, key)
        if award is not None and page is not None:
            taken = _take(draft, [award], points, earned.line)
            draft.pages.put(f"{name}/{earned.page}", page)
            return taken
    return _take_of_standing(draft, earned, points)


def _award_of(page: Page | None, name: str, key: int) -> Award | None:
    """Return the award on a page, of an order that of the line so named or of its payment, which opened a lot."""
    found = [page.line(name), *page.paid] if isinstance(page, OrderPage) else [page]
    for holder in found:
        for award in holder.awards if isinstance(holder, PageLine | ReviewPage | ClaimPage | ActivityPage) else ():
            if key == award.lot or any(key == grown.lot for grown in award.grown):
                return award
    return None


def _take_of_standing(draft: Draft, earned: Earned, points: int) -> int:
    """Take of an award that nothing else takes back: its lot's page counts what adjustments took."""
    before = lot_page(draft, earned.lot).taken
    held = earned.points - before
    if _is_gone(draft, earned):
        taken = min(points, held)
    else:
        award = Award(earned.rule, earned.points, held, earned.kind, earned.lot, earned.expires_at, less=before)
        taken = _take(draft, [award], points, "")
    page = lot_page(draft, earned.lot)
    page.taken = before + taken
    draft.pages.put(f"lot/{earned.lot}", page)
    return taken


def _is_gone(draft: Draft, earned: Earned) -> bool:
    """Return True if a lot is over of which no page remembers what expired: it counts as expired, and none is asked."""
    idle_ended = draft.account.purse(earned.kind).idle_ended
    return not earned.returnable and (earned.expires_at <= draft.clock or earned.lot < idle_ended)


def _take(draft: Draft, awards: list[Award], points: int, line: str) -> int:
    """Take up to `points` of awards, one after the other, as a claw-back does; returns reckon with that much less."""
    rest = points
    for award in awards:
        part = min(rest, award.held)
        if part:
            claw_back(draft, award, award.held - part, line)
            award.less = draft.bounded(award.less + part)
            rest -= part
    return points - rest
