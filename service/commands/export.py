"""All members as a table: export."""

from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

import typer

from ledger.errors import WrongUse
from projections.answers.export import BEANCOUNT, FORMATS, write_table
from projections.answers.output import is_piped, output_file
from projections.answers.postings import postings
from projections.answers.tables import TABLES as OF_MEMBERS
from projections.answers.tables import Table
from service.commands.options import AsOfOption, KnownAtOption, OutOption, SafeCsvOption, option
from service.errors import say
from service.shell import Answer, Shell, command, instant, known_instant, standard_output

TABLES = {**OF_MEMBERS, "postings": postings}
FAR = 1 << 62  # an instant behind every entry


@command
def export(
    shell: Shell,
    table: Annotated[str, typer.Argument(metavar="TABLE", help=f"{', '.join(TABLES)}.")],
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    form: Annotated[
        str | None,
        option(
            "--format",
            "|".join((*FORMATS, BEANCOUNT)),
            "beancount: of postings. (default: by the ending of FILE, or else csv)",
        ),
    ] = None,
    safe_csv: SafeCsvOption = None,
    out: OutOption = None,
) -> Answer | None:
    """All members, sorted by member, streamed: balances, lots, scores, memberships, or every entry or posting.

    points export balances --as-of 2025-12-01 > balances.csv

    points export lots -o lots.parquet

    points export entries --format ndjson | head

    points export postings -o points.beancount && bean-check points.beancount
    """
    if table not in TABLES:
        raise WrongUse(f'there is no table "{table}"; there are {", ".join(TABLES)}')
    form = format_of(form, out, shell.json, "csv", (*FORMATS, BEANCOUNT) if table == "postings" else FORMATS)
    with shell.reading() as opened:
        book = opened.book
        until = FAR if table == "entries" and as_of is None else instant(as_of, "--as-of", book)
        made = TABLES[table](opened, until, known_instant(known_at, book))
        rows = write_out(shell, made, form, out, f"exporting {table}", safe_csv)
    if out is None:
        return None
    return Answer(
        {"table": table, "rows": rows, "format": form, "file": str(out)}, lambda: say(f"{rows:,} rows in {out}")
    )


def write_out(shell: Shell, table: Table, form: str, out: Path | None, label: str, safe_csv: bool | None = None) -> int:
    """Write a table in a format to a file or standard output, with its progress; return how many rows it has.

    CSV is safe where `safe_csv` says so; where it says nothing, unless it goes through a pipe to a program.
    """
    is_safe = (out is not None or not is_piped()) if safe_csv is None else safe_csv
    with standard_output(), shell.progress(label) as tick, output_file(out) as file:
        if form == "parquet":
            return int(resolve_name("projections.answers.parquet:write_parquet")(table, file, tick))
        return write_table(table, form, file, tick, is_safe_csv=is_safe)


def format_of(form: str | None, out: Path | None, as_json: bool, on_screen: str, files: Sequence[str] = FORMATS) -> str:
    """Return the format that is meant: as given, by the file's ending, or JSON, or what a screen gets.

    `on_screen` is csv or table, `files` are the formats of files. Raises `WrongUse`.
    """
    known = files if on_screen in files else (on_screen, *files)
    if form is not None and form not in known:
        raise WrongUse(f'there is no format "{form}"; there are {", ".join(known)}')
    if form is None:
        ending = out.suffix[1:] if out is not None else ""
        form = ending if ending in files else "csv" if out is not None else "json" if as_json else on_screen
    elif as_json and out is None:
        raise WrongUse("--json prints one JSON document, --format something else: give one of them, or -o FILE")
    if out is None and form == "parquet":
        raise WrongUse("parquet is for files: give -o FILE")
    if out is not None and form == "table":
        raise WrongUse("table is for the screen: give csv, ndjson or parquet with -o FILE")
    return form
