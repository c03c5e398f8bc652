"""What audits came to: the last result of each, in a small file beside the ledger, for whoever did not run them."""

from contextlib import suppress
from pathlib import Path
from typing import get_args

import msgspec

from ledger.wire.answers import Audit, AuditRecord
from ledger.wire.unreadable import UNREADABLE
from projections.answers.output import output_file

AUDITS: tuple[Audit, ...] = get_args(Audit)
MOST_BYTES = 1 << 20  # of a file


def keep(folder: Path | None, result: AuditRecord) -> None:
    """Keep a result in place of the one before; where nothing can be written the audit is as good without."""
    if folder is None:
        return
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with output_file(_file(folder, result.audit)) as file:
            file.write(msgspec.json.format(msgspec.json.encode(result)) + b"\n")


def results(folder: Path) -> list[AuditRecord]:
    """Return the last result of each audit that there is and that can be read."""
    found = []
    for audit in AUDITS:
        with suppress(OSError, *UNREADABLE), _file(folder, audit).open("rb") as file:
            found.append(msgspec.json.decode(file.read(MOST_BYTES), type=AuditRecord))
    return found


def _file(folder: Path, audit: str) -> Path:
    return folder / f"{audit}.json"
