"""Points that wait to be claimed: of an order's line, or of a lot."""

from collections.abc import Iterator

from ledger.core.draft import Draft
from ledger.core.lots import lot_page, repay_or_expire
from ledger.core.pages import GrantPage, OrderPage
from ledger.rulebook.compiled import CLAIM
from ledger.wire.entries import Confirmed
from ledger.wire.facts import Aim, PointsClaim


def claim_points(draft: Draft, data: PointsClaim) -> None:
    """Decide that points which waited for it are claimed: they are spendable from now on."""
    named = list(_lots_of(draft, data.of))
    purses = draft.account.purses
    waiting = [
        (kind, key)
        for key in named
        for kind, purse in purses.items()
        if key in purse.lots and purse.lots[key].waits == CLAIM
    ]
    if not waiting:
        pages = [lot_page(draft, key) for key in named]
        if any(page.claimed for page in pages):
            draft.decline("already")
        draft.decline("lapsed" if any(page.expired for page in pages) else "unknown-award")
    for kind, key in waiting:
        page = lot_page(draft, key)
        page.claimed = True
        draft.pages.put(f"lot/{key}", page)
        draft.emit(Confirmed(kind, key, purses[kind].lots[key].left))
        repay_or_expire(draft, kind, key, draft.clock)


def _lots_of(draft: Draft, aim: Aim) -> Iterator[int]:
    """Yield the lots of the award that is named."""
    if aim.order:
        page = draft.pages.get(f"order/{aim.order}")
        line = page.line(aim.line) if isinstance(page, OrderPage) else None
        for award in line.awards if line is not None else ():
            yield award.lot
            yield from (grown.lot for grown in award.grown)
        for paid in page.paid if isinstance(page, OrderPage) else ():
            if paid.line == aim.line:
                yield from (award.lot for award in paid.awards)
    elif aim.grant:
        grant = draft.pages.get(f"grant/{aim.grant}")
        if isinstance(grant, GrantPage):
            yield grant.lot
    else:
        yield draft.find_lot(aim.lot)
