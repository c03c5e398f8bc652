"""Files into decided entries: one process feeds the inbox, the partitions are decided here or by worker processes."""

import gc
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from consumers.files.loader import BadFile, FileLoader, is_stream, source_of
from consumers.local.open import open_inbox
from consumers.local.port import Inbox
from consumers.runtime.shared import ClaimedPartition
from ledger.errors import CannotRunNow
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from ledger.journal.partition import Tally
from ledger.journal.port import Claims, Damaged, Fenced, Unavailable
from ledger.journal.processes import Workers

IDLE_SECONDS = 0.005  # between two looks at an inbox that has nothing new
END_SECONDS = 30.0  # for a worker to end by itself


class CannotDecide(CannotRunNow):
    """The work cannot go on now (a full disk, another owner): what happened, and the way out."""


@dataclass(slots=True)
class Summary:
    """What a run did. `facts` are the lines read, `skipped` those of them that were decided before."""

    facts: int = 0
    skipped: int = 0
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0

    @property
    def entries(self) -> int:
        """Entries made."""
        return self.tally.accepted + self.tally.refused + self.tally.ignored


Progress = Callable[[int, int], None]  # lines read so far, records decided so far


def ingest(
    ledger: Ledger, files: Sequence[str], *, backlog: bool, jobs: int = 1, progress: Progress | None = None
) -> Summary:
    """Feed files to a ledger's inbox and decide all that waits there; hold the ledger's lock around it.

    Partitions that another process has claimed are decided there, and waited for.

    Raises `files.BadFile` after what stands before the damage was decided, and `CannotDecide`.
    """
    started = time.monotonic()
    summary = Summary()
    inbox = open_inbox(ledger, feeding=True)
    waiting = _Waiting(ledger, inbox, files)
    deciders = _Workers(ledger, jobs) if jobs > 1 else _InProcess(ledger)
    feeder = FileLoader(inbox, ledger.settings.operators, backlog=backlog)
    damaged: BadFile | None = None
    try:
        try:
            for name in files:
                for lines, _, is_skipped in feeder.feed(name):
                    summary.facts += lines
                    if is_skipped:
                        summary.skipped += lines
                    deciders.decide_some()
                    if progress:
                        progress(summary.facts, deciders.decided)
        except BadFile as error:
            damaged = error  # what stands before the damage is in, and is decided
        summary.tally = deciders.drain(lambda decided: progress(summary.facts, decided) if progress else None)
    finally:
        deciders.close()
        inbox.close()
    if damaged is not None:
        raise damaged
    summary.skipped -= waiting.ours
    summary.facts += waiting.others
    summary.seconds = time.monotonic() - started
    return summary


class _Waiting:
    """What an earlier run fed and did not come to decide: records of these files, and of others."""

    def __init__(self, ledger: Ledger, inbox: Inbox, files: Sequence[str]) -> None:
        self.ours = self.others = 0
        positions = {p: ledger.journal(p).head().offset for p in ledger.partitions}
        feeds = [inbox.feeds_of(source_of(name))[:1] for name in files if not is_stream(name)]
        for p, position in positions.items():
            waiting = inbox.end(p) - position
            ours = sum(inbox.count_after(p, position, feed[0].number) for feed in feeds if feed) if waiting else 0
            self.ours += ours
            self.others += waiting - ours


def claimed_partitions(
    ledger: Ledger, inbox: Inbox, claims: Claims, partitions: Sequence[int]
) -> Sequence[ClaimedPartition]:
    """Some partitions of an inbox, which share this process's memory."""
    return [ClaimedPartition(ledger, inbox, claims, partition, 1 / len(partitions)) for partition in partitions]


def decide_waiting(partitions: Sequence[ClaimedPartition], on_batch: Callable[[Tally], None]) -> bool:
    """Decide what waits in some partitions; return True if there was anything. Raises `CannotDecide`."""
    worked = False
    try:
        for partition in partitions:
            while (tally := partition.step()) is not None:
                worked = True
                on_batch(tally)
    except Fenced as error:
        raise CannotDecide(f"{error}; nothing was lost, run the command again") from error
    except (Damaged, Unavailable, sqlite3.Error, OSError) as error:  # the journal's, and the inbox's own
        raise CannotDecide(f"{error}; what was decided is kept: mend that and run the same command again") from error
    return worked


def decide_all(ledger: Ledger, inbox: Inbox) -> None:
    """Decide what waits in any partition, here or where it is claimed. Raises `CannotDecide`."""
    with closing(ledger.claims()) as claims:
        decide_waiting(claimed_partitions(ledger, inbox, claims, ledger.partitions), lambda _tally: None)


def quiet_collector() -> None:
    """The hot loop makes no cycles: what is there now is frozen, and the collector stays out of a batch."""
    gc.collect()
    gc.freeze()
    gc.disable()


def wake_collector() -> None:
    """Undo `quiet_collector`."""
    gc.unfreeze()
    gc.enable()


class _InProcess:
    """Decides in this process, after each chunk that was fed."""

    def __init__(self, ledger: Ledger) -> None:
        self._inbox = open_inbox(ledger)
        self._claims = ledger.claims()
        self._partitions = claimed_partitions(ledger, self._inbox, self._claims, ledger.partitions)
        self._tally = Tally()
        quiet_collector()

    @property
    def decided(self) -> int:
        return _total(self._tally)

    def decide_some(self) -> None:
        decide_waiting(self._partitions, self._tally.add)

    def drain(self, on_batch: Callable[[int], None]) -> Tally:
        def count(tally: Tally) -> None:
            self._tally.add(tally)
            on_batch(_total(self._tally))

        decide_waiting(self._partitions, count)
        return self._tally

    def close(self) -> None:
        self._claims.close()
        self._inbox.close()
        wake_collector()


class _Workers:
    """Decides in worker processes, each the owner of some partitions, while this one goes on feeding."""

    def __init__(self, ledger: Ledger, jobs: int) -> None:
        shares = [list(ledger.partitions)[job::jobs] for job in range(min(jobs, ledger.settings.partitions))]
        self._tally = Tally()
        self._workers = Workers(_work, [(ledger.place, share) for share in shares])

    @property
    def decided(self) -> int:
        return _total(self._tally)

    def decide_some(self) -> None:
        for tally in self._workers.messages(0):
            self._tally.add(tally)

    def drain(self, on_batch: Callable[[int], None]) -> Tally:
        self._workers.send("drain")
        for tally in self._workers.messages():
            self._tally.add(tally)
            on_batch(_total(self._tally))
        return self._tally

    def close(self) -> None:
        self._workers.close(END_SECONDS)


def _work(pipe: Connection, place: str, partitions: list[int]) -> None:
    """Decide what comes until told to drain, or until the feeding process is gone."""
    ledger = open_ledger(place)
    inbox = open_inbox(ledger)
    claimed = claimed_partitions(ledger, inbox, ledger.claims(), partitions)  # its claims end with this process
    quiet_collector()
    draining = False
    while True:
        worked = decide_waiting(claimed, pipe.send)
        if draining and not worked:
            return
        if pipe.poll(0 if worked else IDLE_SECONDS):
            pipe.recv()
            draining = True


def _total(tally: Tally) -> int:
    return tally.accepted + tally.refused + tally.ignored + tally.parked
