"""What a search found, on a screen."""

from rich.console import Console

from ledger.wire.answers import Found
from projections.answers.plain import plain
from service.errors import print_plain
from service.languages import text
from service.screens.grid import grid
from service.screens.names import number, short_time


def print_found(console: Console, found: Found) -> None:
    """Print the hits of a search, a row each."""
    if not found.hits:
        print_plain(text('nothing begins with "{text}"', text=plain(found.query)))
        return
    table = grid(
        text("kind"), text("id"), text("member"), text("last entry recorded"), right=(text("entry"), text("entries"))
    )
    for hit in found.hits:
        recorded = short_time(hit.recorded) if hit.recorded else ""
        table.add_row(text(hit.kind), plain(hit.id), plain(hit.member), recorded, str(hit.entry), number(hit.entries))
    console.print(table)
    if found.more:
        print_plain(text("there are more: give more of the id, --kind, or --limit"))
