"""What audits came to, and where the views stand."""

from pathlib import Path
from typing import Any

import msgspec
from litestar import Response, get

from ledger.journal.ledger import Ledger
from projections.audit.results import results
from projections.views.registry import all_views
from projections.views.runner import heads_of
from projections.views.status import status
from service.http.access import needs
from service.http.answers import answer
from service.http.handlers.members import AnyRequest
from service.http.responses import PROBLEMS
from service.http.shapes import Audits, Views
from service.http.state import Served, served_by

_READ: dict[str, Any] = {"guards": [needs("books:read")], "tags": ["All members"]}


@get("/v1/audits", responses=PROBLEMS, operation_id="getAudits", summary="Audits", **_READ)
async def get_audits(request: AnyRequest) -> Response[Audits]:
    """The last result of `points verify`, `replay`, `reconcile` and `checkpoint`, and how many entries came since."""
    return answer(request, {"audits": await audits_of(served_by(request))})


@get("/v1/views", responses=PROBLEMS, operation_id="getViews", summary="Views", **_READ)
async def get_views(request: AnyRequest) -> Response[Views]:
    """Every build of every view: how far it has read, and how far it is behind."""
    served = served_by(request)
    return answer(
        request, {"views": await served.readers.read(lambda ledger: status(ledger, served.views, all_views().values()))}
    )


async def audits_of(served: Served) -> list[dict[str, Any]]:
    """The last result of each audit, with the entries that came since. Raises `Busy`."""
    return await served.readers.read(lambda ledger: _audits(ledger, served.audits))


def _audits(ledger: Ledger, folder: Path) -> list[dict[str, Any]]:
    heads = heads_of(ledger)
    found = []
    for result in results(folder):
        since = sum(max(0, head - result.position.get(str(partition), 0)) for partition, head in heads.items())
        found.append({**msgspec.to_builtins(result), "since": since})
    return found


HANDLERS = (get_audits, get_views)
