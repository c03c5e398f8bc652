"""Balances and lots of all members, and what of them expires soon."""

from collections.abc import Iterator

from ledger.core.account import Account
from ledger.wire.entries import lot_text
from ledger.wire.times import DAY
from projections.answers.tables import Row, Table, balances, columns, lots
from projections.views.builtin.points import PointsView
from projections.views.view import MemberState, Options, Query, Snapshot, of_accounts

SOON = 30  # days, where nothing else is said
EXPIRING = columns("member kind lot rule points:integer pending:flag expires_at:instant days_left:integer")


def expiring(taken: Snapshot, options: Options) -> Table:
    """Points that are there now and go by themselves within some days: a frozen lot when it lapses."""
    until = taken.as_of + (options.days or SOON) * DAY
    return taken.by_member(EXPIRING, lambda known: _expiring(known.subject, taken.as_of, until))


def _expiring(subject: MemberState, now: int, until: int) -> Iterator[Row]:
    account: Account = subject.state
    for kind, purse in sorted(account.purses.items()):
        ends = ((lot.pending_until or lot.expires_at, key, lot) for key, lot in purse.lots.items() if lot.left)
        for end, key, lot in sorted(ends, key=lambda item: item[:2]):
            if end <= until:
                left = (end - now) // DAY
                yield subject.member, kind, lot_text(key), lot.rule, lot.left, bool(lot.pending_until), end, left


class Balances(PointsView):
    """The account of each member."""

    name = "balances"
    version = 2
    about = "what each member has, by kind and by lot, and what of it expires soon"
    moves_by = frozenset[str]()
    queries = (
        Query(
            "balances",
            "spendable, pending and held points and debt, by member and kind",
            of_accounts(balances),
            keys=("kind",),
        ),
        Query("lots", "open lots, the soonest to expire first", of_accounts(lots)),
        Query("expiring", "points that expire within --days (30): a feed for reminders", expiring, frozenset({"days"})),
    )
