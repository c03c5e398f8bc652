"""What falls due by itself: holds, lots and terms that end, tiers and sums as months pass. Time goes first."""

from collections.abc import Collection, Iterable

from ledger.core.account import NEVER, is_dropped, next_due
from ledger.core.benefits import has_old_days
from ledger.core.draft import Draft
from ledger.core.lots import end_idle, end_waiting, expire, release_hold
from ledger.core.reached import award_reached
from ledger.core.tiers import end_tier_grants, end_tier_holds, move_tiers, pass_period, place_anew
from ledger.rulebook.compiled import OPENS, ProgrammeVersion
from ledger.rulebook.rankings import DAYS, moves_of, settle_instant
from ledger.wire.entries import DAY_BUCKETS, HistoryPruned, TermEnded
from ledger.wire.times import DAY, day_of, instant_at, month_of, month_start

MAX_MONTHS = 12  # that are asked one by one whether they matter; of more, the buckets are asked


def fall_due(draft: Draft, until: int) -> None:
    """Emit all that falls due up to and including an instant, and what the passing time means for scores and sums.

    Engine 2 emits it strictly by its instant; engine 1 has the months after all else.
    """
    if draft.engine == 1:
        _fall_due_then_pass_months(draft, until)
        return
    account, version, month = draft.account, draft.version, draft.month
    if until != draft.occurred or not month:
        version = draft.book.nearest(until)
        month = version.month(until)
    passes, passing = until >= account.next_month_at, []
    if account.number and (passes or version.name != account.placed_by):
        passing = _instants_that_matter(draft, until, version, month)
        passing.reverse()
    if account.next_due_at <= until:
        account.next_due_at = next_due(account)
    while True:
        at = account.next_due_at  # what is emitted lowers it
        if passing and passing[-1] < at:
            pass_period(draft, passing.pop())
            if draft.reached:
                award_reached(draft)
            continue
        if at > until:
            break
        _end_what_is_due(draft, at)
        end_tier_grants(draft, at)
        end_tier_holds(draft, at)
        if passing and passing[-1] == at:
            pass_period(draft, passing.pop())
        if draft.reached:
            award_reached(draft)
        account.next_due_at = next_due(account)
    if passes:
        if account.number:
            _prune(draft, month)
        account.next_month_at = _next_passing(draft, version, month, until)
    if account.placed_by != version.name:
        if account.number:
            place_anew(draft, until)
        account.placed_by = version.name


def _instants_that_matter(draft: Draft, until: int, now: ProgrammeVersion, month_now: int) -> list[int]:
    """The instants after the clock at which time alone, or a version, moves a score that has items; in order.

    `now` is the version at `until`, and `month_now` the month by it.
    """
    account, book, after = draft.account, draft.book, draft.account.clock
    found: set[int] = set()
    versions = [now]
    if now.since > after:
        begun = [version for version in book.versions if after < version.since <= until]
        found = {version.since for version in begun}
        versions = [book.nearest(after), *begun]
    elif not account.sums:
        return []
    for version in versions:
        before, last = month_of(after, version.offset), month_now if version is now else version.month(until)
        for name, sums in account.sums.items():
            ranking = version.rankings.get(name)
            if ranking is None:
                continue
            if ranking.is_monthly:
                span = ranking.span  # a bucket counts from the month behind it on, for as long as the window is
                months: Iterable[int] = range(before, last)
                if last - before > MAX_MONTHS:
                    months = {month for bucket in sums for month in (bucket, bucket + span) if before <= month < last}
                for month in months:
                    if month in sums or month - span in sums:
                        found.add(month_start(month + 1, version.offset))
                continue
            moves = (at for bucket in sums for at in moves_of(ranking, bucket, version.offset))
            found.update(at for at in moves if after < at <= until)
    return sorted(found)


def _next_passing(draft: Draft, version: ProgrammeVersion, month: int, until: int) -> int:
    """The next instant at which a month, day or version may begin that moves a score."""
    zone = version.offset
    next_month = month_start(month + 1, zone)
    if not version.own_days and draft.book.versions[-1].since <= until:
        return next_month
    found = [next_month]
    for later in draft.book.versions:
        if later.since > until:
            found.append(later.since)
    for ranking in version.own_days:
        if ranking.window == DAYS:
            found.append(instant_at((day_of(until, zone) + 1) * DAY, zone))
        elif ranking.settle_day > 1:
            found += [at for at in (settle_instant(ranking, m, zone) for m in (month, month + 1)) if at > until]
    return min(found)


def _prune(draft: Draft, now: int) -> None:
    """Drop the sums and counters that no fact may come late for, and no score counts any more."""
    account, version = draft.account, draft.version
    kept = version.oldest_kept(now)
    if account.pruned_before < kept:
        is_old = _has_old(account.counts, kept) or _has_old(account.days, kept)
        for sums in account.sums.values():
            is_old = is_old or _has_old(sums, kept)
        if not is_old and account.terms:
            is_old = any(has_old_days(term, kept) for terms in account.terms.values() for term in terms)
        if is_old:
            draft.emit(HistoryPruned(kept, month_start(kept, version.offset)))


def _has_old(buckets: Collection[int], kept: int) -> bool:
    """Return True if buckets of sums or counters lie before a month."""
    if not buckets or (kept <= min(buckets) and max(buckets) < DAY_BUCKETS):
        return False  # months alone, as most are
    return any(is_dropped(bucket, kept) for bucket in buckets)


def _fall_due_then_pass_months(draft: Draft, until: int) -> None:
    account = draft.account
    while account.next_due_at <= until:
        at = next_due(account)
        if at > until:
            account.next_due_at = at
            break
        _end_what_is_due(draft, at)
        account.next_due_at = next_due(account)
    if until >= account.next_month_at:
        before, now = draft.version.month(account.clock), draft.version.month(until)
        if now > before and account.number:
            _pass_months(draft, before, now)
        account.next_month_at = month_start(now + 1, draft.version.offset)


def _end_what_is_due(draft: Draft, at: int) -> None:
    """End what is due at an instant: holds of points, what waits for it, lots, idle purses, terms."""
    account = draft.account
    _end_holds(draft, at)
    for kind, purse in account.purses.items():
        opened = [key for key, lot in purse.lots.items() if lot.waits == OPENS and lot.left and lot.due_at() <= at]
        for key in sorted(opened):
            if purse.lots[key].pending_until < purse.lots[key].expires_at:
                end_waiting(draft, kind, key, at)
    for kind, purse in account.purses.items():
        due = [
            key
            for key, lot in purse.lots.items()
            if lot.left and (lot.due_at() if lot.pending_until else lot.expires_at) <= at
        ]
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
