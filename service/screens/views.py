"""Views on a screen: which there are, where they stand, and a table of one."""

from itertools import islice
from typing import Any

from msgspec import UNSET
from rich.console import Console
from rich.text import Text

from ledger.wire.answers import ViewBuild
from ledger.wire.times import Zone, to_text
from projections.answers.plain import plain
from projections.answers.tables import Table
from service.languages import text, told
from service.screens.grid import grid
from service.screens.names import short_time

WIDE = 11  # columns, above which a table does not fit a screen
RECORDS = 10


def print_catalogue(console: Console, views: list[dict[str, Any]]) -> None:
    """Print each view with its queries."""
    for view in views:
        version = (f"  version {view['version']}", "dim")
        console.print(Text.assemble((plain(view["view"]), "bold"), version, f"  {plain(view['about'])}"))
        for reading in view["readings"]:
            console.print(Text.assemble("  ", (f"{plain(reading['name']):<14}", "cyan"), plain(reading["about"])))


def print_status(console: Console, builds: list[ViewBuild]) -> None:
    """Print each build of each view, and below them what is wrong with which."""
    rows = grid("view", "version", "", right=("entries", "behind"))
    rows.columns[1].justify = "right"
    rows.add_column(text("file"))
    for build in builds:
        state = "live" if build.is_live and build.state != "cannot be read" else build.state
        figures = ["" if figure is UNSET else f"{figure:,}" for figure in (build.entries, build.behind)]
        style = "green" if build.is_live and not build.behind and not build.problem else "yellow"
        state_text = Text(plain(state), style=style)
        rows.add_row(plain(build.view), str(build.version), state_text, *figures, build.file or "")
    console.print(rows)
    for build in builds:
        if build.problem:
            console.print(Text(plain(told(build.problem)), style="yellow"), soft_wrap=True)


def print_table(console: Console, table: Table, about: dict[str, Any], most: int) -> None:
    """Print the first rows of a table and how many more there are; a wide row is laid out as a record."""
    final = f"   {text('final' if about['final'] else 'may still change')}" if "final" in about else ""
    console.print(Text(f"{about['reading']}   {text('as of')} {short_time(about['as_of'])}{final}", style="bold"))
    if len(table.columns) > WIDE:
        _print_records(console, table)
        return
    rows = grid()
    for column in table.columns:
        rows.add_column(column.name, justify="right" if column.form == "integer" else "left")
    forms = [column.form for column in table.columns]
    for row in islice(table.rows, most):
        rows.add_row(*(_cell(value, form, table.offset) for value, form in zip(row, forms, strict=True)))
    console.print(rows)
    _print_rest(console, table)


def _print_records(console: Console, table: Table) -> None:
    for row in islice(table.rows, RECORDS):
        record = grid("", right=("",), header=False)
        record.columns[0].style = "dim"
        for column, value in zip(table.columns, row, strict=True):
            record.add_row(column.name, _cell(value, column.form, table.offset))
        console.print(record)
    _print_rest(console, table)


def _print_rest(console: Console, table: Table) -> None:
    if rest := sum(1 for _ in table.rows):
        console.print(Text(text("… and {count} more rows: --format csv", count=rest), style="dim"))


def _cell(value: Any, form: str, offset: Zone) -> Text:
    if value is None:
        return Text("")
    if form == "instant":
        return Text(short_time(to_text(value, offset)))
    if form == "integer":
        return Text(f"{value:,}", style="" if value else "dim")
    if form == "flag":
        return Text(text("yes") if value else "")
    return Text(plain(str(value)))
