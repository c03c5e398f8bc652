"""Publishing a rule book: one operator fact, a record of it to every partition of the inbox, decided at once."""

import time
from typing import Any

import msgspec

from consumers.files import Feeder, RawLine
from consumers.inbox import Inbox, Line
from consumers.ingest import decide_waiting, open_intakes
from consumers.outcomes import outcome_at
from ledger.facts import MAX_BYTES, PROGRAMME_SUBJECT
from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.programme import BadProgramme, version_of
from ledger.times import to_text


def publish(ledger: Ledger, toml: str, by: str, now: int | None = None) -> dict[str, Any]:
    """Publish a checked rule book as the first of the ledger's operators, and say what became of it.

    What waits in the inbox before it is decided too. Hold the ledger's lock around it. Raises `BadProgramme` where it
    is too long for a fact, `OtherStream`, `CannotDecide` and `JournalError`.
    """
    if not ledger.settings.operators:
        raise JournalError(f"{ledger.name} names no operators in its settings, and only they may publish")
    fact = {
        "specversion": "1.0",
        "id": f"programme-{version_of(toml)}",
        "source": ledger.settings.operators[0],
        "type": "programme.published.v1",
        "subject": PROGRAMME_SUBJECT,
        "time": to_text(time.time_ns() // 1000 if now is None else now, 0),
        "data": {"toml": toml, "by": by},
    }
    value = msgspec.json.encode(fact)
    if len(value) > MAX_BYTES:
        raise BadProgramme(f"the rule book is {len(value):,} bytes as a fact, of which {MAX_BYTES:,} are taken at most")
    inbox = Inbox(ledger.inbox, ledger.settings.partitions, create=True)
    try:
        batch: list[Line] = []
        Feeder(inbox, ledger.settings.operators, backlog=False).route(RawLine(value), batch)
        places = inbox.append(batch)
        decide_waiting(open_intakes(ledger, inbox, ledger.partitions), lambda _tally: None)
    finally:
        inbox.close()
    home = next(place for place in places if place[0] == ledger.partition_of(PROGRAMME_SUBJECT))
    return outcome_at(ledger, *home) or {}
