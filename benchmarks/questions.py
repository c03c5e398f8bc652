"""How long one question waits for its answer in a ledger that is open, and a backtest of the whole of it."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from benchmarks.measure import Figures, points, run, say
from benchmarks.whole import ingest
from benchmarks.work import Work, sampled
from ledger.journal.open import open_ledger
from ledger.rulebook.schema import shipped
from projections.answers.show import show_member
from projections.explaining.explain import explain_entry

LOOKED_AT = 4_000  # entries from all over the ledger
ASKED = 300  # of these: members with many are asked of more often
DRAFT = ("floor_fen = 1_000", "floor_fen = 2_000")


def questions(work: Work, path: Path) -> Figures:
    """Milliseconds by question, the heaviest member by herself, and the seconds of a backtest."""
    found: Figures = {}

    def ask(folder: Path) -> None:
        found.update(asked(folder))
        draft = work.folder / "draft.toml"
        draft.write_text(shipped("jd").replace(*DRAFT), encoding="utf-8")
        say("points backtest")
        ran = run(points("--ledger", str(folder), "backtest", str(draft), "--json"))
        compared = json.loads(ran.output)
        found["backtest"] = {**ran.to_dict(), "entries": compared["entries"], "inside": compared["seconds"]}

    say("a ledger to ask")
    ingest(work, path, 2, ask)
    return found


def asked(folder: Path) -> Figures:
    """Milliseconds by question to a ledger that is there."""
    ledger = open_ledger(folder)
    heads = [ledger.journal(partition).head() for partition in ledger.partitions]
    entries = [(row.member, row.number) for row in sampled(ledger, LOOKED_AT)]
    drawn = Random(1).sample(entries, min(ASKED, len(entries)))
    now = time.time_ns() // 1000
    early = max(head.recorded for head in heads) - 30 * 86_400_000_000
    heaviest, number = max(entries, key=lambda entry: entry[1])
    times = {
        "explain an entry": _times(drawn, lambda member, number: explain_entry(ledger, member, number)),
        "show a member, now": _times(drawn, lambda member, _: show_member(ledger, member, now)),
        "show a member, 30 days before": _times(drawn, lambda member, _: show_member(ledger, member, early)),
        "the same, the member with most": _times([(heaviest, 0)] * 5, lambda m, _: show_member(ledger, m, early)),
        "explain her last entry": _times([(heaviest, number)] * 5, lambda m, n: explain_entry(ledger, m, n)),
    }
    ledger.close()
    return {"entries": sum(head.entries for head in heads), "asked": len(drawn), "heaviest": number, "times": times}


def _times(asked: list[tuple[str, int]], answer: Callable[[str, int], object]) -> Figures:
    say(f"{len(asked)} questions")
    waited = []
    for member, number in asked:
        began = time.perf_counter()
        answer(member, number)
        waited.append((time.perf_counter() - began) * 1_000)
    return {"median": statistics.median(waited), "worst": max(waited)}
