"""How lots were opened: by an entry of this account, or by one of another's, which told it when the lot moved."""

from ledger.core.draft import Draft
from ledger.core.pages import OpenedPage
from ledger.wire.entries import Earned, birth_of, entry_of

OPENED = "opened/"  # how the key of the page of a lot begins that another account opened


def opening_of(draft: Draft, lot: int) -> Earned | None:
    """Return how a lot was opened, None where there is none of that key."""
    if not birth_of(lot):
        return next((earned for earned in draft.pages.opened(entry_of(lot)) if earned.lot == lot), None)
    page = draft.pages.get(f"{OPENED}{lot}")
    if not isinstance(page, OpenedPage):
        return None
    return Earned(
        page.kind,
        lot,
        page.points,
        page.rule,
        page.earned_at,
        page.expires_at,
        page=page.page,
        line=page.line,
        card=page.card,
        returnable=page.returnable,
    )


def page_of(earned: Earned) -> OpenedPage:
    """Return the page that tells another account how a lot was opened."""
    return OpenedPage(
        earned.kind,
        earned.points,
        earned.rule,
        earned.earned_at,
        earned.expires_at,
        earned.page,
        earned.line,
        earned.card,
        earned.returnable,
    )
