"""The store: make what a ledger in a database needs, and bring either store to this version's format."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any

import msgspec
import typer

from consumers.local.open import migrate_inbox
from ledger.errors import WrongUse
from ledger.journal.folder import FolderLedger
from ledger.journal.ledger import Settings, is_address
from ledger.journal.settings import Kept, kept_at, ledger_kept
from service.commands.options import BookOption, option
from service.errors import BAD_NEWS, print_plain
from service.shell import Answer, Shell, command_in, read_version

app = typer.Typer(no_args_is_help=True)


@command_in(app)
def migrate(
    shell: Shell,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1, max=1024, help="How many; only `points split` makes them more. (default: 64)", show_default=False
        ),
    ] = None,
    book: BookOption = None,
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
        text = read_version(book).toml if book else None
        migrate_database = resolve_name("ledger.journal.database:migrate")
        done = migrate_database(shell.place, partitions=partitions, book=text, topic=topic, servers=_spans(servers))
    elif partitions is not None or book or topic is not None or servers:
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


@command_in(app)
def settings(
    shell: Shell,
    put_back: Annotated[
        bool,
        typer.Option("--put-back", help="Write the ledger's settings and first book anew, as a journal keeps them."),
    ] = False,
    partition: Annotated[
        int | None,
        typer.Option(
            min=0, max=1023, help="Go by this journal. (default: by all, which have to agree)", show_default=False
        ),
    ] = None,
    operators: Annotated[
        list[str] | None,
        option("--operator", "SOURCE", "Change whose operator facts count; name each of them that is to count."),
    ] = None,
    name: Annotated[str | None, option("--name", "NAME", "Say what other ledgers call this one; it stays so.")] = None,
    peers: Annotated[
        list[str] | None,
        option("--peer", "NAME", "Change the ledgers that points are exchanged with; name each. An empty name: none."),
    ] = None,
    partners: Annotated[
        list[str] | None,
        option(
            "--partner", "SOURCE", "Change the sources that may answer to exchanges; name each. An empty one: none."
        ),
    ] = None,
    claimers: Annotated[
        list[str] | None,
        option(
            "--claimer", "SOURCE", "Change the sources that may claim what guests have; name each. An empty one: none."
        ),
    ] = None,
) -> Answer:
    """Tell what ledger each journal says it belongs to; put back settings that were lost, or change who counts.

    Exit 1 where journals do not agree. Entries are never touched.

        points store settings

        points store settings --put-back

        points store settings --operator /operators --operator /back-office

        points store settings --name mall --peer hotel --partner /partners/airline

        points store settings --claimer /shop/checkout
    """
    changes = {"operators": operators, "name": name, "peers": peers, "partners": partners, "claimers": claimers}
    changes = {key: value for key, value in changes.items() if value is not None}
    if changes and put_back:
        raise WrongUse("--put-back changes nothing by itself: give it without the others")
    if partition is not None and not put_back:
        raise WrongUse("--partition N says by which journal --put-back goes: give it too")
    if changes:
        with shell.writing() as opened:
            opened.change_settings(_changed(opened.settings, changes))
            return Answer({"ledger": opened.name, **changes}, lambda: _print_changed(opened.name, changes))
    kept = kept_at(shell.place)
    if put_back:
        with closing(ledger_kept(shell.place, kept, partition)) as ledger:
            with ledger.writing():
                ledger.put_settings()
            done = {"ledger": ledger.name, "id": ledger.identity, "partitions": ledger.settings.partitions}
        return Answer(
            {**done, "put_back": True},
            lambda: print_plain(f"{ledger.name}: settings and first book of ledger {ledger.identity} are put back"),
        )
    found = [_told(one) for one in kept]
    agree = len({(one["ledger"], one["partitions"], one["genesis"], one["settings"]) for one in found}) == 1
    agree = agree and all(one["partition"] == one["stands_as"] for one in found)
    return Answer({"agree": agree, "journals": found}, lambda: _print_kept(found), exit_code=0 if agree else BAD_NEWS)


def _changed(before: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return other settings. Raises `WrongUse` where they do not fit, or the name would be another."""
    said = {key: value if key == "name" else [one for one in value if one] for key, value in changes.items()}
    try:
        found = msgspec.convert(msgspec.to_builtins(before) | said, type(before))
    except msgspec.ValidationError as error:
        raise WrongUse(f"{error}: small letters, digits, dots and dashes, as a rule book names a ledger") from error
    if before.name not in ("", found.name):
        raise WrongUse(f"other ledgers know this one as {before.name}, and what was exchanged is under that name")
    if found.peers and not found.name:
        raise WrongUse("a ledger that has peers has a name for them: give --name, too")
    return found


def _print_changed(ledger: str, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        print_plain(f"{ledger}: {key}: {value if key == 'name' else ', '.join(value)}")


def _told(one: Kept) -> dict[str, Any]:
    origin = one.origin
    return {
        "journal": one.where,
        "stands_as": one.partition,
        "ledger": origin and origin.ledger,
        "partition": origin and origin.partition,
        "partitions": origin and origin.partitions,
        "genesis": origin and origin.genesis,
        "settings": origin and origin.settings,
        "problem": one.problem or ("" if origin else "says nothing of its ledger: `points store migrate`"),
    }


def _print_kept(found: list[dict[str, Any]]) -> None:
    for one in found:
        said = f"partition {one['partition']} of {one['partitions']} of ledger {one['ledger'] or 'without an id'}"
        print_plain(f"{one['journal']}: {one['problem'] or said}")


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
