"""A ledger as Parquet files, and back: archive export, archive import."""

import re
import time
from contextlib import closing
from getpass import getuser
from typing import Annotated

import typer

from ledger.errors import WrongUse
from ledger.journal.failpoints import failpoint
from ledger.journal.folder import FolderLedger
from ledger.wire.times import month_of, month_text
from projections.views.registry import all_views
from service.archive.growing import STEP, begin, grow, is_archive
from service.archive.iceberg import publish
from service.archive.ledger import ArchivedLedger
from service.archive.parquet import export_archive as write_archive
from service.archive.places import Folder, place_at
from service.archive.pruning import prune, readers_of
from service.archive.reading import Archive
from service.archive.restore import import_archive as restore_archive
from service.archive.tables import TABLES
from service.commands.dead_letters import MOST_WHY
from service.commands.options import FolderOption, option
from service.commands.views import MoreOption, views_of
from service.errors import say
from service.http.operator_log import operator_log_of
from service.shell import Answer, Shell, command_in, entries_in

MONTH = re.compile("[0-9]{4}-(0[1-9]|1[0-2])")

app = typer.Typer(no_args_is_help=True)

PlaceArgument = Annotated[
    str,
    typer.Argument(
        metavar="DIR|URL", help="The archive's folder, s3://BUCKET/PREFIX (extra s3) or webhdfs://HOST:9870/PATH."
    ),
]


@command_in(app, "export")
def export_archive(shell: Shell, place: PlaceArgument) -> Answer:
    """Write every entry and dead letter as Parquet (zstd) by partition and month, with a manifest of hashes.

    Exported again to the same place, what the ledger decided since is appended.

    points archive export beans.archive

    points archive export s3://archives/beans

    duckdb -c "SELECT type, count(*) FROM 'beans.archive/entries/*/*.parquet' GROUP BY ALL"
    """
    at = place_at(place)
    with shell.reading() as opened, shell.progress("archiving", entries_in(opened)) as tick:
        if isinstance(at, Folder) and not is_archive(at) and entries_in(opened) <= STEP:
            write_archive(opened, at.path, tick)
            archive = Archive(at)
            appended = archive.entries
        else:
            if not is_archive(at):
                begin(opened, at)
            archive, appended = grow(opened, at, tick)
    manifest, entries = archive.manifest, archive.entries
    files, size = len(manifest.files), sum(file.bytes for file in manifest.files)
    return Answer(
        {
            "ledger": manifest.ledger,
            "entries": entries,
            "appended": appended,
            "files": files,
            "bytes": size,
            "folder": place,
        },
        lambda: say(f"{entries:,} entries in {files:,} files ({size:,} bytes) in {place}, {appended:,} of them new"),
    )


@command_in(app, "publish")
def publish_archive(
    shell: Shell,
    place: PlaceArgument,
    catalog: Annotated[
        str, option("--catalog", "NAME", "The Iceberg catalog, as PyIceberg's own settings name it. (default: default)")
    ] = "default",
    namespace: Annotated[
        str, option("--namespace", "NAME", "The namespace of the tables. (default: points)")
    ] = "points",
) -> Answer:
    """Append to the Iceberg tables entries, postings and balances_by_month what they lack of an archive.

    points archive publish s3://archives/beans --catalog lake
    """
    archive = ArchivedLedger.at(place)
    try:
        with shell.progress("publishing", len(TABLES) * entries_in(archive)) as tick:
            appended = publish(archive, catalog, namespace, tick)
    finally:
        archive.close()
    return Answer(
        {"ledger": archive.identity, "catalog": catalog, "namespace": namespace, "appended": dict(appended)},
        lambda: say(", ".join(f"{rows:,} rows to {namespace}.{table}" for table, rows in appended)),
    )


@command_in(app, "prune")
def prune_journal(
    shell: Shell,
    place: PlaceArgument,
    before: Annotated[str, option("--before", "YYYY-MM", "Drop what was recorded before this month.")],
    reason: Annotated[str, option("--reason", "WHY", "Why that is right; it is kept for auditors.")],
    is_trial: Annotated[bool, typer.Option("--dry-run", help="Say what would be dropped, and drop nothing.")] = False,
    more: MoreOption = None,
    folder: FolderOption = None,
) -> Answer:
    """Drop from the journal what an archive holds of it: chain, proofs and answers stay, read from the archive.

    Each entry is compared with the archive's first. What a snapshot, an open lot,
    a view, a webhook or a follow-up still needs is kept, and the answer says why.
    Killed at any instant, the same command goes on.

    points archive prune s3://archives/beans --before 2025-01 --reason "retention, 12 months" --dry-run
    """
    if not MONTH.fullmatch(before):
        raise WrongUse(f'--before "{before}": give a month, such as 2025-01')
    why = reason.strip()
    if not 0 < len(why) <= MOST_WHY:
        raise WrongUse(f"--reason: say in 1 to {MOST_WHY} characters why the entries may go")
    with shell.operating() as opened:
        if before > (now := month_text(month_of(time.time_ns() // 1000, opened.book.offset))):
            raise WrongUse(f"--before {before}: what comes before it is not over yet; give {now}, or an earlier month")
        at, kept = place_at(place), shell.data_folder(folder)
        archive, _ = _checked(shell, str(at.path.absolute()) if isinstance(at, Folder) else place)
        with views_of(opened, kept) as store:
            readers = readers_of(opened, kept, store, all_views(more))
        if not is_trial:
            with closing(operator_log_of(opened.place, opened.folder)) as log:
                log.record(getuser(), "prune", before, why=why)
        with shell.progress("pruning", archive.entries) as tick:
            found = prune(opened, archive, before, readers, tick, is_trial=is_trial)
            if isinstance(opened, FolderLedger):
                for partition in sorted({month.partition for month in found if month.pruned and not is_trial}):
                    opened.compact(partition)
                    failpoint("prune-compacted")
    document = {
        "ledger": archive.manifest.ledger,
        "archive": archive.name,
        "before": before,
        "dry_run": is_trial,
        "pruned": sum(month.pruned for month in found),
        "bytes": sum(month.bytes for month in found),
        "months": found,
    }
    return Answer(document, "archive:print_pruned")


@command_in(app, "import")
def import_archive(shell: Shell, place: PlaceArgument) -> Answer:
    """Make a ledger from an archive: every decision is derived again and has to be the archived one, or exit 1.

    points archive import 2025-12.archive --ledger restored
    """
    archive, entries = _checked(shell, place)
    with shell.progress("deriving again", entries) as tick:
        restore_archive(archive, shell.folder, tick)
    return Answer(
        {"ledger": archive.manifest.ledger, "entries": entries, "folder": str(shell.folder)},
        lambda: say(f"{entries:,} entries derived again in {shell.folder}, each as it was archived"),
    )


def _checked(shell: Shell, place: str) -> tuple[Archive, int]:
    """Return an archive whose files are as its manifest says, and how many entries it has. Raises `BadCopy`."""
    with shell.progress("checking the files") as tick:
        archive = Archive.checked(place, tick)
    return archive, archive.entries
