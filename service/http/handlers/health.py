"""Whether the server lives and is ready, and its metrics."""

from contextlib import suppress

from litestar import Response, get

from consumers import clock
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.answers import Health
from ledger.wire.times import SECOND
from service.http import metrics
from service.http.access import Authenticator, needs
from service.http.answers import plain_answer
from service.http.operations import AnyRequest, Subject, problems
from service.http.pending import Busy
from service.http.problems import Problem
from service.http.state import Served, served_by

METRICS_TYPE = "text/plain; version=0.0.4"


@get("/health/live", operation_id="isLive", summary="Whether it lives", tags=["Health"])
async def live() -> Response[Health]:
    """200 while the process answers. No key is needed."""
    return plain_answer(Health("live"))


@get(
    "/health/ready", responses=problems("busy"), operation_id="isReady", summary="Whether it is ready", tags=["Health"]
)
async def ready(request: AnyRequest) -> Response[Health]:
    """200 while facts are taken and decided, and all that waited at the start is. No key is needed.

    `troubled` are partitions that cannot be decided now, while others can: their members alone are turned away. Why
    is told to a key with `books:read`, to others that it is so. `recorded_ahead` says by how many seconds partitions
    are recorded ahead of the clock, since one was once wrong. `gaps` counts the gaps in the stream that operators
    accepted, by partition.
    """
    served = served_by(request)
    if served.has_trouble:
        raise Problem("busy", "facts cannot be taken or decided now; the server's log says why")
    if not served.owners.state.is_caught_up:
        raise Problem("busy", "facts from before the start are still being decided")
    state = served.owners.state
    until = state.ahead_until.items()
    ahead = {partition: seconds for partition, at in until if (seconds := clock.seconds_ahead(at))}
    troubled = dict(state.troubled)
    authenticator: Authenticator = request.app.state.authenticator
    if troubled and not authenticator.shows(request, "books:read"):
        troubled = dict.fromkeys(troubled, "it cannot be decided now; the server's log says why")
    return plain_answer(Health("ready", troubled, ahead, served.gaps.by_partition))


@Subject("Health", needs("books:read")).get("/metrics", "getMetrics", "Metrics", media_type=METRICS_TYPE)
async def get_metrics(request: AnyRequest) -> Response[bytes]:
    """Metrics in Prometheus' text format; where the store cannot be asked, without the partitions."""
    served = served_by(request)
    try:
        found = await served.readers.read(lambda ledger: _standing(ledger, served))
    except (Busy, JournalError):
        found = {}
    is_ready = served.owners.state.is_caught_up and not served.has_trouble
    standing = metrics.Standing(is_ready, found, served.owners.state.troubled, served.gaps.by_partition)
    return Response(metrics.text(standing), media_type=METRICS_TYPE)


def _standing(ledger: Ledger, served: Served) -> dict[int, metrics.Place]:
    """Return where each partition stands, of those whose journals can be read."""
    found, now = {}, clock.now()
    for partition, end in enumerate(served.stream.ends(ledger)):
        with suppress(JournalError):
            head = ledger.journal(partition).head()
            end = max(end, head.offset)  # the journal was read after it
            unsent = {
                peer: max(now - since, 0) // SECOND if since else 0
                for peer, since in served.unsent.since(ledger, partition).items()
            }
            found[partition] = metrics.Place(head.offset, end, clock.seconds_ahead(head.recorded), unsent)
    return found


HANDLERS = (live, ready, get_metrics)
