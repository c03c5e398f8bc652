"""Pages as engine 1 kept them: what it decided leaves pages behind that hold no more than they held then.

A later fact, decided by a newer engine, meets the page that was stored. An old entry that is derived again has to leave
the same page, or the two would part from there on.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import NODEFAULT, Struct

from ledger.core import pages
from ledger.core.pages import SEEN, Page, Pages
from ledger.wire.entries import Change, Earned

# How many fields each struct had; a page of another type was none but the mark of an id that is taken.
_FIELDS: Final[Mapping[type[Struct], int]] = {
    pages.OrderPage: 6,
    pages.PageLine: 8,
    pages.Award: 9,
    pages.EarlyReturn: 3,
    pages.ReviewPage: 4,
    pages.RedemptionPage: 3,
    pages.Part: 8,
    pages.HoldPage: 1,
    pages.CardPage: 2,
    pages.LotPage: 2,
    pages.DayPage: 2,
    pages.SeenPage: 0,
}
_PARTS: Final = {
    pages.OrderPage: ("lines", "early"),
    pages.PageLine: ("awards",),
    pages.ReviewPage: ("awards",),
    pages.RedemptionPage: ("parts",),
}
_LATER: Final = {kind: msgspec.structs.fields(kind)[count:] for kind, count in _FIELDS.items()}


class PagesOfEngine1:
    """One member's pages while engine 1 decides."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self.get = pages.get

    def put(self, key: str, page: Page) -> None:
        """Keep a page without what came later."""
        known = type(page) in _FIELDS
        if known:
            _forget_later(page)
        self._pages.put(key, page if known else SEEN)

    def enter(self, number: int, changes: list[Change]) -> None:
        """Keep the lots that an entry opened."""
        self._pages.enter(number, changes)

    def opened(self, number: int) -> list[Earned]:
        """Return the lots that an entry opened."""
        return self._pages.opened(number)

    def all_keys(self) -> list[str]:
        """Return the keys of all pages, in order."""
        return self._pages.all_keys()


def _forget_later(part: Struct) -> None:
    """Put the fields that engine 1 did not have back to their defaults, in a page and in its parts."""
    for later in _LATER[type(part)]:
        default = later.default if later.default is not NODEFAULT else later.default_factory()
        setattr(part, later.name, default)
    for name in _PARTS.get(type(part), ()):
        for inner in getattr(part, name):
            _forget_later(inner)
