"""What a look at everything found, on a screen."""

from typing import Any

from rich.text import Text

from projections.answers.plain import plain
from service.languages import text
from service.screens.console import Screen
from service.screens.grid import grid

_MARKS = {"good": ("✓", "green"), "look": ("!", "yellow"), "bad": ("✗", "red")}


def print_doctor(console: Screen, document: dict[str, Any]) -> None:
    """Print the checks, each with its way out, behind the settings that are not the defaults."""
    names = ("points", "version"), ("Python", "python"), ("SQLite", "sqlite"), ("", "platform")
    console.print("   ".join(f"{name} {document[key]}".strip() for name, key in names) + "\n")
    said = [one for one in document["settings"] if one["said_by"] != "default"]
    if said:
        table = grid(text("setting"), text("value"), text("said by"))
        for one in said:
            table.add_row(one["name"], plain(str(one["value"])), plain(one["said_by"]))
        console.print(table)
        console.print()
    for check in document["checks"]:
        mark, colour = _MARKS[check["state"]]
        console.print(Text.assemble((mark, colour), f" {plain(check['says'])}"), soft_wrap=True)
        if check["way_out"]:
            console.print(Text(f"  → {plain(check['way_out'])}", style="dim"), soft_wrap=True)
