"""`make simulate ARGS="--seed 7 --minutes 5"`: seeds one after the other, until one fails or the time is over.

With `--log` what each seed came to is kept, a line a seed, and the next call goes on behind the last.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

from tests.simulator.planted import BUGS, BUGS_OF_SERVERS, Bug
from tests.simulator.planted_between import BUGS_BETWEEN, SHOWN_BY
from tests.simulator.run import SERVED, Result, run
from tests.simulator.scene import about_of
from tests.simulator.shrink import shrink
from tests.simulator.world import Plan

SHRINKING_RUNS = 200
TOLD = ("seed", "steps", "turns", "facts", "entries", "faults", "checked", "law", "what", "trace")
MOST_SEEDS = 90  # for a planted bug


def main() -> int:
    """Run seeds; return 1 if one failed."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seed", type=int, help="the first seed (by default the log's next, or 1)")
    parser.add_argument("--seeds", type=int, help="how many seeds (by default one where --seed stands alone)")
    parser.add_argument("--minutes", type=float, help="for how long")
    parser.add_argument("--log", type=Path, help="a file of lines that the next call goes on behind")
    parser.add_argument("--figures", action="store_true", help="print what the log says, and run nothing")
    parser.add_argument("--planted", action="store_true", help="plant each known bug and say when it is found")
    parser.add_argument("--whole", action="store_true", help="show the whole trace of a seed that fails, and go on")
    asked = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of text would come in another order
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulator", *sys.argv[1:]])
    if asked.figures:
        print("\n".join(figures(asked.log)))
        return 0
    if asked.planted:
        return plant()
    first = asked.seed if asked.seed is not None else next_seed(asked.log)
    seeds = asked.seeds or (1 if asked.minutes is None else 1 << 40)
    until = time.monotonic() + 60 * (asked.minutes or 1 << 40)
    commit = commit_of_this()
    total = Counter[str]()
    has_failed = False
    for seed in range(first, first + seeds):
        if time.monotonic() >= until:
            break
        result = run(seed)
        total.update(seeds=1, steps=result.turns, entries=result.entries, faults=sum(result.faults.values()))
        if asked.log:
            keep(asked.log, result, commit)
        if result.law:
            has_failed = True
            report(result, commit, is_whole=asked.whole)
            if not asked.log:
                break
    print(", ".join(f"{count:,} {name}" for name, count in total.items()), f"at commit {commit}")
    return int(has_failed)


def report(failed: Result, commit: str, *, is_whole: bool) -> None:
    """Print how a failure is reproduced, and its smallest run."""
    print(f'seed {failed.seed} at commit {commit}: {failed.what}\n  make simulate ARGS="--seed {failed.seed}"')
    plan, smallest = shrink(failed, Plan(), SHRINKING_RUNS)
    print(f"smallest: {smallest.facts} facts, {smallest.turns} turns, faults {dict(smallest.faults)}: {smallest.what}")
    print(f"  run({failed.seed}, {plan})")
    print("\n".join(smallest.lines[-400 if is_whole else -40 :]), flush=True)


def plant() -> int:
    """Print with how many seeds and turns each planted bug is found."""
    missed = 0
    for bug in (*BUGS, *BUGS_OF_SERVERS, *BUGS_BETWEEN):
        turns = 0
        for seed in seeds_for(bug):
            with bug():
                result = run(seed)
            turns += result.turns
            if result.law:
                print(
                    f"{bug.__name__.replace('_', ' ')}: seed {seed}, {turns:,} turns: {result.what[:160]}", flush=True
                )
                break
        else:
            missed += 1
            print(f"{bug.__name__.replace('_', ' ')}: NOT FOUND in {turns:,} turns", flush=True)
    return int(missed > 0)


def seeds_for(bug: Bug) -> Iterator[int]:
    """Yield the seeds whose scene may show a planted bug, the one that is known to show it first."""
    if bug in SHOWN_BY:
        yield SHOWN_BY[bug]
    if bug in BUGS_BETWEEN:
        yield from islice((seed for seed in count(4, 5) if about_of(seed) == BUGS_BETWEEN[bug]), MOST_SEEDS)
    else:
        is_served = bug in BUGS_OF_SERVERS
        yield from (seed for seed in range(1, MOST_SEEDS + 1) if (seed % SERVED == 0) == is_served)


def commit_of_this() -> str:
    """Return the commit that runs, with a + where files were changed since."""
    said = subprocess.run(["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def keep(log: Path, result: Result, commit: str) -> None:
    """Add a line to the log."""
    line = {name: getattr(result, name) for name in TOLD} | {"commit": commit}
    with log.open("a") as file:
        file.write(json.dumps(line) + "\n")


def kept(log: Path | None) -> Iterator[dict[str, Any]]:
    """Yield the lines of the log."""
    if log is not None and log.exists():
        with log.open() as file:
            yield from map(json.loads, file)


def next_seed(log: Path | None) -> int:
    """Return the seed behind the log's last."""
    return max((line["seed"] for line in kept(log)), default=0) + 1


def figures(log: Path) -> Iterator[str]:
    """Yield the lines of docs/reliability.md that say what a log holds."""
    faults, checked, sums = Counter[str](), Counter[str](), Counter[str]()
    failed = []
    for line in kept(log):
        faults.update(line["faults"])
        checked.update(line["checked"])
        sums.update(seeds=1, **{name: line[name] for name in ("turns", "facts", "entries")})
        if line["law"]:
            failed.append(line["seed"])
    yield f"{sums['seeds']:,} seeds, {sums['turns']:,} turns, {sums['facts']:,} facts, {sums['entries']:,} entries;"
    yield f"{sum(faults.values()):,} faults; {len(failed)} seeds failed{': ' if failed else ''}{_listed(failed)}."
    yield ""
    yield from _table("fault", "times", faults)
    yield ""
    yield from _table("law", "checks", checked)


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))


def _table(name: str, count: str, rows: Counter[str]) -> Iterator[str]:
    yield f"| {name} | {count} |"
    yield "|---|---:|"
    for key, times in sorted(rows.items()):
        yield f"| {key} | {times:,} |"


if __name__ == "__main__":
    sys.exit(main())
