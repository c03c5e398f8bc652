"""The owner of a partition: acquire, decide its stream batch by batch, back off after an error, release.

Files, Kafka and the HTTP server use it alike; what an error means to each of them is theirs to say.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import perf_counter

from consumers import clock
from consumers.local.port import Append, Inbox
from consumers.runtime.continuity import LastTaken, check_id, check_taken, last_taken
from consumers.runtime.events import MOST_PARKED, Decided, Parked
from consumers.runtime.follow_ups import FollowUps
from consumers.runtime.intake import Intake, Sources, dead_lettered
from consumers.runtime.outcomes import DecidedRecord
from consumers.runtime.retry import Backoff
from consumers.stream import Record, Stream
from ledger.journal.failpoints import failpoint
from ledger.journal.ledger import INBOX, Ledger
from ledger.journal.partition import FactRecord, PartitionWriter, Tally, Undecidable
from ledger.journal.partitioning import Partitioner
from ledger.journal.port import DeadLetter, JournalError, StoredRow
from ledger.wire.fact_codec import BadFact
from ledger.wire.facts import Fact
from ledger.wire.times import SECOND

BATCH = 8_000  # records, and
BATCH_BYTES = 8 << 20  # of them, in one transaction at most


class PartitionOwner:
    """A partition that this process may own. `last_error` is empty while the last turn succeeded.

    `batch` is the most records of a transaction. `decoded` holds facts by offset, with their bytes, that were decoded
    before they were appended: they are not decoded again. `wanted` holds offsets; what is decided at one of them is put
    into `decided`.
    """

    def __init__(self, ledger: Ledger, partition: int, *, batch: int = BATCH, backoff: Backoff | None = None) -> None:
        self.partition = partition
        self.backoff = backoff or Backoff()
        self.last_error = ""
        self.has_recovered = False  # the last batch was the first after an error
        self.writer: PartitionWriter | None = None
        self.on_entries: Callable[[Sequence[StoredRow]], None] | None = None  # called with what was just committed
        self.wanted: Mapping[int, object] = {}
        self.decoded: dict[int, tuple[bytes, Fact]] = {}
        self.decided: list[DecidedRecord] = []
        self.ahead_until = 0  # the last `recorded` where it is later than the clock by much, else 0
        self.taken: LastTaken | None = None  # the last record of the journal, until the stream has shown to have it
        self.known = -1  # the last offset that this process knows to have been committed
        self.told: dict[int, int] = {}  # partition -> last offset of follow-ups appended there, until somebody looks
        self._follow_ups: FollowUps | None = None
        self._parked: tuple[Parked, ...] = ()  # the first of the last batch
        self._inbox_id = ""  # of the inbox that was seen to be the journal's
        self._ledger = ledger
        self._batch = batch
        settings = ledger.settings
        born_in = Partitioner(ledger.born_partitions)
        self._intake = Intake(partition, Partitioner(settings.partitions), Sources.of(settings), born_in)

    def acquire(self, share: float = 1.0) -> PartitionWriter:
        """Become the owner: every earlier one is fenced from here on. Raises `JournalError`.

        `share` is the part of the process's memory for accounts that the partition may use.
        """
        self.writer = self._ledger.writer(self.partition, share)
        self.writer.on_entries = self._committed
        if self.writer.native is not None:
            self._intake = self._intake.with_native(self.writer.native.module)
        self.taken = last_taken(self.writer.journal)
        self._follow_ups = FollowUps(self._ledger, self.partition)
        self._inbox_id = ""
        return self.writer

    def release(self) -> None:
        """Own the partition no more; what was not committed is decided by the next owner."""
        self.writer = None
        self.decoded.clear()
        self.decided.clear()

    def turn(self, stream: Stream, share: float = 1.0) -> Decided | None:
        """Decide the next batch, acquiring the partition if need be; None if nothing waits or the back-off runs.

        After an error the partition is released and backs off, and the error is raised. Where the batch was committed
        all the same, the next owner finds it so.
        """
        if not self.backoff.is_over():
            return None
        try:
            if self.writer is None:
                self.acquire(share)
            batch = self.step(stream)
        except Exception as error:
            self.release()
            self.back_off(error)
            raise
        self.last_error = ""
        if batch is not None:
            self.has_recovered = self.backoff.succeeded()
        return batch

    def back_off(self, error: Exception) -> None:
        """Do not try again before a growing pause is over."""
        self.last_error = str(error) or type(error).__name__
        self.backoff.failed()

    def step(self, stream: Stream) -> Decided | None:
        """Decide the next batch of a partition that is owned; None where nothing waits.

        Raises `NotContinued` where the stream has another record than the journal at its position, or lacks it.
        """
        writer = self.writer
        assert writer is not None
        began = perf_counter()
        if self.taken is not None and not self._is_continued_by(stream, self.taken):
            return None
        if isinstance(stream, Inbox):
            self._check_inbox(writer, stream)
            self.tell(stream.append)
        records = stream.read(self.partition, writer.offset, self._batch, BATCH_BYTES)
        if not records:
            return None
        failpoint("fetch")
        taken = perf_counter()
        committing, deciding = writer.committing, writer.deciding
        tally = self.take(writer, records)
        self.known = writer.offset
        if isinstance(stream, Inbox):
            with suppress(JournalError, sqlite3.Error, OSError):  # the batch stands; the next step tries again
                self.tell(stream.append)
        committing, deciding = writer.committing - committing, writer.deciding - deciding
        now, last = clock.now(), records[-1].recorded
        ahead = clock.seconds_ahead(last, now)
        self.ahead_until = last if ahead else 0
        return Decided(
            self.partition,
            writer.offset,
            now / SECOND,
            len(records),
            sum(len(record.value) for record in records),
            tally,
            fetch=taken - began,
            decode=perf_counter() - taken - committing,
            decide=deciding,
            store=committing - deciding,
            ahead=ahead,
            parked=self._parked,
        )

    @property
    def has_to_tell(self) -> bool:
        """Return True if entries may have left follow-ups that are not appended yet, or if `tell` has to remember."""
        return self._follow_ups is not None and self._follow_ups.may_have_more

    def tell(self, append: Append) -> None:
        """Append what entries of this partition left for other accounts. Raises as `append` does."""
        if self._follow_ups is not None:
            self.told |= self._follow_ups.send(append)

    def _check_inbox(self, writer: PartitionWriter, inbox: Inbox) -> None:
        """Raise `NotContinued` for another inbox than the journal's, whose id it keeps from the first time on."""
        if self._inbox_id:
            return
        found, known = inbox.id, writer.journal.stream
        check_id(self._ledger, known, found)
        if found and not known:
            writer.bind(found)
        self._inbox_id = found

    def _is_continued_by(self, stream: Stream, taken: LastTaken) -> bool:
        """Return True if the stream has the record that the journal took last, False where it has not come yet."""
        found = stream.read(self.partition, taken.offset - 1, 1)
        if not found and self._ledger.settings.stream != INBOX:
            return False  # it was not fetched yet
        check_taken(self._ledger, self.partition, taken, found[0] if found else None)
        self.taken = None
        return True

    def take(self, writer: PartitionWriter, records: Sequence[Record]) -> Tally:
        """Decide records that stand next in the partition; return how they came out."""
        facts, parked = self._intake.take(records, self.decoded)
        last = records[-1]
        tally = Tally()
        while True:
            try:
                tally.add(writer.commit(facts, parked, last.offset, last.recorded))
            except Undecidable as bug:
                tally.add(bug.tally)
                done = writer.offset
                self._keep_wanted_dead_letters(parked, done)
                record = next(record for record in records if record.offset == bug.offset)
                why = BadFact("undecidable", f"{bug}; report it, and retry once that is mended")
                facts = [fact for fact in facts if fact.offset > done and fact.offset != bug.offset]
                parked = [letter for letter in parked if letter.offset > done] + [dead_lettered(record, why)]
                parked.sort(key=lambda letter: letter.offset)
            else:
                self._keep_wanted_dead_letters(parked, last.offset)
                told = parked[:MOST_PARKED]
                self._parked = tuple(Parked(letter.offset, letter.reason, letter.detail) for letter in told)
                return tally

    def _committed(self, facts: Sequence[FactRecord], rows: Sequence[StoredRow]) -> None:
        if self._follow_ups is not None:
            self._follow_ups.take(rows)
        if self.wanted:
            for fact, (_, _, _, state, link, _) in zip(facts, rows, strict=True):
                if fact.offset in self.wanted:
                    self.decided.append(DecidedRecord(fact.offset, state, link))
        if self.on_entries is not None:
            self.on_entries(rows)

    def _keep_wanted_dead_letters(self, parked: Sequence[DeadLetter], upto: int) -> None:
        """Keep the wanted ones of those that were committed by now."""
        if self.wanted:
            self.decided.extend(
                DecidedRecord(letter.offset, letter, b"")
                for letter in parked
                if letter.offset <= upto and letter.offset in self.wanted
            )
