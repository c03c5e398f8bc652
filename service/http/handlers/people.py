"""People who sign in to the console: who they are, and their sessions, which an operator ends before their time."""

import asyncio
from typing import Annotated

from litestar import Response
from litestar.params import PathParameter, QueryParameter

from ledger.wire.answers import People, Person
from service.http.access import Caller, caller_of
from service.http.answers import answer, plain_answer
from service.http.handlers.adjustments import OPERATORS
from service.http.operations import AnyRequest
from service.http.problems import Problem
from service.http.state import served_by
from service.keys import MAX_NAME, BadKey, is_same_name
from service.people import MOST_WHY, Act, carry_out, people_of

BYTES = 1 << 10  # of a body, which says nothing
_ERRORS = ("unknown-person", "approval-needed")
Name = Annotated[str, PathParameter(description="As the person's acts are recorded.", max_length=MAX_NAME)]
Reason = Annotated[str, QueryParameter(description="Why; it is recorded.", max_length=MOST_WHY)]


@OPERATORS.get("/v1/people", "getPeople", "People who may sign in")
async def get_people(request: AnyRequest) -> Response[People]:
    """Everybody who ever signed in to the console with an issuer, and every live key; and the sessions of each."""
    return answer(request, People(people(request)))


@OPERATORS.post("/v1/people/{name:str}/sign-out", "signOut", "End a person's sessions", *_ERRORS, most_bytes=BYTES)
async def sign_out(request: AnyRequest, name: Name, reason: Reason) -> Response[Person]:
    """End every session that somebody has open now, at every server. The same person may sign in again."""
    return plain_answer(await decided(request, caller_of(request), name, "sign-out", reason))


@OPERATORS.post("/v1/people/{name:str}/block", "block", "Block a person", *_ERRORS, most_bytes=BYTES)
async def block(request: AnyRequest, name: Name, reason: Reason) -> Response[Person]:
    """End every session that somebody has open, and let them begin none. What programs do with a key goes on."""
    return plain_answer(await decided(request, caller_of(request), name, "block", reason))


@OPERATORS.post("/v1/people/{name:str}/unblock", "unblock", "Unblock a person", *_ERRORS, most_bytes=BYTES)
async def unblock(request: AnyRequest, name: Name, reason: Reason) -> Response[Person]:
    """Let somebody who was blocked sign in again."""
    return plain_answer(await decided(request, caller_of(request), name, "unblock", reason))


def people(request: AnyRequest) -> list[Person]:
    """Return everybody who may sign in, the oldest first."""
    state = request.app.state
    return people_of(state.authenticator.keys, state.sessions, served_by(request).ledger.book.offset)


async def decided(request: AnyRequest, caller: Caller, name: str, act: Act, reason: str) -> Person:
    """Record what a caller does to whom and why, and do it; return how it is then. Raises `Problem`."""
    served, state, by, why = served_by(request), request.app.state, caller.name, reason.strip()
    if not 0 < len(why) <= MOST_WHY:
        raise Problem("bad-request", f"reason: say why, in 1 to {MOST_WHY} characters")
    keys = state.authenticator.keys
    try:
        keys.somebody(name)
        if act != "sign-out" and is_same_name(by, name):
            raise Problem("approval-needed", f"{by} may not block or unblock themselves: another key must do it")
        if act != "block":
            state.sessions.opened()  # nothing is recorded of what cannot be done
        await asyncio.to_thread(served.operator_log.record, by, act, name, why=why)
        return carry_out(keys, state.sessions, name, act, served.ledger.book.offset)
    except BadKey as error:
        raise Problem("unknown-person", str(error)) from None


HANDLERS = (get_people, sign_out, block, unblock)
