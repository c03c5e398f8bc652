"""Parked records of a ledger that Kafka feeds, driven again: appended to the topic of facts, where they are decided."""

from collections.abc import Sequence
from typing import Any

from consumers.dead_letters import Letter, check_retry
from consumers.files import RawLine
from consumers.kafka.port import Writer
from consumers.kafka.produce import Producer, Sent
from ledger.entry_json import position_text
from ledger.journal.ledger import Ledger


def retry(
    ledger: Ledger,
    chosen: Sequence[Letter],
    mended: bytes | None,
    writer: Writer,
    *,
    backlog: bool,
    patience: float,
) -> list[dict[str, Any]]:
    """Append parked facts again (one with `mended` bytes) and say where each stands now; the consumer decides them.

    Only then is the old one marked: a crash in between leaves it waiting, and what is sent twice is a duplicate.
    Raises `BadPosition` before anything is sent, and `StreamError`.
    """
    for letter in chosen:
        check_retry(letter, mended)
    settings = ledger.settings
    told = []
    for letter in chosen:
        places: list[tuple[int, int]] = []
        producer = Producer(
            writer, settings.topic, settings.partitions, backlog=backlog, sent=Sent(), on_acknowledged=places.append
        )
        producer.send(RawLine(letter.kept if mended is None else mended))
        writer.flush(patience)
        ledger.journal(letter.partition).mark_retried([letter.offset])
        told.append({"position": letter.position, "retried_as": position_text(*places[0])})
    return told
