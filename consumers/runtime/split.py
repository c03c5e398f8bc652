"""A ledger split into more partitions: its journals and its inbox, while it is decided on and then for a moment not."""

import shutil
from collections.abc import Callable
from contextlib import closing
from time import monotonic, sleep
from typing import Final, NamedTuple

from consumers.local.open import grow_inbox
from consumers.runtime.ingest import decide_all
from ledger.errors import CannotRunNow
from ledger.journal.folder import MAKING
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from ledger.journal.port import Unavailable
from ledger.journal.splitting import SHORT, Split, plan

ROUNDS: Final = 10  # of copying while deciding goes on, at most
PATIENCE_SECONDS: Final = 120.0  # until nothing waits in the inbox or the topic
LOOK_SECONDS: Final = 0.5  # between two looks at that
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


def split(
    ledger: Ledger, times: int, progress: Progress = lambda _: None, has_undecided: Callable[[], bool] = lambda: False
) -> Grown:
    """Split a ledger's partitions; killed anywhere, the same again goes on from there. Close the ledger after that.

    `has_undecided` says whether a stream that others decide has more: that is waited for. Raises `WrongUse`,
    `CannotRunNow` where that goes on, and `LedgerLocked` where another process writes the ledger, with all that can be
    copied so copied.
    """
    if ledger.has_split_to_end():
        with ledger.writing():
            ledger.end_split()
            _clear_away(ledger)
        return Grown(ledger.settings.grown[-1].partitions, ledger.settings.partitions, ledger.count(), 0.0, True)
    planned = plan(ledger, times)
    new = range(planned.before, planned.after)
    with ledger.making(new) as made:
        job = Split(ledger, times, made)
        for _ in range(ROUNDS):
            if job.copy(progress) <= SHORT:
                break
        with ledger.writing():
            if not job.is_closing():  # by an earlier run: then nobody decides until this one has ended
                _await_end(ledger, has_undecided)
            _grow_inbox(ledger, planned.after)
            stopped = monotonic()
            job.close()
            settings = job.end()
            for journal in made.values():
                journal.close()
            ledger.grow(settings, new)
            with closing(open_ledger(ledger.place)) as grown:
                grown.end_split()
            _clear_away(ledger)
            return Grown(planned.before, planned.after, planned.entries, monotonic() - stopped)


def _clear_away(ledger: Ledger) -> None:
    if ledger.folder is not None:
        shutil.rmtree(ledger.folder / MAKING, ignore_errors=True)


def _await_end(ledger: Ledger, has_undecided: Callable[[], bool]) -> None:
    """Wait until all that its topic has is decided by its consumers. Raises `CannotRunNow`."""
    until = monotonic() + PATIENCE_SECONDS
    while has_undecided():
        if not ledger.is_shared or monotonic() > until:
            raise CannotRunNow(
                f"{ledger.name}: records stand in the topic {ledger.settings.topic} that are not decided, and behind a"
                " split some would stand in a wrong partition: stop the producers, let `points consume` decide what is"
                " there, and run the same command again"
            )
        sleep(LOOK_SECONDS)


def _grow_inbox(ledger: Ledger, partitions: int) -> None:
    """Decide what waits, and give the inbox its new partitions. Raises `Unavailable` where more comes all the time."""
    until = monotonic() + PATIENCE_SECONDS
    while not grow_inbox(ledger, partitions):
        if monotonic() > until:
            raise Unavailable(
                f"{ledger.name}: more waits in its inbox than is decided, for {PATIENCE_SECONDS:.0f} s; all that can be"
                " copied so is copied: run the same command again when less comes in"
            )
        decide_all(ledger)
