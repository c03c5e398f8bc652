"""One member: show, entries, explain."""

import re
from typing import Annotated

import typer

from ledger.errors import WrongUse
from service.shell import (
    AsOfOption,
    JsonOption,
    KnownAtOption,
    LedgerOption,
    Shell,
    instant,
    known_instant,
    standard_output,
)

_ENTRY_OR_LOT = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
MemberArgument = Annotated[str, typer.Argument(metavar="MEMBER", help="A member's token, the `subject` of the facts.")]


def show(
    context: typer.Context,
    member: MemberArgument,
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    every_lot: Annotated[bool, typer.Option("--lots", help="Show every lot.")] = False,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a member has: points in lots, scores by part, memberships; now, then, or in time to come.

    points show m-17850

    points show m-17850 --as-of 2025-12-01

    points show m-17850 --as-of 2025-12-01 --known-at 2025-12-02
    """
    from projections.answers.show import show_member

    shell = Shell(context, ledger, as_json)
    with shell.reading() as opened:
        book = opened.book
        found = show_member(opened, member, instant(as_of, "--as-of", book), known_instant(known_at, book))
        if shell.json:
            shell.emit(found)
            return
        from service.screens.member import print_member
        from service.screens.names import Names

        with standard_output():
            print_member(shell.console, found, Names(book), every_lot=every_lot)


def entries(
    context: typer.Context, member: MemberArgument, ledger: LedgerOption = None, as_json: JsonOption = False
) -> None:
    """Every decision about a member, in order: each fact, what became of it and what it changed.

    points entries m-17850
    """
    from projections.answers.entries import entries_of

    shell = Shell(context, ledger, as_json)
    with shell.reading() as opened:
        found = entries_of(opened, member)
        if shell.json:
            shell.emit(list(found))
            return
        from service.screens.entries import print_entries
        from service.screens.names import Names

        with standard_output():
            print_entries(shell.console, found, Names(opened.book))


def explain(
    context: typer.Context,
    member: MemberArgument,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[NUMBER]", help="One entry (12) or one lot (12.1); the whole story where it is left out."
        ),
    ] = None,
    as_of: AsOfOption = None,
    every: Annotated[bool, typer.Option("--all", help="Every line of a long story, not the last 1,000.")] = False,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Why each point is there: where it came from and went, by which rule and cap, and why nothing came.

    points explain m-17850

    points explain m-17850 12

    points explain m-17850 12.1
    """
    from projections.explaining.explain import LINES, render_explanation
    from projections.explaining.explain import explain as why

    shell = Shell(context, ledger, as_json)
    if what is not None and not _ENTRY_OR_LOT.fullmatch(what):
        raise WrongUse(f'"{what[:100]}" is neither an entry, such as 12, nor a lot, such as 12.1')
    with shell.reading() as opened:
        until = None if as_of is None else instant(as_of, "--as-of", opened.book)
        explanation = why(opened, member, what, as_of=until, lines=None if every else LINES)
        if shell.json:
            shell.emit(explanation)
            return
        with standard_output():
            render_explanation(explanation, shell.console)
