"""Where partitions stand, on a screen."""

from typing import Any

from rich.console import Console

from projections.answers.plain import plain
from service.languages import text
from service.screens.grid import grid


def print_partitions(console: Console, places: list[dict[str, Any]]) -> None:
    """Print where each partition stands, a row each."""
    table = grid(*map(text, ("partition", "server", "schema", "entries", "state")))
    for place in places:
        entries = "" if place["problem"] else f"{place['entries']:,}"
        numbers = f"{place['partition']}", plain(place["server"]), plain(place["schema"]), entries
        table.add_row(*numbers, text(place["state"]))
    console.print(table)
    for place in places:
        number, problem, to = place["partition"], plain(place["problem"]), plain(place["moves_to"])
        if problem:
            said = text("partition {n}: {problem}", n=number, problem=problem)
        elif to:
            said = "partition {n} is being moved to {to}: `points partitions move {n} --to {to}` goes on"
            said = text(said, n=number, to=to)
        else:
            continue
        console.print(said, soft_wrap=True, markup=False, highlight=False)
