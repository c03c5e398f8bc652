"""Files into decided entries: one process feeds the inbox, the partitions are decided here or by worker processes."""

import gc
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.connection import Connection
from typing import BinaryIO

from consumers.files.loader import BadFile, FileLoader, is_stream, router_into, source_of
from consumers.local.open import open_inbox
from consumers.local.port import Inbox
from consumers.runtime.shared import ClaimedPartition
from ledger.errors import CannotRunNow
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from ledger.journal.partition import Tally
from ledger.journal.port import Fenced, JournalError
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

    @property
    def records(self) -> int:
        """Records decided: entries, and dead letters."""
        return self.entries + self.tally.parked


Progress = Callable[[int, int], None]  # lines read so far, records decided so far


def ingest(
    ledger: Ledger,
    files: Sequence[str],
    *,
    backlog: bool,
    jobs: int = 1,
    progress: Progress | None = None,
    opened: Mapping[str, BinaryIO] | None = None,
) -> Summary:
    """Feed files to a ledger's inbox and decide all that waits there; hold the ledger's lock around it.

    Partitions that another process has claimed are decided there, and waited for. `opened` are streams among the files
    that somebody has opened already.

    Raises `files.BadFile` after what stands before the damage was decided, and `CannotDecide`.
    """
    started = time.monotonic()
    summary = Summary()
    inbox = open_inbox(ledger, feeding=True)
    ours, others = _waiting(ledger, inbox, files)
    parts = [(ledger.place, part) for job in range(jobs) if (part := ledger.partitions[job::jobs])]
    deciders = Workers(_work, parts, outlast=(Exception,)) if jobs > 1 else _InProcess(ledger, ledger.partitions)
    router = router_into(inbox, ledger.settings.operators, backlog=backlog, is_outside=True)
    feeder = FileLoader(inbox, router, opened)
    damaged: BadFile | None = None
    try:
        with quiet_collector():
            try:
                for name in files:
                    for lines, _, is_skipped in feeder.feed(name):
                        summary.facts += lines
                        summary.skipped += lines if is_skipped else 0
                        for tally in deciders.messages(0):
                            summary.tally.add(tally)
                        if progress:
                            progress(summary.facts, summary.records)
            except BadFile as error:
                damaged = error  # what stands before the damage is in, and is decided
            deciders.send("drain")
            for tally in chain(deciders.messages(), _left_over(ledger, jobs)):
                summary.tally.add(tally)
                if progress:
                    progress(summary.facts, summary.records)
    finally:
        deciders.close(END_SECONDS)
        inbox.close()
    if damaged is not None:
        raise damaged
    summary.skipped -= ours
    summary.facts += others
    summary.seconds = time.monotonic() - started
    return summary


def _left_over(ledger: Ledger, jobs: int) -> Iterator[Tally]:
    """Decide what workers left for accounts of a partition whose own worker had ended by then."""
    if jobs > 1:
        with closing(_InProcess(ledger, ledger.partitions)) as here:
            here.send("drain")
            yield from here.messages()


def _waiting(ledger: Ledger, inbox: Inbox, files: Sequence[str]) -> tuple[int, int]:
    """Return how many records an earlier run fed and did not come to decide: of these files, and of others."""
    ours = others = 0
    feeds = [inbox.feeds_of(source_of(name))[:1] for name in files if not is_stream(name)]
    for p in ledger.partitions:
        try:
            position = ledger.journal(p).head().offset
        except JournalError:
            continue  # it is not decided now
        if waiting := inbox.end(p) - position:
            of_files = sum(inbox.count_after(p, position, feed[0].number) for feed in feeds if feed)
            ours += of_files
            others += waiting - of_files
    return ours, others


def decide_all(ledger: Ledger) -> None:
    """Decide what waits in any partition, here or where it is claimed. Raises `CannotDecide`."""
    with closing(_InProcess(ledger, ledger.partitions)) as here:
        here.send("drain")
        for _ in here.messages():
            pass


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Freeze what is there now, and keep the collector out of batches: the hot loop makes no cycles.

    Nothing is collected first: at the start of a command there is next to nothing to collect.
    """
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()


class _InProcess:
    """Decides some partitions in this process, with the methods of `Workers`."""

    def __init__(self, ledger: Ledger, partitions: Sequence[int]) -> None:
        self._inbox = open_inbox(ledger)
        self._claims = ledger.claims()
        share = 1 / len(partitions)
        self._partitions: list[ClaimedPartition] = []
        self._failed: list[Exception] = []  # of each partition that could not be decided
        self._is_last = False
        for p in partitions:
            try:
                self._partitions.append(ClaimedPartition(ledger, self._inbox, self._claims, p, share))
            except JournalError as error:
                self._failed.append(error)

    def messages(self, _seconds: float | None = None) -> Iterator[Tally]:
        """Decide what waits, and yield how each batch came out.

        A partition that cannot be decided is left, and the others go on. Raises `CannotDecide` after the last of them.
        """
        has_more = True
        while has_more:  # what one leaves for accounts of another is decided, too
            has_more = False
            for partition in list(self._partitions):
                try:
                    while (tally := partition.step()) is not None:
                        has_more = True
                        yield tally
                except (Fenced, JournalError, sqlite3.Error, OSError) as error:  # the journal's, and the inbox's own
                    self._partitions.remove(partition)
                    self._failed.append(error)
        if self._failed and (self._is_last or not self._partitions):
            way_out = "what was decided is kept: mend that and run the same command again"
            if all(isinstance(error, Fenced) for error in self._failed):
                way_out = "nothing was lost, run the command again"
            raise CannotDecide(f"{'; '.join(map(str, self._failed))}; {way_out}") from self._failed[0]

    def send(self, _message: str) -> None:
        """Take it that nothing more is fed: `messages` decides what waits and then says what could not be."""
        self._is_last = True

    def close(self, _seconds: float = 0.0) -> None:
        """Let go of the claims and the inbox."""
        self._claims.close()
        self._inbox.close()


def _work(pipe: Connection, place: str, partitions: Sequence[int]) -> None:
    """Decide what comes until told to drain, or until the feeding process is gone."""
    here = _InProcess(open_ledger(place), partitions)  # its claims end with this process
    is_draining = worked = False
    with quiet_collector():
        while not is_draining or worked:
            worked = False
            for tally in here.messages():
                worked = True
                pipe.send(tally)
            if not is_draining and pipe.poll(0 if worked else IDLE_SECONDS):
                here.send(pipe.recv())
                is_draining = worked = True
