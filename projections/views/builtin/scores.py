"""Every score of the book with its parts and tier: 京享值 and its likes."""

from ledger.core.account import Account
from ledger.core.decide import run_to
from ledger.core.pages import PagesInMemory
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.wire.entries import (
    AttributeTold,
    HistoryPruned,
    Rated,
    Scored,
    ScoredOnce,
    TierGranted,
    TierGrantEnded,
    TierHeld,
    TierHoldEnded,
)
from ledger.wire.times import month_start
from projections.answers import tables
from projections.answers.tables import Row, Table
from projections.views.view import Known, Options, Query, Snapshot, View


def scores(taken: Snapshot, options: Options) -> Table:
    """As `points export scores` says it; one score only where it is named."""
    version = taken.book.nearest(taken.as_of)
    forgets = _forgets(version, taken.as_of)

    def rows(known: Known) -> list[Row]:
        subject = known.subject
        if forgets:
            run_to(subject.state, taken.book, taken.as_of, PagesInMemory())
        found = tables.scores.rows(version, taken.as_of, subject.member, subject.state)
        return [row for row in found if options.score in (None, row[1])]

    return taken.by_member(tables.scores.columns(version), rows)


def _forgets(version: ProgrammeVersion, instant: int) -> bool:
    """Whether time alone changes what a score is made of: a book drops months that it counts, or tiers end."""
    month = version.month(instant)
    kept = version.month(max(0, month_start(month, version.offset) - version.late))
    return any(not ranking.is_plain or month - ranking.span < kept for ranking in version.rankings.values())


class Scores(View):
    """The sums by month that the scores of each member are made of."""

    name = "scores"
    about = "each member's scores (京享值 …) with their parts and tier"
    changes = frozenset(
        {Scored, ScoredOnce, Rated, AttributeTold, HistoryPruned, TierHeld, TierHoldEnded, TierGranted, TierGrantEnded}
    )
    state = Account
    queries = (Query("scores", "value, tier and parts by member; --score names one", scores, frozenset({"score"})),)
