"""A ledger as Parquet files, and back: archive export, archive import."""

from pathlib import Path
from typing import Annotated

import typer

from service.errors import say
from service.shell import JsonOption, LedgerOption, Shell

app = typer.Typer(no_args_is_help=True, help="The journal as Parquet files for keeping and querying, and back.")

DirArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The archive's folder.")]


@app.command("export")
def export_archive(
    context: typer.Context, folder: DirArgument, ledger: LedgerOption = None, as_json: JsonOption = False
) -> None:
    """Write every entry and parked fact as Parquet (zstd) by partition and month, with a manifest of hashes.

    points archive export 2025-12.archive

    duckdb -c "SELECT type, count(*) FROM '2025-12.archive/entries/*/*.parquet' GROUP BY ALL"
    """
    from projections.archive import export_archive as write
    from service.commands.books import entries_in

    shell = Shell(context, ledger, as_json)
    with shell.reading() as opened, shell.progress("archiving", entries_in(opened)) as tick:
        manifest = write(opened, folder, tick)
    entries = sum(shelf.entries for shelf in manifest.partitions)
    size = sum(file.bytes for file in manifest.files)
    if shell.json:
        files = len(manifest.files)
        shell.emit(
            {"ledger": manifest.ledger, "entries": entries, "files": files, "bytes": size, "folder": str(folder)}
        )
    else:
        say(f"{entries:,} entries in {len(manifest.files):,} files ({size:,} bytes) in {folder}")


@app.command("import")
def import_archive(
    context: typer.Context, folder: DirArgument, ledger: LedgerOption = None, as_json: JsonOption = False
) -> None:
    """Make a ledger from an archive: every decision is derived again and has to be the archived one, or exit 1.

    points archive import 2025-12.archive --ledger restored
    """
    from projections.archive import Archive
    from service.archive.restore import import_archive as restore

    shell = Shell(context, ledger, as_json)
    with shell.progress("checking") as tick:
        archive = Archive(folder, tick)
    entries = sum(shelf.entries for shelf in archive.manifest.partitions)
    with shell.progress("deriving again", entries) as tick:
        restore(archive, shell.folder, tick)
    if shell.json:
        shell.emit({"ledger": archive.manifest.ledger, "entries": entries, "folder": str(shell.folder)})
    else:
        say(f"{entries:,} entries derived again in {shell.folder}, each as it was archived")
