"""`points views rebuild` as a user runs it, view by view, with one process and two, and compared with the view kept."""

import json
from pathlib import Path

from benchmarks.measure import Figures, Run, points, run, say
from benchmarks.whole import JOBS, ingest, keep
from benchmarks.work import Work
from projections.views.registry import BUILT_IN


def views(work: Work, path: Path, rounds: int) -> Figures:
    """Rebuild each view; the best of the rounds counts. Raises SystemExit where a view rebuilt is not the view kept."""
    kept: dict[str, Run] = {}

    def rebuild(folder: Path) -> None:
        command = ["--ledger", str(folder), "views"]
        say("points views run")
        keep(kept, f"run, all {len(BUILT_IN)} built in one pass", run(points(*command, "run", "--json")))
        for _ in range(rounds):
            for view in BUILT_IN:
                for jobs in JOBS:
                    say(f"points views rebuild {view.name} --jobs {jobs}")
                    found = run(points(*command, "rebuild", view.name, "--jobs", str(jobs), "--json"))
                    keep(kept, f"rebuild {view.name}, jobs {jobs}", found)
                differences = json.loads(run(points(*command, "compare", view.name, "--json"), (0, 1)).output)
                if differences["difference_count"]:
                    raise SystemExit(f"{view.name} rebuilt differs: {differences['differences'][0]}")

    say("a ledger to view")
    ingest(work, path, 2, rebuild)
    return {"runs": {name: found.to_dict() for name, found in kept.items()}}
