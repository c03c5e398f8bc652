"""All members: export, stats; and the proofs: replay, verify."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.errors import WrongUse
from service.commands.consume import ConfigOption
from service.commands.results import keep_result
from service.errors import BAD_NEWS, plain, say
from service.shell import (
    AsOfOption,
    FolderOption,
    JobsOption,
    JsonOption,
    KnownAtOption,
    LedgerOption,
    Shell,
    Tick,
    instant,
    known_instant,
    processors,
    standard_output,
)

if TYPE_CHECKING:
    from ledger.journal.ledger import Ledger

TABLES = ("balances", "lots", "scores", "memberships", "entries")
FORMATS = ("csv", "ndjson", "parquet")
LISTED = 20  # differences on a screen
FAR = 1 << 62  # an instant behind every entry


def export(
    context: typer.Context,
    table: Annotated[str, typer.Argument(metavar="TABLE", help=f"{', '.join(TABLES)}.")],
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="|".join(FORMATS), help="(default: by the ending of FILE, or else csv)"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="A file, written whole or not at all. (default: standard output)",
        ),
    ] = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """All members, sorted by member, streamed: balances, lots, scores, memberships, or every entry.

    points export balances --as-of 2025-12-01 > balances.csv

    points export lots -o lots.parquet

    points export entries --format ndjson | head
    """
    if table not in TABLES:
        raise WrongUse(f'there is no table "{table}"; there are {", ".join(TABLES)}')
    if form is not None and form not in FORMATS:
        raise WrongUse(f'there is no format "{form}"; there are {", ".join(FORMATS)}')
    from projections.answers.export import output_file, write_table
    from projections.answers.tables import TABLES as MAKERS

    shell = Shell(context, ledger, as_json)
    if form is None:
        ending = out.suffix[1:] if out is not None else ""
        form = ending if ending in FORMATS else "json" if shell.json and out is None else "csv"
    elif shell.json and out is None:
        raise WrongUse("--json prints one JSON array, --format something else: give one of them, or -o FILE")
    if form == "parquet" and out is None:
        raise WrongUse("parquet is for files: give -o FILE")
    with shell.reading() as opened:
        book = opened.book
        until = FAR if table == "entries" and as_of is None else instant(as_of, "--as-of", book)
        made = MAKERS[table](opened, until, known_instant(known_at, book))
        with standard_output(), shell.progress(f"exporting {table}") as tick, output_file(out) as file:
            rows = write_table(made, form, file, tick)
    if out is None:
        return
    if shell.json:
        shell.emit({"table": table, "rows": rows, "format": form, "file": str(out)})
    else:
        say(f"{rows:,} rows in {out}")


def stats(
    context: typer.Context,
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """The books: what was issued and where it is, entries by outcome, parked facts. Exit 1 if they don't balance.

    points stats --as-of 2025-12-31T23:59:59

    points stats --as-of 2025-12-31 --known-at 2026-01-05
    """
    from projections.answers.stats import stats as books

    shell = Shell(context, ledger, as_json)
    with shell.reading() as opened:
        with shell.progress("summing", entries_in(opened)) as tick:
            known = known_instant(known_at, opened.book)
            found = books(opened, instant(as_of, "--as-of", opened.book), tick, known_at=known)
        if shell.json:
            shell.emit(found)
        else:
            from service.screens.books import print_stats
            from service.screens.names import Names

            with standard_output():
                print_stats(shell.console, found, Names(opened.book))
    if not found.balanced:
        say("the books do not balance: run `points verify` and `points replay`")
        raise typer.Exit(BAD_NEWS)


def replay(
    context: typer.Context,
    from_topic: Annotated[
        bool,
        typer.Option("--from-topic", help="Take the facts from the stream itself, not from the journal's copy."),
    ] = False,
    from_archive: Annotated[
        Path | None,
        typer.Option(
            "--from-archive", metavar="DIR", help="Take entries and facts from an archive; no ledger is needed."
        ),
    ] = None,
    jobs: JobsOption = None,
    config: ConfigOption = None,
    folder: FolderOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Derive every decision again from the facts and compare, leaf by leaf. Exit 1 if any differs.

    points replay

    points replay --from-topic --json

    points replay --from-archive 2025.archive
    """
    shell = Shell(context, ledger, as_json)
    if from_archive is not None:
        if from_topic:
            raise WrongUse("--from-topic and --from-archive: give one of them")
        found = _replay_archive(shell, from_archive)
    else:
        found = _replay_ledger(shell, from_topic, jobs, config, folder)
    if shell.json:
        shell.emit(found)
    else:
        with standard_output():
            seconds = found["seconds"]
            rate = f" ({found['entries'] / seconds:,.0f}/s)" if seconds else ""
            print(
                f"{found['entries']:,} entries of {found['accounts']:,} accounts derived again"
                f" in {seconds:,.1f} s{rate}"
            )
            _list("difference", found["differences"], found.get("difference_count"))
    if found["differences"]:
        raise typer.Exit(BAD_NEWS)


def _replay_archive(shell: Shell, folder: Path) -> dict[str, Any]:
    from projections.archive import Archive
    from service.archive.restore import replay_archive

    with shell.progress("checking the files") as tick:
        archive = Archive(folder, tick)
    with shell.progress("replaying", sum(shelf.entries for shelf in archive.manifest.partitions)) as tick:
        return replay_archive(archive, tick)


def _replay_ledger(
    shell: Shell, from_topic: bool, jobs: int | None, config: Path | None, folder: Path | None
) -> dict[str, Any]:
    from projections.audit.replay import MAX_DIFFERENCES
    from projections.audit.replay import replay as derive_again
    from projections.views.runner import heads_of

    began = time.monotonic()
    with shell.reading() as opened:
        heads = heads_of(opened)
        total = entries_in(opened)
        wanted = jobs or (processors() if total > 20_000 else 1)
        is_kafka = from_topic and opened.settings.stream == "kafka"
        differences, count = _compare_with_kafka(shell, opened, config) if is_kafka else ([], 0)
        with shell.progress("replaying", total) as tick:
            found = derive_again(opened, jobs=wanted, from_topic=from_topic and not is_kafka, progress=tick)
        found["difference_count"] += count
        found["differences"] = [*differences, *found["differences"]][:MAX_DIFFERENCES]
        note = "with the stream's own records" if from_topic else ""
        keep_result(opened, folder, "replay", began, heads, found["difference_count"], note)
    return found


def _compare_with_kafka(shell: Shell, ledger: "Ledger", config: Path | None) -> tuple[list[dict[str, Any]], int]:
    """Where the journal's copies of the facts differ from the topic's own records: the first ones, and how many."""
    from consumers.kafka.clients import open_reader
    from consumers.kafka.consume import check_stream
    from consumers.kafka.records import records_up_to
    from consumers.kafka.settings import load
    from projections.audit.replay import MAX_DIFFERENCES
    from projections.audit.topic import Streamed, compare_records

    settings = load(config)
    check_stream(ledger, settings.topics.facts)
    reader = open_reader(settings, settings.topics.facts)
    differences: list[dict[str, Any]] = []
    count = read = 0

    def add(difference: dict[str, Any]) -> None:
        nonlocal count
        count += 1
        if count <= MAX_DIFFERENCES:
            differences.append(difference)

    def streamed(partition: int, upto: int, tick: Tick) -> Iterator[Streamed]:
        nonlocal read
        for record in records_up_to(reader, partition, upto):
            yield Streamed(record.offset, record.recorded, record.value, record.whole_sha256)
            read += 1
            if not read % 1_000:
                tick(read)

    try:
        with shell.progress("comparing with the topic") as tick:
            for partition in ledger.partitions:
                upto = ledger.journal(partition).head().position
                compare_records(ledger, partition, upto, streamed(partition, upto, tick), add)
    finally:
        reader.close()
    return differences, count


def verify(
    context: typer.Context,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", metavar="FILE", help="What was signed before; more than one may be given."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", metavar="PUBLIC.pem", help="Who has to have signed. (default: whoever a checkpoint names)"
        ),
    ] = None,
    folder: FolderOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute the chain of every partition from its stored bytes. Exit 1 if anything was changed.

    A history that was rewritten whole, chain and all, is found by a checkpoint from before.

    points verify

    points verify --checkpoint 2025-12.checkpoint --key signing-key.pub.pem
    """
    from projections.audit.proof.checkpoint import read
    from projections.audit.proof.keys import verification_key
    from projections.audit.verify import verify as recompute

    shell = Shell(context, ledger, as_json)
    if key is not None and not checkpoints:
        raise WrongUse("--key says who signed a checkpoint: give --checkpoint FILE too")
    by = verification_key(key) if key is not None else None
    signed = [read(path, by) for path in checkpoints or ()]
    began = time.monotonic()
    with shell.reading() as opened:
        with shell.progress("verifying", entries_in(opened)) as tick:
            found = recompute(opened, checkpoints=signed, progress=tick)
        position = {part["partition"]: part["entries"] for part in found["partitions"]}
        note = ", ".join(f"checkpoint of {one.checkpoint.at}" for one in signed)
        keep_result(opened, folder, "verify", began, position, len(found["broken"]), note)
    if signed:
        found["checkpoints"] = [{"at": one.checkpoint.at, "key": one.key_id} for one in signed]
    if shell.json:
        shell.emit(found)
    else:
        with standard_output():
            for part in found["partitions"]:
                print(f"partition {part['partition']}  {part['entries']:>12,} entries  {part['link']}")
            for one in found.get("checkpoints", ()):
                print(plain(f"compared with the checkpoint of {one['at']}, signed by key {one['key']}"))
            _list("broken place", found["broken"], None)
    if found["broken"]:
        raise typer.Exit(BAD_NEWS)


def entries_in(ledger: "Ledger") -> int:
    """How many entries a ledger has."""
    return sum(ledger.journal(p).head().entries for p in ledger.partitions)


def _list(what: str, found: list[Any], count: int | None) -> None:
    for item in found[:LISTED]:
        shown = "  ".join(f"{name}={value}" for name, value in item.items()) if isinstance(item, dict) else item
        print(plain(f"  {shown}"))
    total = count if count is not None else len(found)
    if total > LISTED:
        print(f"  … {total:,} in all")
    print(f"{total:,} {what}{'' if total == 1 else 's'}" if total else f"no {what}: all is as it was decided")
