"""Derive every decision again from the facts and compare it with what the journal keeps, leaf by leaf.

Members never touch each other, so a replay goes member by member in bounded memory; each entry is derived with the
rule books that were published before its place in the journal. Any difference is named by partition, position,
member and field.
"""

import time
from collections.abc import Iterator
from typing import Any

from ledger.core.account import Account, decode_account, next_due
from ledger.core.pages import PagesInMemory
from ledger.journal.ledger import Ledger
from ledger.journal.partition import entry_from
from ledger.journal.partition_map import partition_map
from ledger.journal.port import Damaged, EntryRow, Unavailable
from ledger.wire.entries import ENGINES, Entry
from ledger.wire.entry_codec import EntryHead, decode_entry, encode_entry
from ledger.wire.entry_json import position_text
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.unreadable import UNREADABLE
from projections.audit.derive import Unreadable, derive
from projections.audit.differences import MAX_DIFFERENCES, Difference, Differences, where_of
from projections.audit.pages import PageSum, compare_pages
from projections.audit.receipts import ReceiptSum, compare_receipts
from projections.audit.topic import compare_topic
from projections.book_history import BookHistory
from projections.ticking import EVERY, Progress


def replay(
    ledger: Ledger, *, jobs: int = 1, from_topic: bool = False, progress: Progress = lambda _: None
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
            progress(entries)
            continue
        found, members, total = part
        accounts += members
        count += total
        differences.extend(found[: MAX_DIFFERENCES - len(differences)])
    return replayed(started, entries, accounts, differences, count)


def replayed(started: float, entries: int, accounts: int, differences: list[Difference], count: int) -> dict[str, Any]:
    """Return what a replay that started at a `time.monotonic` came to; `count` is how many differences there are."""
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
    "engine": f"this version of points decides by engines 1 to {ENGINES[-1]}",
}


def replay_partition(ledger: Ledger, partition: int, from_topic: bool = False) -> Iterator[_Part]:
    """Replay one partition: counts of entries as they are done, then (differences, accounts, how many differed)."""
    journal = ledger.journal(partition)
    head = journal.head()
    compared = _Partition(ledger, partition, head.entries)
    differ = compared.differ
    if from_topic:
        compare_topic(ledger, differ)
    members = done = read = 0
    is_home = ledger.partition_of(PROGRAMME_SUBJECT) == partition  # where a published book counts
    try:
        for member, rows in journal.by_member():
            entries = compared.compare(member, rows)
            read += entries
            if member != PROGRAMME_SUBJECT:
                members += 1
            elif not is_home:
                continue
            done += entries
            if done >= EVERY:
                yield done
                done = 0
        if read < head.entries:  # more may have been written since
            differ.add(field="entries", stored=read, derived=head.entries)
        if not compared.receipts.is_of(journal):
            compare_receipts(journal, head.entries, differ)
        if groups := compared.pages.groups_that_differ(journal):
            compare_pages(ledger, groups, differ)
        for member in journal.snapshots_of_nobody():
            differ.add(member=member, field="account", stored="snapshot", derived="no such member")
    except (Damaged, Unavailable) as error:
        differ.add(field="file", stored=f"cannot be read any further: {error}")
    for (field, stored), (row, entries) in compared.foreign.items():
        differ.add(**where_of(row), field=field, stored=stored, derived=_OURS[field], entries=entries)
    yield done
    yield differ.listed, members, differ.count


class _Partition:
    """One partition's entries as they are compared; by `foreign` the first entry that something else decided."""

    def __init__(self, ledger: Ledger, partition: int, upto: int) -> None:
        self._journal = ledger.journal(partition)
        self._limits = ledger.limits
        self._partition_of = ledger.partition_of
        self._books = BookHistory(ledger, partition)
        self.differ = Differences(partition)
        self.receipts = ReceiptSum(upto)
        self.pages = PageSum()
        self.foreign: dict[tuple[str, str], tuple[EntryRow, int]] = {}  # by field and value, with how many there are

    def compare(self, member: str, rows: Iterator[EntryRow]) -> int:
        """Compare a member's entries, pages and snapshot with what the facts say; return how many entries there are."""
        differ, snapshot = self.differ, self._journal.snapshot(member)
        entries, expected, is_foreign, is_readable = 0, 1, False, True
        pages = PagesInMemory()
        if member != PROGRAMME_SUBJECT and (home := self._partition_of(member)) != differ.partition:
            differ.add(member=member, field="partition", stored=differ.partition, derived=home)
        for found in derive(self._journal, member, rows, self._books.before, self._limits):
            entries += 1
            row = found.row
            if row.number != expected:
                stored, derived = f"entry {row.number}", f"entry {expected}"
                differ.add(**where_of(row), field="number", stored=stored, derived=derived)
            expected = row.number + 1
            if isinstance(found, Unreadable):
                differ.add_unreadable(row, found.problem)
                is_readable = False
                continue
            pages = found.pages
            if found.is_first:
                self.receipts.add(found.item.fact.source, found.item.fact.id, member, row.sequence)
            if strange := self._strange(found.head):
                first, count = self.foreign.get(strange, (row, 0))
                self.foreign[strange] = first, count + 1
                is_foreign = True
            if is_foreign:
                continue  # what stands behind it was decided on an account that cannot be derived
            entry = entry_from(found.decision, found.item, row.number, differ.partition)
            if encode_entry(entry) != row.state:
                where = {**where_of(row), "position": position_text(entry.partition, entry.offset)}
                for difference in _fields_that_differ(row.state, entry):
                    differ.add(**where, **difference)
            if (
                snapshot is not None
                and snapshot.number == row.number
                and not _is_account(snapshot.state, found.account)
            ):
                differ.add(**where_of(row), field="account", stored="snapshot", derived="another account")
        if is_foreign or not is_readable:
            self.pages.leave_out(member)
            return entries
        self.pages.add(member, pages)
        if snapshot is not None and not 1 <= snapshot.number < expected:
            stands = f"snapshot at entry {snapshot.number}"
            if not 1 <= snapshot.number <= self._journal.last_number(member):  # it may have been decided meanwhile
                differ.add(member=member, field="account", stored=stands, derived="no such entry")
        return entries

    def _strange(self, head: EntryHead) -> tuple[str, str] | None:
        """Return the field and value by which an entry was decided by something that is not here."""
        if head.engine not in ENGINES:
            return "engine", str(head.engine)
        if head.version and head.version not in self._books.versions:
            return "version", head.version
        return None


def _is_account(snapshot: bytes, account: Account) -> bool:
    try:
        kept = decode_account(snapshot)
    except UNREADABLE:  # a text that is no UTF-8 is a `ValueError`
        return False
    if kept.next_due_at > next_due(account) or kept.next_month_at > account.next_month_at:
        return False  # what falls due would be missed
    # When to look next: early in either is as good.
    kept.next_due_at, kept.next_month_at = account.next_due_at, account.next_month_at
    kept.placed_by = account.placed_by
    return kept == account


def _fields_that_differ(state: bytes, derived: Entry) -> Iterator[Difference]:
    try:
        stored = decode_entry(state)
    except UNREADABLE as error:
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
