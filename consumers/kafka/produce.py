"""Files of facts into Kafka: each under its member's key and partition, once."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from consumers.files.loader import BadFile, NdjsonLine, Reader, Router, open_facts
from consumers.kafka.buffers import RECORDED, whole_header
from consumers.kafka.client_base import Writer
from consumers.kafka.port import Headers
from consumers.local.port import InboxLine
from consumers.stream import BACKLOG

Progress = Callable[[int, int], None]  # lines read so far, records acknowledged so far


@dataclass(slots=True)
class Sent:
    """What a run sent: lines read, records acknowledged, and lines whose member could not be read."""

    facts: int = 0
    records: int = 0
    unreadable: int = 0
    seconds: float = 0.0


def headers_of(line: InboxLine) -> Headers:
    """Return what the record of a line says beside its key and value."""
    headers: list[tuple[str, bytes]] = []
    if line.backlog == BACKLOG:  # one that is still to come is no backlog, and is dead-lettered
        headers.append((RECORDED, b"%d" % line.recorded))
    if line.whole_length:
        headers.append(whole_header(line.whole_length, line.whole_sha256))
    return headers


def produce(
    writer: Writer,
    topic: str,
    partitions: int,
    files: Sequence[str],
    sent: Sent,
    *,
    backlog: bool,
    patience: float,
    rate: float | None = None,
    progress: Progress | None = None,
) -> None:
    """Send the facts of files, at most `rate` a second, and wait until all are acknowledged (`patience` seconds).

    `sent` counts along. Raises `BadFile` after what stands before the damage was sent, and `StreamError`.
    """
    started = time.monotonic()
    router = Router(partitions, None, backlog=backlog)
    batch: list[InboxLine] = []

    def acknowledged(_offset: int) -> None:
        sent.records += 1

    try:
        for block in _blocks(files):
            for line in block:
                if rate is not None:
                    _wait_for_turn(writer, started + sent.facts / rate)
                router.route(line, batch)
                for routed in batch:
                    key, headers = routed.key.encode(), headers_of(routed)
                    writer.send(topic, routed.partition, key, routed.value, headers, acknowledged)
                sent.facts += 1
                sent.unreadable += not batch[0].key
                batch.clear()
            if progress:
                progress(sent.facts, sent.records)
        writer.flush(patience)
    except BadFile:
        writer.flush(patience)
        raise
    finally:
        sent.seconds = time.monotonic() - started


def _blocks(files: Sequence[str]) -> Iterator[Sequence[NdjsonLine]]:
    """Yield the lines of files, some at a time. Raises `BadFile` at what is damaged."""
    for name in files:
        with open_facts(name) as file:
            reader = Reader(file, name, "what stands before is sent: mend the file, run the same command again")
            while (block := reader.block()) is not None:
                yield block


def _wait_for_turn(writer: Writer, instant: float) -> None:
    while (left := instant - time.monotonic()) > 0:
        writer.poll(0)
        time.sleep(min(left, 0.1))
