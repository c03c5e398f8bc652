"""A member's statement as a bank's: entries in the ledger's order, the balance after each, by month, and filtered.

The balance is what is spendable of a kind after an entry. An entry moves it by its `effect` and by what was `lost`
of it because it fell due before the decision. A line stands in the month of the member's own clock.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ledger.core.account import Account
from ledger.core.evolve import evolve
from ledger.journal.ledger import Ledger
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
    Refrozen,
    Released,
    Repaid,
    Restored,
    Spent,
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
)
LINES = columns(
    "member number:integer occurred:instant month type id outcome reason unit effect:integer expired:integer"
    " balance:integer"
)


class Line(NamedTuple):
    """An entry: `occurred` in microseconds since 1970 UTC, `effect` by kind of points or score, `expired` by kind.

    `lost` is what of the expired was spendable, below 0, and `balances` what is spendable by kind after it; None where
    that is not known. `folded` are the duplicates before it that stand in its line.
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


class Wanted(NamedTuple):
    """Which lines: of a kind of points or score, a type of fact, an outcome; "" for any."""

    kind: str = ""
    type: str = ""
    outcome: str = ""

    def has(self, line: Line) -> bool:
        """Return True if a line is wanted."""
        return (
            (not self.kind or self.kind in line.effect or self.kind in line.expired)
            and (not self.type or self.type == line.type)
            and (not self.outcome or self.outcome == line.outcome)
        )


class Month(NamedTuple):
    """A month of a statement: the lines that are shown, the newest first; by kind what came and what went in all."""

    month: str
    lines: list[Line]
    sums: dict[str, tuple[int, int]]


class Lines(NamedTuple):
    """Lines, the oldest first; where `earlier` is above 0 so many entries before them were not read."""

    lines: list[Line]
    earlier: int


def lines_of(ledger: Ledger, member: str, last: int, most: int) -> Lines:
    """Return the newest `most` of a member's entries up to the one numbered `last`.

    Balances are known where all entries are among them.
    """
    journal, zone = ledger.journal(ledger.partition_of(member)), ledger.book_of(member).offset
    earlier = max(0, last - most)
    account = None if earlier else Account()
    rows = journal.entries_of(member, earlier, last - earlier)
    return Lines([_line(decode_entry(row.state), account, zone) for row in rows], earlier)


def by_month(lines: Iterable[Line], shown: Sequence[Line]) -> list[Month]:
    """Return the lines that are shown by month, the newest first; each month's sums are of all `lines`."""
    sums: dict[str, dict[str, tuple[int, int]]] = {}
    for line in lines:
        of = sums.setdefault(line.month, {})
        for unit, points in (*line.effect.items(), *line.lost.items()):
            came, went = of.get(unit, (0, 0))
            of[unit] = (came + points, went) if points > 0 else (came, went + points)
    found: list[Month] = []
    for line in shown:
        if not found or found[-1].month != line.month:
            found.append(Month(line.month, [], sums[line.month]))
        found[-1].lines.append(line)
    return found


def folded(lines: Iterable[Line]) -> list[Line]:
    """Return lines of which duplicates that follow each other are one, the newest of them."""
    found: list[Line] = []
    for line in lines:
        before = found[-1] if found else None
        if before and line.reason == before.reason == DUPLICATE and line.month == before.month:
            found[-1] = line._replace(folded=before.folded + 1)
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
            yield *head, unit, line.effect.get(unit, 0), line.expired.get(unit, 0), balance
        if not units:
            yield *head, None, None, None, None


def _line(entry: Entry, account: Account | None, zone: Zone) -> Line:
    """Return an entry's line; `account`, as it stood before, is taken on by the entry."""
    head = fact_head(entry)
    effect = effect_of(entry.changes)
    expired: dict[str, int] = {}
    lost: dict[str, int] = {}
    for change in entry.changes:
        if isinstance(change, Expired):
            expired[change.kind] = expired.get(change.kind, 0) + change.points
    if account is not None:
        kinds = {change.kind for change in entry.changes if isinstance(change, Moves)}
        effect = {unit: points for unit, points in effect.items() if unit not in kinds}
        for change in entry.changes:
            if not isinstance(change, Moves):
                evolve(account, change)
                continue
            before = account.purse(change.kind).spendable()
            evolve(account, change)
            of = lost if isinstance(change, Expired) else effect
            of[change.kind] = of.get(change.kind, 0) + account.purse(change.kind).spendable() - before
    month, outcome = month_text(month_of(entry.clock, zone)), OUTCOMES[entry.outcome]
    return Line(
        entry.number,
        entry.occurred,
        month,
        head.type,
        head.id,
        outcome,
        entry.reason,
        {unit: points for unit, points in effect.items() if points},
        expired,
        {unit: points for unit, points in lost.items() if points},
        None if account is None else {kind: purse.spendable() for kind, purse in account.purses.items()},
    )
