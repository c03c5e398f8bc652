"""Publishing a rule book: one operator fact, a record of it to every partition, decided at once or by the consumer."""

import time

import msgspec

from consumers import clock
from consumers.feeding import Feeding
from consumers.runtime.ingest import decide_all
from consumers.runtime.outcomes import outcome_at
from ledger.journal.ledger import KAFKA, Ledger
from ledger.journal.port import JournalError
from ledger.rulebook.schema import BadProgramme, version_of
from ledger.wire.answers import Fate
from ledger.wire.entries import Entry
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import position_text
from ledger.wire.facts import MAX_BYTES, PROGRAMME_SUBJECT
from ledger.wire.times import to_text

LOOKED_EVERY = 0.05  # seconds, until a decision is there


def is_published(ledger: Ledger, version: str) -> bool:
    """Whether a rule book was published to every partition."""
    return all(_entry_of(ledger, partition, version) for partition in ledger.partitions)


def publish(ledger: Ledger, toml: str, by: str, feeding: Feeding, wait: float = 0.0) -> tuple[str, Fate | None]:
    """Publish a checked rule book as the first of the ledger's operators; return its position, and what became of it.

    Where an earlier attempt reached only some partitions, its own fact is sent again, and is a duplicate there. A
    ledger with an inbox decides it here, with what waits before it: hold the ledger's lock around it. Consumers of
    Kafka are waited for, up to `wait` seconds. Raises `BadProgramme` where it is too long for a fact, `OtherStream`,
    `CannotDecide` and `JournalError`.
    """
    places = feeding.take(publication_of(ledger, toml, by, clock.now()))
    home = next(place for place in places if place[0] == ledger.partition_of(PROGRAMME_SUBJECT))  # where it counts
    if ledger.settings.stream != KAFKA:
        decide_all(ledger)
    deadline = time.monotonic() + wait
    while (told := outcome_at(ledger, *home)) is None and time.monotonic() < deadline:
        time.sleep(LOOKED_EVERY)
    return position_text(*home), told


def publication_of(ledger: Ledger, toml: str, by: str, at: int) -> bytes:
    """Return the fact that publishes a rule book: an earlier attempt's own, where one reached some partitions.

    `at` is when it is published, in microseconds. Raises `BadProgramme` where the fact is too long, and `JournalError`.
    """
    operators = ledger.settings.operators
    if not operators:
        raise JournalError(f"{ledger.name} names no operators in its settings, and only they may publish")
    fact = {
        "specversion": "1.0",
        "id": f"programme-{version_of(toml)}",
        "source": operators[0],
        "type": "programme.published.v1",
        "subject": PROGRAMME_SUBJECT,
        "time": to_text(at, 0),
        "data": {"toml": toml, "by": by},
    }
    entries = (_entry_of(ledger, partition, version_of(toml)) for partition in ledger.partitions)
    value = next((entry.fact for entry in entries if entry is not None), None) or msgspec.json.encode(fact)
    if len(value) > MAX_BYTES:
        raise BadProgramme(f"the rule book is {len(value):,} bytes as a fact, of which {MAX_BYTES:,} are taken at most")
    return value


def _entry_of(ledger: Ledger, partition: int, version: str) -> Entry | None:
    journal = ledger.journal(partition)
    for published in journal.published():
        if published.version == version:
            (row,) = journal.scan(published.sequence - 1, published.sequence)
            return decode_entry(row.state)
    return None
