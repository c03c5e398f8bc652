"""What becomes of a draft, as the lines of the operators' log say it: who did which step, when, and on what grounds."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from ledger.journal.port import JournalError
from ledger.wire.entries import OUTCOMES
from service.http.operator_lines import FILE, OF_DRAFTS, DraftStep, LogLine

MOST_OPEN = 50  # drafts that are not settled
DAYS = 90  # from when it is kept, until which a draft can be published
State = Literal["kept", "waiting", "approved", "publishing", "published", "rejected", "discarded", "expired"]
ACCEPTED, REFUSED = OUTCOMES[:2]


class Step(Struct, frozen=True, omit_defaults=True):
    """A step: who did it when and why. `what` has what it stood on: the check, the backtest, or what came of it."""

    step: str
    by: str
    at: str
    why: str = ""
    what: DraftStep = field(default_factory=DraftStep)


class Draft(Struct, frozen=True, omit_defaults=True):
    """A draft of a rule book: its bytes by their SHA-256, the version that they make, and how far it is.

    `against` is the newest version that the ledger had when it was handed in or approved.
    """

    draft: str
    file: str
    sha256: str
    bytes: int
    version: str
    by: str
    kept: str
    expires: str
    from_: str = field(name="from", default="")
    state: State = "kept"
    reason: str = ""
    handed_in_by: str = ""
    decided_by: str = ""
    against: str = ""
    published_by: str = ""
    published: str = ""
    position: str = ""
    why: str = ""
    steps: list[Step] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Return True while something can still become of it."""
        return self.state not in ("published", "discarded", "expired")


class Drafts(Struct, frozen=True):
    """Drafts that were kept here, the newest first."""

    drafts: list[Draft]


def folded(found: Draft | None, line: LogLine, action: str) -> Draft:
    """Return a draft after a step of it. Raises `KeyError` where there is no such draft."""
    what = line.draft or DraftStep()
    step = Step(action, line.by, line.at, line.why, what)
    if action == "keep":
        expires = (datetime.fromisoformat(line.at) + timedelta(days=DAYS)).isoformat(timespec="microseconds")
        names = line.about, what.file, what.sha256, what.bytes, what.version
        return Draft(*names, line.by, line.at, expires, what.from_, steps=[step])
    if found is None:
        raise KeyError(line.about)
    found = replace(found, steps=[*found.steps, step])
    match action:
        case "hand-in":
            asked = {"reason": line.why, "handed_in_by": line.by, "against": what.against, "decided_by": "", "why": ""}
            return replace(found, state="waiting", **asked)
        case "approve":
            return replace(found, state="approved", decided_by=line.by, against=what.against)
        case "reject":
            return replace(found, state="rejected", decided_by=line.by, why=line.why)
        case "publish":
            return replace(found, state="publishing", published_by=line.by, published=line.at)
        case "published" if what.outcome == ACCEPTED:
            return replace(found, state="published", position=what.position, why="")
        case "published":
            return replace(found, state="approved", published_by="", published="", why=line.why)
        case "discard":
            return replace(found, state="discarded")
    return found


def at_present(found: Draft) -> Draft:
    """Return a draft as it is now: one that nobody published in time has expired."""
    is_late = found.expires <= datetime.now(UTC).isoformat(timespec="microseconds")
    return replace(found, state="expired") if is_late and found.is_open and found.state != "publishing" else found


def is_done(found: Draft, action: str, by: str, why: str) -> bool:
    """Return True where the same step was done by the same person already: nothing is written again."""
    match action:
        case "hand-in":
            return (found.state, found.handed_in_by, found.reason) == ("waiting", by, why)
        case "approve":
            return found.state in ("approved", "publishing", "published") and found.decided_by == by
        case "reject":
            return found.state == "rejected" and found.decided_by == by
        case "publish":
            return found.state == "publishing"
        case "published" | "discard":
            return found.state == ("published" if action == "published" else "discarded")
    return False


def drafts_in(folder: Path) -> list[Draft]:
    """Return every draft that was kept in a folder, the newest first, without a server. Raises `JournalError`."""
    path = folder / FILE
    found: dict[str, Draft] = {}
    try:
        for line in path.read_bytes().splitlines() if path.is_file() else []:
            read = msgspec.json.decode(line, type=LogLine)
            if read.action.startswith(OF_DRAFTS):
                found[read.about] = folded(found.get(read.about), read, read.action.removeprefix(OF_DRAFTS))
    except (OSError, msgspec.DecodeError, KeyError) as error:
        raise JournalError(f"{path}: {error}; `points verify` says what is wrong with it") from None
    return [at_present(one) for one in reversed(found.values())]
