"""Every story that a test of the core tells is told to the native engine too, where one of this code is installed."""

from collections.abc import Iterator

import pytest

from ledger.journal.engines import native_module
from tests.support.engines import difference
from tests.support.shop import Shop

PROGRAMME_PUBLISHED = "programme.published.v1"  # is Python's to decide
ASKED_A_POOL = "handed back: [('m-1', 'pool')]"  # is Python's, too
LONG = 300  # facts of a story: what is longer is about the core alone


@pytest.fixture(autouse=True)
def both_engines_tell_it_alike() -> Iterator[None]:
    """Compare entries and pages, byte by byte, of the stories that need no settings of their own."""
    Shop.opened.clear()
    yield
    native = native_module() if Shop.opened else None
    for shop in Shop.opened if native is not None else ():
        hands_back = any(fact["type"] == PROGRAMME_PUBLISHED for fact in shop.heard)
        if shop.is_plain and not hands_back and len(shop.heard) <= LONG and shop.versions == len(shop.book.versions):
            assert difference(native, shop.book, shop.heard, 1, 1) in ("", ASKED_A_POOL)
