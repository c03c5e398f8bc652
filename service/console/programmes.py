"""Rule books: their versions, how two of them differ, the drafts, and how they were tried on real history."""

from functools import partial
from pathlib import Path
from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter

from ledger.rulebook.languages import text_in
from ledger.rulebook.union import Part
from projections.answers.programmes import differences
from projections.answers.sidecar import BACKTESTS
from projections.what_if.reports import report, stored
from service.console.drafts import LISTED, local_times
from service.console.language import Language
from service.console.pages import labels, page
from service.console.requests import AnyRequest, needs, visitor_of
from service.http import drafts
from service.http.handlers.books import version_named, versions_of
from service.http.problems import Problem
from service.http.state import served_by

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
        drafts=(await drafts.drafts_of(served_by(request)))[:LISTED],
        backtests=await served_by(request).readers.read(lambda _: stored(_folder(request))),
        names=await labels(request),
        local=await local_times(served_by(request)),
        name_of=partial(_name_of, visitor_of(request).language),
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
    return page(request, "backtest.html", report=found, back="", names=await labels(request))


def _name_of(language: Language, part: Part) -> str:
    """Return what a book is called in a language."""
    return text_in(part.languages, "name", language, part.tables.name)


def _folder(request: AnyRequest) -> Path:
    return served_by(request).audits / BACKTESTS


HANDLERS = (get_programmes, get_book, get_backtest)
