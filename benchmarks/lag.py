"""How far views stand behind the journal while facts come in at a steady rate, as a server follows them, in each store.

The lag of a view is the age of the oldest entry that it has not: none where it has them all.
"""

import multiprocessing
import statistics
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from threading import Event

from benchmarks.measure import Failed, Figures, cpu_of, say
from benchmarks.stores import database
from benchmarks.work import Work
from consumers.runtime.ingest import ingest
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger, open_or_create
from projections.views.files import Folder
from projections.views.port import ViewStore
from projections.views.postgres import Tables
from projections.views.registry import BUILT_IN
from projections.views.runner import run
from service.follower import follow

RATE = 500  # facts a second
EVERY = 0.1  # seconds, between two batches
SECONDS = 20.0
STARTED_SECONDS = 60
BEFORE = 10_000  # facts, which the views were built over


def lag(work: Work, path: Path) -> Figures:
    """Return by store the facts a second that came in, the lag in seconds, and the follower's CPU a second.

    Raises `Failed` without a PostgreSQL.
    """
    rows = []
    with work.ledger() as folder, closing(open_or_create(folder)) as ledger:
        rows.append({"store": "files", **_measured(work, path, ledger, folder)})
    work.folder.chmod(0o711)  # the server may run as another user
    with database(work.folder, "lag") as address, closing(open_ledger(address)) as ledger:
        rows.append({"store": "PostgreSQL", **_measured(work, path, ledger, work.folder / "trees")})
    return {"rate": RATE, "views": len(BUILT_IN), "rows": rows}


def store_of(place: str) -> ViewStore:
    """Return where the views of a ledger are in this benchmark: beside it, or in its database."""
    return Tables(place) if "://" in place else Folder(Path(place) / "views")


def _measured(work: Work, path: Path, ledger: Ledger, folder: Path) -> Figures:
    with path.open("rb") as facts, store_of(ledger.place) as store:
        say("views over the first facts")
        with ledger.writing():
            _decide(work, ledger, list(islice(facts, BEFORE)))
        run(ledger, store, BUILT_IN)
        say(f"{RATE} facts a second")
        with _followed(ledger.place, folder) as pid:
            with ledger.writing():
                _decide(work, ledger, list(islice(facts, 1)))
            _wait(store, sum(ledger.heads().values()))
            cpu = cpu_of(pid)
            found = _steady(work, ledger, store, facts)
            return {**found, "cpu": (cpu_of(pid) - cpu) / SECONDS}


def _steady(work: Work, ledger: Ledger, store: ViewStore, facts: Iterator[bytes]) -> Figures:
    began = time.monotonic()
    heads, at, lags = [sum(ledger.heads().values())], [began], list[float]()
    count = 0
    with ledger.writing():
        while (now := time.monotonic()) < began + SECONDS:
            due = int((now - began) * RATE) - count
            if due > 0:
                count += due
                _decide(work, ledger, list(islice(facts, due)))
                heads.append(sum(ledger.heads().values()))
                at.append(time.monotonic())
            lags.append(max(_behind(store.live_positions(view.name), heads, at) for view in BUILT_IN))
            time.sleep(max(0.0, now + EVERY - time.monotonic()))
    lags.sort()
    return {
        "facts_per_second": (heads[-1] - heads[0]) / (at[-1] - began),
        "median": statistics.median(lags),
        "p99": lags[int(len(lags) * 0.99)],
        "most": lags[-1],
    }


def _wait(store: ViewStore, head: int) -> None:
    """Wait until views are followed: a process takes its time to start."""
    end = time.monotonic() + STARTED_SECONDS
    while min(sum(store.live_positions(view.name).values()) for view in BUILT_IN) < head:
        if time.monotonic() > end:
            raise Failed(f"no view was followed within {STARTED_SECONDS} s")
        time.sleep(EVERY)


def _behind(positions: Mapping[int, int], heads: list[int], at: list[float]) -> float:
    """Return for how long the first of the entries behind some positions has been there."""
    first = bisect_right(heads, sum(positions.values()))
    return time.monotonic() - at[first] if first < len(at) else 0.0


def _decide(work: Work, ledger: Ledger, facts: list[bytes]) -> None:
    file = work.folder / "some.ndjson"
    file.write_bytes(b"".join(facts))
    ingest(ledger, [str(file)], backlog=False)


@contextmanager
def _followed(place: str, folder: Path) -> Iterator[int | None]:
    """Follow as a server does, in a process of its own; yield its id."""
    process = multiprocessing.get_context("spawn").Process(target=_follow, args=(place, folder), daemon=True)
    process.start()
    try:
        yield process.pid
    finally:
        process.kill()
        process.join()


def _follow(place: str, folder: Path) -> None:
    follow(open_ledger(place), store_of(place), folder, Event().wait)
