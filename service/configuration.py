"""The options of commands that run for long, by environment variables and by the TOML file of `--config`.

What the command line says stands above a variable, a variable above the file, and the file above the default. An option
is named alike everywhere: ``--key-requests``, ``POINTS_KEY_REQUESTS``, and ``key_requests`` in the command's table.
"""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperOption

from consumers.kafka.settings import BadSettings, Said, load_tables
from ledger.journal.engines import CONFIG

# Said anew at every start, or elsewhere in the file.
_NEVER = {"accept_gap", "accept_topic", "reason", "by", "config", "folder", "ledger", "as_json", "help"}
_PORT = "; Kubernetes sets it for a Service named points: rename that, or set enableServiceLinks: false"


class ConfiguredCommand(TyperCommand):
    """A command whose options variables and a table of the file may say, too."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        for option in configurable(self):
            option.envvar = variable_of(option)
            option.show_envvar = True
        config = next(option for option in self.params if option.name == "config")
        config.is_eager = True  # it is read before the others, whose defaults it says
        config.callback = self._read

    def _read(self, ctx: Any, _: Any, named: Any) -> Any:
        """Let the table of the file stand behind the variables. Raises `BadSettings`."""
        ctx.default_map = table_of(self, config_file(named))
        return None if named is None else Path(named)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with the table of the file behind the variables. Raises `BadSettings`, which names who said it."""
        try:
            rest: list[str] = super().parse_args(ctx, args)
        except Exception as error:
            option = getattr(error, "param", None)
            if option is None:
                raise
            source = ctx.get_parameter_source(option.name)
            if source is not None and source.name == "ENVIRONMENT":
                told = variable_of(option)
                hint = _PORT if told == "POINTS_PORT" and "://" in os.environ.get(told, "") else ""
                raise BadSettings(f"{told}: {error.message}{hint}") from None  # type: ignore[attr-defined]
            if source is not None and source.name == "DEFAULT_MAP":
                file = config_file(ctx.params.get("config"))
                raise BadSettings(f"{file}: {self.name}.{option.name}: {error.message}") from None  # type: ignore[attr-defined]
            raise
        return rest


def configurable(command: TyperCommand) -> Iterator[TyperOption]:
    """Yield the options that a variable and the file may say."""
    for option in command.params:
        if isinstance(option, TyperOption) and option.name not in _NEVER and not option.is_eager:
            yield option


def variable_of(option: Any) -> str:
    """Return the environment variable of an option."""
    return f"POINTS_{option.name.upper()}"


def config_file(named: object = None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file of settings: the one that is named, or that of POINTS_CONFIG."""
    text = named or environment.get(CONFIG)
    return Path(str(text)) if text else None


def said_options(command: TyperCommand, file: Path | None) -> Iterator[Said]:
    """Yield what a command's options would be, started now without arguments. Raises `BadSettings`."""
    if command.name is None:
        return
    context = command.make_context(command.name, [] if file is None else ["--config", str(file)])
    for option in configurable(command):
        source = context.get_parameter_source(str(option.name))
        places = {"ENVIRONMENT": variable_of(option), "DEFAULT_MAP": str(file)}
        said_by = places.get(source.name if source else "", "default")
        yield Said(f"{command.name}.{option.name}", context.params[str(option.name)], said_by)


def table_of(command: TyperCommand, file: Path | None) -> dict[str, Any]:
    """Return what the file says of a command's options. Raises `BadSettings`."""
    if file is None or command.name is None:
        return {}
    found: dict[str, Any] = getattr(load_tables(file), command.name)
    known = {str(option.name): option for option in configurable(command)}
    for name, value in found.items():
        if name not in known:
            near = get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
            raise BadSettings(f"{file}: {command.name}.{name}: there is no such setting; {meant}")
        if isinstance(value, dict) or isinstance(value, list) != bool(known[name].multiple):
            wanted = "a list" if known[name].multiple else "one value"
            raise BadSettings(f"{file}: {command.name}.{name}: {wanted} is wanted")
    return found
