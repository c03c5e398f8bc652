"""A partition's records from the first one, for comparisons."""

from collections.abc import Iterator

from consumers.kafka.client_base import Reader
from consumers.kafka.port import Start
from consumers.runtime.owner import BATCH, BATCH_BYTES
from consumers.stream import Record

POLL_SECONDS = 0.2


def records_up_to(reader: Reader, partition: int, offset: int) -> Iterator[Record]:
    """Yield the records of a partition up to an offset, in order and bounded memory. Raises `StreamError`."""
    reader.assign({partition: Start()})
    after = -1
    while after < offset and not (reader.waiting(partition) == 0 and reader.passed(partition) >= offset):
        reader.poll(POLL_SECONDS)
        for record in reader.read(partition, after, BATCH, BATCH_BYTES):
            if record.offset > offset:
                return
            yield record
            after = record.offset
