"""The demo: a real shop's year, decided here."""

import os
import shlex
import shutil
import sys
from contextlib import closing
from datetime import date
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

import typer
from msgspec.structs import asdict

from consumers.files.loader import source_of
from consumers.local.open import open_inbox
from consumers.runtime.ingest import ingest
from ledger.errors import WrongUse
from ledger.journal.ledger import INBOX, Ledger
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import shipped
from projections.answers.show import show_member
from projections.answers.stats import stats
from projections.explaining.speech import ENGLISH
from service.commands.ingest import facts_ahead
from service.commands.options import DEFAULT_LEDGER, FolderOption, JobsOption, option
from service.commands.summaries import summary_to_dict
from service.demo.programmes import MEMBERS, made_up_year
from service.demo.story import FACTS, YEAR, FoundMember, decide_year, end_of, interesting_members, write_year
from service.errors import print_plain
from service.languages import terminal_language
from service.screens.demo import PORT, print_demo
from service.screens.names import Names
from service.shell import Answer, Shell, command, entries_in, processors

OWN_LEDGER = "points-demo"  # of the year; that of a programme has its name behind it
EARLIEST, LATEST = date(2001, 1, 1), date(2200, 1, 1)  # of a year's last day


@command
def demo(
    shell: Shell,
    jobs: JobsOption = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Then serve it, with the console, on 127.0.0.1 until it is stopped.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Of --serve; 0 takes a free one.")] = PORT,
    open: Annotated[bool, typer.Option("--open", help="Of --serve: open the console in a browser.")] = False,
    folder: FolderOption = None,
    until: Annotated[
        str | None,
        option(
            "--until", "DATE", "The last day of a year that is written now. (default: today, once its sales are over)"
        ),
    ] = None,
    programme: Annotated[
        str | None,
        option("--programme", "NAME", "A made-up year of a shipped programme, in a ledger of its own, instead."),
    ] = None,
) -> Answer | None:
    """Load a real shop's year into a ledger of its own and look around: half a minute, and everything to try.

    The ledger is the folder points-demo, whatever POINTS_LEDGER says, unless
    --ledger names another. The year ends today; run again, the demo goes on
    where it stopped, or says that all is in.

        points demo --serve --open

        points demo --programme suning
    """
    if open and not serve:
        raise WrongUse("--open shows what --serve serves: give both")
    if serve and shell.json:
        raise WrongUse("--serve goes on until it is stopped, and --json prints one document: give one of them")
    if programme is not None:
        if serve:
            raise WrongUse("--serve is for the real shop's year; `points serve` serves the ledger of a programme")
        if until is not None:
            raise WrongUse("--until is for the real shop's year; that of a programme begins with its book")
        shell.use_own(f"{OWN_LEDGER}-{programme}")
        return _made_up(shell, programme, folder)
    day = _day(until)
    shell.use_own(OWN_LEDGER)
    beside = shell.data_folder(folder)
    with shell.writing(create=True) as opened:
        opened.bind_stream(INBOX)
        _check_is_demo(opened, beside / YEAR)
        with shell.progress("unpacking the year", FACTS) as tick:
            path = write_year(beside, day, tick)
        with shell.progress("deciding", facts_ahead(opened, [str(path)])) as tick:
            year = decide_year(opened, path, jobs or processors(), tick)
        as_of = end_of(opened)
        with shell.progress("summing", entries_in(opened)) as tick:
            books = stats(opened, as_of, tick)
        found = [
            FoundMember(**asdict(show_member(opened, find.member, as_of)), why=find.why)
            for find in interesting_members(opened, as_of)
        ]
        book = opened.book
    document = {**summary_to_dict(year.summary), "order_lines": year.lines, "stats": books, "members": found}
    names = Names(book, terminal_language())
    answer = Answer(document, lambda: print_demo(shell.console, document, names, *_called(shell)))
    if not serve:
        return answer
    shell.give(answer)
    resolve_name("service.commands.serving:run_server")(shell, "127.0.0.1", port, wait=2.0, folder=beside, opens=open)
    return None


def _made_up(shell: Shell, name: str, folder: Path | None) -> Answer:
    """Decide a made-up year of a shipped programme in a ledger that is born with its book."""
    version = ProgrammeVersion(shipped(name), name)
    beside = shell.data_folder(folder)
    with shell.writing(version.toml, create=True) as opened:
        if version.name not in opened.book.by_name:
            raise WrongUse(f"{shell.place} has another rule book than {name}; give --ledger a folder that is not there")
        path = beside / f"{name}.ndjson"
        _check_is_demo(opened, path)
        path.write_bytes(b"".join(fact + b"\n" for fact in made_up_year(version)))
        summary = ingest(opened, [str(path)], backlog=True, jobs=1)
        books = stats(opened, end_of(opened))
    document = {**summary_to_dict(summary), "programme": version.programme.programme, "stats": books}
    name_it, called = _called(shell)
    return Answer(
        document,
        lambda: print_plain(
            f"{summary.facts:,} facts of a made-up year of {version.programme.name}, {MEMBERS} members",
            *([name_it] if name_it else []),
            f"{called} show member-01",
            f"{called} explain member-01",
            f"{called} programme show {name} --language zh",
        ),
    )


def _check_is_demo(ledger: Ledger, year: Path) -> None:
    """Raise `WrongUse` where a ledger has entries and did not take the demo's year in: it is somebody's own."""
    entries = entries_in(ledger)
    if not entries:
        return
    with closing(open_inbox(ledger)) as inbox:
        if inbox.feeds_of(source_of(str(year))):
            return
    raise WrongUse(
        f"{ledger.name} has {ENGLISH.count(entries, 'entry', 'entries')} of its own, and the demo would pour a shop's"
        " year into it: leave --ledger out, or name another folder"
    )


def _day(text: str | None) -> date | None:
    """Return the day of --until. Raises `WrongUse`."""
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if not EARLIEST <= day <= LATEST:
        raise WrongUse(f'--until "{text}": give a date from {EARLIEST} to {LATEST}, such as 2025-12-05')
    return day


def _called(shell: Shell) -> tuple[str, str]:
    """Return what names the ledger to the commands that follow, and how this program is called.

    The first is empty for the default ledger. The program is ``points`` where the shell finds it, else its path.
    """
    called, found = Path(sys.argv[0]), shutil.which("points")
    name = os.path.relpath(called) if called.is_absolute() else str(called)
    if called.name != "points" or (found and Path(found).resolve() == called.resolve()):
        name = "points"
    return "" if shell.place == DEFAULT_LEDGER else f"export POINTS_LEDGER={shlex.quote(shell.place)}", name
