"""The demo: a real shop's year, decided here."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.errors import WrongUse
from service.shell import (
    DEFAULT_LEDGER,
    FolderOption,
    JobsOption,
    JsonOption,
    LedgerOption,
    Shell,
    processors,
    program_name,
    standard_output,
)

if TYPE_CHECKING:
    from ledger.rulebook.compiled import Book
    from ledger.wire.answers import Books, Member

PORT = 8080  # of the console


def demo(
    context: typer.Context,
    jobs: JobsOption = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Then serve it, with the console, on 127.0.0.1 until it is stopped.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Of --serve; 0 takes a free one.")] = PORT,
    folder: FolderOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load a real shop's year into a ledger and look around: half a minute, and everything to try.

    Run again it goes on where it stopped, or says that all is in.

        points demo --serve
    """
    from msgspec import to_builtins

    from projections.answers.show import show_member
    from projections.answers.stats import stats
    from service.commands.books import entries_in
    from service.commands.facts import facts_ahead, summary_to_dict
    from service.demo.story import FACTS, decide_year, end_of, interesting_members, write_year

    shell = Shell(context, ledger, as_json)
    if serve and as_json:
        raise WrongUse("--serve goes on until it is stopped, and --json prints one document: give one of them")
    beside = shell.beside(folder)
    with shell.writing(create=True) as opened:
        with shell.progress("unpacking the year", FACTS) as tick:
            path = write_year(beside, tick)
        with shell.progress("deciding", facts_ahead(opened, [str(path)])) as tick:
            year = decide_year(opened, path, jobs or processors(), tick)
        as_of = end_of(opened)
        with shell.progress("summing", entries_in(opened)) as tick:
            books = stats(opened, as_of, tick)
        found = interesting_members(opened, as_of)
        shown = [show_member(opened, find.member, as_of) for find in found]
        book = opened.book
    document: dict[str, Any] = summary_to_dict(year.summary)
    document["order_lines"] = year.lines
    document["stats"] = books
    document["members"] = [{"why": find.why, **to_builtins(member)} for find, member in zip(found, shown, strict=True)]
    if shell.json:
        shell.emit(document)
        return
    with standard_output():
        _print(shell, document, books, {find.why: member for find, member in zip(found, shown, strict=True)}, book)
    if serve:
        from service.commands.serve import run_server

        run_server(shell, "127.0.0.1", port, wait=2.0, folder=beside)


def _print(shell: Shell, document: dict[str, Any], books: "Books", members: "dict[str, Member]", book: "Book") -> None:
    from datetime import date, timedelta

    from rich.panel import Panel
    from rich.text import Text

    from service.screens.books import render_stats
    from service.screens.member import render_member
    from service.screens.names import Names

    console, names = shell.console, Names(book)
    new = document["entries"] + document["parked"]
    seconds = document["seconds"]
    console.print()
    if new:
        console.print(
            f"[bold]A shop's year is in:[/] {new:,} facts with {document['order_lines']:,} order lines decided in"
            f" {seconds:.1f} s ([bold]{new / seconds:,.0f}[/] facts/s,"
            f" {document['order_lines'] / seconds:,.0f} lines/s)"
        )
    else:
        console.print(f"[bold]All is in:[/] {document['skipped']:,} facts were decided before, nothing was doubled")
    console.print("[dim]UCI Online Retail, 730 weeks later; reviews, cards and redemptions are made up around it[/]\n")
    console.print(render_stats(books, names))
    for why, member in members.items():
        console.print()
        console.print(
            Panel(
                render_member(member, names, console.width - 4),
                title=Text(why, style="bold"),
                title_align="left",
                border_style="dim",
                padding=(0, 1),
            )
        )
    program = program_name()
    option = "" if shell.place == DEFAULT_LEDGER else f"--ledger {shell.place} "
    at = str(date.fromisoformat(books.as_of[:10]) + timedelta(days=1))
    console.print("\n[bold]Now try[/]")
    tokens = [member.member for member in members.values()] or ["m-17850"]
    for command, what in (
        (f"explain {tokens[-1]}", "why each point is there, in plain words"),
        (f"show {tokens[0]} --as-of {at}", "the same member then; or leave --as-of out for today"),
        (f"entries {tokens[-1]}", "every decision about a member"),
        (f"stats --as-of {at}", "the books"),
        ("replay", "derive every decision again and compare"),
        ("verify", "recompute the chain"),
        ("export balances -o balances.parquet", "all members as a table"),
        ("demo --serve", f"the console: all this in a browser, at http://127.0.0.1:{PORT}/console"),
    ):
        console.print(
            Text.assemble("  ", (f"{program} {option}{command}", "cyan"), ("   # " + what, "dim")),
            soft_wrap=True,
        )
