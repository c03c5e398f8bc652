"""Facts in: one, or many as NDJSON; a redemption answered with its decision; and what became of a fact."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, PathParameter, QueryParameter

from consumers.cloudevents import BATCH
from consumers.runtime.intake import check_admissible
from consumers.runtime.outcomes import outcome_at
from ledger.journal.ledger import Ledger
from ledger.wire.answers import DeadLettered, Decision, Fate, Taken
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import describe_decision, parse_position, position_text
from ledger.wire.fact_catalogue import OPERATOR_FACTS
from ledger.wire.fact_codec import decode
from ledger.wire.facts import MAX_BYTES, Fact, PointsAdjusted, ProgrammePublished, RedemptionRequested, fact_type
from service.http.access import EVERYTHING, Caller, caller_of, check_source, needs_writing
from service.http.answers import JSON, check_encoding, check_media_type, plain_answer
from service.http.ended import ended
from service.http.events import event_of, lines_of_batch
from service.http.handlers.bulk import BULK_BYTES, NDJSON, take_bulk
from service.http.operations import AnyRequest, Subject
from service.http.problems import Problem
from service.http.repeated import decided_before
from service.http.state import Served, served_by

LONGEST_WAIT = 30.0  # seconds that a request may ask to be waited for
WaitHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Prefer",
        description="`wait=SECONDS` (0 to 30): how long to wait for the decision. The server's setting where left out.",
    ),
]
PositionParameter = Annotated[str, PathParameter(description="A position, ``partition:offset``, such as 0:17.")]
_TAKEN = {202: ResponseSpec(Taken, description="It is durable and will be decided; `Location` says where to look.")}
_GIVEN = Subject("Facts", needs_writing)
_ERRORS = ("too-large", "wrong-media-type")


@_GIVEN.post(
    "/v1/facts", "postFact", "Take a fact", *_ERRORS, "bad-fact", "conflict", most_bytes=MAX_BYTES, responses=_TAKEN
)
async def post_fact(request: AnyRequest, prefer: WaitHeader = None) -> Response[Decision]:
    """Take one CloudEvent, structured or binary. It is durable before it is answered, and decided once for ever.

    The same (subject, source, id) again answers with what was decided first, so anything may be retried.
    A claim of a benefit with a stock is answered by the decision in which it ended: given, or `pool-empty`. A fact for
    an old name of a member is answered by the decision of the account that has the name now. 202 where that is not
    known yet.
    """
    fact, raw = await _fact_of(request)
    return await _take(request, fact, raw, _wait_of(request, prefer))


@_GIVEN.post(
    "/v1/redemptions",
    "redeem",
    "Redeem points",
    *_ERRORS,
    "bad-fact",
    "refused",
    most_bytes=MAX_BYTES,
    responses=_TAKEN,
)
async def redeem(request: AnyRequest, prefer: WaitHeader = None) -> Response[Decision]:
    """Take a `redemption.requested.v1` and answer with its decision: 200 accepted, 409 refused with reason and figures.

    A request under an old name of a member is answered by the account that has the name now.
    202 says that it is durable and not decided yet; `Location` is where to look.
    """
    fact, raw = await _fact_of(request)
    if not isinstance(fact, RedemptionRequested):
        raise Problem(
            "bad-fact",
            f"`type` is {fact_type(fact)}; redemption.requested.v1 is taken here, the others at /v1/facts",
            reason="bad-fact",
        )
    return await _take(request, fact, raw, _wait_of(request, prefer), must_be_accepted=True)


@_GIVEN.post("/v1/facts:bulk", "postFacts", "Take many facts", *_ERRORS, most_bytes=BULK_BYTES, media_type=NDJSON)
async def post_facts(
    request: AnyRequest,
    outcomes: Annotated[bool, QueryParameter(description="Wait for the decisions, and tell them.")] = False,
) -> Response[bytes]:
    """Take NDJSON, a CloudEvent a line; answers with a line for each, in order, once all are durable.

    A batch of CloudEvents (`application/cloudevents-batch+json`) is answered by a JSON array.
    A line that is no fact is told with its reason and stops nothing. Lines are taken while the body is read: if the
    connection breaks, what came so far may be in. Send it all again: what was taken counts once.
    """
    is_batch = check_media_type(request, NDJSON, BATCH) == BATCH
    served, caller = served_by(request), caller_of(request)
    lines = await take_bulk(
        lines_of_batch(request.stream()) if is_batch else request.stream(),
        served,
        lambda raw: admit(raw, caller, served),
        lambda facts: record(facts, caller, served),
        wait=outcomes,
    )
    if is_batch:
        return Response(b"[" + lines.strip().replace(b"\n", b",") + b"]", media_type=JSON)
    return Response(lines, media_type=NDJSON)


@Subject("Facts").get(
    "/v1/facts/{position:str}", "getFact", "What became of a fact", "unknown-position", responses=_TAKEN
)
async def get_fact(request: AnyRequest, position: PositionParameter) -> Response[Decision]:
    """The decision about the fact at a position, for who may read its member or write its source; 202 till then."""
    served, caller = served_by(request), caller_of(request)
    partition, offset = _place_of(position, served)
    fate = await served.readers.read(lambda ledger: outcome_at(ledger, partition, offset))
    if fate is None:
        if offset > await served.readers.read(lambda ledger: served.stream.end(ledger, partition)):
            raise _nothing_at(position)
        return _taken(position)
    member, source = ("", "") if isinstance(fate, DeadLettered) else (fate.member, fate.source)
    if not (caller.may_read(member) or caller.may_write(source)):
        raise _nothing_at(position)  # what one may not see is not there
    if isinstance(fate, DeadLettered):
        raise Problem("bad-fact", f"it was dead-lettered: {fate.detail}", reason=fate.reason, position=position)
    last = await ended(served, fate, 0)
    return plain_answer(last) if last is not None else _taken(position)


def admit(raw: bytes, caller: Caller, served: Served) -> Fact:
    """Return the fact of a body, where its giver may give it. Raises `BadFact` and `Problem`."""
    fact, occurred = decode(raw)
    check_source(caller, fact.source)
    if isinstance(fact, PointsAdjusted):
        raise Problem("approval-needed", "propose it at /v1/adjustments, where another key approves it")
    if isinstance(fact, ProgrammePublished):
        _check_publisher(fact, caller)
    if type(fact) in OPERATOR_FACTS and not served.sources.are_named_for(fact) and not caller.has("operate"):
        raise Problem("wrong-scope", f"{fact_type(fact)} needs the scope operate", reason="not-authorised")
    now = time.time_ns() // 1000
    check_admissible(fact, occurred, now, served.sources)
    return fact


def _check_publisher(fact: ProgrammePublished, caller: Caller) -> None:
    """Raise `Problem` where the caller may not publish a book alone, or says that others did (decision 49)."""
    if not caller.has("books:write"):
        raise Problem(
            "approval-needed", "a draft at /v1/drafts is approved by another; alone it needs the scope books:write"
        )
    if caller is not EVERYTHING and fact.data.by not in ("", caller.name):
        raise Problem("approval-needed", "`by` names others than the key; a draft at /v1/drafts is approved by another")


def record(facts: Sequence[Fact], caller: Caller, served: Served) -> None:
    """Keep who is about to give facts that are an operator's action."""
    given = [fact for fact in facts if type(fact) in OPERATOR_FACTS]
    if given:
        served.operator_log.record_given(caller.name, given)


async def decided(
    served: Served, raw: bytes, wait: float, fact: Fact | None = None, *, is_backlog: bool = False
) -> tuple[str, Fate | None]:
    """Take a fact (with `fact`, decoded); return its position, and its fate in the end where known within `wait` s."""
    begun = time.monotonic()
    pending = served.appender.submit([raw], [fact] if fact else [], waits=wait > 0, is_backlog=is_backlog)
    places = await pending.places
    position = position_text(*places[0])
    if pending.outcomes is None:
        return position, None
    done, _ = await asyncio.wait([pending.outcomes], timeout=wait)
    told = pending.outcomes.result() if done else None
    if told and isinstance(told[0], Decision):
        return position, await ended(served, told[0], wait - (time.monotonic() - begun))
    return position, told[0] if told else None


async def _take(
    request: AnyRequest, fact: Fact, raw: bytes, wait: float, *, must_be_accepted: bool = False
) -> Response[Any]:
    served, begun = served_by(request), time.monotonic()
    fate: Fate | None
    served.check_partition_of(fact.subject)
    before = await served.readers.read(lambda ledger: decided_before(ledger, [fact]))
    if before:
        position, fate = before[0].position, before[0]
    else:
        position, fate = await decided(served, raw, wait, fact)
    match fate:
        case None:
            return _taken(position)
        case DeadLettered():
            raise Problem("bad-fact", fate.detail, reason=fate.reason, position=position)
        case Decision(reason="conflict"):
            raise _judged("conflict", fate)
        case Decision(reason="duplicate"):
            number = int(fate.figures["first"])
            fate = await served.readers.read(lambda ledger: _first_decision(ledger, fact.subject, number))
    last = await ended(served, fate, wait - (time.monotonic() - begun))
    if last is None:
        return _taken(fate.position)
    if must_be_accepted and last.outcome != "accepted":
        raise _judged("refused", last)
    return plain_answer(last)


def _first_decision(ledger: Ledger, member: str, number: int) -> Decision:
    row = ledger.journal(ledger.partition_of(member)).entries_of(member, number - 1, 1)[0]
    return describe_decision(decode_entry(row.state), row.link, ledger.book.offset, is_repeated=True)


def _judged(name: str, decision: Decision) -> Problem:
    """Return a decision that is an error to who asked for it."""
    about = {key: getattr(decision, key) for key in ("reason", "figures", "position", "member", "number")}
    if decision.repeated:
        about["repeated"] = True
    figures = ", ".join(f"{key} {value}" for key, value in decision.figures.items())
    return Problem(name, f"{decision.reason}: {figures}" if figures else decision.reason, **about)


def _taken(position: str) -> Response[Any]:
    return plain_answer(Taken(position), 202, {"Location": f"/v1/facts/{position}", "Retry-After": "1"})


async def _fact_of(request: AnyRequest) -> tuple[Fact, bytes]:
    """Return the fact that a body holds, and its bytes. Raises `Problem`."""
    check_encoding(request)
    raw, caller, served = event_of(request, await request.body()), caller_of(request), served_by(request)
    fact = admit(raw, caller, served)
    if type(fact) in OPERATOR_FACTS:
        await asyncio.to_thread(record, [fact], caller, served)
    return fact, raw


def _wait_of(request: AnyRequest, prefer: str | None) -> float:
    """Return the seconds of `Prefer: wait=SECONDS`, by default the server's; what cannot be read is no preference."""
    for preference in (prefer or "").split(","):
        name, _, value = preference.strip().partition("=")
        if name.lower() == "wait" and value.isascii() and value.isdigit():
            return min(float(value[:6]), LONGEST_WAIT)
    return served_by(request).wait


def _place_of(position: str, served: Served) -> tuple[int, int]:
    place = parse_position(position)
    if place is None or place[0] not in served.ledger.partitions:
        raise _nothing_at(position)
    return place


def _nothing_at(position: str) -> Problem:
    return Problem("unknown-position", f"no fact that this key may see stands at {position}")


HANDLERS = (post_fact, post_facts, redeem, get_fact)
