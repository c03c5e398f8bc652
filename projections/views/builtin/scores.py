"""Every score of the book with its parts and tier: 京享值 and its likes."""

from typing import Any

from ledger.core.account import Account
from ledger.core.decide import run_to
from ledger.core.evolve import evolve
from ledger.core.pages import PagesInMemory
from ledger.rulebook.compiled import Version
from ledger.wire.entries import Change, HistoryPruned, Rated, Scored, ScoredOnce
from ledger.wire.times import month_start
from projections.answers.tables import Row, Table, score_columns, score_rows
from projections.views.reading import Known, Snapshot
from projections.views.view import Options, Reading, View


def scores(taken: Snapshot, options: Options) -> Table:
    """As `points export scores` says it; one score only where it is named."""
    version = taken.book.nearest(taken.as_of)
    forgets = _forgets(version, taken.as_of)

    def rows(known: Known) -> list[Row]:
        kept = known.kept
        if forgets:
            run_to(kept.state, taken.book, taken.as_of, PagesInMemory())
        found = score_rows(version, taken.as_of, kept.member, kept.state)
        return [row for row in found if options.score in (None, row[1])]

    return taken.table(score_columns(version), (row for known in taken.members() for row in rows(known)))


def _forgets(version: Version, instant: int) -> bool:
    """Whether a book drops months that a score still counts, so that time alone changes it."""
    month = version.month(instant)
    kept = version.month(max(0, month_start(month, version.offset) - version.late))
    return any(month - score.window_months < kept for score in version.programme.scores.values())


class Scores(View):
    """The sums by month that the scores of each member are made of."""

    name = "scores"
    about = "each member's scores (京享值 …) with their parts and tier"
    changes = frozenset({Scored, ScoredOnce, Rated, HistoryPruned})
    state = Account
    readings = (Reading("scores", "value, tier and parts by member; --score names one", scores, frozenset({"score"})),)

    def evolve(self, state: Any, change: Change) -> None:
        """Apply a change that moves a score."""
        evolve(state, change)

    def account(self, state: Any) -> Account | None:
        """The state is the account."""
        assert isinstance(state, Account)
        return state
