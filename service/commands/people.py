"""People who sign in with an issuer: list, block, unblock."""

from contextlib import closing
from getpass import getuser
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, Literal

import typer

from ledger.errors import WrongUse
from ledger.wire.times import Zone, to_text
from service.commands.keys import opened_keys
from service.commands.options import FolderOption, option
from service.errors import print_plain
from service.keys import Somebody
from service.shell import Answer, Shell, command_in

MOST_WHY = 128  # characters, as a reason of a fact has
app = typer.Typer(no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="As the person's acts are recorded.")]
ReasonOption = Annotated[str, option("--reason", "TEXT", "Why; it is recorded.")]


@command_in(app, "list")
def list_people(shell: Shell, folder: FolderOption = None) -> Answer:
    """Everybody who ever signed in to the console with an issuer.

    points people list
    """
    with opened_keys(shell, folder) as (keys, book):
        return Answer([_to_dict(one, book.offset) for one in keys.people()], "people:print_people")


@command_in(app)
def block(shell: Shell, name: NameArgument, reason: ReasonOption, folder: FolderOption = None) -> Answer:
    """End every session of a person at once, and let them begin none; their keys are `points keys revoke`'s.

    points people block ann@shop.example --reason "left the company"
    """
    return _decide(shell, name, "block", reason, folder)


@command_in(app)
def unblock(shell: Shell, name: NameArgument, reason: ReasonOption, folder: FolderOption = None) -> Answer:
    """Let a person who was blocked sign in again.

    points people unblock ann@shop.example --reason "is back"
    """
    return _decide(shell, name, "unblock", reason, folder)


def _decide(shell: Shell, name: str, action: Literal["block", "unblock"], reason: str, folder: Path | None) -> Answer:
    """Record who does it and why, and do it. Raises `BadKey` and `WrongUse`."""
    why = reason.strip()
    if not 0 < len(why) <= MOST_WHY:
        raise WrongUse(f"--reason has 1 to {MOST_WHY} characters")
    with opened_keys(shell, folder) as (keys, book):
        keys.somebody(name)
        kept = shell.place, shell.named_folder(folder)
        with closing(resolve_name("service.http.operator_log:operator_log_of")(*kept)) as log:
            log.record(getuser(), action, name, why=why)
        found = keys.block(name) if action == "block" else keys.unblock(name)
        done = f"{name} is blocked" if action == "block" else f"{name} may sign in again"
        return Answer(_to_dict(found, book.offset), lambda: print_plain(done))


def _to_dict(one: Somebody, offset: Zone) -> dict[str, Any]:
    return {
        "name": one.name,
        "issuer": one.issuer,
        "subject": one.subject,
        "since": to_text(one.since, offset),
        "blocked": to_text(one.blocked, offset) if one.blocked else None,
    }
