"""What every command shares: which ledger, which output, and how its answer is printed, encoded and ended with."""

import inspect
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import msgspec
import typer

from consumers.kafka.settings import LedgerSettings, load_tables
from ledger.errors import BadInput, WrongUse
from ledger.journal.engines import CONFIG
from ledger.journal.ledger import KAFKA, Ledger, Settings, is_address
from ledger.rulebook.checks import parts_of
from ledger.rulebook.compiled import Programme, ProgrammeVersion, checked_version
from ledger.rulebook.schema import shipped
from ledger.rulebook.union import Part, in_order
from ledger.wire.times import parse_instant
from projections.answers.plain import escaped
from projections.answers.to_json import to_json
from service.commands.options import DEFAULT_LEDGER, JsonOption, LedgerOption
from service.errors import quiet_standard_output, say
from service.languages import terminal_language
from service.time_zones import with_transitions

WIDTH_OF_A_FILE = 120  # of tables that go to a file or a pipe
FEW_ENTRIES = 20_000  # that one process works through sooner than several start
WIDEST = 1_000  # that a table is laid out for
Tick = Callable[..., None]


class Answer(NamedTuple):
    """What a command found.

    `document` is what `--json` prints. For people, `screen` prints: a function, or one of `service.screens` by name
    (``books:print_stats``), which is given the console, the document and, with `book`, the names of its codes.
    `remark` is then said on standard error.
    """

    document: Any
    screen: str | Callable[[], None]
    book: Programme | None = None
    exit_code: int = 0
    remark: str = ""


def command(run: Callable[..., Answer | None]) -> Callable[..., int]:
    """Return a command for typer: `run` with a shell, its answer printed or encoded; returns the exit code.

    `--ledger` and `--json` are added to the options of `run`. One that prints for itself answers None.
    """

    def call(context: typer.Context, ledger: str | None, as_json: bool, **options: Any) -> int:
        with _config_known(options.get("config")):
            shell = Shell(context, ledger, as_json)
            answer = run(shell, **options)
        return 0 if answer is None else shell.give(answer)

    own = list(inspect.signature(run).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("context", keyword, annotation=typer.Context),
        *(parameter.replace(kind=keyword) for parameter in own),
        inspect.Parameter("ledger", keyword, annotation=LedgerOption, default=None),
        inspect.Parameter("as_json", keyword, annotation=JsonOption, default=False),
    ]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    call.__name__, call.__doc__, call.__module__ = run.__name__, run.__doc__, run.__module__
    return call


@contextmanager
def _config_known(config: Path | None) -> Iterator[None]:
    """Let POINTS_CONFIG name the settings of --config meanwhile: processes that are started read them, too."""
    before = os.environ.get(CONFIG)
    if config is not None:
        os.environ[CONFIG] = str(config)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(CONFIG, None)
        else:
            os.environ[CONFIG] = before


def _settings() -> LedgerSettings:
    """Return the table `ledger` of the file that POINTS_CONFIG names. Raises `BadSettings`."""
    named = os.environ.get(CONFIG)
    return load_tables(Path(named)).ledger if named else LedgerSettings()


def command_in(group: typer.Typer, name: str | None = None) -> Callable[[Callable[..., Answer | None]], Any]:
    """Return a decorator like `command` that puts the command into a group, under the function's name or another."""
    return lambda run: group.command(name)(command(run))


class Shell:
    """One run of a command. Options after the command take precedence over those in front of it."""

    def __init__(self, context: typer.Context, ledger: str | None = None, as_json: bool = False) -> None:
        place, in_front = context.obj or (None, False)
        named = place if ledger is None else ledger
        source = context.find_root().get_parameter_source("ledger")
        self.is_told = ledger is not None or (source is not None and source.name == "COMMANDLINE")
        if named is None:
            named = _settings().place
        self.place: str = DEFAULT_LEDGER if named is None else named
        if not self.place:
            raise WrongUse("--ledger is empty: name a folder or a database, or leave it out")
        if "://" in self.place and not is_address(self.place):
            scheme = self.place.partition("://")[0]
            raise WrongUse(f"--ledger {scheme}://…: a database's address begins with postgresql://")
        self.json = as_json or bool(in_front)

    def use_own(self, place: str) -> None:
        """Use a ledger of the command's own, unless the command line names one: POINTS_LEDGER does not count."""
        if not self.is_told:
            self.place = place

    @property
    def ledger_name(self) -> str:
        """Return the ledger's folder or address for people, without a password."""
        if not is_address(self.place):
            return self.place
        from ledger.journal.postgres_server import name_of  # here, since its driver is an extra

        return name_of(self.place)

    @property
    def has_ledger(self) -> bool:
        """Return True if there is a ledger in the folder, or if it is in a database."""
        return bool(resolve_name("ledger.journal.open:is_ledger")(self.place))

    @property
    def folder(self) -> Path:
        """Return the folder of a ledger, which may still have to be made. Raises `WrongUse` for a database."""
        if is_address(self.place):
            raise WrongUse("this is for a ledger in a folder, and not in a database: give --ledger DIR")
        return Path(self.place)

    def data_folder(self, named: Path | None) -> Path:
        """Return the folder of keys, views and results: the one that is named, or the ledger's own.

        Raises `WrongUse` for a database where none is named, and `BadInput` for one that cannot be made.
        """
        found = self.named_folder(named)
        if found is None:
            raise WrongUse(
                "a ledger in a database keeps what can be made again in a folder of your choice: give --folder DIR, or"
                " set POINTS_FOLDER"
            )
        return found

    def named_folder(self, named: Path | None) -> Path | None:
        """Return the folder that is named, or the ledger's own; None for a database where none is named.

        Raises `BadInput` for one that cannot be made.
        """
        said = _settings().folder if named is None else None
        if said is not None:
            named = Path(said)
        if named is None:
            return None if is_address(self.place) else Path(self.place)
        try:
            named.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"--folder {named}: {error.strerror}; name one that is there or can be made") from None
        return named

    @contextmanager
    def reading(self) -> Iterator[Ledger]:
        """Yield the ledger, opened for reading. Raises `JournalError`."""
        ledger: Ledger = resolve_name("ledger.journal.open:open_ledger")(self.place)
        yield ledger
        ledger.close()  # not after an error: rows may still be half read, and the process ends anyway

    @contextmanager
    def writing(
        self, book: str | None = None, *, create: bool = False, settings: Settings | None = None
    ) -> Iterator[Ledger]:
        """Yield the ledger with its lock held, made where `create` says so. Raises `LedgerLocked`, `JournalError`."""
        if create:
            ledger: Ledger = resolve_name("ledger.journal.open:open_or_create")(self.place, book, settings)
        else:
            ledger = resolve_name("ledger.journal.open:open_ledger")(self.place)
        try:
            with ledger.writing():
                yield ledger
        finally:
            ledger.close()

    def operating(self) -> AbstractContextManager[Ledger]:
        """Yield the ledger for an operator: with its lock held, or beside its owner where Kafka feeds it."""
        with self.reading() as opened:
            is_fed_by_kafka = opened.settings.stream == KAFKA
        return self.reading() if is_fed_by_kafka else self.writing()

    @property
    def console(self) -> Any:
        """Return the screen for people, as wide as the terminal or COLUMNS."""
        asked = shutil.get_terminal_size((WIDTH_OF_A_FILE, 0)).columns
        return resolve_name("service.screens.console:Screen")(min(asked, WIDEST))

    def give(self, answer: Answer) -> int:
        """Print an answer, or its JSON document; return the exit code."""
        if self.json:
            self.emit(answer.document)
        else:
            with standard_output():
                if isinstance(answer.screen, str):
                    shown = [self.console, answer.document]
                    if answer.book is not None:
                        shown.append(resolve_name("service.screens.names:Names")(answer.book, terminal_language()))
                    resolve_name(f"service.screens.{answer.screen}")(*shown)
                else:
                    answer.screen()
        if answer.remark:
            say(answer.remark)
        return answer.exit_code

    def emit(self, document: Any) -> None:
        """Print the JSON document, indented on a terminal."""
        text = to_json(document)
        if sys.stdout.isatty():
            text = escaped(msgspec.json.format(text, indent=2).decode()).encode()
        with standard_output():
            sys.stdout.buffer.write(text + b"\n")

    @contextmanager
    def progress(self, label: str, total: int | None = None) -> Iterator[Tick]:
        """Show a bar on a terminal's standard error; yield a function to call with `(done, total=None)`."""
        if not sys.stderr.isatty():
            yield lambda *_: None
            return
        with resolve_name("service.screens.progress:bar")(label, total) as tick:
            yield tick


@contextmanager
def standard_output() -> Iterator[None]:
    """Flush standard output at the end; a reader that closed it ends the command with exit code 0."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        quiet_standard_output()
        raise typer.Exit(0) from None


def instant(text: str | None, option: str, book: Programme) -> int:
    """Return the instant of an option in microseconds, the present where it is not given. Raises `WrongUse`."""
    if text is None:
        return time.time_ns() // 1000
    try:
        return parse_instant(text, book.offset)
    except (ValueError, OverflowError) as error:
        wanted = "give a date (2025-12-01), a local time (2025-12-01T08:00) or RFC 3339 (2025-12-01T08:00:00+08:00)"
        raise WrongUse(f'{option} "{text}": {error}; {wanted}') from None


def known_instant(text: str | None, book: Programme) -> int | None:
    """Return the instant of --known-at, None where it is not given. Raises `WrongUse`."""
    return None if text is None else instant(text, "--known-at", book)


@contextmanager
def readable(path: Path | str) -> Iterator[None]:
    """Raise `BadInput` where a file given by the user cannot be read."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; give a readable file") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: byte {error.start} is not UTF-8; give a text file") from None


def text_of_books(books: Sequence[str] | None, *, is_there: bool) -> str | None:
    """Return the text of what --book names, None where nothing. Raises `WrongUse` where the ledger is there already."""
    if not books:
        return None
    if is_there:
        raise WrongUse("--book: this ledger has its book already; a new version comes as programme.published.v1")
    return read_version(books).toml


def _text_of(name: str) -> str:
    """Return a rule book by its file, with the transitions of its time zone, or a shipped one by its name."""
    if not Path(name).exists() and not Path(name).suffix:
        return shipped(name)
    with readable(name):
        return with_transitions(Path(name).read_text(encoding="utf-8"), name)


def read_named_books(names: Sequence[str | Path]) -> tuple[Part, ...]:
    """Return rule books by their files, or shipped ones by their names, each read by itself and not checked further.

    Raises `BadInput`, `BadProgramme`.
    """
    return in_order([part for name in names for part in parts_of(_text_of(str(name)), str(name))])


def read_version(names: Sequence[str | Path]) -> ProgrammeVersion:
    """Return the version that rule books make together, by their files or names. Raises `BadInput`, `BadProgramme`."""
    return checked_version(read_named_books(names))


def entries_in(ledger: Ledger) -> int:
    """Return how many entries a ledger has."""
    return ledger.count()


def jobs_for(jobs: int | None, entries: int) -> int:
    """Return how many processes work through entries: as asked, or all processors where that is worth their start."""
    return jobs or (processors() if entries > FEW_ENTRIES else 1)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
