"""Where the microseconds of a fact go, stage by stage, in one process.

The stages are those of the intake and the partition's owner, over the same batches, with the same store; each is
timed by itself, in microseconds of the processor: waiting for the disk is not in them. `ingest` is the real thing in
the same process, which also loads and puts away accounts and pages.
This file imports the ledger only, so that it also measures another commit's (see `compare`).

    python benchmarks/stages.py FILE
"""

import gc
import json
import sys
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from consumers.files.loader import FileLoader, router_into
from consumers.local.open import open_inbox
from consumers.local.port import Inbox
from consumers.runtime.ingest import ingest
from consumers.stream import Record
from ledger.core.account import Account
from ledger.core.decide import decide
from ledger.core.evolve import evolve
from ledger.core.pages import Page, PagesInMemory, encode_page
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_or_create
from ledger.journal.port import EntryRow, PageRow, ReceiptRow
from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import shipped
from ledger.wire.entries import ENGINE, Entry
from ledger.wire.entry_codec import decode_entry, encode_entry, leaf_of, link_after
from ledger.wire.fact_codec import canonical, decode

BATCH = 4_000
FEED, READ, DECODE, CANONICAL, DECIDE, ENCODE, CHAIN, STORE = (
    "read the file into the inbox",
    "read the inbox",
    "decode and check",
    "canonical bytes, SHA-256",
    "decide and evolve",
    "encode the entry",
    "leaf and link",
    "store",
)
FOLD_DECODE, FOLD = "decode the entry", "evolve"


class _Pages(PagesInMemory):
    """One member's pages, which remember what a batch wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.written: set[str] = set()

    def put(self, key: str, page: Page) -> None:
        self[key] = page
        self.written.add(key)


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str, started: float) -> float:
        now = time.process_time()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - started
        return now


def stages(path: Path) -> dict[str, Any]:
    """Microseconds a fact by stage: `write`, `fold`, and `ingest` itself over the same facts."""
    clock = _Clock()
    with TemporaryDirectory(dir=path.parent) as folder:
        ledger = open_or_create(Path(folder) / "stages")
        inbox = open_inbox(ledger, feeding=True)
        started = time.process_time()
        facts = 0
        for lines, *_ in FileLoader(inbox, router_into(inbox, ledger.settings.operators, backlog=True)).feed(str(path)):
            facts += lines
            started = clock(FEED, started)
        started = time.process_time()
        batches = list(_batches(inbox, ledger.partitions))
        clock(READ, started)
        gc.collect()
        gc.freeze()
        gc.disable()
        states: list[bytes] = []
        for partition in ledger.partitions:
            _write(ledger, partition, [b for p, b in batches if p == partition], clock, states)
        _fold(states, clock)
        ledger.close()
        inbox.close()
        batches.clear()
        states.clear()
        whole = open_or_create(Path(folder) / "whole")
        started = time.process_time()
        ingest(whole, [str(path)], backlog=True)
        seconds = time.process_time() - started
        whole.close()
    micro = {stage: total * 1e6 / facts for stage, total in clock.seconds.items()}
    fold = {stage: micro.pop(stage) for stage in (FOLD_DECODE, FOLD)}
    return {"facts": facts, "write": micro, "fold": fold, "ingest": seconds * 1e6 / facts}


def _batches(inbox: Inbox, partitions: Sequence[int]) -> Iterator[tuple[int, Sequence[Record]]]:
    for partition in partitions:
        position = -1
        while records := inbox.read(partition, position, BATCH):
            yield partition, records
            position = records[-1].offset


def _write(
    ledger: Ledger, partition: int, batches: Sequence[Sequence[Record]], clock: _Clock, states: list[bytes]
) -> None:
    journal = ledger.journal(partition)
    token = journal.acquire()
    book = Programme([shipped("jd")])
    accounts: dict[str, Account] = {}
    pages: dict[str, _Pages] = {}
    for records in batches:
        started = time.process_time()
        facts = [decode(record.value) for record in records]
        started = clock(DECODE, started)
        kept = [
            (canonical(fact), sha256(record.value).digest()) for (fact, _), record in zip(facts, records, strict=True)
        ]
        started = clock(CANONICAL, started)
        by_member: dict[str, list[int]] = {}
        for index, (fact, _) in enumerate(facts):
            by_member.setdefault(fact.subject, []).append(index)
        decisions: list[Any] = [None] * len(facts)
        for member, indexes in by_member.items():
            account = accounts.setdefault(member, Account())
            own = pages.setdefault(member, _Pages())
            for index in indexes:
                fact, occurred = facts[index]
                recorded = records[index].recorded
                decision = decide(account, own, fact, occurred, book, recorded=recorded, backlog=True)
                account.number += 1
                decisions[index] = (account.number, decision)
        started = clock(DECIDE, started)
        encoded = []
        for (fact, occurred), record, (number, made), (own_bytes, received) in zip(
            facts, records, decisions, kept, strict=True
        ):
            entry = Entry(
                fact.subject,
                number,
                partition,
                record.offset,
                occurred,
                record.recorded,
                made.clock,
                True,
                made.version,
                ENGINE,
                made.outcome,
                made.reason,
                made.figures,
                made.changes,
                own_bytes,
                received,
            )
            encoded.append(encode_entry(entry))
        started = clock(ENCODE, started)
        head = journal.head()
        link, rows = head.link, []
        for index, state in enumerate(encoded):
            link = link_after(link, leaf_of(state))
            place = head.entries + index + 1
            rows.append(EntryRow(place, facts[index][0].subject, decisions[index][0], state, link))
        started = clock(CHAIN, started)
        with journal.transaction(len(rows), token) as batch:
            batch.receive(
                [
                    ReceiptRow(batch.source(fact.source), fact.id, fact.subject, row.sequence)
                    for (fact, _), row in zip(facts, rows, strict=True)
                ]
            )
            batch.append(rows)
            written = sorted((key, member) for member in by_member for key in pages[member].written)
            batch.put_pages([PageRow(key, member, encode_page(pages[member][key])) for key, member in written])
            batch.finish(link, records[-1].offset, records[-1].recorded)
        for member in by_member:
            pages[member].written.clear()
        clock(STORE, started)
        states += encoded


def _fold(states: Sequence[bytes], clock: _Clock) -> None:
    accounts: dict[str, Account] = {}
    rest = iter(states)
    while batch := list(islice(rest, BATCH)):
        started = time.process_time()
        entries = [decode_entry(state) for state in batch]
        started = clock(FOLD_DECODE, started)
        for entry in entries:
            account = accounts.get(entry.member)
            if account is None:
                account = accounts[entry.member] = Account()
            for change in entry.changes:
                evolve(account, change)
        clock(FOLD, started)


if __name__ == "__main__":
    print(json.dumps(stages(Path(sys.argv[1]))))
