"""Redrives dead letters of a ledger that Kafka feeds: appends them to the topic of facts, where they are decided."""

from collections.abc import Sequence

from consumers.dead_letters import Letter, check_retry
from consumers.files.loader import NdjsonLine, Router
from consumers.kafka.appending import TopicAppender
from consumers.local.port import InboxLine
from ledger.journal.ledger import Ledger
from ledger.wire.answers import Retried
from ledger.wire.entry_json import position_text


def retry(
    ledger: Ledger, chosen: Sequence[Letter], mended: bytes | None, appender: TopicAppender, *, backlog: bool
) -> list[Retried]:
    """Append dead letters again (one with `mended` bytes) and return where each stands; the consumer decides them.

    Only then is the old record marked: a crash in between leaves it waiting, and what is sent twice is a duplicate.
    Raises `BadPosition` before anything is sent, and `CannotAppend`.
    """
    for letter in chosen:
        check_retry(letter, mended)
    router = Router(ledger.settings.partitions, None, backlog=backlog)
    told = []
    for letter in chosen:
        batch: list[InboxLine] = []
        router.route(NdjsonLine(letter.raw if mended is None else mended), batch)
        place = appender.append(batch)[0]
        ledger.journal(letter.partition).mark_retried([letter.offset])
        told.append(Retried(letter.position, position_text(*place)))
    return told
