"""Checkpoints that are kept beside the ledger, to prove by: a file each, named by its time and its hash."""

import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ledger.errors import CannotRunNow, NotFound
from ledger.journal.ledger import Ledger
from projections.answers.output import output_file
from projections.audit.proof import BadProof, Refuted
from projections.audit.proof.checkpoint import Signed, check_ledger, read, write
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
    """The checkpoints in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, signed: Signed) -> None:
        """Keep a checkpoint. Raises `Full`, and OSError."""
        path = self._path(name_of(signed))
        if sum(1 for _ in self._files()) >= MOST:
            raise Full(f"{MOST:,} checkpoints are kept in {self._folder}, no more are taken: move old ones away")
        self._folder.mkdir(parents=True, exist_ok=True)
        with output_file(path) as file:
            file.write(write(signed))

    def has(self, name: str) -> bool:
        """Return True if a checkpoint is stored."""
        return self._path(name).exists()

    def get(self, name: str) -> StoredCheckpoint:
        """Return a checkpoint by its name. Raises `NoCheckpoint`, and `BadProof` where its file was changed."""
        path = self._path(name)
        if not _NAME.fullmatch(name) or not path.is_file():
            raise NoCheckpoint("no checkpoint of that name is kept")
        return _kept(path)

    def all(self) -> list[StoredCheckpoint]:
        """Return every checkpoint whose file can be read, the one with the most entries first."""
        found = []
        for path in self._files():
            try:
                found.append(_kept(path))
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

    def _files(self) -> Iterator[Path]:
        return (path for path in self._folder.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.name.removesuffix(SUFFIX)))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"


def name_of(signed: Signed) -> str:
    """Return a name for a checkpoint that no other has: when it was signed, and its hash."""
    when = re.sub("[^0-9T]", "", signed.checkpoint.at)[:15] or "0"
    return f"{when}-{sha256(write(signed)).hexdigest()[:12]}"


def check(ledger: Ledger, signed: Signed, nodes: Path | None, progress: Progress | None = None) -> None:
    """Raise `Refuted` unless a ledger is what a checkpoint signed, link and tree, and `BadProof` for another ledger."""
    check_ledger(ledger, signed)
    for mark in signed.checkpoint.partitions:
        if mark.entries:
            found = next((r.link for r in ledger.journal(mark.partition).scan(mark.entries - 1, mark.entries)), b"")
            if found.hex() != mark.link:
                raise Refuted(
                    f"entry {mark.entries:,} of partition {mark.partition} is not the last that was signed at"
                    f" {signed.checkpoint.at}: run `points verify --checkpoint FILE`"
                )
        agreed(ledger, [(mark, signed)], progress, nodes)


def _kept(path: Path) -> StoredCheckpoint:
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise BadProof(f"{path.name}: {error.strerror}") from None
    return StoredCheckpoint(path.name.removesuffix(SUFFIX), _read(path, stamp))


@lru_cache(MOST)
def _read(path: Path, _: int) -> Signed:
    """Return a checkpoint as its file was when it was last written."""
    return read(path)
