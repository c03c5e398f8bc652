"""Derive every decision again from the facts and compare it with what the journal keeps, leaf by leaf.

Members never touch each other, so a replay goes member by member in bounded memory; each entry is derived with the
rule books that were published before its place in the journal. Any difference is named by partition, position,
member and field.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ledger.core.account import Account, decode_account
from ledger.core.decide import entry_of
from ledger.journal.accounts_at import members_of
from ledger.journal.ledger import Ledger
from ledger.journal.partition_map import partition_map
from ledger.journal.port import Damaged, EntryRow, Unavailable
from ledger.journal.sql import Journal
from ledger.rulebook.compiled import Book
from ledger.wire.entries import ENGINE, Entry
from ledger.wire.entry_codec import EntryHead, decode_entry, encode_entry
from ledger.wire.facts import PROGRAMME_SUBJECT
from projections.audit.derive import Derived, Restarted, Unreadable, derive
from projections.audit.receipts import ReceiptSum, receipts_that_differ
from projections.audit.topic import compare_topic

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
    for part in partition_map(ledger, jobs, replay_partition, from_topic):
        if isinstance(part, int):
            entries += part
            if progress:
                progress(entries)
            continue
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


_Part = int | tuple[list[Difference], int, int]
# What cannot be derived here: the first entry is named with how many there are, instead of a difference for each.
_OURS = {
    "version": "not in this ledger's rule book; was book.toml edited?",
    "engine": f"this version of points decides by engine {ENGINE}",
}


def replay_partition(ledger: Ledger, partition: int, from_topic: bool = False) -> Iterator[_Part]:
    """Replay one partition: counts of entries as they are done, then (differences, accounts, how many differed)."""
    journal = ledger.journal(partition)
    head = journal.head()
    differ = _Differences()
    if from_topic:
        compare_topic(ledger, partition, differ.add)
    books = _Books(ledger, journal)
    receipts = ReceiptSum(head.entries)
    members = done = read = 0
    foreign: dict[tuple[str, str], Difference] = {}
    is_home = ledger.partition_of(PROGRAMME_SUBJECT) == partition  # where a published book counts
    try:
        for member, rows in members_of(journal.scan_by_member()):
            hers = ReceiptSum(head.entries)
            entries, found, strange = _compare_member(ledger, partition, member, rows, books, hers)
            differ.extend(found)
            receipts.include(hers)
            for what, first in strange.items():
                foreign.setdefault(what, {**first, "entries": 0})["entries"] += first["entries"]
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
        if not receipts.is_of(journal):
            for difference in receipts_that_differ(journal, partition, head.entries):
                differ.add(difference)
    except (Damaged, Unavailable) as error:
        differ.add({"partition": partition, "field": "file", "stored": f"cannot be read any further: {error}"})
    for difference in foreign.values():
        differ.add(difference)
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

    def extend(self, other: "_Differences") -> None:
        """Count and keep what another found."""
        self.count += other.count
        self.listed.extend(other.listed[: MAX_DIFFERENCES - len(self.listed)])


class _Books:
    """The rule book as it stood at each place of a journal."""

    def __init__(self, ledger: Ledger, journal: Journal) -> None:
        published = journal.published()
        self._places = [book.sequence for book in published]
        self._books = [ledger.new_book()]  # before the first, behind the first, and so on
        for number in range(len(published)):
            book = ledger.new_book()
            for earlier in published[: number + 1]:
                book.add(earlier.toml)
            self._books.append(book)

    def before(self, place: int) -> Book:
        """The book that decided the entry at a place."""
        return self._books[bisect_left(self._places, place)]

    def foreign(self, head: EntryHead) -> tuple[str, str] | None:
        """The field and value by which an entry was decided by something that is not here."""
        if head.engine != ENGINE:
            return "engine", str(head.engine)
        if head.version and head.version not in self._books[-1].by_name:
            return "version", head.version
        return None


def _compare_member(
    ledger: Ledger, partition: int, member: str, rows: Iterator[EntryRow], books: _Books, receipts: ReceiptSum
) -> tuple[int, _Differences, dict[tuple[str, str], Difference]]:
    """How many entries a member has, where they or the snapshot differ from what her facts say, and what is foreign.

    Her receipts, as they should be, are counted in `receipts`.
    """
    journal = ledger.journal(partition)
    snapshot = journal.snapshot(member)
    differ = _Differences()
    foreign: dict[tuple[str, str], Difference] = {}
    entries = 0
    expected = 1
    for found in derive(journal, member, rows, books.before, ledger.limits):
        if isinstance(found, Restarted):
            differ, foreign, entries, expected = _Differences(), {}, 0, 1
            receipts.clear()
            continue
        entries += 1
        row = found.row
        if row.number != expected:
            stored, derived = f"entry {row.number}", f"entry {expected}"
            differ.add({**_place(partition, row), "field": "number", "stored": stored, "derived": derived})
        expected = row.number + 1
        if isinstance(found, Unreadable):
            unreadable = f"unreadable: {found.problem}"
            differ.add(
                {**_place(partition, row), "field": "bytes", "stored": row.state[:64].hex(), "derived": unreadable}
            )
            continue
        if found.is_first:
            receipts.add(found.fact.source, found.fact.id, member, row.sequence)
        strange = books.foreign(found.head)
        if strange:
            field, stored = strange
            first = {**_place(partition, row), "field": field, "stored": stored, "derived": _OURS[field], "entries": 0}
            foreign.setdefault(strange, first)["entries"] += 1
        if foreign:
            continue  # what stands behind it was decided on an account that cannot be derived
        entry = _entry(found, member, partition)
        if encode_entry(entry) != row.state:
            for difference in _fields_that_differ(row.state, entry):
                differ.add({**_place(partition, row), "position": f"{partition}:{entry.offset}", **difference})
        if snapshot is not None and snapshot.number == row.number and not _is_account(snapshot.state, found.account):
            differ.add(
                {**_place(partition, row), "field": "account", "stored": "snapshot", "derived": "another account"}
            )
    return entries, differ, foreign


def _place(partition: int, row: EntryRow) -> Difference:
    return {"partition": partition, "member": row.member, "number": row.number, "place": row.sequence}


def _is_account(snapshot: bytes, account: Account) -> bool:
    try:
        kept = decode_account(snapshot)
    except msgspec.MsgspecError:
        return False
    # When to look next: early in either is as good.
    kept.next_due_at, kept.next_month_at = account.next_due_at, account.next_month_at
    return kept == account


def _entry(derived: Derived, member: str, partition: int) -> Entry:
    head = derived.head
    return entry_of(
        derived.decision,
        member=member,
        number=derived.row.number,
        partition=partition,
        offset=head.offset,
        occurred=derived.occurred,
        recorded=head.recorded,
        backlog=head.backlog,
        fact=head.fact,
        received=head.received,
    )


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
