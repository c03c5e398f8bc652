"""A disk that fails, for tests: `shim.c` compiled, and a process under it that meets one case after another."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIM = Path(__file__).with_name("shim.c")


class Ended(NamedTuple):
    """How a case ended: exit code (−9: killed), standard error, how many changes or reads it counted, and which."""

    code: int
    said: str
    count: int
    log: list[str]
    answers: list[int]  # of requests


class Disk:
    """A folder whose disk can fail. `below` is that folder, `aside` one for the rest on the same file system."""

    def __init__(
        self, process: "subprocess.Popen[str]", below: Path, aside: Path, environment: Mapping[str, str]
    ) -> None:
        self._process = process
        self._environment = environment
        self.below = below
        self.aside = aside

    def meets(
        self,
        command: Sequence[object],
        number: int = 0,
        what: str = "none",
        *,
        seed: int = 1,
        told: bool = False,
        facts: Sequence[str] = (),
    ) -> Ended:
        """Run `points` (or `SERVE folder`, which posts facts) while at the number-th change something happens."""
        for name in ("count", "log", "answers"):
            (self.aside / name).unlink(missing_ok=True)
        case = {
            "below": str(self.below),
            "aside": str(self.aside),
            "number": number,
            "what": what,
            "seed": seed,
            "told": told,
            "command": [str(word) for word in command],
            "facts": list(facts),
        }
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        count, log, answers = ([*_lines(self.aside / name)] for name in ("count", "log", "answers"))
        said = (self.aside / "err").read_text()
        return Ended(code, said, int(count[0]) if count else -1, log, [int(answer) for answer in answers])

    def runs(self, command: Sequence[str]) -> int:
        """Run another program under the shim; returns its exit code."""
        done = subprocess.run(command, env=self._environment, stderr=subprocess.DEVNULL, check=False)
        return done.returncode


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@contextmanager
def failing_disk(folder: Path) -> Iterator[Disk]:
    """A disk in a folder. Where it cannot be had the test is skipped; in CI that fails."""
    compiler = shutil.which("cc")
    if compiler is None or platform.system() != "Linux":
        message = "a disk that fails needs Linux and a C compiler (apt-get install gcc libc6-dev)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    shim = folder / "shim.so"
    subprocess.run([compiler, "-O2", "-Wall", "-fPIC", "-shared", "-o", shim, SHIM, "-ldl"], check=True)
    below, aside = folder / "below", folder / "aside"
    below.mkdir()
    aside.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POINTS_")}
    environment = {**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'client'}", "LD_PRELOAD": str(shim)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.process"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Disk(process, below, aside, environment)
    finally:
        process.communicate(timeout=100)
