"""What a draft rule book would have done to the ledger's real history."""

import time
from pathlib import Path
from typing import Annotated

import typer

from service.commands.books import entries_in
from service.commands.facts import read_text
from service.errors import say
from service.shell import (
    AsOfOption,
    FolderOption,
    JobsOption,
    JsonOption,
    LedgerOption,
    Shell,
    instant,
    processors,
    standard_output,
)

SMALL = 20_000  # entries that one process compares sooner than several start


def backtest(
    context: typer.Context,
    draft: Annotated[Path, typer.Argument(metavar="NEW.toml", help="The draft of a rule book.")],
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="T",
            help="The draft decides what occurred from this instant on. (default: the whole history)",
            show_default=False,
        ),
    ] = None,
    as_of: AsOfOption = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also write a report with charts, in one file, for any browser."),
    ] = None,
    keeps: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Leave the result for the console, which shows the newest fifty.")
    ] = True,
    jobs: JobsOption = None,
    folder: FolderOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide the whole history again under a draft rule book: what would be issued, who gains, who drops a tier.

    Nothing is written to the ledger. The draft's own `from` is left aside: it decides from --from on.

    points backtest new.toml

    points backtest new.toml --from 2025-06-01 --html report.html
    """
    from ledger.wire.times import to_text
    from projections.answers.export import output_file
    from projections.answers.sidecar import AUDITS, BACKTESTS, folder_in
    from projections.what_if.backtest import backtest as compare
    from projections.what_if.reports import keep
    from service.reports import backtest_html

    shell = Shell(context, ledger, as_json)
    text = read_text(draft)
    with shell.reading() as opened:
        total = entries_in(opened)
        wanted = jobs or (processors() if total > SMALL else 1)
        start = None if since is None else instant(since, "--from", opened.book)
        until = instant(as_of, "--as-of", opened.book)
        with shell.progress("deciding again", total) as tick:
            found = compare(opened, text, str(draft), until, since=start, jobs=wanted, progress=tick)
        kept_in = folder_in(opened, AUDITS, folder)
        if keeps and kept_in is not None:
            keep(kept_in / BACKTESTS, found, to_text(time.time_ns() // 1000, opened.book.offset))
        if html is not None:
            with output_file(html) as file:
                file.write(backtest_html(found, opened.book).encode())
        if shell.json:
            shell.emit(found)
        else:
            from service.screens.backtest import print_backtest
            from service.screens.names import Names

            with standard_output():
                print_backtest(shell.console, found, Names(opened.book))
    if html is not None:
        say(f"report in {html}")
