"""All members: the books, and what the points may still cost."""

from typing import Any

from litestar import Response, get

from projections.answers import stats
from service.console.pages import labels, page
from service.console.requests import AnyRequest, needs
from service.http.handlers.books import kept, positions, summed
from service.http.state import served_by

SUMMED_AT_ONCE = 100_000  # entries, up to which the sums are made without being asked for
_READ: dict[str, Any] = {"guards": [needs("books:read")]}


@get("/books", **_READ)
async def get_books(request: AnyRequest) -> Response[bytes]:
    """The books: a part of the overview where no view keeps them, or a page of its own."""
    found = await summed(served_by(request), None, stats.books_of)
    return await _sums(request, "books-part.html", "books", books=found)


@get("/liability", **_READ)
async def get_liability(request: AnyRequest) -> Response[bytes]:
    """The page of the liability."""
    served = served_by(request)
    found = await kept(served, None, stats.outstanding_by_month)
    entries = sum(one.entries for one in await positions(served))
    sums_now = entries <= SUMMED_AT_ONCE
    return page(request, "liability.html", sums_now=sums_now, liability=found, names=await labels(request))


@get("/liability/months", **_READ)
async def get_months(request: AnyRequest) -> Response[bytes]:
    """Points outstanding by the month in which they expire: a part of the page of the liability, or one of its own."""
    found = await summed(served_by(request), None, stats.outstanding_by_month)
    return await _sums(request, "months-part.html", "menu.liability", liability=found)


async def _sums(request: AnyRequest, part: str, title: str, **found: Any) -> Response[bytes]:
    """Sums as the part of a page that asks for them, or as a page of their own."""
    names = await labels(request)
    if "hx-request" in request.headers:
        return page(request, part, names=names, **found)
    return page(request, "whole.html", part=part, title=title, names=names, **found)


HANDLERS = (get_books, get_liability, get_months)
