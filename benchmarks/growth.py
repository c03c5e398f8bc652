"""What grows: memory with the facts over fixed members, and the cost of a fact with the members it is spread over."""

from pathlib import Path
from typing import Any

from benchmarks.measure import say
from benchmarks.whole import ingest
from benchmarks.work import Work, size_of

SKEW = 0.8  # of the made-up traffic, Zipf's exponent


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


def _subject(line: bytes) -> bytes:
    return line.split(b'"subject":"', 1)[1].split(b'"', 1)[0]
