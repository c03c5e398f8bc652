"""Whether a stream goes on where a journal stands: the record that the journal took last has to stand there still.

A position means nothing in another stream. A topic or an inbox that was made anew, or another ledger's, has other
records at the same positions, and what stands before the position in it would never be decided.
"""

from hashlib import sha256
from typing import NamedTuple

from consumers.stream import Record
from ledger.errors import CannotRunNow
from ledger.journal.gaps import GAP
from ledger.journal.ledger import INBOX, Ledger
from ledger.journal.port import JournalError
from ledger.journal.sql import Journal
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import position_text

# What an operator can do where the records of a topic are another stream's.
BEGIN_BEHIND = (
    "let its log begin behind what is decided, and send again what is not: docs/kafka.md, Positions that mean another"
    " stream, says how"
)


class NotContinued(CannotRunNow, JournalError):
    """The stream is not the one that fed the journal, or lacks records: which, and the way out."""

    can_retry = False


class LastTaken(NamedTuple):
    """The last record that a journal took: its offset, and the SHA-256 of its whole bytes."""

    offset: int
    sha256: bytes


def last_taken(journal: Journal) -> LastTaken | None:
    """Return the last record that a journal took; None where it took none, or where an accepted gap came last."""
    head = journal.head()
    for letter in journal.parked(head.offset - 1, upto=head.offset, retried=True):
        return LastTaken(letter.offset, letter.sha256) if letter.reason != GAP else None
    for row in journal.scan(max(head.entries - 1, journal.begins), head.entries):
        entry = decode_entry(row.state)
        return LastTaken(entry.offset, entry.received)
    return None


def check_taken(ledger: Ledger, partition: int, taken: LastTaken, found: Record | None) -> None:
    """Raise `NotContinued` unless the record that a stream has there is the one that the journal took.

    A record whose bytes were never kept (an archive was restored) says nothing.
    """
    position = position_text(partition, taken.offset)
    if found is None or found.offset != taken.offset:
        raise NotContinued(f"the stream has no record at {position}, which {ledger.name} took{_way_out(ledger)}")
    digest = found.whole_sha256 or (sha256(found.value).digest() if found.value else b"")
    if digest and taken.sha256 and taken.sha256 not in (digest, found.sent_sha256):
        raise NotContinued(
            f"the record at {position} is another than the one that {ledger.name} took there (SHA-256"
            f" {digest.hex()[:16]}…, and {taken.sha256.hex()[:16]}… was taken){_way_out(ledger)}"
        )


def check_id(ledger: Ledger, known: str, found: str) -> None:
    """Raise `NotContinued` where a journal remembers another stream's id than the one it is to be fed from now."""
    if known and found and known != found:
        raise NotContinued(
            f"the stream's id is {found}, and {ledger.name} was fed from the one with {known}{_way_out(ledger)}"
        )


def _way_out(ledger: Ledger) -> str:
    if ledger.settings.stream == INBOX:
        return (
            ": its inbox was replaced or put back from an older copy. Nothing was decided. Put the newest copy of"
            " the inbox back, or make a ledger that goes on without it: `points archive export`, then `import`"
        )
    return (
        f": the topic {ledger.settings.topic} was made anew, or replaced. Nothing was decided. Restore the topic, point"
        f" the settings at the one that fed this ledger, or {BEGIN_BEHIND}"
    )
