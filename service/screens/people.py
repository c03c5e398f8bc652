"""People who sign in to the console, on a screen."""

from rich.console import Console

from ledger.wire.answers import Person
from projections.answers.plain import plain
from service.errors import print_plain
from service.languages import text
from service.screens.grid import grid
from service.screens.names import short_time


def print_people(console: Console, people: list[Person]) -> None:
    """Print everybody who may sign in, a row each."""
    if not people:
        print_plain("nobody may sign in yet: `points keys new` makes a key, `[oidc]` in --config's file sets an issuer")
        return
    table = grid("name", "signs in with", "since", "sessions", "last request", "blocked")
    for column in (2, 4, 5):
        table.columns[column].no_wrap = True  # times are copied
    table.columns[3].justify = "right"
    for one in people:
        with_what = f"{one.issuer} {one.subject}" if one.issuer else text("key {key}", key=one.key)
        blocked = short_time(one.blocked) if one.blocked else text("no")
        sessions = "?" if one.sessions is None else f"{one.sessions:,}"
        used = short_time(one.used) if one.used else "–"
        table.add_row(plain(one.name), plain(with_what), short_time(one.since), sessions, used, blocked)
    console.print(table)
