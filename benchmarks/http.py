"""The HTTP API by one process and by two: redemptions decided and answered, member reads, facts in bulk.

The load comes from the same machine.
"""

import json
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measure import ROOT, points, run, say
from benchmarks.work import Work

RATE = 200  # redemptions a second
READERS = 16  # connections
SECONDS = 8.0
MEMBERS = 1_000
WORKERS = (1, 2)


class Serving(NamedTuple):
    """Where a server answers, and the id of its first process."""

    url: str
    process: int


def http(work: Work, traffic: Path, facts: int) -> dict[str, Any]:
    """The figures by how many workers, each of ledgers of their own."""
    by_workers = {workers: _served_by(workers, work, traffic, facts) for workers in WORKERS}
    return {"rate": RATE, "readers": READERS, "workers": by_workers}


def _served_by(workers: int, work: Work, traffic: Path, facts: int) -> dict[str, Any]:
    """The figures of one server after the other, each over a ledger of its own."""
    found: dict[str, Any] = {}
    say(f"a server of {workers} processes" if workers > 1 else "a server of one process")
    with work.ledger() as folder:
        _with_balances(work, folder)
        with server(folder, workers) as (url, _):
            say(f"{RATE} redemptions a second")
            found["redeem"] = figures(load(url, "redeem", MEMBERS, SECONDS, str(RATE)))
            say("member reads")
            found["read"] = figures(load(url, "read", MEMBERS, SECONDS, str(READERS)))
    with work.ledger() as folder, server(folder, workers) as (url, _):
        say(f"{facts:,} facts in bulk")
        began = time.perf_counter()
        found["bulk"] = figures(load(url, "bulk", MEMBERS, 0, str(traffic)))
        _wait_until_decided(url)
        found["bulk"]["decided_seconds"] = time.perf_counter() - began
    return found


def _with_balances(work: Work, folder: Path) -> None:
    """A ledger whose members have beans to spend."""
    path = work.folder / "grants.ndjson"
    lines = []
    for number in range(MEMBERS * 10):
        data = {"grant": f"g-{number}", "campaign": "c", "points": 10_000}
        lines.append(
            json.dumps(
                {
                    "specversion": "1.0",
                    "id": f"g-{number}",
                    "source": "/load",
                    "type": "campaign.granted.v1",
                    "subject": f"m-{number % MEMBERS}",
                    "time": "2026-01-01T00:00:00+08:00",
                    "data": {**data, "expires": "2099-01-01T00:00:00+08:00"},
                }
            )
        )
    path.write_text("\n".join(lines) + "\n")
    run(points("--ledger", str(folder), "ingest", "--backlog", str(path), "--json"))


@contextmanager
def server(folder: Path, workers: int = 1) -> Iterator[Serving]:
    """A server over a ledger."""
    command = points("--ledger", str(folder), "serve", "--port", "0", "--json", "--workers", str(workers))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            yield Serving(json.loads(process.stdout.readline())["url"], process.pid)
        finally:
            process.send_signal(signal.SIGTERM)


def load(url: str, what: str, members: int, seconds: float, more: str) -> dict[str, Any]:
    """What came of a load that another process makes, as `benchmarks.load` prints it."""
    command = [sys.executable, "-m", "benchmarks.load", url, what.partition("-")[0], str(members), str(seconds), more]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """The figures of a load: how many requests, so many a second, and their milliseconds."""
    millis = sorted(found["millis"])
    return {
        "requests": found["requests"],
        "a_second": found["requests"] / found["seconds"],
        "median": statistics.median(millis),
        "p99": millis[int(len(millis) * 0.99)],
        "statuses": found["statuses"],
    }


def _wait_until_decided(url: str) -> None:
    while True:
        with urllib.request.urlopen(f"{url}/v1/positions", timeout=60) as answer:
            if not any(part["lag"] for part in json.load(answer)["partitions"]):
                return
        time.sleep(0.1)
