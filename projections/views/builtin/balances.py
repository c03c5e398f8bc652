"""Balances and lots of all members, and what of them expires soon."""

from collections.abc import Iterator

from ledger.core.account import Account
from ledger.wire.entries import lot_text
from ledger.wire.times import DAY
from projections.answers.tables import BALANCES, LOTS, Column, Row, Table, balance_rows, lot_rows
from projections.views.builtin.points import PointsView
from projections.views.view import Options, Query, Snapshot

SOON = 30  # days, where nothing else is said
EXPIRING = (
    Column("member"),
    Column("kind"),
    Column("lot"),
    Column("rule"),
    Column("points", "integer"),
    Column("pending", "flag"),
    Column("expires_at", "instant"),
    Column("days_left", "integer"),
)


def balances(taken: Snapshot, _: Options) -> Table:
    """As `points export balances` says it."""
    rows = (
        row
        for subject, _ in taken.members()
        for row in balance_rows(taken.book, taken.as_of, subject.member, subject.state)
    )
    return taken.table(BALANCES, rows)


def lots(taken: Snapshot, _: Options) -> Table:
    """As `points export lots` says it."""
    return taken.table(LOTS, (row for subject, _ in taken.members() for row in lot_rows(subject.member, subject.state)))


def expiring(taken: Snapshot, options: Options) -> Table:
    """Points that are there now and go by themselves within some days: a frozen lot when it lapses."""
    until = taken.as_of + (options.days or SOON) * DAY
    rows = (
        row for subject, _ in taken.members() for row in _expiring(subject.member, subject.state, taken.as_of, until)
    )
    return taken.table(EXPIRING, rows)


def _expiring(member: str, account: Account, now: int, until: int) -> Iterator[Row]:
    for kind, purse in sorted(account.purses.items()):
        ends = ((lot.pending_until or lot.expires_at, key, lot) for key, lot in purse.lots.items() if lot.left)
        for end, key, lot in sorted(ends, key=lambda item: item[:2]):
            if end <= until:
                left = (end - now) // DAY
                yield member, kind, lot_text(key), lot.rule, lot.left, bool(lot.pending_until), end, left


class Balances(PointsView):
    """The open lots of each member."""

    name = "balances"
    about = "what each member has, by kind and by lot, and what of it expires soon"
    queries = (
        Query("balances", "spendable, pending and held points and debt, by member and kind", balances),
        Query("lots", "open lots, the soonest to expire first", lots),
        Query("expiring", "points that expire within --days (30): a feed for reminders", expiring, frozenset({"days"})),
    )
