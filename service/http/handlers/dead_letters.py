"""Parked facts: looked at, driven again (mended or as they are), dropped; who did it is kept."""

import asyncio
from typing import Annotated, Any

from litestar import Request, Response, delete, get, post
from litestar.params import QueryParameter

from consumers.dead_letters import DROPPED, BadPosition, Letter, check_retry, drop, letter_at, letter_to_dict, letters
from ledger.journal.ledger import Ledger
from ledger.wire.facts import MAX_BYTES
from service.http.access import Caller, caller_of, needs
from service.http.answers import answer, plain_answer
from service.http.handlers.facts import PositionParameter, admit, decided, record
from service.http.handlers.members import AnyRequest
from service.http.problems import Problem
from service.http.responses import PROBLEMS, problems
from service.http.shapes import DeadLetter, DeadLetters, Retried
from service.http.state import Served, served_by

LETTERS = 50
MOST_LETTERS = 200  # of 64 KiB at most, in base64
_OPERATE: dict[str, Any] = {"guards": [needs("operate")], "tags": ["Operators"]}
_ONE = PROBLEMS | problems("unknown-position")
_DONE = _ONE | problems("already-done")


@get("/v1/dead-letters", responses=PROBLEMS, operation_id="getDeadLetters", summary="Dead letters", **_OPERATE)
async def get_letters(
    request: AnyRequest,
    every: Annotated[bool, QueryParameter(name="all", description="Those that were retried or dropped too.")] = False,
    after: Annotated[str, QueryParameter(description="The cursor: letters behind this position.", max_length=40)] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_LETTERS, description="At most so many.")] = LETTERS,
) -> Response[DeadLetters]:
    """Facts that could not be taken, by position, a page at a time."""
    behind = cursor(after)

    def page(ledger: Ledger) -> tuple[list[dict[str, Any]], bool]:
        found = letters(ledger, every=every, limit=limit + 1, after=behind)
        return [letter_to_dict(letter, ledger.book.offset) for letter in found[:limit]], len(found) > limit

    found, has_more = await served_by(request).readers.read(page)
    return answer(request, {"letters": found, "next": found[-1]["position"] if has_more else None})


@get(
    "/v1/dead-letters/{position:str}", responses=_ONE, operation_id="getDeadLetter", summary="A dead letter", **_OPERATE
)
async def get_letter(request: AnyRequest, position: PositionParameter) -> Response[DeadLetter]:
    """One parked fact, with the bytes that were kept of it."""
    found = await served_by(request).readers.read(
        lambda ledger: letter_to_dict(letter_at(ledger, position), ledger.book.offset)
    )
    return answer(request, found)


@post(
    "/v1/dead-letters/{position:str}/retry",
    status_code=200,
    responses=_DONE | problems("wrong-media-type", "too-large", "bad-fact"),
    request_max_body_size=MAX_BYTES,
    operation_id="retryDeadLetter",
    summary="Drive a dead letter again",
    **_OPERATE,
)
async def retry_letter(request: Request[Any, Any, Any], position: PositionParameter) -> Response[Retried]:
    """Append a parked fact anew and decide it there: the mended fact of the body, or where that is empty, as it is.

    A mended fact is given like any other, so the key needs facts:write for its source too. What was parked stays as a
    trace.
    """
    mended = await request.body() or None
    return plain_answer(await retried(served_by(request), caller_of(request), position, mended))


async def retried(served: Served, caller: Caller, position: str, mended: bytes | None) -> dict[str, Any]:
    """Drive a parked fact again for a caller, with `mended` bytes or as it is, and say what became of it.

    Raises `BadFact`, `BadPosition` and `Problem`.
    """
    letter, was_backlog = await served.readers.read(lambda ledger: _to_retry(ledger, served, position, mended))
    if mended is not None:
        await asyncio.to_thread(record, [admit(mended, caller, served)], caller, served)
    is_mended = mended is not None
    await asyncio.to_thread(served.actions.record, caller.name, "retry", letter.position, mended=is_mended)
    value = letter.raw if mended is None else mended
    place, told = await decided(served, value, served.wait, is_backlog=was_backlog)
    await served.readers.read(lambda ledger: ledger.journal(letter.partition).mark_retried([letter.offset]))
    said = {name: told[name] for name in ("outcome", "reason", "detail") if told.get(name)} if told else {}
    return {"position": letter.position, "retried_as": place, **said}


@delete(
    "/v1/dead-letters/{position:str}",
    status_code=200,
    responses=_DONE,
    operation_id="dropDeadLetter",
    summary="Drop a dead letter's bytes",
    **_OPERATE,
)
async def drop_letter(request: AnyRequest, position: PositionParameter) -> Response[DeadLetter]:
    """Remove the bytes of a parked fact for good; position, reason, length and hash stay as a trace."""
    return plain_answer(await dropped(served_by(request), caller_of(request), position))


async def dropped(served: Served, caller: Caller, position: str) -> dict[str, Any]:
    """Remove the bytes of a parked fact for a caller. Raises `BadPosition` and `Problem`."""
    letter = await served.readers.read(lambda ledger: letter_at(ledger, position))
    if letter.state == DROPPED:
        raise Problem("already-done", f"the bytes of {letter.position} were dropped before")
    await asyncio.to_thread(served.actions.record, caller.name, "drop", letter.position)
    return await served.readers.read(lambda ledger: _drop(ledger, letter))


def cursor(after: str) -> tuple[int, int]:
    """The place behind which a page begins. Raises `Problem`."""
    partition, _, offset = after.partition(":")
    if not after:
        return 0, -1
    if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in (partition, offset)):
        raise Problem("bad-request", "after: it is no position such as 0:17; give `next` of the page before")
    return int(partition), int(offset)


def _to_retry(ledger: Ledger, served: Served, position: str, mended: bytes | None) -> tuple[Letter, bool]:
    """A parked fact that may be driven again, and whether it came as one of a backlog."""
    letter = letter_at(ledger, position)
    try:
        check_retry(letter, mended)
    except BadPosition as error:
        raise Problem("already-done", str(error)) from None
    return letter, served.stream.was_backlog(ledger, letter.partition, letter.offset)


def _drop(ledger: Ledger, letter: Letter) -> dict[str, Any]:
    drop(ledger, [letter])
    return letter_to_dict(letter_at(ledger, letter.position), ledger.book.offset)


HANDLERS = (get_letters, get_letter, retry_letter, drop_letter)
