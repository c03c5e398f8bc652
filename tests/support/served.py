"""A real server for tests: `points serve` as a process of its own, on a free port, over a ledger of either store."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx

from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from projections.audit.replay import replay
from projections.audit.verify import verify
from service.keys import Keys
from tests.support.histories import encode

ROOT = Path(__file__).resolve().parents[2]
Fact = dict[str, Any]


class Server:
    """A server that runs, and how to ask it. `folder` holds the ledger, or what stands beside one in a database."""

    def __init__(
        self, folder: Path, *options: str, database: str = "", views: bool = False, failpoint: str = ""
    ) -> None:
        self.folder = folder
        self.place = database or str(folder)
        options = options if views else ("--no-views", *options)  # a process less for each server
        if database:
            options = ("--folder", str(folder), *options)
        self.log = folder.parent / f"{folder.name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*points(self.place), "serve", "--port", "0", "--json", *options],
                cwd=ROOT,
                env=environment() | ({"POINTS_FAILPOINT": failpoint} if failpoint else {}),
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"exit {self.process.wait(60)}: {self.log.read_text()}"
        told = json.loads(line)
        self.url: str = told["url"]
        self.processes: list[int] = told["processes"]  # that serve

    def client(self, key: str | None = None) -> httpx.Client:
        """A client without the product's own retries."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=100)

    def stop(self) -> int:
        """End it as an operator does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=100)
        return self.process.returncode

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.communicate(timeout=100)


@contextmanager
def served(
    folder: Path, *options: str, database: str = "", views: bool = False, failpoint: str = ""
) -> Iterator[Server]:
    """A server for as long as it is needed; `views` says whether it keeps views up to date.

    `failpoint` is where one of its processes is killed or stopped.
    """
    server = Server(folder, *options, database=database, views=views, failpoint=failpoint)
    try:
        yield server
    finally:
        assert server.stop() in (0, -signal.SIGKILL)


def owner_processes(server: Server) -> list[int]:
    """Return the processes that decide: those that the server's first process began, but for its front ends."""
    listed = subprocess.check_output(["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], text=True)
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    begun = [int(pid) for pid, parent, args in rows if int(parent) == server.process.pid and "spawn_main" in args]
    return [pid for pid in begun if pid not in server.processes]


def is_whole(place: Path | str) -> Ledger:
    """The ledger of servers that ended: its chain and decisions are as they should be, and follow from its inbox."""
    ledger = open_ledger(place)
    assert verify(ledger)["broken"] == []
    assert replay(ledger, from_topic=True)["differences"] == []
    return ledger


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, 100 seconds at most."""
    ends = monotonic() + 100
    while not holds():
        assert monotonic() < ends, "it never came to be so"
        sleep(0.05)


def points(place: Path | str) -> list[str]:
    """`points` of this checkout over a ledger."""
    return [sys.executable, "-m", "service.cli", "--ledger", str(place)]


def new_key(folder: Path, name: str, *scopes: str, rate: int = 1_000) -> str:
    """A key's text."""
    keys = Keys(folder)
    _, text = keys.new(name, scopes, rate=rate)
    keys.close()
    return text


def environment() -> dict[str, str]:
    """This process's environment, without a ledger of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POINTS_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def fact(kind: str, member: str, name: str, data: Fact, *, source: str = "/shop/test", ago: float = 1.0) -> Fact:
    """A fact that occurred so many seconds ago."""
    time = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    return {
        "specversion": "1.0",
        "id": name,
        "source": source,
        "type": f"{kind}.v1",
        "subject": member,
        "time": time,
        "data": data,
    }


def grant(member: str, name: str, points: int, **more: Any) -> Fact:
    """Points that a campaign gives."""
    return fact("campaign.granted", member, name, {"grant": name, "campaign": "c", "points": points}, **more)


def redemption(member: str, name: str, points: int, **more: Any) -> Fact:
    """A request to redeem points."""
    return fact("redemption.requested", member, name, {"redemption": name, "points": points, "use": "coupon"}, **more)


def ndjson(facts: list[Fact]) -> bytes:
    """Facts as the body of a bulk request."""
    return b"".join(encode(one) + b"\n" for one in facts)


NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}
