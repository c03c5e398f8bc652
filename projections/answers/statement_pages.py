"""Pages of a statement, however long it is: one pass over a member's entries leaves marks, and a page is read from one.

A mark is the account as it stood before some entries. So the balance after every line is known, a page costs what lies
behind one mark, and marks behind which no line is wanted are passed over. The pass is made in pieces; until it is over
the newest entries are a statement of their own, without balances.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct, field

from ledger.core.account import Account, decode_account, encode_account
from ledger.journal.ledger import Ledger
from ledger.wire.entries import OUTCOMES
from projections.answers.statement import Line, LineReader, Month, Sort, Wanted, add_sums, by_month, folded, sort_of

LINES = 50  # a page
MOST_ENTRIES = 200_000  # of a member, the newest; balances are known where they are all
FIRST_SPACING = 256  # entries between two marks
MOST_MARKS = 256  # of a member; where there are more every second is let go
MOST_READ = 4_000  # entries for one page
MOST_MEMBERS = 256  # whose marks are held,
MOST_BYTES = 64 << 20  # with so many bytes of accounts
READ_AT_ONCE = 2_000  # entries
PIECE = 2_000  # entries of a long statement that are read before others have their turn


class MonthOf(Struct):
    """A month: its first and last entry, what came and went by unit, and how many lines of each sort it has."""

    first: int
    last: int = 0
    sums: dict[str, tuple[int, int]] = field(default_factory=dict)
    sorts: Counter[Sort] = field(default_factory=Counter)

    def add(self, other: "MonthOf") -> None:
        """Add what came later in the month."""
        self.last = other.last
        for unit, (came, went) in other.sums.items():
            before = self.sums.get(unit, (0, 0))
            self.sums[unit] = (before[0] + came, before[1] + went)
        self.sorts.update(other.sorts)


Months = dict[str, MonthOf]


class Mark(Struct):
    """The account before the entry behind `number`, encoded, and the months of the lines that follow to the next."""

    number: int
    state: bytes | None
    months: Months = field(default_factory=dict)

    def has(self, wanted: Wanted) -> bool:
        """Return True if a line is wanted of those that follow."""
        return any(wanted.has_sort(sort) for of in self.months.values() for sort in of.sorts)


def _added(months: Iterable[Months]) -> Months:
    """Return months that follow each other as one account of them."""
    found: Months = {}
    for some in months:
        for month, of in some.items():
            found.setdefault(month, MonthOf(of.first)).add(of)
    return found


class StatementPage(NamedTuple):
    """Months with their lines, the newest first. `found` lines are wanted; `older` is where the next page begins or 0.

    `is_cut` says that more were not looked for yet, so a page may be short of lines.
    """

    months: list[Month]
    found: int
    older: int
    is_newest: bool
    is_cut: bool


class Statement:
    """A member's statement, as far as it was read: of the `most` newest entries up to `last`. It is of one thread."""

    def __init__(self, ledger: Ledger, member: str, last: int, most: int = 0) -> None:
        self.member = member
        self.earlier = max(0, last - (most or MOST_ENTRIES))
        self.number = self.earlier
        self._months: Months | None = {}
        self._zone = ledger.book_of(member).offset
        self._reader = LineReader(self._zone, None if self.earlier else Account())
        self._marks: list[Mark] = []
        self._spacing = FIRST_SPACING
        self.bytes = 0

    def read_to(self, ledger: Ledger, last: int) -> None:
        """Read the entries that are new, up to the one numbered `last`."""
        journal = ledger.journal(ledger.partition_of(self.member))
        while self.number < last:
            self._months = None
            for row in journal.entries_of(self.member, self.number, min(READ_AT_ONCE, last - self.number)):
                if not self._marks or self.number - self._marks[-1].number >= self._spacing:
                    self._set_mark()
                line = self._reader.line_of(row)
                month = self._marks[-1].months.setdefault(line.month, MonthOf(line.number))
                month.last = self.number = line.number
                add_sums(month.sums, line)
                month.sorts[sort_of(line)] += 1

    def as_of(self, ledger: Ledger, last: int) -> "Statement":
        """Return the statement up to an earlier entry: read from the mark before it."""
        kept = [mark for mark in self._marks if mark.number < last]
        made = Statement(ledger, self.member, last)
        if kept:
            made.earlier, made.number, state = self.earlier, kept[-1].number, kept[-1].state
            made._marks, made._spacing = kept[:-1], self._spacing
            made._reader = LineReader(self._zone, None if state is None else decode_account(state))
        made.read_to(ledger, last)
        return made

    @property
    def months(self) -> Months:
        """The months, the oldest first."""
        if self._months is None:
            self._months = _added(mark.months for mark in self._marks)
        return self._months

    def _set_mark(self) -> None:
        account = self._reader.account
        try:
            self._marks.append(Mark(self.number, None if account is None else encode_account(account)))
        except OverflowError:  # too much for its encoding: the mark before serves longer
            return
        if len(self._marks) > MOST_MARKS:
            self._spacing *= 2
            for kept, gone in zip(self._marks[::2], self._marks[1::2], strict=False):
                kept.months = _added((kept.months, gone.months))
            self._marks = self._marks[::2]
        self.bytes = sum(len(mark.state or b"") for mark in self._marks)

    @property
    def sorts(self) -> Counter[Sort]:
        """How many lines of each sort there are."""
        return sum((month.sorts for month in self.months.values()), Counter())

    def types(self) -> list[str]:
        """Return the types of facts that there are."""
        return sorted({sort.type for sort in self.sorts})

    def outcomes(self) -> list[str]:
        """Return the outcomes that there are."""
        found = {sort.outcome for sort in self.sorts}
        return [outcome for outcome in OUTCOMES if outcome in found]

    def units(self) -> list[str]:
        """Return the kinds of points and scores that lines moved."""
        return list(dict.fromkeys(unit for sort in self.sorts for unit in sort.units))

    def page(self, ledger: Ledger, before: int, wanted: Wanted) -> StatementPage:
        """Return the newest lines that are wanted, of those before a number where it is above 0."""
        months = [of for month, of in self.months.items() if wanted.month in ("", month)]
        found = sum(n for month in months for sort, n in month.sorts.items() if wanted.has_sort(sort))
        first = months[0].first if months else self.number + 1
        newest = months[-1].last if months else 0
        end = min(newest, before - 1) if before else newest
        lines, shown, read, lowest, is_cut = list[Line](), list[Line](), 0, 0, False
        for place in reversed(range(len(self._marks))):
            mark = self._marks[place]
            upto = min(end, self._marks[place + 1].number if place + 1 < len(self._marks) else self.number)
            if upto <= mark.number or not mark.has(wanted):
                continue
            if upto < first or len(shown) > LINES:
                break
            if read >= MOST_READ:
                is_cut = True
                break
            lines[:0] = filter(wanted.has, self._lines(ledger, mark, upto))
            read += upto - mark.number
            lowest, shown = mark.number, folded(lines)
        behind = len(shown) > LINES
        shown = shown[-LINES:]
        older = (shown[0].oldest or shown[0].number) if behind else lowest + 1 if is_cut else 0
        sums = {month: of.sums for month, of in self.months.items()}
        return StatementPage(by_month(sums, shown[::-1]), found, older, end == newest, is_cut and not behind)

    def _lines(self, ledger: Ledger, mark: Mark, upto: int) -> list[Line]:
        reader = LineReader(self._zone, None if mark.state is None else decode_account(mark.state))
        rows = ledger.journal(ledger.partition_of(self.member)).entries_of(self.member, mark.number, upto - mark.number)
        return [reader.line_of(row) for row in rows]


class Statements:
    """The statements that were read last, as many as are held. They are of one thread."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Statement] = OrderedDict()

    def read_on(self, ledger: Ledger, member: str, last: int) -> int:
        """Read a piece more of a member's entries, up to the one numbered `last`; return how many are missing."""
        held = self._held.get(member)
        if held is None or (held.earlier and last - held.earlier > MOST_ENTRIES + READ_AT_ONCE):
            held = self._held[member] = Statement(ledger, member, last)
        held.read_to(ledger, min(last, held.number + PIECE))
        self._held.move_to_end(member)
        while len(self._held) > 1 and (len(self._held) > MOST_MEMBERS or self._bytes() > MOST_BYTES):
            self._held.popitem(last=False)
        return max(0, last - held.number)

    def of(self, ledger: Ledger, member: str, last: int) -> Statement | None:
        """Return a member's statement up to the entry numbered `last`; None where more than a piece is missing."""
        if last - self.read(member) > PIECE or self.read_on(ledger, member, last):
            return None
        held = self._held[member]
        return held if held.number == last else held.as_of(ledger, last)

    def read(self, member: str) -> int:
        """Return up to which entry the statement of a member was read; 0 where nothing is held."""
        held = self._held.get(member)
        return 0 if held is None else held.number

    def _bytes(self) -> int:
        return sum(statement.bytes for statement in self._held.values())


def statement_of(ledger: Ledger, member: str, last: int, most: int = 0) -> Statement:
    """Return a member's statement up to the entry numbered `last`, of the `most` newest where that is said."""
    made = Statement(ledger, member, last, most)
    made.read_to(ledger, last)
    return made
