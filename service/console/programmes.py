"""Rule books: their versions, how two of them differ, a draft checked, and how one was tried on real history."""

import time
from pathlib import Path
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import QueryParameter

from ledger.journal.ledger import Ledger
from ledger.rulebook.checks import parts_of
from ledger.rulebook.schema import BadProgramme
from ledger.rulebook.union import in_order
from ledger.wire.facts import MAX_BYTES
from projections.answers.programmes import differences, next_version, warnings
from projections.answers.sidecar import BACKTESTS
from projections.explaining.book import sentences
from projections.what_if.reports import report, stored
from service.console.language import Language
from service.console.pages import labels, page
from service.console.requests import AnyRequest, form_of, needs, visitor_of
from service.console.signing import FORM_BYTES
from service.http.handlers.books import version_named, versions_of
from service.http.problems import Problem
from service.http.state import served_by

DRAFT_BYTES = 3 * MAX_BYTES + FORM_BYTES  # a field of a form has three characters for a byte at most
Name = Annotated[str, QueryParameter(description="A version, as entries name it.", max_length=64)]


@get("/programmes", guards=[needs("books:read")])
async def get_programmes(request: AnyRequest, old: Name = "", new: Name = "") -> Response[bytes]:
    """The versions, and the difference of two of them where they are named."""
    versions = await versions_of(served_by(request))
    found = None
    if old and new:
        found = differences(version_named(versions, old).programme, version_named(versions, new).programme)
    newest = versions[::-1]
    return page(
        request,
        "programmes.html",
        versions=newest,
        old=old or newest[min(1, len(newest) - 1)].name,
        new=new or newest[0].name,
        differences=found,
        backtests=await served_by(request).readers.read(lambda _: stored(_folder(request))),
        names=await labels(request),
    )


@get("/programmes/book", guards=[needs("books:read")])
async def get_book(request: AnyRequest, version: Name) -> Response[bytes]:
    """A version's TOML."""
    return page(request, "book.html", version=version_named(await versions_of(served_by(request)), version))


@get("/programmes/backtest", guards=[needs("books:read")])
async def get_backtest(
    request: AnyRequest, name: Annotated[str, QueryParameter(description="A backtest that is kept.", max_length=100)]
) -> Response[bytes]:
    """The report of a backtest."""
    found = await served_by(request).readers.read(lambda _: report(_folder(request), name))
    if found is None:
        raise Problem("not-found", "no backtest of that name is kept")
    return page(request, "backtest.html", report=found, names=await labels(request))


@get("/programmes/draft", guards=[needs("books:read")])
async def get_draft(request: AnyRequest) -> Response[bytes]:
    """The form for a draft; it begins with the newest version's text."""
    newest = (await versions_of(served_by(request)))[-1]
    return page(request, "draft.html", toml=newest.toml, wrong="", checked=None)


@post("/programmes/draft", guards=[needs("books:read")], status_code=200, request_max_body_size=DRAFT_BYTES)
async def check_draft(request: AnyRequest) -> Response[bytes]:
    """Say whether a draft can be the ledger's next version, what it says, and how it differs. Nothing is kept."""
    toml = (await form_of(request)).get("toml", "").replace("\r\n", "\n")
    language = visitor_of(request).language
    try:
        found = await served_by(request).histories.read(lambda ledger: _checked(ledger, toml, language))
    except BadProgramme as error:
        return page(request, "draft.html", status=422, toml=toml, wrong=str(error), checked=None)
    return page(request, "draft.html", toml=toml, wrong="", **found)


def _checked(ledger: Ledger, toml: str, language: Language) -> dict[str, Any]:
    """Return what the page says of a draft. Raises `BadProgramme`."""
    checked = next_version(ledger, in_order(parts_of(toml, "draft.toml")), "draft.toml")
    now = time.time_ns() // 1_000
    against = ledger.book.nearest(now)
    return {
        "checked": checked,
        "is_past": checked.since <= now,
        "warned": warnings(checked, ledger.book),
        "against": against,
        "differences": differences(against.programme, checked.programme),
        "told": sentences(checked, language),
    }


def _folder(request: AnyRequest) -> Path:
    return served_by(request).audits / BACKTESTS


HANDLERS = (get_programmes, get_book, get_draft, check_draft, get_backtest)
