"""Pages that move with their name: each account numbers the names it knows, and lots by them, for itself."""

from collections.abc import Iterable

from ledger.core.pages import (
    ActivityPage,
    AskPage,
    Award,
    CardPage,
    ClaimPage,
    ExchangePage,
    GivenPage,
    GrantPage,
    OrderPage,
    OutsidePage,
    Page,
    Part,
    ReceivedPage,
    RedemptionPage,
    ReviewPage,
    TransferPage,
)
from ledger.wire.entries import BIRTH_BIT, birth_of, lot_of, owner_of

_OF_LOTS = ("lot", "opened")  # the kinds of pages whose keys name a lot


class Numbers:
    """The numbers that another account has for names, by those that it has for itself."""

    def __init__(self, here: list[int]) -> None:
        self._here = here  # by the number there: 0 is the account that sent

    def lot(self, lot: int) -> int:
        """Return a lot's key here, from that at the account which sent it; 0 is none."""
        if not lot:
            return 0
        own = lot & (1 << BIRTH_BIT) - 1
        return lot_of(self._here[owner_of(lot)], self._here[birth_of(lot)], own)

    def key(self, key: str) -> str:
        """Return a page's key here."""
        kind, _, name = key.partition("/")
        return f"{kind}/{self.lot(int(name))}" if kind in _OF_LOTS else key

    def page(self, page: Page) -> Page:
        """Return a page with every lot that it names by its key here."""
        for award in _awards_of(page):
            award.lot = self.lot(award.lot)
            for grown in award.grown:
                grown.lot = self.lot(grown.lot)
        for part in _parts_of(page):
            part.lot = self.lot(part.lot)
        if isinstance(page, CardPage):
            page.released = [(kind, self.lot(lot)) for kind, lot in page.released]
        elif isinstance(page, ExchangePage):
            page.lots = [(self.lot(lot), points) for lot, points in page.lots]
        elif isinstance(page, ReceivedPage):
            page.lots = [self.lot(lot) for lot in page.lots]
        elif isinstance(page, GrantPage | AskPage | GivenPage):
            page.lot = self.lot(page.lot)
        return page


def _awards_of(page: Page) -> Iterable[Award]:
    if isinstance(page, OrderPage):
        return [award for line in (*page.lines, *page.paid) for award in line.awards]
    return page.awards if isinstance(page, ReviewPage | ActivityPage | ClaimPage) else ()


def _parts_of(page: Page) -> Iterable[Part]:
    if isinstance(page, RedemptionPage | OutsidePage):
        return page.parts
    if isinstance(page, TransferPage):
        return [*page.parts, *page.fee]
    return [part for fined in page.fined for part in fined.parts] if isinstance(page, ActivityPage) else ()
