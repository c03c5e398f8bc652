"""Why each point is there: explain."""

import re
from typing import Annotated

import typer

from ledger.errors import WrongUse
from projections.explaining.explain import explain as why
from projections.explaining.member import LINES
from service.commands.options import AsOfOption, MemberArgument
from service.languages import terminal_language
from service.shell import Answer, Shell, command, instant

_ENTRY_OR_LOT = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18}(~[0-9]{1,4}\.[0-9]{1,4})?)?")


@command
def explain(
    shell: Shell,
    member: MemberArgument,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[NUMBER]", help="One entry (12) or one lot (12.1); the whole story where it is left out."
        ),
    ] = None,
    as_of: AsOfOption = None,
    every: Annotated[bool, typer.Option("--all", help="Every line of a long story, not the last 1,000.")] = False,
) -> Answer:
    """Why each point is there: where it came from and went, by which rule and cap, and why nothing came.

    points explain m-17850

    points explain m-17850 12

    points explain m-17850 12.1
    """
    if what is not None and not _ENTRY_OR_LOT.fullmatch(what):
        raise WrongUse(f'"{what[:100]}" is neither an entry, such as 12, nor a lot, such as 12.1')
    with shell.reading() as opened:
        until = None if as_of is None else instant(as_of, "--as-of", opened.book)
        explanation = why(
            opened, member, what, as_of=until, lines=None if every else LINES, language=terminal_language()
        )
    return Answer(explanation, "explanation:print_explanation")
