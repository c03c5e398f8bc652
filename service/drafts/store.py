"""The texts of drafts, and their backtests: in a file beside the ledger, for its owner's eyes only, or in its database.

What became of a draft stands in the operators' log, which is sealed; here are the bytes, which are taken only where
they have the SHA-256 that the log names. One backtest runs at a time, in a process that holds a lock while it does: one
that is said to run while nobody holds the lock was interrupted.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ledger.errors import Unusable
from ledger.journal.port import JournalError
from ledger.wire.unreadable import UNREADABLE
from projections.what_if.reports import Report
from service.state_store import BUSY_SECONDS, FileState, Statements, StateStore, put_aside, sharing

FILE = "drafts.db"
ALONE = "drafts"  # with which the process that runs backtests is alone
MOST_SPARE = 200  # texts that no open draft has
MOST_RUNS = 100  # backtests that are kept, of the drafts that were tried last
State = Literal["waiting", "running", "done", "failed", "cancelled", "interrupted"]
GOING: tuple[State, ...] = ("waiting", "running")
_STILL_RUNS = "WHERE draft = ? AND began = ? AND state = 'running'"
_TABLES = (
    "CREATE TABLE IF NOT EXISTS texts (sha256 TEXT PRIMARY KEY, toml BLOB NOT NULL, kept INTEGER NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS backtests (draft TEXT PRIMARY KEY, sha256 TEXT NOT NULL, file TEXT NOT NULL,"
    " by TEXT NOT NULL, since INTEGER, state TEXT NOT NULL, entries INTEGER NOT NULL, total INTEGER NOT NULL,"
    " began INTEGER NOT NULL, ended INTEGER, why TEXT NOT NULL, cancelled_by TEXT NOT NULL, report BLOB,"
    " report_sha256 TEXT NOT NULL) STRICT",
)
_ROW = (  # of a backtest, in the order of the table
    "draft, sha256, file, by, since, state, entries, total, began, ended, why, cancelled_by, report, report_sha256"
)
_PUT = f"INSERT INTO backtests ({_ROW}) VALUES ({', '.join('?' * 14)}) ON CONFLICT (draft) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in _ROW.split(", ")[1:]
)
_COLUMNS = "draft, by, since, state, entries, total, began, ended, why, cancelled_by, report_sha256"


class BadDraft(Unusable):
    """A draft's text that is not there or not as it was kept, or a backtest that cannot be run now."""


class Run(Struct, frozen=True, omit_defaults=True):
    """A backtest of a draft: how far it is, or how it ended. `since` is the instant from which the draft decides.

    `entries` of `total` are decided again so far; `report` is the SHA-256 of what was found.
    """

    draft: str
    by: str
    since: int | None
    state: State
    entries: int
    total: int
    began: int
    ended: int | None = None
    why: str = ""
    cancelled_by: str = ""
    report: str = ""

    @property
    def percent(self) -> int:
        """Return how much of it is done."""
        return min(100, self.entries * 100 // self.total) if self.total else 0


class DraftStore:
    """The texts and backtests of a ledger, in a file of a folder or in its database: several processes may use them."""

    def __init__(self, kept: StateStore) -> None:
        self._state = kept
        self._db: Statements = kept

    @classmethod
    def at(cls, folder: Path) -> "DraftStore":
        """Return those in a folder's file, which is made where there is none. Raises `JournalError`."""
        path = folder / FILE
        try:
            return cls(FileState(path, _TABLES))
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"{path}: {error}") from error

    def adopt(self, folder: Path) -> None:
        """Take in the texts of a folder's file, and the backtests that ended, which is put aside then."""
        if not (folder / FILE).is_file():
            return
        with closing(DraftStore.at(folder)) as old:
            texts = old._db.run("SELECT sha256, toml, kept FROM texts").rows
            runs = old._db.run(f"SELECT {_ROW} FROM backtests WHERE state NOT IN ('waiting', 'running')").rows
        with self.at_once():
            for row in texts:
                self._db.run("INSERT INTO texts VALUES (?, ?, ?) ON CONFLICT DO NOTHING", *row)
            for row in runs:
                self._db.run(_PUT, *row)
        put_aside(folder / FILE)

    # -- texts -------------------------------------------------------------------------------------------------------

    def keep(self, toml: str) -> str:
        """Keep a text, durably; return its SHA-256, by which it is found."""
        data = toml.encode()
        name = sha256(data).hexdigest()
        upsert = "INSERT INTO texts VALUES (?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET kept = excluded.kept"
        self._db.run(upsert, name, data, _now())
        return name

    def text(self, name: str) -> str:
        """Return the text of a SHA-256. Raises `BadDraft` where it is gone or has other bytes."""
        row = self._db.run("SELECT toml FROM texts WHERE sha256 = ?", name).first()
        if row is None:
            raise BadDraft("the draft's text is gone; keep the file again")
        data = bytes(row[0])
        if sha256(data).hexdigest() != name:
            raise BadDraft("the draft's text is not what was kept; keep the file again")
        return data.decode()

    def drop_texts_but(self, names: set[str], before: int) -> None:
        """Drop the texts that nothing needs any more and that were kept before an instant, or are too many."""
        found = self._db.run("SELECT sha256, kept FROM texts ORDER BY kept DESC, sha256").rows
        for place, (name, kept) in enumerate([row for row in found if row[0] not in names]):
            if kept < before or place >= MOST_SPARE:
                self._db.run("DELETE FROM texts WHERE sha256 = ?", name)

    # -- backtests ---------------------------------------------------------------------------------------------------

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Have what is done within be seen by others all at once, or not at all."""
        with self._state.changing("drafts") as db:
            self._db = db
            try:
                yield
            finally:
                self._db = self._state

    def start(self, draft: str, name: str, file: str, by: str, since: int | None) -> list[Run]:
        """Ask for a backtest of the text with a SHA-256; return those that were interrupted before.

        Raises `BadDraft` while another waits or runs.
        """
        with self.at_once():
            going = self.going()
            if going is not None:
                raise BadDraft(f"a backtest of draft {going.draft} runs, begun by {going.by}: wait for it or cancel it")
            left = self.interrupted()
            waiting: State = "waiting"
            self._db.run(_PUT, draft, name, file, by, since, waiting, 0, 0, _now(), None, "", "", None, "")
            self._db.run(
                "DELETE FROM backtests WHERE draft NOT IN (SELECT draft FROM backtests ORDER BY began DESC LIMIT ?)",
                MOST_RUNS,
            )
        return left

    def going(self) -> Run | None:
        """Return the backtest that waits or runs."""
        rows = self._db.run(f"SELECT {_COLUMNS} FROM backtests WHERE state IN ('waiting', 'running')").rows
        return next((run for run in map(self._run, rows) if run.state in GOING), None)

    def run(self, draft: str) -> Run | None:
        """Return the last backtest of a draft; None where there was none."""
        row = self._db.run(f"SELECT {_COLUMNS} FROM backtests WHERE draft = ?", draft).first()
        return None if row is None else self._run(row)

    def report(self, draft: str) -> Report | None:
        """Return what the last backtest of a draft found; None where none has ended well."""
        row = self._db.run("SELECT report FROM backtests WHERE draft = ? AND state = 'done'", draft).first()
        if row is None:
            return None
        try:
            return msgspec.json.decode(bytes(row[0]), type=Report)
        except UNREADABLE:
            return None

    def cancel(self, draft: str, by: str) -> bool:
        """Have the backtest of a draft end; return False where none waits or runs."""
        rows = self._db.run(
            "UPDATE backtests SET state = 'cancelled', ended = ?, cancelled_by = ?"
            " WHERE draft = ? AND state IN ('waiting', 'running')",
            *(_now(), by, draft),
        )
        return rows.changed == 1

    # -- what the process that runs them does ------------------------------------------------------------------------

    def running(self) -> AbstractContextManager[Callable[[], None]]:
        """Wait until no other process runs backtests, and be the one that does, as `StateStore.alone` says."""
        return self._state.alone(ALONE)

    def interrupted(self) -> list[Run]:
        """Mark the backtests that a process began and left, and return them. Nobody else may hold the lock."""
        rows = self._db.run(
            f"UPDATE backtests SET state = 'interrupted', ended = ? WHERE state = 'running' RETURNING {_COLUMNS}",
            _now(),
        ).rows
        return [_run(row) for row in rows]

    def take(self) -> tuple[Run, str, str] | None:
        """Begin the backtest that waits: return it, its text's SHA-256 and its file; None where none does."""
        row = self._db.run(
            "UPDATE backtests SET state = 'running' WHERE draft ="
            f" (SELECT draft FROM backtests WHERE state = 'waiting' LIMIT 1) RETURNING {_COLUMNS}, sha256, file"
        ).first()
        return None if row is None else (_run(row[:-2]), row[-2], row[-1])

    def progress(self, run: Run, entries: int, total: int) -> bool:
        """Say how far a backtest is; return False where it was cancelled."""
        rows = self._db.run(
            f"UPDATE backtests SET entries = ?, total = ? {_STILL_RUNS}", entries, total, run.draft, run.began
        )
        return rows.changed == 1

    def end(self, run: Run, state: State, why: str = "", report: bytes | None = None) -> Run | None:
        """Say how a backtest ended; return it as it is then, or None where it was cancelled before."""
        named = sha256(report).hexdigest() if report is not None else ""
        row = self._db.run(
            "UPDATE backtests SET state = ?, ended = ?, why = ?, report = ?, report_sha256 = ?"
            f" {_STILL_RUNS} RETURNING {_COLUMNS}",
            *(state, _now(), why, report, named, run.draft, run.began),
        ).first()
        return None if row is None else _run(row)

    def close(self) -> None:
        """Close what they are in."""
        self._state.close()

    def _run(self, row: tuple[object, ...]) -> Run:
        found = _run(row)
        if found.state == "running" and not self._state.is_done(ALONE):
            return msgspec.structs.replace(found, state="interrupted")
        return found


@contextmanager
def drafts_in(state: StateStore | None, folder: Path) -> Iterator[DraftStore]:
    """Yield the drafts in shared state, which stays open, or those of a folder. Raises `JournalError`."""
    if state is not None:
        yield DraftStore(state)
        return
    with closing(DraftStore.at(folder)) as found:
        yield found


@contextmanager
def drafts_of(place: str, folder: Path) -> Iterator[DraftStore]:
    """Yield the drafts of a ledger: in its folder, or in its database, which adopts those of the folder.

    Raises `JournalError`.
    """
    with sharing(place) as state, drafts_in(state, folder) as found:
        if state is not None:
            found.adopt(folder)
        yield found


def is_waiting(state: StateStore | None, folder: Path) -> bool:
    """Return True if a backtest waits to be run: in shared state or, where there is none, in a folder."""
    if state is not None:
        return state.run("SELECT 1 FROM backtests WHERE state = 'waiting'").first() is not None
    path = folder / FILE
    if not path.is_file():
        return False
    try:
        db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        try:
            return db.execute("SELECT 1 FROM backtests WHERE state = 'waiting'").fetchone() is not None
        finally:
            db.close()
    except sqlite3.Error:
        return False  # it is just being made


def _run(row: tuple[object, ...]) -> Run:
    return Run(*row)  # type: ignore[arg-type]  # as the columns are


def _now() -> int:
    return time.time_ns() // 1000
