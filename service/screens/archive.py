"""What was pruned, or would be, on a screen: a line a month, and why entries stay."""

from collections import Counter
from itertools import groupby
from typing import Any

from rich.console import Console

from projections.answers.plain import plain
from service.archive.pruning import PrunedMonth
from service.languages import text
from service.screens.grid import grid


def print_pruned(console: Console, document: dict[str, Any]) -> None:
    """Print each month, why entries stay, and what it comes to."""
    months: list[PrunedMonth] = sorted(document["months"], key=lambda month: month.month)
    rows = grid("month", right=("entries", "pruned", "pruned before", "stay"))
    kept: Counter[str] = Counter()
    waits = dict[str, None]()
    for name, group in groupby(months, key=lambda month: month.month):
        files = list(group)
        for file in files:
            kept.update(file.kept)
            waits |= dict.fromkeys(file.waits_for if file.kept else ())
        figures = [sum(getattr(file, column) for file in files) for column in ("entries", "pruned", "before")]
        figures.append(sum(sum(file.kept.values()) for file in files))
        rows.add_row(name, *(f"{figure:,}" for figure in figures))
    console.print(rows)
    for reason, count in kept.most_common():
        console.print(text("{count} stay: {reason}", count=count, reason=text(reason)))
    for name in waits:
        console.print(text("{name} has not read all of it yet", name=plain(name)))
    pruned, size = document["pruned"], document["bytes"]
    if document["dry_run"]:
        console.print(
            text("{pruned} entries would be pruned, {size} bytes; nothing was changed", pruned=pruned, size=size)
        )
    else:
        console.print(text("{pruned} entries were pruned, {size} bytes", pruned=pruned, size=size))
