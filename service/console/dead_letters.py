"""Dead letters: looked at, mended and redriven, or dropped once that is confirmed; the API's own actions."""

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import QueryParameter

from consumers.dead_letters import dead_letter_at, dead_letters_of
from ledger.wire.answers import Retried
from ledger.wire.fact_codec import BadFact
from ledger.wire.facts import MAX_BYTES
from ledger.wire.times import Zone
from service.console.pages import page
from service.console.requests import AnyRequest, caller_of, form_of, needs
from service.console.signing import FORM_BYTES
from service.http.handlers.dead_letters import MOST_WHY, cursor, dropped, retried
from service.http.problems import Problem, problem_of
from service.http.state import served_by

PAGE = 50
# A field of a form has three characters for a byte at most, and a mended fact is bounded as any fact is.
MENDED_BYTES = 3 * MAX_BYTES + FORM_BYTES
_OPERATE: dict[str, Any] = {"guards": [needs("operate")]}
Position = Annotated[str, QueryParameter(description="A position, such as 0:17.", max_length=40)]


@get("/dead-letters", **_OPERATE)
async def get_dead_letters(
    request: AnyRequest,
    every: Annotated[bool, QueryParameter(name="all", description="Those that are done, too.")] = False,
    after: Position = "",
) -> Response[bytes]:
    """Dead letters, a page at a time."""
    behind = cursor(after)

    found = await served_by(request).readers.read(
        lambda ledger: dead_letters_of(ledger, every=every, limit=PAGE + 1, after=behind)
    )
    following = found[PAGE - 1].position if len(found) > PAGE else None
    return page(
        request, "dead_letters.html", letters=found[:PAGE], following=following, every=every, zone=zone_of(request)
    )


@get("/dead-letter", **_OPERATE)
async def get_dead_letter(request: AnyRequest, position: Position) -> Response[bytes]:
    """One dead letter, with what can be done about it."""
    return await _dead_letter_page(request, position)


@post("/dead-letter/retry", request_max_body_size=MENDED_BYTES, status_code=200, **_OPERATE)
async def retry_dead_letter(request: AnyRequest) -> Response[bytes]:
    """Redrive a dead letter, as it is or mended in the form; what is wrong with it is said beside it."""
    form = await form_of(request)
    position, mended, why = form.get("position", ""), form.get("fact"), form.get("why", "").strip()
    try:
        _check_why(why)
        told = await retried(
            served_by(request), caller_of(request), position, None if mended is None else mended.encode(), why
        )
    except (BadFact, Problem) as error:
        problem = problem_of(error)
        return await _dead_letter_page(
            request, position, status=problem.status, problem=problem, mended=mended, why=why
        )
    return await _dead_letter_page(request, position, told=told)


@post("/dead-letter/drop", request_max_body_size=FORM_BYTES, status_code=200, **_OPERATE)
async def drop_dead_letter(request: AnyRequest) -> Response[bytes]:
    """Remove the bytes of a dead letter for good, once that is confirmed."""
    form = await form_of(request)
    position, why = form.get("position", ""), form.get("why", "").strip()
    try:
        if form.get("confirmed") != "yes":
            raise Problem("bad-request", "dropping cannot be undone: confirm it first")
        _check_why(why)
        await dropped(served_by(request), caller_of(request), position, why)
    except Problem as problem:
        return await _dead_letter_page(request, position, status=problem.status, problem=problem, why=why)
    return await _dead_letter_page(request, position)


def _check_why(why: str) -> None:
    """Raise `Problem` unless a reason was given."""
    if not 0 < len(why) <= MOST_WHY:
        raise Problem("bad-request", f"say why, in 1 to {MOST_WHY} characters")


async def _dead_letter_page(
    request: AnyRequest,
    position: str,
    *,
    status: int = 200,
    problem: Problem | None = None,
    mended: str | None = None,
    why: str = "",
    told: Retried | None = None,
) -> Response[bytes]:
    letter = await served_by(request).readers.read(lambda ledger: dead_letter_at(ledger, position))
    return page(
        request,
        "dead_letter.html",
        status=status,
        address=f"/console/dead-letter?position={letter.position}",  # where to come back to after a form, too
        letter=letter,
        zone=zone_of(request),
        problem=problem,
        mended=mended,
        why=why,
        told=told,
    )


def zone_of(request: AnyRequest) -> Zone:
    """Return the zone in which times are shown: the rule book's."""
    return served_by(request).ledger.book.offset


HANDLERS = (get_dead_letters, get_dead_letter, retry_dead_letter, drop_dead_letter)
