"""The owner of a partition: acquire, decide its stream batch by batch, back off after an error, release.

Files, Kafka and the HTTP server use it alike; what an error means to each of them is theirs to say.
"""

from collections.abc import Mapping
from time import perf_counter
from typing import NamedTuple

from consumers.runtime.intake import BATCH, Intake
from consumers.runtime.outcomes import DecidedRecord
from consumers.runtime.retry import Backoff
from consumers.stream import Stream
from ledger.journal.failpoints import failpoint
from ledger.journal.ledger import Ledger
from ledger.journal.partition import PartitionWriter, Tally
from ledger.journal.partitioning import Partitioner
from ledger.wire.facts import Fact


class Step(NamedTuple):
    """A decided batch up to the offset `position`, with the seconds that each stage took.

    `decided` are the wanted records of it.
    """

    position: int
    records: int
    bytes: int
    tally: Tally
    decided: list[DecidedRecord]
    fetch: float
    decode: float
    decide: float
    store: float


class PartitionOwner:
    """A partition that this process may own. `last_error` is empty while the last turn succeeded.

    `batch` is the most records of a transaction; `wanted` and `decoded` are by offset: see `Intake`.
    """

    def __init__(self, ledger: Ledger, partition: int, *, batch: int = BATCH, backoff: Backoff | None = None) -> None:
        self.partition = partition
        self.backoff = backoff or Backoff()
        self.last_error = ""
        self.has_recovered = False  # the last batch was the first after an error
        self.writer: PartitionWriter | None = None
        self.wanted: Mapping[int, object] = {}
        self.decoded: dict[int, tuple[bytes, Fact]] = {}
        self._ledger = ledger
        self._batch = batch
        self._intake: Intake | None = None

    def acquire(self, stream: Stream, share: float = 1.0) -> PartitionWriter:
        """Become the owner: every earlier one is fenced from here on. Raises `JournalError`.

        `share` is the part of the process's memory for accounts that the partition may use.
        """
        writer = self._ledger.writer(self.partition, share)
        settings = self._ledger.settings
        partitioner = Partitioner(settings.partitions)
        self._intake = Intake(
            stream, writer, settings.operators, partitioner, grantors=settings.grantors, batch=self._batch
        )
        self._intake.wanted, self._intake.decoded = self.wanted, self.decoded
        self.writer = writer
        return writer

    def release(self) -> None:
        """Own the partition no more; what was not committed is decided by the next owner."""
        self.writer = self._intake = None
        self.decoded.clear()

    def turn(self, stream: Stream, share: float = 1.0) -> Step | None:
        """Decide the next batch, acquiring the partition if need be; None if nothing waits or the back-off runs.

        After an error the partition is released and backs off, and the error is raised. Where the batch was committed
        all the same, the next owner finds it so.
        """
        if not self.backoff.is_over():
            return None
        try:
            if self.writer is None:
                self.acquire(stream, share)
            step = self._step()
        except Exception as error:
            self.release()
            self.back_off(error)
            raise
        self.last_error = ""
        if step is not None:
            self.has_recovered = self.backoff.succeeded()
        return step

    def back_off(self, error: Exception) -> None:
        """Do not try again before a growing pause is over."""
        self.last_error = str(error) or type(error).__name__
        self.backoff.failed()

    def _step(self) -> Step | None:
        writer, intake = self.writer, self._intake
        assert writer is not None and intake is not None
        began = perf_counter()
        records = intake.read()
        if not records:
            return None
        failpoint("fetch")
        taken = perf_counter()
        committing, deciding = writer.committing, writer.deciding
        tally = intake.take(records)
        committing, deciding = writer.committing - committing, writer.deciding - deciding
        decided, intake.decided = intake.decided, []
        return Step(
            writer.offset,
            len(records),
            sum(len(record.value) for record in records),
            tally,
            decided,
            fetch=taken - began,
            decode=perf_counter() - taken - committing,
            decide=deciding,
            store=committing - deciding,
        )
