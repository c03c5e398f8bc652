"""The console's pages in milliseconds, asked for one after the other, over a ledger whose books a view keeps.

A ledger that is there is served, and nothing of it is changed but for the files beside it.
"""

import http.client
import json
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import quote, urlsplit

from benchmarks.http import server
from benchmarks.measure import Figures, own_cpu_of, points, run, say
from benchmarks.work import Work, sampled
from ledger.journal.open import open_ledger

TIMES = 100  # that each page is asked for
LONGEST_BUILD = 6 * 3_600  # seconds
SAMPLE = 50  # members
MOST_TRIES = 100
KEPT = ("books", "overview", "finding")  # views that the server keeps


def console(work: Work, traffic: Path) -> Figures:
    """The figures of a ledger that is made of some traffic."""
    with work.ledger() as folder:
        say("a ledger to look at")
        run(points("--ledger", str(folder), "ingest", "--backlog", str(traffic), "--json"))
        return pages(folder)


def pages(folder: Path) -> Figures:
    """Serve a ledger, wait until its books are kept, and ask for each page; the member is another one each time."""
    ledger = open_ledger(folder)
    members = [row.member for row in islice(sampled(ledger, SAMPLE), SAMPLE)]
    ledger.close()
    _sign(folder)
    with server(folder) as (url, process):
        say("waiting for the books")
        with _client(url) as ask:
            entries = _wait_for_books(ask)
            addresses = _addresses(members)
            _wait_for_trees(ask, addresses["proof of an entry"])
            found = {name: _measure(ask, asked, process) for name, asked in addresses.items()}
    return {"entries": entries, "times": TIMES, "pages": found}


def _addresses(members: list[str]) -> dict[str, list[str]]:
    asked = [quote(member, safe="") for member in members]
    return {
        "overview": ["/console"],
        "overview, 12 months": ["/console?range=12m"],
        "overview, all": ["/console?range=all"],
        "find, by a member's beginning": [f"/v1/find?q={member[: max(2, len(member) - 1)]}" for member in asked],
        "find, by an order's id": [f"/v1/find?kind=order&q=O1-{number}" for number in range(1, SAMPLE + 1)],
        "latest members": ["/console/find"],
        "member": [f"/console/member?id={member}" for member in asked],
        "why": [f"/console/why?id={member}&number=1" for member in asked],
        "liability": ["/console/liability"],
        "programmes": ["/console/programmes"],
        "audits": ["/console/audits"],
        "dead letters": ["/console/dead-letters"],
        "proof of an entry": [f"/v1/members/{member}/entries/1/proof" for member in asked],
        "GET /v1/stats": ["/v1/stats"],
        "GET /v1/liability": ["/v1/liability"],
    }


def _sign(folder: Path) -> None:
    """A checkpoint to prove by, where there is none yet."""
    checkpoints = _audits(folder) / "checkpoints"
    if not any(checkpoints.glob("*.checkpoint")):
        key = Path(mkdtemp(prefix="points-bench-")) / "key.pem"
        say("points checkpoint")
        run(points("signing-key", "new", "-o", str(key), "--json"))
        run(points("--ledger", str(folder), "checkpoint", "--key", str(key), "-o", str(key.with_name("c")), "--json"))


def _audits(folder: Path) -> Path:
    return Path(os.environ.get("POINTS_FOLDER", folder)) / "audits"


@contextmanager
def _client(url: str) -> Iterator[Any]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def ask(address: str) -> bytes:
        connection.request("GET", address)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 503:
            raise TimeoutError(address)
        if answer.status != 200:
            raise SystemExit(f"{address}: {answer.status} {body[:200]!r}")
        return body

    yield ask
    connection.close()


def _wait_for_books(ask: Any) -> int:
    end = time.monotonic() + LONGEST_BUILD
    while time.monotonic() < end:
        views = {one["view"]: one for one in json.loads(ask("/v1/views"))["views"] if one["is_live"]}
        if all(name in views and views[name].get("behind") == 0 for name in KEPT):
            return int(views["books"]["entries"])
        time.sleep(1)
    raise SystemExit(f"the books were not built in {LONGEST_BUILD} s")


def _wait_for_trees(ask: Any, addresses: list[str]) -> None:
    """Until a proof in each partition is made in time: the heads it needs are kept from then on."""
    for address in addresses:
        for _ in range(MOST_TRIES):
            try:
                ask(address)
                break
            except TimeoutError:
                say("waiting for the trees")


def _measure(ask: Any, addresses: list[str], process: int) -> Figures:
    """Milliseconds by the clock, and of the server's processor, which other work on the machine changes little."""
    millis, before = [], own_cpu_of(process)
    for number in range(TIMES):
        began = time.perf_counter()
        ask(addresses[number % len(addresses)])
        millis.append((time.perf_counter() - began) * 1_000)
    millis.sort()
    cpu = (own_cpu_of(process) - before) * 1_000 / TIMES
    p99 = millis[int(len(millis) * 0.99) - 1]
    return {"cpu": cpu, "median": statistics.median(millis), "p99": p99, "most": millis[-1]}
