"""What audits came to: the last result of each, in a small document beside the ledger, for whoever did not run them."""

from contextlib import suppress
from typing import get_args

import msgspec

from ledger.journal.port import Unavailable
from ledger.wire.answers import Audit, AuditRecord
from ledger.wire.unreadable import UNREADABLE
from projections.answers.documents import Documents

AUDITS: tuple[Audit, ...] = get_args(Audit)
MOST_BYTES = 1 << 20  # of a file


def keep(documents: Documents | None, result: AuditRecord) -> None:
    """Keep a result in place of the one before; where nothing can be written the audit is as good without."""
    if documents is not None:
        with suppress(OSError, Unavailable):
            documents.put(_file(result.audit), msgspec.json.format(msgspec.json.encode(result)) + b"\n")


def results(documents: Documents) -> list[AuditRecord]:
    """Return the last result of each audit that there is and that can be read."""
    found = []
    for audit in AUDITS:
        with suppress(OSError, *UNREADABLE):
            content = documents.get(_file(audit), MOST_BYTES)
            if content is not None:
                found.append(msgspec.json.decode(content, type=AuditRecord))
    return found


def _file(audit: str) -> str:
    return f"{audit}.json"
