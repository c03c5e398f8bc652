"""Small ledgers for tests: facts of several members in a stream in memory, decided by the real owner on disk."""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from consumers.feeding import feeding_of
from consumers.files.loader import is_of_a_ledger
from consumers.local.open import open_inbox
from consumers.local.port import Append
from consumers.runtime.ingest import decide_all, ingest
from consumers.runtime.owner import PartitionOwner
from consumers.stream import Record
from ledger.core.account import Account
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_or_create
from ledger.journal.partition import Tally
from ledger.wire.fact_codec import BadFact, decode
from tests.support.contents import TABLES, rows_of
from tests.support.histories import START, encode, history

Fact = dict[str, Any]
# Where the system keeps files in memory, nothing waits for a disk: what survives a crash is tested elsewhere.
IN_MEMORY = Path("/dev/shm")


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for as long as it is needed."""
    with TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        yield Path(folder)


class StreamInMemory:
    """A stream of records in lists, each fact under its member's partition."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._records: list[list[Record]] = [[] for _ in ledger.partitions]

    @property
    def partitions(self) -> int:
        return len(self._records)

    def read(self, partition: int, after: int, limit: int, most_bytes: int = 0) -> Sequence[Record]:
        return self._records[partition][after + 1 : after + 1 + limit]

    def end(self, partition: int) -> int:
        return len(self._records[partition]) - 1

    def append(self, fact: Fact | bytes, partition: int | None = None, key: str | None = None) -> None:
        """Take a fact or a line of bytes; recorded when it occurred, and never before the last of its partition."""
        value = fact if isinstance(fact, bytes) else encode(fact)
        try:
            decoded, occurred = decode(value)
            subject = decoded.subject
        except BadFact:
            subject, occurred = "", 0
        if partition is None:
            partition = self._ledger.partition_of(subject)
        records = self._records[partition]
        recorded = max(occurred, records[-1].recorded if records else 0)
        records.append(Record(len(records), recorded, True, subject if key is None else key, value))


class SmallLedger:
    """A ledger in a folder or a database, with a stream of its own; `share` is how much its owners keep in memory.

    It is born with a `book`, the shipped jd where none is given.
    """

    def __init__(self, place: Path | str, share: float = 1.0, book: str = "") -> None:
        self._share = share
        self.ledger = open_or_create(place, *filter(None, [book]))
        self.stream = StreamInMemory(self.ledger)
        self._owners: dict[int, Owner] = {}

    def hears(self, facts: Iterable[Fact | bytes]) -> None:
        """Facts join the stream."""
        for fact in facts:
            self.stream.append(fact)

    def publishes(self, fact: Fact) -> None:
        """A rule book joins every partition."""
        for partition in self.ledger.partitions:
            self.stream.append(fact, partition)

    def owner(self, partition: int, batch: int = 4_000) -> "Owner":
        """A new owner of a partition."""
        return Owner(self, partition, batch)

    def decides(self, batch: int = 4_000) -> Tally:
        """Decide all that waits."""
        total = Tally()
        for partition in self.ledger.partitions:
            owner = self._owners.get(partition)
            if owner is None:
                owner = self._owners[partition] = self.owner(partition, batch)
            while (tally := owner.step()) is not None:
                total.add(tally)
        return total

    def restarts(self) -> None:
        """The owners are gone; the next ones begin with what is on disk."""
        self._owners.clear()

    @property
    def journal(self) -> list[list[tuple[int, str, int, bytes, bytes]]]:
        """Every entry of every partition, as stored."""
        return [[tuple(row) for row in self.ledger.journal(p).scan()] for p in self.ledger.partitions]

    @property
    def pages(self) -> list[list[tuple[Any, ...]]]:
        """Every page of every partition, as stored."""
        return [rows_of(self.ledger.journal(partition), TABLES["pages"]) for partition in self.ledger.partitions]

    def accounts(self, as_of: int) -> dict[str, Account]:
        """Every member's account at an instant."""
        return dict(self.ledger.accounts(as_of))

    def close(self) -> None:
        self.ledger.close()


class Owner:
    """An owner of a partition of a small ledger, which an error does not end."""

    def __init__(self, small: SmallLedger, partition: int, batch: int) -> None:
        self._owner = PartitionOwner(small.ledger, partition, batch=batch)
        self._writer = self._owner.acquire(small._share)
        self._stream = small.stream

    @property
    def position(self) -> int:
        """The offset of the last record decided."""
        return self._writer.offset

    def step(self) -> Tally | None:
        """Decide the next batch."""
        batch = self._owner.step(self._stream)
        return None if batch is None else batch.tally

    def tells(self, append: Append) -> None:
        """Append what entries left for other accounts."""
        self._owner.tell(append)


def histories_of(random: Random, members: int, length: int, start: datetime = START) -> list[Fact]:
    """The histories of several members, shuffled together, each in its own order."""
    waiting = [history(random, length, f"m-{number}", start) for number in range(members)]
    return merged(random, waiting)


def merged(random: Random, histories: Sequence[Sequence[Fact]]) -> list[Fact]:
    """Histories shuffled together, each in its own order."""
    turns = [number for number, facts in enumerate(histories) for _ in facts]
    random.shuffle(turns)
    streams = [iter(facts) for facts in histories]
    return [next(streams[number]) for number in turns]


def write_facts(path: Path, facts: Iterable[Fact | bytes]) -> Path:
    """A file of facts, one a line."""
    path.write_bytes(b"".join((fact if isinstance(fact, bytes) else encode(fact)) + b"\n" for fact in facts))
    return path


def ingested(folder: Path, facts: Iterable[Fact | bytes], *, backlog: bool = True) -> Ledger:
    """A ledger that took facts (as a backlog) through its own inbox; what accounts left is appended there."""
    ledger = open_or_create(folder / "ledger")
    path = write_facts(folder / "facts.ndjson", facts)
    lines = path.read_bytes().splitlines()
    with ledger.writing():
        if any(map(is_of_a_ledger, lines)):
            open_inbox(ledger, feeding=True).close()
            with closing(feeding_of(ledger)) as feeding:
                for line in lines:
                    feeding.take(line, is_old=backlog)
            decide_all(ledger)
        else:
            ingest(ledger, [str(path)], backlog=backlog)
    gc.unfreeze()  # what is frozen is not collected at exit, and libraries complain of it
    return ledger
