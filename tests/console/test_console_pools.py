"""The console's page of budgets and stocks."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from consumers.runtime.ingest import ingest
from ledger.journal.open import open_or_create
from tests.console.test_console import assert_no_barrier
from tests.http.test_http_pools import BOOK
from tests.support.browsers import opened
from tests.support.ledgers import scratch, write_facts
from tests.support.served import Server, fact, served

BUDGET = """
[campaigns.party]
name = "派对"
kind = "beans"
budget = 500
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose book has a budget, and 3 tickets in leases of 2, of which two are drawn."""
    with scratch() as folder:
        ledger = open_or_create(folder / "ledger", BOOK + BUDGET)
        claims = [
            fact("benefit.claimed", f"m-{n}", f"c-{n}", {"claim": f"C{n}", "benefit": "ticket"}) for n in range(2)
        ]
        with ledger.writing():
            ingest(ledger, [str(write_facts(folder / "f.ndjson", claims))], backlog=True)
        ledger.close()
        with served(folder / "ledger") as running:
            yield running


@pytest.mark.parametrize(("locale", "width", "heading"), [("en-US", 1440, "Budgets"), ("zh-CN", 390, "预算与库存")])
def test_what_is_left_of_a_stock_is_shown(
    chromium: Browser, server: Server, locale: str, width: int, heading: str
) -> None:
    size = {"width": width, "height": 800}
    with opened(chromium, server.url, locale=locale, viewport=size) as page:
        page.goto("/console/programmes")
        page.get_by_role("link", name=heading).click()
        row = page.locator("tr", has=page.locator("th", has_text="benefits.ticket")).first
        limit, drawn, free, left = map(int, row.locator("td.n").all_inner_texts())
        assert (limit, drawn, left) == (3, 2, 1) and free in (0, 1), "the two may have asked one lease, or two"
        page.locator("summary").first.click()
        assert_no_barrier(page, width)
        page.goto("/console/pools?as_of=2025-01-02")
        assert page.locator("td.n").all_inner_texts() == ["500", "0", "0", "500", "3", "0", "0", "3"]
        assert page.locator("tr", has_text="campaigns.party").get_by_text("豆").is_visible()
