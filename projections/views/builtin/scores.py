"""Every score of the book with its parts and tier: 京享值 and its likes."""

from collections.abc import Iterator
from typing import Any

from msgspec import field

from ledger.core.account import Account
from ledger.core.bundles import OF_SHARES
from ledger.core.decide import run_to
from ledger.core.evolve import evolve
from ledger.core.pages import PagesInMemory
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.wire.entries import (
    AttributeTold,
    Change,
    HistoryPruned,
    Joined,
    Rated,
    Scored,
    ScoredOnce,
    TierGranted,
    TierGrantEnded,
    TierHeld,
    TierHoldEnded,
    TierMoved,
)
from ledger.wire.times import DAY, month_start
from projections.answers import tables
from projections.answers.shops import ShopScores, without_shop
from projections.answers.show import next_falls
from projections.answers.tables import Row, Table, columns
from projections.views.view import FoldStep, Known, Options, Query, RowDeltas, Snapshot, StateWithAccount, View

SOON = 30  # days, where nothing else is said
TIERS = columns("member score tier then at:instant days_left:integer")

# What the scores of an account are made of.
OF_SCORES = frozenset(
    {Scored, ScoredOnce, Rated, AttributeTold, HistoryPruned, TierHeld, TierHoldEnded, TierGranted, TierGrantEnded}
)


def scores(taken: Snapshot, options: Options) -> Table:
    """As `points export scores` says it; one score only where it is named."""
    version = taken.book.nearest(taken.as_of)
    forgets = _forgets(version, taken.as_of)

    def rows(known: Known) -> list[Row]:
        member, state = known.subject.member, known.subject.state
        if forgets:
            run_to(state.account, taken.book_of(member), taken.as_of, PagesInMemory())
        own = taken.version_of(member)
        found = [*tables.scores.rows(own, taken.as_of, member, state.account)]
        found += tables.scores_at_shops(own, taken.as_of, member, state.shops)
        return [row for row in found if options.score in (None, row[1], without_shop(row[1]))]

    return taken.by_member(tables.scores.columns(version), rows)


def tiers(taken: Snapshot, options: Options) -> Table:
    """Tiers that move by time alone within some days, where nothing else comes: how they are, and will be."""
    until = taken.as_of + (options.days or SOON) * DAY

    def rows(known: Known) -> Iterator[Row]:
        account: Account = known.subject.state.account
        member = known.subject.member
        book = taken.book_of(member)
        run_to(account, book, taken.as_of, PagesInMemory())
        for name, moved in sorted(next_falls(account, book, taken.as_of).items()):
            if moved.at <= until:
                left = (moved.at - taken.as_of) // DAY
                yield member, name, moved.before, moved.after, moved.at, left

    return taken.by_member(TIERS, rows)


def _forgets(version: ProgrammeVersion, instant: int) -> bool:
    """Whether time alone changes what a score is made of: a book drops months that it counts, or tiers end."""
    month = version.month(instant)
    kept = version.month(max(0, month_start(month, version.offset) - version.late))
    return any(not ranking.is_plain or month - ranking.span < kept for ranking in version.rankings.values())


class RankedMember(StateWithAccount):
    """A member's scores: those of the account, and those that are kept for each shop."""

    shops: ShopScores = field(default_factory=ShopScores)

    def take(self, change: Change) -> None:
        """Apply a change to the account, or to the score of a shop."""
        evolve(self.account, change)
        self.shops.take(change)


class RankedView(View):
    """A view whose members are ranked: names that come bring what they have at shops with the facts of a move."""

    needs_fact = True
    state = RankedMember

    def entry(self, step: FoldStep, rows: RowDeltas) -> None:
        """Begin an entry."""
        assert step.entry is not None
        step.subject.state.shops.begin(step.entry.fact, step.entry.outcome)


class Scores(RankedView):
    """The sums by month that the scores of each member are made of."""

    name = "scores"
    version = 3
    about = "each member's scores (京享值 …) with their parts and tier"
    changes = OF_SCORES | OF_SHARES | {TierMoved, Joined}
    queries = (
        Query(
            "scores",
            "value, tier and parts by member; --score names one",
            scores,
            frozenset({"score"}),
            keys=("score",),
        ),
        Query(
            "tiers", "tiers that time alone moves within --days (30): a feed for reminders", tiers, frozenset({"days"})
        ),
    )

    def evolve(self, state: Any, change: Change) -> None:
        """Apply a change to the account, or to the score of a shop."""
        state.take(change)
