"""Audits: where each chain ends now, and the commands that check it."""

from litestar import Response, get

from service.console.pages import page
from service.console.visitors import AnyRequest, needs
from service.http.books import positions
from service.http.server_state import served_by


@get("/audits", guards=[needs("books:read")])
async def get_audits(request: AnyRequest) -> Response[bytes]:
    """The heads of the chains, and how to verify, replay and prove."""
    served = served_by(request)
    return page(request, "audits.html", partitions=await positions(served), identity=served.ledger.identity)


HANDLERS = (get_audits,)
