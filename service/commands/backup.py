"""Copies of an embedded ledger: backup, restore."""

from pathlib import Path
from typing import Annotated

import typer

from service.errors import say
from service.shell import JsonOption, LedgerOption, Shell

DirArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The backup's folder.")]


def backup(
    context: typer.Context, folder: DirArgument, ledger: LedgerOption = None, as_json: JsonOption = False
) -> None:
    """Copy the ledger into a folder that is not there yet, while it goes on being written.

    points backup /backups/2025-12-01
    """
    from service.archive.backup import back_up

    shell = Shell(context, ledger, as_json)
    with shell.reading() as opened, shell.progress("copying") as tick:
        made = back_up(opened, folder, tick)
    size = sum(file.bytes for file in made.files)
    if shell.json:
        shell.emit({"ledger": made.ledger, "entries": made.entries, "bytes": size, "folder": str(folder)})
    else:
        say(f"{made.entries:,} entries ({size:,} bytes) in {folder}")


def restore(
    context: typer.Context, folder: DirArgument, ledger: LedgerOption = None, as_json: JsonOption = False
) -> None:
    """Make a ledger from a backup; the same files ingested again then bring it up to date.

    points restore /backups/2025-12-01 --ledger points-ledger
    """
    from service.archive.backup import restore as make

    shell = Shell(context, ledger, as_json)
    with shell.progress("copying") as tick:
        made = make(folder, shell.folder, tick)
    if shell.json:
        shell.emit({"ledger": made.ledger, "entries": made.entries, "folder": str(shell.folder)})
    else:
        say(f"{made.entries:,} entries in {shell.folder}; run `points verify`, then ingest what came since")
