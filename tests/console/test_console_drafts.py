"""A draft in the browser: a marketing lead keeps, tries and hands it in, a second person approves and publishes it.

The ledger's book is in dollars, so that a page that said another currency would be seen.
"""

import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser, Page, expect

from service.drafts.store import DraftStore
from tests.console.test_console import assert_no_barrier
from tests.http.test_http_drafts import draft, prepare
from tests.support.browsers import opened
from tests.support.ledgers import scratch
from tests.support.served import Server, new_key, served

LONG_MILLISECONDS = 60_000  # that a process may take to begin on a busy machine
People = tuple[Server, dict[str, str]]


@pytest.fixture(scope="module")
def people() -> Iterator[People]:
    with scratch() as folder:
        prepare(folder, 60)
        keys = {name: new_key(folder / "ledger", name, "operate", "books:read") for name in ("lead", "second")}
        keys["reader"] = new_key(folder / "ledger", "reader", "books:read")
        with served(folder / "ledger") as server:
            yield server, keys


def sign_in(page: Page, key: str) -> None:
    page.goto("/console/sign-in")
    page.locator("#key").fill(key)
    page.locator("main button").click()
    page.wait_for_url(re.compile("/console/?$"))


def keep(page: Page, file: str, toml: str) -> str:
    """Keep a draft; return the address of its page."""
    page.goto("/console/programmes/draft")
    page.locator("#choose").set_input_files({"name": file, "mimeType": "text/plain", "buffer": toml.encode()})
    expect(page.locator("#file")).to_have_value(file)
    page.locator('button[value="keep"]').click()
    page.wait_for_url("**/console/programmes/drafts/d-*")
    return page.url


def tried(page: Page) -> None:
    """Run a backtest and see its end, without a reload."""
    page.get_by_role("button", name="Run a backtest").click()
    expect(page.get_by_role("link", name="The whole report")).to_be_visible(timeout=LONG_MILLISECONDS)


def test_a_draft_goes_from_a_lead_to_the_ledger_by_way_of_a_second_person(chromium: Browser, people: People) -> None:
    server, keys = people
    with opened(chromium, server.url, refused=(403, 422)) as lead, opened(chromium, server.url) as second:
        sign_in(lead, keys["lead"])
        sign_in(second, keys["second"])
        address = keep(lead, "spring.toml", draft())
        expect(lead.get_by_role("heading", level=1)).to_have_text("spring.toml")
        tried(lead)
        cost = lead.locator(".figure")
        expect(cost).to_contain_text("$")
        expect(lead.locator("main")).not_to_contain_text("¥")
        lead.get_by_role("link", name="The whole report").click()
        expect(lead.get_by_role("row", name=re.compile("^issued ")).first).to_contain_text("+6,000")
        expect(lead.locator("main")).to_contain_text("$")
        expect(lead.locator("main")).not_to_contain_text("¥")
        lead.goto(address)
        lead.get_by_label("Why").fill("double points for rooms in spring")
        lead.get_by_role("button", name="Hand in").click()
        expect(lead.locator(".badge").first).to_have_text("waits for approval")
        expect(lead.get_by_role("button", name="Approve")).to_have_count(0)  # it is one's own

        second.goto("/console/programmes")
        second.get_by_role("link", name="spring.toml").click()
        expect(second.locator("main")).to_contain_text("double points for rooms in spring")
        second.get_by_role("button", name="Approve").click()
        expect(second.locator(".badge").first).to_have_text("approved")
        second.locator("#from").fill("2031-01-01")
        second.get_by_role("button", name="Publish").click()
        expect(second.locator("main")).to_contain_text("It cannot be taken back")
        expect(second.locator("main")).to_contain_text("-05:00")
        second.get_by_role("button", name="Publish it now").click()
        expect(second.locator(".badge").first).to_have_text("published", timeout=LONG_MILLISECONDS)
        rows = second.locator("section[aria-labelledby=steps] tbody th")
        expect(rows).to_have_text(["kept", "backtested", "handed in", "approved", "published", "decided"])


def test_what_is_wrong_is_named_on_the_page_in_the_readers_language(chromium: Browser, people: People) -> None:
    server, keys = people
    with opened(chromium, server.url, refused=(422,), locale="zh-CN") as page:
        sign_in(page, keys["lead"])
        page.goto("/console/programmes/draft")
        page.locator("#file").fill("bad.toml")
        page.locator("#toml").fill(draft("points = -1, per_fen = 100"))
        page.locator('button[value="keep"]').click()
        expect(page.get_by_role("alert")).to_contain_text("bad.toml")
        expect(page.get_by_role("alert")).to_contain_text("points")
        expect(page.locator("#toml")).to_have_value(re.compile("points = -1"))


def test_another_date_is_another_draft_and_a_past_one_is_asked_twice(chromium: Browser, people: People) -> None:
    server, keys = people
    with opened(chromium, server.url, refused=(400, 422)) as lead, opened(chromium, server.url) as second:
        sign_in(lead, keys["lead"])
        sign_in(second, keys["second"])
        first = keep(lead, "dated.toml", draft("points = 12, per_fen = 100", "2032-01-01"))
        lead.get_by_text("Something else").click()
        lead.get_by_label("Another day from which it decides").fill("2021-05-06")
        lead.get_by_role("button", name="Keep with this date").click()
        expect(lead.get_by_role("alert")).to_contain_text("2021-05-06")
        assert lead.url != first
        lead.get_by_label("Why").fill("late")
        lead.get_by_role("button", name="Hand in").click()
        expect(lead.locator(".badge").first).to_have_text("waits for approval")
        second.goto(lead.url)
        second.get_by_role("button", name="Approve").click()
        second.locator("#from").fill("2021-05-06")
        second.get_by_role("button", name="Publish").click()
        expect(second.locator("main")).to_contain_text("60 facts that occurred since then are decided already")
        second.get_by_role("button", name="Publish it now").click()  # the box is not ticked: the browser stays
        expect(second.get_by_role("checkbox")).to_be_visible()
        second.get_by_role("checkbox").check()
        second.get_by_role("button", name="Publish it now").click()
        expect(second.locator(".badge").first).to_have_text("published", timeout=LONG_MILLISECONDS)


def test_a_backtest_is_seen_while_it_waits_and_cancelled(chromium: Browser, people: People) -> None:
    server, keys = people
    with opened(chromium, server.url) as page, closing(DraftStore.at(server.folder)) as store:
        sign_in(page, keys["lead"])
        keep(page, "slow.toml", draft("points = 13, per_fen = 100", "2033-01-01"))
        with store.running():  # no backtest gets its turn
            page.get_by_role("button", name="Run a backtest").click()
            expect(page.locator("#progress")).to_be_visible()
            page.reload()
            expect(page.locator("#progress")).to_contain_text("The backtest begins")
            assert_no_barrier(page, 1280)
            page.get_by_role("button", name="Cancel the backtest").click()
            expect(page.locator("main")).to_contain_text("The backtest was cancelled")


@pytest.mark.parametrize(("scheme", "locale", "width"), [("light", "en-US", 1440), ("dark", "zh-CN", 390)])
def test_no_page_of_a_draft_has_a_barrier(
    chromium: Browser, people: People, scheme: str, locale: str, width: int
) -> None:
    server, keys = people
    size = {"width": width, "height": 800}
    with opened(chromium, server.url, color_scheme=scheme, locale=locale, viewport=size) as page:
        sign_in(page, keys["lead"])
        address = keep(page, "looked-at.toml", draft(f"points = {width}, per_fen = 100", "2022-01-01"))
        for details in page.locator("main details > summary").all():
            details.click()
        assert_no_barrier(page, width)
        page.locator("#why-handing-in").fill("为什么")
        page.locator('form[action$="handing-in"] button').click()
        expect(page.locator("#why-rejection")).to_be_visible()
        assert_no_barrier(page, width)
        with opened(chromium, server.url, color_scheme=scheme, locale=locale, viewport=size) as second:
            sign_in(second, keys["second"])
            second.goto(address)
            assert_no_barrier(second, width)
            second.locator('form[action$="approval"] button').click()
            expect(second.locator("#from")).to_be_visible()
            assert_no_barrier(second, width)
            second.locator("#from").fill("2022-01-01")
            second.locator('form[action$="publication"] button').click()
            expect(second.get_by_role("checkbox")).to_be_visible()
            assert_no_barrier(second, width)
            second.goto("/console/programmes")
            assert_no_barrier(second, width)


def test_who_only_reads_sees_a_draft_and_can_do_nothing(chromium: Browser, people: People) -> None:
    server, keys = people
    with opened(chromium, server.url) as lead, opened(chromium, server.url, refused=(403,)) as reader:
        sign_in(lead, keys["lead"])
        sign_in(reader, keys["reader"])
        reader.goto(keep(lead, "read.toml", draft("points = 14, per_fen = 100", "2034-01-01")))
        expect(reader.get_by_role("heading", level=1)).to_have_text("read.toml")
        expect(reader.locator("main button")).to_have_count(0)
        reader.goto("/console/programmes/draft")
        expect(reader.get_by_role("button", name="Keep")).to_have_count(0)
        expect(reader.locator("#toml")).to_have_value(re.compile("Marriott Bonvoy"))
