"""Adjustments by hand: one key proposes, another approves, and only then is there a fact, with both names."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import PathParameter

from ledger.wire.fact_codec import BadFact, decode
from service.http.access import caller_of, needs
from service.http.answers import answer, plain_answer
from service.http.handlers.facts import decided
from service.http.handlers.members import AnyRequest
from service.http.problems import Problem
from service.http.responses import PROBLEMS, problems
from service.http.shapes import Adjustment, AdjustmentRequest, Adjustments
from service.http.state import Served, served_by

BYTES = 16 << 10  # of a proposal
_OPERATE: dict[str, Any] = {"guards": [needs("operate")], "tags": ["Operators"]}
_ONE = PROBLEMS | problems("unknown-adjustment", "already-done", "approval-needed")
Name = Annotated[str, PathParameter(description="The adjustment's id.", max_length=128)]


@get("/v1/adjustments", responses=PROBLEMS, operation_id="getAdjustments", summary="Adjustments", **_OPERATE)
async def get_adjustments(request: AnyRequest) -> Response[Adjustments]:
    """Adjustments that were proposed here, the newest first, with who proposed and who decided."""
    found = await asyncio.to_thread(served_by(request).actions.adjustments)
    return answer(request, {"adjustments": msgspec.to_builtins(found)})


@post(
    "/v1/adjustments",
    responses=PROBLEMS | problems("bad-fact", "too-large", "wrong-media-type"),
    request_max_body_size=BYTES,
    operation_id="proposeAdjustment",
    summary="Propose an adjustment",
    **_OPERATE,
)
async def propose(request: Request[Any, Any, Any], data: AdjustmentRequest) -> Response[Adjustment]:
    """Propose to give or take points. Nothing moves until another key approves it."""
    served, caller = served_by(request), caller_of(request)
    _fact(served, Adjustment("a", data.member, data.kind, data.points, data.reason, caller.name, EXAMPLE_TIME))
    found = await asyncio.to_thread(served.actions.propose, caller.name, data)
    return plain_answer(msgspec.to_builtins(found), 201, {"Location": f"/v1/adjustments/{found.adjustment}"})


@get("/v1/adjustments/{name:str}", responses=_ONE, operation_id="getAdjustment", summary="An adjustment", **_OPERATE)
async def get_adjustment(request: AnyRequest, name: Name) -> Response[Adjustment]:
    """An adjustment, and how far it is."""
    found = await asyncio.to_thread(served_by(request).actions.adjustment, name)
    return answer(request, msgspec.to_builtins(found))


@post(
    "/v1/adjustments/{name:str}/approval",
    status_code=200,
    responses=_ONE,
    request_max_body_size=BYTES,
    operation_id="approveAdjustment",
    summary="Approve an adjustment",
    **_OPERATE,
)
async def approve(request: AnyRequest, name: Name) -> Response[Adjustment]:
    """Approve what another key proposed: its fact is taken, with both names. Again by the same key sends it again."""
    served, caller = served_by(request), caller_of(request)
    approved = await asyncio.to_thread(served.actions.decide, caller.name, name, "approve")
    position, told = await decided(served, _fact(served, approved), served.wait)
    outcome = told["outcome"] if told else ""
    return plain_answer({**msgspec.to_builtins(approved), "position": position, "outcome": outcome})


@post(
    "/v1/adjustments/{name:str}/rejection",
    status_code=200,
    responses=_ONE,
    request_max_body_size=BYTES,
    operation_id="rejectAdjustment",
    summary="Reject an adjustment",
    **_OPERATE,
)
async def reject(request: AnyRequest, name: Name) -> Response[Adjustment]:
    """Reject an adjustment, or withdraw one's own."""
    served, caller = served_by(request), caller_of(request)
    rejected = await asyncio.to_thread(served.actions.decide, caller.name, name, "reject")
    return plain_answer(msgspec.to_builtins(rejected))


EXAMPLE_TIME = "2026-01-01T00:00:00+00:00"


def _fact(served: Served, adjustment: Adjustment) -> bytes:
    """The fact of an adjustment, the same whenever it is made. Raises `Problem` where there can be none."""
    source = min(served.operators, default="")
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
            },
        }
    )
    try:
        decode(fact)
    except BadFact as bad:
        raise Problem("bad-fact", bad.detail, reason=bad.reason) from None
    return fact


HANDLERS = (get_adjustments, propose, get_adjustment, approve, reject)
