"""One member's state: the fold of that member's entries. `evolve` applies a change and never refuses.

An account stays small for ever: open lots, sums of a window of months, terms. What must be kept of each order or
redemption stands on pages (`ledger.pages`), which are rows of their own.
"""

from typing import assert_never

import msgspec
from msgspec import Struct, field

from ledger.entries import (
    BenefitUsed,
    Captured,
    Change,
    ClawedBack,
    Confirmed,
    Counted,
    CreditSet,
    Earned,
    Entry,
    Expired,
    Forgot,
    Frozen,
    Held,
    Indebted,
    Marked,
    PaidInCash,
    Rated,
    Released,
    Repaid,
    Resettled,
    Restored,
    Scored,
    ScoredOnce,
    Spent,
    TermEnded,
    TermMoved,
    TermOpened,
    TierMoved,
    TrialConverted,
    Unfrozen,
    Withheld,
    WrittenOff,
)

NEVER = 1 << 62  # an instant after every other


class Lot(Struct, array_like=True, gc=False):
    """Points earned together: `left` are free (spendable, or pending while `pending_until` is set), `held` on hold."""

    left: int
    held: int
    earned: int
    earned_at: int
    expires_at: int
    rule: str
    pending_until: int
    returnable: bool


class Purse(Struct, array_like=True, gc=False):
    """One kind of points: open lots by their key, debt, and totals since the account began (points; cash in fen)."""

    lots: dict[int, Lot] = field(default_factory=dict)
    debt: int = 0
    issued: int = 0
    redeemed: int = 0
    expired: int = 0
    clawed_back: int = 0
    written_off: int = 0
    cash_shortfall_fen: int = 0

    def spendable(self) -> int:
        """Points that a redemption may take now."""
        return sum(lot.left for lot in self.lots.values() if not lot.pending_until)

    def pending(self) -> int:
        """Points that are visible and frozen."""
        return sum(lot.left for lot in self.lots.values() if lot.pending_until)

    def held(self) -> int:
        """Points that holds keep."""
        return sum(lot.held for lot in self.lots.values())


class OpenHold(Struct, array_like=True, gc=False):
    """Points kept for a hold until an instant, by lot in the order they were taken."""

    kind: str
    until: int
    parts: dict[int, int]


class Term(Struct, array_like=True, gc=False):
    """An interval of a membership, and what was used of its cap (points) and its quotas (by benefit:bucket)."""

    card: str
    product: str
    start: int
    until: int
    trial: bool
    bought_at: int  # the card's own instant
    span: int  # of the whole card, in microseconds
    cut_at: int = 0  # where a refund, or the card bought in a trial, ended it before its time
    ended: bool = False
    converted: bool = False
    capped: int = 0
    used: dict[str, int] = field(default_factory=dict)


class Account(Struct, array_like=True, gc=False):
    """Everything about one member that the next decision may need."""

    number: int = 0  # of the member's last entry
    clock: int = 0
    due: int = NEVER  # no change falls due before this instant (it may be early, never late)
    turn: int = 0  # the month of the clock ends at this instant or later (it may be early, never late)
    frozen: bool = False
    stars: int = 0
    credit: int = 0
    purses: dict[str, Purse] = field(default_factory=dict)
    holds: dict[str, OpenHold] = field(default_factory=dict)
    sums: dict[str, dict[int, dict[str, int]]] = field(default_factory=dict)  # score -> month -> part -> points
    once: dict[str, int] = field(default_factory=dict)  # score/part/rule -> points that do not age
    counts: dict[int, dict[str, int]] = field(default_factory=dict)  # month, year or 0 -> rule -> count
    marks: dict[str, set[str]] = field(default_factory=dict)  # rule -> what was met once and for all
    days: dict[int, dict[str, int]] = field(default_factory=dict)  # month -> rule -> days met, bit 1 the first
    terms: dict[str, list[Term]] = field(default_factory=dict)
    trials: dict[str, int] = field(default_factory=dict)  # membership -> trials ever started
    tiers: dict[str, str] = field(default_factory=dict)
    forgot: int = 0  # months before this one are dropped

    def purse(self, kind: str) -> Purse:
        """The purse of a kind, empty where there is none yet (and then not part of the account)."""
        return self.purses.get(kind) or Purse()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Account)


def encode_account(account: Account) -> bytes:
    """A snapshot's bytes."""
    return _encoder.encode(account)


def decode_account(state: bytes) -> Account:
    """An account from a snapshot's bytes."""
    return _decoder.decode(state)


def evolve_entry(account: Account, entry: Entry) -> None:
    """Apply a whole entry: its changes, number and clock."""
    for change in entry.changes:
        evolve(account, change)
    account.number = entry.number
    account.clock = entry.clock


def evolve(account: Account, change: Change) -> None:
    """Apply one change in place. Changes of the kind frequent in a stream are matched first."""
    match change:
        case Scored():
            _add_score(account, change)
        case Earned():
            _open_lot(account, change)
        case Marked():
            _mark(account, change)
        case Counted():
            counts = account.counts.setdefault(change.bucket, {})
            counts[change.rule] = counts.get(change.rule, 0) + change.by
        case Expired():
            purse = account.purses[change.kind]
            purse.expired += change.points
            _take(purse, change.lot, change.points)
        case Spent():
            purse = account.purses[change.kind]
            purse.redeemed += change.points
            _take(purse, change.lot, change.points)
        case ClawedBack():
            purse = account.purses[change.kind]
            purse.clawed_back += change.points
            _take(purse, change.lot, change.points)
        case Repaid():
            purse = account.purses[change.kind]
            purse.clawed_back += change.points
            purse.debt -= change.points
            _take(purse, change.lot, change.points)
        case Restored():
            _restore(account, change)
        case Confirmed():
            lot = account.purses[change.kind].lots[change.lot]
            lot.pending_until = 0
            account.due = min(account.due, lot.expires_at)
        case Indebted():
            account.purses.setdefault(change.kind, Purse()).debt += change.points
        case PaidInCash():
            account.purses.setdefault(change.kind, Purse()).cash_shortfall_fen += change.fen
        case WrittenOff():
            account.purses.setdefault(change.kind, Purse()).written_off += change.points
        case Held():
            _hold(account, change)
        case Captured() | Released():
            _end_hold_of_lot(account, change)
        case ScoredOnce():
            account.once[f"{change.score}/{change.part}/{change.rule}"] = change.points
        case Rated():
            account.stars = change.stars
        case CreditSet():
            account.credit = change.credit
        case TierMoved():
            account.tiers[change.score] = change.after
        case Forgot():
            _forget(account, change)
        case TermOpened():
            start, until = change.from_at, change.until_at
            bought_at = change.bought_at or start
            term = Term(change.card, change.product, start, until, change.trial, bought_at, until - start)
            account.terms.setdefault(change.membership, []).append(term)
            account.due = min(account.due, term.until)
            if change.trial:
                account.trials[change.membership] = account.trials.get(change.membership, 0) + 1
        case TermMoved():
            term = find_term(account, change.membership, change.card)
            term.start, term.until = change.from_at, change.until_at
            account.due = min(account.due, term.until)
            if change.why != "moved-up":
                term.cut_at = term.until
            if change.why == "taken-out":
                account.terms[change.membership].remove(term)
            if change.pending_until:
                move_lapse(account, change.pending_until)
        case TermEnded():
            find_term(account, change.membership, change.card).ended = True
        case TrialConverted():
            find_term(account, change.membership, change.card).converted = True
        case BenefitUsed():
            used = find_term(account, change.membership, change.card).used
            key = quota_key(change.benefit, change.bucket)
            used[key] = used.get(key, 0) + 1
        case Frozen():
            account.frozen = True
        case Unfrozen():
            account.frozen = False
        case Withheld() | Resettled():
            pass  # for the reader
        case _:
            assert_never(change)


def find_term(account: Account, membership: str, card: str) -> Term:
    """The term that a card opened. Raises KeyError where it is no longer kept."""
    for term in account.terms.get(membership, ()):
        if term.card == card:
            return term
    raise KeyError(card)


def term_at(account: Account, membership: str, instant: int) -> Term | None:
    """The term that holds at an instant: from its start (inclusive) to its end (exclusive)."""
    for term in account.terms.get(membership, ()):
        if term.start <= instant < term.until:
            return term
    return None


def quota_key(benefit: str, bucket: int) -> str:
    """How a term counts a benefit: by term (bucket 0), month or year."""
    return f"{benefit}:{bucket}"


def _add_score(account: Account, change: Scored) -> None:
    if change.month < account.forgot:
        return  # that month is dropped; it counts in no score that can still be asked of this account
    months = account.sums.get(change.score)
    if months is None:
        months = account.sums[change.score] = {}
    parts = months.get(change.month)
    if parts is None:
        months[change.month] = {change.part: change.points}
    else:
        parts[change.part] = parts.get(change.part, 0) + change.points


def _mark(account: Account, change: Marked) -> None:
    if change.bucket:
        days = account.days.setdefault(change.bucket, {})
        days[change.rule] = days.get(change.rule, 0) | 1 << int(change.mark[-2:])
    else:
        account.marks.setdefault(change.rule, set()).add(change.mark)


def _open_lot(account: Account, change: Earned) -> None:
    purse = account.purses.get(change.kind)
    if purse is None:
        purse = account.purses[change.kind] = Purse()
    points = change.points
    purse.lots[change.lot] = Lot(
        points, 0, points, change.earned_at, change.expires_at, change.rule, change.pending_until, change.returnable
    )
    purse.issued += points
    due = change.pending_until or change.expires_at
    if due < account.due:
        account.due = due
    if change.card:
        for terms in account.terms.values():
            for term in terms:
                if term.card == change.card:
                    term.capped += points


def _take(purse: Purse, key: int, points: int) -> None:
    lot = purse.lots[key]
    lot.left -= points
    if not lot.left and not lot.held:
        del purse.lots[key]


def move_lapse(account: Account, until: int) -> None:
    """Let the frozen points of a trial lapse at another instant."""
    account.due = min(account.due, until)
    for purse in account.purses.values():
        for lot in purse.lots.values():
            if lot.pending_until:
                lot.pending_until = until


def _restore(account: Account, change: Restored) -> None:
    purse = account.purses[change.kind]
    purse.redeemed -= change.points
    lot = purse.lots.get(change.lot)
    if lot is None:
        lot = Lot(0, 0, change.earned, change.earned_at, change.expires_at, change.rule, 0, change.returnable)
        purse.lots[change.lot] = lot
    lot.left += change.points
    account.due = min(account.due, lot.expires_at)


def _hold(account: Account, change: Held) -> None:
    lot = account.purses[change.kind].lots[change.lot]
    lot.left -= change.points
    lot.held += change.points
    hold = account.holds.get(change.hold)
    if hold is None:
        hold = account.holds[change.hold] = OpenHold(change.kind, change.until_at, {})
        account.due = min(account.due, change.until_at)
    hold.parts[change.lot] = hold.parts.get(change.lot, 0) + change.points


def _end_hold_of_lot(account: Account, change: Captured | Released) -> None:
    purse = account.purses[change.kind]
    lot = purse.lots[change.lot]
    lot.held -= change.points
    if isinstance(change, Released):
        lot.left += change.points
        account.due = min(account.due, lot.expires_at)
    else:
        purse.redeemed += change.points
        if not lot.left and not lot.held:
            del purse.lots[change.lot]
    parts = account.holds[change.hold].parts
    parts[change.lot] -= change.points
    if not parts[change.lot]:
        del parts[change.lot]
        if not parts:
            del account.holds[change.hold]


def _forget(account: Account, change: Forgot) -> None:
    month = change.month
    account.forgot = month
    for terms in account.terms.values():
        terms[:-1] = [term for term in terms[:-1] if term.until >= change.at]
    year = month // 12
    for buckets in (*account.sums.values(), account.counts, account.days):
        for bucket in [b for b in buckets if 0 < b < year or 10_000 <= b < month]:
            del buckets[bucket]
