"""What a running server shares with its handlers."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litestar import Request

from consumers.kafka.settings import KafkaSettings
from consumers.runtime.follow_ups import Unsent
from consumers.runtime.intake import Sources
from ledger.journal.ledger import Ledger
from ledger.journal.port import Head
from projections.answers.documents import Documents
from projections.answers.sidecar import AUDITS, CHECKPOINTS
from projections.answers.statement_pages import Statements
from projections.views.port import ViewStore
from service.documents import documents_of
from service.http.appender import Deciders, FactAppender
from service.http.feeds import Feeds
from service.http.gaps import AcceptedGaps
from service.http.operator_log import OperatorLog, operator_log_of
from service.http.owners import owners_of
from service.http.pending import Busy, PendingFacts
from service.http.readers import Readers
from service.http.streams import DecidedByConsumers, InboxStream, Stream, TopicStream
from service.http.throughput import Throughput
from service.state_store import StateStore, shared_state
from service.view_store import view_store

LOOK_SECONDS = 0.5  # between two looks at what other processes decided, while somebody waits for it,
CONSUMERS_SECONDS = 0.005  # and where consumers of Kafka decide it
READERS = 2  # threads that answer about one member; more contend for the interpreter and answer no faster


@dataclass(slots=True)
class Served:
    """A ledger being served. `wait` is how many seconds a request waits for its decision where it does not say."""

    ledger: Ledger
    stream: Stream
    appender: FactAppender
    owners: Deciders
    readers: Readers  # of one member: short
    histories: Readers  # of one member, by all of the member's entries: long where there are many
    books: Readers  # of all members: long, one at a time
    checkers: ThreadPoolExecutor  # of facts in bulk
    sources: Sources  # whose word counts
    operator_log: OperatorLog
    wait: float
    views: ViewStore
    audits: Path  # what audits left that can be made again
    results: Documents  # of audits
    checkpoints: Documents
    throughput: Throughput
    gaps: AcceptedGaps
    unsent: Unsent
    feed: Feeds
    state: StateStore | None  # what servers share, where the ledger is in a database
    folder: Path  # of what lies beside the ledger
    statements: Statements  # for `histories` alone: they are of its one thread

    @property
    def has_trouble(self) -> bool:
        """Return True if no facts can be taken or decided now."""
        state = self.owners.state
        is_all = len(state.troubled) == len(self.ledger.partitions)
        return bool(state.last_error) or is_all or self.appender.cannot_append

    def check_partition_of(self, member: str) -> None:
        """Raise `Busy` where the facts of a member's partition cannot be decided now."""
        troubled = self.owners.state.troubled
        if troubled and (partition := self.ledger.partition_of(member)) in troubled:
            raise Busy(f"partition {partition} cannot be decided now; the server's log says why", partition)


@contextmanager
def serving(
    ledger: Ledger,
    folder: Path,
    wait: float,
    owners: Deciders | None = None,
    kafka: KafkaSettings | None = None,
) -> Iterator[Served]:
    """Serve a ledger from the event loop that runs; what was taken into its inbox is decided at the end.

    `owners` are those of another process; where there are none this process decides, and its ledger's lock must be
    held, unless `kafka` says how the topic is reached that feeds it. What lies beside the ledger is kept in `folder`.
    """
    # msgspec lays out a type when it first meets it, and two threads that meet it at once crash the process: the
    # programme's types are met here, before there are threads.
    _ = ledger.book
    decides: Deciders = DecidedByConsumers(ledger) if kafka else owners or owners_of(ledger)
    is_alone = owners is None and not ledger.is_shared

    def readers_of(threads: int, **bounds: int) -> Readers:
        return Readers(ledger.reopen, lambda: decides.state.programmes, threads, **bounds)

    readers = readers_of(READERS)
    pending = PendingFacts(
        ledger,
        readers.read,
        CONSUMERS_SECONDS if kafka else 0.0 if is_alone else LOOK_SECONDS,
        lambda late: decides.expect(appender.notify, late, {}),
    )
    stream = TopicStream(ledger, kafka) if kafka else InboxStream(ledger)
    appender = FactAppender(ledger, decides, pending, stream)
    throughput = Throughput(lambda: readers.read(lambda ledger: _totals(ledger, stream)))
    state = shared_state(ledger.place)
    results, checkpoints = (documents_of(state, folder, sort) for sort in (AUDITS, CHECKPOINTS))
    assert results is not None and checkpoints is not None
    served = Served(
        ledger,
        stream,
        appender,
        decides,
        readers,
        readers_of(1, waiting=64, together=1),
        readers_of(1, waiting=8, together=1),
        ThreadPoolExecutor(1, thread_name_prefix="points-check"),
        Sources.of(ledger.settings),
        operator_log_of(ledger.place, folder),
        wait,
        view_store(ledger.place, folder),
        folder / AUDITS,
        results,
        checkpoints,
        throughput,
        AcceptedGaps(),
        Unsent(),
        Feeds(readers.read),
        state,
        folder,
        Statements(),
    )
    appender.start()
    decides.start(appender.notify)
    loop = asyncio.get_running_loop()
    looking = loop.create_task(throughput.run()), loop.create_task(served.gaps.run(readers.read))
    try:
        yield served
    finally:
        for task in looking:
            task.cancel()
        appender.stop()
        decides.stop()
        served.checkers.shutdown(cancel_futures=True)
        served.readers.close()
        served.histories.close()
        served.books.close()
        stream.close()
        served.views.close()
        if state is not None:
            state.close()


def served_by(request: Request[Any, Any, Any]) -> Served:
    """What a request's server shares."""
    served: Served = request.app.state.served
    return served


def standing(ledger: Ledger, stream: Stream) -> list[tuple[Head, int]]:
    """Of each partition where its journal stands, and the offset at which its stream ends. Raises as `Stream.ends`."""
    heads = ((ledger.journal(partition).head(), end) for partition, end in enumerate(stream.ends(ledger)))
    return [(head, max(end, head.offset)) for head, end in heads]  # the journal was read after the end


def _totals(ledger: Ledger, stream: Stream) -> tuple[int, int]:
    """Records that the stream has taken and records that were decided, ever and by any process."""
    found = standing(ledger, stream)
    return sum(end + 1 for _, end in found), sum(head.offset + 1 for head, _ in found)
