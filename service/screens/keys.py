"""API keys on a screen."""

from typing import Any

from rich.console import Console

from projections.answers.plain import plain
from service.errors import print_plain
from service.languages import text
from service.screens.grid import grid
from service.screens.names import short_time


def print_keys(console: Console, keys: list[dict[str, Any]]) -> None:
    """Print every key, a row each."""
    if not keys:
        print_plain("there are no keys; `points keys new NAME --scope SCOPE` makes one")
        return
    table = grid("id", "name", "scopes", "rate", "state", "expires", "last used")
    for column in (0, 5, 6):  # ids and times are copied
        table.columns[column].no_wrap = True
    for key in keys:
        name, scopes = plain(key["name"]), plain(" ".join(key["scopes"]))
        times = (short_time(key[of]) if key[of] else text("never") for of in ("expires", "last_used"))
        table.add_row(key["id"], name, scopes, str(key["rate"]), text(key["state"]), *times)
    console.print(table)
