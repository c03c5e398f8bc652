"""A ledger as Parquet files, and back: archive export, archive import."""

from pathlib import Path
from typing import Annotated, Any

import typer

from service.archive.parquet import Archive
from service.archive.parquet import export_archive as write_archive
from service.archive.restore import import_archive as restore_archive
from service.archive.restore import replay_archive
from service.errors import say
from service.shell import Answer, Shell, command_in, entries_in

app = typer.Typer(no_args_is_help=True)

DirArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The archive's folder.")]


@command_in(app, "export")
def export_archive(shell: Shell, folder: DirArgument) -> Answer:
    """Write every entry and dead letter as Parquet (zstd) by partition and month, with a manifest of hashes.

    points archive export 2025-12.archive

    duckdb -c "SELECT type, count(*) FROM '2025-12.archive/entries/*/*.parquet' GROUP BY ALL"
    """
    with shell.reading() as opened, shell.progress("archiving", entries_in(opened)) as tick:
        manifest = write_archive(opened, folder, tick)
    entries = sum(part.entries for part in manifest.partitions)
    files, size = len(manifest.files), sum(file.bytes for file in manifest.files)
    return Answer(
        {"ledger": manifest.ledger, "entries": entries, "files": files, "bytes": size, "folder": str(folder)},
        lambda: say(f"{entries:,} entries in {files:,} files ({size:,} bytes) in {folder}"),
    )


@command_in(app, "import")
def import_archive(shell: Shell, folder: DirArgument) -> Answer:
    """Make a ledger from an archive: every decision is derived again and has to be the archived one, or exit 1.

    points archive import 2025-12.archive --ledger restored
    """
    archive, entries = _checked(shell, folder)
    with shell.progress("deriving again", entries) as tick:
        restore_archive(archive, shell.folder, tick)
    return Answer(
        {"ledger": archive.manifest.ledger, "entries": entries, "folder": str(shell.folder)},
        lambda: say(f"{entries:,} entries derived again in {shell.folder}, each as it was archived"),
    )


def replay(shell: Shell, folder: Path) -> dict[str, Any]:
    """Derive an archive's decisions again and compare: `points replay --from-archive`."""
    archive, entries = _checked(shell, folder)
    with shell.progress("replaying", entries) as tick:
        return replay_archive(archive, tick)


def _checked(shell: Shell, folder: Path) -> tuple[Archive, int]:
    """Return an archive whose files are as its manifest says, and how many entries it has. Raises `BadCopy`."""
    with shell.progress("checking the files") as tick:
        archive = Archive(folder, tick)
    return archive, sum(part.entries for part in archive.manifest.partitions)
