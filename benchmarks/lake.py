"""An archive's audits by processes of this machine and by Spark on it: the same entries, whole processes, start too.

Needs the packages of `make lake`, and Java 17.
"""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from benchmarks.measure import Failed, Figures, Run, points, run, say
from benchmarks.work import Work, size_of
from service.spark import submit

JOBS = (1, 2)


def lake(work: Work, path: Path, rounds: int) -> Figures:
    """Seconds, CPU and memory of an export, and of a replay of the archive by so many processes or Spark's threads."""
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        raise Failed("pyspark is not there: `make lake` installs it")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = str(Path(found.origin).parent / "bin" / "spark-submit")
    archive, figures = str(work.folder / "archive"), {}
    with work.ledger() as ledger:
        run(points("--ledger", str(ledger), "ingest", str(path), "--backlog", "--json"))
        say("exporting")
        export = run(points("--ledger", str(ledger), "archive", "export", archive, "--json"))
        stored = size_of(ledger)
    written = json.loads(export.output)
    replay = ["replay", "--from-archive", archive, "--json"]
    commands = {f"{jobs} process{'es' * (jobs > 1)}": points(*replay, "--jobs", str(jobs)) for jobs in JOBS}
    for threads in JOBS:
        settings = ["--master", f"local[{threads}]", "--driver-memory", "1g", "--conf", "spark.ui.enabled=false"]
        commands[f"Spark, local[{threads}]"] = [spark, *settings, submit.__file__, *replay, "--on", "spark"]
    for name, command in commands.items():
        runs: list[Run] = []
        for number in range(rounds):
            say(f"round {number + 1}: replay by {name}")
            runs.append(run(command, has_log=True))
        figures[name] = {key: median(getattr(one, key) for one in runs) for key in ("seconds", "cpu", "rss")}
        assert not json.loads(runs[-1].output)["differences"]
    return {
        "entries": written["entries"],
        "archive": written["bytes"],
        "ledger": stored,
        "export": export.to_dict(),
        "runs": figures,
    }
