"""What campaigns cost: points granted, and what became of exactly those points."""

from collections.abc import Iterator
from typing import Any

from msgspec import field

from ledger.core import postings
from ledger.core.postings import IN_AND_OUT, growth, postings_of
from ledger.wire.entries import Change, Earned
from projections.answers.tables import Column, Row, Table, columns
from projections.views.builtin.liability import outstanding_of
from projections.views.builtin.points import PointsView
from projections.views.view import (
    FoldStep,
    Options,
    Query,
    RowDeltas,
    Snapshot,
    StateWithAccount,
    SumTable,
    day_at,
    summed,
)

RULE = "campaign"  # of the lots that a grant opens
SPEND = SumTable(
    "spend",
    columns("campaign kind day"),
    ("members", "grants", "granted", "redeemed", "expired", "clawed_back", "forfeited", "given"),
)
MEMBERS, GRANTS, GRANTED, REDEEMED, EXPIRED, CLAWED_BACK, FORFEITED, GIVEN = range(8)
MOVED = (*IN_AND_OUT, postings.FORFEITED, postings.IN_TRANSIT)
PLACES = growth(dict(zip(MOVED, (GRANTED, REDEEMED, EXPIRED, CLAWED_BACK, FORFEITED, GIVEN), strict=True)))


class Granted(StateWithAccount):
    """A member's points, and the campaign of each lot that was granted (kept for ever: what is spent may come back)."""

    campaigns: dict[int, str] = field(default_factory=dict)


def campaigns(taken: Snapshot, _: Options) -> Table:
    """A row a campaign and kind, over all days up to the instant's."""
    amounts = (*SPEND.amounts[:FORFEITED], "outstanding", "granted_fen", "redeemed_fen", "forfeited", "given")
    shown = (*SPEND.key[:2], *(Column(name, "integer") for name in amounts))
    return taken.table(shown, _campaigns(taken))


def _campaigns(taken: Snapshot) -> Iterator[Row]:
    days = taken.sums(SPEND.name).items()
    found = summed((key[:2], amounts) for key, amounts in days if str(key[2]) <= taken.today)
    for (campaign, kind), total in found.items():
        fen = taken.programme.fen_of(kind)
        left = outstanding_of(*total[GRANTED:])
        worth = total[GRANTED] * fen, total[REDEEMED] * fen
        yield campaign, kind, *total[:FORFEITED], left, *worth, total[FORFEITED], total[GIVEN]


class Campaigns(PointsView):
    """Sums by campaign, kind and day."""

    name = "campaigns"
    version = 4
    about = "points granted by each campaign and what became of them"
    tables = (SPEND,)
    state = Granted
    queries = (
        Query("campaigns", "granted, redeemed, expired, clawed back, outstanding", campaigns, is_by_member=False),
    )

    def change(self, step: FoldStep, change: Change, rows: RowDeltas) -> None:
        """Sum a grant, and each change of a lot that was granted."""
        names = step.subject.state.campaigns
        granted = change.page if type(change) is Earned and change.rule == RULE else None
        for posting in postings_of(change, step.subject.state.account) if granted or names else ():
            campaign = granted or names.get(posting.lot)
            if campaign:
                if granted:
                    _add(step, rows, campaign, posting.kind, GRANTS, 1)
                    _add(step, rows, campaign, posting.kind, MEMBERS, int(campaign not in names.values()))
                for place, sign in PLACES[posting.source, posting.destination]:
                    _add(step, rows, campaign, posting.kind, place, sign * posting.points)

    def evolve(self, state: Any, change: Change) -> None:
        """Apply a change that moves points, and remember whose a granted lot is."""
        super().evolve(state.account, change)
        if type(change) is Earned and change.rule == RULE:
            state.campaigns[change.lot] = change.page


def _add(step: FoldStep, rows: RowDeltas, campaign: str, kind: str, place: int, amount: int) -> None:
    day = day_at(step.at, step.book.offset)
    rows.add_to(SPEND.name, (campaign, kind, day), place, amount, len(SPEND.amounts))
