"""Checkpoints that were handed in, and proofs by them. The server signs nothing: the signing key lies elsewhere."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from litestar import Request, Response, get, post
from litestar.params import PathParameter, QueryParameter

from ledger.journal.ledger import Ledger
from projections.answers.sidecar import CHECKPOINTS, TREES
from projections.audit.proof import prove
from projections.audit.proof.checkpoint import Progress, Signed, parsed, write
from projections.audit.proof.store import Kept, Shelf, check, name_of
from service.http.access import caller_of, needs, needs_member
from service.http.answers import JSON, answer, plain_answer
from service.http.handlers.members import AnyRequest, Number, Token
from service.http.problems import Problem
from service.http.responses import PROBLEMS, problems
from service.http.shapes import Checkpoint, Checkpoints, Envelope, Proof
from service.http.state import Served, served_by

T = TypeVar("T")
CHECKPOINT_BYTES = 4 << 20  # 1,024 partitions with every peak are 3 MiB
PROOF_SECONDS = 20.0
Name = Annotated[str, PathParameter(description="A checkpoint's name here.", max_length=64)]
_OF_ENTRY = PROBLEMS | problems("unknown-member", "unknown-entry", "unknown-checkpoint")
_OF_ONE = PROBLEMS | problems("unknown-checkpoint", "bad-checkpoint")
_READ: dict[str, Any] = {"guards": [needs("books:read")], "tags": ["Proof"]}


@post(
    "/v1/checkpoints",
    status_code=201,
    guards=[needs("operate")],
    responses=PROBLEMS
    | problems("unknown-checkpoint", "bad-checkpoint", "not-as-signed", "no-room", "too-large", "wrong-media-type"),
    request_max_body_size=CHECKPOINT_BYTES,
    operation_id="postCheckpoint",
    summary="Hand in a checkpoint",
    tags=["Proof"],
)
async def post_checkpoint(request: Request[Any, Any, Any]) -> Response[Checkpoint]:
    """Keep a checkpoint that `points checkpoint` signed, to prove by: 201, also where it was kept before.

    It has to be of this ledger, and what it signed is compared with what the ledger holds.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Problem("wrong-media-type", "application/json is taken here")
    raw = await request.body()
    served, caller = served_by(request), caller_of(request)
    shelf, trees = shelf_of(served), served.audits / TREES
    signed = await proving(served, lambda ledger, tick: _checked(ledger, raw, trees, tick))
    found = Kept(name_of(signed), signed)
    if not shelf.has(found.name):
        await asyncio.to_thread(served.actions.record, caller.name, "checkpoint", found.name)
        await asyncio.to_thread(shelf.put, signed)
    return plain_answer(told_of(found), 201)


@get("/v1/checkpoints", responses=_OF_ONE, operation_id="getCheckpoints", summary="Checkpoints", **_READ)
async def get_checkpoints(request: AnyRequest) -> Response[Checkpoints]:
    """The checkpoints that are kept, the one over most entries first."""
    return answer(request, {"checkpoints": await checkpoints_of(served_by(request))})


@get(
    "/v1/checkpoints/{name:str}",
    responses=_OF_ONE,
    media_type=JSON,
    operation_id="getCheckpoint",
    summary="A checkpoint",
    **_READ,
)
async def get_checkpoint(request: AnyRequest, name: Name) -> Response[Envelope]:
    """The file, as it was signed."""
    return file_answer(await checkpoint_file(served_by(request), name), f"{name}.checkpoint")


@get(
    "/v1/checkpoints/{name:str}/consistency",
    responses=_OF_ONE | problems("not-as-signed"),
    media_type=JSON,
    operation_id="proveConsistency",
    summary="That a checkpoint extends an earlier one",
    **_READ,
)
async def get_consistency(
    request: AnyRequest,
    name: Name,
    earlier: Annotated[str, QueryParameter(description="The earlier checkpoint's name.", max_length=64)],
) -> Response[Proof]:
    """The proof that the ledger of one checkpoint holds everything of an earlier one's, in its place."""
    return file_answer(await consistency_file(served_by(request), earlier, name), f"{name}.proof")


@get(
    "/v1/members/{member:str}/entries/{number:int}/proof",
    guards=[needs_member],
    responses=_OF_ENTRY | problems("bad-checkpoint", "not-as-signed"),
    media_type=JSON,
    operation_id="proveEntry",
    summary="The proof of an entry",
    tags=["Proof"],
)
async def get_proof(
    request: AnyRequest,
    member: Token,
    number: Number,
    checkpoint: Annotated[
        str, QueryParameter(description="A checkpoint's name. The newest that covers it where left out.", max_length=64)
    ] = "",
) -> Response[Proof]:
    """The proof that an entry is in the ledger that was signed; `points_verify.py` checks it anywhere, offline."""
    return file_answer(await proof_file(served_by(request), member, number, checkpoint), f"entry-{number}.proof")


async def checkpoints_of(served: Served) -> list[dict[str, Any]]:
    """The checkpoints that are kept, the one over most entries first. Raises `Busy`."""
    shelf = shelf_of(served)
    return await served.readers.read(lambda _: [told_of(kept) for kept in shelf.all()])


async def checkpoint_file(served: Served, name: str) -> bytes:
    """A checkpoint's file. Raises what `problem_of` knows."""
    shelf = shelf_of(served)
    return await served.readers.read(lambda _: write(shelf.get(name).signed))


async def proof_file(served: Served, member: str, number: int, name: str) -> bytes:
    """The proof of an entry by a checkpoint, or else the newest that covers it. Raises what `problem_of` knows."""
    shelf, trees = shelf_of(served), served.audits / TREES

    def prove_it(ledger: Ledger, tick: Progress) -> bytes:
        if name:
            kept = shelf.get(name)
        else:
            partition, place = prove.place_of(ledger, member, number)
            kept = shelf.covering(partition, place)
        return prove.write(prove.inclusion(ledger, member, number, kept.signed, tick, trees))

    return await proving(served, prove_it)


async def consistency_file(served: Served, earlier: str, later: str) -> bytes:
    """The proof that a checkpoint extends an earlier one. Raises what `problem_of` knows."""
    shelf, trees = shelf_of(served), served.audits / TREES

    def prove_it(ledger: Ledger, tick: Progress) -> bytes:
        first, second = shelf.get(earlier).signed, shelf.get(later).signed
        return prove.write(prove.consistency(ledger, first, second, tick, trees))

    return await proving(served, prove_it)


async def proving(served: Served, work: Callable[[Ledger, Progress], T]) -> T:
    """Something that may read a partition: one at a time. Raises `Busy`, and `TimeoutError`; what was read is kept."""
    return await served.books.read_within(PROOF_SECONDS, work)


def shelf_of(served: Served) -> Shelf:
    """The checkpoints that a server keeps."""
    return Shelf(served.audits / CHECKPOINTS)


def told_of(kept: Kept) -> dict[str, Any]:
    """A checkpoint for people's programs."""
    found = kept.signed.checkpoint
    marks = [{"partition": m.partition, "entries": m.entries, "link": m.link, "tree": m.tree} for m in found.partitions]
    head = {"name": kept.name, "at": found.at, "key": kept.signed.key_id, "entries": kept.entries}
    return {**head, "partitions": marks}


def file_answer(content: bytes, name: str) -> Response[Any]:
    """A file to be saved under a name."""
    return Response(
        content, status_code=200, media_type=JSON, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _checked(ledger: Ledger, raw: bytes, trees: Path, tick: Progress) -> Signed:
    signed = parsed(raw, "the body")
    check(ledger, signed, trees, tick)
    return signed


HANDLERS = (post_checkpoint, get_checkpoints, get_checkpoint, get_consistency, get_proof)
