"""Dead letters: looked at, redriven (mended or as they are), dropped; who did it is recorded."""

import asyncio
from typing import Annotated

from litestar import Response
from litestar.params import QueryParameter

from consumers.dead_letters import (
    DROPPED,
    BadPosition,
    StoredDeadLetter,
    check_retry,
    dead_letter_at,
    dead_letters_of,
    describe_retried,
    drop,
    was_backlog,
)
from ledger.journal.ledger import Ledger
from ledger.wire.answers import DeadLetter, DeadLetters, Retried
from ledger.wire.entry_json import parse_position
from ledger.wire.facts import MAX_BYTES
from service.http.access import Caller, caller_of
from service.http.answers import answer, plain_answer
from service.http.handlers.adjustments import OPERATORS
from service.http.handlers.facts import PositionParameter, admit, decided, record
from service.http.operations import AnyRequest
from service.http.problems import Problem
from service.http.state import Served, served_by

PAGE = 50
MOST_OF_A_PAGE = 200  # of 64 KiB at most, in base64
_ERRORS = ("unknown-position", "already-done")
MOST_WHY = 128  # characters, as a reason of a fact has
Reason = Annotated[str, QueryParameter(description="Why that is right; it is kept for auditors.", max_length=MOST_WHY)]


@OPERATORS.get("/v1/dead-letters", "getDeadLetters", "Dead letters")
async def get_dead_letters(
    request: AnyRequest,
    every: Annotated[bool, QueryParameter(name="all", description="Those that were retried or dropped too.")] = False,
    after: Annotated[str, QueryParameter(description="The cursor: letters behind this position.", max_length=40)] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_OF_A_PAGE, description="At most so many.")] = PAGE,
) -> Response[DeadLetters]:
    """Facts that could not be taken, by position, a page at a time."""
    behind = cursor(after)

    def page(ledger: Ledger) -> DeadLetters:
        found = dead_letters_of(ledger, every=every, limit=limit + 1, after=behind)
        following = found[limit - 1].position if len(found) > limit else None
        return DeadLetters([letter.described(ledger.book.offset) for letter in found[:limit]], following)

    return answer(request, await served_by(request).readers.read(page))


@OPERATORS.get("/v1/dead-letters/{position:str}", "getDeadLetter", "A dead letter", "unknown-position")
async def get_dead_letter(request: AnyRequest, position: PositionParameter) -> Response[DeadLetter]:
    """One dead letter, with the bytes that are stored of it."""
    return answer(request, await served_by(request).readers.read(lambda ledger: _described(ledger, position)))


@OPERATORS.post(
    "/v1/dead-letters/{position:str}/retry",
    "retryDeadLetter",
    "Redrive a dead letter",
    *_ERRORS,
    "wrong-media-type",
    "too-large",
    "bad-fact",
    most_bytes=MAX_BYTES,
)
async def retry_dead_letter(request: AnyRequest, position: PositionParameter, reason: Reason = "") -> Response[Retried]:
    """Append a dead letter anew and decide it there: the mended fact of the body, or where that is empty, as it is.

    A mended fact is given like any other, so the key needs facts:write for its source too. A trace
    of the dead letter stays.
    """
    mended = await request.body() or None
    return plain_answer(await retried(served_by(request), caller_of(request), position, mended, reason.strip()))


async def retried(served: Served, caller: Caller, position: str, mended: bytes | None, why: str = "") -> Retried:
    """Redrive a dead letter for a caller, with `mended` bytes or as it is; return what became of it.

    Who and why are recorded first.

    Raises `BadFact`, `BadPosition` and `Problem`.
    """
    letter, was_backlog = await served.readers.read(lambda ledger: _to_retry(ledger, position, mended))
    if mended is not None:
        await asyncio.to_thread(record, [admit(mended, caller, served)], caller, served)
    log, is_mended = served.operator_log, mended is not None
    await asyncio.to_thread(log.record, caller.name, "retry", letter.position, mended=is_mended, why=why)
    value = letter.raw if mended is None else mended
    retried_as, fate = await decided(served, value, served.wait, is_backlog=was_backlog)
    await served.readers.read(lambda ledger: ledger.journal(letter.partition).mark_retried([letter.offset]))
    return describe_retried(letter.position, retried_as, fate)


@OPERATORS.delete("/v1/dead-letters/{position:str}", "dropDeadLetter", "Drop a dead letter's bytes", *_ERRORS)
async def drop_dead_letter(
    request: AnyRequest, position: PositionParameter, reason: Reason = ""
) -> Response[DeadLetter]:
    """Remove the bytes of a dead letter for good; position, reason, length and hash stay as a trace."""
    return plain_answer(await dropped(served_by(request), caller_of(request), position, reason.strip()))


async def dropped(served: Served, caller: Caller, position: str, why: str = "") -> DeadLetter:
    """Remove the bytes of a dead letter for a caller; return what is left. Raises `BadPosition` and `Problem`.

    Who and why are recorded first.
    """
    letter = await served.readers.read(lambda ledger: dead_letter_at(ledger, position))
    if letter.state == DROPPED:
        raise Problem("already-done", f"the bytes of {letter.position} were dropped before")
    await asyncio.to_thread(served.operator_log.record, caller.name, "drop", letter.position, why=why)
    return await served.readers.read(lambda ledger: _drop(ledger, letter))


def cursor(after: str) -> tuple[int, int]:
    """Return the place behind which a page begins. Raises `Problem`."""
    place = parse_position(after) if after else (0, -1)
    if place is None:
        raise Problem("bad-request", "after: it is no position such as 0:17; give `next` of the page before")
    return place


def _to_retry(ledger: Ledger, position: str, mended: bytes | None) -> tuple[StoredDeadLetter, bool]:
    """Return a dead letter that may be redriven, and whether it came as one of a backlog."""
    letter = dead_letter_at(ledger, position)
    try:
        check_retry(ledger, letter, mended)
    except BadPosition as error:
        raise Problem("already-done", str(error)) from None
    return letter, was_backlog(ledger, letter)


def _drop(ledger: Ledger, letter: StoredDeadLetter) -> DeadLetter:
    drop(ledger, [letter])
    return _described(ledger, letter.position)


def _described(ledger: Ledger, position: str) -> DeadLetter:
    return dead_letter_at(ledger, position).described(ledger.book.offset)


HANDLERS = (get_dead_letters, get_dead_letter, retry_dead_letter, drop_dead_letter)
