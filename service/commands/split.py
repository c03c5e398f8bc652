"""More partitions: split."""

from typing import Annotated

import typer

from consumers.runtime.split import Grown
from consumers.runtime.split import split as split_ledger
from ledger.errors import WrongUse
from ledger.journal.ledger import KAFKA
from ledger.journal.splitting import Plan, plan
from service.errors import print_plain
from service.languages import text
from service.shell import Answer, Shell, command

_TOPICS = (
    "give the topics {partitions} partitions before consumers start again: docs/scale.md, More partitions, says how"
)


@command
def split(
    shell: Shell,
    times: Annotated[
        int, typer.Option("--times", min=2, max=1024, help="How many each partition is made into.", show_default=False)
    ],
    of: Annotated[
        int | None,
        typer.Option(
            "--of",
            min=1,
            max=1024,
            help="How many partitions it has now: nothing is done where it has others.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> Answer:
    """Make each partition into several, for life: each new one goes on behind its parent's last entry.

    What is decided stays as it is, with its positions, links and proofs. The most is copied while the ledger is
    decided on; then it stands still for a moment. Killed, the same command goes on.

        points split --times 4 --dry-run

        points split --times 4 --of 4
    """
    with shell.reading() as opened:
        partitions = opened.settings.partitions
        if of not in (None, partitions) and not opened.has_split_to_end():
            raise WrongUse(f"{opened.name} has {partitions} partitions, and not {of}: nothing was done")
        planned = plan(opened, times)
        if dry_run:
            return Answer({**planned._asdict(), "dry_run": True}, lambda: _print_plan(planned))
        with shell.progress("copying", planned.entries) as tick:
            done = 0

            def copied(entries: int) -> None:
                nonlocal done
                done += entries
                tick(done)

            grown = split_ledger(opened, times, copied)
        is_fed_by_kafka = opened.settings.stream == KAFKA
    document = {"ledger": planned.ledger, **grown._asdict()}
    remark = text(_TOPICS, partitions=grown.after) if is_fed_by_kafka else ""
    return Answer(document, lambda: _print_grown(planned.ledger, grown), remark=remark)


def _print_plan(planned: Plan) -> None:
    print_plain(
        text(
            "{ledger}: {before} partitions become {after}; of {entries} entries about {to_copy} are copied",
            ledger=planned.ledger,
            before=planned.before,
            after=planned.after,
            entries=planned.entries,
            to_copy=planned.to_copy,
        )
    )


def _print_grown(ledger: str, grown: Grown) -> None:
    print_plain(
        text(
            "{ledger}: {before} partitions became {after}, with {entries} entries; for {seconds} seconds nothing was"
            " decided",
            ledger=ledger,
            before=grown.before,
            after=grown.after,
            entries=grown.entries,
            seconds=f"{grown.stopped_seconds:.1f}",
        )
    )
