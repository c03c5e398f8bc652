"""Dead letters: list, show, retry, drop."""

from contextlib import closing
from getpass import getuser
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Literal

import typer

from consumers.dead_letters import StoredDeadLetter, dead_letter_at, dead_letters_of
from consumers.dead_letters import drop as drop_bytes
from consumers.dead_letters import retry as redrive
from consumers.feeding import fed
from ledger.errors import WrongUse
from ledger.journal.gaps import GAP
from ledger.journal.ledger import KAFKA, Ledger
from ledger.wire.answers import Retried
from projections.answers.output import terminal_output
from projections.answers.plain import plain
from service.commands.options import ConfigOption, option
from service.errors import print_plain, say
from service.shell import Answer, Shell, command_in, readable, standard_output

app = typer.Typer(no_args_is_help=True)

PositionsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="POSITION…", help="Where they stand: partition:offset, such as 0:17.")
]

ReasonOption = Annotated[str | None, option("--reason", "WHY", "Why that is right; it is kept for auditors.")]
MOST_WHY = 500  # characters of a reason


@command_in(app, "list")
def list_dead_letters(
    shell: Shell,
    every: Annotated[bool, typer.Option("--all", help="Those that were retried or dropped too.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
) -> Answer:
    """Dead letters: position, reason, and the beginning of the bytes.

    points dead-letters list
    """
    with shell.reading() as opened:
        found = [letter.described(opened.book.offset) for letter in dead_letters_of(opened, every=every, limit=limit)]
    return Answer(found, "dead_letters:print_dead_letters")


@command_in(app)
def show(
    shell: Shell,
    position: Annotated[str, typer.Argument(metavar="POSITION", help="partition:offset, such as 0:17.")],
    raw: Annotated[bool, typer.Option("--raw", help="Print the kept bytes and nothing else, to mend them.")] = False,
) -> Answer | None:
    """Show one dead letter whole.

    points dead-letters show 0:17 --raw > mend.json
    """
    with shell.reading() as opened:
        letter = dead_letter_at(opened, position)
        found = letter.described(opened.book.offset)
    if not raw or shell.json:
        return Answer(found, "dead_letters:print_dead_letter")
    with standard_output(), terminal_output() as out:
        out.write(letter.raw)
    return None


@command_in(app)
def retry(
    shell: Shell,
    positions: PositionsArgument = None,
    every: Annotated[bool, typer.Option("--all", help="Every one that waits and was kept whole.")] = False,
    mended: Annotated[Path | None, option("--with", "FILE", "The mended fact, for one position.")] = None,
    config: ConfigOption = None,
    backlog: Annotated[
        bool, typer.Option("--backlog", help="Into Kafka as old facts: see points produce --backlog.")
    ] = False,
    reason: ReasonOption = None,
) -> Answer:
    """Redrive dead letters: they are appended anew and decided; the old ones stay as a trace.

    Those of a ledger that Kafka feeds are sent to the topic, and whoever
    consumes it decides them there.

    points dead-letters retry --all

    points dead-letters retry 0:17 --with mend.json
    """
    if mended is not None and (every or len(positions or ()) != 1):
        raise WrongUse("--with mends one fact: give its POSITION")
    with readable(mended or ""):
        value = None if mended is None else mended.read_bytes().strip()
    with shell.operating() as opened:
        asked = _chosen(opened, positions, every)
        in_part = [letter for letter in asked if every and not letter.is_whole]
        chosen = [letter for letter in asked if not every or letter.is_whole]
        if backlog and opened.settings.stream != KAFKA:
            raise WrongUse("--backlog is for a ledger that Kafka feeds; the inbox knows which of its facts are old")
        told: list[Retried] = []
        if chosen:
            _record(opened, "retry", chosen, reason, is_mended=mended is not None)
            with fed(opened, config) as feeding:
                told = redrive(opened, chosen, feeding, value, backlog=backlog)
    if in_part:
        say(f"{len(in_part):,} more wait that were kept in part, {in_part[0].position} first; mend each by --with FILE")
    lines = [_line(one) for one in told]
    if not told and not in_part:
        lines = ["there are no dead letters"]
    return Answer(told, lambda: print_plain(*lines))


@command_in(app)
def drop(
    shell: Shell,
    positions: PositionsArgument = None,
    every: Annotated[bool, typer.Option("--all", help="Every one that waits.")] = False,
    reason: ReasonOption = None,
) -> Answer:
    """Remove the bytes of dead letters for good; position, reason, length and hash stay as a trace.

    points dead-letters drop 0:17
    """
    with shell.operating() as opened:
        chosen = _chosen(opened, positions, every)
        _record(opened, "drop", chosen, reason)
        drop_bytes(opened, chosen)
        told = [dead_letter_at(opened, letter.position).described(opened.book.offset) for letter in chosen]
        is_fed_by_kafka = opened.settings.stream == KAFKA
    more = ["from the ledger; the topics keep theirs as long as Kafka does"] if is_fed_by_kafka else []
    return Answer(told, lambda: print_plain(f"the bytes of {len(told):,} dead letters are gone", *more))


def _record(
    ledger: Ledger,
    action: Literal["retry", "drop"],
    letters: list[StoredDeadLetter],
    reason: str | None,
    *,
    is_mended: bool = False,
) -> None:
    """Record among what operators did what is about to be done. Raises `WrongUse`."""
    why = (reason or "").strip()
    if len(why) > MOST_WHY:
        raise WrongUse(f"--reason has more than {MOST_WHY} characters")
    with closing(resolve_name("service.http.operator_log:operator_log_of")(ledger.place, ledger.folder)) as log:
        for letter in letters:
            log.record(getuser(), action, letter.position, mended=is_mended, why=why)


def _line(told: Retried) -> str:
    detail = f": {told.detail}" if told.detail else ""
    why = f" {told.reason}{detail}" if told.reason else ""
    outcome = told.outcome or "sent; the consumer decides it there"
    return plain(f"{told.position} → {told.retried_as}: {outcome}{why}")


def _chosen(ledger: Ledger, positions: list[str] | None, every: bool) -> list[StoredDeadLetter]:
    if bool(positions) == every:
        raise WrongUse("give either POSITIONs or --all; `points dead-letters list` shows what waits")
    if every:
        return [letter for letter in dead_letters_of(ledger) if letter.reason != GAP]
    return [dead_letter_at(ledger, position) for position in dict.fromkeys(positions or ())]
