"""One member: show, entries."""

from typing import Annotated

import typer

from projections.answers.members import entries_of
from projections.answers.show import show_member
from service.commands.options import AsOfOption, KnownAtOption, MemberArgument
from service.shell import Answer, Shell, command, instant, known_instant


@command
def show(
    shell: Shell,
    member: MemberArgument,
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    every_lot: Annotated[bool, typer.Option("--lots", help="Show every lot.")] = False,
) -> Answer:
    """What a member has: points in lots, scores by part, memberships; now, then, or in time to come.

    points show m-17850

    points show m-17850 --as-of 2025-12-01

    points show m-17850 --as-of 2025-12-01 --known-at 2025-12-02
    """
    with shell.reading() as opened:
        book = opened.book
        found = show_member(opened, member, instant(as_of, "--as-of", book), known_instant(known_at, book))
    return Answer(found, "member:print_every_lot" if every_lot else "member:print_member", book)


@command
def entries(shell: Shell, member: MemberArgument) -> Answer:
    """Every decision about a member, in order: each fact, what became of it and what it changed.

    points entries m-17850
    """
    with shell.reading() as opened:
        return Answer(list(entries_of(opened, member)), "entries:print_entries", opened.book)
