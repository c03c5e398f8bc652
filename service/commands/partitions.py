"""Where the partitions of a ledger in PostgreSQL stand: list, move."""

from collections.abc import Iterator
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import Annotated, Any

import typer

from ledger.errors import CannotRunNow, WrongUse
from ledger.journal.ledger import Ledger, is_address
from service.commands.options import option
from service.errors import print_plain
from service.languages import text
from service.shell import Answer, Shell, command_in

app = typer.Typer(no_args_is_help=True)


@command_in(app, "list")
def list_partitions(shell: Shell) -> Answer:
    """Where each partition stands: its server, its entries, and whether it is decided on.

    Of one that is moved, to where. Exit 4 where one cannot be read.

    points partitions list
    """
    with _opened(shell) as opened:
        found = resolve_name("ledger.journal.moving:places")(opened)
    code = CannotRunNow.exit_code if any(place.problem for place in found) else 0
    return Answer([place._asdict() for place in found], "partitions:print_partitions", exit_code=code)


@command_in(app)
def move(
    shell: Shell,
    partition: Annotated[int, typer.Argument(metavar="N", min=0, max=1023, help="The partition's number.")],
    to: Annotated[
        str,
        option("--to", "URL", "The server: postgresql://USER@HOST/DATABASE, without a password, or main."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Give up a move that was begun.")] = False,
) -> Answer:
    """Move a partition to another PostgreSQL server; servers and consumers go on, and find it there.

    The most is copied while the partition is decided on; then it stands still for a moment. Killed, the same command
    goes on. What is left on the server of before is put aside, to be dropped once there is a backup.

        points partitions move 7 --to postgresql://points@db2/points

        points partitions move 7 --to main
    """
    if dry_run and cancel:
        raise WrongUse("--dry-run and --cancel: give one of them")
    moving = "ledger.journal.moving"
    with _opened(shell) as opened:
        if cancel:
            resolve_name(f"{moving}:cancel")(opened, partition, to)
            done = {"partition": partition, "cancelled": True}
            return Answer(done, lambda: print_plain(text("the move of partition {n} is given up", n=partition)))
        entries = resolve_name(f"{moving}:check_movable")(opened, partition, to)
        if dry_run:
            planned = {"partition": partition, "to": to, "entries": entries, "dry_run": True}
            said = "partition {n} has {entries} entries, which would be copied to {to}"
            return Answer(planned, lambda: print_plain(text(said, n=partition, entries=entries, to=to)))
        with shell.progress("copying", entries) as tick:
            moved = resolve_name(f"{moving}:move")(opened, partition, to, tick)
    return Answer(moved._asdict(), lambda: print_plain(_said(moved)))


def _said(moved: Any) -> str:
    return text(
        "partition {n} stands on {target} now, with {entries} entries; for {seconds} seconds nothing was decided on it."
        " On {source} the schema {left} can be dropped once there is a backup of the new one",
        n=moved.partition,
        target=moved.target,
        entries=moved.entries,
        seconds=f"{moved.stopped_seconds:.1f}",
        source=moved.source,
        left=moved.left,
    )


@contextmanager
def _opened(shell: Shell) -> Iterator[Ledger]:
    """Yield the ledger. Raises `WrongUse` for one in a folder."""
    if not is_address(shell.place):
        raise WrongUse("partitions of a ledger in a folder stand in it: one in PostgreSQL may have several servers")
    with shell.reading() as opened:
        yield opened
