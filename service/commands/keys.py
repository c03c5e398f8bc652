"""API keys: new, list, revoke."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.errors import plain
from service.shell import FolderOption, JsonOption, LedgerOption, Shell, instant, standard_output

if TYPE_CHECKING:
    from service.keys import Key

app = typer.Typer(no_args_is_help=True, help="API keys: who may do what over HTTP.")


@app.command()
def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it; actions are recorded under it.")],
    scopes: Annotated[
        list[str],
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="facts:write, facts:write:SOURCE-PREFIX, members:read, member:read:MEMBER, books:read, operate.",
        ),
    ],
    expires: Annotated[
        str | None, typer.Option(metavar="T", help="When it ends. (default: never)", show_default=False)
    ] = None,
    rate: Annotated[int, typer.Option(min=1, max=100_000, help="Requests a second.")] = 1_000,
    folder: FolderOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key. It is printed once and kept nowhere.

    points keys new shop --scope facts:write:/shop/

    points keys new support --scope members:read --scope books:read --expires 2027-01-01
    """
    from service.keys import Keys

    shell = Shell(context, ledger, as_json)
    with shell.reading() as opened:
        book = opened.book
        keys = Keys(shell.beside(folder))
        key, text = keys.new(name, scopes, instant(expires, "--expires", book) if expires else None, rate)
        keys.close()
        if shell.json:
            shell.emit({**_to_dict(key, book.offset), "key": text})
            return
    with standard_output():
        print(text)


@app.command("list")
def list_keys(
    context: typer.Context, folder: FolderOption = None, ledger: LedgerOption = None, as_json: JsonOption = False
) -> None:
    """Every key that was made, without its secret.

    points keys list
    """
    from service.keys import Keys

    shell = Shell(context, ledger, as_json)
    with shell.reading() as opened:
        keys = Keys(shell.beside(folder))
        found = [_to_dict(key, opened.book.offset) for key in keys.all()]
        keys.close()
    if shell.json:
        shell.emit(found)
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    if not found:
        print("there are no keys; `points keys new NAME --scope SCOPE` makes one")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for column in ("id", "name", "scopes", "rate", "state", "last used"):
        table.add_column(column, header_style="dim")
    for key in found:
        used = str(key["last_used"] or "never")
        table.add_row(
            key["id"], plain(key["name"]), plain(" ".join(key["scopes"])), str(key["rate"]), key["state"], used
        )
    with standard_output():
        shell.console.print(table)


@app.command()
def revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name or id.")],
    folder: FolderOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key at once, also for a server that runs.

    points keys revoke shop
    """
    from service.keys import Keys

    shell = Shell(context, ledger, as_json)
    with shell.reading() as opened:
        keys = Keys(shell.beside(folder))
        key = keys.revoke(name)
        keys.close()
        if shell.json:
            shell.emit(_to_dict(key, opened.book.offset))
            return
    with standard_output():
        print(plain(f"{key.name} ({key.id}) is revoked"))


def _to_dict(key: "Key", offset: int) -> dict[str, Any]:
    import time

    from ledger.wire.times import to_text

    instants = {name: getattr(key, name) for name in ("created", "expires", "last_used", "revoked")}
    live = key.is_live(time.time_ns() // 1000)
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "rate": key.rate,
        "state": "live" if live else "revoked" if key.revoked else "expired",
        **{name: to_text(at, offset) if at else None for name, at in instants.items()},
    }
