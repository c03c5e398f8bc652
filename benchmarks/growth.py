"""What grows: memory with the facts over fixed members, and the cost of a fact with the members it is spread over."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.measure import points, run, say
from benchmarks.whole import ingest
from benchmarks.work import Work, size_of
from service.demo.traffic import traffic

SKEW = 0.8  # of the made-up traffic, Zipf's exponent
PARTS = 10  # of a long run


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
    """One ledger that grows by a tenth of the facts a run, two processes each: rate, processor and memory of each run.

    `restart` is what a run takes from its start to its end that finds the ledger whole and decides one fact more.
    """
    each = facts // PARTS
    lines, path, rows = traffic(each * PARTS + 1, members, 1), work.folder / "part.ndjson", []
    with work.ledger() as folder:
        command = points("--ledger", str(folder), "ingest", "--backlog", str(path), "--json", "--jobs")
        for number in range(1, PARTS + 1):
            _write(path, islice(lines, each))
            say(f"long: {number * each:,} of {facts:,} facts over {members:,} members")
            rows.append({"facts": each, **run([*command, "2"]).to_dict()})
        _write(path, lines)
        restart = run([*command, "1"]).seconds
        size = size_of(folder)
    path.unlink()
    return {"members": members, "rows": rows, "restart": restart, "ledger": size}


def _write(path: Path, facts: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(fact + b"\n" for fact in facts)


def _subject(line: bytes) -> bytes:
    return line.split(b'"subject":"', 1)[1].split(b'"', 1)[0]
