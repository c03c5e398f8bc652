"""A partition's entries compared by the native engine; the members that it hands back are compared by Python.

The engine says which entries come to other bytes, and to which; what of them differs is named as ever.
"""

from collections.abc import Collection, Iterator, Sequence
from operator import itemgetter
from typing import Any

from msgspec.structs import replace

from ledger.core.account import decode_account
from ledger.core.pages import PagesInMemory, encode_page
from ledger.journal.by_member import ODD, MemberSpan, grouped_entries
from ledger.journal.ledger import Ledger
from ledger.journal.port import Snapshot
from ledger.journal.sql import Journal
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.plain import plain_version
from ledger.wire.entry_codec import decode_entry, encode_entry
from projections.audit.compare import Comparing, add_fields_that_differ, is_account
from projections.audit.differences import Differences
from projections.audit.pages import GROUPS
from projections.book_history import BookHistory

_MEMBERS_AT_ONCE = 500  # whose snapshots are read together
_Differs = tuple[int, str, int, bytes, bool, bytes]  # sequence, member, number, state; of the account?, what is derived
_member_of = itemgetter(1)


class NativeComparing(Comparing):
    """One partition's entries as they are compared; `handed_back` counts those that are left to Python."""

    def __init__(self, module: Any, ledger: Ledger, partition: int, upto: int) -> None:
        super().__init__(ledger, partition, upto)
        versions, books = _plain(self._books)
        self._module = module
        self._native = module.Replay(partition, ledger.limits.request_max_age, upto, versions, books)
        self.receipts = _Receipts(self._native, upto)
        self.pages = _Pages(self._native)
        self._snapshots: dict[str, Snapshot] = {}  # of the members that have begun and not ended
        self._found: dict[str, Differences] = {}  # of the same

    def members(self) -> Iterator[tuple[str, int]]:
        """Compare all members; yield each with how many entries there are."""
        for span in self._journal.spans_by_member(self._upto):
            grouped = grouped_entries(self._module, self._journal, self._upto, span)
            yield from self._compare_looked_up(span) if grouped is None else self._compare_grouped(grouped)
        yield from self._take(*self._native.finish())

    def _compare_grouped(self, grouped: Any) -> Iterator[tuple[str, int]]:
        while begun := grouped.next_members(_MEMBERS_AT_ONCE):
            snapshots = self._snapshots_of(begun)
            yield from self._take(*self._native.compare_grouped(grouped, len(begun), snapshots))

    def _compare_looked_up(self, span: MemberSpan) -> Iterator[tuple[str, int]]:
        last = ""
        for rows in self._journal.rows_looked_up(self._upto, span.after, span.last):
            begun = [member for member in dict.fromkeys(map(_member_of, rows)) if member != last]
            last = rows[-1][1]
            yield from self._take(*self._native.feed(rows, self._snapshots_of(begun)))

    def _snapshots_of(self, begun: Sequence[str]) -> list[Snapshot]:
        snapshots = self._journal.snapshots_of(begun) if begun else []
        self._snapshots.update((snapshot.member, snapshot) for snapshot in snapshots)
        return snapshots

    def _take(
        self, differences: Sequence[_Differs], ended: Sequence[tuple[str, int, str | None]]
    ) -> Iterator[tuple[str, int]]:
        """Name what differs; it counts when its member ends. Yield the members who end."""
        for sequence, member, number, state, is_of_account, derived in differences:
            owner = self._owner_at(self.differ.partition, sequence)
            if not is_of_account and owner != self.differ.partition:  # which is what the engine writes into every entry
                derived = encode_entry(replace(decode_entry(derived), partition=owner))
                if derived == state:
                    continue
            found = self._found.setdefault(member, Differences(self.differ.partition))
            where = {"member": member, "number": number, "place": sequence}
            if not is_of_account:
                add_fields_that_differ(found, where, state, decode_entry(derived))
            elif not is_account(self._snapshots[member].state, decode_account(derived)):
                found.add(**where, field="account", stored="snapshot", derived="another account")
        yield from self._end(ended)

    def _end(self, ended: Sequence[tuple[str, int, str | None]]) -> Iterator[tuple[str, int]]:
        for member, entries, why in ended:
            found, snapshot = self._found.pop(member, None), self._snapshots.pop(member, None)
            if why is not None:
                self.handed_back[why] += entries
                yield member, self.compare(member, self._journal.scan_of(member, self._upto))
                continue
            self._compare_home(member)
            if found is not None:
                self.differ.add_all(found)
            if snapshot is not None and not 1 <= snapshot.number <= entries:
                self._compare_number(snapshot)
            yield member, entries


def _plain(history: BookHistory) -> tuple[list[bytes], list[tuple[int, list[int]]]]:
    """Return the versions of all books, and by the place behind which a book holds the places of its versions."""
    places: dict[int, int] = {}
    versions: list[ProgrammeVersion] = []
    books = []
    for behind, book in history.books():
        for version in book.versions:
            if id(version) not in places:
                places[id(version)] = len(versions)
                versions.append(version)
        books.append((behind, [places[id(version)] for version in book.versions]))
    return [plain_version(version) for version in versions], books


class _Receipts:
    """The receipts that are counted by the native engine."""

    def __init__(self, native: Any, upto: int) -> None:
        self._native, self._upto = native, upto

    def add(self, source: str, id: str, member: str, place: int) -> None:
        """Count a receipt."""
        self._native.add_receipt(source, id, member, place)

    def is_of(self, journal: Journal) -> bool:
        """Return True if a journal has these receipts and no others."""
        furthest = 0
        for names, rows in journal.receipt_rows():
            try:
                furthest = max(furthest, self._native.add_stored_receipts(names, rows))
            except ODD:
                return False
        if furthest > self._upto and furthest > journal.head().entries:
            return False  # of no entry, and of none that was made meanwhile
        agree: bool = self._native.receipts_agree()
        return agree


class _Pages:
    """The pages that are counted by the native engine."""

    def __init__(self, native: Any) -> None:
        self._native = native

    def add(self, member: str, pages: PagesInMemory) -> None:
        """Count a member's pages."""
        self._native.add_pages(member, [(key, encode_page(page)) for key, page in pages.items()])

    def leave_out(self, member: str) -> None:
        """Remember that nobody can derive a member's pages here."""
        self._native.leave_out_pages(member)

    def group_of(self, member: str) -> int:
        """Return the group of a member."""
        group: int = self._native.page_group_of(member)
        return group

    def groups_that_differ(self, journal: Journal) -> Collection[int]:
        """Return the groups whose stored pages come to another sum, those left out excepted."""
        for rows in journal.page_rows():
            try:
                self._native.add_stored_pages(rows)
            except ODD:
                return range(GROUPS)
        groups: list[int] = self._native.page_groups_that_differ()
        return groups
