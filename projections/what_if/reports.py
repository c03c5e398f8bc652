"""Reports of backtests, stored beside the ledger for people to compare: one file each, the newest fifty."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from ledger.wire.unreadable import UNREADABLE
from projections.answers.output import output_file
from projections.answers.to_json import to_json

MOST = 50
MOST_BYTES = 4 << 20  # of a file
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


class Draft(Struct, frozen=True):
    """The draft that was tried."""

    file: str
    version: str
    from_: str = field(name="from")


class Pair(Struct, frozen=True):
    """A figure as it is and under the draft."""

    actual: int
    draft: int
    difference: int


class Month(Struct, frozen=True):
    """A month's flows of a kind of points, and what the draft costs more."""

    kind: str
    month: str
    issued: Pair
    redeemed: Pair
    expired: Pair
    clawed_back: Pair
    cost_fen: int


class Rule(Pair, frozen=True, kw_only=True):
    """Points issued by a rule."""

    kind: str
    rule: str


class Answer(Struct, frozen=True):
    """An outcome with its reason."""

    outcome: str
    reason: str


class ChangedAnswer(Struct, frozen=True):
    """Facts that get another answer."""

    actual: Answer
    draft: Answer
    facts: int


class Move(Pair, frozen=True, kw_only=True):
    """A member's worth."""

    member: str


class Moves(Struct, frozen=True):
    """How members fare, and whom it moves most."""

    gain: int
    lose: int
    same: int
    gained: int
    lost: int
    largest_gains: list[Move]
    largest_losses: list[Move]


class Tiers(Struct, frozen=True):
    """A score's tiers from the lowest; a row is the tier that is, a column the one under the draft."""

    tiers: list[str]
    matrix: list[list[int]]
    up: int
    down: int
    same: int


class Report(Struct, frozen=True, omit_defaults=True):
    """What `projections.backtest.backtest` found, and when (RFC 3339).

    `unanswered` is what members ask of a budget, stock or house under the draft that no answer of the history is for.
    """

    draft: Draft
    decides_from: str | None
    as_of: str
    entries: int
    members: int
    unreadable: int
    points: dict[str, dict[str, Pair]]
    months: list[Month]
    rules: list[Rule]
    outcomes: list[ChangedAnswer]
    moves: dict[str, Moves]
    tiers: dict[str, Tiers]
    seconds: float
    at: str = ""
    unanswered: int = 0

    @property
    def cost_fen(self) -> int:
        """Return what the draft costs more, all months together."""
        return sum(month.cost_fen for month in self.months)


class StoredReport(NamedTuple):
    """A report and its name."""

    name: str
    report: Report


def store(folder: Path, found: Report, at: str) -> str | None:
    """Store what a backtest found, and only the newest; return its name, or None where nothing can be written."""
    file = Path(found.draft.file)
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", file.stem).lstrip(".-")[:60] or "draft"
    name = f"{stem}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    named = replace(found.draft, file=file.name)  # where it lay says nothing to others
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with output_file(folder / f"{name}.json") as out:
            out.write(to_json(replace(found, draft=named, at=at)) + b"\n")
        for old in _files(folder)[MOST:]:
            old.unlink(missing_ok=True)
    except OSError:
        return None
    return name


def stored(folder: Path) -> list[StoredReport]:
    """Return every report that can be read, the newest first."""
    found = []
    for path in _files(folder):
        with suppress(OSError, *UNREADABLE):
            found.append(StoredReport(path.stem, _read(path)))
    return found


def report(folder: Path, name: str) -> Report | None:
    """Return a report by its name; None where there is none that can be read."""
    if not _NAME.fullmatch(name):
        return None
    try:
        return _read(folder / f"{name}.json")
    except (OSError, *UNREADABLE):
        return None


def _files(folder: Path) -> list[Path]:
    """Return the files of the reports, the newest first."""
    found = [path for path in folder.glob("*.json") if _NAME.fullmatch(path.stem)]
    return sorted(found, key=lambda path: (path.stem[-15:], path.stem), reverse=True)


def _read(path: Path) -> Report:
    with path.open("rb") as file:
        return msgspec.json.decode(file.read(MOST_BYTES), type=Report)
