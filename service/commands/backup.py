"""Copies of an embedded ledger: backup, restore."""

from pathlib import Path
from typing import Annotated

import typer

from service.archive.backup import back_up
from service.archive.backup import restore as restore_backup
from service.errors import say
from service.shell import Answer, Shell, command

DirArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The backup's folder.")]


@command
def backup(shell: Shell, folder: DirArgument) -> Answer:
    """Copy the ledger into a folder that is not there yet, while it goes on being written.

    points backup /backups/2025-12-01
    """
    with shell.reading() as opened, shell.progress("copying") as tick:
        made = back_up(opened, folder, tick)
    size = sum(file.bytes for file in made.files)
    return Answer(
        {"ledger": made.ledger, "entries": made.entries, "bytes": size, "folder": str(folder)},
        lambda: say(f"{made.entries:,} entries ({size:,} bytes) in {folder}"),
    )


@command
def restore(shell: Shell, folder: DirArgument) -> Answer:
    """Make a ledger from a backup; the same files ingested again then bring it up to date.

    points restore /backups/2025-12-01 --ledger points-ledger
    """
    with shell.progress("copying") as tick:
        made = restore_backup(folder, shell.folder, tick)
    return Answer(
        {"ledger": made.ledger, "entries": made.entries, "folder": str(shell.folder)},
        lambda: say(f"{made.entries:,} entries in {shell.folder}; run `points verify`, then ingest what came since"),
    )
