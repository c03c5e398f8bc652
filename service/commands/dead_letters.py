"""Parked facts: list, show, retry, drop."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.errors import BadInput, WrongUse
from service.commands.consume import ConfigOption
from service.errors import plain, say
from service.shell import JsonOption, LedgerOption, Shell, standard_output

if TYPE_CHECKING:
    from consumers.dead_letters import Letter
    from ledger.journal.ledger import Ledger
    from ledger.wire.answers import Retried

app = typer.Typer(
    no_args_is_help=True, help="Facts that could not be taken: look at them, mend them, drive them again."
)

PositionsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="POSITION", help="Where they stand: partition:offset, such as 0:17."),
]
PREVIEW = 60


@app.command("list")
def list_letters(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Those that were retried or dropped too.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is parked: position, reason, and the beginning of the bytes.

    points dead-letters list
    """
    from consumers.dead_letters import WAITING, describe_letter, letters

    shell = Shell(context, ledger, as_json)
    with shell.reading() as opened:
        found = letters(opened, every=every, limit=limit)
        if shell.json:
            shell.emit([describe_letter(letter, opened.book.offset) for letter in found])
            return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    if not found:
        print("nothing is parked")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for name in ("position", "reason", "what is wrong", "bytes"):
        table.add_column(name, header_style="dim", no_wrap=name == "position")
    for letter in found:
        text = letter.kept[:PREVIEW].decode("utf-8", "replace") + (
            "…" if letter.length > PREVIEW and letter.kept else ""
        )
        reason = letter.reason if letter.state == WAITING else f"{letter.reason} ({letter.state})"
        table.add_row(letter.position, reason, _literal(letter.detail), _literal(text))
    with standard_output():
        shell.console.print(table)


@app.command()
def show(
    context: typer.Context,
    position: Annotated[str, typer.Argument(metavar="POSITION", help="partition:offset, such as 0:17.")],
    raw: Annotated[bool, typer.Option("--raw", help="Print the kept bytes and nothing else, to mend them.")] = False,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """One parked fact whole.

    points dead-letters show 0:17 --raw > mend.json
    """
    import sys

    from msgspec import to_builtins

    from consumers.dead_letters import describe_letter, letter_at

    shell = Shell(context, ledger, as_json)
    with shell.reading() as opened:
        letter = letter_at(opened, position)
        view = describe_letter(letter, opened.book.offset)
    if shell.json:
        shell.emit(view)
        return
    with standard_output():
        if raw:
            sys.stdout.buffer.write(letter.kept)
            return
        for name, value in to_builtins(view).items():
            if name != "bytes":
                print(f"{name:>9}  {plain(str(value))}")
        more = f"  (the first {len(letter.kept):,} bytes)" if letter.kept and not letter.is_whole else ""
        print(f"{'bytes':>9}  {plain(letter.kept.decode('utf-8', 'replace'))}{more}")


@app.command()
def retry(
    context: typer.Context,
    positions: PositionsArgument = None,
    every: Annotated[bool, typer.Option("--all", help="Every one that waits and was kept whole.")] = False,
    mended: Annotated[
        Path | None, typer.Option("--with", metavar="FILE", help="The mended fact, for one position.")
    ] = None,
    config: ConfigOption = None,
    backlog: Annotated[
        bool, typer.Option("--backlog", help="Into Kafka as old facts: see points produce --backlog.")
    ] = False,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Drive parked facts again: they are appended anew and decided, and what was parked stays as a trace.

    Those of a ledger that Kafka feeds are sent to the topic, and whoever
    consumes it decides them there.

    points dead-letters retry --all

    points dead-letters retry 0:17 --with mend.json
    """
    from consumers.dead_letters import letters

    shell = Shell(context, ledger, as_json)
    if mended is not None and (every or len(positions or ()) != 1):
        raise WrongUse("--with mends one fact: give its POSITION")
    value = None
    if mended is not None:
        try:
            value = mended.read_bytes().strip()
        except OSError as error:
            raise BadInput(f"{mended}: {error.strerror}; give a readable file with one fact") from None
    in_part: list[Letter] = []
    with shell.operating() as opened:
        if every and not positions:
            waiting = letters(opened)
            chosen = [letter for letter in waiting if letter.is_whole]
            in_part = [letter for letter in waiting if not letter.is_whole]
        else:
            chosen = _chosen(opened, positions, every)
        told = _drive_again(opened, chosen, value, config, backlog)
    if in_part:
        say(f"{len(in_part):,} more wait that were kept in part, {in_part[0].position} first; mend each by --with FILE")
    if shell.json:
        shell.emit(told)
        return
    with standard_output():
        for one in told:
            detail = f": {one.detail}" if one.detail else ""
            why = f" {one.reason}{detail}" if one.reason else ""
            outcome = one.outcome or "sent; the consumer decides it there"
            print(plain(f"{one.position} → {one.retried_as}: {outcome}{why}"))
        if not told and not in_part:
            print("nothing is parked")


@app.command()
def drop(
    context: typer.Context,
    positions: PositionsArgument = None,
    every: Annotated[bool, typer.Option("--all", help="Every one that waits.")] = False,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove the bytes of parked facts for good; position, reason, length and hash stay as a trace.

    points dead-letters drop 0:17
    """
    from consumers.dead_letters import describe_letter, letter_at, letters
    from consumers.dead_letters import drop as drop_bytes

    shell = Shell(context, ledger, as_json)
    with shell.operating() as opened:
        chosen = letters(opened) if every and not positions else _chosen(opened, positions, every)
        drop_bytes(opened, chosen)
        told = [describe_letter(letter_at(opened, letter.position), opened.book.offset) for letter in chosen]
        is_fed_by_kafka = opened.settings.stream == "kafka"
    if shell.json:
        shell.emit(told)
        return
    with standard_output():
        print(f"the bytes of {len(told):,} parked facts are gone")
        if is_fed_by_kafka:
            print("from the ledger; the topics keep theirs as long as Kafka does")


def _drive_again(
    ledger: "Ledger", chosen: "list[Letter]", mended: bytes | None, config: Path | None, backlog: bool
) -> "list[Retried]":
    if ledger.settings.stream != "kafka":
        from consumers.dead_letters import retry as retry_here

        if backlog:
            raise WrongUse("--backlog is for a ledger that Kafka feeds; the inbox knows which of its facts are old")
        return retry_here(ledger, chosen, mended)
    from consumers.kafka.appending import TopicAppender
    from consumers.kafka.dead_letters import retry as retry_there
    from consumers.kafka.settings import load

    appender = TopicAppender(load(config), ledger.settings.topic)
    try:
        return retry_there(ledger, chosen, mended, appender, backlog=backlog)
    finally:
        appender.close()


def _chosen(ledger: "Ledger", positions: list[str] | None, every: bool) -> "list[Letter]":
    from consumers.dead_letters import letter_at

    if bool(positions) == every:
        raise WrongUse("give either POSITIONs or --all; `points dead-letters list` shows what waits")
    return [letter_at(ledger, position) for position in dict.fromkeys(positions or ())]


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(plain(text))
