"""Facts out of files into Kafka."""

from contextlib import closing
from typing import Annotated

import typer

from consumers.kafka.clients import client_of
from consumers.kafka.port import StreamError
from consumers.kafka.produce import Sent
from consumers.kafka.produce import produce as produce_lines
from consumers.kafka.settings import load as load_settings
from service.commands.ingest import check_files
from service.commands.options import ConfigOption, FilesArgument
from service.errors import print_plain, say
from service.shell import Answer, Shell, command


@command
def produce(
    shell: Shell,
    files: FilesArgument,
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
) -> Answer:
    """Send files of facts to Kafka, each to its member's partition, in order and acknowledged by all replicas in sync.

    Invalid facts are sent as they are, and the consumer dead-letters them. Interrupted,
    the same command sends all of it again: the ledger ignores what it has.

        points produce facts.ndjson --config points.toml

        points traffic --facts 100000 | points produce - --rate 50
    """
    check_files(files)
    settings = load_settings(config)
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


def _print(sent: Sent, topic: str) -> None:
    print_plain(f"{sent.facts:,} facts in {sent.records:,} records to {topic}, {sent.seconds:,.1f} s")
    if sent.unreadable:
        print_plain(
            f"  of {sent.unreadable:,} no member can be read: they are sent as they are, and will be dead-lettered"
        )
