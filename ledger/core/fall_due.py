"""What falls due by itself: holds, lots and terms that end, tiers and sums as months pass. Time goes first."""

from ledger.core.account import NEVER, next_due
from ledger.core.draft import Draft
from ledger.core.lots import end_idle, end_waiting, expire, release_hold
from ledger.core.tiers import move_tiers
from ledger.wire.entries import HistoryPruned, TermEnded
from ledger.wire.times import month_start


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
            due = [key for key, lot in purse.lots.items() if lot.left and lot.due_at() <= at]
            for key in sorted(due):
                if purse.lots[key].waits:
                    end_waiting(draft, kind, key, at)
                else:
                    expire(draft, kind, key, purse.lots[key], at)
        for kind, purse in account.purses.items():
            if purse.idle_until and purse.idle_until <= at:
                end_idle(draft, kind, purse, at)
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


def _end_holds(draft: Draft, at: int) -> None:
    for name, hold in [(name, hold) for name, hold in draft.account.holds.items() if hold.until <= at]:
        release_hold(draft, name, hold, at, at)


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
