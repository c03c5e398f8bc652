"""Budgets and stocks that members share: what was drawn of each, what leases have of it, and what is left."""

import time

from litestar import Response, get

from ledger.journal.ledger import Ledger
from ledger.wire.answers import Pool
from ledger.wire.times import day_of, day_text
from projections.answers.pools import pools_of
from service.console.members import Day, end_of_day
from service.console.pages import labels, page
from service.console.requests import AnyRequest, needs
from service.http.state import served_by


@get("/pools", guards=[needs("books:read")])
async def get_pools(request: AnyRequest, as_of: Day = "") -> Response[bytes]:
    """The budgets and stocks, now or as of a day's end, each in the month that it then counts."""
    served, day = served_by(request), as_of.strip()

    def found(ledger: Ledger) -> tuple[list[Pool], str]:
        offset = ledger.book.offset
        instant = end_of_day(day, offset) if day else time.time_ns() // 1000
        return pools_of(ledger, instant), day_text(day_of(instant, offset))

    pools, shown = await (served.histories if day else served.readers).read(found)
    return page(request, "pools.html", pools=pools, day=shown, free_of=free_of, names=await labels(request))


def free_of(pool: Pool) -> int:
    """Return what the leases of a pool have of it that nobody has drawn."""
    return sum(lease.out - lease.drawn for lease in pool.leases)


HANDLERS = (get_pools,)
