"""Publishing a rule book: one operator fact, a record of it to every partition, decided at once or by the consumer."""

import time
from collections.abc import Callable, Sequence

import msgspec

from consumers.files.loader import FileLoader, NdjsonLine, Router
from consumers.local.open import open_inbox
from consumers.local.port import InboxLine
from consumers.runtime.ingest import decide_all
from consumers.runtime.outcomes import outcome_at
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.rulebook.schema import BadProgramme, version_of
from ledger.wire.answers import Fate
from ledger.wire.entries import Entry
from ledger.wire.entry_codec import decode_entry
from ledger.wire.facts import MAX_BYTES, PROGRAMME_SUBJECT
from ledger.wire.times import to_text

Append = Callable[[Sequence[InboxLine]], list[tuple[int, int]]]
LOOKED_EVERY = 0.05  # seconds, until a decision is there


def is_published(ledger: Ledger, version: str) -> bool:
    """Whether a rule book was published to every partition."""
    return all(_entry_of(ledger, partition, version) for partition in ledger.partitions)


def publish(ledger: Ledger, toml: str, by: str, now: int | None = None) -> Fate:
    """Publish a checked rule book as the first of the ledger's operators, and say what became of it.

    Where an earlier attempt reached only some partitions, its own fact is sent again, and is a duplicate there.
    What waits in the inbox before it is decided too. Hold the ledger's lock around it. Raises `BadProgramme` where it
    is too long for a fact, `OtherStream`, `CannotDecide` and `JournalError`.
    """
    value = _fact(ledger, toml, by, now)
    inbox = open_inbox(ledger, feeding=True)
    try:
        batch: list[InboxLine] = []
        FileLoader(inbox, ledger.settings.operators, backlog=False).route(NdjsonLine(value), batch)
        home = _home(ledger, inbox.append(batch))
        decide_all(ledger)
    finally:
        inbox.close()
    fate = outcome_at(ledger, *home)
    assert fate is not None
    return fate


def send(ledger: Ledger, append: Append, toml: str, by: str, wait: float) -> tuple[tuple[int, int], Fate | None]:
    """Publish a checked rule book through the stream that a consumer decides: where it stands, and what became of it.

    Nothing is said of a decision that does not come within `wait` seconds. Raises as `publish` does.
    """
    batch: list[InboxLine] = []
    router = Router(ledger.settings.partitions, ledger.settings.operators, backlog=False)
    router.route(NdjsonLine(_fact(ledger, toml, by, None)), batch)
    home = _home(ledger, append(batch))
    deadline = time.monotonic() + wait
    while (told := outcome_at(ledger, *home)) is None and time.monotonic() < deadline:
        time.sleep(LOOKED_EVERY)
    return home, told


def _fact(ledger: Ledger, toml: str, by: str, now: int | None) -> bytes:
    """The fact that publishes a rule book: an earlier attempt's own, where one reached some partitions."""
    operators = ledger.settings.operators
    if not operators:
        raise JournalError(f"{ledger.name} names no operators in its settings, and only they may publish")
    fact = {
        "specversion": "1.0",
        "id": f"programme-{version_of(toml)}",
        "source": operators[0],
        "type": "programme.published.v1",
        "subject": PROGRAMME_SUBJECT,
        "time": to_text(time.time_ns() // 1000 if now is None else now, 0),
        "data": {"toml": toml, "by": by},
    }
    value = _begun(ledger, version_of(toml)) or msgspec.json.encode(fact)
    if len(value) > MAX_BYTES:
        raise BadProgramme(f"the rule book is {len(value):,} bytes as a fact, of which {MAX_BYTES:,} are taken at most")
    return value


def _home(ledger: Ledger, places: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Of the places of a published book, the one where it counts."""
    return next(place for place in places if place[0] == ledger.partition_of(PROGRAMME_SUBJECT))


def _begun(ledger: Ledger, version: str) -> bytes | None:
    """The fact that published a rule book to some partition; None where none did."""
    for partition in ledger.partitions:
        entry = _entry_of(ledger, partition, version)
        if entry is not None:
            return entry.fact
    return None


def _entry_of(ledger: Ledger, partition: int, version: str) -> Entry | None:
    journal = ledger.journal(partition)
    for published in journal.published():
        if published.version == version:
            (row,) = journal.scan(published.sequence - 1, published.sequence)
            return decode_entry(row.state)
    return None
