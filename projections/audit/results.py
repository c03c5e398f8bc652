"""What audits came to: the last result of each, in a small file beside the ledger, for whoever did not run them."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from projections.answers.export import output_file

Audit = Literal["verify", "replay", "reconcile", "checkpoint"]
AUDITS: tuple[Audit, ...] = get_args(Audit)
MOST_BYTES = 1 << 20  # of a file


class Result(Struct, frozen=True):
    """The last result of an audit: `at` when it ended (RFC 3339), by which version of points, and what it had read.

    `found` are broken places, differences in decisions or in balances; `note` is a file or a name it was about.
    """

    audit: Audit
    at: str
    version: str
    good: bool
    found: int
    entries: int
    position: Mapping[str, int]  # by partition: entries
    seconds: float
    note: str = ""


def keep(folder: Path | None, result: Result) -> None:
    """Keep a result in place of the one before; where nothing can be written the audit is as good without."""
    if folder is None:
        return
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with output_file(_file(folder, result.audit)) as file:
            file.write(msgspec.json.format(msgspec.json.encode(result)) + b"\n")


def results(folder: Path) -> list[Result]:
    """The last result of each audit that there is and that can be read."""
    found = []
    for audit in AUDITS:
        with suppress(OSError, msgspec.MsgspecError), _file(folder, audit).open("rb") as file:
            found.append(msgspec.json.decode(file.read(MOST_BYTES), type=Result))
    return found


def _file(folder: Path, audit: str) -> Path:
    return folder / f"{audit}.json"
