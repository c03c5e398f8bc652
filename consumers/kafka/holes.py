"""Which offsets without a record are as they should be, and which were lost.

A reader sees no markers of transactions, and nothing of what was aborted: both leave offsets without a record. The log
itself holds both, batch behind batch without a gap. So offsets that no batch of the log holds, or that a batch spans
without having a record there, were lost or compacted away.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from consumers.kafka.port import Hole, LoggedBatch

if TYPE_CHECKING:
    from consumers.kafka.kafka_python import Admin


class Log:
    """The log of a topic as its brokers keep it; the connection is opened when it is first needed.

    `id_of` asks for the id of a topic in another way. Every call raises `BrokerAway`, `Denied` and `StreamBroken`.
    """

    def __init__(
        self, open_admin: "Callable[[], Admin]", topic: str, id_of: Callable[[str], str] | None = None
    ) -> None:
        self._open_admin = open_admin
        self._id_of = id_of
        self._admin: Admin | None = None
        self._topic = topic
        self._read: dict[int, list[LoggedBatch]] = {}  # of a partition, what was read last

    def topic_id(self) -> str:
        """Return the topic's id; empty where the cluster has none, or knows of no such topic now."""
        return (self._id_of or self._opened().topic_id)(self._topic)

    def missing(self, partition: int, hole: Hole) -> Hole | None:
        """Return the first offsets that are missing of some at which a reader saw no record; None where none is."""
        return _first_run(self._unseen(partition, hole, is_read=True))

    def lost(self, partition: int, among: Hole) -> Hole | None:
        """Return the first offsets, of some that nobody has read, at which the log holds nothing; None without any."""
        return _first_run(self._unseen(partition, among, is_read=False))

    def _unseen(self, partition: int, among: Hole, *, is_read: bool) -> Iterator[Hole]:
        """Yield offsets at which the log holds nothing, and where they were read also those it holds for every reader.

        They are in order, and clipped to `among`.
        """
        at = among.first
        while at <= among.last:
            before = at
            for batch in self._batches(partition, at):
                if batch.last < at:
                    continue
                if batch.first > at:
                    yield Hole(at, min(batch.first - 1, among.last))
                inside = (batch,) if is_read and not batch.is_hidden else batch.lost
                for first, last, *_ in inside:
                    if last >= at and first <= among.last:
                        yield Hole(max(first, at), min(last, among.last))
                at = batch.last + 1
                if at > among.last:
                    return
            if at == before:  # the end of the log
                yield Hole(at, among.last)
                return

    def close(self) -> None:
        """Close the connection."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None

    def _batches(self, partition: int, offset: int) -> list[LoggedBatch]:
        read = self._read.get(partition)
        if not read or not read[0].first <= offset <= read[-1].last:
            read = self._read[partition] = self._opened().batches(self._topic, partition, offset)
        return read

    def _opened(self) -> "Admin":
        self._admin = self._admin or self._open_admin()
        return self._admin


def _first_run(holes: Iterator[Hole]) -> Hole | None:
    """Return the first holes that stand next to each other as one; None where there is none."""
    run: Hole | None = None
    for hole in holes:
        if run is None:
            run = hole
        elif hole.first == run.last + 1:
            run = Hole(run.first, hole.last)
        else:
            break
    return run
