"""API keys: new, list, revoke."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.rulebook.compiled import Programme
from ledger.wire.times import Zone, to_text
from service.commands.options import FolderOption, option
from service.errors import print_plain
from service.keys import Key, Keys, keys_of
from service.shell import Answer, Shell, command_in, instant

app = typer.Typer(no_args_is_help=True)


@command_in(app)
def new(
    shell: Shell,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it; actions are recorded under it.")],
    scopes: Annotated[
        list[str],
        option(
            "--scope",
            "SCOPE",
            "facts:write, facts:write:SOURCE-PREFIX, members:read, member:read:MEMBER, books:read, books:write,"
            " operate.",
        ),
    ],
    expires: Annotated[
        str | None, typer.Option(metavar="T", help="When it ends. (default: never)", show_default=False)
    ] = None,
    rate: Annotated[int, typer.Option(min=1, max=100_000, help="Requests a second.")] = 1_000,
    folder: FolderOption = None,
) -> Answer:
    """Make a key. It is printed once and kept nowhere.

    points keys new shop --scope facts:write:/shop/

    points keys new support --scope members:read --scope books:read --expires 2027-01-01
    """
    with opened_keys(shell, folder) as (keys, book):
        key, text = keys.new(name, scopes, instant(expires, "--expires", book) if expires else None, rate)
        return Answer({**_to_dict(key, book.offset), "key": text}, lambda: print_plain(text))


@command_in(app, "list")
def list_keys(shell: Shell, folder: FolderOption = None) -> Answer:
    """Every key that was made, without its secret.

    points keys list
    """
    with opened_keys(shell, folder) as (keys, book):
        return Answer([_to_dict(key, book.offset) for key in keys.all()], "keys:print_keys")


@command_in(app)
def revoke(
    shell: Shell,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name or id.")],
    folder: FolderOption = None,
) -> Answer:
    """End a key at once, also for a server that runs.

    points keys revoke shop
    """
    with opened_keys(shell, folder) as (keys, book):
        key = keys.revoke(name)
        return Answer(_to_dict(key, book.offset), lambda: print_plain(f"{key.name} ({key.id}) is revoked"))


@contextmanager
def opened_keys(shell: Shell, folder: Path | None) -> Iterator[tuple[Keys, Programme]]:
    """Yield the ledger's keys and its book."""
    with shell.reading() as opened, closing(keys_of(shell.place, shell.named_folder(folder))) as keys:
        yield keys, opened.book


def _to_dict(key: Key, offset: Zone) -> dict[str, Any]:
    names = ("created", "expires", "last_used", "revoked")
    instants = {name: getattr(key, name) if key.is_whole else None for name in names}
    live = key.is_live(time.time_ns() // 1000)
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "rate": key.rate,
        "state": _state(key, live),
        **{name: to_text(at, offset) if at else None for name, at in instants.items()},
    }


def _state(key: Key, live: bool) -> str:
    if not key.is_whole:
        return "changed by hand"
    return "live" if live else "revoked" if key.revoked else "expired"
