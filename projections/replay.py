"""Derive every decision again from the facts and compare it with what the journal keeps, leaf by leaf.

Members never touch each other, so a replay goes member by member in bounded memory; each entry is derived with the
rule books that were published before its place in the journal. Any difference is named by partition, position,
member and field.
"""

import gc
import multiprocessing
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from ledger.account import Account, decode_account
from ledger.decide import Decision, Limits, Repetition, decide, entry_of
from ledger.draft import OutOfRange
from ledger.entries import Entry, decode_entry, decode_head, encode_entry
from ledger.facts import PROGRAMME_SUBJECT, ProgrammePublished, decode_canonical
from ledger.journal.folder import Ledger, members_of
from ledger.journal.port import Damaged, EntryRow, Journal, JournalError, Unavailable
from ledger.journal.shard import beyond_range, publication
from ledger.pages import PagesInMemory
from ledger.rules import Book
from projections.topic import compare_topic

MAX_DIFFERENCES = 1_000  # that are listed; all are counted
REPORT_EVERY = 5_000

Difference = dict[str, Any]
Progress = Callable[[int], None]


def replay(
    ledger: Ledger, *, jobs: int = 1, from_topic: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Replay a ledger's journals: `entries`, `accounts`, `differences` (at most 1,000 listed) and `seconds`.

    With `from_topic` the facts are those of the stream's own records, compared with the journal's copies first.
    """
    started = time.monotonic()
    entries = accounts = count = 0
    differences: list[Difference] = []
    parts = _in_processes(ledger, jobs, from_topic) if jobs > 1 else _one_by_one(ledger, from_topic)
    for part in parts:
        if isinstance(part, int):
            entries += part
            if progress:
                progress(entries)
            continue
        if isinstance(part, str):
            raise JournalError(part)
        found, members, total = part
        accounts += members
        count += total
        differences.extend(found[: MAX_DIFFERENCES - len(differences)])
    return {
        "entries": entries,
        "accounts": accounts,
        "differences": differences,
        "difference_count": count,
        "seconds": round(time.monotonic() - started, 3),
    }


_Part = int | str | tuple[list[Difference], int, int]


def _one_by_one(ledger: Ledger, from_topic: bool) -> Iterator[_Part]:
    for partition in ledger.partitions:
        yield from replay_partition(ledger, partition, from_topic)


def _in_processes(ledger: Ledger, jobs: int, from_topic: bool) -> Iterator[_Part]:
    context = multiprocessing.get_context("spawn")
    waiting = list(ledger.partitions)
    running: dict[Connection, Any] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                ours, theirs = context.Pipe()
                arguments = (str(ledger.folder), waiting.pop(0), from_topic, theirs)
                process = context.Process(target=_work, args=arguments, daemon=True)
                process.start()
                theirs.close()
                running[ours] = process
            for pipe in multiprocessing.connection.wait(list(running)):
                assert isinstance(pipe, Connection)
                try:
                    yield pipe.recv()
                except EOFError:
                    running.pop(pipe).join()
    finally:
        for process in running.values():
            process.terminate()


def _work(folder: str, partition: int, from_topic: bool, pipe: Connection) -> None:
    gc.freeze()
    gc.disable()
    try:
        for part in replay_partition(Ledger.open(Path(folder)), partition, from_topic):
            pipe.send(part)
    except JournalError as error:
        pipe.send(str(error))
    except BrokenPipeError:
        return


def replay_partition(ledger: Ledger, partition: int, from_topic: bool = False) -> Iterator[_Part]:
    """Replay one partition: counts of entries as they are done, then (differences, accounts, how many differed)."""
    journal = ledger.journal(partition)
    head = journal.head()
    differ = _Differences()
    if from_topic:
        compare_topic(ledger, partition, differ.add)
    books = _Books(ledger, journal)
    members = done = read = 0
    is_home = ledger.partition_of(PROGRAMME_SUBJECT) == partition  # where a published book counts
    try:
        for member, rows in members_of(journal.scan_by_member()):
            entries = _replay_member(journal, partition, member, rows, books, ledger.limits, differ.add)
            read += entries
            if member != PROGRAMME_SUBJECT:
                members += 1
            elif not is_home:
                continue
            done += entries
            if done >= REPORT_EVERY:
                yield done
                done = 0
        if read < head.entries:  # more may have been written since
            differ.add({"partition": partition, "field": "entries", "stored": read, "derived": head.entries})
    except (Damaged, Unavailable) as error:
        differ.add({"partition": partition, "field": "file", "stored": f"cannot be read any further: {error}"})
    yield done
    yield differ.listed, members, differ.count


class _Differences:
    """Differences as they are found: all counted, the first ones kept."""

    def __init__(self) -> None:
        self.count = 0
        self.listed: list[Difference] = []

    def add(self, difference: Difference) -> None:
        self.count += 1
        if len(self.listed) < MAX_DIFFERENCES:
            self.listed.append(difference)


class _Books:
    """The rule book as it stood at each place of a journal."""

    def __init__(self, ledger: Ledger, journal: Journal) -> None:
        published = journal.published()
        self._places = [book.place for book in published]
        self._books = [ledger.new_book()]
        for number in range(len(published)):
            book = ledger.new_book()
            for earlier in published[: number + 1]:
                book.add(earlier.toml)
            self._books.append(book)

    def before(self, place: int) -> Book:
        """The book that decided the entry at a place."""
        return self._books[bisect_left(self._places, place)]


def _replay_member(
    journal: Journal,
    partition: int,
    member: str,
    rows: Iterator[EntryRow],
    books: _Books,
    limits: Limits,
    add: Callable[[Difference], None],
) -> int:
    beyond: set[int] = set()
    done = 0
    current: Iterator[EntryRow] = rows
    while True:
        try:
            for _ in _derive_member(journal, partition, member, current, books, limits, beyond, add):
                done += 1
            return done
        except _Beyond as error:  # decided again from the member's first entry, that one without effect
            beyond.add(error.number)
            current = iter(journal.entries_of(member))
            done = 0


class _Beyond(Exception):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _derive_member(
    journal: Journal,
    partition: int,
    member: str,
    rows: Iterator[EntryRow],
    books: _Books,
    limits: Limits,
    beyond: set[int],
    add: Callable[[Difference], None],
) -> Iterator[None]:
    account = Account()
    pages = PagesInMemory()
    seen: dict[tuple[str, str], tuple[int, bytes]] = {}
    snapshot = journal.snapshot(member)
    for row in rows:
        yield
        where = {"partition": partition, "member": member, "number": row.number, "place": row.place}
        try:
            entry = decode_head(row.state)
            fact, occurred = decode_canonical(entry.fact)
        except (msgspec.MsgspecError, ValueError) as error:
            add({**where, "field": "bytes", "stored": row.state[:64].hex(), "derived": f"unreadable: {error}"})
            continue
        if row.number != account.number + 1:
            gap = f"entry {account.number + 1}"
            add({**where, "field": "number", "stored": f"entry {row.number}", "derived": gap})
            account.number = row.number - 1
        key = (fact.source, fact.id)
        first = seen.get(key)
        repeats = Repetition(first[0], first[1] == sha256(entry.fact).digest()) if first else None
        if first is None:
            seen[key] = (row.number, sha256(entry.fact).digest())
        book = books.before(row.place)
        decision: Decision
        if repeats is None and isinstance(fact, ProgrammePublished):
            decision = publication(account, Book([v.toml for v in book.versions]), fact.data.toml, occurred)
        elif row.number in beyond:
            decision = beyond_range(account, occurred)
        else:
            try:
                decision = decide(
                    account,
                    pages,
                    fact,
                    occurred,
                    book,
                    recorded=entry.recorded,
                    backlog=entry.backlog,
                    limits=limits,
                    repeats=repeats,
                )
            except OutOfRange:
                raise _Beyond(row.number) from None
        account.number = row.number
        derived = entry_of(
            decision,
            member=member,
            number=row.number,
            partition=partition,
            offset=entry.offset,
            occurred=occurred,
            recorded=entry.recorded,
            backlog=entry.backlog,
            fact=entry.fact,
            received=entry.received,
        )
        if encode_entry(derived) != row.state:
            for difference in _fields_that_differ(row.state, derived):
                add({**where, "position": f"{partition}:{entry.offset}", **difference})
        if snapshot is not None and snapshot[0] == row.number:
            kept = decode_account(snapshot[1])
            kept.due, kept.turn = account.due, account.turn  # when to look next: early in either is as good
            if kept != account:
                add({**where, "field": "account", "stored": "snapshot", "derived": "another account"})


def _fields_that_differ(state: bytes, derived: Entry) -> Iterator[Difference]:
    try:
        stored = decode_entry(state)
    except (msgspec.MsgspecError, ValueError) as error:
        yield {"field": "bytes", "stored": state[:64].hex(), "derived": f"unreadable: {error}"}
        return
    found = False
    for name in Entry.__struct_fields__:
        old, new = getattr(stored, name), getattr(derived, name)
        if old != new:
            found = True
            yield {"field": name, "stored": _brief(old), "derived": _brief(new)}
    if not found:
        yield {"field": "encoding", "stored": "other bytes", "derived": "the same entry"}


def _brief(value: Any) -> Any:
    if isinstance(value, bytes):
        return value[:64].hex()
    if isinstance(value, list):
        return str(value)[:500]
    return value
