"""Publishing a rule book: one operator fact, a record of it to every partition, decided at once or by the consumer."""

import time
from contextlib import closing

import msgspec

from consumers.files.loader import Router, router_into
from consumers.local.open import open_inbox
from consumers.local.port import Append
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
    with closing(open_inbox(ledger, feeding=True)) as inbox:
        router = router_into(inbox, ledger.settings.operators, backlog=False)
        home = _append(ledger, router, inbox.append, _fact(ledger, toml, by, now))
        decide_all(ledger)
    fate = outcome_at(ledger, *home)
    assert fate is not None
    return fate


def send(ledger: Ledger, append: Append, toml: str, by: str, wait: float) -> tuple[tuple[int, int], Fate | None]:
    """Publish a checked rule book through the stream that a consumer decides: where it stands, and what became of it.

    Nothing is said of a decision that does not come within `wait` seconds. Raises as `publish` does.
    """
    router = Router(ledger.settings.partitions, ledger.settings.operators, backlog=False)
    home = _append(ledger, router, append, _fact(ledger, toml, by, None))
    deadline = time.monotonic() + wait
    while (told := outcome_at(ledger, *home)) is None and time.monotonic() < deadline:
        time.sleep(LOOKED_EVERY)
    return home, told


def _append(ledger: Ledger, router: Router, append: Append, value: bytes) -> tuple[int, int]:
    """Append a published book to every partition; return the place where it counts."""
    places = append(router.routed(value))
    return next(place for place in places if place[0] == ledger.partition_of(PROGRAMME_SUBJECT))


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
