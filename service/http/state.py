"""What a running server shares with its handlers."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litestar import Request

from ledger.journal.ledger import KAFKA, Ledger
from ledger.journal.port import Head
from projections.answers.sidecar import AUDITS, TREES, VIEWS
from projections.views.files import Folder
from service.http.appender import Writer
from service.http.deciders import Deciders, Part, Sharing
from service.http.elsewhere import DecidedElsewhere
from service.http.folder_sharing import SharedFolder
from service.http.operator_log import Operators
from service.http.readers import Readers
from service.http.streams import InboxStream, Stream, TopicStream
from service.http.supervisor import Follower
from service.http.throughput import Rates

if TYPE_CHECKING:
    from consumers.kafka.settings import KafkaSettings

READERS = 2  # threads that answer about one member; more contend for the interpreter and answer no faster


@dataclass(slots=True)
class Served:
    """A ledger being served. `wait` is how many seconds a request waits for its decision where it does not say."""

    ledger: Ledger
    stream: Stream
    writer: Writer
    deciders: Deciders
    readers: Readers  # of one member: short
    histories: Readers  # of one member, by all of her entries: long where there are many
    books: Readers  # of all members: long, one at a time
    checkers: ThreadPoolExecutor  # of facts in bulk
    operators: frozenset[str]  # sources whose operator facts count
    actions: Operators
    wait: float
    views: Folder
    audits: Path  # what audits left
    rates: Rates

    @property
    def has_trouble(self) -> bool:
        """Whether facts cannot be taken or decided now."""
        return bool(self.deciders.trouble) or self.writer.cannot_append


@contextmanager
def serving(
    ledger: Ledger,
    folder: Path,
    wait: float,
    part: Part,
    kafka: "KafkaSettings | None" = None,
    *,
    follows: bool = True,
) -> Iterator[Served]:
    """Serve a ledger from the event loop that runs; what was taken into its inbox is decided at the end.

    Its lock must be held, of several workers by who began them, unless `kafka` says how the topic is reached that feeds
    it. What lies beside the ledger is kept in `folder`; `part` says which of several workers this one is, and `follows`
    whether the first of them has a process beside it that keeps views up to date.
    """
    # msgspec lays out a type when it first meets it, and two threads that meet it at once crash the process: the rule
    # book's types are met here, before there are threads.
    _ = ledger.book
    sharing = _sharing(ledger, part)
    deciders = Deciders(ledger, asyncio.get_running_loop(), sharing)
    stream = TopicStream(ledger, kafka) if kafka else InboxStream(ledger)
    writer = Writer(ledger, deciders, stream)
    readers = Readers(ledger.reopen, lambda: deciders.generation, READERS)
    rates = Rates(lambda: readers.read(lambda ledger: _totals(ledger, stream)))
    views, audits = folder / VIEWS, folder / AUDITS
    served = Served(
        ledger,
        stream,
        writer,
        deciders,
        readers,
        Readers(ledger.reopen, lambda: deciders.generation, 1, waiting=64, together=1),
        Readers(ledger.reopen, lambda: deciders.generation, 1, waiting=8, together=1),
        ThreadPoolExecutor(1, thread_name_prefix="points-check"),
        frozenset(ledger.settings.operators),
        Operators(folder),
        wait,
        Folder(views),
        audits,
        rates,
    )
    follower = Follower(ledger.place, views, audits / TREES) if follows and part.worker == 0 else None
    writer.start()
    looking = asyncio.get_running_loop().create_task(rates.run())
    if follower is not None:
        follower.start()
    try:
        yield served
    finally:
        looking.cancel()
        if follower is not None:
            follower.stop()
        writer.stop()
        served.checkers.shutdown(cancel_futures=True)
        served.readers.close()
        served.histories.close()
        served.books.close()
        stream.close()


def served_by(request: Request[Any, Any, Any]) -> Served:
    """What a request's server shares."""
    served: Served = request.app.state.served
    return served


def _sharing(ledger: Ledger, part: Part) -> Sharing | None:
    if ledger.settings.stream == KAFKA:
        return DecidedElsewhere(ledger)
    if part.ties is not None:
        return SharedFolder(ledger, part)
    if not ledger.is_shared:
        return None
    from ledger.journal.database import DatabaseLedger  # here, since its driver is an extra
    from service.http.sharing import SharedDatabase

    assert isinstance(ledger, DatabaseLedger)
    return SharedDatabase(ledger, part)


def standing(ledger: Ledger, stream: Stream) -> list[tuple[Head, int]]:
    """Of each partition where its journal stands, and the offset at which its stream ends. Raises as `Stream.ends`."""
    heads = ((ledger.journal(partition).head(), end) for partition, end in enumerate(stream.ends(ledger)))
    return [(head, max(end, head.offset)) for head, end in heads]  # the journal was read after the end


def _totals(ledger: Ledger, stream: Stream) -> tuple[int, int]:
    """Records that the stream has taken and records that were decided, ever and by any process."""
    found = standing(ledger, stream)
    return sum(end + 1 for _, end in found), sum(head.offset + 1 for head, _ in found)
