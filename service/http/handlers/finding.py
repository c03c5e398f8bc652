"""Finding: whose an order, a card, a transfer, a house … is, and members by how their tokens begin."""

from collections.abc import Sequence
from typing import Annotated

from litestar import Response
from litestar.params import QueryParameter

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.answers import Found
from projections.views.builtin.finding import KINDS, MOST_HITS, MOST_TEXT, Finding, Kind, find, latest_members
from projections.views.snapshot import snapshot
from service.http.access import Caller, caller_of, lacks
from service.http.answers import answer
from service.http.operations import AnyRequest, Subject
from service.http.problems import Problem
from service.http.state import Served, served_by

HITS = 50  # of each kind
READ_OF = "member:read:"
_VIEW = Finding()


@Subject("Members").get("/v1/find", "find", "Find")
async def get_find(
    request: AnyRequest,
    q: Annotated[str, QueryParameter(min_length=1, max_length=MOST_TEXT, description="An id, or how it begins.")],
    kind: Annotated[Kind | None, QueryParameter(description="Only ids of this kind.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_HITS, description="At most so many of each kind.")] = HITS,
) -> Response[Found]:
    """Whose an id is; and members by how tokens begin.

    It is of an order, redemption (or hold), card, claim, campaign, transfer, exchange (its request) or house.

    Needs `members:read` or `books:read`. A key for one member finds only what is that member's, by whole ids.
    """
    return answer(request, await found_by(served_by(request), caller_of(request), q, kind, limit))


async def found_by(served: Served, caller: Caller, text: str, kind: Kind | None, limit: int = HITS) -> Found:
    """Return what a caller may find. Raises `Busy`, and `Problem` where nothing may be read or there is no index."""
    members = readable_by(caller)

    def look(ledger: Ledger) -> Found:
        try:
            with snapshot(ledger, served.views, _VIEW, None) as taken:
                return find(taken, text, (kind,) if kind else KINDS, members, limit)
        except JournalError as error:
            raise _no_index(error) from None

    return await served.readers.read(look)


async def recent_members(served: Served, limit: int) -> list[tuple[str, str]]:
    """Return members by when their last entry was recorded, the latest first; none where there is no index yet."""

    def look(ledger: Ledger) -> list[tuple[str, str]]:
        try:
            with snapshot(ledger, served.views, _VIEW, None) as taken:
                return latest_members(taken, limit)
        except JournalError:
            return []

    return await served.readers.read(look)


def readable_by(caller: Caller) -> Sequence[str] | None:
    """Return the members of whom a caller may find things; None: of all. Raises `Problem` where it is nobody."""
    if caller.has("members:read") or caller.has("books:read"):
        return None
    members = [scope.removeprefix(READ_OF) for scope in caller.scopes if scope.startswith(READ_OF)]
    if not members:
        raise lacks("members:read or books:read")
    return members


def _no_index(error: JournalError) -> Problem:
    return Problem("busy", f"the index of ids is not there yet: {error}", {"Retry-After": "5"})


HANDLERS = (get_find,)
