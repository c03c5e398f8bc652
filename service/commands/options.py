"""The arguments and options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_LEDGER = "points-ledger"
_COMMON = "Common"

LedgerOption = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="DIR|URL",
        help="The ledger's folder, or its database: postgresql://USER@HOST/DATABASE.",
        show_default=False,
        rich_help_panel=_COMMON,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.", rich_help_panel=_COMMON)
]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="T",
        help="Answer for this instant: a date, a local time or RFC 3339; it may lie ahead. (default: now)",
        show_default=False,
    ),
]
KnownAtOption = Annotated[
    str | None,
    typer.Option("--known-at", metavar="T", help="Only by what was recorded up to this instant.", show_default=False),
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="DIR",
        envvar="POINTS_FOLDER",
        help="Where keys, views and results are kept. (default: the ledger's folder; needed with a database)",
        show_default=False,
    ),
]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, max=256, help="Processes. (default: the processors)")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="TOML", envvar="POINTS_CONFIG", help="Kafka's settings.", show_default=False),
]
BookOption = Annotated[
    Path | None,
    typer.Option(
        "--book", metavar="TOML", help="The rule book of a ledger that is made now. (default: the shipped jd)"
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="A file. (default: standard output)")
]
FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE", help="NDJSON: plain, .gz, .zst, or - for standard input.")
]
MemberArgument = Annotated[str, typer.Argument(metavar="MEMBER", help="A member's token, the `subject` of the facts.")]
