"""More partitions: split."""

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from consumers.kafka.client_base import no_topic
from consumers.kafka.clients import described_topic, open_admin
from consumers.kafka.consume import check_stream
from consumers.kafka.port import StreamError
from consumers.kafka.settings import KafkaSettings
from consumers.kafka.settings import load as load_settings
from consumers.kafka.topics import grow_topics
from consumers.kafka.undecided import has_undecided
from consumers.runtime.split import Grown
from consumers.runtime.split import split as split_ledger
from ledger.errors import CannotRunNow, WrongUse
from ledger.journal.ledger import KAFKA, Ledger
from ledger.journal.splitting import Plan, plan
from service.commands.options import ConfigOption
from service.errors import print_plain
from service.languages import text
from service.shell import Answer, Shell, command


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
    config: ConfigOption = None,
) -> Answer:
    """Make each partition into several, for life: each new one goes on behind its parent's last entry.

    What is decided stays as it is, with its positions, links and proofs. The most is copied while the ledger is
    decided on; then it stands still for a moment. Killed, the same command goes on.

    Where Kafka feeds the ledger, stop the producers first: it is split once all
    that stands in its topic is decided, and then its topics get as many partitions.

        points split --times 4 --dry-run

        points split --times 4 --of 4
    """
    with shell.reading() as opened:
        partitions = opened.settings.partitions
        kafka = None if dry_run else _kafka(opened, config)
        has_split_to_end = opened.has_split_to_end()
        if kafka is not None and not has_split_to_end and _have_topics_to_grow(opened, kafka):
            _grow_topics(opened.name, kafka, partitions)
            grown = Grown(opened.settings.grown[-1].partitions, partitions, opened.count(), 0.0, True)
            return _answer(opened.name, grown)
        if of not in (None, partitions) and not has_split_to_end:
            raise WrongUse(f"{opened.name} has {partitions} partitions, and not {of}: nothing was done")
        planned = plan(opened, times)
        if dry_run:
            return Answer({**planned._asdict(), "dry_run": True}, lambda: _print_plan(planned))
        has_more = (lambda: False) if kafka is None else partial(has_undecided, opened, kafka)
        with shell.progress("copying", planned.entries) as tick:
            done = 0

            def copied(entries: int) -> None:
                nonlocal done
                done += entries
                tick(done)

            grown = split_ledger(opened, times, copied, has_more)
        if kafka is not None:
            _grow_topics(planned.ledger, kafka, grown.after)
    return _answer(planned.ledger, grown)


def _answer(ledger: str, grown: Grown) -> Answer:
    return Answer({"ledger": ledger, **grown._asdict()}, lambda: _print_grown(ledger, grown))


def _have_topics_to_grow(ledger: Ledger, kafka: KafkaSettings) -> bool:
    """Return True if the topic of facts has as many partitions as before the last split.

    Raises `OtherStream` where it has neither those nor the ledger's or several times as many, `StreamError`.
    """
    grown, topic = ledger.settings.grown, described_topic(kafka, kafka.topics.facts)
    if topic is None:
        raise no_topic(kafka.topics.facts)
    if grown and topic.partitions == grown[-1].partitions:
        return True
    check_stream(ledger, topic.name, topic.partitions)
    return False


def _kafka(ledger: Ledger, config: Path | None) -> KafkaSettings | None:
    """Return the settings of the topic that feeds a ledger; None where it has its own inbox. Raises `OtherStream`."""
    if ledger.settings.stream != KAFKA:
        return None
    settings = load_settings(config)
    ledger.check_stream(KAFKA, settings.topics.facts)
    return settings


def _grow_topics(ledger: str, kafka: KafkaSettings, partitions: int) -> None:
    """Give the topics of a ledger that was split as many partitions. Raises `CannotRunNow` that says how else."""
    try:
        with closing(open_admin(kafka)) as admin:
            grow_topics(admin, kafka.topics, partitions)
    except StreamError as error:
        raise CannotRunNow(
            f"{ledger} was split, and its topics were not given as many partitions: {error}. Run the"
            f" same command again, or give them {partitions} by Kafka's own tool before producers start again:"
            " docs/scale.md, More partitions, says how"
        ) from error


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
