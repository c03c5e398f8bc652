"""How a file of SQLite is opened, whatever rights there are on it.

A file in WAL mode wants two others beside it. Where they cannot be made, it is read as it lies: which is right only as
long as nobody writes it, so who reads it so looks afterwards whether somebody did.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from ledger.journal.port import Unavailable

BUSY_SECONDS = 30
_State = tuple[int, int, int]  # inode, bytes, time


class Opening(NamedTuple):
    """An address of a file for SQLite; `lies` is the file's state where it is read as it lies."""

    address: str
    is_written: bool
    lies: _State | None = None


def private_database(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Return a connection to a file for its owner's eyes only, made where it is not there; threads may share it.

    Raises `sqlite3.Error` and `OSError`.
    """
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its other files the same rights
    db = sqlite3.connect(path, isolation_level=None, timeout=busy_seconds, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    return db


def opening(path: Path, *, create: bool = False) -> Opening:
    """Return how a file is to be opened now: to write where there are the rights, else to read."""
    path = path.resolve()
    address = path.as_uri()
    if create:
        return Opening(f"{address}?mode=rwc", is_written=True)
    try:
        has_log = path.with_name(f"{path.name}-wal").stat().st_size > 0
    except FileNotFoundError:
        has_log = False
    if os.access(path, os.W_OK) and (has_log or os.access(path.parent, os.W_OK)):
        return Opening(f"{address}?mode=rw", is_written=True)
    if has_log:
        return Opening(f"{address}?mode=ro", is_written=False)
    return Opening(f"{address}?mode=ro&immutable=1", is_written=False, lies=_state_of(path))


def check_it_lies(path: Path, opened: Opening) -> None:
    """Raise `Unavailable` where a file that is read as it lies was written since it was opened."""
    if opened.lies is not None and opened.lies != _state_of(path):
        raise Unavailable(f"{path}: was written while it was read, where nothing can be made beside it: ask again")


@contextmanager
def reading_of(path: Path) -> Iterator[sqlite3.Connection]:
    """Return a connection that only reads a file that is there. Raises `sqlite3.Error`, `Unavailable`.

    It is opened to write where that may be: whoever closes a file last takes the two others beside it away, and one
    that was opened to read cannot.
    """
    opened = opening(path)
    with closing(sqlite3.connect(opened.address, uri=True, isolation_level=None, timeout=BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA query_only=ON")
        yield connection
    check_it_lies(path, opened)


def _state_of(path: Path) -> _State:
    """What changes when a file is written; zeros where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns
