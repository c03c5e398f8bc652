"""The books of all members together: where the points of each kind are, and how every fact was answered.

It counts (`projections.views.timed`), so that the present is a sum of a few rows however many members there are.
`projections.answers.stats` sums any other instant by the same `count` and `entry`.
"""

from collections.abc import Iterator

from ledger.core.account import Account, Purse, current_term
from ledger.rulebook.compiled import Programme
from ledger.wire.entries import OUTCOMES
from projections.answers.members import is_alias
from projections.answers.show import open_lots, state_of
from projections.answers.tables import Column, Row, Table, columns
from projections.views.builtin.points import PointsView
from projections.views.view import (
    Amounts,
    FoldStep,
    Key,
    Options,
    Query,
    RowDeltas,
    Snapshot,
    SumTable,
    month_at,
    over_shops,
)

FIGURES = (
    "issued",
    "spendable",
    "pending",
    "held",
    "redeemed",
    "expired",
    "clawed_back",
    "written_off",
    "debt",
    "cash_shortfall_fen",
    "forfeited",
    "in_transit",
)
POINTS_TABLE = SumTable("points", columns("kind"), FIGURES)
EXPIRING = SumTable("expiring", columns("kind month"), ("points",))  # of open lots: what is held is in none
PEOPLE = SumTable("people", columns("state"), ("members",))
CARDS = SumTable("cards", columns("membership state"), ("members",))
OUTCOMES_TABLE = SumTable("outcomes", columns("outcome reason"), ("entries",))
MEMBERS, FROZEN = "members", "frozen"


def figures_of(purse: Purse) -> list[int]:
    """The figures of a purse, in the order of `FIGURES`."""
    found = (getattr(purse, name) for name in FIGURES)
    return [figure() if callable(figure) else figure for figure in found]


def _books(taken: Snapshot, options: Options) -> Table:
    """The figures of each kind, of one that is kept for each shop over all shops unless they are asked for."""
    rows = taken.counted()[POINTS_TABLE.name]
    return taken.table(_columns(POINTS_TABLE), _flat(rows if options.by_shop else over_shops(rows)))


def _outcomes(taken: Snapshot, _: Options) -> Table:
    return taken.table(_columns(OUTCOMES_TABLE), _flat(taken.counted()[OUTCOMES_TABLE.name]))


def _columns(table: SumTable) -> tuple[Column, ...]:
    return (*table.key, *(Column(name, "integer") for name in table.amounts))


def _flat(rows: dict[Key, Amounts]) -> Iterator[Row]:
    return ((*key, *amounts) for key, amounts in rows.items())


class Books(PointsView):
    """Sums over all members."""

    name = "books"
    version = 5
    about = "where the points of each kind are, what expires in which month, and how every fact was answered: now"
    tables = (POINTS_TABLE, EXPIRING, PEOPLE, CARDS, OUTCOMES_TABLE)
    counts = True
    moves_by = frozenset[str]()
    queries = (
        Query("books", "where the points of each kind are", _books, frozenset({"by_shop"}), is_by_member=False),
        Query("outcomes", "entries by outcome and reason", _outcomes, is_by_member=False),
    )

    def entry(self, step: FoldStep, rows: RowDeltas) -> None:
        """Count how a fact was answered."""
        assert step.entry is not None
        rows.add(OUTCOMES_TABLE.name, (OUTCOMES[step.entry.outcome], step.entry.reason), 1)

    def answered(self, outcome: int, reason: str, entries: int, rows: RowDeltas) -> None:
        """Count how facts were answered."""
        rows.add(OUTCOMES_TABLE.name, (OUTCOMES[outcome], reason), entries)

    def count(self, account: Account, instant: int, book: Programme, rows: RowDeltas) -> None:
        """Add an account's points, lots and cards, and the member; another's name is no member beside it."""
        if not is_alias(account):
            rows.add(PEOPLE.name, (MEMBERS,), 1)
        if account.frozen:
            rows.add(PEOPLE.name, (FROZEN,), 1)
        for kind, purse in account.purses.items():
            rows.add(POINTS_TABLE.name, (kind,), *figures_of(purse))
            for _, lot, _ in open_lots(purse):
                month = month_at(purse.end_of(lot) - 1, book.offset)  # gone at its end: where it ends
                rows.add(EXPIRING.name, (kind, month), lot.left)
        for membership in account.terms:
            term = current_term(account, membership, instant)
            if term is not None:
                rows.add(CARDS.name, (membership, state_of(term, book.nearest(instant), instant)), 1)
