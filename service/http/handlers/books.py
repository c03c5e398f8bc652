"""All members: the books, what the points may still cost, the rule book's versions, and where each partition stands.

The books are read from the view that keeps them. Where there is none, or for an instant that it cannot answer for, they
are summed from the entries, one sum at a time and within a bound of seconds.
"""

from collections.abc import Callable
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import PathParameter

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.rulebook.compiled import Version
from ledger.wire.times import to_text
from projections.answers import stats
from projections.views.builtin.books import Books as BooksView
from projections.views.snapshot import snapshot
from service.http.access import needs
from service.http.answers import answer, instant
from service.http.handlers.members import AnyRequest, AsOf
from service.http.problems import Problem
from service.http.responses import PROBLEMS, problems
from service.http.shapes import Books, Liability, Positions, Programmes
from service.http.state import Served, served_by, standing

BOOKS_SECONDS = 20.0
MOST_DUE = 1_000  # members for whom something fell due since the view looked: more are counted where sums are made
Tick = Callable[[int], None]
Make = Callable[[Ledger, stats.BookSums], dict[str, Any]]
_BOOKS = BooksView()
_READ: dict[str, Any] = {"guards": [needs("books:read")], "tags": ["All members"]}


@get("/v1/stats", responses=PROBLEMS, operation_id="getBooks", summary="The books", **_READ)
async def get_books(request: AnyRequest, as_of: AsOf = None) -> Response[Books]:
    """What was issued and where it is, entries by outcome, and whether the books balance."""
    return answer(request, await summed(served_by(request), as_of, stats.books_of))


@get("/v1/liability", responses=PROBLEMS, operation_id="getLiability", summary="Liability", **_READ)
async def get_liability(request: AnyRequest, as_of: AsOf = None) -> Response[Liability]:
    """Points outstanding, by the month in which they would expire."""
    return answer(request, await summed(served_by(request), as_of, stats.liability_of))


@get("/v1/programmes", responses=PROBLEMS, operation_id="getProgrammes", summary="Rule book versions", **_READ)
async def get_programmes(request: AnyRequest) -> Response[Programmes]:
    """Every version of the rule book, by the day from which it decides."""
    versions = await served_by(request).readers.read(lambda ledger: list(ledger.book.versions))
    return answer(request, {"versions": [_version(version) for version in versions]})


@get(
    "/v1/programmes/{version:str}",
    responses=PROBLEMS | problems("unknown-version"),
    media_type="application/toml",
    operation_id="getProgramme",
    summary="A rule book",
    **_READ,
)
async def get_programme(
    request: Request[Any, Any, Any],
    version: Annotated[str, PathParameter(description="As entries name it.", max_length=64)],
) -> Response[bytes]:
    """The TOML of a version, as it was published."""
    versions = await served_by(request).readers.read(lambda ledger: list(ledger.book.versions))
    for found in versions:
        if found.name == version:
            return Response(found.toml.encode(), media_type="application/toml")
    raise Problem("unknown-version", "no version of that name was published; /v1/programmes lists them")


@get("/v1/positions", responses=PROBLEMS, operation_id="getPositions", summary="Positions and lag", **_READ)
async def get_positions(request: AnyRequest) -> Response[Positions]:
    """Where each partition stands: its chain, the last record decided, and how many wait behind it."""
    served = served_by(request)
    return answer(request, {"partitions": await positions(served)})


async def summed(served: Served, as_of: str | None, make: Make) -> dict[str, Any]:
    """A sum over all members. Raises `Busy`, and `TimeoutError` where it takes too long."""
    found = await kept(served, as_of, make)
    if found is not None:
        return found

    def sum_up(ledger: Ledger, tick: Tick) -> dict[str, Any]:
        sums = _kept(ledger, served, _asked(as_of, ledger), None, tick)
        return make(ledger, sums or stats.summed(ledger, instant(as_of, "as_of", ledger.book), tick))

    return await served.books.read_within(BOOKS_SECONDS, sum_up)


async def kept(served: Served, as_of: str | None, make: Make) -> dict[str, Any] | None:
    """A sum over all members where the view has it at hand, else None. Raises `Busy`."""

    def at_hand(ledger: Ledger) -> dict[str, Any] | None:
        sums = _kept(ledger, served, _asked(as_of, ledger), MOST_DUE)
        return None if sums is None else make(ledger, sums)

    return await served.readers.read(at_hand)


def _asked(as_of: str | None, ledger: Ledger) -> int | None:
    return None if as_of is None else instant(as_of, "as_of", ledger.book)


def _kept(
    ledger: Ledger,
    served: Served,
    as_of: int | None,
    most_due: int | None,
    tick: Tick = lambda _: None,
) -> stats.BookSums | None:
    """The view's sums; None where it cannot answer, or would have to count more members anew than `most_due`."""
    try:
        with snapshot(ledger, served.views, _BOOKS, as_of) as taken:
            if most_due is not None and taken.has_due(most_due):
                return None
            return stats.kept(taken, tick)
    except JournalError:
        return None  # not built yet, of another ledger, or of the past: /v1/views says how it is


async def positions(served: Served) -> list[dict[str, Any]]:
    """Where each partition stands."""
    return await served.readers.read(lambda ledger: _positions(ledger, served))


def _version(version: Version) -> dict[str, Any]:
    programme = version.programme
    return {
        "version": version.name,
        "programme": programme.programme,
        "name": programme.name,
        "from": programme.from_.isoformat(),
        "kinds": list(programme.kinds),
        "scores": list(programme.scores),
        "memberships": list(programme.memberships),
        "rules": [award.rule for award in programme.award],
    }


def _positions(ledger: Ledger, served: Served) -> list[dict[str, Any]]:
    found = []
    for partition, (head, end) in enumerate(standing(ledger, served.stream)):
        found.append(
            {
                "partition": partition,
                "entries": head.entries,
                "link": head.link.hex(),
                "recorded": to_text(head.recorded, ledger.book.offset),
                "position": head.offset,
                "end": end,
                "lag": end - head.offset,
            }
        )
    return found


HANDLERS = (get_books, get_liability, get_programmes, get_programme, get_positions)
