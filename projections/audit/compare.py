"""A partition's entries, accounts, receipts and pages compared with what its facts come to, member by member."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ledger.core.account import Account, decode_account, next_due
from ledger.core.pages import PagesInMemory
from ledger.journal.ledger import Ledger
from ledger.journal.partition import entry_from
from ledger.journal.port import EntryRow, Snapshot
from ledger.wire.entries import ENGINES, Entry
from ledger.wire.entry_codec import EntryHead, decode_entry, encode_entry
from ledger.wire.entry_json import position_text
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.unreadable import UNREADABLE
from projections.audit.derive import Unreadable, derive
from projections.audit.differences import Difference, Differences, where_of
from projections.audit.pages import PageSum, PageSums
from projections.audit.receipts import ReceiptSum, ReceiptSums
from projections.book_history import BookHistory


class Comparing:
    """One partition's entries as they are compared; by `foreign` the first entry that something else decided."""

    def __init__(self, ledger: Ledger, partition: int, upto: int) -> None:
        self._journal = ledger.journal(partition)
        self._limits = ledger.limits
        self._partition_of, self._owner_at = ledger.partition_of, ledger.owner_at
        self._books = BookHistory(ledger, partition)
        self._upto = upto
        self.differ = Differences(partition)
        self.receipts: ReceiptSums = ReceiptSum(upto)
        self.pages: PageSums = PageSum()
        self.handed_back: Counter[str] = Counter()  # entries that the native engine left to Python, by why
        self.foreign: dict[tuple[str, str], tuple[EntryRow, int]] = {}  # by field and value, with how many there are

    def members(self) -> Iterator[tuple[str, int]]:
        """Compare all members; yield each with how many entries there are."""
        for member, rows in self._journal.by_member():
            yield member, self.compare(member, rows)

    def compare(self, member: str, rows: Iterator[EntryRow]) -> int:
        """Compare a member's entries, pages and snapshot with what the facts say; return how many entries there are."""
        differ, snapshot = self.differ, self._journal.snapshot(member)
        entries, expected, is_foreign, is_readable = 0, 1, False, True
        pages = PagesInMemory()
        self._compare_home(member)
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
            entry = entry_from(found.decision, found.item, row.number, self._owner_at(differ.partition, row.sequence))
            if encode_entry(entry) != row.state:
                add_fields_that_differ(differ, where_of(row), row.state, entry)
            if snapshot is not None and snapshot.number == row.number and not is_account(snapshot.state, found.account):
                differ.add(**where_of(row), field="account", stored="snapshot", derived="another account")
        if is_foreign or not is_readable:
            self.pages.leave_out(member)
            return entries
        self.pages.add(member, pages)
        if snapshot is not None and not 1 <= snapshot.number < expected:
            self._compare_number(snapshot)
        return entries

    def _compare_home(self, member: str) -> None:
        """Find out whether a member's journal is this one."""
        if member != PROGRAMME_SUBJECT and (home := self._partition_of(member)) != self.differ.partition:
            self.differ.add(member=member, field="partition", stored=self.differ.partition, derived=home)

    def _compare_number(self, snapshot: Snapshot) -> None:
        """Find out whether there is the entry of a snapshot that stands at none of those seen."""
        if not 1 <= snapshot.number <= self._journal.last_number(snapshot.member):  # it may have been decided meanwhile
            stands = f"snapshot at entry {snapshot.number}"
            self.differ.add(member=snapshot.member, field="account", stored=stands, derived="no such entry")

    def _strange(self, head: EntryHead) -> tuple[str, str] | None:
        """Return the field and value by which an entry was decided by something that is not here."""
        if head.engine not in ENGINES:
            return "engine", str(head.engine)
        if head.version and head.version not in self._books.versions:
            return "version", head.version
        return None


def is_account(snapshot: bytes, account: Account) -> bool:
    """Return True if a snapshot holds an account; when to look next may be earlier in either."""
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


def add_fields_that_differ(differ: Differences, where: dict[str, Any], state: bytes, derived: Entry) -> None:
    """Count what differs between an entry as it is stored and as it is derived."""
    position = position_text(derived.partition, derived.offset)
    for difference in _fields_that_differ(state, derived):
        differ.add(**where, position=position, **difference)


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
