"""The HTTP API: serve."""

from ipaddress import ip_address
from pkgutil import resolve_name
from typing import Annotated

import typer

from ledger.errors import WrongUse
from service.commands.options import ConfigOption, FolderOption
from service.http.bounds import Bounds
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
    connections: Annotated[
        int,
        typer.Option(
            min=8,
            max=100_000,
            metavar="N",
            help="Connections that a process has open; where more come, one that waits is closed.",
        ),
    ] = 2_048,
    requests: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Requests with a key that a process answers at once.")
    ] = 512,
    key_requests: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Those of one key, or of all while there are no keys.")
    ] = 384,
    unknown_requests: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help="Those of one address without a key.")
    ] = 16,
    header_seconds: Annotated[
        float, typer.Option(min=0.1, max=120, metavar="SECONDS", help="How long a request's headers may take to come.")
    ] = 15.0,
    least_rate: Annotated[
        int,
        typer.Option(
            min=1, max=1 << 30, metavar="BYTES", help="A second: slower bodies are refused, slower readers cut off."
        ),
    ] = 4_096,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Of a proxy: callers without a key are those of its X-Forwarded-For."),
    ] = None,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Write a line of JSON on standard error for each request.")
    ] = False,
    open: Annotated[bool, typer.Option("--open", help="Open the console in a browser.")] = False,
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
    bounds = Bounds(
        connections,
        requests,
        key_requests,
        unknown_requests,
        header_seconds,
        least_rate,
        _proxies(trusted_proxy or []),
        access_log,
    )
    run = resolve_name("service.commands.serving:run_server")
    run(shell, host, port, wait, shell.data_folder(folder), workers, config, bounds, follows=not no_views, opens=open)


def _proxies(texts: list[str]) -> frozenset[str]:
    """Return addresses as connections have them. Raises `WrongUse`."""
    try:
        return frozenset(str(ip_address(text)) for text in texts)
    except ValueError as error:
        raise WrongUse(f"--trusted-proxy: {error}; give the address that the proxy connects from") from None
