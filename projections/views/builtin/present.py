"""What every member has now, a row each, and what moved by month: the tables that others read by SQL.

It counts and folds time (`projections.views.timed`): all of its tables say what they would say of each member at one
instant, what fell due by then included, and stand at one position. Rows that are nothing but a key have the amount
`rows`, which is 1. `projections.views.published` gives the tables their public names.
"""

from itertools import chain
from typing import Any

from ledger.core import postings
from ledger.core.account import Account
from ledger.core.postings import IN_AND_OUT, growth, postings_of
from ledger.rulebook.compiled import NOT_MEMBERS, Programme
from ledger.wire.entries import Change, lot_text
from projections.answers.shops import ShopScores
from projections.answers.show import open_lots
from projections.answers.tables import balances, columns, memberships, scores, scores_at_shops
from projections.views.builtin.overview import next_time_of_scores
from projections.views.builtin.points import PointsView
from projections.views.builtin.scores import RankedMember
from projections.views.builtin.statement import MONTHS, add_to_month
from projections.views.view import FoldStep, MemberState, RowDeltas, SumTable, month_at

BALANCES = SumTable("balances", columns("member kind"), ("spendable", "pending", "held", "debt"))
LOTS = SumTable(
    "lots",
    columns("member kind lot rule earned_at:integer expires_at:integer is_pending:integer"),
    ("earned", "points"),
)
SCORES = SumTable("scores", columns("member score tier month"), ("points", "rows"))
SCORE_PARTS = SumTable("score_parts", columns("member score part"), ("points",))
MEMBERSHIPS = SumTable(
    "memberships", columns("member membership state product begins_at:integer ends_at:integer"), ("rows",)
)
FIGURES = ("issued", "redeemed", "expired", "clawed_back", "forfeited", "in_transit")
LIABILITY = SumTable("liability", columns("kind month"), FIGURES)
_PLACES = growth({name: place for place, name in enumerate((*IN_AND_OUT, postings.FORFEITED, postings.IN_TRANSIT))})
_SCORE_COLUMNS = 5  # of an export of scores, before its parts


class Present(PointsView):
    """Balances, lots, scores, memberships and statements of all members, and the liability by month: now."""

    name = "present"
    version = 2
    needs_fact = True
    about = "what each member has now, and what moved by month: the tables that others read by SQL"
    tables = (BALANCES, LOTS, SCORES, SCORE_PARTS, MEMBERSHIPS, MONTHS, LIABILITY)
    state = RankedMember
    is_for_sql = True
    counts = True
    folds_time = True
    queries = ()

    def entry(self, step: FoldStep, rows: RowDeltas) -> None:
        """Take in what is about shops: time alone changes nothing there."""
        assert step.entry is not None
        shops: ShopScores = step.subject.state.shops
        shops.begin(step.entry.fact, step.entry.outcome)
        for change in step.entry.changes:
            shops.take(change)

    def change(self, step: FoldStep, change: Change, rows: RowDeltas) -> None:
        """Sum a change that moves points in or out, by member and over all."""
        if step.member.startswith(NOT_MEMBERS):
            return
        for posting in postings_of(change, step.subject.state.account):
            add_to_month(posting, step, rows)
            key = posting.kind, month_at(step.at, step.book.offset)
            for place, sign in _PLACES[posting.source, posting.destination]:
                rows.add_to(LIABILITY.name, key, place, sign * posting.points, len(FIGURES))

    def evolve(self, state: Any, change: Change) -> None:
        """Apply a change to the account."""
        super().evolve(state.account, change)

    def count_member(
        self, subject: MemberState, account: Account, instant: int, book: Programme, rows: RowDeltas
    ) -> None:
        """Add a row for everything that a member has."""
        version, member = book.nearest(instant), subject.member
        for _, kind, *amounts in balances.rows(version, instant, member, account):
            rows.add(BALANCES.name, (member, kind), *amounts)
        for kind, purse in account.purses.items():
            for key, lot, end in open_lots(purse):
                of_lot = lot_text(key), lot.rule, lot.earned_at, end or 0, int(bool(lot.pending_until))
                rows.add(LOTS.name, (member, kind, *of_lot), lot.earned, lot.left)
        at_shops = scores_at_shops(version, instant, member, subject.state.shops)
        parts = [column.name for column in scores.columns(version)[_SCORE_COLUMNS:]]
        for _, score, value, tier, month, *points in chain(scores.rows(version, instant, member, account), at_shops):
            rows.add(SCORES.name, (member, score, tier or "", month), value, 1)
            for part, amount in zip(parts, points, strict=True):
                rows.add(SCORE_PARTS.name, (member, score, part), amount or 0)
        for _, membership, state, product, begins, ends in memberships.rows(version, instant, member, account):
            rows.add(MEMBERSHIPS.name, (member, membership, state, product, begins, ends or 0), 1)

    def next_count(self, account: Account, book: Programme) -> int:
        """Return when another version begins, or the time of a score passes."""
        return next_time_of_scores(account, book)
