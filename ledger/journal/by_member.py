"""A journal's entries by member, read in the order of the journal where those of many members fit into memory.

An entry that is looked up by its member lies anywhere in the file: that takes more than twice the time of reading
entries as they lie. So the entries of many members are read in one pass over the journal, and grouped.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol

from ledger.journal.port import Damaged

IN_MEMORY: Final = 64 << 20  # bytes of entries that are grouped at a time
PASSES: Final = 3  # over the whole journal; where more were needed, entries are looked up
_ROW_BYTES: Final = 250  # about what a row takes beside its entry's bytes

# What the native engine raises of a column that holds something else than it should.
ODD: Final = (TypeError, ValueError, OverflowError)

EntryRows = list[tuple[int, str, int, bytes]]  # sequence, member, number, state
_number_of = itemgetter(2)


class ByMember(Protocol):
    """What is asked of a journal."""

    scan_rows: int

    def member_sizes(self, after: str) -> Iterable[tuple[str, int]]:
        """Return the members behind one, in order, each with how many entries there are."""
        ...

    def mean_size(self, upto: int) -> int:
        """Return about how many bytes an entry has, of those up to a sequence."""
        ...

    def rows_looked_up(self, upto: int, after: str, last: str | None) -> Iterator[EntryRows]:
        """Return entries up to a sequence by member and number, some at a time, looked up by member."""
        ...

    def rows_in_order(self, upto: int, after: str, last: str) -> Iterator[EntryRows]:
        """Return the same in the journal's order."""
        ...


class MemberSpan(NamedTuple):
    """Members behind one up to another, or to the last where `last` is None; whether their entries fit into memory."""

    after: str
    last: str | None
    fits: bool


def spans(journal: ByMember, upto: int, after: str) -> Iterator[MemberSpan]:
    """Yield the members behind one in spans whose entries up to a sequence fit into memory, or of one who has more.

    Those of a journal that would be gone over too often, or cannot be gone over, are one span that does not fit.
    """
    most = IN_MEMORY // (journal.mean_size(upto) + _ROW_BYTES)
    if upto > most * PASSES:
        yield MemberSpan(after, None, fits=False)
        return
    last, entries = after, 0
    try:
        for member, size in journal.member_sizes(after):
            if entries and entries + size > most:
                yield MemberSpan(after, last, entries <= most)
                after, entries = last, 0
            last = member
            entries += size
    except Damaged:  # what can be looked up is looked up, and what cannot raises it again
        yield MemberSpan(after, None, fits=False)
        return
    if entries:
        yield MemberSpan(after, last, entries <= most)


def grouped_entries(native: Any, journal: ByMember, upto: int, span: MemberSpan) -> Any | None:
    """Return a span's entries in the native engine's memory (`Grouped`); None where they are to be looked up."""
    if not span.fits or span.last is None:
        return None
    grouped = native.Grouped()
    try:
        for rows in journal.rows_in_order(upto, span.after, span.last):
            if grouped.take(rows) > 2 * IN_MEMORY:
                return None
    except (Damaged, *ODD):  # what can be looked up is looked up, and what cannot raises it again
        return None
    return grouped


def rows_by_member(journal: ByMember, upto: int, after: str) -> Iterator[EntryRows]:
    """Yield entries up to a sequence by member and number, some at a time, from the first member behind `after` on."""
    for span in spans(journal, upto, after):
        yield from rows_of_span(journal, upto, span)


def rows_of_span(journal: ByMember, upto: int, span: MemberSpan) -> Iterator[EntryRows]:
    """Yield the entries up to a sequence of a span's members, by member and number, some at a time."""
    grouped = _grouped(journal, upto, span)
    if grouped is None:
        yield from journal.rows_looked_up(upto, span.after, span.last)
    else:
        yield from _some_at_a_time(grouped, journal.scan_rows)


def _grouped(journal: ByMember, upto: int, span: MemberSpan) -> Iterator[EntryRows] | None:
    """Return a span's entries member by member; None where they do not fit, or are not plainly there."""
    if not span.fits or span.last is None:
        return None
    of: defaultdict[str, EntryRows] = defaultdict(list)
    room = 2 * IN_MEMORY
    try:
        for rows in journal.rows_in_order(upto, span.after, span.last):
            for row in rows:
                of[row[1]].append(row)
                room -= len(row[3])
            if room < 0:
                return None
        members = sorted(of)
        for member in members:
            of[member].sort(key=_number_of)
    except (Damaged, TypeError):  # a file that cannot be read through, a column that holds something else
        return None
    return map(of.pop, members)


def _some_at_a_time(groups: Iterator[EntryRows], most: int) -> Iterator[EntryRows]:
    """Yield the rows of groups, at least `most` at a time."""
    rows: EntryRows = []
    for group in groups:
        rows += group
        if len(rows) >= most:
            yield rows
            rows = []
    if rows:
        yield rows
