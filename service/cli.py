"""`points`, the command line: which commands there are, and what their ends mean."""

import sys
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer

from service.commands import (
    archive,
    backup,
    books,
    dead_letters,
    facts,
    keys,
    members,
    programme,
    proofs,
    reconcile,
    store,
    topics,
    views,
)
from service.commands.backtest import backtest
from service.commands.consume import consume
from service.commands.demo import demo
from service.commands.produce import produce
from service.commands.quote import quote
from service.commands.serve import serve
from service.errors import STOPPED, quiet_standard_output, report
from service.shell import DEFAULT_LEDGER, JsonOption, Shell, installed_version

app = typer.Typer(
    name="points",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
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


_IN, _ONE, _ALL, _OPERATE = "Facts in", "One member", "All members, and proofs", "Operate"

app.command(rich_help_panel=_IN)(demo)
app.command(rich_help_panel=_IN)(facts.ingest)
app.command(rich_help_panel=_IN)(consume)
app.command(rich_help_panel=_IN)(produce)
app.command(rich_help_panel=_IN)(facts.check)
app.command(rich_help_panel=_IN)(facts.schema)
app.command(rich_help_panel=_IN)(facts.traffic)
app.command(rich_help_panel=_ONE)(members.show)
app.command(rich_help_panel=_ONE)(members.entries)
app.command(rich_help_panel=_ONE)(members.explain)
app.command(rich_help_panel=_ONE)(quote)
app.command(rich_help_panel=_ALL)(books.export)
app.command(rich_help_panel=_ALL)(books.stats)
app.command(rich_help_panel=_ALL)(books.replay)
app.command(rich_help_panel=_ALL)(books.verify)
app.command(rich_help_panel=_ALL)(reconcile.reconcile)
app.command(rich_help_panel=_ALL)(proofs.checkpoint)
app.command(rich_help_panel=_ALL)(proofs.prove)
app.command(rich_help_panel=_ALL)(backtest)
app.add_typer(views.app, name="views", rich_help_panel=_ALL)
app.command(rich_help_panel=_OPERATE)(programme.codes)
app.command(rich_help_panel=_OPERATE)(backup.backup)
app.command(rich_help_panel=_OPERATE)(backup.restore)
app.add_typer(archive.app, name="archive", rich_help_panel=_OPERATE)
app.add_typer(proofs.app, name="signing-key", rich_help_panel=_OPERATE)
app.command(rich_help_panel=_OPERATE)(serve)
app.add_typer(keys.app, name="keys", rich_help_panel=_OPERATE)
app.add_typer(dead_letters.app, name="dead-letters", rich_help_panel=_OPERATE)
app.add_typer(topics.app, name="topics", rich_help_panel=_OPERATE)
app.add_typer(programme.app, name="programme", rich_help_panel=_OPERATE)
app.add_typer(store.app, name="store", rich_help_panel=_OPERATE)


@app.command(rich_help_panel=_OPERATE)
def version(context: typer.Context, as_json: JsonOption = False) -> None:
    """Print the version of points, and the engine that decides."""
    from ledger.wire.entries import ENGINE

    shell = Shell(context, None, as_json)
    if shell.json:
        shell.emit({"version": installed_version(), "engine": ENGINE})
    else:
        print(f"points {installed_version()} (engine {ENGINE})")


def run(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code. Whatever goes wrong is one line on standard error."""
    try:
        answer = app(args=arguments, prog_name="points", standalone_mode=False)
        code = answer if isinstance(answer, int) else 0
        if code == STOPPED:
            raise KeyboardInterrupt
        sys.stdout.flush()
    except BrokenPipeError:
        quiet_standard_output()
        return 0
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        quiet_standard_output()  # the command line library's own end, with the code of bad news
        return 0
    except typer.Abort:
        return report(KeyboardInterrupt())
    except (Exception, KeyboardInterrupt) as error:
        return report(error)
    return code


def main() -> NoReturn:
    """The entry point of `points`."""
    if isinstance(sys.stdout, TextIOWrapper):  # neither ¥ nor 京豆 is in every encoding; JSON is written as bytes
        sys.stdout.reconfigure(errors="replace")
    sys.exit(run())


if __name__ == "__main__":
    main()
