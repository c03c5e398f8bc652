"""The stages of this checkout beside those of another commit, on the same facts in the same run."""

import json
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Failed, Figures, say
from benchmarks.work import Work

STAGES = Path(__file__).with_name("stages.py")


def compare(work: Work, path: Path, revision: str, rounds: int) -> Figures:
    """Measure both in turn and keep the best of each. Raises `Failed` where the other cannot be measured so."""
    other = work.folder / "other"
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise Failed(f"--compare {revision}: {archive.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(other, filter="data")
    found: dict[str, list[Figures]] = {"here": [], revision: []}
    for number in range(rounds):
        for name, root in (("here", ROOT), (revision, other)):
            say(f"stages, {name} ({number + 1} of {rounds})")
            found[name].append(stages_of(path, root, name))
    return {name: min(runs, key=lambda r: r["ingest"]) for name, runs in found.items()}


def stages_of(path: Path, root: Path = ROOT, name: str = "here") -> Figures:
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
