"""A real shop's year in a new ledger: what is interesting in it, told on the way."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from consumers.runtime.ingest import Summary, ingest
from ledger.core.account import Account
from ledger.core.decide import run_to
from ledger.core.evolve import evolve_entry
from ledger.core.pages import PagesInMemory
from ledger.core.scores import value_at
from ledger.journal.ledger import Ledger
from ledger.wire.answers import Member
from ledger.wire.entries import REFUSED, ClawedBack, Entry, Restored
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import fact_head
from ledger.wire.facts import PROGRAMME_SUBJECT
from service.demo.online_retail import facts
from service.demo.online_retail.lines import LAST
from service.demo.online_retail.members import LONDON

YEAR = "online-retail.ndjson"
FACTS = 57_000  # about, for the bar while they are written

Tick = Callable[..., None]


@dataclass
class Year:
    """What a run of the demo found; `lines` are order lines decided in this run."""

    summary: Summary
    lines: int


class FoundMember(Member, frozen=True, kw_only=True):
    """A member worth a look as it is shown, and why."""

    why: str


@dataclass
class Find:
    """A member worth a look, and why."""

    member: str
    why: str


def write_year(folder: Path, until: date | None, tick: Tick) -> Path:
    """The year's facts as a file in a folder, written once and whole; `until` is its last day, else `last_day`."""
    path = folder / YEAR
    if path.exists():
        return path
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        for count, fact in enumerate(facts(until=until or last_day()), 1):
            file.write(fact + b"\n")
            if not count % 500:
                tick(count)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return path


def last_day() -> date:
    """The day in London on which a year has to end so that all of it is over now: today, or yesterday."""
    now = datetime.now(LONDON)
    return now.date() if now.time() > LAST.time() else now.date() - timedelta(days=1)


def decide_year(ledger: Ledger, path: Path, jobs: int, tick: Tick) -> Year:
    """Take the year in; an interrupted one goes on where it stopped. Hold the ledger's lock around it."""
    started = time.monotonic()
    summary = ingest(ledger, [str(path)], backlog=True, jobs=jobs, progress=lambda _read, decided: tick(decided))
    summary.seconds = time.monotonic() - started
    new = summary.entries + summary.tally.parked
    lines = 0
    if new:
        with path.open("rb") as file:
            lines = sum(fact.count(b'"line":') for fact in file if b'"order.completed.v1"' in fact)
        lines = lines * new // max(summary.facts, 1)
    return Year(summary, lines)


def end_of(ledger: Ledger) -> int:
    """The instant of the last thing recorded."""
    return max(ledger.journal(p).head().recorded for p in ledger.partitions)


def interesting_members(ledger: Ledger, as_of: int) -> list[Find]:
    """Three members worth a look, found in one pass over all entries."""
    best: dict[str, tuple[int, str]] = {}

    def offer(category: str, worth: int, member: str) -> None:
        if worth > best.get(category, (0, ""))[0]:
            best[category] = (worth, member)

    version = ledger.book.nearest(as_of)
    name, score = next(iter(version.programme.scores.items()))
    for partition in ledger.partitions:
        for member, rows in ledger.journal(partition).by_member():
            if member == PROGRAMME_SUBJECT:
                continue
            account, marks = Account(), _Marks()
            for row in rows:
                entry = decode_entry(row.state)
                evolve_entry(account, entry)
                marks.see(entry)
            run_to(account, ledger.book_of(member), as_of, PagesInMemory())
            held = any(t.start <= as_of < t.until and not t.trial for ts in account.terms.values() for t in ts)
            offer("plus", value_at(account, version, name, as_of) if held else 0, member)
            if account.number <= 120:  # short enough to be read through
                offer("return", marks.clawed_back if marks.kinds >= 6 else 0, member)
                offer("refused", marks.refused * 100 + marks.kinds if marks.restored else 0, member)
    whys = {
        "plus": f"the highest {score.name} of those with a card: much bought at the PLUS rate",
        "return": "much came back: what it had earned was taken back, to the last point",
        "refused": "asked for more than there was, and got back what was tendered on returned orders",
    }
    found: dict[str, Find] = {}
    for category, why in whys.items():
        if category in best:
            found.setdefault(best[category][1], Find(best[category][1], why))
    return list(found.values())


@dataclass
class _Marks:
    """What makes a member's history worth reading."""

    refused: int = 0
    restored: int = 0
    clawed_back: int = 0
    _types: set[str] = field(default_factory=set)

    @property
    def kinds(self) -> int:
        """How many types of facts there were."""
        return len(self._types)

    def see(self, entry: Entry) -> None:
        """Note an entry."""
        self.refused += entry.outcome == REFUSED
        self._types.add(fact_head(entry).type)
        for change in entry.changes:
            if isinstance(change, Restored):
                self.restored += change.points
            elif isinstance(change, ClawedBack):
                self.clawed_back += change.points
