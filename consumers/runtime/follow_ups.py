"""What a partition's entries leave for other accounts, read from the journal and appended to their streams.

Those for accounts of another ledger are a flow of their own, so that nothing else waits for a ledger that is away.

Anybody may send them, and send them again: a receipt makes each count once. How far they were sent stands in the
journal's tracking table, moved only behind what the stream has taken, so that none is left out after a crash.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

from consumers import clock
from consumers.local.port import Append, InboxLine
from consumers.stream import BACKLOG
from ledger.journal.engines import native_module
from ledger.journal.failpoints import failpoint
from ledger.journal.ledger import Ledger
from ledger.journal.native import PlainRow, looking_for
from ledger.journal.port import StoredRow
from ledger.journal.pruned import is_stub
from ledger.journal.sql import Journal
from ledger.wire.entry_codec import decode_entry
from ledger.wire.follow_ups import MARK, fact_of, flow_to, leaves_any, name_of, peer_of, source_of, subject_of, told_in

AT_ONCE: Final = 1_000  # appended together
LOOKED_THROUGH: Final = 1_000  # entries, until it is remembered that what they left was sent
KEPT_EVERY: Final = 10_000  # entries that leave nothing, until that is remembered
LOOKED_AT: Final = 2 * KEPT_EVERY  # entries of a partition at most, each time that one looks for what was not sent


class FollowUp(NamedTuple):
    """A follow-up on its way: left by the entry at a sequence of the journal, for an account; `peer` as `peer_of`."""

    sequence: int
    id: str
    to: str
    value: bytes
    recorded: int  # of the entry, where an importer declared it, else 0
    peer: str


def follow_ups_in(blocks: Iterable[Sequence[PlainRow]], partition: int, ledger: str = "") -> Iterator[list[FollowUp]]:
    """Yield the follow-ups that a partition's entries leave, some entries at a time; a stub's were sent before.

    `partition` is the one that its accounts were born in, and `ledger` the own name of this one.
    """
    for rows in blocks:
        found = []
        for sequence, _, _, state, _ in rows:
            if leaves_any(state) and not is_stub(state):
                entry = decode_entry(state)
                recorded = entry.recorded if entry.backlog else 0
                found += [
                    FollowUp(
                        sequence,
                        name_of(entry, told),
                        subject_of(told),
                        fact_of(entry, told, partition, ledger),
                        recorded,
                        peer_of(told),
                    )
                    for told in told_in(entry)
                ]
        yield found


def _leave_any(rows: Sequence[PlainRow | StoredRow]) -> bool:
    return any(leaves_any(row[3]) for row in rows)


class FollowUps:
    """The follow-ups of a partition's entries: for accounts of this ledger, or of one that is its `peer`."""

    def __init__(
        self, ledger: Ledger, partition: int, peer: str = "", partition_of: Callable[[str], int] | None = None
    ) -> None:
        self.may_have_more = True  # in the journal, behind what was sent; or how far that was is to be remembered
        self.count = 0  # appended so far
        self._ledger = ledger
        self._partition = partition
        self._peer = peer
        self._partition_of = partition_of or ledger.partition_of
        module = native_module()
        self._leave_any = _leave_any if module is None else looking_for(module, MARK)
        self._sent = self._kept = self._journal.published_upto(flow_to(peer))

    @property
    def _journal(self) -> Journal:
        """The partition's journal, where it stands now: a move puts it elsewhere."""
        return self._ledger.journal(self._partition)

    def take(self, rows: Sequence[StoredRow]) -> None:
        """Look at entries that were just committed: those that leave nothing are not read again to be sent.

        How far that is gets remembered by `send`, now and then: whoever starts on the ledger reads what stands behind.
        """
        if not rows:
            return
        (first, *_), (last, *_) = rows[0], rows[-1]
        leaves = self.may_have_more or first != self._sent + 1 or self._leave_any(rows)
        if not leaves:
            self._sent = last
        self.may_have_more = leaves or self._sent - self._kept >= KEPT_EVERY

    def send(self, append: Append) -> dict[int, int]:
        """Append what was not sent yet; return the last offset of each partition it went to.

        Raises `JournalError`, and `CannotAppend` as `append` does.
        """
        if not self.may_have_more:
            return {}
        upto = self._journal.head().entries
        to: dict[int, int] = {}
        while self._sent < upto:
            to.update(self._send(append, min(self._sent + LOOKED_THROUGH, upto)))
        if self._sent - self._kept >= KEPT_EVERY:
            self._keep()
        self.may_have_more = False
        return to

    def _send(self, append: Append, upto: int) -> dict[int, int]:
        """Append what entries up to one left; what was sent is not sent again where a later one fails."""
        to: dict[int, int] = {}
        own = self._ledger.settings.name
        born = self._ledger.born_in(self._partition)
        for found in follow_ups_in(self._journal.stored_rows_of(self._sent, upto), born, own):
            to.update(self.append(append, [one for one in found if one.peer == self._peer]))
        self._sent = upto
        if to or upto - self._kept >= KEPT_EVERY:
            failpoint("after-follow-ups")
            self._keep()
        return to

    def _keep(self) -> None:
        self._journal.publish_upto(flow_to(self._peer), self._sent)
        self._kept = self._sent

    def append(self, append: Append, found: list[FollowUp]) -> list[tuple[int, int]]:
        """Append follow-ups, some at a time; return the (partition, offset) of each. Raises as `append` does."""
        appended = []
        for at in range(0, len(found), AT_ONCE):
            now = clock.now()
            lines = [self._line(one, now) for one in found[at : at + AT_ONCE]]
            failpoint("before-follow-ups")
            appended += append(lines)
            self.count += len(lines)
        return appended

    def _line(self, one: FollowUp, now: int) -> InboxLine:
        recorded, backlog = one.recorded or now, BACKLOG * (one.recorded > 0)
        return InboxLine(self._partition_of(one.to), recorded, backlog, one.to, one.value)


class Unsent:
    """Since when follow-ups wait to be sent, of each partition and peer; what was looked at is not looked at again."""

    def __init__(self) -> None:
        self._none_upto: dict[tuple[int, str], int] = {}  # sequences up to which nothing waits

    def since(self, ledger: Ledger, partition: int) -> dict[str, int]:
        """Return by peer, "" for this ledger, when the entry was recorded whose follow-up waits longest; 0 for none.

        It looks at `LOOKED_AT` entries at most, and goes on behind them the next time. Raises `JournalError`.
        """
        return {peer: self._oldest(ledger.journal(partition), partition, peer) for peer in ("", *ledger.settings.peers)}

    def _oldest(self, journal: Journal, partition: int, peer: str) -> int:
        after = max(journal.published_upto(flow_to(peer)), self._none_upto.get((partition, peer), 0))
        upto = min(journal.head().entries, after + LOOKED_AT)
        for sequence, _, _, state, _ in chain.from_iterable(journal.stored_rows_of(after, upto)):
            if leaves_any(state) and not is_stub(state):
                entry = decode_entry(state)
                if any(peer_of(told) == peer for told in told_in(entry)):
                    self._none_upto[partition, peer] = sequence - 1
                    return entry.recorded
        self._none_upto[partition, peer] = max(after, upto)
        return 0


def send_again(ledger: Ledger, append: Append) -> int:
    """Append every follow-up that its account has not taken, and return how many.

    What is on its way anyway then comes twice, and counts once. Raises as `FollowUps.send` does.
    """
    count = 0
    for partition in ledger.partitions:
        journal, born, first = ledger.journal(partition), ledger.born_in(partition), ledger.branch(partition).entries
        source, flow = source_of(born), FollowUps(ledger, partition)
        for found in follow_ups_in(journal.scan_rows_of(first, journal.head().entries), born):
            missing = [
                one
                for one in found
                if not one.peer and not ledger.journal(ledger.partition_of(one.to)).has_receipt(source, one.id, one.to)
            ]
            flow.append(append, missing)
            count += len(missing)
    return count
