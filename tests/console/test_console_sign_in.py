"""Signing in with an OpenID Connect issuer in a real browser, whose cookies cross sites as they do for people."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.test_console import AXE
from tests.support.browsers import STEP_MILLISECONDS
from tests.support.issuers import RealIssuer, real_issuer
from tests.support.ledgers import ingested, scratch
from tests.support.ports import free_port
from tests.support.served import Server, grant, new_key, served

PORTS = 5  # tried: one that was free may be taken by the time that the server listens


@pytest.fixture(scope="module")
def issuer() -> Iterator[RealIssuer]:
    with real_issuer() as found:
        found.person("u-ann", email="ann@shop.example", roles=["support"])
        yield found


@pytest.fixture(scope="module")
def server(issuer: RealIssuer) -> Iterator[Server]:
    with scratch() as folder:
        ingested(folder, [grant("m-1", "g-1", 500)]).close()
        for left in reversed(range(PORTS)):
            port = free_port()
            url = f"http://localhost:{port}"  # another site than the issuer, which is at 127.0.0.1
            id, secret = issuer.client(url)
            (folder / "points.toml").write_text(
                f'[oidc]\nissuer = "{issuer.url}"\nclient_id = "{id}"\nclient_secret = "{secret}"\nurl = "{url}"\n'
                '[oidc.roles]\nsupport = ["members:read", "operate", "goodwill:50"]\n'
            )
            options = ("--port", str(port), "--config", str(folder / "points.toml"))
            try:
                with served(folder / "ledger", *options) as found:
                    found.url = url
                    yield found
                    return
            except AssertionError:
                if not left:
                    raise


@pytest.fixture
def page(chromium: Browser, server: Server) -> Iterator[Page]:
    """A page that asks nobody but the server and the issuer: the issuer's style sheets are on the internet."""
    context = chromium.new_context(base_url=server.url, locale="en-US")
    context.set_default_timeout(STEP_MILLISECONDS)
    context.route(
        lambda url: not url.startswith(("http://localhost:", "http://127.0.0.1:")), lambda route: route.abort()
    )
    found = context.new_page()
    wrong: list[str] = []
    found.on("pageerror", lambda error: wrong.append(str(error)))
    found.on("console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None)
    yield found
    context.close()
    assert not wrong


def violations(page: Page) -> list[Any]:
    page.evaluate(AXE)
    found: list[Any] = page.evaluate("axe.run().then(found => found.violations.map(one => one.id))")
    return found


def sign_in(page: Page) -> None:
    page.get_by_role("link", name="Sign in with").click()
    page.get_by_placeholder("sub").fill("u-ann")
    page.get_by_role("button", name="Authorize").click()


def test_somebody_signs_in_acts_and_signs_out(page: Page, server: Server, issuer: RealIssuer) -> None:
    page.goto("/console/acts?id=m-1")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert violations(page) == []
    for _ in range(2):  # again from the page that says so
        page.get_by_label("API key").fill("points_0_0")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("The key is not valid")
    sign_in(page)
    goodwill = page.get_by_role("region", name="Give goodwill")  # where it was wanted
    expect(page.get_by_role("button", name="Sign out")).to_contain_text("ann@shop.example")

    goodwill.get_by_label("Points", exact=True).fill("20")
    goodwill.get_by_label("Why").fill("the parcel was late")
    goodwill.get_by_role("button", name="See what it changes").click()
    expect(page.get_by_text("ann@shop.example").last).to_be_visible()
    page.get_by_role("button", name="Do it").click()
    expect(page.get_by_role("status")).to_contain_text("Done")
    assert '"by":"ann@shop.example","action":"give"' in (server.folder / "operators.ndjson").read_text()

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("End Session")
    page.get_by_role("button", name="End session").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.goto("/console/acts?id=m-1")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert not [cookie for cookie in page.context.cookies() if cookie.get("name") == "points-session"]


def test_an_operator_ends_sessions_and_does_not_shut_themselves_out(page: Page, server: Server) -> None:
    new_key(server.folder, "till", "members:read")
    page.goto("/console/people")
    sign_in(page)
    expect(page.get_by_role("row", name="ann@shop.example").get_by_role("cell").nth(2)).to_have_text("1")
    expect(page.get_by_role("row", name="till")).to_contain_text("may sign in")
    assert violations(page) == []
    form = page.get_by_role("region", name="End sessions, block")
    form.get_by_label("Name").select_option("ann@shop.example")
    form.get_by_label("Why").fill("a stolen laptop")
    form.get_by_role("button", name="Block", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("another key must do it")
    form.get_by_label("Name").select_option("till")
    form.get_by_role("button", name="Block", exact=True).click()
    expect(page.get_by_role("row", name="till")).to_contain_text("blocked since")
    assert '"action":"block","about":"till"' in (server.folder / "operators.ndjson").read_text()
    form.get_by_label("Name").select_option("ann@shop.example")
    form.get_by_label("Why").fill("an open laptop")
    form.get_by_role("button", name="End the sessions").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
