"""All members: where each partition stands, the books, and what the points may still cost."""

from collections import Counter
from typing import Any

from litestar import Response, get
from litestar.response import Redirect

from consumers.dead_letters import dead_letters_of
from ledger.journal.ledger import Ledger
from projections.answers import stats
from service.console.pages import HEADERS, MENU, labels, page
from service.console.requests import AnyRequest, caller_of, needs, visitor_of
from service.http.handlers.books import kept, positions, summed
from service.http.state import served_by

SUMMED_AT_ONCE = 100_000  # entries, up to which the sums are made without being asked for
COUNTED = 50  # dead letters
_READ: dict[str, Any] = {"guards": [needs("books:read")]}


@get("/")
async def get_home(request: AnyRequest) -> Response[Any]:
    """The overview; for who may not see it, the first page of the menu that opens."""
    caller_of(request)
    if not visitor_of(request).may("books:read"):
        where = next(where for _, where, scope in MENU if visitor_of(request).may(scope))
        return Redirect(where, status_code=303, headers=HEADERS)
    served = served_by(request)
    partitions = await positions(served)
    waiting = await served.readers.read(lambda ledger: _waiting(ledger))
    found = await kept(served, None, stats.books_of)
    totals = {name: sum(getattr(one, name) for one in partitions) for name in ("entries", "lag")}
    return page(
        request,
        "overview.html",
        partitions=partitions,
        totals=totals,
        facts=sum(one.end + 1 for one in partitions),
        waiting=waiting,
        counted=COUNTED,
        rates=await served.throughput.over(),
        names=await labels(request),
        books=found,
        sums_now=totals["entries"] <= SUMMED_AT_ONCE,
    )


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


def _waiting(ledger: Ledger) -> Counter[str]:
    """Dead letters that wait, by reason; no more are counted than a page shows."""
    return Counter(letter.reason for letter in dead_letters_of(ledger, limit=COUNTED + 1))


async def _sums(request: AnyRequest, part: str, title: str, **found: Any) -> Response[bytes]:
    """Sums as the part of a page that asks for them, or as a page of their own."""
    names = await labels(request)
    if "hx-request" in request.headers:
        return page(request, part, names=names, **found)
    return page(request, "whole.html", part=part, title=title, names=names, **found)


HANDLERS = (get_home, get_books, get_liability, get_months)
