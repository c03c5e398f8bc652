"""Webhooks: add, list, rotate, enable, remove, test."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from getpass import getuser
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

import typer

from ledger.journal.ledger import Ledger
from ledger.wire.answers import Webhook
from service.commands.options import FolderOption, option
from service.errors import print_plain
from service.shell import Answer, Shell, command_in
from service.webhooks.answers import described
from service.webhooks.store import Webhooks, webhooks_of

app = typer.Typer(no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The webhook's name.")]


@command_in(app)
def add(
    shell: Shell,
    name: NameArgument,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where messages are posted; it begins with https://.")],
    types: Annotated[
        list[str] | None, option("--type", "TYPE", "Of facts of this type alone, such as order.completed.v1.")
    ] = None,
    outcomes: Annotated[
        list[str] | None, option("--outcome", "OUTCOME", "With this outcome alone: accepted, refused or ignored.")
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Tell every entry there ever was, and not only those to come.")
    ] = False,
    private: Annotated[
        bool, typer.Option("--private", help="Let it reach addresses of this host's own network, and plain http.")
    ] = False,
    folder: FolderOption = None,
) -> Answer:
    """Tell somebody of entries as they are decided. The secret that signs is printed once.

    `points serve` delivers: in order, each again until it is acknowledged.

    points webhooks add crm https://crm.example/hooks/points --outcome accepted
    """
    with _webhooks(shell, folder) as (ledger, webhooks):
        made = webhooks.add(
            ledger,
            name,
            url,
            getuser(),
            types=types or (),
            outcomes=outcomes or (),
            is_private=private,
            from_beginning=from_beginning,
        )
        _record(shell, folder, name, f"add {url}")
        return Answer(described(ledger, webhooks, made, made.secret), lambda: print_plain(made.secret))


@command_in(app, "list")
def list_webhooks(shell: Shell, folder: FolderOption = None) -> Answer:
    """Every webhook, how far it is and why it fails, without its secret.

    points webhooks list
    """
    with _webhooks(shell, folder) as (ledger, webhooks):
        found = [described(ledger, webhooks, webhook) for webhook in webhooks.all()]
        return Answer(found, "webhooks:print_webhooks")


@command_in(app)
def enable(
    shell: Shell,
    name: NameArgument,
    from_now: Annotated[
        bool, typer.Option("--from-now", help="Leave out what was decided while it was disabled.")
    ] = False,
    folder: FolderOption = None,
) -> Answer:
    """Begin again with a webhook that was disabled, where it stopped.

    points webhooks enable crm
    """
    with _webhooks(shell, folder) as (ledger, webhooks):
        found = webhooks.enable(ledger, name, from_now=from_now)
        _record(shell, folder, name, "enable from now" if from_now else "enable")
        return _told(described(ledger, webhooks, found), f"{name} is enabled")


@command_in(app)
def rotate(
    shell: Shell,
    name: NameArgument,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="The old secret signs no more: it has become known.")
    ] = False,
    folder: FolderOption = None,
) -> Answer:
    """Give a webhook a new secret, which is printed once; the old one signs beside it for a day.

    points webhooks rotate crm
    """
    with _webhooks(shell, folder) as (ledger, webhooks):
        found = webhooks.rotate(name, at_once=at_once)
        _record(shell, folder, name, "rotate at once" if at_once else "rotate")
        return Answer(described(ledger, webhooks, found, found.secret), lambda: print_plain(found.secret))


@command_in(app)
def remove(shell: Shell, name: NameArgument, folder: FolderOption = None) -> Answer:
    """Take a webhook away: it is told nothing more.

    points webhooks remove crm
    """
    with _webhooks(shell, folder) as (ledger, webhooks):
        found = webhooks.remove(name)
        _record(shell, folder, name, "remove")
        return _told(described(ledger, webhooks, found), f"{name} is removed")


@command_in(app, "test")
def send_test(shell: Shell, name: NameArgument, folder: FolderOption = None) -> Answer:
    """Send a signed message without entries now, and say whether it was acknowledged.

    points webhooks test crm
    """
    with _webhooks(shell, folder) as (ledger, webhooks):
        found = webhooks.named(name)
        asyncio.run(resolve_name("service.webhooks.deliver:send_test")(ledger, found))
        return _told(described(ledger, webhooks, found), f"{found.url} acknowledged the message")


def _told(document: Webhook, text: str) -> Answer:
    return Answer(document, lambda: print_plain(text))


def _record(shell: Shell, folder: Path | None, name: str, what: str) -> None:
    """Record among what operators did what was done."""
    kept = shell.place, shell.named_folder(folder)
    with closing(resolve_name("service.http.operator_log:operator_log_of")(*kept)) as log:
        log.record(getuser(), "webhook", name, why=what)


@contextmanager
def _webhooks(shell: Shell, folder: Path | None) -> Iterator[tuple[Ledger, Webhooks]]:
    """Yield the ledger, opened for reading, and its webhooks."""
    with shell.reading() as opened, webhooks_of(shell.place, shell.named_folder(folder)) as webhooks:
        yield opened, webhooks
