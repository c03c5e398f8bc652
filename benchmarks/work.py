"""Where a benchmark works: one temporary folder, the traffic it reads, the ledgers it makes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.measure import say
from ledger.journal.ledger import Ledger
from ledger.journal.port import EntryRow
from service.demo.traffic import traffic


class Work:
    """A temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def traffic(self, facts: int, members: int, seed: int = 1) -> Path:
        """A file of made-up traffic, made once."""
        path = self.folder / f"traffic-{facts}-{members}-{seed}.ndjson"
        if not path.exists():
            say(f"making {facts:,} facts of {members:,} members")
            with path.open("wb") as file:
                file.writelines(fact + b"\n" for fact in traffic(facts, members, seed))
        return path

    @contextmanager
    def ledger(self, name: str = "ledger") -> Iterator[Path]:
        """The path of a folder for a ledger, which is gone afterwards."""
        folder = self.folder / name
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sampled(ledger: Ledger, many: int) -> Iterator[EntryRow]:
    """Yield entries from all over a ledger: at least so many, where it has them."""
    for partition in ledger.partitions:
        journal = ledger.journal(partition)
        entries = journal.head().entries
        for place in range(1, entries + 1, max(1, entries * len(ledger.partitions) // many)):
            yield from journal.scan(place - 1, place)


@contextmanager
def work(under: Path | None) -> Iterator[Work]:
    """A place to work, gone afterwards; `under` is the folder it is made in (the system's own by default)."""
    folder = Path(mkdtemp(prefix="points-bench-", dir=under))
    try:
        yield Work(folder)
    finally:
        shutil.rmtree(folder)


def size_of(folder: Path) -> int:
    """The bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())
