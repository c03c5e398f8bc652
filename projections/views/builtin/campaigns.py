"""What campaigns cost: points granted, and what became of exactly those points."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, field

from ledger.core.account import Account
from ledger.wire.entries import Captured, Change, ClawedBack, Earned, Expired, Repaid, Restored, Spent
from ledger.wire.times import day_of, day_text
from projections.answers.tables import Column, Row, Table
from projections.views.builtin.points import PointsView
from projections.views.view import Amounts, FoldStep, Options, Query, RowDeltas, Snapshot, SumTable

RULE = "campaign"  # of the lots that a grant opens
SPEND = SumTable(
    "spend",
    (Column("campaign"), Column("kind"), Column("day")),
    ("members", "grants", "granted", "redeemed", "expired", "clawed_back"),
)
MEMBERS, GRANTS, GRANTED, REDEEMED, EXPIRED, CLAWED_BACK = range(6)


class Granted(Struct, array_like=True):
    """A member's points, and the campaign of each lot that was granted (kept for ever: what is spent may come back)."""

    account: Account = field(default_factory=Account)
    campaigns: dict[int, str] = field(default_factory=dict)


def campaigns(taken: Snapshot, _: Options) -> Table:
    """A row a campaign and kind, over all days up to the instant's."""
    columns = (
        *SPEND.key[:2],
        *(Column(name, "integer") for name in (*SPEND.amounts, "outstanding", "granted_fen", "redeemed_fen")),
    )
    return taken.table(columns, _campaigns(taken))


def _campaigns(taken: Snapshot) -> Iterator[Row]:
    kinds = taken.programme.kinds
    found: dict[tuple[str, str], Amounts] = {}
    for (campaign, kind, day), amounts in taken.sums(SPEND.name).items():
        if str(day) <= taken.today:
            total = found.setdefault((str(campaign), str(kind)), [0] * len(amounts))
            for place, amount in enumerate(amounts):
                total[place] += amount
    for (campaign, kind), total in found.items():
        fen = kinds[kind].fen if kind in kinds else 0
        left = total[GRANTED] - total[REDEEMED] - total[EXPIRED] - total[CLAWED_BACK]
        yield campaign, kind, *total, left, total[GRANTED] * fen, total[REDEEMED] * fen


class Campaigns(PointsView):
    """Sums by campaign, kind and day."""

    name = "campaigns"
    about = "points granted by each campaign and what became of them"
    tables = (SPEND,)
    state = Granted
    queries = (
        Query("campaigns", "granted, redeemed, expired, clawed back, outstanding", campaigns, is_by_member=False),
    )

    def change(self, step: FoldStep, change: Change, rows: RowDeltas) -> None:
        """Sum a grant, and each change of a lot that was granted."""
        names = step.subject.state.campaigns
        if isinstance(change, Earned):
            if change.rule == RULE:
                _add(step, rows, change.page, change.kind, GRANTED, change.points, change.page not in names.values())
        elif isinstance(change, Spent | Captured) and change.lot in names:
            _add(step, rows, names[change.lot], change.kind, REDEEMED, change.points)
        elif isinstance(change, Restored) and change.lot in names:
            _add(step, rows, names[change.lot], change.kind, REDEEMED, -change.points)
        elif isinstance(change, Expired) and change.lot in names:
            _add(step, rows, names[change.lot], change.kind, EXPIRED, change.points)
        elif isinstance(change, ClawedBack | Repaid) and change.lot in names:
            _add(step, rows, names[change.lot], change.kind, CLAWED_BACK, change.points)

    def evolve(self, state: Any, change: Change) -> None:
        """Apply a change that moves points, and remember whose a granted lot is."""
        super().evolve(state.account, change)
        if isinstance(change, Earned) and change.rule == RULE:
            state.campaigns[change.lot] = change.page

    def account(self, state: Any) -> Account | None:
        """The account in the state."""
        assert isinstance(state, Granted)
        return state.account


def _add(
    step: FoldStep, rows: RowDeltas, campaign: str, kind: str, place: int, points: int, is_new: bool = False
) -> None:
    amounts = [0] * len(SPEND.amounts)
    amounts[place] = points
    if place == GRANTED:
        amounts[GRANTS] = 1
        amounts[MEMBERS] = int(is_new)
    rows.add(SPEND.name, (campaign, kind, day_text(day_of(step.at, step.book.offset))), *amounts)
