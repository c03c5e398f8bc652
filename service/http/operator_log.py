"""What operators did through the API: an append-only file that says who did what and when, and who approved it.

A line is on the disk before its action is done. Adjustments that wait for approval are the fold of its lines. Several
processes may write it: each holds the file's lock while it reads what the others added, and adds its own line.
"""

import fcntl
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ledger.journal.port import JournalError
from ledger.wire.answers import Adjustment, AdjustmentRequest
from ledger.wire.facts import Fact, fact_type
from ledger.wire.unreadable import UNREADABLE
from service.http.problems import Problem

FILE = "operators.ndjson"
Action = Literal["propose", "approve", "reject", "retry", "drop", "checkpoint", "give", "accept-gap", "accept-topic"]


class GivenFact(Struct, frozen=True):
    """An operators' fact as it was given, by which its entry is found."""

    type: str
    subject: str
    source: str


class LogLine(Struct, omit_defaults=True):
    """An action: `by` is the name of the key.

    `about` is a position, the name of an adjustment or checkpoint, the id of a fact that was given, the positions
    of an accepted gap, or the id of an accepted topic. `why` is the reason that was given for these.
    """

    at: str
    by: str
    action: Action
    about: str
    proposed: AdjustmentRequest | None = None
    mended: bool = False
    given: GivenFact | None = None
    why: str = ""


class OperatorLog:
    """The file of a ledger's operators."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = threading.Lock()
        self._adjustments: dict[str, Adjustment] = {}
        self._known = 0  # bytes
        try:
            self._file = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        except OSError as error:
            raise JournalError(f"{self.path}: {error}") from error
        with self._held():
            pass  # what is there can be read

    def record(self, by: str, action: Action, about: str, *, mended: bool = False, why: str = "") -> None:
        """Record that somebody is about to do something."""
        with self._held():
            self._append(LogLine(_now(), by, action, about, mended=mended, why=why))

    def record_given(self, by: str, facts: Sequence[Fact]) -> None:
        """Record that somebody is about to give operators' facts."""
        with self._held():
            self._append(
                *(
                    LogLine(_now(), by, "give", fact.id, given=GivenFact(fact_type(fact), fact.subject, fact.source))
                    for fact in facts
                )
            )

    def propose(self, by: str, request: AdjustmentRequest) -> Adjustment:
        """Record an adjustment that waits for approval."""
        with self._held():
            line = LogLine(_now(), by, "propose", f"a-{secrets.token_hex(8)}", request)
            self._append(line)
            return self._adjustments[line.about]

    def decide(self, by: str, name: str, action: Literal["approve", "reject"]) -> Adjustment:
        """Approve or reject an adjustment; the same again by the same changes nothing. Raises `Problem`."""
        with self._held():
            found = self._adjustment(name)
            wanted = "approved" if action == "approve" else "rejected"
            if found.state != "waiting":
                if found.state != wanted or found.decided_by != by:
                    raise Problem("already-done", f"it was {found.state} by {found.decided_by}")
                return found
            if action == "approve" and by == found.by:
                raise Problem("approval-needed", f"{by} proposed it; another key must approve it")
            self._append(LogLine(_now(), by, action, name))
            return self._adjustments[name]

    def adjustment(self, name: str) -> Adjustment:
        """Return an adjustment. Raises `Problem`."""
        with self._held():
            return self._adjustment(name)

    def adjustments(self) -> list[Adjustment]:
        """Return every adjustment, the newest first."""
        with self._held():
            return list(reversed(self._adjustments.values()))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _adjustment(self, name: str) -> Adjustment:
        found = self._adjustments.get(name)
        if found is None:
            raise Problem("unknown-adjustment", "no adjustment of that id was proposed here")
        return found

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep the others from writing, and know what they wrote. Raises `JournalError`."""
        with self._lock:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                self._catch_up()
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _catch_up(self) -> None:
        """Read the lines behind those known."""
        try:
            added = os.pread(self._file, os.fstat(self._file).st_size - self._known, self._known)
            whole = added.rfind(b"\n") + 1
            if whole < len(added):
                os.ftruncate(self._file, self._known + whole)  # a line cut off by a crash: its action was not done
            for line in added[:whole].splitlines():
                self._fold(msgspec.json.decode(line, type=LogLine))
        except (OSError, *UNREADABLE) as error:
            raise JournalError(f"{self.path}: {error}") from error
        self._known += whole

    def _append(self, *lines: LogLine) -> None:
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        try:
            if os.write(self._file, data) != len(data):
                raise OSError("the lines were written in part")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._known)  # a full disk: nothing of it stays
            raise
        self._known += len(data)
        for line in lines:
            self._fold(line)

    def _fold(self, line: LogLine) -> None:
        if line.proposed is not None:
            asked = line.proposed
            self._adjustments[line.about] = Adjustment(
                line.about, asked.member, asked.kind, asked.points, asked.reason, line.by, line.at
            )
        elif line.action in ("approve", "reject"):
            state: Literal["approved", "rejected"] = "approved" if line.action == "approve" else "rejected"
            self._adjustments[line.about] = msgspec.structs.replace(
                self._adjustments[line.about], state=state, decided_by=line.by, decided=line.at
            )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
