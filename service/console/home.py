"""The first page: what moved in a range of days, how the members stand now, what it cost, and how the ledger is."""

import hashlib
from collections import Counter
from functools import partial
from typing import Annotated, Any

from litestar import Response, get
from litestar.params import QueryParameter
from litestar.response import Redirect
from msgspec.structs import asdict, replace

from consumers.dead_letters import dead_letters_of
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from projections.answers import stats
from projections.answers.overview import Overview, overview_of
from projections.views.builtin.overview import Overview as OverviewView
from projections.views.port import NotBuilt
from projections.views.snapshot import snapshot
from service.console.books import SUMMED_AT_ONCE
from service.console.pages import HEADERS, MENU, Labels, page
from service.console.requests import AnyRequest, caller_of, needs, visitor_of
from service.http.handlers.audits import audits_of
from service.http.handlers.books import kept, positions
from service.http.problems import Problem
from service.http.state import Served, served_by

RANGES = ("30d", "90d", "12m", "all")
COUNTED = 50  # dead letters
SEEN_LENGTH = 32
MOST_TIMES = 10
FIGURES = ("issued", "redeemed", "expired", "clawed_back")
_VIEW = OverviewView()
RangeName = Annotated[str, QueryParameter(description="30d, 90d, 12m or all.", max_length=8)]
Day = Annotated[str, QueryParameter(description="A day of the range, such as 2025-12-01.", max_length=10)]
Kind = Annotated[str, QueryParameter(description="A kind of points.", max_length=64)]


@get("/")
async def get_home(
    request: AnyRequest, range: RangeName = "90d", first: Day = "", last: Day = "", kind: Kind = ""
) -> Response[Any]:
    """The overview; for who may not see it, the first page of the menu that opens."""
    caller_of(request)
    if not visitor_of(request).may("books:read"):
        where = next(where for _, where, scope in MENU if visitor_of(request).may(scope))
        return Redirect(where, status_code=303, headers=HEADERS)
    return page(request, "overview.html", **await _values(request, range, first, last, kind))


@get("/live", guards=[needs("books:read")])
async def get_live(
    request: AnyRequest,
    range: RangeName = "90d",
    first: Day = "",
    last: Day = "",
    kind: Kind = "",
    seen: Annotated[str, QueryParameter(description="What the page shows.", max_length=SEEN_LENGTH)] = "",
) -> Response[Any]:
    """The figures again as a part of the page, or nothing where they are what the page shows."""
    values = await _values(request, range, first, last, kind)
    if values["seen"] == seen:
        return Response(b"", status_code=204, headers=HEADERS)
    return page(request, "home-part.html", **values)


async def _values(request: AnyRequest, range: str, first: str, last: str, kind: str) -> dict[str, Any]:
    """Return what the templates show. Raises `Problem` for days that are none."""
    served = served_by(request)
    language = visitor_of(request).language
    found = await served.readers.read(partial(_overview, served, (range, first, last, kind), language))
    partitions, books = await positions(served), await kept(served, None, stats.books_of)
    totals = {name: sum(getattr(one, name) for one in partitions) for name in ("entries", "lag")}
    shown = found["shown"]
    values = {
        "ranges": RANGES,
        "figures": FIGURES,
        "partitions": partitions,
        "totals": totals,
        "facts": sum(one.end + 1 for one in partitions),
        "waiting": await served.readers.read(_waiting),
        "counted": COUNTED,
        "rates": await served.throughput.over(),
        "audits": await audits_of(served),
        "behind": books.behind if books else 0,
        "sums_now": totals["entries"] <= SUMMED_AT_ONCE,
        "changes": {figure: change_of(shown, figure) for figure in FIGURES} if shown else {},
    }
    # When it was asked for is no news.
    news = repr((replace(shown, as_of="") if shown else None, sorted(values.items())))
    return {**found, **values, "books": books, "seen": hashlib.sha256(news.encode()).hexdigest()[:SEEN_LENGTH]}


def _overview(served: Served, asked: tuple[str, str, str, str], language: str, ledger: Ledger) -> dict[str, Any]:
    names = Labels(ledger.book, language)
    try:
        with snapshot(ledger, served.views, _VIEW, None) as taken:
            return {"shown": overview_of(taken, *asked), "names": names}
    except NotBuilt:
        return {"shown": None, "names": names, "wrong": ""}
    except JournalError as error:  # of another version, or damaged: it says the command
        return {"shown": None, "names": names, "wrong": str(error)}
    except ValueError as error:
        raise Problem("bad-request", f"{error}; give days such as 2025-12-01") from None


def _waiting(ledger: Ledger) -> Counter[str]:
    """Dead letters that wait, by reason; no more are counted than a page shows."""
    return Counter(letter.reason for letter in dead_letters_of(ledger, limit=COUNTED + 1))


def change_of(shown: Overview, figure: str) -> int | None:
    """Return by how many hundredths of a percent a figure is above that of the days before.

    None without any, and where it is more than `MOST_TIMES` as much: the ledger had only begun.
    """
    now, before = asdict(shown.moved)[figure], asdict(shown.before)[figure] if shown.before is not None else 0
    return None if before <= 0 or now > MOST_TIMES * before else (now - before) * 10_000 // before


HANDLERS = (get_home, get_live)
