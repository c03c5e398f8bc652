"""Checkpoints that are kept beside the ledger, to prove by: each is named by its time and its hash."""

import re
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ledger.errors import CannotRunNow, NotFound
from ledger.journal.ledger import Ledger
from projections.answers.documents import Documents
from projections.audit.proof import BadProof, Refuted
from projections.audit.proof.checkpoint import MOST_BYTES, Signed, check_ledger, parsed, write
from projections.audit.proof.prove import agreed
from projections.ticking import Progress

MOST = 1_000
SUFFIX = ".checkpoint"
_NAME = re.compile(r"[0-9T]{1,15}-[0-9a-f]{12}")


class Full(CannotRunNow):
    """As many checkpoints are kept as may be."""

    can_retry = False


class NoCheckpoint(NotFound):
    """No checkpoint of that name, or none that covers an entry."""


class StoredCheckpoint(NamedTuple):
    """A checkpoint and its name."""

    name: str
    signed: Signed

    @property
    def entries(self) -> int:
        """How many entries were signed."""
        return sum(mark.entries for mark in self.signed.checkpoint.partitions)


class CheckpointStore:
    """The checkpoints among a ledger's documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def put(self, signed: Signed) -> None:
        """Keep a checkpoint. Raises `Full`, OSError and `JournalError`."""
        if len(self._stamps()) >= MOST:
            place = self._documents.place
            raise Full(f"{MOST:,} checkpoints are kept in {place}, no more are taken: move old ones away")
        self._documents.put(f"{name_of(signed)}{SUFFIX}", write(signed))

    def has(self, name: str) -> bool:
        """Return True if a checkpoint is stored."""
        return name in self._stamps()

    def get(self, name: str) -> StoredCheckpoint:
        """Return a checkpoint by its name. Raises `NoCheckpoint`, and `BadProof` where its file was changed."""
        stamp = self._stamps().get(name)
        if stamp is None:
            raise NoCheckpoint("no checkpoint of that name is kept")
        return StoredCheckpoint(name, _read(self._documents, name, stamp))

    def all(self) -> list[StoredCheckpoint]:
        """Return every checkpoint whose file can be read, the one with the most entries first."""
        found = []
        for name, stamp in self._stamps().items():
            try:
                found.append(StoredCheckpoint(name, _read(self._documents, name, stamp)))
            except BadProof:
                continue  # whoever names it is told what is wrong
        return sorted(found, key=lambda kept: (kept.entries, kept.signed.checkpoint.at), reverse=True)

    def covering(self, partition: int, place: int) -> StoredCheckpoint:
        """Return the newest checkpoint that covers an entry. Raises `NoCheckpoint`."""
        for kept in self.all():
            marks = kept.signed.checkpoint.partitions
            if partition < len(marks) and marks[partition].entries >= place:
                return kept
        raise NoCheckpoint("no checkpoint that is kept covers this entry: `points checkpoint` makes one")

    def _stamps(self) -> dict[str, int]:
        """Return the names of the checkpoints that are kept, with a number that changes with the content."""
        stamps = {file.removesuffix(SUFFIX): stamp for file, stamp in self._documents.stamps().items()}
        return {name: stamp for name, stamp in stamps.items() if _NAME.fullmatch(name)}


def name_of(signed: Signed) -> str:
    """Return a name for a checkpoint that no other has: when it was signed, and its hash."""
    when = re.sub("[^0-9T]", "", signed.checkpoint.at)[:15] or "0"
    return f"{when}-{sha256(write(signed)).hexdigest()[:12]}"


def check(ledger: Ledger, signed: Signed, nodes: Path | None, progress: Progress | None = None) -> None:
    """Raise `Refuted` unless a ledger is what a checkpoint signed, link and tree, and `BadProof` for another ledger."""
    check_ledger(ledger, signed)
    for mark in signed.checkpoint.partitions:
        if mark.entries and ledger.journal(mark.partition).link_at(mark.entries).hex() != mark.link:
            raise Refuted(
                f"entry {mark.entries:,} of partition {mark.partition} is not the last that was signed at"
                f" {signed.checkpoint.at}: run `points verify --checkpoint FILE`"
            )
        agreed(ledger, [(mark, signed)], progress, nodes)


@lru_cache(MOST)
def _read(documents: Documents, name: str, _: int) -> Signed:
    """Return a checkpoint as its document was when it was last written. Raises `BadProof`."""
    place = f"{documents.place}: {name}"
    try:
        content = documents.get(f"{name}{SUFFIX}", MOST_BYTES)
    except OSError as error:
        raise BadProof(f"{place}: {error.strerror}") from None
    return parsed(content or b"", place)
