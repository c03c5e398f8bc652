"""What a manifest may say of `points`: its commands, and the variables that it reads."""

from collections.abc import Iterator
from typing import Any

import typer
from msgspec import Struct

from consumers.kafka.settings import Settings
from ledger.journal.engines import CONFIG
from ledger.journal.postgres_server import PASSWORD_FILE
from service.cli import app, command_of
from service.commands import FROM_SETTINGS
from service.configuration import configurable, variable_of
from service.keys import BOOTSTRAP


def parsed(arguments: list[str]) -> dict[str, Any]:
    """A command line parsed as `points` would, without running it. Raises where there is no such command or option."""
    command: Any = typer.main.get_command(app)
    name = "points"
    while hasattr(command, "commands"):
        name, command, arguments = command.resolve_command(typer.Context(command, info_name=name), arguments)
    found: dict[str, Any] = command.make_context(name, list(arguments)).params
    return found


def variables() -> set[str]:
    """Every environment variable that a server, a consumer or any command reads as a setting."""
    options = {variable_of(option) for name in FROM_SETTINGS for option in configurable(command_of(name))}
    others = {"POINTS_LEDGER", "POINTS_FOLDER", "POINTS_LANG", CONFIG, PASSWORD_FILE, BOOTSTRAP}
    return options | others | set(_settings(Settings, "POINTS"))


def _settings(table: type[Struct], at: str) -> Iterator[str]:
    for field in table.__struct_fields__:
        kind = table.__annotations__[field]
        name = f"{at}_{field.upper()}"
        if isinstance(kind, type) and issubclass(kind, Struct):
            yield from _settings(kind, name)
        else:
            yield name
