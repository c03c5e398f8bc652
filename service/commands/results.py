"""What an audit came to, left beside the ledger for the console and the API."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from service.shell import installed_version

if TYPE_CHECKING:
    from ledger.journal.ledger import Ledger
    from ledger.wire.answers import Audit


def keep_result(
    ledger: "Ledger",
    folder: Path | None,
    audit: "Audit",
    began: float,
    position: Mapping[int, int],
    found: int,
    note: str = "",
) -> None:
    """Leave the result of an audit that began at a `time.monotonic` and read so many entries of each partition."""
    from ledger.wire.answers import AuditRecord
    from ledger.wire.times import to_text
    from projections.answers.sidecar import AUDITS, folder_in
    from projections.audit.results import keep

    result = AuditRecord(
        audit,
        to_text(time.time_ns() // 1000, ledger.book.offset),
        installed_version(),
        not found,
        found,
        sum(position.values()),
        {str(partition): entries for partition, entries in sorted(position.items())},
        round(time.monotonic() - began, 3),
        note,
    )
    keep(folder_in(ledger, AUDITS, folder), result)
