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
        numbers = f"{place['partition']}", plain(place["server"]), plain(place["schema"]), f"{place['entries']:,}"
        table.add_row(*numbers, text(place["state"]))
    console.print(table)
