"""One command as a process of its own, and what it took: wall seconds, CPU seconds, and the memory of its processes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_SECONDS = 0.05
MEBI = 1 << 20
# What ru_maxrss counts in.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Run(NamedTuple):
    """What a command took. `cpu` is of all its processes, `rss` and `anonymous` are bytes of the largest one.

    `anonymous` leaves out mapped files, whose pages the system takes back when it needs them; 0 where nobody can say.
    """

    seconds: float
    cpu: float
    rss: int
    anonymous: int
    output: bytes

    def to_dict(self) -> dict[str, Any]:
        """The figures for JSON."""
        return {"seconds": self.seconds, "cpu": self.cpu, "rss": self.rss, "anonymous": self.anonymous}


class Failed(Exception):
    """A command did not end well."""


def points(*arguments: str) -> list[str]:
    """The command `points` of this checkout, run by this Python."""
    return [sys.executable, "-m", "service.cli", *arguments]


def run(command: Sequence[str], accepted: Sequence[int] = (0,)) -> Run:
    """Run a command to its end. Raises `Failed` with what it said."""
    started = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as process:
        watch = _Watch(process.pid)
        watch.start()
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.stop()
    if process.returncode not in accepted:
        raise Failed(f"{' '.join(command)}: exit {process.returncode}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * MAXRSS_UNIT, watch.anonymous, output)


def say(text: str) -> None:
    """Progress, on standard error."""
    print(f"… {text}", file=sys.stderr, flush=True)


class _Watch(threading.Thread):
    """Looks at the anonymous memory of a process and its children while they run."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self.anonymous = 0

    def run(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            for pid in [self._pid, *_children(self._pid)]:
                self.anonymous = max(self.anonymous, _anonymous(pid))

    def stop(self) -> None:
        self._over.set()
        self.join()


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _anonymous(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0
