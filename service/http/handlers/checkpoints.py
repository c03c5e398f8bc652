"""Checkpoints that were handed in, and proofs by them. The server signs nothing: the signing key lies elsewhere."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

from litestar import Response
from litestar.params import PathParameter, QueryParameter

from ledger.journal.ledger import Ledger
from ledger.wire.answers import Checkpoint, CheckpointMark, Checkpoints, Proof
from projections.answers.sidecar import TREES
from projections.audit.proof import prove
from projections.audit.proof.checkpoint import Signed, parsed, write
from projections.audit.proof.keys import Envelope
from projections.audit.proof.store import CheckpointStore, StoredCheckpoint, check, name_of
from projections.ticking import Progress
from service.http.access import caller_of, needs, needs_member
from service.http.answers import JSON, answer, check_media_type, plain_answer
from service.http.handlers.members import Number, Token
from service.http.operations import AnyRequest, Subject
from service.http.state import Served, served_by

CHECKPOINT_BYTES = 4 << 20  # 1,024 partitions with every peak are 3 MiB
PROOF_SECONDS = 20.0  # for what may read a whole partition
Name = Annotated[str, PathParameter(description="A checkpoint's name here.", max_length=64)]
_PROOF = Subject("Proof", needs("books:read"))
_ERRORS = ("unknown-checkpoint", "bad-checkpoint")


@Subject("Proof", needs("operate")).post(
    "/v1/checkpoints",
    "postCheckpoint",
    "Hand in a checkpoint",
    *_ERRORS,
    "not-as-signed",
    "no-room",
    "too-large",
    "wrong-media-type",
    most_bytes=CHECKPOINT_BYTES,
    status=201,
)
async def post_checkpoint(request: AnyRequest) -> Response[Checkpoint]:
    """Keep a checkpoint that `points checkpoint` signed, to prove by: 201, also where it was stored before.

    It has to be of this ledger, and what it signed is compared with what the ledger holds.
    """
    check_media_type(request, JSON)
    raw = await request.body()
    served, caller = served_by(request), caller_of(request)
    store, trees = checkpoint_store(served), served.audits / TREES
    signed = await served.books.read_within(PROOF_SECONDS, lambda ledger, tick: _checked(ledger, raw, trees, tick))
    found = StoredCheckpoint(name_of(signed), signed)
    if not store.has(found.name):
        await asyncio.to_thread(served.operator_log.record, caller.name, "checkpoint", found.name)
        await asyncio.to_thread(store.put, signed)
    return plain_answer(describe_checkpoint(found), 201)


@_PROOF.get("/v1/checkpoints", "getCheckpoints", "Checkpoints", *_ERRORS)
async def get_checkpoints(request: AnyRequest) -> Response[Checkpoints]:
    """The checkpoints that are stored, the one over most entries first."""
    return answer(request, Checkpoints(await checkpoints_of(served_by(request))))


@_PROOF.get("/v1/checkpoints/{name:str}", "getCheckpoint", "A checkpoint", *_ERRORS, media_type=JSON)
async def get_checkpoint(request: AnyRequest, name: Name) -> Response[Envelope]:
    """The file, as it was signed."""
    return file_answer(await checkpoint_file(served_by(request), name), f"{name}.checkpoint")


@_PROOF.get(
    "/v1/checkpoints/{name:str}/consistency",
    "proveConsistency",
    "That a checkpoint extends an earlier one",
    *_ERRORS,
    "not-as-signed",
    media_type=JSON,
)
async def get_consistency(
    request: AnyRequest,
    name: Name,
    earlier: Annotated[str, QueryParameter(description="The earlier checkpoint's name.", max_length=64)],
) -> Response[Proof]:
    """The proof that the ledger of one checkpoint holds everything of an earlier one's, in its place."""
    return file_answer(await consistency_file(served_by(request), earlier, name), f"{name}.proof")


@Subject("Proof", needs_member).get(
    "/v1/members/{member:str}/entries/{number:int}/proof",
    "proveEntry",
    "The proof of an entry",
    "unknown-member",
    "unknown-entry",
    *_ERRORS,
    "not-as-signed",
    media_type=JSON,
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


async def checkpoints_of(served: Served) -> list[Checkpoint]:
    """Return the checkpoints that are stored, the one over most entries first. Raises `Busy`."""
    store = checkpoint_store(served)
    return await served.readers.read(lambda _: [describe_checkpoint(stored) for stored in store.all()])


async def checkpoint_file(served: Served, name: str) -> bytes:
    """Return a checkpoint's file. Raises what `problem_of` knows."""
    store = checkpoint_store(served)
    return await served.readers.read(lambda _: write(store.get(name).signed))


async def proof_file(served: Served, member: str, number: int, name: str) -> bytes:
    """Return the proof of an entry by a checkpoint, or by the newest that covers it. Raises what `problem_of` knows."""
    store, trees = checkpoint_store(served), served.audits / TREES

    def prove_it(ledger: Ledger, tick: Progress) -> bytes:
        if name:
            stored = store.get(name)
        else:
            partition, place = prove.place_of(ledger, member, number)
            stored = store.covering(partition, place)
        return prove.write(prove.inclusion(ledger, member, number, stored.signed, tick, trees))

    return await served.books.read_within(PROOF_SECONDS, prove_it)


async def consistency_file(served: Served, earlier: str, later: str) -> bytes:
    """Return the proof that a checkpoint extends an earlier one. Raises what `problem_of` knows."""
    store, trees = checkpoint_store(served), served.audits / TREES

    def prove_it(ledger: Ledger, tick: Progress) -> bytes:
        first, second = store.get(earlier).signed, store.get(later).signed
        return prove.write(prove.consistency(ledger, first, second, tick, trees))

    return await served.books.read_within(PROOF_SECONDS, prove_it)


def checkpoint_store(served: Served) -> CheckpointStore:
    """Return the checkpoints that a server keeps."""
    return CheckpointStore(served.checkpoints)


def describe_checkpoint(stored: StoredCheckpoint) -> Checkpoint:
    """Return what is told of a checkpoint that is stored."""
    found = stored.signed.checkpoint
    marks = [CheckpointMark(mark.partition, mark.entries, mark.link, mark.tree) for mark in found.partitions]
    return Checkpoint(stored.name, found.at, stored.signed.key_id, stored.entries, marks)


def file_answer(content: bytes, name: str) -> Response[Any]:
    """Return a file to be saved under a name."""
    return Response(
        content, status_code=200, media_type=JSON, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _checked(ledger: Ledger, raw: bytes, trees: Path, tick: Progress) -> Signed:
    signed = parsed(raw, "the body")
    check(ledger, signed, trees, tick)
    return signed


HANDLERS = (post_checkpoint, get_checkpoints, get_checkpoint, get_consistency, get_proof)
