"""What an audit came to: on the screen, and left beside the ledger for the console and the API."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ledger.journal.ledger import Ledger
from ledger.wire.answers import Audit, AuditRecord
from ledger.wire.times import to_text
from projections.answers.sidecar import AUDITS
from projections.audit.results import keep
from service.documents import kept_documents
from service.errors import print_plain
from service.installed import installed_version

LISTED = 20  # differences on a screen


def keep_result(
    ledger: Ledger,
    folder: Path | None,
    audit: Audit,
    began: float,
    position: Mapping[int, int],
    found: int,
    note: str = "",
) -> None:
    """Leave the result of an audit that began at a `time.monotonic` and read so many entries of each partition."""
    result = AuditRecord(
        audit,
        to_text(time.time_ns() // 1000, ledger.new_book().offset),  # one that was published later may be damaged
        installed_version(),
        not found,
        found,
        sum(position.values()),
        {str(partition): entries for partition, entries in sorted(position.items())},
        round(time.monotonic() - began, 3),
        note,
    )
    with kept_documents(ledger.place, folder or ledger.folder, AUDITS) as documents:
        keep(documents, result)


def print_found(what: str, found: list[Any], count: int | None) -> None:
    """Print what an audit found, the first of it; `count` is how much there is in all where that is more."""
    for item in found[:LISTED]:
        shown = "  ".join(f"{name}={value}" for name, value in item.items()) if isinstance(item, dict) else item
        print_plain(f"  {shown}")
    total = count if count is not None else len(found)
    if total > LISTED:
        print_plain(f"  … {total:,} in all")
    print_plain(f"{total:,} {what}{'' if total == 1 else 's'}" if total else f"no {what}: all is as it was decided")
