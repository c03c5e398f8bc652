"""Audits: what each came to last, the checkpoints that are kept, proofs to take away, and where the chains end."""

from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Response, get
from litestar.params import QueryParameter

from service.console.members import Id
from service.console.pages import page
from service.console.requests import AnyRequest, caller_of, needs
from service.http.access import check_readable
from service.http.handlers.audits import audits_of
from service.http.handlers.books import positions
from service.http.handlers.checkpoints import checkpoint_file, checkpoints_of, consistency_file, file_answer, proof_file
from service.http.state import served_by

LISTED = 100  # checkpoints
_READ: dict[str, Any] = {"guards": [needs("books:read")]}
Name = Annotated[str, QueryParameter(description="A checkpoint's name here.", max_length=64)]


@get("/audits", **_READ)
async def get_audits(request: AnyRequest) -> Response[bytes]:
    """The last results, the checkpoints, and how to audit."""
    served = served_by(request)
    checkpoints = await checkpoints_of(served)
    return page(
        request,
        "audits.html",
        partitions=await positions(served),
        identity=served.ledger.identity,
        audits=[(one, age_of(one.at)) for one in await audits_of(served)],
        checkpoints=checkpoints[:LISTED],
        more=max(0, len(checkpoints) - LISTED),
    )


@get("/checkpoint", **_READ)
async def get_checkpoint(request: AnyRequest, name: Name) -> Response[Any]:
    """A checkpoint's file."""
    return file_answer(await checkpoint_file(served_by(request), name), f"{name}.checkpoint")


@get("/consistency", **_READ)
async def get_consistency(request: AnyRequest, earlier: Name, later: Name) -> Response[Any]:
    """The proof that a checkpoint extends an earlier one."""
    return file_answer(await consistency_file(served_by(request), earlier, later), f"{later}.proof")


@get("/proof", guards=[needs("members:read")])
async def get_proof(
    request: AnyRequest,
    id: Id,
    number: Annotated[int, QueryParameter(ge=1, le=1 << 53, description="The entry's.")],
    checkpoint: Name = "",
) -> Response[Any]:
    """The proof of an entry."""
    member = id.strip()
    check_readable(caller_of(request), member)
    return file_answer(await proof_file(served_by(request), member, number, checkpoint), f"entry-{number}.proof")


def age_of(at: str) -> tuple[str, int]:
    """Return how long ago an instant was: days, hours or minutes, and how many."""
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()))
    for unit, length in (("days", 86_400), ("hours", 3_600)):
        if seconds >= length:
            return unit, seconds // length
    return "minutes", seconds // 60


HANDLERS = (get_audits, get_checkpoint, get_consistency, get_proof)
