"""What budgets and stocks that members share have left: pool."""

from typing import Annotated

import typer

from ledger.wire.answers import Pools
from projections.answers.pools import pool_named, pools_of
from service.commands.options import AsOfOption, KnownAtOption
from service.shell import Answer, Shell, command, instant, known_instant


@command
def pool(
    shell: Shell,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A campaign or benefit of the rule book; all of them where left out.")
    ] = "",
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
) -> Answer:
    """What a budget or stock that members share has given, and what is left; all of them where none is named.

    points pool

    points pool campaigns.spring --as-of 2025-12-01
    """
    with shell.reading() as opened:
        at, known = instant(as_of, "--as-of", opened.book), known_instant(known_at, opened.book)
        found = [pool_named(opened, name, at, known)] if name else pools_of(opened, at, known)
    return Answer(Pools(found), "pools:print_pools", opened.book)
