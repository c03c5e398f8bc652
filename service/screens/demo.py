"""The demo on a screen: what came in, the books, some members, and what to try next."""

from datetime import date, timedelta
from typing import Any

from rich.panel import Panel
from rich.text import Text

from service.languages import text
from service.screens.books import render_stats
from service.screens.console import Screen
from service.screens.member import render_member
from service.screens.names import Names

PORT = 8080  # of the console


def print_demo(console: Screen, document: dict[str, Any], names: Names, name_it: str, called: str) -> None:
    """Print the demo's document; `name_it` names its ledger to a shell, `called` is how this program is called."""
    new = document["entries"] + document["parked"]
    seconds = document["seconds"]
    console.print()
    if new:
        console.print_markup(
            f"[bold]A shop's year is in:[/] {new:,} facts with {document['order_lines']:,} order lines decided in"
            f" {seconds:.1f} s ([bold]{new / seconds:,.0f}[/] facts/s,"
            f" {document['order_lines'] / seconds:,.0f} lines/s)"
        )
    else:
        console.print_markup(
            f"[bold]All is in:[/] {document['skipped']:,} facts were decided before, nothing was doubled"
        )
    console.print_markup(
        "[dim]UCI Online Retail, moved to our days; reviews, cards and redemptions are made up around it[/]\n"
    )
    console.print(render_stats(document["stats"], names))
    for find in document["members"]:
        console.print()
        console.print(
            Panel(
                render_member(find, names),
                title=Text(text(find.why), style="bold"),
                title_align="left",
                border_style="dim",
                padding=(0, 1),
            )
        )
    at = str(date.fromisoformat(document["stats"].as_of[:10]) + timedelta(days=1))
    console.print_markup("\n[bold]Now try[/]")
    if name_it:
        console.print(Text.assemble("  ", (name_it, "cyan"), ("   # the ledger of this demo", "dim")), soft_wrap=True)
    members = [find.member for find in document["members"]] or ["m-17850"]
    for command, what in (
        (f"explain {members[-1]}", "why each point is there, in plain words"),
        (f"show {members[0]} --as-of {at}", "the same member then; or leave --as-of out for today"),
        (f"entries {members[-1]}", "every decision about a member"),
        (f"stats --as-of {at}", "the books"),
        ("replay", "derive every decision again and compare"),
        ("verify", "recompute the chain"),
        ("export balances -o balances.parquet", "all members as a table"),
        ("demo --serve", f"the console: all this in a browser, at http://127.0.0.1:{PORT}/console"),
    ):
        console.print(
            Text.assemble("  ", (f"{called} {command}", "cyan"), ("   # " + text(what), "dim")), soft_wrap=True
        )
