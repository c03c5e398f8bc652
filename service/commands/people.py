"""People who sign in to the console: list, sign-out, block, unblock."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from getpass import getuser
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

import typer

from ledger.errors import WrongUse
from ledger.rulebook.compiled import Programme
from service.commands.keys import opened_keys
from service.commands.options import FolderOption, option
from service.console.sessions import Sessions, SessionsDamaged, sessions_of
from service.errors import print_plain, say
from service.keys import Keys
from service.people import MOST_WHY, Act, carry_out, people_of
from service.shell import Answer, Shell, command_in

app = typer.Typer(no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="As the person's acts are recorded.")]
ReasonOption = Annotated[str, option("--reason", "TEXT", "Why; it is recorded.")]
_DONE: dict[Act, str] = {
    "sign-out": "{0} is signed out everywhere",
    "block": "{0} is blocked",
    "unblock": "{0} may sign in again",
}


@command_in(app, "list")
def list_people(shell: Shell, folder: FolderOption = None) -> Answer:
    """Everybody who may sign in to the console, with an issuer or a key, and the sessions that are open.

    points people list
    """
    with _opened(shell, folder) as (keys, sessions, book, damage):
        if damage is not None:
            say(str(damage))
        return Answer(people_of(keys, sessions, book.offset), "people:print_people")


@command_in(app)
def sign_out(shell: Shell, name: NameArgument, reason: ReasonOption, folder: FolderOption = None) -> Answer:
    """End every session of a person at once; the same person may sign in again.

    points people sign-out ann@shop.example --reason "left a laptop open"
    """
    return _decide(shell, name, "sign-out", reason, folder)


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


def _decide(shell: Shell, name: str, act: Act, reason: str, folder: Path | None) -> Answer:
    """Record who does it and why, and do it. Raises `BadKey`, `WrongUse` and `SessionsDamaged`.

    A block holds without the sessions; that they are not ended is said.
    """
    why = reason.strip()
    if not 0 < len(why) <= MOST_WHY:
        raise WrongUse(f"--reason has 1 to {MOST_WHY} characters")
    with _opened(shell, folder) as (keys, sessions, book, damage):
        keys.somebody(name)
        if damage is not None and act != "block":
            raise damage
        kept = shell.place, shell.named_folder(folder)
        with closing(resolve_name("service.http.operator_log:operator_log_of")(*kept)) as log:
            log.record(getuser(), act, name, why=why)
        found = carry_out(keys, sessions, name, act, book.offset)
        if found.sessions is None:
            say(f"what {name} has open shows nothing any more; it is not ended: {damage}")
        return Answer(found, lambda: print_plain(_DONE[act].format(name)))


@contextmanager
def _opened(
    shell: Shell, folder: Path | None
) -> Iterator[tuple[Keys, Sessions | None, Programme, SessionsDamaged | None]]:
    """Yield the ledger's keys, its sessions, its book, and None; no sessions where they are damaged, but how."""
    with ExitStack() as stack:
        keys, book = stack.enter_context(opened_keys(shell, folder))
        sessions, damage = None, None
        try:
            sessions = stack.enter_context(closing(sessions_of(shell.place, shell.named_folder(folder))))
            sessions.opened()
        except SessionsDamaged as error:
            sessions, damage = None, error
        yield keys, sessions, book, damage
