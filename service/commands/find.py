"""Whose an id is: find."""

from typing import Annotated

import typer

from ledger.errors import WrongUse
from projections.views.builtin.finding import KINDS, MOST_HITS, MOST_TEXT, Finding, Kind
from projections.views.builtin.finding import find as find_in
from projections.views.snapshot import snapshot
from service.commands.options import FolderOption, option
from service.commands.views import views_of
from service.shell import Answer, Shell, command


@command
def find(
    shell: Shell,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="An id, or how it begins.")],
    kind: Annotated[Kind | None, option("--kind", "|".join(KINDS), "Only ids of this kind. (default: all)")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST_HITS, help="At most so many of each kind.")] = 50,
    folder: FolderOption = None,
) -> Answer:
    """Whose an order, a redemption, a card, a gift, a house … is; and members by how their tokens begin.

    It asks the view `finding`, which `points views run finding` builds and `points serve` keeps up to date.

    points find O1

    points find m-17 --kind member
    """
    if not 0 < len(text) <= MOST_TEXT:
        raise WrongUse(f"{len(text):,} characters are no id; it has 1 to {MOST_TEXT}")
    with (
        shell.reading() as opened,
        views_of(opened, folder) as store,
        snapshot(opened, store, Finding(), None) as taken,
    ):
        found = find_in(taken, text, (kind,) if kind else KINDS, None, limit)
    return Answer(found, "found:print_found", exit_code=0 if found.hits else 1, remark=_lag(found.behind))


def _lag(behind: int) -> str:
    if not behind:
        return ""
    return f"the index is {behind:,} entries behind the ledger: `points views run finding` brings it up to date"
