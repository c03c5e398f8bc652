"""Tiers follow the scores, never the spendable balance: at once where something moved them, or as time passes.

The tier in force is the higher of the member's own and of those granted. The own one is the highest of the tier of the
value now and of those held: a tier that was reached may be held against ageing, but not against what is taken back.
"""

from ledger.core.account import TierHold
from ledger.core.draft import Draft
from ledger.core.evolve import forget_moves
from ledger.core.scores import tier_of, value_in, value_of, value_since
from ledger.core.standing import Stand, is_invited, own_place, place_at, tier_name
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.rankings import YEAR, Ranking, hold_until, period_at, window_of
from ledger.wire.entries import (
    FIRST_MONTH,
    Resettled,
    Scored,
    TierGranted,
    TierGrantEnded,
    TierHeld,
    TierHoldEnded,
    TierMoved,
)
from ledger.wire.times import month_of

DEDUCTION = "deduction"  # the part and the rule of what is taken from a score when a hold ends
MAX_GRANTS = 1_000  # of tiers, running at once


def follow_scores(draft: Draft, since: int = 0) -> None:
    """Move the tiers of all scores that a decision moved, at the clock, and say which settled months it moved.

    The decision's changes are those from the place `since` on.
    """
    clock = draft.clock
    version = draft.book.nearest(clock)
    now = version.month(clock)
    oldest: dict[str, int] = {}
    stands = draft.stands or {}
    for change in draft.changes[since:]:
        if type(change) is Scored and FIRST_MONTH <= change.month < now:
            oldest[change.score] = min(change.month, oldest.get(change.score, now))
    for name, ranking in version.rankings.items():
        if name in oldest:
            first = oldest[name] if ranking.at_once else oldest[name] + 1
            draft.emit(Resettled(name, first, min(oldest[name] + ranking.span, now)))
        if name in stands:
            _move(draft, version, ranking, stands[name], clock)


def pass_period(draft: Draft, at: int) -> None:
    """Move the tiers as a month, day or year begins at an instant, or another version, which places the member anew."""
    account, version = draft.account, draft.book.nearest(at)
    awards = version.rules_on("tier.reached")
    month = month_of(at, version.offset)
    is_bare = not (account.once or account.grants or account.tier_holds)
    for name, ranking in version.rankings.items():
        if is_bare and name not in account.sums and name not in account.tiers:
            continue  # it is 0, as it was
        period = month if ranking.is_monthly else period_at(ranking, at, version.offset)
        if ranking.holds or awards:
            before = period_at(ranking, at - 1, version.offset)
            if period != before:
                value = value_in(account, ranking, before)
                # Time reaches nothing in a year that is over: it stood then as it stands now.
                last_year = value_in(account, ranking, period - 1) if ranking.window == YEAR else 0
                own = max(own_place(account, ranking, value), _held_until(draft, ranking, at))
                _move(draft, version, ranking, Stand(value, last_year, own), at)
                continue
        _place(draft, ranking, value_in(account, ranking, period), at)


def _held_until(draft: Draft, ranking: Ranking, at: int) -> int:
    """Return the place of the highest tier whose hold was over at this instant: it was the member's until then."""
    names = [tier.name for tier in ranking.tiers]
    found = -1
    for change in draft.changes if ranking.holds else ():
        if isinstance(change, TierHoldEnded) and (change.score, change.at, change.why) == (ranking.name, at, "over"):
            found = max(found, names.index(change.tier) if change.tier in names else -1)
    return found


def place_anew(draft: Draft, at: int) -> None:
    """Place a member in the tiers of the version at an instant: nothing is reached by that."""
    version = draft.book.nearest(at)
    for ranking in version.rankings.values():
        value = value_in(draft.account, ranking, period_at(ranking, at, version.offset))
        _place(draft, ranking, value, at)


def _move(draft: Draft, version: ProgrammeVersion, ranking: Ranking, stand: Stand, at: int) -> None:
    """Follow a score that stood so: holds that are pierced, tiers that are reached, the tier in force."""
    account = draft.account
    period = period_at(ranking, at, version.offset)
    value = value_in(account, ranking, period)
    if ranking.deducts:
        _move_with_deduction(draft, version, ranking, stand, value, at)
        return
    for tier, hold in list(account.tier_holds.get(ranking.name, {}).items()):
        if hold.value < hold.needs:
            draft.emit(TierHoldEnded(ranking.name, tier, at, "pierced"))
    has_risen = value > stand.value
    if ranking.holds:
        first = window_of(ranking, period)[0]
        year = month_of(at, version.offset) // 12
        if ranking.window == YEAR:
            last_year = value_in(account, ranking, period - 1)
            until = hold_until(ranking, year - 1, at, version.offset)
            has_risen = has_risen or last_year > stand.last_year
            if until > at:
                _hold_reached(draft, ranking, stand.last_year, last_year, at, until, first - 1)
        until = hold_until(ranking, year, at, version.offset)
        _hold_reached(draft, ranking, stand.value, value, at, until, first)
    _place(draft, ranking, value, at)
    if has_risen:
        _reach(draft, ranking, stand.own, own_place(account, ranking, value), at)


def _hold_reached(draft: Draft, ranking: Ranking, before: int, after: int, at: int, until: int, first: int) -> None:
    """Begin or renew the hold of each tier that a value crosses from below; `first` is its window's oldest bucket."""
    account = draft.account
    for place, tier in enumerate(ranking.tiers):
        if before < tier.at_least <= after and (not tier.invited or is_invited(account, ranking, place)):
            held = account.tier_holds.get(ranking.name, {}).get(tier.name)
            if held is None or held.until <= until:
                value = value_since(account, ranking, first)
                draft.emit(TierHeld(ranking.name, tier.name, at, until, value, first, tier.at_least))


def _reach(draft: Draft, ranking: Ranking, before: int, after: int, at: int) -> None:
    """Note each own tier that is passed upwards, the lowest first."""
    for place in range(before + 1, after + 1):
        passed = (ranking.name, tier_name(ranking, place), tier_name(ranking, place - 1), at)
        draft.reached = (*draft.reached, passed)


def _place(draft: Draft, ranking: Ranking, value: int, at: int) -> None:
    """Write down the tier in force where it differs from the one written last."""
    account, name = draft.account, ranking.name
    before = account.tiers.get(name)
    if before is None:
        before = ranking.first_tier
    after = tier_name(ranking, place_at(account, ranking, value))
    if after != before:
        draft.emit(TierMoved(name, before, after, at))


# -- what ends by itself, or is granted --------------------------------------------------------------------------------


def end_tier_grants(draft: Draft, due: int) -> None:
    """End the granted tiers that are over at an instant."""
    for name, grant in [(name, grant) for name, grant in draft.account.grants.items() if grant.until <= due]:
        draft.emit(TierGrantEnded(name, grant.score, grant.tier, grant.until, "over"))
        place_score(draft, grant.score, grant.until)


def end_tier_holds(draft: Draft, due: int) -> None:
    """End the holds of tiers that are over at an instant: the member is placed by what remains."""
    version = draft.book.nearest(due)
    for name, holds in list(draft.account.tier_holds.items()):
        over = {tier: hold for tier, hold in holds.items() if hold.until <= due}
        if over:
            ranking = version.rankings.get(name)
            if ranking is None:
                for tier in over:
                    draft.emit(TierHoldEnded(name, tier, due, "over"))
            elif ranking.deducts:
                _deduct(draft, version, ranking, over, due)
            else:
                _end_holds(draft, version, ranking, over, due)


def place_score(draft: Draft, name: str, at: int) -> None:
    """Place a member in the tiers of one score again, where nothing is reached by that."""
    version = draft.book.nearest(at)
    ranking = version.rankings.get(name)
    if ranking is not None:
        _place(draft, ranking, value_in(draft.account, ranking, period_at(ranking, at, version.offset)), at)


def grant_tier(draft: Draft, grant: str, score: str, tier: str, until: int) -> None:
    """Grant a tier until an instant after the clock: a floor, or of an invited tier the permission."""
    draft.emit(TierGranted(grant, score, tier, until))
    place_score(draft, score, draft.clock)


def withdraw_tier(draft: Draft, grant: str) -> bool:
    """End a granted tier at the clock; False where none of that name runs."""
    found = draft.account.grants.get(grant)
    if found is None:
        return False
    draft.emit(TierGrantEnded(grant, found.score, found.tier, draft.clock, "withdrawn"))
    place_score(draft, found.score, draft.clock)
    return True


def _end_holds(draft: Draft, version: ProgrammeVersion, ranking: Ranking, over: dict[str, TierHold], due: int) -> None:
    """End holds that are over; with `down = "step"` the member falls one tier at most, and that one is held anew."""
    account = draft.account
    value = value_in(account, ranking, period_at(ranking, due, version.offset))
    before = own_place(account, ranking, value)
    for tier in over:
        draft.emit(TierHoldEnded(ranking.name, tier, due, "over"))
    after = own_place(account, ranking, value)
    if ranking.steps_down and after < before:
        last = over.get(tier_name(ranking, before))
        step = before - 1
        while step > after and ranking.tiers[step].invited and not is_invited(account, ranking, step):
            step -= 1
        if last is not None and step > after:
            tier_below = ranking.tiers[step]
            until = hold_until(ranking, month_of(due, version.offset) // 12, due, version.offset)
            draft.emit(TierHeld(ranking.name, tier_below.name, due, until, last.value, last.first, tier_below.at_least))
    _place(draft, ranking, value, due)


def _deduct(draft: Draft, version: ProgrammeVersion, ranking: Ranking, over: dict[str, TierHold], due: int) -> None:
    """Take a tier's deduction from the score at the end of its hold, place the member by the rest, and hold anew."""
    account, name = draft.account, ranking.name
    period = period_at(ranking, due, version.offset)
    deducts = {tier.name: tier.deduct for tier in ranking.tiers}
    for tier in over:
        draft.emit(TierHoldEnded(name, tier, due, "over"))
        taken = min(deducts.get(tier, 0), value_in(account, ranking, period))
        if taken:
            draft.emit(Scored(name, DEDUCTION, DEDUCTION, version.bucket(name, due), -taken))
    value = value_in(account, ranking, period)
    _place(draft, ranking, value, due)
    _hold_own(draft, version, ranking, value, due)


def _move_with_deduction(
    draft: Draft, version: ProgrammeVersion, ranking: Ranking, stand: Stand, value: int, at: int
) -> None:
    """There is one hold, of the tier that the member has: it begins anew in each other tier."""
    account = draft.account
    own = own_place(account, ranking, value)
    if own != stand.own:
        why = "pierced" if own < stand.own else "replacing"
        for tier in list(account.tier_holds.get(ranking.name, ())):
            draft.emit(TierHoldEnded(ranking.name, tier, at, why))
    _place(draft, ranking, value, at)
    if own != stand.own:
        _hold_own(draft, version, ranking, value, at)
        _reach(draft, ranking, stand.own, own, at)


def _hold_own(draft: Draft, version: ProgrammeVersion, ranking: Ranking, value: int, at: int) -> None:
    """Begin the hold of the tier of a value, where something is deducted at its end."""
    place = own_place(draft.account, ranking, value)
    if place >= 0 and ranking.tiers[place].deduct:
        tier = ranking.tiers[place]
        until = hold_until(ranking, month_of(at, version.offset) // 12, at, version.offset)
        first = window_of(ranking, period_at(ranking, at, version.offset))[0]
        draft.emit(TierHeld(ranking.name, tier.name, at, until, value, first, tier.at_least))


# -- engine 1 ----------------------------------------------------------------------------------------------------------


def move_tiers(draft: Draft, month: int, at: int) -> None:
    """Emit the tiers that differ from those last written down, for the scores of a month (engine 1)."""
    account = draft.account
    for name, score in draft.book.nearest(at).programme.scores.items():
        tier = tier_of(score, value_of(account, name, score, month))
        if tier != account.tiers.get(name, ""):
            draft.emit(TierMoved(name, account.tiers.get(name, ""), tier, at))
    forget_moves(account)


def refresh_settled(draft: Draft) -> None:
    """Say which settled months the decision's score items moved, and the tier where it follows at once (engine 1)."""
    now = draft.version.month(draft.clock)
    if draft.oldest_month < now:
        for name, score in draft.version.programme.scores.items():
            if any(isinstance(c, Scored) and c.score == name and c.month < now for c in draft.changes):
                last = min(draft.oldest_month + score.window_months, now)
                draft.emit(Resettled(name, draft.oldest_month + 1, last))
        move_tiers(draft, now, draft.clock)
