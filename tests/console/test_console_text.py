"""Text from outside is text on every page of the console: none gives on what is not seen, or what a browser runs."""

import html
import re
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from tests.cli.test_text_from_outside import life_of
from tests.support.hostile import HOSTILE, interpreted
from tests.support.ledgers import ingested, scratch
from tests.support.served import Server, served

PAGES = ("", "/member", "/liability", "/programmes", "/audits", "/dead-letters", "/people")
# What a form sends back unchanged, and addresses.
_EXACT = re.compile(r'(?s)<textarea.*?</textarea>|value="[^"]*"')


@pytest.fixture(scope="module")
def console() -> Iterator[Server]:
    with scratch() as folder:
        ingested(folder, [line for member in HOSTILE for line in life_of(member)]).close()
        with served(folder / "ledger") as server:
            yield server


def page(browser: httpx.Client, where: str) -> str:
    answer = browser.get(f"/console{where}", headers={"Accept": "text/html"})
    assert answer.status_code in (200, 404), (where, answer.text)
    text = _EXACT.sub("", answer.text)
    assert [c for c in interpreted(text) if c != repr("\t")] == [], where
    assert "<img" not in text and "{{" not in text.replace(html.escape("{{7*7}}"), ""), where
    return answer.text


def test_no_page_interprets_what_comes_from_outside(console: Server) -> None:
    with console.client() as browser:
        for where in PAGES:
            page(browser, where)
        for at in range(4 * len(HOSTILE)):
            page(browser, f"/dead-letter?position=0:{at}")
        for member in HOSTILE:
            token = quote(member, safe="")
            assert page(browser, f"/member?id={token}").count("<form") > 1
            for number in range(1, 8):
                page(browser, f"/why?id={token}&number={number}")
            page(browser, f"/member?id={quote('nobody' + member, safe='')}")


def test_a_form_sends_back_the_token_itself(console: Server) -> None:
    with console.client() as browser:
        for member in HOSTILE:
            text = page(browser, f"/member?id={quote(member, safe='')}")
            token = re.search('name="id" value="([^"]*)"', text)
            assert token is not None and html.unescape(token[1]) == member.strip()
