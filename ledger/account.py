"""One member's state: the fold of that member's entries. `evolve` applies a change and never refuses.

An account stays small for ever: open lots, sums of a window of months, terms. What must be kept of each order or
redemption stands on pages (`ledger.pages`), which are rows of their own.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from ledger.entries import (
    CHANGE_TYPES,
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
        return sum([lot.left for lot in self.lots.values() if not lot.pending_until])

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
    """Apply one change in place."""
    _APPLY[type(change)](account, change)


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


def move_lapse(account: Account, until: int) -> None:
    """Let the frozen points of a trial lapse at another instant."""
    account.due = min(account.due, until)
    for purse in account.purses.values():
        for lot in purse.lots.values():
            if lot.pending_until:
                lot.pending_until = until


# -- how each change is applied ---------------------------------------------------------------------------------------


def _scored(account: Account, change: Scored) -> None:
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


def _earned(account: Account, change: Earned) -> None:
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


def _marked(account: Account, change: Marked) -> None:
    if change.bucket:
        days = account.days.get(change.bucket)
        if days is None:
            days = account.days[change.bucket] = {}
        days[change.rule] = days.get(change.rule, 0) | 1 << int(change.mark[-2:])
    else:
        account.marks.setdefault(change.rule, set()).add(change.mark)


def _counted(account: Account, change: Counted) -> None:
    counts = account.counts.get(change.bucket)
    if counts is None:
        counts = account.counts[change.bucket] = {}
    counts[change.rule] = counts.get(change.rule, 0) + change.by


def _expired(account: Account, change: Expired) -> None:
    purse = account.purses[change.kind]
    purse.expired += change.points
    _take(purse, change.lot, change.points)


def _spent(account: Account, change: Spent) -> None:
    purse = account.purses[change.kind]
    purse.redeemed += change.points
    _take(purse, change.lot, change.points)


def _clawed_back(account: Account, change: ClawedBack) -> None:
    purse = account.purses[change.kind]
    purse.clawed_back += change.points
    _take(purse, change.lot, change.points)


def _repaid(account: Account, change: Repaid) -> None:
    purse = account.purses[change.kind]
    purse.clawed_back += change.points
    purse.debt -= change.points
    _take(purse, change.lot, change.points)


def _take(purse: Purse, key: int, points: int) -> None:
    lot = purse.lots[key]
    lot.left -= points
    if not lot.left and not lot.held:
        del purse.lots[key]


def _restored(account: Account, change: Restored) -> None:
    purse = account.purses[change.kind]
    purse.redeemed -= change.points
    lot = purse.lots.get(change.lot)
    if lot is None:
        lot = Lot(0, 0, change.earned, change.earned_at, change.expires_at, change.rule, 0, change.returnable)
        purse.lots[change.lot] = lot
    lot.left += change.points
    account.due = min(account.due, lot.expires_at)


def _confirmed(account: Account, change: Confirmed) -> None:
    lot = account.purses[change.kind].lots[change.lot]
    lot.pending_until = 0
    account.due = min(account.due, lot.expires_at)


def _indebted(account: Account, change: Indebted) -> None:
    account.purses.setdefault(change.kind, Purse()).debt += change.points


def _paid_in_cash(account: Account, change: PaidInCash) -> None:
    account.purses.setdefault(change.kind, Purse()).cash_shortfall_fen += change.fen


def _written_off(account: Account, change: WrittenOff) -> None:
    account.purses.setdefault(change.kind, Purse()).written_off += change.points


def _held(account: Account, change: Held) -> None:
    lot = account.purses[change.kind].lots[change.lot]
    lot.left -= change.points
    lot.held += change.points
    hold = account.holds.get(change.hold)
    if hold is None:
        hold = account.holds[change.hold] = OpenHold(change.kind, change.until_at, {})
        account.due = min(account.due, change.until_at)
    hold.parts[change.lot] = hold.parts.get(change.lot, 0) + change.points


def _captured(account: Account, change: Captured) -> None:
    purse = account.purses[change.kind]
    lot = purse.lots[change.lot]
    lot.held -= change.points
    purse.redeemed += change.points
    if not lot.left and not lot.held:
        del purse.lots[change.lot]
    _end_part(account, change.hold, change.lot, change.points)


def _released(account: Account, change: Released) -> None:
    lot = account.purses[change.kind].lots[change.lot]
    lot.held -= change.points
    lot.left += change.points
    account.due = min(account.due, lot.expires_at)
    _end_part(account, change.hold, change.lot, change.points)


def _end_part(account: Account, hold: str, lot: int, points: int) -> None:
    parts = account.holds[hold].parts
    parts[lot] -= points
    if not parts[lot]:
        del parts[lot]
        if not parts:
            del account.holds[hold]


def _scored_once(account: Account, change: ScoredOnce) -> None:
    account.once[f"{change.score}/{change.part}/{change.rule}"] = change.points


def _rated(account: Account, change: Rated) -> None:
    account.stars = change.stars


def _credit_set(account: Account, change: CreditSet) -> None:
    account.credit = change.credit


def _tier_moved(account: Account, change: TierMoved) -> None:
    account.tiers[change.score] = change.after


def _forgot(account: Account, change: Forgot) -> None:
    month = change.month
    account.forgot = month
    for terms in account.terms.values():  # the last that has begun is what is shown where those behind it are taken out
        last = max((i for i, term in enumerate(terms) if term.start <= change.at), default=0)
        terms[:last] = [term for term in terms[:last] if term.until >= change.at]
    year = month // 12
    for buckets in (*account.sums.values(), account.counts, account.days):
        for bucket in [b for b in buckets if 0 < b < year or 10_000 <= b < month]:
            del buckets[bucket]


def _term_opened(account: Account, change: TermOpened) -> None:
    start, until = change.from_at, change.until_at
    bought_at = change.bought_at or start
    term = Term(change.card, change.product, start, until, change.trial, bought_at, until - start)
    account.terms.setdefault(change.membership, []).append(term)
    account.due = min(account.due, term.until)
    if change.trial:
        account.trials[change.membership] = account.trials.get(change.membership, 0) + 1


def _term_moved(account: Account, change: TermMoved) -> None:
    term = find_term(account, change.membership, change.card)
    term.start, term.until = change.from_at, change.until_at
    account.due = min(account.due, term.until)
    if change.why != "moved-up":
        term.cut_at = term.until
    if change.why == "taken-out":
        account.terms[change.membership].remove(term)
    if change.pending_until:
        move_lapse(account, change.pending_until)


def _term_ended(account: Account, change: TermEnded) -> None:
    find_term(account, change.membership, change.card).ended = True


def _trial_converted(account: Account, change: TrialConverted) -> None:
    find_term(account, change.membership, change.card).converted = True


def _benefit_used(account: Account, change: BenefitUsed) -> None:
    used = find_term(account, change.membership, change.card).used
    key = quota_key(change.benefit, change.bucket)
    used[key] = used.get(key, 0) + 1


def _frozen(account: Account, change: Frozen) -> None:
    account.frozen = True


def _unfrozen(account: Account, change: Unfrozen) -> None:
    account.frozen = False


def _for_the_reader(account: Account, change: Withheld | Resettled) -> None:
    """It says why nothing came, or what follows; the account stands as it was."""


# By class: matching one class after the other costs more than most of these do.
_APPLY: Mapping[type[Change], Callable[[Account, Any], None]] = {
    Earned: _earned,
    Scored: _scored,
    Expired: _expired,
    Spent: _spent,
    ClawedBack: _clawed_back,
    Repaid: _repaid,
    Marked: _marked,
    Counted: _counted,
    Withheld: _for_the_reader,
    Confirmed: _confirmed,
    Restored: _restored,
    Indebted: _indebted,
    PaidInCash: _paid_in_cash,
    WrittenOff: _written_off,
    Held: _held,
    Captured: _captured,
    Released: _released,
    ScoredOnce: _scored_once,
    Rated: _rated,
    CreditSet: _credit_set,
    Resettled: _for_the_reader,
    TierMoved: _tier_moved,
    Forgot: _forgot,
    TermOpened: _term_opened,
    TermMoved: _term_moved,
    TermEnded: _term_ended,
    TrialConverted: _trial_converted,
    BenefitUsed: _benefit_used,
    Frozen: _frozen,
    Unfrozen: _unfrozen,
}
assert _APPLY.keys() == set(CHANGE_TYPES), "a change that no account can take"
