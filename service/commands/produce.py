"""Facts out of files into Kafka."""

from contextlib import closing
from typing import Annotated

import typer

from consumers.kafka.clients import client_of
from consumers.kafka.partitioning import check_partitioner as check_senders
from consumers.kafka.port import StreamError
from consumers.kafka.produce import Sent
from consumers.kafka.produce import produce as produce_lines
from consumers.kafka.settings import KafkaSettings
from consumers.kafka.settings import load as load_settings
from ledger.errors import WrongUse
from ledger.wire.entry_json import position_text
from projections.answers.plain import plain
from service.commands.ingest import check_files
from service.commands.options import ConfigOption
from service.errors import print_plain, say
from service.shell import Answer, Shell, command


@command
def produce(
    shell: Shell,
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE…", help="NDJSON: plain, .gz, .zst, or - for standard input.")
    ] = None,
    config: ConfigOption = None,
    backlog: Annotated[
        bool,
        typer.Option(
            "--backlog",
            help="Old facts: each declares that it was recorded when it occurred; see the setting takes_backlog.",
        ),
    ] = False,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="At most so many facts a second.", show_default=False)
    ] = None,
    check_partitioner: Annotated[
        bool,
        typer.Option(
            "--check-partitioner",
            help="Send nothing: look at the topic's last records, and say which stand in a wrong partition.",
        ),
    ] = False,
) -> Answer:
    """Send files of facts to Kafka, each to its member's partition, in order and acknowledged by all replicas in sync.

    Invalid facts are sent as they are, and the consumer dead-letters them. Interrupted,
    the same command sends all of it again: the ledger ignores what it has.

        points produce facts.ndjson --config points.toml

        points traffic --facts 100000 | points produce - --rate 50

        points produce --check-partitioner --config points.toml
    """
    settings = load_settings(config)
    if check_partitioner:
        if files:
            raise WrongUse("--check-partitioner sends nothing: give no files")
        return _placement(settings)
    if not files:
        raise WrongUse("which facts are to be sent? Give FILE…, or - for standard input")
    check_files(files)
    topic = settings.topics.facts
    client = client_of(settings)
    partitions = client.partitions_of(settings, topic)
    sent = Sent()
    try:
        with closing(client.Writer(settings)) as writer, shell.progress("sending") as tick:
            produce_lines(
                writer,
                topic,
                partitions,
                files,
                sent,
                backlog=backlog,
                patience=settings.timeout_seconds,
                rate=rate,
                progress=lambda _read, acknowledged: tick(acknowledged),
            )
    except StreamError:
        say(f"{sent.records:,} records are acknowledged; the same command sends them again, which changes nothing")
        raise
    document = {
        "topic": topic,
        "partitions": partitions,
        "facts": sent.facts,
        "records": sent.records,
        "unreadable": sent.unreadable,
        "seconds": round(sent.seconds, 3),
    }
    return Answer(document, lambda: _print(sent, topic))


def _placement(settings: KafkaSettings) -> Answer:
    """Return where the records of other senders stand; exit 1 where any stands in a wrong partition."""
    topic = settings.topics.facts
    found = check_senders(settings, topic)
    first = [
        {"position": position_text(one.partition, one.offset), "key": one.key, "belongs_to": one.expected}
        for one in found.first
    ]
    document = {
        "topic": topic,
        "partitions": found.partitions,
        "records": found.records,
        "misplaced": found.misplaced,
        "first": first,
        "is_crc32": found.is_crc32,
    }

    def show() -> None:
        print_plain(f"{found.records:,} records of {topic} were looked at: {found.misplaced:,} in a wrong partition")
        for one in first:
            print_plain(f"  {one['position']}: {plain(str(one['key']))} belongs to partition {one['belongs_to']}")
        if found.is_crc32:
            print_plain("  all stand where CRC32 puts them: set partitioner=murmur2_random in clients on librdkafka")

    return Answer(document, show, exit_code=1 if found.misplaced else 0)


def _print(sent: Sent, topic: str) -> None:
    print_plain(f"{sent.facts:,} facts in {sent.records:,} records to {topic}, {sent.seconds:,.1f} s")
    if sent.unreadable:
        print_plain(
            f"  of {sent.unreadable:,} no member can be read: they are sent as they are, and will be dead-lettered"
        )
