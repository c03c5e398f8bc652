"""What every command shares: which ledger, which output, and the instant it answers for."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.errors import BadInput, WrongUse
from service.errors import quiet_standard_output

if TYPE_CHECKING:
    from rich.console import Console

    from ledger.journal.ledger import Ledger, Settings
    from ledger.rulebook.compiled import Book

DEFAULT_LEDGER = "points-ledger"
WIDTH_OF_A_FILE = 120  # of tables that go to a file or a pipe
WIDEST = 1_000  # that a table is laid out for

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
Tick = Callable[..., None]


class Shell:
    """One run of a command. Options given after the command hold before those given in front of it."""

    def __init__(self, context: typer.Context, ledger: str | None = None, as_json: bool = False) -> None:
        from ledger.journal.ledger import is_address

        place, in_front = context.obj or (None, False)
        named = place if ledger is None else ledger
        self.place: str = DEFAULT_LEDGER if named is None else named
        if not self.place:
            raise WrongUse("--ledger is empty: name a folder or a database, or leave it out")
        if "://" in self.place and not is_address(self.place):
            scheme = self.place.partition("://")[0]
            raise WrongUse(f"--ledger {scheme}://…: a database's address begins with postgresql://")
        self.json = as_json or bool(in_front)
        self._console: Console | None = None

    @property
    def ledger_name(self) -> str:
        """Where the ledger is, for people: without a password."""
        from ledger.journal.ledger import is_address

        if not is_address(self.place):
            return self.place
        from ledger.journal.postgres_server import name_of

        return name_of(self.place)

    @property
    def has_ledger(self) -> bool:
        """Whether a ledger is there, or is said to be in a database."""
        from ledger.journal.folder import SETTINGS
        from ledger.journal.ledger import is_address

        return is_address(self.place) or (Path(self.place) / SETTINGS).exists()

    @property
    def folder(self) -> Path:
        """The folder of a ledger, which may still have to be made. Raises `WrongUse` for a database."""
        from ledger.journal.ledger import is_address

        if is_address(self.place):
            raise WrongUse("this is for a ledger in a folder, and not in a database: give --ledger DIR")
        return Path(self.place)

    def beside(self, named: Path | None) -> Path:
        """Where what stands beside the ledger is kept: the folder that is named, or the ledger's own.

        Raises `WrongUse` for a database where none is named, and `BadInput` for one that cannot be made.
        """
        from ledger.journal.ledger import is_address

        if named is None:
            if is_address(self.place):
                raise WrongUse(
                    "a ledger in a database keeps its keys and what operators did in a folder of your choice:"
                    " give --folder DIR, or set POINTS_FOLDER"
                )
            return Path(self.place)
        try:
            named.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"--folder {named}: {error.strerror}; name one that is there or can be made") from None
        return named

    @contextmanager
    def reading(self) -> "Iterator[Ledger]":
        """The ledger, which must be there. Raises `JournalError`."""
        from ledger.journal.open import open_ledger

        ledger = open_ledger(self.place)
        yield ledger
        ledger.close()  # not after an error: rows may still be half read, and the process ends anyway

    @contextmanager
    def writing(
        self, book: str | None = None, *, create: bool = False, settings: "Settings | None" = None
    ) -> "Iterator[Ledger]":
        """The ledger with its lock held, made where `create` says so. Raises `LedgerLocked`, `JournalError`."""
        from ledger.journal.open import open_ledger, open_or_create

        ledger = open_or_create(self.place, book, settings) if create else open_ledger(self.place)
        try:
            with ledger.writing():
                yield ledger
        finally:
            ledger.close()

    def operating(self) -> "AbstractContextManager[Ledger]":
        """The ledger, for what an operator does: where Kafka feeds it, its owner may go on meanwhile."""
        from ledger.journal.ledger import KAFKA

        with self.reading() as opened:
            is_fed_by_kafka = opened.settings.stream == KAFKA
        return self.reading() if is_fed_by_kafka else self.writing()

    @property
    def console(self) -> "Console":
        """Where people read."""
        if self._console is None:
            from service.screens.console import Paper

            # COLUMNS where it is above 0, or a terminal's.
            asked = shutil.get_terminal_size((WIDTH_OF_A_FILE, 0)).columns
            self._console = Paper(width=min(asked, WIDEST), highlight=False, soft_wrap=False)
        return self._console

    def emit(self, document: Any) -> None:
        """The JSON document, laid out where a person looks."""
        import msgspec

        text = msgspec.json.encode(document)
        if sys.stdout.isatty():
            text = msgspec.json.format(text, indent=2)
        with standard_output():
            sys.stdout.buffer.write(text + b"\n")

    @contextmanager
    def progress(self, label: str, total: int | None = None) -> Iterator[Tick]:
        """A bar on standard error while something long goes on; yields what hears `(done, total=None)`."""
        if not sys.stderr.isatty():
            yield _nothing
            return
        from service.screens.progress import bar

        with bar(label, total) as tick:
            yield tick


def _nothing(done: int, total: int | None = None) -> None:
    """Nobody looks at the bar."""


@contextmanager
def standard_output() -> Iterator[None]:
    """Writing to standard output; a reader that has enough ends the command quietly."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        quiet_standard_output()
        raise typer.Exit(0) from None


def instant(text: str | None, option: str, book: "Book") -> int:
    """An instant from an option's text, the present where there is none. Raises `WrongUse`."""
    if text is None:
        return time.time_ns() // 1000
    from ledger.wire.times import parse_instant

    try:
        return parse_instant(text, book.offset)
    except (ValueError, OverflowError) as error:
        wanted = "give a date (2025-12-01), a local time (2025-12-01T08:00) or RFC 3339 (2025-12-01T08:00:00+08:00)"
        raise WrongUse(f'{option} "{text}": {error}; {wanted}') from None


def known_instant(text: str | None, book: "Book") -> int | None:
    """The instant of --known-at. Raises `WrongUse`."""
    return None if text is None else instant(text, "--known-at", book)


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def installed_version() -> str:
    """The version of points that runs."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("points-ledger")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0.1.0+checkout"


def program_name() -> str:
    """How this program is called from here: ``points`` where the shell finds it, else its path."""
    called = Path(sys.argv[0])
    found = shutil.which("points")
    if called.name != "points" or (found and Path(found).resolve() == called.resolve()):
        return "points"
    return os.path.relpath(called) if called.is_absolute() else str(called)
