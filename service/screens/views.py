"""Views on a screen: which there are, where they stand, and a table of one."""

from itertools import islice
from typing import Any

from msgspec import UNSET
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from ledger.wire.answers import ViewBuild
from ledger.wire.times import to_text
from projections.answers.tables import Table
from service.errors import plain
from service.screens.names import short_time

WIDE = 11  # columns, above which a table does not fit a screen
RECORDS = 10


def print_catalogue(console: Console, views: list[dict[str, Any]]) -> None:
    """Each view with its queries."""
    for view in views:
        version = (f"  version {view['version']}", "dim")
        console.print(Text.assemble((plain(view["view"]), "bold"), version, f"  {plain(view['about'])}"))
        for reading in view["readings"]:
            console.print(Text.assemble("  ", (f"{plain(reading['name']):<14}", "cyan"), plain(reading["about"])))


def print_status(console: Console, builds: list[ViewBuild]) -> None:
    """Each build of each view."""
    grid = _grid()
    for name, justify in (
        ("view", "left"),
        ("version", "right"),
        ("", "left"),
        ("entries", "right"),
        ("behind", "right"),
    ):
        grid.add_column(name, justify=justify)  # type: ignore[arg-type]
    grid.add_column("file")
    for build in builds:
        state = "live" if build.is_live else build.problem or build.state
        figures = ["" if figure is UNSET else f"{figure:,}" for figure in (build.entries, build.behind)]
        style = "green" if build.is_live and not build.behind else "yellow"
        grid.add_row(plain(build.view), str(build.version), Text(plain(state), style=style), *figures, build.file or "")
    console.print(grid)


def print_table(console: Console, table: Table, about: dict[str, Any], most: int) -> None:
    """The first rows of a table, and how much more there is; a row of many columns is laid out on lines of its own."""
    final = ("   final" if about["final"] else "   may still change") if "final" in about else ""
    console.print(Text(f"{about['reading']}   as of {short_time(about['as_of'])}{final}", style="bold"))
    if len(table.columns) > WIDE:
        _print_records(console, table)
        return
    grid = _grid()
    for column in table.columns:
        grid.add_column(column.name, justify="right" if column.form == "integer" else "left")
    forms = [column.form for column in table.columns]
    for row in islice(table.rows, most):
        grid.add_row(*(_cell(value, form, table.offset) for value, form in zip(row, forms, strict=True)))
    rest = sum(1 for _ in table.rows)
    console.print(grid)
    _print_rest(console, rest)


def _print_records(console: Console, table: Table) -> None:
    for row in islice(table.rows, RECORDS):
        grid = _grid()
        grid.show_header = False
        grid.add_column(style="dim")
        grid.add_column(justify="right")
        for column, value in zip(table.columns, row, strict=True):
            grid.add_row(column.name, _cell(value, column.form, table.offset))
        console.print(grid)
    _print_rest(console, sum(1 for _ in table.rows))


def _print_rest(console: Console, rest: int) -> None:
    if rest:
        console.print(Text(f"… and {rest:,} more rows: --format csv", style="dim"))


def _grid() -> Grid:
    return Grid(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))


def _cell(value: Any, form: str, offset: int) -> Text:
    if value is None:
        return Text("")
    if form == "instant":
        return Text(short_time(to_text(value, offset)))
    if form == "integer":
        return Text(f"{value:,}", style="" if value else "dim")
    if form == "flag":
        return Text("yes" if value else "")
    return Text(plain(str(value)))
