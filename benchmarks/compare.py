"""This checkout beside another commit, on the same facts in the same run."""

import json
import os
import subprocess
import sys
import tarfile
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Failed, Figures, Run, points, run, say
from benchmarks.work import Work
from ledger.journal.engines import VARIABLE
from projections.views.registry import BUILT_IN

STAGES = Path(__file__).with_name("stages.py")
HERE, BY_PYTHON = "here", "here, Python"


def compare(work: Work, path: Path, revision: str, rounds: int) -> Figures:
    """Measure the stages of both in turn and keep the best of each. Raises `Failed` where the other has no such."""
    other = _checkout(work, revision)
    found: dict[str, list[Figures]] = {HERE: [], revision: []}
    for number in range(rounds):
        for name, root in ((HERE, ROOT), (revision, other)):
            say(f"stages, {name} ({number + 1} of {rounds})")
            found[name].append(stages_of(path, root, name))
    return {name: min(runs, key=lambda r: r["ingest"]) for name, runs in found.items()}


def stages_of(path: Path, root: Path = ROOT, name: str = HERE) -> Figures:
    """The stages of a checkout, in a process of their own. Raises `Failed`."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, str(STAGES), str(path)], cwd=root, env=environment, capture_output=True, check=False
    )
    if done.returncode:
        last = done.stderr.decode().strip().splitlines()[-1:]
        raise Failed(f"{name}: its stages are not those of this checkout: {''.join(last)}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def compare_audits(work: Work, facts: int, members: int, revision: str, rounds: int) -> Figures:
    """Replay, verify and the rebuild of each view here, here by Python, and at a revision, in one process.

    `runs` are by facts in the ledger (one fact shows the start of a process), command, and whose: the least of the
    rounds in seconds and in CPU seconds. Each is over a ledger of its own making. Raises `Failed`.
    """
    other = _checkout(work, revision)
    there = {view["view"] for view in json.loads(run(points("views", "list", "--json"), root=other).output)}
    views = [view.name for view in BUILT_IN if view.name in there]
    commands = [["replay"], ["verify"], *(["views", "rebuild", name] for name in views)]
    whose = {HERE: (ROOT, "auto"), BY_PYTHON: (ROOT, "python"), revision: (other, "auto")}
    in_one = {(name, command[0]): _in_one_process(command, whose[name][0]) for name in whose for command in commands}
    runs: Figures = {}
    for size in (1, facts):
        path = work.traffic(size, members)
        found: Figures = {" ".join(command): {} for command in commands}
        with ExitStack() as ledgers:
            points_of = {}
            for place, (name, (root, engine)) in enumerate(whose.items()):
                folder = ledgers.enter_context(work.ledger(f"ledger-{place}"))
                points_of[name] = partial(_points, folder, root, engine)
                say(f"a ledger of {size:,} facts, {name}")
                points_of[name]("ingest", "--backlog", str(path))
            for number, command, name in product(range(rounds), commands, whose):
                say(f"points {' '.join(command)}, {name} ({number + 1} of {rounds})")
                done = points_of[name](*command, *in_one[name, command[0]])
                best = found[" ".join(command)].setdefault(name, {"seconds": done.seconds, "cpu": done.cpu})
                best.update(seconds=min(best["seconds"], done.seconds), cpu=min(best["cpu"], done.cpu))
        runs[str(size)] = found
    return {"facts": facts, "revision": revision, "runs": runs}


def _in_one_process(command: list[str], root: Path) -> list[str]:
    """Return what lets a command of a checkout take one process: nothing where it takes no more."""
    return ["--jobs", "1"] if b"--jobs" in run(points(*command[:2], "--help"), root=root).output else []


def _points(folder: Path, root: Path, engine: str, *arguments: str) -> Run:
    return run(points("--ledger", str(folder), *arguments), root=root, variables={VARIABLE: engine})


def _checkout(work: Work, revision: str) -> Path:
    """Put the files of a revision into a folder, and return it. Raises `Failed`."""
    other = work.folder / "other"
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise Failed(f"--compare {revision}: {archive.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(other, filter="data")
    return other
