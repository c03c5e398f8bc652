"""Houses, whose members share cards: house."""

from typing import Annotated

import typer

from projections.answers.houses import house_named
from service.commands.options import AsOfOption, KnownAtOption
from service.shell import Answer, Shell, command, instant, known_instant


@command
def house(
    shell: Shell,
    name: Annotated[str, typer.Argument(metavar="HOUSE", help="The house: ID, or house/ID.")],
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
) -> Answer:
    """Who sits in a house, and what is left of the quotas that they share.

    points house lin

    points house lin --as-of 2025-12-01
    """
    with shell.reading() as opened:
        at, known = instant(as_of, "--as-of", opened.book), known_instant(known_at, opened.book)
        found = house_named(opened, name, at, known)
    return Answer(found, "house:print_house", opened.book)
