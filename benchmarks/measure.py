"""One command as a process of its own, and what it took: wall seconds, CPU seconds, and the memory of its processes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BYTECODE = ROOT / ".cache" / "bytecode"  # kept, as that of an installed program is
SAMPLE_SECONDS = 0.05
BLOCK = 512  # bytes, of ru_oublock
# What ru_maxrss counts in.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


Figures = dict[str, Any]
NOTHING: Mapping[str, str] = {}


class Run(NamedTuple):
    """What a command took. `cpu` and `written` are of all its processes, `rss` and `anonymous` of the largest one.

    `anonymous` leaves out mapped files, whose pages the system takes back when it needs them; `written` are the bytes
    sent towards the disk. Both are 0 where the system does not say.
    """

    seconds: float
    cpu: float
    rss: int
    anonymous: int
    written: int
    output: bytes

    def to_dict(self) -> Figures:
        """The figures for JSON."""
        figures = self._asdict()
        del figures["output"]
        return figures


class Failed(Exception):
    """A command did not end well."""


def points(*arguments: str) -> list[str]:
    """The command `points` of this checkout, run by this Python."""
    return [sys.executable, "-m", "service.cli", *arguments]


def environment(root: Path = ROOT, variables: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """The variables that a command of a checkout runs with."""
    found = {**os.environ, "PYTHONPATH": str(root), "PYTHONPYCACHEPREFIX": str(BYTECODE), **variables}
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    return found


def run(
    command: Sequence[str],
    accepted: Sequence[int] = (0,),
    *,
    has_log: bool = False,
    root: Path = ROOT,
    variables: Mapping[str, str] = NOTHING,
) -> Run:
    """Run a command of a checkout to its end, its log left out; `variables` are set for it. Raises `Failed`."""
    started = time.monotonic()
    log, found = subprocess.DEVNULL if has_log else None, environment(root, variables)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=root, env=found) as process:
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
    cpu = max(usage.ru_utime + usage.ru_stime, watch.cpu)  # nobody waited for Spark's own
    written = usage.ru_oublock * BLOCK
    # Not ru_maxrss where there is better: it begins with what the process that forked had.
    rss = watch.peak or usage.ru_maxrss * MAXRSS_UNIT
    return Run(seconds, cpu, rss, watch.anonymous, written, output)


def say(text: str) -> None:
    """Progress, on standard error."""
    print(f"… {text}", file=sys.stderr, flush=True)


def cpu_of(pid: int | None) -> float:
    """The CPU seconds of a process and its children so far; 0 without a process, or where there is no /proc."""
    if pid is None:
        return 0.0
    return sum(sum(_fields(each)) for each in (pid, *_children(pid))) / os.sysconf("SC_CLK_TCK")


def own_cpu_of(pid: int) -> float:
    """The CPU seconds of a process alone so far; 0 where there is no /proc."""
    return sum(_fields(pid)[:2]) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> tuple[int, int]:
    """The most resident bytes so far, and the anonymous bytes now, of a process and its children: of the largest each.

    0 where there is no /proc.
    """
    of_all = [_status(each) for each in _tree(pid)]
    return max(one.get("VmHWM", 0) for one in of_all), max(one.get("RssAnon", 0) for one in of_all)


class _Watch(threading.Thread):
    """Looks at the memory of a process and its children while they run; nothing is seen where there is no /proc."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self.peak = 0
        self.anonymous = 0
        self._ticks: dict[int, int] = {}  # by process

    def run(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            for pid in _tree(self._pid):
                status = _status(pid)
                self._ticks[pid] = max(self._ticks.get(pid, 0), sum(_fields(pid)[:2]))
                self.peak = max(self.peak, status.get("VmHWM", 0))
                self.anonymous = max(self.anonymous, status.get("RssAnon", 0))

    @property
    def cpu(self) -> float:
        """The CPU seconds of all processes that were seen."""
        return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._over.set()
        self.join()


def _fields(pid: int) -> list[int]:
    """The ticks of a process in its own code and in the system's, and both again of its children that ended."""
    with suppress(OSError):
        return list(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return []


def _tree(pid: int) -> list[int]:
    return [pid, *(each for child in _children(pid) for each in _tree(child))]


def _children(pid: int) -> list[int]:
    """The children of all threads of a process."""
    found: list[int] = []
    for listed in Path("/proc").glob(f"{pid}/task/*/children"):
        with suppress(OSError):
            found += map(int, listed.read_text().split())
    return found


def _status(pid: int) -> dict[str, int]:
    """The kilobyte figures of a process, in bytes."""
    with suppress(OSError):
        rows = [line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
        return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if row[-1] == "kB"}
    return {}
