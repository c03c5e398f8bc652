"""What a running server shares with its handlers."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litestar import Request

from ledger.journal.ledger import Ledger
from projections.side import TREES, Side
from projections.views.builds import Folder
from service.http import metrics
from service.http.operators import Operators
from service.http.rates import Rates
from service.http.readers import Readers
from service.http.supervisor import Follower
from service.http.writer import Writer

READERS = 2  # threads that answer about one member; more contend for the interpreter and answer no faster
DECISION_SECONDS = 2.0  # that a request waits for its decision


@dataclass(slots=True)
class Served:
    """A ledger being served. `wait` is how many seconds a request waits for its decision where it does not say."""

    ledger: Ledger
    writer: Writer
    readers: Readers  # of one member: short
    books: Readers  # of all members: long, one at a time
    checkers: ThreadPoolExecutor  # of facts in bulk
    operators: frozenset[str]  # sources whose operator facts count
    actions: Operators
    wait: float
    views: Folder | None  # where the views are kept, and
    audits: Path | None  # what audits left; None where the ledger has no folder
    rates: Rates


@contextmanager
def serving(ledger: Ledger, side: Side, wait: float = DECISION_SECONDS, *, follows: bool = True) -> Iterator[Served]:
    """Serve a ledger whose lock is held, from the event loop that runs; what was taken is decided at the end.

    `follows` says whether a process beside this one keeps views up to date.
    """
    # msgspec lays out a type when it first meets it, and two threads that meet it at once crash the process: the rule
    # book's types are met here, before there are threads.
    _ = ledger.book
    writer = Writer(ledger)

    def reopen() -> Ledger:
        return Ledger.open(ledger.place)

    rates = Rates(lambda: _counters(writer, ledger))
    served = Served(
        ledger,
        writer,
        Readers(reopen, lambda: writer.generation, READERS),
        Readers(reopen, lambda: writer.generation, 1, waiting=8, together=1),
        ThreadPoolExecutor(1, thread_name_prefix="points-check"),
        frozenset(ledger.settings.operators),
        Operators(Path(ledger.place)),
        wait,
        None if side.views is None else Folder(side.views),
        side.audits,
        rates,
    )
    standing = metrics.Standing(lambda: _standing(writer, ledger))
    metrics.register(standing)
    trees = None if side.audits is None else side.audits / TREES
    follower = Follower(ledger.place, side.views, trees) if follows else None
    writer.start()
    looking = asyncio.get_running_loop().create_task(rates.run())
    if follower is not None:
        follower.start()
    try:
        yield served
    finally:
        looking.cancel()
        if follower is not None:
            follower.stop()
        metrics.forget(standing)
        writer.stop()
        served.checkers.shutdown(cancel_futures=True)
        served.readers.close()
        served.books.close()


def served_by(request: Request[Any, Any, Any]) -> Served:
    """What a request's server shares."""
    served: Served = request.app.state.served
    return served


def _counters(writer: Writer, ledger: Ledger) -> tuple[int, int]:
    """Facts that were made durable and facts that were decided, ever."""
    return sum(end + 1 for end in writer.ends), sum(writer.position(p) + 1 for p in ledger.partitions)


def _standing(writer: Writer, ledger: Ledger) -> tuple[int, bool, dict[int, tuple[int, int]]]:
    partitions = {p: (writer.position(p), writer.ends[p]) for p in ledger.partitions}
    return writer.waiting, writer.is_caught_up and not (writer.trouble or writer.cannot_append), partitions
