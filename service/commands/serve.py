"""The HTTP API: serve."""

from pkgutil import resolve_name
from typing import Annotated

import typer

from service.commands.options import ConfigOption, FolderOption
from service.shell import Shell, command


@command
def serve(
    shell: Shell,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; another than 127.0.0.1 needs keys.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8080,
    wait: Annotated[
        float,
        typer.Option(
            min=0, max=30, metavar="SECONDS", help="How long a request waits for its decision, if it doesn't say."
        ),
    ] = 2.0,
    workers: Annotated[
        int,
        typer.Option(min=1, max=64, metavar="N", help="Processes that answer requests, and as many that decide."),
    ] = 1,
    no_views: Annotated[
        bool,
        typer.Option("--no-views", help="Keep no views up to date: the books are then summed when they are asked for."),
    ] = False,
    folder: FolderOption = None,
    config: ConfigOption = None,
) -> None:
    """Serve the ledger over HTTP, with the console: facts in, members, books, why; makes the ledger if need be.

    Of a ledger in a folder it is the one writer while it runs; other commands
    read beside it. One process uses one core, and `--workers 2` two; one in
    PostgreSQL may be served from several machines, too. Where Kafka feeds the
    ledger, facts go to its topic, and `points consume` decides them.

    points serve --workers 2

    points --ledger postgresql://points@db/points serve --workers 4 --folder /var/lib/points

    points keys new shop --scope facts:write:/shop/ && points serve --host 0.0.0.0
    """
    run = resolve_name("service.commands.serving:run_server")
    run(shell, host, port, wait, shell.data_folder(folder), workers, config, follows=not no_views)
