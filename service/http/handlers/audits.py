"""What audits came to, and where the views stand."""

from litestar import Response
from msgspec.structs import asdict

from ledger.journal.ledger import Ledger
from ledger.wire.answers import AuditResult, Audits, Views
from projections.answers.documents import Documents
from projections.audit.results import results
from projections.views.registry import all_views
from projections.views.status import status
from service.http.access import needs
from service.http.answers import answer
from service.http.operations import AnyRequest, Subject
from service.http.state import Served, served_by

_ALL_MEMBERS = Subject("All members", needs("books:read"))


@_ALL_MEMBERS.get("/v1/audits", "getAudits", "Audits")
async def get_audits(request: AnyRequest) -> Response[Audits]:
    """The last result of `points verify`, `replay`, `reconcile` and `checkpoint`, and how many entries came since."""
    return answer(request, Audits(await audits_of(served_by(request))))


@_ALL_MEMBERS.get("/v1/views", "getViews", "Views")
async def get_views(request: AnyRequest) -> Response[Views]:
    """Every build of every view: how far it has read, and how far it is behind."""
    served = served_by(request)
    builds = await served.readers.read(lambda ledger: status(ledger, served.views, all_views().values()))
    return answer(request, Views(builds))


async def audits_of(served: Served) -> list[AuditResult]:
    """Return the last result of each audit, with the entries that came since. Raises `Busy`."""
    return await served.readers.read(lambda ledger: _audits(ledger, served.results))


def _audits(ledger: Ledger, documents: Documents) -> list[AuditResult]:
    heads = ledger.heads()
    found = []
    for record in results(documents):
        since = sum(max(0, head - record.position.get(str(partition), 0)) for partition, head in heads.items())
        found.append(AuditResult(**asdict(record), since=since))
    return found


HANDLERS = (get_audits, get_views)
