"""Facts in: ingest, check, schema, traffic."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.errors import BadInput, WrongUse
from service.errors import BAD_INPUT, plain, say
from service.shell import JsonOption, LedgerOption, Shell, Tick, processors, standard_output

if TYPE_CHECKING:
    from consumers.runtime.ingest import Summary
    from ledger.journal.ledger import Ledger

SMALL = 4 << 20  # bytes of input for which worker processes are not worth their start
NAMED_ON_SCREEN = 5  # parked facts
NAMED_IN_JSON = 1_000

FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE", help="NDJSON: plain, .gz, .zst, or - for standard input.")
]

BookOption = Annotated[
    Path | None,
    typer.Option(
        "--book", metavar="TOML", help="The rule book of a ledger that is made now. (default: the shipped jd)"
    ),
]


def ingest(
    context: typer.Context,
    files: FilesArgument,
    backlog: Annotated[
        bool,
        typer.Option(
            "--backlog",
            help="Old facts: each counts as recorded when it occurred, and requests have no age limit.",
        ),
    ] = False,
    outcomes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what became of each fact, a line each, in the files' order."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            max=256,
            help="Processes that decide. (default: the processors, 1 for little)",
        ),
    ] = None,
    book: BookOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in files of facts and decide them; makes the ledger where there is none.

    What is no fact is parked and stops nothing. Interrupted, the same command
    goes on where it stopped; a file that is in already is skipped, and the
    same facts in another file are ignored as duplicates.

        points ingest facts.ndjson

        points ingest --backlog 2024.ndjson.gz 2025.ndjson.zst

        points ingest facts.ndjson --outcomes outcomes.ndjson

        shop-export | points ingest - --json
    """
    from consumers.files.feeder import BadFile
    from consumers.runtime.ingest import Summary
    from consumers.runtime.ingest import ingest as take_in

    shell = Shell(context, ledger, as_json)
    check_files(files)
    if outcomes is not None:
        _check_outcomes(outcomes, files)
    toml = text_of_book(book, is_there=shell.has_ledger)
    summary: Summary | None = None
    damaged: BadFile | None = None
    with shell.writing(toml, create=True) as opened:
        before = [opened.journal(p).head().position for p in opened.partitions]
        with shell.progress("deciding", facts_ahead(opened, files)) as tick:
            try:
                summary = take_in(
                    opened,
                    files,
                    backlog=backlog,
                    jobs=jobs or _jobs_for(files),
                    progress=lambda _read, decided: tick(decided),
                )
            except BadFile as error:
                damaged = error  # what stands before the damage is in, and has outcomes
        if outcomes is not None:
            with shell.progress("writing outcomes") as tick:
                _write_outcomes(opened, files, outcomes, tick)
        if summary is None:
            assert damaged is not None
            raise damaged
        parked = parked_since(opened, before)
    document = summary_to_dict(summary)
    if parked:
        document["parked_facts"] = parked
    name_parked(parked, summary.tally.parked)
    if shell.json:
        shell.emit(document)
    else:
        print_summary(shell, document)


def summary_to_dict(summary: "Summary") -> dict[str, Any]:
    """The contract's JSON of a run."""
    return {
        "facts": summary.facts,
        "entries": summary.entries,
        "accepted": summary.tally.accepted,
        "refused": summary.tally.refused,
        "ignored": summary.tally.ignored,
        "skipped": summary.skipped,
        "parked": summary.tally.parked,
        "seconds": round(summary.seconds, 3),
    }


def facts_ahead(ledger: "Ledger", files: Sequence[str]) -> int | None:
    """About how many facts of plain files are still to be read, by their first lines; None where nobody can say."""
    from consumers.local.open import has_inbox, open_inbox

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
        inbox = open_inbox(ledger)
        for source, size in known:
            feeds = inbox.feeds_of(source)
            if feeds and feeds[0].size <= size:
                facts -= feeds[0].lines
        inbox.close()
    return max(0, round(facts))


def check_files(files: Sequence[str]) -> None:
    """Raise `WrongUse` or `BadFile` where files cannot all be read: before anything is written or sent."""
    from consumers.files.feeder import is_stream, open_facts

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


def text_of_book(book: Path | None, *, is_there: bool) -> str | None:
    """The text of --book, None where it is not given. Raises `WrongUse` where the ledger is there already."""
    if book is None:
        return None
    if is_there:
        raise WrongUse("--book: this ledger has its book already; a new version comes as programme.published.v1")
    return read_text(book)


def read_text(path: Path) -> str:
    """A text file given by the user. Raises `BadInput`."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; give a readable file") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: byte {error.start} is not UTF-8; give a text file") from None


def _jobs_for(files: Sequence[str]) -> int:
    if "-" not in files and sum(Path(name).stat().st_size for name in files) < SMALL:
        return 1
    return processors()


def _write_outcomes(ledger: "Ledger", files: Sequence[str], path: Path, tick: Tick) -> None:
    """What became of each fact of the files, of whichever run decided it."""
    import msgspec

    from consumers.files.feeder import source_of
    from consumers.local.open import open_inbox
    from consumers.runtime.outcomes import outcomes_of
    from projections.answers.export import output_file

    encode = msgspec.json.Encoder().encode
    count = 0
    inbox = open_inbox(ledger)
    try:
        with output_file(path) as out:
            for name in files:
                for feed in inbox.feeds_of(source_of(name))[:1]:
                    for told in outcomes_of(ledger, inbox, feed.number):
                        out.write(encode(told) + b"\n")
                        count += 1
                        if not count % 1_000:
                            tick(count)
    finally:
        inbox.close()


def parked_since(ledger: "Ledger", before: list[int]) -> list[dict[str, Any]]:
    """The first facts that were parked behind these positions."""
    found = [
        {"position": f"{p}:{parked.offset}", "reason": parked.reason, "detail": parked.detail}
        for p in ledger.partitions
        for parked in ledger.journal(p).parked(before[p], limit=NAMED_IN_JSON)
    ]
    return found[:NAMED_IN_JSON]


def name_parked(parked: list[dict[str, Any]], count: int) -> None:
    """Say on standard error which facts were parked, the first of them."""
    for fact in parked[:NAMED_ON_SCREEN]:
        say(f"parked {fact['position']}: {fact['reason']}: {fact['detail']}")
    if count > NAMED_ON_SCREEN:
        say(f"… {count:,} parked in all; `points dead-letters list` shows them")


def print_summary(shell: Shell, document: dict[str, Any]) -> None:
    """A run for people."""
    console = shell.console
    seconds = document["seconds"]
    new = document["entries"] + document["parked"]
    with standard_output():
        if not new and document["skipped"]:
            console.print(f"all {document['skipped']:,} facts are in already")
        else:
            rate = f"  ({new / seconds:,.0f} facts/s)" if seconds > 0 else ""
            console.print(f"[bold]{document['facts']:,}[/] facts in {seconds:,.1f} s{rate}")
            console.print(
                f"  [green]{document['accepted']:,} accepted[/]  [red]{document['refused']:,} refused[/]"
                f"  [yellow]{document['ignored']:,} ignored[/]  {document['parked']:,} parked"
                + (f"  {document['skipped']:,} skipped (in already)" if document["skipped"] else "")
            )


def check(
    context: typer.Context, files: FilesArgument, ledger: LedgerOption = None, as_json: JsonOption = False
) -> None:
    """Decode and check files of facts without taking anything in; exit 3 where a line is no fact.

    points check facts.ndjson
    """
    from consumers.files.check import check_file

    shell = Shell(context, ledger, as_json)
    bad: list[dict[str, Any]] = []
    reasons: Counter[str] = Counter()
    facts = 0
    now = time.time_ns() // 1_000
    with shell.progress("checking") as tick:
        for name in files:
            for number, error in check_file(name, now):
                facts += 1
                if error is not None:
                    reasons[error.reason] += 1
                    bad.append({"line": number, "reason": error.reason, "detail": error.detail, "file": name})
                if not facts % 1_000:
                    tick(facts)
    if shell.json:
        shell.emit({"facts": facts, "bad": bad})
    else:
        with standard_output():
            for found in bad:
                where = f"{found['file']}:{found['line']}"
                print(plain(f"{where}: {found['reason']}: {found['detail']}"))
            summary = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
            print(f"{facts:,} facts, {f'{len(bad):,} bad: {summary}' if bad else 'all good'}")
    if bad:
        raise typer.Exit(BAD_INPUT)


def schema(context: typer.Context, ledger: LedgerOption = None, as_json: JsonOption = False) -> None:
    """Print the JSON Schema of the facts, a definition a type.

    points schema > facts.schema.json
    """
    from ledger.wire.fact_codec import json_schemas

    Shell(context, ledger, as_json).emit(json_schemas())


def traffic(
    context: typer.Context,
    facts: Annotated[int, typer.Option(min=1, help="How many facts.")] = 100_000,
    members: Annotated[int, typer.Option(min=1, help="How many members; few of them do much.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 1,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days from 2025-01-01 that they fill.")] = 365,
    skew: Annotated[float, typer.Option(min=0.0, max=10.0, help="How much more the first members do (Zipf).")] = 0.8,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="A file. (default: standard output)")
    ] = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make up the traffic of a large shop: orders, returns, reviews, redemptions, cards, in order of time.

    points traffic --facts 1000000 --members 50000 --seed 7 -o year.ndjson
    """
    from projections.answers.export import output_file
    from service.demo.traffic import START
    from service.demo.traffic import traffic as made_up

    shell = Shell(context, ledger, as_json)
    if shell.json and out is None:
        raise WrongUse("--json prints a summary: give -o FILE for the facts")
    started = time.monotonic()
    size = 0
    with standard_output(), output_file(out) as file, shell.progress("making up", facts) as tick:
        for count, fact in enumerate(made_up(facts, members, seed, START, days, skew), 1):
            size += file.write(fact + b"\n")
            if not count % 5_000:
                tick(count)
    seconds = round(time.monotonic() - started, 3)
    if shell.json:
        shell.emit(
            {
                "facts": facts,
                "members": members,
                "seed": seed,
                "bytes": size,
                "file": str(out),
                "seconds": seconds,
            }
        )
    elif out is not None:
        say(f"{facts:,} facts of up to {members:,} members in {out} ({size:,} bytes, {seconds:,.1f} s)")
