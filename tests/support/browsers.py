"""A real Chromium for the tests of the console, the one that is installed: nothing is downloaded.

A page collects what must never be: errors of scripts and of the content security policy, and requests to anybody else.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REMEDY = f"install Chromium (Debian: apt-get install chromium), so that one of {', '.join(NAMES)} is on PATH"
STEP_MILLISECONDS = 40_000  # that one step of a page may take


@pytest.fixture(scope="module")  # while it is open this thread has a running event loop, and `asyncio.run` fails
def chromium() -> Iterator[Browser]:
    """The browser, started once a file of tests."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"no Chromium: {REMEDY}")
        pytest.skip(f"no Chromium: {REMEDY}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        expect.set_options(timeout=STEP_MILLISECONDS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str, *, refused: tuple[int, ...] = (), **options: Any) -> Iterator[Page]:
    """A page of a visitor of its own; `refused` are the statuses of errors that the test is about."""
    context = browser.new_context(base_url=url, **{"locale": "en-US", **options})
    context.set_default_timeout(STEP_MILLISECONDS)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if _is_wrong(said.type, said.text) else None)
    page.on("request", lambda asked: wrong.append(asked.url) if _host(asked.url) != _host(url) else None)
    page.on("response", lambda got: wrong.append(f"{got.status} {got.url}") if _is_bad(got.status, refused) else None)
    yield page
    context.close()
    assert not wrong


def _is_wrong(kind: str, text: str) -> bool:
    return kind in ("error", "warning") and not text.startswith("Failed to load resource")  # its response is seen


def _is_bad(status: int, refused: tuple[int, ...]) -> bool:
    return status >= 400 and status not in refused


def _host(url: str) -> str:
    return urlsplit(url).netloc
