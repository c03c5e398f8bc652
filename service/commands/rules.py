"""The rule book: programme check, and the codes of rules and reasons."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.facts import read_text
from service.shell import JsonOption, LedgerOption, Shell, standard_output

app = typer.Typer(no_args_is_help=True, help="Rule books: what points are given for, as data.")


@app.command("check")
def check_programme(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A rule book in TOML.")],
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a rule book; exit 3 with the file, table and key where something is wrong.

    points programme check jd.toml
    """
    from ledger.rules import Version

    shell = Shell(context, ledger, as_json)
    version = Version(read_text(file), str(file))
    programme = version.programme
    found = {
        "file": str(file),
        "programme": programme.programme,
        "name": programme.name,
        "version": version.name,
        "from": programme.from_.isoformat(),
        "kinds": list(programme.kinds),
        "scores": list(programme.scores),
        "memberships": list(programme.memberships),
        "rules": [award.rule for award in programme.award],
    }
    if shell.json:
        shell.emit(found)
        return
    with standard_output():
        print(
            f"{file}: good: {programme.name} {programme.programme}, version {version.name} from {programme.from_},"
            f" {len(programme.award)} rules"
        )


def codes(context: typer.Context, ledger: LedgerOption = None, as_json: JsonOption = False) -> None:
    """Every reason code and every rule, each with a sentence; of the shipped book where there is no ledger.

    points codes
    """
    from ledger.programme import shipped
    from ledger.rules import Book
    from projections.codes import codes as of_book

    shell = Shell(context, ledger, as_json)
    if shell.has_ledger:
        with shell.reading() as opened:
            found = of_book(opened.book)
    else:
        found = of_book(Book([shipped("jd")]))
    if shell.json:
        shell.emit(found)
        return
    from service.screens.codes import print_codes

    with standard_output():
        print_codes(shell.console, found)
