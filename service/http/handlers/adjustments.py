"""Adjustments by hand: one key proposes, another approves, and only then is there a fact, with both names."""

import asyncio
from typing import Annotated

import msgspec
from litestar import Response
from litestar.params import PathParameter
from msgspec.structs import replace

from ledger.wire.answers import Adjustment, AdjustmentRequest, Adjustments
from ledger.wire.fact_codec import decode
from service.http.access import Caller, caller_of, needs
from service.http.answers import answer, plain_answer
from service.http.handlers.facts import decided
from service.http.operations import AnyRequest, IdempotencyKey, Subject, once_named
from service.http.problems import Problem
from service.http.state import Served, served_by

BYTES = 16 << 10  # of a proposal
EXAMPLE_TIME = "2026-01-01T00:00:00+00:00"
OPERATORS = Subject("Operators", needs("operate"))
_ERRORS = ("unknown-adjustment", "already-done", "approval-needed")
Name = Annotated[str, PathParameter(description="The adjustment's id.", max_length=128)]


@OPERATORS.get("/v1/adjustments", "getAdjustments", "Adjustments")
async def get_adjustments(request: AnyRequest) -> Response[Adjustments]:
    """Adjustments that were proposed here, the newest first, with who proposed and who decided."""
    return answer(request, Adjustments(await asyncio.to_thread(served_by(request).operator_log.adjustments)))


@OPERATORS.post(
    "/v1/adjustments",
    "proposeAdjustment",
    "Propose an adjustment",
    "bad-fact",
    "already-done",
    "too-large",
    "wrong-media-type",
    most_bytes=BYTES,
    status=201,
)
async def propose(
    request: AnyRequest, data: AdjustmentRequest, idempotency_key: IdempotencyKey = None
) -> Response[Adjustment]:
    """Propose to give or take points. Nothing moves until another key approves it."""
    served, caller = served_by(request), caller_of(request)
    once = once_named(caller.name, idempotency_key)
    found = await proposed(served, caller, data, f"a-{once}" if once else "")
    return plain_answer(found, 201, {"Location": f"/v1/adjustments/{found.adjustment}"})


@OPERATORS.get("/v1/adjustments/{name:str}", "getAdjustment", "An adjustment", *_ERRORS)
async def get_adjustment(request: AnyRequest, name: Name) -> Response[Adjustment]:
    """An adjustment, and how far it is."""
    return answer(request, await asyncio.to_thread(served_by(request).operator_log.adjustment, name))


@OPERATORS.post(
    "/v1/adjustments/{name:str}/approval", "approveAdjustment", "Approve an adjustment", *_ERRORS, most_bytes=BYTES
)
async def approve(request: AnyRequest, name: Name) -> Response[Adjustment]:
    """Approve what another key proposed: its fact is taken, with both names. Again by the same key sends it again."""
    served, caller = served_by(request), caller_of(request)
    return plain_answer(await approved(served, caller, name))


@OPERATORS.post(
    "/v1/adjustments/{name:str}/rejection", "rejectAdjustment", "Reject an adjustment", *_ERRORS, most_bytes=BYTES
)
async def reject(request: AnyRequest, name: Name) -> Response[Adjustment]:
    """Reject an adjustment, or withdraw one's own."""
    return plain_answer(await rejected(served_by(request), caller_of(request), name))


async def proposed(served: Served, caller: Caller, asked: AdjustmentRequest, name: str = "") -> Adjustment:
    """Record a proposal, under a name where one is given. Raises `BadFact` and `Problem`."""
    example = Adjustment(
        "a", asked.member, asked.kind, asked.points, asked.reason, caller.name, EXAMPLE_TIME, of=asked.of
    )
    _fact(served, example)
    return await asyncio.to_thread(served.operator_log.propose, caller.name, asked, name)


async def approved(served: Served, caller: Caller, name: str) -> Adjustment:
    """Approve what another proposed, and have its fact decided. Raises `Problem`."""
    found = await asyncio.to_thread(served.operator_log.decide, caller.name, name, "approve")
    position, fate = await decided(served, _fact(served, found), served.wait)
    return replace(found, position=position, outcome=fate.outcome if fate else "")


async def rejected(served: Served, caller: Caller, name: str) -> Adjustment:
    """Reject an adjustment, or withdraw one's own. Raises `Problem`."""
    return await asyncio.to_thread(served.operator_log.decide, caller.name, name, "reject")


def _fact(served: Served, adjustment: Adjustment) -> bytes:
    """Return the fact of an adjustment, always the same bytes. Raises `BadFact` and `Problem` where there is none."""
    source = min(served.sources.operators, default="")
    if not source:
        raise Problem("wrong-scope", "the ledger has no `operators` source, so nobody may adjust")
    fact = msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": adjustment.adjustment,
            "source": source,
            "type": "points.adjusted.v1",
            "subject": adjustment.member,
            "time": adjustment.decided or adjustment.proposed,
            "data": {
                "adjustment": adjustment.adjustment,
                "kind": adjustment.kind,
                "points": adjustment.points,
                "reason": adjustment.reason,
                "by": adjustment.by,
                "approved_by": adjustment.decided_by,
                **({"of": adjustment.of} if adjustment.of else {}),
            },
        }
    )
    decode(fact)
    return fact


HANDLERS = (get_adjustments, propose, get_adjustment, approve, reject)
