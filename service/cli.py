"""`points`, the command line: its commands are imported when they are called, and its exit codes are set here."""

import gc
import sys
from io import TextIOWrapper
from pkgutil import resolve_name
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from service.commands import FROM_SETTINGS, PANELS, reference_of
from service.commands.options import DEFAULT_LEDGER, JsonOption
from service.errors import STOPPED, quiet_standard_output, report
from service.installed import installed_version
from service.languages import terminal_language, texts, told

HELP = ["-h", "--help"]
YOUNG = 50_000  # objects, before the collector looks for cycles: what a command imports has next to none


CONFIGURED = "service.configuration:ConfiguredCommand"


class LazyGroup(TyperGroup):
    """A group that lists its commands from a table, and imports one where it is to run."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {
            name: TyperCommand(name, help=text, rich_help_panel=panel)
            for panel, named in PANELS.items()
            for name, text in named.items()
        }

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """Return what a run starts with; the help is then in the reader's language."""
        in_readers_language(self)
        return super().make_context(*arguments, **more)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the first argument names, imported, and the arguments behind it."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, None if found is None else command_of(found.name or ""), rest


def command_of(name: str) -> TyperCommand | TyperGroup:
    """Return the command or the group of a name, imported, with its help in the reader's language."""
    found = resolve_name(reference_of(name))
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name, group.help = name, next(named[name] for named in PANELS.values() if name in named)
        name_values(group)
        in_readers_language(group)
        return group
    single = typer.Typer(add_completion=False)
    single.command(name, cls=resolve_name(CONFIGURED) if name in FROM_SETTINGS else None)(found)
    made = typer.main.get_command(single)
    assert isinstance(made, TyperCommand)
    name_values(made)
    in_readers_language(made)
    return made


def name_values(command: Any) -> None:
    """Call the value of an option, where the option does not name it, N or TEXT and no type of a program."""
    for parameter in command.params:
        if parameter.metavar is None and parameter.param_type_name == "option" and not parameter.is_flag:
            parameter.metavar = "TEXT" if parameter.type.name == "str" else "N"
    for one in getattr(command, "commands", {}).values():
        name_values(one)


def in_readers_language(command: Any) -> None:
    """Put the help of a command, its options and its commands into the terminal's language; English stays."""
    language = terminal_language()
    if not texts(language):
        return
    command.help = _paragraphs(command.help or "", language)
    command.epilog = told(command.epilog or "", language) or None
    own = command.get_help_option(typer.Context(command, help_option_names=HELP))
    for parameter in (*command.params, *([] if own is None else [own])):
        argument = parameter.param_type_name == "argument"
        panel = getattr(parameter, "rich_help_panel", None) or ("Arguments" if argument else "Options")
        parameter.rich_help_panel = told(panel, language)
        if getattr(parameter, "help", None):
            parameter.help = told(parameter.help, language)
    for one in getattr(command, "commands", {}).values():
        one.rich_help_panel = told(getattr(one, "rich_help_panel", None) or "Commands", language)
        in_readers_language(one)
    resolve_name("service.screens.help:fold_long_texts")(language)


def _paragraphs(help_text: str, language: str) -> str:
    return "\n\n".join(told(" ".join(one.split()), language) for one in help_text.split("\n\n"))


app = typer.Typer(
    name="points",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP},
    epilog="Exit codes: 0 done, 1 the answer is bad news, 2 wrong use, 3 bad input, 4 cannot run now.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(installed_version())
        raise typer.Exit


@app.callback()
def points(
    context: typer.Context,
    ledger: Annotated[
        str | None,
        typer.Option(
            "--ledger",
            metavar="DIR|URL",
            envvar="POINTS_LEDGER",
            show_default=False,
            help=f"The ledger's folder, or its database, before or after the command. (default: ./{DEFAULT_LEDGER})",
        ),
    ] = None,
    as_json: JsonOption = False,
    _is_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """京豆账本: a ledger of loyalty points that can say how many, why, and prove it.

    Try [cyan]points demo[/], then [cyan]points show MEMBER[/] and [cyan]points explain MEMBER[/].
    """
    context.obj = (ledger, as_json)


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. An error is one line on standard error."""
    try:
        answer = app(args=arguments, prog_name="points", standalone_mode=False)
        code = answer if isinstance(answer, int) else 0
        if code == STOPPED:
            raise KeyboardInterrupt
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as end:
        if not any(isinstance(error, BrokenPipeError) for error in (end, end.__context__)):
            raise
        quiet_standard_output()  # the libraries' own end has the code of bad news
        return 0
    except typer.Abort:
        return report(KeyboardInterrupt())
    except (Exception, KeyboardInterrupt) as error:
        return report(error)
    return code


def main() -> NoReturn:
    """The entry point of `points`."""
    gc.set_threshold(YOUNG)
    if isinstance(sys.stdout, TextIOWrapper):  # neither ¥ nor 京豆 is in every encoding; JSON is written as bytes
        sys.stdout.reconfigure(errors="replace")
    code = run()
    gc.freeze()  # or the interpreter goes through all that is there as it ends
    sys.exit(code)


if __name__ == "__main__":
    main()
