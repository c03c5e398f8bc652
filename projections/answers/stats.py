"""The books of a ledger at an instant: each kind's figures over all members, and whether they balance.

issued = spendable + pending + held + in transit + redeemed + expired + clawed back + forfeited, with debt on its own
line. What a `clamp` wrote off was never there to take, so it stands outside the sum, as a shortfall paid in cash does.

They are summed from the entries at any instant, or read from the view `books` at the present and later ones.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ledger.core.account import Account
from ledger.core.decide import run_to
from ledger.core.evolve import evolve_entry
from ledger.core.pages import PagesInMemory
from ledger.core.postings import FORFEITED, IN_AND_OUT, IN_TRANSIT
from ledger.journal.ledger import Ledger
from ledger.journal.partition_map import Jobs, partition_map
from ledger.rulebook.compiled import Programme
from ledger.wire import answers
from ledger.wire.entries import OUTCOMES
from ledger.wire.entry_codec import decode_entry
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import to_text
from projections.answers.members import is_member
from projections.answers.shops import entries_until, without_shop
from projections.ticking import Progress
from projections.views.builtin.books import (
    CARDS,
    EXPIRING,
    FIGURES,
    FROZEN,
    MEMBERS,
    OUTCOMES_TABLE,
    PEOPLE,
    POINTS_TABLE,
    Books,
)
from projections.views.builtin.liability import outstanding_of
from projections.views.view import Amounts, Key, RowDeltas, Snapshot

IN_THE_SUM = ("spendable", "pending", "held", "redeemed", "expired", "clawed_back", "forfeited", "in_transit")
TICK_EVERY = 2_000  # entries

_VIEW = Books()


class BookSums(NamedTuple):
    """The tables of the view `books` at an instant; `positions` are the entries they hold, by partition.

    `parked` are the dead letters that wait, by reason, of those recorded by then. `behind` is how many entries there
    were more.
    """

    as_of: int
    tables: Mapping[str, Mapping[Key, Amounts]]
    positions: dict[int, int]
    parked: dict[str, int]
    behind: int = 0


def stats(
    ledger: Ledger,
    as_of: int,
    progress: Progress = lambda _: None,
    *,
    known_at: int | None = None,
    by_shop: bool = False,
    jobs: Jobs = 1,
) -> answers.Books:
    """Return the books at an instant, summed from the entries; `progress` is called with how many were read.

    With `known_at` only what was recorded by that instant counts. `by_shop` is as of `books_of`.
    """
    return books_of(ledger, summed(ledger, as_of, progress, known_at=known_at, jobs=jobs), by_shop=by_shop)


def summed(
    ledger: Ledger,
    as_of: int,
    progress: Progress = lambda _: None,
    *,
    known_at: int | None = None,
    jobs: Jobs = 1,
) -> BookSums:
    """Return all members summed from their entries. `progress` gets how many entries were read."""
    rows, parked, positions, done = RowDeltas(_VIEW.tables), Counter[str](), ledger.heads(), 0
    for part in partition_map(ledger, jobs, sum_partition, as_of, known_at):
        if isinstance(part, int):
            done += part
            progress(done)
            continue
        found, letters = part
        parked.update(letters)
        for table, sums in found.items():
            for key, amounts in sums.items():
                rows.add(table, key, *amounts)
    return BookSums(as_of, rows.of, positions, dict(parked))


def sum_partition(ledger: Ledger, partition: int, as_of: int, known_at: int | None) -> Iterator[Any]:
    """Sum one partition: counts of entries as they are done, and last the tables and the dead letters by reason."""
    book = ledger.books(known_at).in_partition(partition)
    is_home = ledger.partition_of(PROGRAMME_SUBJECT) == partition  # a published book is in each, and counts in one
    journal, rows, done = ledger.journal(partition), RowDeltas(_VIEW.tables), 0
    for member, entries in journal.by_member():
        if member == PROGRAMME_SUBJECT and not is_home:
            continue
        account = Account()
        for entry in entries_until(entries, as_of, known_at):
            evolve_entry(account, entry)
            rows.add(OUTCOMES_TABLE.name, (OUTCOMES[entry.outcome], entry.reason), 1)
            done += 1
            if done == TICK_EVERY:
                yield done
                done = 0
        if account.number and is_member(member):
            run_to(account, book, as_of, PagesInMemory())
            _VIEW.count(account, as_of, book, rows)
    yield done
    yield rows.of, journal.parked_reasons(as_of if known_at is None else min(as_of, known_at))


def kept(taken: Snapshot, progress: Progress = lambda _: None) -> BookSums:
    """Return all members as the view `books` has them. `progress` gets how many something fell due for since."""
    assert taken.standing is not None
    rows = RowDeltas(_VIEW.tables)
    rows.of.update(taken.counted(progress))
    ledger = taken.ledger
    home = ledger.journal(ledger.partition_of(PROGRAMME_SUBJECT))  # where a published book counts; no view folds it
    for row in home.entries_of(PROGRAMME_SUBJECT):
        entry = decode_entry(row.state)
        if entry.clock <= taken.as_of:
            rows.add(OUTCOMES_TABLE.name, (OUTCOMES[entry.outcome], entry.reason), 1)
    read = taken.standing.positions
    parked = Counter[str]()
    for partition in ledger.partitions:
        parked.update(ledger.journal(partition).parked_reasons(taken.as_of))
    positions = {p: read.get(p, 0) for p in ledger.partitions}
    return BookSums(taken.as_of, rows.of, positions, dict(parked), taken.standing.behind)


def books_of(ledger: Ledger, sums: BookSums, *, by_shop: bool = False) -> answers.Books:
    """Return the books that sums come to. A kind that is kept for each shop is one sum, or (`by_shop`) one a shop."""
    book, tables = ledger.book, sums.tables
    points = {
        kind: answers.BooksOfKind(**of, balanced=of["issued"] == sum(of[name] for name in IN_THE_SUM))
        for kind, of in _by_kind(book, sums, by_shop=by_shop).items()
    }
    counted, cards = tables[OUTCOMES_TABLE.name], tables[CARDS.name]
    return answers.Books(
        **_head(book, sums),
        frozen=_one(tables[PEOPLE.name], FROZEN),
        entries={
            outcome: sum(entries for (of, _), (entries,) in counted.items() if of == outcome) for outcome in OUTCOMES
        },
        reasons={
            outcome: _most_first({reason: n for (of, reason), (n,) in counted.items() if of == outcome and reason})
            for outcome in OUTCOMES
        },
        parked=sum(sums.parked.values()),
        parked_reasons=_most_first(sums.parked),
        memberships={
            name: {state: cards.get((name, state), [0])[0] for state in ("active", "trial", "grace", "ended")}
            for name, _ in sorted(cards)
        },
        points=points,
        balanced=all(of.balanced for of in points.values()),
    )


def outstanding_by_month(ledger: Ledger, sums: BookSums, *, by_shop: bool = False) -> answers.Liability:
    """Return what the points may still cost: those outstanding, by the local month in which they would expire.

    What is held stands in no lot, so outstanding = the months together + held. `by_shop` is as of `books_of`.
    """
    months: dict[str, dict[str, int]] = {}
    for (kind, month), (points,) in sorted(sums.tables[EXPIRING.name].items(), key=lambda row: row[0][::-1]):
        of = months.setdefault(str(kind) if by_shop else without_shop(kind), {})
        of[month] = of.get(month, 0) + points
    found = {}
    for kind, figures in _by_kind(ledger.book, sums, by_shop=by_shop).items():
        places = {name: figures[name] for name in ("spendable", "pending", "held")}
        outstanding = outstanding_of(*(figures[name] for name in (*IN_AND_OUT, FORFEITED, IN_TRANSIT)))
        found[kind] = answers.LiabilityOfKind(outstanding, **places, by_month=months.get(kind, {}))
    return answers.Liability(**_head(ledger.book, sums), points=found)


def _head(book: Programme, sums: BookSums) -> dict[str, Any]:
    """Return the fields with which `Books` and `Liability` begin."""
    return {
        "as_of": to_text(sums.as_of, book.offset),
        "position": {str(partition): place for partition, place in sorted(sums.positions.items())},
        "behind": sums.behind,
        "members": _one(sums.tables[PEOPLE.name], MEMBERS),
    }


def _one(rows: Mapping[Key, Amounts], name: str) -> int:
    return rows[name,][0] if (name,) in rows else 0


def _by_kind(book: Programme, sums: BookSums, *, by_shop: bool) -> dict[str, dict[str, int]]:
    """Return the figures of each kind, of one that is kept for each shop over all of them or (`by_shop`) by shop."""
    version = book.nearest(sums.as_of)
    kinds = [kind for kind in version.programme.kinds if not (by_shop and kind in version.keyed_kinds)]
    found = {kind: dict.fromkeys(FIGURES, 0) for kind in kinds}
    for (kind,), figures in sorted(sums.tables[POINTS_TABLE.name].items()):
        of = found.setdefault(kind if by_shop else without_shop(kind), dict.fromkeys(FIGURES, 0))
        for name, figure in zip(FIGURES, figures, strict=True):
            of[name] += figure
    return found


def _most_first(counted: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counted.items(), key=lambda one: (-one[1], one[0])))
