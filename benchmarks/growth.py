"""What grows: memory with the facts over fixed members, and the cost of a fact with the members it is spread over."""

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

from benchmarks.measure import ROOT, Failed, cpu_of, environment, memory_of, points, run, say
from benchmarks.whole import ingest
from benchmarks.work import Work, size_of
from consumers.files.loader import CHUNK_LINES
from service.demo.traffic import traffic

SKEW = 0.8  # of the made-up traffic, Zipf's exponent
PARTS = 10  # of a long run
HELD_BACK = CHUNK_LINES + 2_000  # lines of a stream that wait for more to come, at most
LOOK_SECONDS = 0.05


def memory(work: Work, sizes: tuple[int, ...], members: int) -> dict[str, Any]:
    """Peak memory of a process at each number of facts, all over the same members."""
    rows = []
    for facts in sizes:
        path = work.traffic(facts, members)
        say(f"memory: {facts:,} facts over {members:,} members")
        found = ingest(work, path, 1)
        rows.append({"facts": facts, **found.to_dict()})
        if facts != sizes[0]:
            path.unlink()
    return {"members": members, "rows": rows}


def members(work: Work, facts: int, numbers: tuple[int, ...]) -> dict[str, Any]:
    """The same number of facts over few members and over many: facts a second, and bytes on disk a fact."""
    rows = []
    for number in numbers:
        path = work.traffic(facts, number)
        sizes: dict[str, int] = {}

        def measured(folder: Path, sizes: dict[str, int] = sizes) -> None:
            sizes["journals"] = sum(p.stat().st_size for p in folder.glob("partition-*.db"))
            sizes["ledger"] = size_of(folder)

        say(f"members: {facts:,} facts over {number:,} members")
        found = ingest(work, path, 1, measured)
        with path.open("rb") as file:
            met = len({_subject(line) for line in file})
        size = path.stat().st_size
        path.unlink()
        rows.append({"members": number, "met": met, "file": size, **sizes, **found.to_dict()})
    return {"facts": facts, "rows": rows}


def long(work: Work, facts: int, members: int) -> dict[str, Any]:
    """One ledger that grows by a tenth of the facts at a time: rate, processor and memory of each tenth.

    Two processes decide all of it, as consumers that run on do. `anew` is a tenth more for processes that have just
    started and know no member; `restart` what a run takes from its start to its end that decides one fact more.
    """
    each = facts // PARTS
    lines, path, rows = traffic(each * (PARTS + 1) + 1, members, 1), work.folder / "part.ndjson", []
    with work.ledger() as folder:
        command = points("--ledger", str(folder), "ingest", "--backlog", "--json", "--jobs")
        fed = [*command, "2", "-"]
        with subprocess.Popen(fed, stdin=PIPE, stdout=DEVNULL, cwd=ROOT, env=environment()) as process:
            for number in range(1, PARTS + 1):
                _write(path, islice(lines, each))
                say(f"long: {number * each:,} of {facts:,} facts over {members:,} members")
                rows.append(_fed(process, path, folder, number * each))
        if process.returncode:
            raise Failed(f"{' '.join(fed)}: exit {process.returncode}")
        _write(path, islice(lines, each))
        anew = {"facts": each, **run([*command, "2", str(path)]).to_dict()}
        _write(path, lines)
        restart = run([*command, "1", str(path)]).seconds
        size = size_of(folder)
    path.unlink()
    return {"members": members, "rows": rows, "anew": anew, "restart": restart, "ledger": size}


def _fed(process: subprocess.Popen[bytes], path: Path, folder: Path, fed: int) -> dict[str, Any]:
    """Feed a file to a process, and say what was decided meanwhile and what that took; with it `fed` facts were fed.

    It ends when all is decided but what fills no chunk, which waits in the process for the next file.
    """
    assert process.stdin is not None
    started, cpu, before = time.monotonic(), cpu_of(process.pid), _decided(folder)
    with path.open("rb") as file:
        shutil.copyfileobj(file, process.stdin)
    process.stdin.flush()
    while (decided := _decided(folder)) < fed - HELD_BACK and process.poll() is None:
        time.sleep(LOOK_SECONDS)
    seconds, spent = time.monotonic() - started, cpu_of(process.pid) - cpu
    rss, anonymous = memory_of(process.pid)
    return {"facts": decided - before, "seconds": seconds, "cpu": spent, "rss": rss, "anonymous": anonymous}


def _decided(folder: Path) -> int:
    """How many facts of a ledger are decided; 0 before its first one is."""
    heads = 0
    for path in folder.glob("partition-*.db"):
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
            heads += journal.execute("SELECT head FROM shard").fetchone()[0]
    return heads


def _write(path: Path, facts: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(fact + b"\n" for fact in facts)


def _subject(line: bytes) -> bytes:
    return line.split(b'"subject":"', 1)[1].split(b'"', 1)[0]
