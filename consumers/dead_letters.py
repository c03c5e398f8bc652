"""Dead letters: looked at, mended, redriven through the inbox, or dropped; a trace always stays.

Driving again appends the bytes at a new position and decides them there; only then is the old one marked. A
crash in between leaves it waiting, and what was decided twice is a duplicate.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from msgspec import UNSET

from consumers.files.loader import FileLoader, NdjsonLine
from consumers.local.open import open_inbox
from consumers.local.port import InboxLine
from consumers.runtime.ingest import decide_all
from consumers.runtime.outcomes import outcome_at
from ledger.errors import NotFound
from ledger.journal.ledger import INBOX, Ledger
from ledger.wire import answers
from ledger.wire.entry_json import position_text
from ledger.wire.facts import MAX_BYTES
from ledger.wire.times import to_text

WAITING, RETRIED, DROPPED = "waiting", "retried", "dropped"


class BadPosition(NotFound):
    """A position that names no dead letter, or one with which this cannot be done: why, and the way out."""


class Letter(NamedTuple):
    """A dead letter: `raw` are its bytes, or of long ones the first; `length`, `sha256` are of the whole."""

    partition: int
    offset: int
    recorded: int
    reason: str
    detail: str
    length: int
    sha256: bytes
    raw: bytes
    is_done: bool  # redriven, or dropped

    @property
    def state(self) -> str:
        """Whether it waits, or what was done with it."""
        return WAITING if not self.is_done else RETRIED if self.raw else DROPPED

    @property
    def position(self) -> str:
        """As it is written: ``partition:offset``."""
        return position_text(self.partition, self.offset)

    @property
    def is_whole(self) -> bool:
        """Whether all bytes were kept."""
        return len(self.raw) == self.length and sha256(self.raw).digest() == self.sha256


def letters(
    ledger: Ledger, *, every: bool = False, limit: int | None = None, after: tuple[int, int] = (0, -1)
) -> list[Letter]:
    """Return dead letters by position, behind one: those that wait, or with those that were retried or dropped."""
    found: list[Letter] = []
    for partition in ledger.partitions[after[0] :]:
        room = None if limit is None else limit - len(found)
        behind = after[1] if partition == after[0] else -1
        parked = ledger.journal(partition).parked(behind, room, retried=every)
        found.extend(Letter(partition, *p) for p in parked)
    return found


def letter_at(ledger: Ledger, position: str) -> Letter:
    """The dead letter at a position. Raises `BadPosition`."""
    partition, _, offset = position.partition(":")
    if not (partition.isascii() and partition.isdecimal() and offset.isascii() and offset.isdecimal()):
        raise BadPosition(f'"{position}" is no position such as 0:17; `points dead-letters list` shows them')
    if int(partition) in ledger.partitions and int(offset) < 1 << 62:
        for parked in ledger.journal(int(partition)).parked(int(offset) - 1, upto=int(offset), retried=True):
            return Letter(int(partition), *parked)
    raise BadPosition(f"nothing is parked at {position}; `points dead-letters list` shows what is")


def describe_letter(letter: Letter, offset: int) -> answers.DeadLetter:
    """Return a dead letter as it is told; `offset` is the book's."""
    return answers.DeadLetter(
        letter.position,
        letter.reason,
        letter.detail,
        to_text(letter.recorded, offset),
        letter.length,
        letter.sha256.hex(),
        b64encode(letter.raw).decode(),
        letter.state == RETRIED,
        letter.state == DROPPED,
    )


def retry(ledger: Ledger, chosen: Sequence[Letter], mended: bytes | None = None) -> list[answers.Retried]:
    """Redrive dead letters (one with `mended` bytes) and say what became of each.

    Hold the ledger's lock around it. Raises `BadPosition` before anything is done, `CannotDecide`, `JournalError`.
    """
    for letter in chosen:
        check_retry(letter, mended)
    if not chosen:
        return []
    inbox = open_inbox(ledger)
    try:
        driven: list[tuple[Letter, list[tuple[int, int]]]] = []
        for letter in chosen:
            record = inbox.record(letter.partition, letter.offset)
            feeder = FileLoader(inbox, ledger.settings.operators, backlog=bool(record and record.backlog))
            value = letter.raw if mended is None else mended
            batch: list[InboxLine] = []
            feeder.route(NdjsonLine(value), batch)
            driven.append((letter, inbox.append(batch)))
        decide_all(ledger)
    finally:
        inbox.close()
    told = []
    for letter, places in driven:
        ledger.journal(letter.partition).mark_retried([letter.offset])
        fate = outcome_at(ledger, *places[0])
        told.append(describe_retried(letter.position, position_text(*places[0]), fate))
    return told


def describe_retried(position: str, retried_as: str, fate: answers.Fate | None) -> answers.Retried:
    """Return what is told of a dead letter that was redriven, and of what became of it where that is known."""
    if fate is None:
        return answers.Retried(position, retried_as)
    detail = fate.detail if isinstance(fate, answers.DeadLettered) else UNSET
    return answers.Retried(position, retried_as, fate.outcome, fate.reason, detail)


def check_retry(letter: Letter, mended: bytes | None) -> None:
    """Raise `BadPosition` where a dead letter cannot be redriven (with `mended` bytes)."""
    if letter.state != WAITING:
        what = "was redriven before" if letter.state == RETRIED else "was dropped"
        raise BadPosition(f"{letter.position} {what}; `points dead-letters list` shows what waits")
    if mended is None and not letter.is_whole:
        raise BadPosition(
            f"of {letter.position} only {len(letter.raw):,} of {letter.length:,} bytes were kept;"
            " give the whole fact: `points dead-letters retry POSITION --with FILE`"
        )
    if mended is not None and not 0 < len(mended) <= MAX_BYTES:
        raise BadPosition(f"the mended fact has {len(mended):,} bytes; one of 1 to {MAX_BYTES:,} is needed")


def drop(ledger: Ledger, chosen: Sequence[Letter], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Remove the bytes of dead letters for good, from the inbox and the journal; hold the lock of one with an inbox.

    Position, reason, length and hash stay, and what Kafka keeps of them. Raises `BadPosition` where one was dropped
    before.
    """
    for letter in chosen:
        if letter.state == DROPPED:
            raise BadPosition(f"{letter.position} was dropped before")
    has_inbox = ledger.settings.stream == INBOX
    inbox = open_inbox(ledger) if has_inbox else None
    try:
        for letter in chosen:
            detail = f"its bytes were dropped by an operator at {now().isoformat(timespec='seconds')}"
            if inbox is not None:
                inbox.drop(letter.partition, letter.offset, letter.length, letter.sha256)
            ledger.journal(letter.partition).drop_parked(letter.offset, detail)
    finally:
        if inbox is not None:
            inbox.close()
