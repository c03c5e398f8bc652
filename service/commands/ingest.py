"""Facts in from files: ingest."""

import os
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated

import typer

from consumers import clock
from consumers.files.check import check_has_facts, open_with_facts
from consumers.files.loader import BadFile, is_stream, open_facts, source_of
from consumers.local.open import has_inbox, open_inbox
from consumers.runtime.ingest import Summary
from consumers.runtime.ingest import ingest as ingest_files
from consumers.runtime.outcomes import outcomes_of
from ledger.errors import BadInput, WrongUse
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from projections.answers.output import output_file
from projections.answers.to_json import to_json
from service.commands.options import BookOption, FilesArgument, named_file
from service.commands.summaries import name_dead_letters, print_summary, summary_to_dict
from service.courier import say_troubles, send_once
from service.errors import say
from service.shell import Answer, Shell, Tick, command, processors, text_of_books

SMALL = 4 << 20  # bytes of input for which worker processes are not worth their start


@command
def ingest(
    shell: Shell,
    files: FilesArgument,
    backlog: Annotated[
        bool,
        typer.Option(
            "--backlog", help="Old facts: each counts as recorded when it occurred, and requests have no age limit."
        ),
    ] = False,
    outcomes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=named_file, help="Write what became of each fact, a line each, in the files' order."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", min=1, max=256, help="Processes that decide. (default: the processors, 1 for little)"
        ),
    ] = None,
    book: BookOption = None,
) -> Answer:
    """Take in files of facts and decide them; makes the ledger where there is none.

    Invalid facts are dead-lettered and stop nothing. Interrupted, the same command
    goes on where it stopped; a file that is in already is skipped, and the
    same facts in another file are ignored as duplicates.

        points ingest facts.ndjson

        points ingest --backlog 2024.ndjson.gz 2025.ndjson.zst

        points ingest facts.ndjson --outcomes outcomes.ndjson

        shop-export | points ingest - --json
    """
    check_files(files)
    for name in files:
        check_has_facts(name)
    if outcomes is not None:
        _check_outcomes(outcomes, files)
    is_there = shell.has_ledger
    toml = text_of_books(book, is_there=is_there)
    streams = {} if is_there else {name: open_with_facts(name) for name in files if is_stream(name)}
    summary = Summary()
    damaged: BadFile | None = None
    with shell.writing(toml, create=True) as opened:
        before = [opened.journal(p).head().offset for p in opened.partitions]
        with shell.progress("deciding", facts_ahead(opened, files)) as tick:
            try:
                summary = ingest_files(
                    opened,
                    files,
                    backlog=backlog,
                    jobs=jobs or _jobs_for(files),
                    progress=lambda _read, decided: tick(decided),
                    opened=streams,
                )
            except BadFile as error:
                damaged = error  # what stands before the damage is in, and has outcomes
        if outcomes is not None:
            with shell.progress("writing outcomes") as tick:
                _write_outcomes(opened, files, outcomes, tick)
        _warn_of_clocks(opened)
        say_troubles(send_once(opened, None)[1])
        if damaged is not None:
            raise damaged
        document = summary_to_dict(summary) | name_dead_letters(opened, before, summary.tally.parked)
    return Answer(document, lambda: print_summary(shell.console, document))


def _warn_of_clocks(ledger: Ledger) -> None:
    """Say which partitions are recorded ahead of this host's clock."""
    for partition in ledger.partitions:
        with suppress(JournalError):  # one that cannot be read was told
            if seconds := clock.seconds_ahead(ledger.journal(partition).head().recorded):
                say(
                    f"recorded-ahead: partition {partition} is recorded {seconds:,} s ahead of this host's clock, since"
                    " one was ahead; the age of requests is reckoned by the clock as it is now"
                )


def facts_ahead(ledger: Ledger, files: Sequence[str]) -> int | None:
    """Return about how many facts of plain files are still to be read, by their first lines; None if unknown."""
    facts = 0.0
    known: list[tuple[str, int]] = []
    for name in files:
        if name == "-" or name.endswith((".gz", ".zst", ".zstd")) or not Path(name).is_file():
            return None
        with Path(name).open("rb") as file:
            beginning = file.read(1 << 18)
        lines = beginning.count(b"\n")
        size = os.path.getsize(name)
        facts += size * lines / max(1, beginning.rfind(b"\n") + 1) if lines else 1
        known.append((str(Path(name).resolve()), size))
    if has_inbox(ledger):
        with closing(open_inbox(ledger)) as inbox:
            for source, size in known:
                for feed in inbox.feeds_of(source)[:1]:
                    facts -= feed.lines if feed.size <= size else 0
    return max(0, round(facts))


def check_files(files: Sequence[str]) -> None:
    """Raise `WrongUse` or `BadFile` where files cannot all be read: before anything is written or sent."""
    if files.count("-") > 1:
        raise WrongUse("standard input (-) can be read once")
    for name in files:
        if name == "-" or not is_stream(name):  # a pipe would lose what it brings
            open_facts(name).close()


def _check_outcomes(path: Path, files: Sequence[str]) -> None:
    """Raise `BadInput` or `WrongUse` where outcomes cannot be written to a file."""
    if not path.resolve().parent.is_dir():
        raise BadInput(f"{path}: there is no folder {path.parent}; make it first")
    if path.exists() and not path.is_file():
        raise WrongUse(f"--outcomes {path}: that is no file; name one to be written")
    if any(name != "-" and path.exists() and path.samefile(name) for name in files):
        raise WrongUse(f"--outcomes {path}: that is one of the files of facts; name another")


def _jobs_for(files: Sequence[str]) -> int:
    if "-" not in files and sum(Path(name).stat().st_size for name in files) < SMALL:
        return 1
    return processors()


def _write_outcomes(ledger: Ledger, files: Sequence[str], path: Path, tick: Tick) -> None:
    """Write what became of each fact of the files, of whichever run decided it."""
    count = 0
    with closing(open_inbox(ledger)) as inbox, output_file(path) as out:
        for name in files:
            for feed in inbox.feeds_of(source_of(name))[:1]:
                for told in outcomes_of(ledger, inbox, feed.number):
                    out.write(to_json(told) + b"\n")
                    count += 1
                    tick(count)
