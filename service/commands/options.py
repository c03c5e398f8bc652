"""The arguments and options that several commands take."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.journal.engines import Engine

DEFAULT_LEDGER = "points-ledger"
_COMMON = "Common"


def option(name: str, metavar: str, help: str, **more: Any) -> Any:
    """Return a typer option with a value; `help` names its default, if there is one to be told."""
    return typer.Option(name, metavar=metavar, help=help, show_default=False, **more)


def named_file(text: str) -> Path:
    """Return the file of an option whose command has standard output for its answer. Raises `BadParameter`."""
    if text == "-":
        raise typer.BadParameter("standard output has the answer: name a file, or ./- for one of that name")
    return Path(text)


def _file_or_output(text: str) -> Path | None:
    """Return the file that is named; None for -, which stands for standard output."""
    return None if text == "-" else Path(text)


LedgerOption = Annotated[
    str | None,
    option(
        "--ledger",
        "DIR|URL",
        "The ledger's folder, or its database: postgresql://USER@HOST/DATABASE.",
        rich_help_panel=_COMMON,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.", rich_help_panel=_COMMON)
]
AsOfOption = Annotated[
    str | None,
    option(
        "--as-of", "T", "Answer for this instant: a date, a local time or RFC 3339; it may lie ahead. (default: now)"
    ),
]
KnownAtOption = Annotated[
    str | None,
    option("--known-at", "T", "Only by what was recorded up to this instant."),
]
ByShopOption = Annotated[
    bool, typer.Option("--by-shop", help="Kinds that are kept for each shop, shop by shop. (default: over all shops)")
]
FolderOption = Annotated[
    Path | None,
    option(
        "--folder",
        "DIR",
        "Where keys, views and results are kept. (default: the ledger's folder; needed with a database)",
        envvar="POINTS_FOLDER",
    ),
]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, max=256, help="Processes. (default: the processors)")
]
ConfigOption = Annotated[
    Path | None,
    option("--config", "TOML", "Kafka's settings, and the engine.", envvar="POINTS_CONFIG"),
]
ByOption = Annotated[
    Engine | None,
    option("--by", "ENGINE", "The engine that derives: python, native or auto. (default: the one that decides)"),
]
BookOption = Annotated[
    list[str] | None,
    option(
        "--book",
        "NAME|TOML",
        "The rule book of a ledger that is made now; several make one version. (default: the shipped jd)",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        parser=_file_or_output,
        help="A file, written whole or not at all. (default: standard output, as for -)",
    ),
]
SafeCsvOption = Annotated[
    bool | None,
    typer.Option(
        "--safe-csv/--exact-csv",
        show_default=False,
        help="CSV for a spreadsheet, in which no text is a formula. (default: into a file or on a terminal)",
    ),
]
FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE…", help="NDJSON: plain, .gz, .zst, or - for standard input.")
]
MemberArgument = Annotated[str, typer.Argument(metavar="MEMBER", help="A member's token, the `subject` of the facts.")]
