"""What a draft rule book would have done to the ledger's real history."""

import time
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

import typer

from ledger.rulebook.union import joined
from ledger.wire.times import to_text
from projections.answers.output import output_file
from projections.answers.sidecar import AUDITS, BACKTESTS, folder_in
from projections.what_if.backtest import backtest as run_backtest
from projections.what_if.backtest import drafted
from projections.what_if.reports import store
from service.commands.audited import FromArchiveOption, OnOption, audited
from service.commands.options import AsOfOption, FolderOption, JobsOption, named_file, option
from service.languages import terminal_language
from service.shell import Answer, Shell, command, instant, read_named_books


@command
def backtest(
    shell: Shell,
    drafts: Annotated[
        list[Path], typer.Argument(metavar="NEW.toml…", help="The draft of a rule book; several make one version.")
    ],
    since: Annotated[
        str | None,
        option("--from", "T", "The draft decides what occurred from this instant on. (default: the whole history)"),
    ] = None,
    as_of: AsOfOption = None,
    html: Annotated[
        Path | None,
        option("--html", "FILE", "Also write a report with charts, in one file, for any browser.", parser=named_file),
    ] = None,
    keeps: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Leave the result for the console, which shows the newest fifty.")
    ] = True,
    from_archive: FromArchiveOption = None,
    on: OnOption = None,
    jobs: JobsOption = None,
    folder: FolderOption = None,
) -> Answer:
    """Decide the whole history again under a draft rule book: what would be issued, who gains, who drops a tier.

    Nothing is written to the ledger. The draft's own `from` is left aside: it decides from --from on. Where the ledger
    has books of several owners, those that are not given are as they are.

    points backtest new.toml

    points backtest new.toml --from 2025-06-01 --html report.html

    points backtest new.toml --from-archive s3://archives/beans --on spark
    """
    where = ", ".join(map(str, drafts))
    with audited(shell, from_archive, on, jobs) as (opened, total, shared):
        book = opened.book
        start = None if since is None else instant(since, "--from", book)
        until = instant(as_of, "--as-of", book)
        text = joined(drafted(book, read_named_books(drafts)))
        with shell.progress("deciding again", total) as tick:
            found = run_backtest(opened, text, where, until, since=start, jobs=shared, progress=tick)
        kept_in = folder_in(opened, AUDITS, folder)
        if keeps and kept_in is not None:
            store(kept_in / BACKTESTS, found, to_text(time.time_ns() // 1000, book.offset))
        if html is not None:
            with output_file(html) as file:
                file.write(resolve_name("service.reports:backtest_html")(found, book, terminal_language()).encode())
    remark = "" if html is None else f"report in {html}"
    return Answer(found, "backtest:print_backtest", book, remark=remark)
