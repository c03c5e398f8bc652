"""Whether senders put members where the ledger looks for them: the last records of a topic, by their keys."""

import zlib
from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from consumers.kafka.clients import client_of
from consumers.kafka.port import Start
from consumers.kafka.settings import KafkaSettings
from ledger.journal.partitioning import Partitioner
from ledger.wire.facts import PROGRAMME_SUBJECT

LOOKED_AT = 1_000  # records of a partition, at most
MOST_TOLD = 20
POLL_SECONDS = 0.2


class Misplaced(NamedTuple):
    """A record in another partition than its key's."""

    partition: int
    offset: int
    key: str
    expected: int


class Placement(NamedTuple):
    """What was found: records that were looked at, those in a wrong partition, and the first of these.

    `is_crc32` says that all records stand where CRC32 puts them, as librdkafka does by default.
    """

    partitions: int
    records: int
    misplaced: int
    first: Sequence[Misplaced]
    is_crc32: bool


def check_partitioner(settings: KafkaSettings, topic: str) -> Placement:
    """Look at the last records of each partition of a topic. Raises `StreamError`."""
    client = client_of(settings)
    records = misplaced = 0
    is_crc32 = True
    first: list[Misplaced] = []
    with closing(client.Reader(settings, topic)) as reader:
        partitioner = Partitioner(reader.partitions)
        for partition in range(reader.partitions):
            begin, end = reader.begins([partition])[partition], reader.end(partition)
            after = max(begin - 1, end - LOOKED_AT)
            reader.assign({partition: Start(after)})
            while after < end:
                reader.poll(POLL_SECONDS)
                for record in reader.read(partition, after, LOOKED_AT):
                    after = record.offset
                    if not record.key or record.key == PROGRAMME_SUBJECT:
                        continue  # it is dead-lettered, or stands in every partition
                    records += 1
                    is_crc32 &= zlib.crc32(record.key.encode()) % reader.partitions == partition
                    if (expected := partitioner(record.key)) != partition:
                        misplaced += 1
                        if len(first) < MOST_TOLD:
                            first.append(Misplaced(partition, record.offset, record.key, expected))
                if not reader.waiting(partition):  # what is behind the last record may be gaps
                    after = max(after, reader.passed(partition))
        return Placement(reader.partitions, records, misplaced, first, is_crc32 and misplaced > 0)
