"""What `points replay` needs of Kafka, imported where a ledger is fed by it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from consumers.kafka.client_base import Reader
from consumers.kafka.clients import client_of
from consumers.kafka.consume import check_stream
from consumers.kafka.settings import load as load_settings
from ledger.journal.ledger import Ledger
from ledger.journal.port import StreamRecord
from projections.audit.differences import MAX_DIFFERENCES, Differences
from projections.audit.topic import compare_records
from service.shell import Shell, Tick


def compare_with_topic(shell: Shell, ledger: Ledger, config: Path | None) -> tuple[list[dict[str, Any]], int]:
    """Return where the journal's copies of the facts differ from the topic's own records: the first, and how many."""
    settings = load_settings(config)
    check_stream(ledger, settings.topics.facts)
    differences: list[dict[str, Any]] = []
    count = read = 0

    def streamed(reader: Reader, partition: int, upto: int, tick: Tick) -> Iterator[StreamRecord]:
        nonlocal read
        for record in reader.records_up_to(partition, upto, ledger.branch(partition).recorded):
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
