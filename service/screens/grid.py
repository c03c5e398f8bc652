"""The one layout of a table on a screen."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from service.languages import text


def grid(*left: str, right: tuple[str, ...] = (), header: bool = True) -> Table:
    """Return an empty table with columns that lean to the left, then those of figures, under a dim header.

    Where the screen is narrow, what leans to the left is folded: a figure is never cut.
    """
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=header
    )
    for name in left:
        table.add_column(text(name))
    for name in right:
        table.add_column(text(name), justify="right", no_wrap=True)
    return table
