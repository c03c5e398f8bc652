"""What some commands need of Kafka, imported where a ledger is fed by it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from consumers.dead_letters import StoredDeadLetter, send_again
from consumers.kafka.appending import TopicAppender
from consumers.kafka.client_base import Reader
from consumers.kafka.clients import client_of
from consumers.kafka.consume import check_stream
from consumers.kafka.settings import load as load_settings
from consumers.publishing import send
from ledger.journal.ledger import Ledger
from ledger.journal.port import StreamRecord
from ledger.wire.answers import Fate, Retried
from ledger.wire.entry_json import position_text
from projections.audit.differences import MAX_DIFFERENCES, Differences
from projections.audit.topic import compare_records
from service.shell import Shell, Tick

DECISION_SECONDS = 5.0  # that a consumer is waited for


def retry(
    ledger: Ledger, chosen: list[StoredDeadLetter], mended: bytes | None, config: Path | None, backlog: bool
) -> list[Retried]:
    """Send dead letters to the topic again; return where each was and stands now."""
    with closing(TopicAppender(load_settings(config), ledger.settings.topic)) as appender:
        return send_again(ledger, chosen, mended, appender.append, backlog=backlog)


def publish(ledger: Ledger, toml: str, by: str, config: Path | None) -> tuple[str, Fate | None]:
    """Publish a rule book through the topic; return its position, and what became of it where that is decided."""
    with closing(TopicAppender(load_settings(config), ledger.settings.topic)) as appender:
        place, fate = send(ledger, appender.append, toml, by, DECISION_SECONDS)
    return position_text(*place), fate


def compare_with_topic(shell: Shell, ledger: Ledger, config: Path | None) -> tuple[list[dict[str, Any]], int]:
    """Return where the journal's copies of the facts differ from the topic's own records: the first, and how many."""
    settings = load_settings(config)
    check_stream(ledger, settings.topics.facts)
    differences: list[dict[str, Any]] = []
    count = read = 0

    def streamed(reader: Reader, partition: int, upto: int, tick: Tick) -> Iterator[StreamRecord]:
        nonlocal read
        for record in reader.records_up_to(partition, upto):
            yield StreamRecord(
                record.offset,
                record.recorded,
                record.value,
                record.whole_sha256,
                key=record.key,
                length=record.whole_length,
                pushed=record.pushed,
            )
            read += 1
            tick(read)

    with (
        closing(client_of(settings).Reader(settings, settings.topics.facts)) as reader,
        shell.progress("comparing with the topic") as tick,
    ):
        for partition in ledger.partitions:
            upto = ledger.journal(partition).head().offset
            differ = Differences(partition)
            compare_records(ledger, upto, streamed(reader, partition, upto, tick), differ)
            differences += differ.listed[: MAX_DIFFERENCES - len(differences)]
            count += differ.count
    return differences, count
