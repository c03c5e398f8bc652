"""Publishing a rule book: one operator fact, a record of it to every partition, decided at once or by the consumer."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from consumers.files import Feeder, RawLine, Router
from consumers.inbox import Inbox, Line
from consumers.ingest import decide_waiting, open_intakes
from consumers.outcomes import outcome_at
from ledger.facts import MAX_BYTES, PROGRAMME_SUBJECT
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.programme import BadProgramme, version_of
from ledger.times import to_text

Append = Callable[[Sequence[Line]], list[tuple[int, int]]]
LOOKED_EVERY = 0.05  # seconds, until a decision is there


def publish(ledger: Ledger, toml: str, by: str, now: int | None = None) -> dict[str, Any]:
    """Publish a checked rule book as the first of the ledger's operators, and say what became of it.

    What waits in the inbox before it is decided too. Hold the ledger's lock around it. Raises `BadProgramme` where it
    is too long for a fact, `OtherStream`, `CannotDecide` and `JournalError`.
    """
    value = _fact(ledger, toml, by, now)
    inbox = Inbox(ledger.inbox, ledger.settings.partitions, create=True)
    try:
        batch: list[Line] = []
        Feeder(inbox, ledger.settings.operators, backlog=False).route(RawLine(value), batch)
        home = _home(ledger, inbox.append(batch))
        decide_waiting(open_intakes(ledger, inbox, ledger.partitions), lambda _tally: None)
    finally:
        inbox.close()
    return outcome_at(ledger, *home) or {}


def send(ledger: Ledger, append: Append, toml: str, by: str, wait: float) -> tuple[tuple[int, int], dict[str, Any]]:
    """Publish a checked rule book through the stream that a consumer decides: where it stands, and what became of it.

    Nothing is said of a decision that does not come within `wait` seconds. Raises as `publish` does.
    """
    value = _fact(ledger, toml, by, None)
    batch: list[Line] = []
    Router(ledger.settings.partitions, ledger.settings.operators, backlog=False).route(RawLine(value), batch)
    home = _home(ledger, append(batch))
    deadline = time.monotonic() + wait
    while (told := outcome_at(ledger, *home)) is None and time.monotonic() < deadline:
        time.sleep(LOOKED_EVERY)
    return home, told or {}


def _fact(ledger: Ledger, toml: str, by: str, now: int | None) -> bytes:
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
    value = msgspec.json.encode(fact)
    if len(value) > MAX_BYTES:
        raise BadProgramme(f"the rule book is {len(value):,} bytes as a fact, of which {MAX_BYTES:,} are taken at most")
    return value


def _home(ledger: Ledger, places: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Of the places of a published book, the one where it counts."""
    return next(place for place in places if place[0] == ledger.partition_of(PROGRAMME_SUBJECT))
