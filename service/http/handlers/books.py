"""All members: the books, what the points may still cost, the rule book's versions, and where each partition stands.

The books are read from the view that keeps them. Where there is none, or for an instant that it cannot answer for, they
are summed from the entries, one sum at a time and within a bound of seconds.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, TypeVar

from litestar import Response
from litestar.params import PathParameter, QueryParameter

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import DIVIDER
from ledger.wire.answers import Books, House, Liability, Partition, Pool, Pools, Positions, Programmes
from ledger.wire.times import to_text
from projections.answers import stats
from projections.answers.houses import house_named
from projections.answers.pools import pool_named, pools_of
from projections.answers.programmes import describe_version
from projections.ticking import Progress
from projections.views.builtin.books import Books as BooksView
from projections.views.snapshot import snapshot
from service.http.access import needs
from service.http.answers import answer, instant
from service.http.handlers.members import AsOf
from service.http.operations import AnyRequest, Subject
from service.http.problems import Problem
from service.http.state import Served, served_by, standing
from service.languages import accepted_language

BOOKS_SECONDS = 20.0
MOST_DUE = 1_000  # members for whom something fell due since the view looked: more are counted where sums are made
T = TypeVar("T")
Make = Callable[[Ledger, stats.BookSums], T]
ByShop = Annotated[
    bool,
    QueryParameter(description="Kinds that are kept for each shop, shop by shop and not over all of them."),
]
_BOOKS = BooksView()
_ALL_MEMBERS = Subject("All members", needs("books:read"))


@_ALL_MEMBERS.get("/v1/stats", "getBooks", "The books")
async def get_books(request: AnyRequest, as_of: AsOf = None, by_shop: ByShop = False) -> Response[Books]:
    """What was issued and where it is, entries by outcome, and whether the books balance."""
    return answer(request, await summed(served_by(request), as_of, partial(stats.books_of, by_shop=by_shop)))


@_ALL_MEMBERS.get("/v1/liability", "getLiability", "Liability")
async def get_liability(request: AnyRequest, as_of: AsOf = None, by_shop: ByShop = False) -> Response[Liability]:
    """Points outstanding, by the month in which they would expire."""
    make = partial(stats.outstanding_by_month, by_shop=by_shop)
    return answer(request, await summed(served_by(request), as_of, make))


@_ALL_MEMBERS.get("/v1/pools", "getPools", "Budgets and stocks")
async def get_pools(request: AnyRequest, as_of: AsOf = None) -> Response[Pools]:
    """What each budget and stock that members share has given, and what is left."""
    served = served_by(request)
    at = instant(as_of, "as_of", served.ledger.book)
    return answer(request, Pools(await served.readers.read(lambda ledger: pools_of(ledger, at))))


@_ALL_MEMBERS.get("/v1/pools/{name:str}", "getPool", "A budget or stock", "unknown-pool")
async def get_pool(
    request: AnyRequest,
    name: Annotated[str, PathParameter(description="``campaigns.NAME`` or ``benefits.NAME``.", max_length=128)],
    as_of: AsOf = None,
) -> Response[Pool]:
    """What one budget or stock has given, and what is left."""
    served = served_by(request)
    at = instant(as_of, "as_of", served.ledger.book)
    return answer(request, await served.readers.read(lambda ledger: pool_named(ledger, name, at)))


@_ALL_MEMBERS.get("/v1/houses/{house:str}", "getHouse", "A house", "unknown-house")
async def get_house(
    request: AnyRequest,
    house: Annotated[
        str, PathParameter(description="Its name behind ``house/``; a `/` in it is `%2F`.", max_length=128)
    ],
    as_of: AsOf = None,
) -> Response[House]:
    """A house whose members share its cards: who sits there, and what is left of the quotas."""
    served = served_by(request)
    at = instant(as_of, "as_of", served.ledger.book)
    return answer(request, await served.readers.read(lambda ledger: house_named(ledger, house, at)))


@_ALL_MEMBERS.get("/v1/programmes", "getProgrammes", "Rule book versions")
async def get_programmes(request: AnyRequest) -> Response[Programmes]:
    """Every version of the rule book, by the day from which it decides."""
    language = accepted_language(request.headers.get("accept-language", ""))
    versions = await versions_of(served_by(request))
    return answer(request, Programmes([describe_version(version, language) for version in versions]))


@_ALL_MEMBERS.get(
    "/v1/programmes/{version:str}", "getProgramme", "A rule book", "unknown-version", media_type="application/toml"
)
async def get_programme(
    request: AnyRequest,
    version: Annotated[str, PathParameter(description="As entries name it.", max_length=64)],
    book: Annotated[
        str,
        QueryParameter(description="Of a version of several books, the one of this programme alone.", max_length=64),
    ] = "",
) -> Response[bytes]:
    """The TOML of a version, as it was published: of several books, their texts with a form feed between them."""
    found = version_named(await versions_of(served_by(request)), version)
    texts = [part.toml for part in found.parts if book in ("", part.tables.programme)]
    if not texts:
        has = ", ".join(part.tables.programme for part in found.parts)
        raise Problem("unknown-version", f"version {version} has no book {book}; it has {has}")
    return Response(DIVIDER.join(texts).encode(), media_type="application/toml")


@_ALL_MEMBERS.get("/v1/positions", "getPositions", "Positions and lag")
async def get_positions(request: AnyRequest) -> Response[Positions]:
    """Where each partition stands: its chain, the last record decided, and how many wait behind it."""
    return answer(request, Positions(await positions(served_by(request))))


async def versions_of(served: Served) -> list[ProgrammeVersion]:
    """Return every version of the rule book, by the day from which it decides. Raises `Busy`."""
    return await served.readers.read(lambda ledger: ledger.book.whole_versions)


def version_named(versions: list[ProgrammeVersion], name: str) -> ProgrammeVersion:
    """Return the version of a name. Raises `Problem` where there is none."""
    for version in versions:
        if version.name == name:
            return version
    raise Problem("unknown-version", "no version of that name was published; /v1/programmes lists them")


async def summed(served: Served, as_of: str | None, make: Make[T]) -> T:
    """Return a sum over all members. Raises `Busy`, and `TimeoutError` where it takes too long."""
    found = await kept(served, as_of, make)
    if found is not None:
        return found

    def sum_up(ledger: Ledger, tick: Progress) -> T:
        sums = _kept(ledger, served, _asked(as_of, ledger), None, tick)
        return make(ledger, sums or stats.summed(ledger, instant(as_of, "as_of", ledger.book), tick))

    return await served.books.read_within(BOOKS_SECONDS, sum_up)


async def kept(served: Served, as_of: str | None, make: Make[T]) -> T | None:
    """Return a sum over all members where the view has it at hand, else None. Raises `Busy`."""

    def at_hand(ledger: Ledger) -> T | None:
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
    tick: Progress = lambda _: None,
) -> stats.BookSums | None:
    """Return the view's sums; None where it cannot answer, or would have to count more members anew than `most_due`."""
    try:
        with snapshot(ledger, served.views, _BOOKS, as_of) as taken:
            if most_due is not None and taken.has_due(most_due):
                return None
            return stats.kept(taken, tick)
    except JournalError:
        return None  # not built yet, of another ledger, or of the past: /v1/views says how it is


async def positions(served: Served) -> list[Partition]:
    """Return where each partition stands. Raises `Busy`."""
    return await served.readers.read(lambda ledger: _positions(ledger, served))


def _positions(ledger: Ledger, served: Served) -> list[Partition]:
    return [
        Partition(
            partition,
            head.entries,
            head.link.hex(),
            to_text(head.recorded, ledger.book.offset) if head.offset >= 0 else None,
            head.offset,
            end,
            end - head.offset,
        )
        for partition, (head, end) in enumerate(standing(ledger, served.stream))
    ]


HANDLERS = (get_books, get_liability, get_pools, get_pool, get_house, get_programmes, get_programme, get_positions)
