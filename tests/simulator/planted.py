"""Bugs that are planted to see that they are found: each a mistake that somebody could make in the product."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from consumers.kafka import publisher
from consumers.kafka.consume import Consumer
from consumers.kafka.publisher import Flow, Outcomes
from consumers.local.sqlite import SQLiteInbox
from consumers.runtime.owner import PartitionOwner
from ledger.core import evolve
from ledger.core.decide import Decision
from ledger.journal.partition import PartitionWriter
from ledger.journal.port import Unavailable
from ledger.journal.snapshots import AccountCache, CachedAccount
from ledger.journal.sql import Batch, Journal
from ledger.journal.sqlite import SQLiteBatch
from ledger.wire.entries import Restored
from service.http.pending import PendingFacts, Resolved

Bug = Callable[[], AbstractContextManager[Any]]


@contextmanager
def a_fence_left_out() -> Iterator[None]:
    """A batch is written whoever owns the partition by now."""
    real = Batch.__init__

    def unfenced(self: Batch, journal: Journal, cursor: Any, entries: int, _token: int | None) -> None:
        real(self, journal, cursor, entries, None)

    with patch.object(Batch, "__init__", unfenced):
        yield


@contextmanager
def a_receipt_skipped() -> Iterator[None]:
    """The last receipt of a batch of several is not written."""
    real = SQLiteBatch.receive

    def skipping(self: SQLiteBatch, receipts: Sequence[Any]) -> dict[int, int]:
        return real(self, receipts[:-1] if len(receipts) > 1 else receipts)

    with patch.object(SQLiteBatch, "receive", skipping):
        yield


@contextmanager
def a_receipt_before_its_entry() -> Iterator[None]:
    """Receipts are committed by themselves, before the entries that they point at."""
    real = PartitionWriter._commit

    def early(self: PartitionWriter, facts: Any, parked: Any, offset: int, recorded: int) -> Any:
        with self.journal.transaction(0, self.token) as batch:
            for sequence, item in enumerate(facts, batch.before + 1):
                row = (batch.source(item.fact.source), item.fact.id, item.fact.subject, sequence)
                batch._rows("INSERT OR IGNORE INTO receipts VALUES (?, ?, ?, ?)", row)
        return real(self, facts, parked, offset, recorded)

    with patch.object(PartitionWriter, "_commit", early):
        yield


@contextmanager
def a_position_moved_early() -> Iterator[None]:
    """The position is committed before what stands up to it is decided."""
    real, finish = PartitionWriter._commit, Batch.finish

    def early(self: PartitionWriter, facts: Any, parked: Any, offset: int, recorded: int) -> Any:
        with self.journal.transaction(0, self.token) as batch:
            finish(batch, batch.link, offset, recorded)
        with patch.object(Batch, "finish", late):
            return real(self, facts, parked, offset, recorded)

    def late(self: Batch, link: bytes, offset: int, recorded: int) -> None:
        before = "UPDATE tracking SET notification_id = 0 WHERE application_name = 'facts'"
        self._rows(before)
        finish(self, link, offset, recorded)

    with patch.object(PartitionWriter, "_commit", early):
        yield


@contextmanager
def an_outcome_never_sent() -> Iterator[None]:
    """A record that the brokers were given, and did not acknowledge, counts as sent."""

    def remember(self: Flow) -> int:
        moved = self._sent - self._remembered
        if moved:
            self._journal.publish_upto(self.name, self._sent)
            self._remembered = self._sent
        return moved

    with patch.object(Flow, "remember", remember):
        yield


@contextmanager
def an_outcome_left_out() -> Iterator[None]:
    """The outcomes of refusals are not told."""
    real = Outcomes._after

    def some(self: Outcomes, number: int, limit: int) -> Iterator[publisher.Outgoing]:
        for place, (key, value, headers) in real(self, number, limit):
            if b'"refused"' not in (value or b""):
                yield place, (key, value, headers)

    with patch.object(Outcomes, "_after", some):
        yield


@contextmanager
def a_snapshot_newer_than_its_entries() -> Iterator[None]:
    """A snapshot says that it stands at an entry that is still to come."""
    real = AccountCache.put

    def newer(self: AccountCache, member: str, cached: CachedAccount) -> Any:
        return [snapshot._replace(number=snapshot.number + 1) for snapshot in real(self, member, cached)]

    with patch.object(AccountCache, "put", newer):
        yield


@contextmanager
def a_commit_tried_again() -> Iterator[None]:
    """A batch of which nobody knows whether it is in is written once more."""
    real = PartitionWriter._commit

    def again(self: PartitionWriter, facts: Any, parked: Any, offset: int, recorded: int) -> Any:
        try:
            return real(self, facts, parked, offset, recorded)
        except Unavailable:
            return real(self, facts, parked, offset, recorded)

    with patch.object(PartitionWriter, "_commit", again):
        yield


@contextmanager
def a_dead_letter_lost() -> Iterator[None]:
    """A record that is no fact is passed over where it stands among facts."""
    real = PartitionWriter._commit

    def losing(self: PartitionWriter, facts: Any, parked: Any, offset: int, recorded: int) -> Any:
        return real(self, facts, [] if facts else parked, offset, recorded)

    with patch.object(PartitionWriter, "_commit", losing):
        yield


@contextmanager
def an_old_owner_that_goes_on() -> Iterator[None]:
    """Who is given a partition does not raise the fencing token, so that whoever had it before goes on."""
    real = Batch._move_epoch

    def keep(self: Batch, state: Any, _by: int) -> int:
        return real(self, state, 0)

    with patch.object(Batch, "_move_epoch", keep):
        yield


@contextmanager
def a_lot_restored_twice() -> Iterator[None]:
    """Points that come back are put into their lot a second time."""

    real = evolve.APPLY[Restored]

    def twice(account: Any, change: Any) -> Any:
        real(account, change)
        return real(account, change)

    with patch.dict(evolve.APPLY, {Restored: twice}):
        yield


@contextmanager
def a_book_switched_in_one_partition_only() -> Iterator[None]:
    """A published book decides in the partitions whose number is even, and is only written down in the others."""
    real = PartitionWriter._publish

    def some(self: PartitionWriter, work: Any, account: Any, fact: Any, item: Any) -> Decision:
        decision = real(self, work, account, fact, item)
        if self.partition % 2 and decision.version in self.book.by_name:
            version = self.book.by_name.pop(decision.version)
            self.book.versions.remove(version)
        return decision

    with patch.object(PartitionWriter, "_publish", some):
        yield


@contextmanager
def a_page_not_written() -> Iterator[None]:
    """Of several pages that a batch changes one is not written."""
    real = Batch.put_pages

    def fewer(self: Batch, pages: Sequence[Any]) -> None:
        real(self, pages[:-1] if len(pages) > 2 else pages)

    with patch.object(Batch, "put_pages", fewer):
        yield


@contextmanager
def a_hole_passed_over() -> Iterator[None]:
    """Offsets without a record are passed over, whatever was lost there."""

    def blind(self: Consumer, owner: PartitionOwner) -> None:
        while self._reader.hole(owner.partition) is not None:
            self._reader.pass_hole(owner.partition)

    with patch.object(Consumer, "_look_at_holes", blind):
        yield


@contextmanager
def a_topic_not_told_apart() -> Iterator[None]:
    """Nobody looks whether the topic is still the one that fed the ledger."""
    with (
        patch.object(Consumer, "_is_same", lambda self: True),
        patch("consumers.runtime.owner.check_taken", lambda *_: None),
        patch("consumers.kafka.holes.Log.topic_id", lambda self: "the one"),
    ):
        yield


@contextmanager
def an_inbox_that_is_not_synced() -> Iterator[None]:
    """What is answered as durable is not on the disk yet."""
    real = SQLiteInbox.__init__

    def unsynced(self: SQLiteInbox, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **options)
        self._db.execute("PRAGMA synchronous=NORMAL")

    with patch.object(SQLiteInbox, "__init__", unsynced):
        yield


@contextmanager
def a_decision_told_to_another() -> Iterator[None]:
    """Of requests that wait together each gets the decision of the next."""
    real = PendingFacts.receive

    def shifted(self: PendingFacts, message: Any) -> None:
        if isinstance(message, Resolved) and len(message.decided) > 1:
            moved = [*message.decided[1:], message.decided[0]]
            whose = [new._replace(offset=old.offset) for old, new in zip(message.decided, moved, strict=True)]
            message = message._replace(decided=whose)
        real(self, message)

    with patch.object(PendingFacts, "receive", shifted):
        yield


# Where a ledger that Kafka feeds shows them,
BUGS: tuple[Bug, ...] = (
    a_fence_left_out,
    a_receipt_skipped,
    a_receipt_before_its_entry,
    a_position_moved_early,
    an_outcome_never_sent,
    an_outcome_left_out,
    a_snapshot_newer_than_its_entries,
    a_commit_tried_again,
    a_dead_letter_lost,
    an_old_owner_that_goes_on,
    a_lot_restored_twice,
    a_book_switched_in_one_partition_only,
    a_page_not_written,
    a_hole_passed_over,
    a_topic_not_told_apart,
)
# and one that servers share.
BUGS_OF_SERVERS: tuple[Bug, ...] = (
    an_inbox_that_is_not_synced,
    a_decision_told_to_another,
)
