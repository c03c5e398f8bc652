"""The store by itself: the same decided entries, with their receipts and pages, written batch by batch into each store.

What is measured is what an owner asks of its store in a batch: fence, receipts, the pages that the facts name, entries,
pages, position, commit. PostgreSQL is the one the tests find, started on the same disk as the SQLite files.
"""

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Failed, Figures, say
from benchmarks.work import Work
from consumers.runtime.ingest import ingest
from ledger.core.page_keys import pages_ahead
from ledger.core.pages import Page, encode_page
from ledger.journal.database import migrate
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger, open_or_create
from ledger.journal.port import EntryRow, PageRow, ReceiptRow
from ledger.journal.sql import Journal
from ledger.wire.entry_codec import decode_entry
from ledger.wire.fact_codec import decode_canonical
from tests.support.databases import ADDRESS, OwnServer, a_server

BATCHES = (1, 100, 1_000, 4_000)
SHORT = 500  # facts, of batches of one


class _Step(NamedTuple):
    """What the store is given for one fact."""

    source: str
    id: str
    row: EntryRow
    pages: dict[tuple[str, str], Page]
    offset: int
    recorded: int


def stores(work: Work, path: Path) -> Figures:
    """Rows a second of each store by the size of a batch. Raises `Failed` where there is no PostgreSQL."""
    rows: list[Figures] = []
    with work.ledger() as folder:
        say("deciding what the stores are given")
        ledger = open_or_create(folder)
        with ledger.writing():
            ingest(ledger, [str(path)], backlog=True)
        steps = [_steps(ledger, partition) for partition in ledger.partitions]
        ledger.close()
    work.folder.chmod(0o711)  # the server may run as another user
    with _server(work.folder) as address:
        for batch in BATCHES:
            for name, made in (("SQLite", _in_folder(work)), ("PostgreSQL", _in_database(address, batch))):
                say(f"{name}, batches of {batch:,}")
                rows.append({"store": name, "batch": batch, **_measure(made, steps, batch)})
    return {"rows": rows}


def _steps(ledger: Ledger, partition: int) -> list[_Step]:
    journal, book, steps = ledger.journal(partition), ledger.book, []
    for row in journal.scan():
        entry = decode_entry(row.state)
        fact, occurred = decode_canonical(entry.fact)
        named = {(key, row.member): journal.page(row.member, key) for key in pages_ahead(fact, occurred, book)}
        pages = {name: page for name, page in named.items() if page is not None}
        steps.append(_Step(fact.source, fact.id, row, pages, entry.offset, entry.recorded))
    return steps


@contextmanager
def _in_folder(work: Work) -> Iterator[Ledger]:
    with work.ledger() as folder:
        ledger = open_or_create(folder)
        yield ledger
        ledger.close()


@contextmanager
def _in_database(address: str, batch: int) -> Iterator[Ledger]:
    ledger = open_ledger(_made(address, f"batch_{batch}"))
    yield ledger
    ledger.close()


def _made(address: str, schema: str) -> str:
    """Return the address of a new ledger in a database."""
    place = f"{address}{'&' if '?' in address else '?'}points_schema={schema}"
    migrate(place, partitions=4)
    return place


@contextmanager
def database(folder: Path, schema: str) -> Iterator[str]:
    """Yield the address of a new ledger in a PostgreSQL that keeps its files in a folder. Raises `Failed`."""
    with _server(folder) as address:
        yield _made(address, schema)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    with a_server(folder) as server:
        if server is None:
            raise Failed(f"no PostgreSQL is to be had: set {ADDRESS}")
        address = server.database()
        if isinstance(server, OwnServer):
            address = server.by_socket(address)
        yield address


def _measure(made: AbstractContextManager[Ledger], steps: Sequence[Sequence[_Step]], batch: int) -> Figures:
    with made as ledger:
        gc.collect()
        seconds, cpu, count = time.perf_counter(), time.process_time(), 0
        for partition, mine in enumerate(steps):
            some = mine[:SHORT] if batch == 1 else mine
            _write(ledger.journal(partition), some, batch)
            count += len(some)
        seconds, cpu = time.perf_counter() - seconds, time.process_time() - cpu
    return {"rows": count, "seconds": seconds, "cpu": cpu}


def _write(journal: Journal, steps: Sequence[_Step], size: int) -> None:
    token = journal.acquire()
    for start in range(0, len(steps), size):
        some = steps[start : start + size]
        pages = {name: page for step in some for name, page in step.pages.items()}
        with journal.transaction(len(some), token) as batch:
            batch.prefetch((), pages)
            batch.receive(
                [ReceiptRow(batch.source(step.source), step.id, step.row.member, step.row.sequence) for step in some]
            )
            for key, member in pages:
                batch.page(member, key)
            batch.append([step.row for step in some])
            batch.put_pages([PageRow(*name, encode_page(pages[name])) for name in sorted(pages)])
            batch.finish(some[-1].row.link, some[-1].offset, some[-1].recorded)
