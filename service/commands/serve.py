"""The HTTP API: serve."""

from pathlib import Path
from typing import Annotated

import typer

from service.errors import WrongUse, say
from service.shell import FolderOption, JsonOption, LedgerOption, Shell, installed_version


def serve(
    context: typer.Context,
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
    no_views: Annotated[
        bool,
        typer.Option("--no-views", help="Keep no views up to date: the books are then summed when they are asked for."),
    ] = False,
    folder: FolderOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the ledger over HTTP, with the console: facts in, members, books, why; makes the ledger if need be.

    It is the ledger's one writer while it runs; other commands read beside it.

    points serve

    points keys new shop --scope facts:write:/shop/ && points serve --host 0.0.0.0
    """
    run_server(Shell(context, ledger, as_json), host, port, wait, folder, follows=not no_views)


def run_server(
    shell: Shell,
    host: str,
    port: int,
    wait: float,
    beside: Path | None = None,
    *,
    follows: bool = True,
) -> None:
    """Serve a shell's ledger until it is stopped; `beside` is where views and audits lie, if not in its own folder.

    Raises `WrongUse` and `CannotNow`.
    """
    from projections.side import side_of
    from service.http.app import make_app
    from service.http.server import is_local, listen, serve
    from service.keys import Keys

    folder = shell.folder
    with shell.writing(create=True) as opened:
        _ = opened.inbox  # it takes facts there, and no ledger has two streams
        keys = Keys(folder)
        if not keys.exist() and not is_local(host):
            raise WrongUse(
                f"--host {host}: without keys anybody who reaches it could do anything: make one first"
                " (`points keys new NAME --scope …`), or listen on 127.0.0.1"
            )
        listening = listen(host, port)
        name, number = listening.getsockname()[:2]
        url = f"http://[{name}]:{number}" if ":" in name else f"http://{name}:{number}"

        def tell() -> None:
            if shell.json:
                shell.emit({"url": url, "ledger": str(folder), "keys": keys.exist()})
            else:
                say(f"serving {folder} at {url}")
                say(f"for people: {url}/console, for programs: {url}/schema/openapi.json")
            if not keys.exist():
                say("there are no keys: this machine alone is answered, and may do all; `points keys new` makes one")

        side = side_of(opened, beside)
        serve(make_app(opened, side, keys, wait, installed_version(), follows=follows), listening, tell)
        keys.close()
