"""A member's statement as a bank's: entries in the ledger's order, the balance after each, by month, and filtered.

The balance is what is spendable of a kind after an entry. An entry moves it by its `effect` and by what was `lost`
of it because it fell due before the decision. A line stands in the month of the member's own clock.

Where names come to a member or leave, the line says by name what came of it and what went: all that they had before is
in their own statements.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, islice
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple

from ledger.core.account import Account
from ledger.core.bundles import entry_is_over
from ledger.core.burning import kept_in_order
from ledger.core.evolve import evolve
from ledger.journal.ledger import Ledger
from ledger.journal.port import EntryRow
from ledger.wire.entries import (
    OUTCOMES,
    Captured,
    ClawedBack,
    Confirmed,
    Earned,
    Entry,
    Expired,
    Forfeited,
    GivenBack,
    Held,
    MovedIn,
    MovedOut,
    NameCame,
    NameLeft,
    Refrozen,
    Released,
    Repaid,
    Restored,
    Spent,
    TransitChange,
    owner_of,
)
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import fact_head
from ledger.wire.times import Zone, month_of, month_text
from projections.answers.tables import Row, Table, columns
from projections.explaining.movements import effect_of

DUPLICATE = "duplicate"
# The changes that may move what is spendable of a kind.
Moves = (
    Earned
    | Confirmed
    | Spent
    | Restored
    | GivenBack
    | Held
    | Released
    | Captured
    | Refrozen
    | Expired
    | ClawedBack
    | Forfeited
    | Repaid
    | TransitChange
    | MovedOut
    | MovedIn
)
LINES = columns(
    "member number:integer occurred:instant month type id outcome reason unit effect:integer expired:integer"
    " balance:integer names:json"
)


class Line(NamedTuple):
    """An entry: `occurred` in microseconds since 1970 UTC, `effect` by kind of points or score, `expired` by kind.

    `lost` is what of the expired was spendable, below 0, and `balances` what is spendable by kind after it; None where
    that is not known. `folded` are the duplicates before it that stand in its line, from the one numbered `oldest`.
    `names` says, of names that came or left, what of each became spendable here or went (below 0), by kind.
    """

    number: int
    occurred: int
    month: str
    type: str
    id: str
    outcome: str
    reason: str
    effect: dict[str, int]
    expired: dict[str, int]
    lost: dict[str, int]
    balances: dict[str, int] | None
    folded: int = 0
    oldest: int = 0
    names: Mapping[str, Mapping[str, int]] = MappingProxyType({})


class Wanted(NamedTuple):
    """Which lines: of a kind of points or score, a type of fact, an outcome, a month (2025-12); "" for any."""

    kind: str = ""
    type: str = ""
    outcome: str = ""
    month: str = ""

    def has(self, line: Line) -> bool:
        """Return True if a line is wanted."""
        return self.month in ("", line.month) and self.has_sort(sort_of(line))

    def has_sort(self, sort: "Sort") -> bool:
        """Return True if lines of a sort are wanted, in the months that are."""
        return (
            (not self.kind or self.kind in sort.units)
            and (not self.type or self.type == sort.type)
            and (not self.outcome or self.outcome == sort.outcome)
        )


class Sort(NamedTuple):
    """What a line is filtered by, but for its month."""

    type: str
    outcome: str
    units: tuple[str, ...]


def sort_of(line: Line) -> Sort:
    """Return what a line is filtered by."""
    return Sort(line.type, line.outcome, tuple({**line.effect, **line.expired}))


class Month(NamedTuple):
    """A month of a statement: the lines that are shown, the newest first; by kind what came and what went in all."""

    month: str
    lines: list[Line]
    sums: dict[str, tuple[int, int]]


class LineReader:
    """Reads a member's lines in order, and holds the account that each leaves; `account` stands before the first.

    Without an account what is spendable is not known, and `balances` are None.
    """

    def __init__(self, zone: Zone, account: Account | None) -> None:
        self._zone = zone
        self.account = account
        self._balances = {} if account is None else {kind: of.spendable() for kind, of in account.purses.items()}

    def line_of(self, row: EntryRow) -> Line:
        """Return the line of the next entry, and take it on."""
        entry = decode_entry(row.state)
        head, expired = fact_head(entry), dict[str, int]()
        for change in entry.changes:
            if isinstance(change, Expired):
                expired[change.kind] = expired.get(change.kind, 0) + change.points
        effect, lost, balances = effect_of(entry.changes), dict[str, int](), None
        names: dict[str, dict[str, int]] = {}
        if self.account is not None:
            effect, lost = self._moved(self.account, entry, effect, names)
            entry_is_over(self.account)
            balances = {kind: self._balances.get(kind, 0) for kind in self.account.purses}
        return Line(
            entry.number,
            entry.occurred,
            month_text(month_of(entry.clock, self._zone)),
            head.type,
            head.id,
            OUTCOMES[entry.outcome],
            entry.reason,
            {unit: points for unit, points in effect.items() if points},
            expired,
            {unit: points for unit, points in lost.items() if points},
            balances,
            names=names,
        )

    def _moved(
        self, account: Account, entry: Entry, effect: dict[str, int], names: dict[str, dict[str, int]]
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Apply changes; return by unit what they did to what is spendable, and what of it fell due.

        What names brought or took is put into `names`. A purse is added up once for each run of changes: it may have
        many lots.
        """
        changes = entry.changes
        kinds = {change.kind for change in changes if isinstance(change, Moves)}
        effect, lost = {unit: points for unit, points in effect.items() if unit not in kinds}, dict[str, int]()
        for is_lost, run in groupby(changes, lambda change: isinstance(change, Expired)):
            touched = dict[str, None]()
            for change in run:
                if isinstance(change, NameCame | NameLeft | MovedIn | MovedOut):
                    _note_name(account, entry.member, change, names)
                evolve(account, change)
                if isinstance(change, Moves):
                    touched[change.kind] = None
            of = lost if is_lost else effect
            for kind in touched:
                purse = account.purse(kind)
                purse.lots = kept_in_order(purse.lots)
                spendable = purse.spendable()
                of[kind] = of.get(kind, 0) + spendable - self._balances.get(kind, 0)
                self._balances[kind] = spendable
        return effect, lost


def _note_name(
    account: Account, member: str, change: NameCame | NameLeft | MovedIn | MovedOut, names: dict[str, dict[str, int]]
) -> None:
    """Note which name comes or leaves, and what of a lot of its own becomes spendable or goes; `account` is before."""
    if isinstance(change, NameCame | NameLeft):
        names.setdefault(change.name or member, {})
        return
    owner, purse = owner_of(change.lot), account.purse(change.kind)
    name = account.bundle.known[owner - 1] if owner and account.bundle is not None else member
    of = names.setdefault(name, {})
    if isinstance(change, MovedIn):
        came = 0 if change.pending_until else change.points
    else:
        came = 0 if purse.lots[change.lot].pending_until else -change.points
    if came:
        of[change.kind] = of.get(change.kind, 0) + came


def lines_of(ledger: Ledger, member: str, last: int) -> Iterator[Line]:
    """Return the lines of a member's entries up to the one numbered `last`, the oldest first."""
    reader = LineReader(ledger.book_of(member).offset, Account())
    rows = ledger.journal(ledger.partition_of(member)).each_entry_of(member)
    return map(reader.line_of, islice(rows, last))


def add_sums(sums: dict[str, tuple[int, int]], line: Line) -> None:
    """Add what came and what went by a line to a month's sums by unit."""
    for unit, points in (*line.effect.items(), *line.lost.items()):
        came, went = sums.get(unit, (0, 0))
        sums[unit] = (came + points, went) if points > 0 else (came, went + points)


def by_month(sums: Mapping[str, dict[str, tuple[int, int]]], shown: Iterable[Line]) -> list[Month]:
    """Return the lines that are shown, the newest first, by month, each with its sums of all lines."""
    return [Month(month, list(lines), sums[month]) for month, lines in groupby(shown, attrgetter("month"))]


def folded(lines: Iterable[Line]) -> list[Line]:
    """Return lines of which duplicates that follow each other are one, the newest of them."""
    found: list[Line] = []
    for line in lines:
        before = found[-1] if found else None
        if before and line.reason == before.reason == DUPLICATE and line.month == before.month:
            found[-1] = line._replace(folded=before.folded + 1, oldest=before.oldest or before.number)
        else:
            found.append(line)
    return found


def table_of(member: str, lines: Iterable[Line], kind: str, zone: Zone) -> Table:
    """Return lines as a table: a row for each kind or score that an entry moved (`kind` names one), or one without."""
    return Table(LINES, _rows(member, lines, kind), zone)


def _rows(member: str, lines: Iterable[Line], kind: str) -> Iterator[Row]:
    for line in lines:
        head = member, line.number, line.occurred, line.month, line.type, line.id, line.outcome, line.reason or None
        units = [unit for unit in {**line.effect, **line.expired} if kind in ("", unit)]
        for unit in units:
            balance = None if line.balances is None else line.balances.get(unit)
            named = {name: of.get(unit, 0) for name, of in line.names.items()} or None
            yield *head, unit, line.effect.get(unit, 0), line.expired.get(unit, 0), balance, named
        if not units:
            yield *head, None, None, None, None, dict.fromkeys(line.names, 0) or None
