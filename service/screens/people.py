"""People who sign in with an issuer, on a screen."""

from typing import Any

from rich.console import Console

from projections.answers.plain import plain
from service.errors import print_plain
from service.languages import text
from service.screens.grid import grid
from service.screens.names import short_time


def print_people(console: Console, people: list[dict[str, Any]]) -> None:
    """Print every person, a row each."""
    if not people:
        print_plain("nobody signed in with an issuer yet; `[oidc]` in the file of --config sets one")
        return
    table = grid("name", "issuer", "subject", "first sign-in", "blocked")
    table.columns[3].no_wrap = table.columns[4].no_wrap = True  # times are copied
    for one in people:
        blocked = short_time(one["blocked"]) if one["blocked"] else text("no")
        names = (plain(one[of]) for of in ("name", "issuer", "subject"))
        table.add_row(*names, short_time(one["since"]), blocked)
    console.print(table)
