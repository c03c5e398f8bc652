"""Members become one and are parted in the console: what would move is shown, and the name is typed once more."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.test_console import assert_no_barrier, tab_to
from tests.support.browsers import chromium, opened
from tests.support.histories import encode
from tests.support.ledgers import ingested, scratch
from tests.support.served import Server, fact, grant, served, until

__all__ = ["chromium"]

OLD, HEAD = "m-1", "m-2"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch() as folder:
        card = fact("card.purchased", OLD, "c", {"card": "C1", "product": "plus.annual", "paid_fen": 19_900}, ago=9)
        given = [grant(OLD, "G1", 100), grant(HEAD, "G2", 40)]
        ingested(folder, [encode(one) for one in (card, *given)]).close()
        with served(folder / "ledger") as server:
            yield server


def spendable(server: Server) -> dict[str, int]:
    with server.client() as asked:
        shown = {name: asked.get(f"/v1/members/{name}").json() for name in (OLD, HEAD)}
        return {name: one["points"]["beans"]["spendable"] for name, one in shown.items()}


def filled(page: Page, member: str, field: str, value: str, why: str) -> None:
    """Fill a form of the acts by keyboard alone, and go on."""
    page.goto(f"/console/acts?id={member}")
    tab_to(page, field)
    page.keyboard.type(value)
    page.keyboard.press("Tab")
    page.keyboard.type(why)
    page.keyboard.press("Enter")


def typed_again(page: Page, name: str) -> None:
    """Type a name once more on the page that says what would move, and do it."""
    expect(page.locator("#again")).to_be_visible()
    tab_to(page, "again")
    page.keyboard.type(name)
    page.keyboard.press("Enter")


def test_members_become_one_and_are_parted_by_keyboard_once_the_name_is_typed_again(
    chromium: Browser, server: Server
) -> None:
    before = spendable(server)
    with opened(chromium, server.url, refused=(400, 404)) as page:
        filled(page, OLD, "other", "nobody", "a typo")
        expect(page.get_by_role("alert")).to_contain_text('a member "nobody"')
        filled(page, OLD, "other", HEAD, "bought as a guest")
        expect(page.get_by_role("cell", name=f"{before[OLD]:,}", exact=True).first).to_be_visible()
        expect(page.get_by_role("cell", name=f"{before[OLD] + before[HEAD]:,}", exact=True)).to_be_visible()
        expect(page.locator("dd", has_text="C1")).to_be_visible()
        assert_no_barrier(page, 1280)
        typed_again(page, OLD)  # the wrong one
        expect(page.get_by_role("alert")).to_contain_text(f"type {HEAD} once more")
        assert spendable(server) == before

        filled(page, OLD, "other", HEAD, "bought as a guest")
        typed_again(page, HEAD)
        expect(page.get_by_role("status")).to_contain_text("Done. Both accounts are told now")
        until(lambda: spendable(server) == {OLD: 0, HEAD: before[OLD] + before[HEAD]})

        page.goto(f"/console/member?id={HEAD}")
        page.locator(".title").get_by_role("link", name=OLD).click()
        expect(page.locator(".title")).to_contain_text(f"another name of {HEAD}")
        page.goto(f"/console/member?id={HEAD}")
        expect(page.locator(".of-name")).to_contain_text(f"+{before[OLD]:,}")
        assert_no_barrier(page, 1280)
        page.get_by_role("link", name=f"statement of {OLD}").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(OLD)

        filled(page, HEAD, "name", "", "two people after all")
        expect(page.get_by_role("heading", level=1)).to_have_text("Part a name again")
        assert_no_barrier(page, 1280)
        typed_again(page, OLD)
        expect(page.get_by_role("status")).to_contain_text("Both accounts are told now")
        until(lambda: spendable(server) == before)
    log = [json.loads(line) for line in (server.folder / "operators.ndjson").read_text().splitlines()]
    said = [(line["given"]["type"], line["why"]) for line in log if line["action"] == "give"]
    assert said == [("member.merged.v1", "bought as a guest"), ("member.unmerged.v1", "two people after all")]


def test_what_would_not_move_says_why_in_chinese_too(chromium: Browser, server: Server) -> None:
    with opened(
        chromium, server.url, locale="zh-CN", color_scheme="dark", viewport={"width": 390, "height": 800}
    ) as page:
        filled(page, OLD, "other", OLD, "同一个人")
        expect(page.get_by_role("alert")).to_contain_text("不会产生任何变化")
        expect(page.locator("#again")).to_have_count(0)
        assert_no_barrier(page, 390)
        filled(page, OLD, "other", HEAD, "同一个人")
        expect(page.get_by_role("heading", level=1)).to_have_text("合并到另一会员")
        assert_no_barrier(page, 390)
