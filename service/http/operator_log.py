"""What operators did through the API: lines that say who did what and when, and who approved it.

A line is durable before its action is done. Adjustments that wait for approval are the fold of the lines. Several
processes may add to them: each holds them while it reads what the others added, and adds its own line. Lines are
sealed, and it is kept beside them how many there are, so that an audit finds what was changed or taken out.
"""

import secrets
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from ledger.journal.port import JournalError
from ledger.wire.answers import Adjustment, AdjustmentRequest
from ledger.wire.facts import Fact, fact_type
from service.drafts.records import MOST_OPEN, Draft, State, at_present, folded, is_done
from service.http.operator_lines import (
    OF_DRAFTS,
    WAY_OUT,
    Action,
    DraftStep,
    GivenFact,
    LogLine,
    cause_of,
)
from service.http.operator_store import CutOff, FileLines, Gone, LineStore, lines_kept
from service.http.problems import Problem
from service.http.sealed_lines import Chain
from service.keys import is_same_name, person_behind

_MAY: dict[str, tuple[State, ...]] = {  # the states that a step leads on from
    "hand-in": ("kept", "rejected", "approved"),
    "approve": ("waiting",),
    "reject": ("waiting", "approved"),
    "publish": ("approved", "publishing"),
    "published": ("publishing",),
    "discard": ("kept", "waiting", "approved", "rejected", "expired"),
    "backtest": ("kept", "waiting", "approved", "rejected", "publishing", "published", "expired", "discarded"),
}
A_DAY = timedelta(hours=24)  # for which a limit of a person holds
MOST_STEPS = 500  # of drafts by a person in that time: each is a line for good


class OperatorLog:
    """What the operators of a ledger did."""

    def __init__(self, kept: Path | LineStore) -> None:
        """`kept` is a folder, or where the lines are, which is closed with this. Raises `JournalError`."""
        self._lines = kept if isinstance(kept, LineStore) else FileLines(kept)
        self._chain = Chain()
        self._lock = threading.Lock()
        self._adjustments: dict[str, Adjustment] = {}
        self._drafts: dict[str, Draft] = {}
        self._goodwill: dict[str, dict[str, tuple[str, int]]] = {}  # by person and fact, when and how many points
        self._steps: dict[str, deque[str]] = {}  # by person, when the last steps of drafts were done
        self._has_added = False  # since the lines were held
        self._damage = ""  # why they cannot be read
        with self._held():
            pass  # what is there can be read

    def record(self, by: str, action: Action, about: str, *, mended: bool = False, why: str = "") -> None:
        """Record that somebody is about to do something."""
        with self._held():
            self._append(LogLine(_now(), by, action, about, mended=mended, why=why))

    def record_given(self, by: str, facts: Sequence[Fact], why: str = "") -> None:
        """Record that somebody is about to give operators' facts."""
        with self._held():
            self._append(*(LogLine(_now(), by, "give", fact.id, given=_given(fact), why=why) for fact in facts))

    def record_goodwill(self, by: str, fact: Fact, points: int, why: str, limit: int) -> None:
        """Record that somebody is about to give goodwill, once. Raises `Problem` beyond the limit of 24 hours."""
        with self._held():
            if fact.id in self._goodwill.get(person_behind(by), {}):
                return
            if points > limit - self._goodwill_since(by):
                raise Problem("approval-needed", f"{by} may give {limit:,} points in 24 hours; propose an adjustment")
            given = msgspec.structs.replace(_given(fact), points=points)
            self._append(LogLine(_now(), by, "give", fact.id, given=given, why=why))

    def goodwill_left(self, by: str, limit: int) -> int:
        """Return how many points of goodwill somebody with a limit may still give, by the last 24 hours."""
        with self._held():
            return max(0, limit - self._goodwill_since(by))

    def _goodwill_since(self, by: str) -> int:
        since = _a_day_ago()
        given = self._goodwill.get(person_behind(by), {})
        for name in [name for name, (at, _) in given.items() if at <= since]:
            del given[name]
        return sum(points for _, points in given.values())

    def propose(self, by: str, request: AdjustmentRequest, name: str = "") -> Adjustment:
        """Record an adjustment that waits for approval; the same again under a name is the one there is.

        Raises `Problem` where another one has the name.
        """
        with self._held():
            found = self._adjustments.get(name)
            if found is not None:
                asked = AdjustmentRequest(found.member, found.points, found.reason, found.kind, found.of)
                if (found.by, asked) != (by, request):
                    raise Problem(
                        "already-done",
                        "another adjustment was proposed before with this form, or with this Idempotency-Key",
                    )
                return found
            line = LogLine(_now(), by, "propose", name or f"a-{secrets.token_hex(8)}", request)
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
            if action == "approve":
                self._check_chain()
            if action == "approve" and is_same_name(by, found.by):
                raise Problem("approval-needed", f"{found.by} proposed it; another key must approve it")
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

    def keep_draft(self, by: str, what: DraftStep) -> Draft:
        """Record that a draft is kept; the same bytes again are the draft there is. Raises `Problem`."""
        with self._held():
            open_ones = [one for one in map(at_present, self._drafts.values()) if one.is_open]
            for one in open_ones:
                if one.sha256 == what.sha256:
                    return one
            self._check_pace(by)
            if len(open_ones) >= MOST_OPEN:
                raise Problem("no-room", f"{MOST_OPEN} drafts are kept, as many as may be; discard one first")
            line = LogLine(_now(), by, "draft-keep", f"d-{secrets.token_hex(6)}", draft=what)
            self._append(line)
            return self._drafts[line.about]

    def step_draft(self, by: str, action: Action, name: str, what: DraftStep, why: str = "") -> Draft:
        """Record a step of a draft; the same again by the same person changes nothing. Raises `Problem`."""
        step = action.removeprefix(OF_DRAFTS)
        with self._held():
            found = self._draft(name)
            if is_done(found, step, by, why):
                return found
            _check_step(found, step, by)
            if step == "hand-in":
                self._check_pace(by)
            if step in ("approve", "publish"):
                self._check_chain()
                self._check_alone(found)
            self._append(LogLine(_now(), by, action, name, draft=what, why=why))
            return at_present(self._drafts[name])

    def check_pace(self, by: str) -> None:
        """Raise `Problem` where somebody did as many steps of drafts as may be in 24 hours."""
        with self._held():
            self._check_pace(by)

    def draft(self, name: str) -> Draft:
        """Return a draft. Raises `Problem`."""
        with self._held():
            return self._draft(name)

    def drafts(self) -> list[Draft]:
        """Return every draft that was kept, the newest first."""
        with self._held():
            return [at_present(one) for one in reversed(self._drafts.values())]

    def close(self) -> None:
        """Let go of the lines."""
        self._lines.close()

    def _adjustment(self, name: str) -> Adjustment:
        found = self._adjustments.get(name)
        if found is None:
            raise Problem("unknown-adjustment", "no adjustment of that id was proposed here")
        return found

    def _draft(self, name: str) -> Draft:
        found = self._drafts.get(name)
        if found is None:
            raise Problem("unknown-draft", "no draft of that id was kept here; /v1/drafts lists them")
        return at_present(found)

    def _check_pace(self, by: str) -> None:
        last = self._steps.get(person_behind(by), deque())
        if len(last) == MOST_STEPS and last[0] > _a_day_ago():
            raise Problem("too-many-requests", f"{by} did {MOST_STEPS} steps of drafts in 24 hours, as many as may be")

    def _check_alone(self, found: Draft) -> None:
        """Raise `Problem` where another draft is being published, or was since this one was approved."""
        approved = max((step.at for step in found.steps if step.step == "approve"), default="")
        for other in self._drafts.values():
            is_later = found.state == "approved" and other.published > approved
            if other.draft != found.draft and (is_later or other.state == "publishing"):
                raise Problem("already-done", f"{other.file} is published meanwhile; look at the draft beside it")

    def _check_chain(self) -> None:
        """Raise `JournalError` where lines were changed: nothing is approved by them."""
        if self._chain.problems:
            raise JournalError(f"{self._lines.name}: {self._chain.problems[0]}; {WAY_OUT}")

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep the others from writing, and know what they wrote. Raises `JournalError`."""
        with self._lock:
            self._has_added = False
            try:
                with self._lines.held():
                    self._catch_up()
                    yield
            except BaseException:
                if self._has_added:  # nobody knows whether it is there
                    self._forget()
                raise

    def _forget(self) -> None:
        """Read all lines again, when they are next wanted."""
        self._lines.forget()
        self._chain = Chain()
        for known in (self._adjustments, self._drafts, self._goodwill, self._steps):
            known.clear()

    def _catch_up(self) -> None:
        """Read the lines behind those known. Raises `JournalError`, from then on whenever it is called."""
        if self._damage:
            raise JournalError(self._damage)
        try:
            lines = self._lines.added(self._chain.count)
            expected = self._lines.expected()
        except CutOff as error:
            raise self._damaged(error.number, "it has no end, and was whole before") from error
        except Gone as error:
            raise self._lost(self._chain.count) from error
        if self._chain.count + len(lines) < expected:
            raise self._lost(expected)
        for number, line in enumerate(lines, 1):
            try:
                self._fold(msgspec.json.decode(line, type=LogLine))
            except (msgspec.DecodeError, KeyError) as error:
                raise self._damaged(number, f"it cannot be read ({cause_of(error)})") from error
        for line in lines:
            self._chain.take(line)

    def _damaged(self, number: int, why: str) -> JournalError:
        """Return the error of a line, counted from those known."""
        self._damage = f"{self._lines.name}, line {self._chain.count + number}: {why}; {WAY_OUT}"
        return JournalError(self._damage)

    def _lost(self, count: int) -> JournalError:
        """Return the error of lines that are gone, of so many that there were at least."""
        self._damage = f"{self._lines.name}: of {count} lines that were there some are gone; {WAY_OUT}"
        return JournalError(self._damage)

    def _append(self, *lines: LogLine) -> None:
        chain, sealed = copy(self._chain), list[bytes]()
        for line in lines:
            sealed.append(chain.sealed(msgspec.json.encode(line)))
            chain.take(sealed[-1])
        self._lines.append(self._chain.count, sealed, chain.head)
        self._has_added = True
        self._chain = chain
        for line in lines:
            self._fold(line)

    def _fold(self, line: LogLine) -> None:
        if line.action.startswith(OF_DRAFTS):
            step = line.action.removeprefix(OF_DRAFTS)
            self._steps.setdefault(person_behind(line.by), deque(maxlen=MOST_STEPS)).append(line.at)
            self._drafts[line.about] = folded(self._drafts.get(line.about), line, step)
            return
        if line.given is not None and line.given.points:
            self._goodwill.setdefault(person_behind(line.by), {})[line.about] = line.at, line.given.points
        if line.proposed is not None:
            asked = line.proposed
            self._adjustments[line.about] = Adjustment(
                line.about, asked.member, asked.kind, asked.points, asked.reason, line.by, line.at, of=asked.of
            )
        elif line.action in ("approve", "reject"):
            state: Literal["approved", "rejected"] = "approved" if line.action == "approve" else "rejected"
            self._adjustments[line.about] = msgspec.structs.replace(
                self._adjustments[line.about], state=state, decided_by=line.by, decided=line.at
            )


def operator_log_of(place: str, folder: Path | None) -> OperatorLog:
    """Return what operators did of a ledger, as it is kept in its folder or in its database. Raises `JournalError`."""
    return OperatorLog(lines_kept(place, folder))


def _check_step(found: Draft, action: str, by: str) -> None:
    """Raise `Problem` where a step cannot be done of a draft as it is, or not by this person."""
    if found.state not in _MAY[action]:
        last = found.steps[-1]
        raise Problem("already-done", f"the draft is {found.state} ({last.step} by {last.by}); reload it")
    own = next((name for name in (found.by, found.handed_in_by) if is_same_name(by, name)), "")
    if action == "approve" and own:
        raise Problem("approval-needed", f"{own} kept or handed in this draft; another key must approve it")


def _given(fact: Fact) -> GivenFact:
    return GivenFact(fact_type(fact), fact.subject, fact.source)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _a_day_ago() -> str:
    return (datetime.now(UTC) - A_DAY).isoformat(timespec="microseconds")
