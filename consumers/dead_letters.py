"""Dead letters: looked at, mended, redriven through the inbox, or dropped; a trace always stays.

Driving again appends the bytes at a new position and decides them there; only then is the old one marked. A
crash in between leaves it waiting, and what was decided twice is a duplicate.
"""

from base64 import b64encode
from collections.abc import Sequence
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from msgspec import UNSET

from consumers.feeding import Feeding
from consumers.files.loader import is_of_a_ledger
from consumers.local.open import open_inbox
from consumers.runtime.ingest import decide_all
from consumers.runtime.outcomes import outcome_at
from consumers.stream import BACKLOG, OUTSIDE
from ledger.errors import NotFound
from ledger.journal.gaps import GAP
from ledger.journal.ledger import INBOX, Ledger
from ledger.wire import answers
from ledger.wire.entry_json import parse_position, position_text
from ledger.wire.facts import MAX_BYTES
from ledger.wire.times import Zone, to_text

WAITING, RETRIED, DROPPED = "waiting", "retried", "dropped"


class BadPosition(NotFound):
    """A position that names no dead letter, or one with which this cannot be done: why, and the way out."""


class StoredDeadLetter(NamedTuple):
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
        """Return whether it waits, or what was done with it."""
        return WAITING if not self.is_done else RETRIED if self.raw else DROPPED

    @property
    def position(self) -> str:
        """Return the position as it is written: ``partition:offset``."""
        return position_text(self.partition, self.offset)

    @property
    def is_whole(self) -> bool:
        """Return True if all bytes were kept."""
        return len(self.raw) == self.length and sha256(self.raw).digest() == self.sha256

    def described(self, zone: Zone) -> answers.DeadLetter:
        """Return the dead letter as it is told; `zone` is the book's."""
        return answers.DeadLetter(
            self.position,
            self.reason,
            self.detail,
            to_text(self.recorded, zone),
            self.length,
            self.sha256.hex(),
            b64encode(self.raw).decode(),
            self.state == RETRIED,
            self.state == DROPPED,
        )


def dead_letters_of(
    ledger: Ledger, *, every: bool = False, limit: int | None = None, after: tuple[int, int] = (0, -1)
) -> list[StoredDeadLetter]:
    """Return up to `limit` dead letters behind the position `after`: those that wait, or (`every`) all."""
    found: list[StoredDeadLetter] = []
    for partition in ledger.partitions[after[0] :]:
        room = None if limit is None else limit - len(found)
        behind = after[1] if partition == after[0] else -1
        parked = ledger.journal(partition).parked(behind, room, retried=every)
        found.extend(StoredDeadLetter(partition, *p) for p in parked)
    return found


def dead_letter_at(ledger: Ledger, position: str) -> StoredDeadLetter:
    """Return the dead letter at a position. Raises `BadPosition`."""
    place = parse_position(position)
    if place is None:
        raise BadPosition(f'"{position[:100]}" is no position such as 0:17; `points dead-letters list` shows them')
    partition, offset = place
    if partition in ledger.partitions:
        for letter in ledger.journal(partition).parked(offset - 1, upto=offset, retried=True):
            return StoredDeadLetter(partition, *letter)
    raise BadPosition(f"nothing is parked at {position}; `points dead-letters list` shows what is")


def retry(
    ledger: Ledger,
    chosen: Sequence[StoredDeadLetter],
    feeding: Feeding,
    mended: bytes | None = None,
    *,
    backlog: bool = False,
) -> list[answers.Retried]:
    """Redrive dead letters (one with `mended` bytes); return where each stands, and what became of those decided here.

    Those of an inbox are decided here, as old as they came: hold the ledger's lock around it. Consumers of Kafka decide
    theirs, by `backlog` as old ones. Raises `BadPosition` before anything is done, `CannotDecide`, `JournalError`.
    """
    for letter in chosen:
        check_retry(ledger, letter, mended)
    has_inbox, told = ledger.settings.stream == INBOX, []
    places = [
        feeding.take(letter.raw if mended is None else mended, is_old=backlog or was_backlog(ledger, letter))[0]
        for letter in chosen
    ]
    if has_inbox:
        decide_all(ledger)
    for letter, place in zip(chosen, places, strict=True):
        ledger.journal(letter.partition).mark_retried([letter.offset])
        fate = outcome_at(ledger, *place) if has_inbox else None
        told.append(describe_retried(letter.position, position_text(*place), fate))
    return told


def was_backlog(ledger: Ledger, letter: StoredDeadLetter) -> bool:
    """Return True if a dead letter's record in the inbox was one of a backlog; what is in a topic is sent anew."""
    return bool(_came(ledger, letter) & BACKLOG)


def _came(ledger: Ledger, letter: StoredDeadLetter) -> int:
    """Return what the record of a dead letter in the inbox says of how it came; 0 of one in a topic."""
    if ledger.settings.stream != INBOX:
        return 0
    with closing(open_inbox(ledger)) as inbox:
        record = inbox.record(letter.partition, letter.offset)
    return record.backlog if record else 0


def describe_retried(position: str, retried_as: str, fate: answers.Fate | None) -> answers.Retried:
    """Return what is told of a dead letter that was redriven, and of what became of it where that is known."""
    if fate is None:
        return answers.Retried(position, retried_as)
    detail = fate.detail if isinstance(fate, answers.DeadLettered) else UNSET
    return answers.Retried(position, retried_as, fate.outcome, fate.reason, detail)


def check_retry(ledger: Ledger, letter: StoredDeadLetter, mended: bytes | None) -> None:
    """Raise `BadPosition` where a dead letter cannot be redriven (with `mended` bytes)."""
    _check_record(letter)
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
    is_outside = mended is not None or _came(ledger, letter) & OUTSIDE
    if is_outside and is_of_a_ledger(letter.raw if mended is None else mended):
        raise BadPosition(
            f"{letter.position} says an account of a ledger left it, and came in a file or by hand: it is not redriven"
        )


def _check_record(letter: StoredDeadLetter) -> None:
    if letter.reason == GAP:
        raise BadPosition(
            f"{letter.position} stands for positions without records that an operator accepted; there is nothing to"
            " send or to remove, and it stays for auditors. Records that were found again are sent by `points produce`"
        )


def drop(ledger: Ledger, chosen: Sequence[StoredDeadLetter]) -> None:
    """Remove the bytes of dead letters for good, from the inbox and the journal; hold the lock of one with an inbox.

    Position, reason, length and hash stay, and what Kafka keeps of them. Raises `BadPosition` where one was dropped
    before.
    """
    for letter in chosen:
        _check_record(letter)
        if letter.state == DROPPED:
            raise BadPosition(f"{letter.position} was dropped before")
    has_inbox = ledger.settings.stream == INBOX
    with closing(open_inbox(ledger)) if has_inbox else nullcontext() as inbox:
        for letter in chosen:
            detail = f"its bytes were dropped by an operator at {datetime.now(UTC).isoformat(timespec='seconds')}"
            if inbox is not None:
                inbox.drop(letter.partition, letter.offset, letter.length, letter.sha256)
            ledger.journal(letter.partition).drop_parked(letter.offset, detail)
