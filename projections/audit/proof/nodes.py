"""The heads of every full block of a partition's tree, kept in a file, so that a proof reads a few thousand leaves.

The files are disposable: whoever uses one compares what it comes to with a signed tree head, and makes it anew where
that fails. A head is always the same at its place, so two processes may write one file.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ledger.journal.ledger import Ledger
from projections.audit.proof.tree import Blocks, Frontier
from projections.ticking import Progress

BLOCK = 1_024  # leaves
HASH_BYTES = 32
KEPT_AFTER = 64  # blocks that were read


def file_of(folder: Path, partition: int) -> Path:
    """Return the file of a partition's heads."""
    return folder / f"partition-{partition}.nodes"


def blocks_of(
    ledger: Ledger, partition: int, upto: int, folder: Path | None, progress: Progress | None = None
) -> Blocks:
    """Return a partition's tree over its first entries; heads that the folder lacks are made, and stored if it can be.

    `progress` hears of the entries that are read for that; what it raises keeps what was read.
    """
    path = None if folder is None else file_of(folder, partition)
    heads = _read(path)
    known = len(heads)
    try:
        for head in _more(ledger, partition, known, upto // BLOCK, progress):
            heads.append(head)
            if len(heads) - known >= KEPT_AFTER:
                _keep(path, known, heads)
                known = len(heads)
    finally:
        _keep(path, known, heads)
    return Blocks(heads[: upto // BLOCK], BLOCK, lambda first, end: leaves_of(ledger, partition, first, end))


def forget(folder: Path, partition: int) -> None:
    """Drop what is kept of a partition."""
    with suppress(OSError):
        file_of(folder, partition).unlink(missing_ok=True)


def leaves_of(ledger: Ledger, partition: int, first: int, end: int) -> Iterator[bytes]:
    """Yield the leaf inputs of a partition from one index (from 0) up to another, in order."""
    if first < end:
        yield from ledger.journal(partition).leaves(first, end)


def _more(ledger: Ledger, partition: int, known: int, wanted: int, progress: Progress | None) -> Iterator[bytes]:
    tree = Frontier()
    for number, leaf in enumerate(leaves_of(ledger, partition, known * BLOCK, wanted * BLOCK), 1):
        tree.add(leaf)
        if tree.size == BLOCK:
            yield tree.head()
            tree = Frontier()
            if progress:
                progress(number)


def _read(path: Path | None) -> list[bytes]:
    try:
        content = path.read_bytes() if path is not None else b""
    except OSError:
        return []
    return [content[at : at + HASH_BYTES] for at in range(0, len(content) - HASH_BYTES + 1, HASH_BYTES)]


def _keep(path: Path | None, known: int, heads: list[bytes]) -> None:
    """Write the heads behind those known; a folder that cannot be written only costs reading them again."""
    if path is None or len(heads) == known:
        return
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            if os.fstat(file).st_size >= known * HASH_BYTES:
                os.pwrite(file, b"".join(heads[known:]), known * HASH_BYTES)
        finally:
            os.close(file)
