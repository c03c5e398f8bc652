"""A decision in the making: the account, the fact's place and time, and the changes so far.

Every change is applied to the account as it is written down (`emit`), so that each step of a decision stands on the
last, and an account is by construction the fold of its entries. A request is refused before its first change.
Time comes first: `fall_due` emits what ended by itself, in the order of its due dates.
"""

from collections.abc import Iterator
from typing import NoReturn, Protocol

from msgspec import Struct, field

from ledger.core.account import NEVER, Account, Lot, OpenHold, Purse
from ledger.core.evolve import evolve
from ledger.core.pages import SEEN, LotPage, Pages
from ledger.core.scores import tier_of, value_of
from ledger.errors import ControlFlow
from ledger.rulebook.compiled import Book, Rule, Version
from ledger.wire.entries import (
    LOT_BITS,
    Change,
    DebtIncurred,
    Expired,
    HistoryPruned,
    Released,
    Repaid,
    Resettled,
    Scored,
    TermEnded,
    TierMoved,
    lot_key,
)
from ledger.wire.times import month_start

MAX_LOTS = 1 << LOT_BITS
MAX_TOTAL = 1 << 62  # of points ever issued of one kind to one member: what a store's integers hold


class Decline(ControlFlow):
    """The fact is refused (a request) or ignored, with a reason code and its figures; nothing was changed."""

    def __init__(self, reason: str, **figures: int | str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.figures = figures


class OutOfRange(ControlFlow):
    """The decision would pass a bound of the account's integers; the account in memory is to be dropped."""


class Trace(Protocol):
    """Who wants to know of each rule that was asked and gave nothing, or less."""

    def skipped(self, rule: Rule, code: str, figures: dict[str, int | str]) -> None:
        """A guard of the pipeline said no to `rule`, for the `figures["line"]` of the fact (empty: the whole fact)."""


class Draft(Struct, gc=False):
    """One decision: `occurred` picks the version and the month, `clock` what is spendable."""

    account: Account
    pages: Pages
    book: Book
    version: Version
    number: int
    occurred: int
    clock: int
    changes: list[Change] = field(default_factory=list)
    figures: dict[str, int | str] = field(default_factory=dict)
    reason: str = ""
    lots: int = 0  # opened so far
    refund_fen: int = 0  # of the fact, still free to meet a shortfall in cash
    oldest_month: int = NEVER  # of the score items moved
    trace: Trace | None = None
    month: int = 0  # of `occurred`, in the book's zone

    def __post_init__(self) -> None:
        self.month = self.version.month(self.occurred)

    def emit(self, change: Change) -> None:
        """Write a change down and apply it."""
        self.changes.append(change)
        evolve(self.account, change)

    def note(self, reason: str, **figures: int | str) -> None:
        """Say something of an accepted fact: the first reason stays."""
        self.reason = self.reason or reason
        self.figures.update(figures)

    def decline(self, reason: str, **figures: int | str) -> NoReturn:
        """Refuse or ignore the fact."""
        raise Decline(reason, **figures)

    def next_lot(self) -> int:
        """The key of a lot that this entry opens."""
        place = self.lots
        if place >= MAX_LOTS:
            raise OutOfRange(f"more than {MAX_LOTS:,} lots in one entry")
        self.lots = place + 1
        return lot_key(self.number, place)

    def score(self, change: Scored) -> None:
        """Emit a score item and remember the oldest month moved."""
        self.emit(change)
        if change.month < self.oldest_month:
            self.oldest_month = change.month


def fall_due(draft: Draft, until: int) -> None:
    """Emit all that falls due up to and including an instant, then what the passing months mean for scores and sums."""
    account = draft.account
    while account.next_due_at <= until:
        at = next_due(account)
        if at > until:
            account.next_due_at = at
            break
        _end_holds(draft, at)
        for kind, purse in account.purses.items():
            due = [key for key, lot in purse.lots.items() if lot.left and (lot.pending_until or lot.expires_at) <= at]
            for key in sorted(due):
                expire(draft, kind, key, purse.lots[key], at)
        for membership, terms in account.terms.items():
            for term in list(terms):
                if not term.ended and term.until <= at:
                    draft.emit(TermEnded(membership, term.card, at))
        account.next_due_at = next_due(account)
    if until >= account.next_month_at:
        before, now = draft.version.month(account.clock), draft.version.month(until)
        if now > before and account.number:
            _pass_months(draft, before, now)
        account.next_month_at = month_start(now + 1, draft.version.offset)


def next_due(account: Account) -> int:
    """The instant at which something of an account next falls due, `NEVER` where nothing will."""
    due = [
        lot.pending_until or lot.expires_at
        for purse in account.purses.values()
        for lot in purse.lots.values()
        if lot.left
    ]
    due += [hold.until for hold in account.holds.values()]
    due += [term.until for terms in account.terms.values() for term in terms if not term.ended]
    return min(due, default=NEVER)


def _end_holds(draft: Draft, at: int) -> None:
    for name, hold in [(name, hold) for name, hold in draft.account.holds.items() if hold.until <= at]:
        release_hold(draft, name, hold, at, at)


def release_hold(draft: Draft, name: str, hold: OpenHold, now: int, due: int = 0) -> None:
    """Give what a hold still keeps back to its lots, the last taken first; `due` where it ends by itself."""
    for key, points in list(reversed(hold.parts.items())):
        draft.emit(Released(hold.kind, key, points, name, due))
        settle_lot(draft, hold.kind, key, now)


def _pass_months(draft: Draft, before: int, now: int) -> None:
    account, offset = draft.account, draft.version.offset
    if account.sums:
        for month in _months_that_matter(draft, max(before + 1, now - 13), now):
            move_tiers(draft, month, month_start(month, offset))
    kept = draft.version.month(max(0, month_start(now, offset) - draft.version.late))
    if account.pruned_before < kept:
        counted = (*account.sums.values(), account.counts, account.days)
        if any(min(filter(None, buckets), default=NEVER) < kept for buckets in counted):
            draft.emit(HistoryPruned(kept, month_start(kept, offset)))


def _months_that_matter(draft: Draft, first: int, last: int) -> list[int]:
    """The first month of an interval, and those in which a score may differ from that of the month before."""
    if first == last:
        return [first]
    offset = draft.version.offset
    at = [draft.book.nearest(month_start(month, offset)) for month in range(first, last + 1)]
    months = {first, *(first + i for i in range(1, len(at)) if at[i] is not at[i - 1])}
    windows = {(name, score.window_months) for v in set(at) for name, score in v.programme.scores.items()}
    for name, window in windows:
        for month in draft.account.sums.get(name, ()):  # counts from the month behind it, for as long as the window is
            months.add(month + 1)
            months.add(month + 1 + window)
    return sorted(month for month in months if first <= month <= last)


def move_tiers(draft: Draft, month: int, at: int) -> None:
    """Emit the tiers that differ from those last written down, for the scores of a month."""
    account = draft.account
    for name, score in draft.book.nearest(at).programme.scores.items():
        tier = tier_of(score, value_of(account, name, score, month))
        if tier != account.tiers.get(name, ""):
            draft.emit(TierMoved(name, account.tiers.get(name, ""), tier, at))


def resettle(draft: Draft) -> None:
    """Say which settled months the decision's score items moved, and the tier where it follows at once."""
    if draft.oldest_month == NEVER:
        return
    now = draft.version.month(draft.clock)
    if draft.oldest_month < now:
        for name, score in draft.version.programme.scores.items():
            if any(isinstance(c, Scored) and c.score == name and c.month < now for c in draft.changes):
                last = min(draft.oldest_month + score.window_months, now)
                draft.emit(Resettled(name, draft.oldest_month + 1, last))
        move_tiers(draft, now, draft.clock)


def expire(draft: Draft, kind: str, key: int, lot: Lot, due: int) -> None:
    """End what is left of a lot, and keep on its page how much that was, if a return may ask."""
    points = lot.left
    if lot.returnable:
        page = draft.pages.get(f"lot/{key}")
        if not isinstance(page, LotPage):
            page = LotPage()
        page.expired += points
        draft.pages.put(f"lot/{key}", page)
    draft.emit(Expired(kind, key, points, due))


def settle_lot(draft: Draft, kind: str, key: int, now: int) -> None:
    """Points have just become spendable in a lot: they expire at once if they are due, or repay debt first."""
    purse = draft.account.purses[kind]
    lot = purse.lots[key]
    if lot.expires_at <= now:
        expire(draft, kind, key, lot, now)
    elif purse.debt > 0 and lot.left:
        draft.emit(Repaid(kind, key, min(purse.debt, lot.left)))


def owe(draft: Draft, kind: str, points: int, origin: str, line: str = "") -> None:
    """Make a claim that nothing could meet a debt. Raises OutOfRange."""
    if draft.account.purse(kind).debt + points > MAX_TOTAL:
        raise OutOfRange("debt beyond what a store's integers hold")
    draft.emit(DebtIncurred(kind, points, origin, line))


def burn_order(purse: Purse, burn: str) -> Iterator[tuple[int, Lot]]:
    """Spendable lots with their keys, in the order a burn takes them."""
    lots = purse.lots
    keys = sorted(lots)
    if burn != "oldest":
        keys.sort(key=lambda key: lots[key].expires_at)
    for key in keys:
        lot = lots[key]
        if lot.left and not lot.pending_until:
            yield key, lot


def take_id(draft: Draft, key: str) -> None:
    """Take a business id, or decline what comes again under a new fact id."""
    if draft.pages.get(key) is not None:
        draft.decline("already")
    draft.pages.put(key, SEEN)
