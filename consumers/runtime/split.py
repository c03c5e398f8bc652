"""A ledger split into more partitions: its journals and its inbox, while it is decided on and then for a moment not."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from time import monotonic
from typing import NamedTuple

from consumers.local.sqlite import SQLiteInbox, has_partitions
from consumers.runtime.ingest import decide_all
from ledger.errors import WrongUse, may_pass
from ledger.journal.folder import MAKING, FolderLedger
from ledger.journal.ledger import KAFKA, Ledger
from ledger.journal.port import Damaged, Unavailable
from ledger.journal.splitting import SHORT, Split, plan

ROUNDS = 10  # of copying while deciding goes on, at most
Progress = Callable[[int], None]  # entries looked at


class Grown(NamedTuple):
    """What a split did: partitions before and after, the entries there are, and for how many seconds none was decided.

    `went_on` says that it only ended one that had been killed.
    """

    before: int
    after: int
    entries: int
    stopped_seconds: float
    went_on: bool = False


def check_splittable(ledger: Ledger) -> None:
    """Raise `WrongUse` for a ledger that cannot be split here."""
    if ledger.settings.stream == KAFKA:
        raise WrongUse(
            f"{ledger.name} is fed by Kafka: its topic would have to grow with it, which `points split` does not do yet"
        )
    if not isinstance(ledger, FolderLedger):
        raise WrongUse(f"{ledger.name} is in a database: `points split` splits ledgers in folders")


def split(ledger: Ledger, times: int, progress: Progress = lambda _: None) -> Grown:
    """Split a ledger's partitions; killed anywhere, the same again goes on from there. Close the ledger after that.

    Raises `WrongUse`, and `LedgerLocked` where another process writes it, with all that can be copied so copied.
    """
    check_splittable(ledger)
    assert isinstance(ledger, FolderLedger)
    if ledger.has_split_to_end():
        with ledger.writing():
            ledger.end_split()
            shutil.rmtree(ledger.folder / MAKING, ignore_errors=True)
        last = ledger.settings.grown[-1].partitions
        return Grown(last, ledger.settings.partitions, ledger.count(), 0.0, went_on=True)
    planned = plan(ledger, times)
    new = range(planned.before, planned.after)
    with ledger.making(new) as made:
        job = Split(ledger, times, made)
        for _ in range(ROUNDS):
            if job.copy(progress) <= SHORT:
                break
        with ledger.writing():
            stopped = monotonic()
            _grow_inbox(ledger, planned.after)
            job.close()
            settings = job.end()
            for journal in made.values():
                journal.close()
            ledger.grow(settings, new)
            _reopen(ledger)
            shutil.rmtree(ledger.folder / MAKING, ignore_errors=True)
            return Grown(planned.before, planned.after, planned.entries, monotonic() - stopped)


def _reopen(ledger: FolderLedger) -> None:
    """Let the ledger that has grown be decided on."""
    with closing(FolderLedger.at(ledger.folder)) as grown:
        grown.end_split()


def _grow_inbox(ledger: FolderLedger, partitions: int) -> None:
    """Decide what waits, and give the inbox its new partitions."""
    try:
        if not ledger.is_inbox_made or has_partitions(ledger.inbox, partitions):
            return
    except sqlite3.Error as error:
        raise (Unavailable if may_pass(error) else Damaged)(f"{ledger.inbox}: {error}") from error
    while True:
        decide_all(ledger)
        decided = [ledger.journal(partition).head().offset for partition in ledger.partitions]
        with closing(SQLiteInbox(ledger.inbox, ledger.settings.partitions)) as inbox:
            if inbox.grow(partitions, decided):
                break
