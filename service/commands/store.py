"""The store: make what a ledger in a database needs, and bring either store to this version's format."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

import typer

from consumers.local.open import migrate_inbox
from ledger.errors import WrongUse
from ledger.journal.folder import FolderLedger
from ledger.journal.ledger import is_address
from service.commands.options import option
from service.errors import print_plain
from service.shell import Answer, Shell, command_in, read_book

app = typer.Typer(no_args_is_help=True)


@command_in(app)
def migrate(
    shell: Shell,
    partitions: Annotated[
        int | None, typer.Option(min=1, max=1024, help="How many, fixed for life. (default: 64)", show_default=False)
    ] = None,
    book: Annotated[
        Path | None, typer.Option(metavar="TOML", help="The rule book it is born with. (default: the shipped jd)")
    ] = None,
    topic: Annotated[
        str | None,
        typer.Option(
            help="The Kafka topic that feeds it, for life. (default: settled by what feeds it first)",
            show_default=False,
        ),
    ] = None,
    servers: Annotated[
        list[str] | None,
        option(
            "--server", "SPAN=URL", "Partitions that stand on another server: 32-63=postgresql://USER@HOST/DATABASE."
        ),
    ] = None,
) -> Answer:
    """Make a ledger in PostgreSQL from nothing, or bring a ledger of either store to this version's formats.

    What is there already stays as it is: it may be run again at any time.

        points --ledger postgresql://points@db/points store migrate --partitions 64

        points --ledger ./points-ledger store migrate
    """
    if is_address(shell.place):
        text = None if book is None else read_book(book)
        migrate_database = resolve_name("ledger.journal.database:migrate")
        done = migrate_database(shell.place, partitions=partitions, book=text, topic=topic, servers=_spans(servers))
    elif partitions is not None or book is not None or topic is not None or servers:
        raise WrongUse(
            "--partitions, --book, --topic and --server are for a ledger in a database (postgresql://…);"
            " `points ingest` makes one in a folder"
        )
    else:
        folder = FolderLedger.at(Path(shell.place))
        done = folder.migrate()
        done = done._replace(steps=done.steps + migrate_inbox(folder))
    what = f"steps taken: {done.steps}" if done.steps else "nothing was to be done"
    return Answer(
        {"ledger": done.name, "partitions": done.partitions, "steps": done.steps},
        lambda: print_plain(f"{done.name}: {done.partitions} partitions, {what}"),
    )


def _spans(servers: list[str] | None) -> dict[str, str] | None:
    spans = {}
    for server in servers or ():
        span, _, address = server.partition("=")
        if not address:
            raise WrongUse("--server takes SPAN=URL, such as 32-63=postgresql://points@db2/points")
        if span in spans:
            raise WrongUse(f"--server: partitions {span} are given twice")
        spans[span] = address
    return spans or None
