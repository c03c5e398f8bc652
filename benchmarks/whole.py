"""Whole processes: `points ingest`, `points replay` and `points verify` as a user runs them, beside a minimal peer."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measure import Run, points, run, say
from benchmarks.work import Work, size_of
from service.demo.online_retail import facts as real_facts

JOBS = (1, 2)


def ingest(work: Work, path: Path, jobs: int, then: Callable[[Path], None] = lambda _: None) -> Run:
    """Take a file into a new ledger; `then` looks at the ledger before it goes."""
    with work.ledger() as folder:
        found = run(points("--ledger", str(folder), "ingest", "--backlog", str(path), "--jobs", str(jobs), "--json"))
        then(folder)
    return found


def whole(work: Work, path: Path, rounds: int) -> dict[str, Any]:
    """Ingest with one process and two, and the peers, taken in turn; the best of the rounds counts."""
    best: dict[str, Run] = {}
    bytes_written = 0

    def measured(folder: Path) -> None:
        nonlocal bytes_written
        bytes_written = size_of(folder)

    for number in range(rounds):
        of = f" ({number + 1} of {rounds})" if rounds > 1 else ""
        say(f"peers{of}")
        keep(best, "json.loads alone", run(_peer(path)))
        with work.ledger() as folder:
            folder.mkdir()
            keep(best, "peer", run([*_peer(path), str(folder / "peer.db")]))
        for jobs in JOBS:
            say(f"points ingest --jobs {jobs}{of}")
            keep(best, f"ingest, jobs {jobs}", ingest(work, path, jobs, measured))
    return {"runs": {name: found.to_dict() for name, found in best.items()}, "ledger_bytes": bytes_written}


def audits(work: Work, path: Path, rounds: int) -> dict[str, Any]:
    """Replay with one process and two, verify, and what goes out of a ledger, over one ledger."""
    best: dict[str, Run] = {}

    def audit(folder: Path) -> None:
        for _ in range(rounds):
            for jobs in JOBS:
                say(f"points replay --jobs {jobs}")
                found = run(points("--ledger", str(folder), "replay", "--jobs", str(jobs), "--json"))
                differences = json.loads(found.output)["differences"]
                if differences:
                    raise SystemExit(f"the replay differs: {differences[0]}")
                keep(best, f"replay, jobs {jobs}", found)
            say("points verify")
            keep(best, "verify", run(points("--ledger", str(folder), "verify", "--json")))
            for name, command in _proofs(folder):
                say(f"points {name}")
                keep(best, name, run(points("--ledger", str(folder), *command)))

    say("a ledger to audit")
    ingest(work, path, 2, audit)
    return {"runs": {name: found.to_dict() for name, found in best.items()}}


def _proofs(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """What goes out of a ledger, and a ledger again, each into places of its own beside it."""
    with TemporaryDirectory(dir=folder.parent) as beside:
        key, signed, archive, backup = (f"{beside}/{name}" for name in ("key.pem", "signed", "archive", "backup"))
        run(points("signing-key", "new", "-o", key))
        yield "checkpoint", ["checkpoint", "--key", key, "-o", signed]
        yield "verify --checkpoint", ["verify", "--checkpoint", signed, "--json"]
        yield "archive export", ["archive", "export", archive]
        yield "archive import", ["--ledger", f"{beside}/restored", "archive", "import", archive]
        yield "backup", ["backup", backup]


def real(work: Work, rounds: int) -> dict[str, Any]:
    """The real shop's year: its order lines, and how long they take."""
    path = work.folder / "online-retail.ndjson"
    facts = lines = 0
    say("reading the real shop's year")
    with path.open("wb") as file:
        for fact in real_facts():
            facts += 1
            lines += fact.count(b'"line":') if b'"order.completed.v1"' in fact else 0
            file.write(fact + b"\n")
    best: dict[str, Run] = {}
    for _ in range(rounds):
        for jobs in JOBS:
            say(f"points ingest --jobs {jobs}, the real year")
            keep(best, f"ingest, jobs {jobs}", ingest(work, path, jobs))
    return {"facts": facts, "lines": lines, "runs": {name: found.to_dict() for name, found in best.items()}}


def _peer(path: Path) -> Sequence[str]:
    return [sys.executable, "-m", "benchmarks.peer", str(path)]


def keep(best: dict[str, Run], name: str, found: Run) -> None:
    """Keep the fastest run of a name; of the memory the largest."""
    before = best.get(name)
    if before is not None:
        faster = min(found, before, key=lambda r: r.seconds)
        found = faster._replace(rss=max(found.rss, before.rss), anonymous=max(found.anonymous, before.anonymous))
    best[name] = found
