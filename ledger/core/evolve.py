"""evolve(account, change): apply one change to an account. It never refuses.

A change that makes an integer of the account grow returns what it came to, so that a decision can keep its bound
(`ledger.core.draft`): an entry that was decided is applied whatever it comes to.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ledger.core.account import (
    Account,
    Lot,
    OpenHold,
    Purse,
    Seat,
    Term,
    TierGrant,
    TierHold,
    find_term,
    is_dropped,
    move_lapse,
)
from ledger.core.benefits import forget_days, quota_key
from ledger.core.bundles import OF_NAMES, count_for, entry_is_over
from ledger.core.burning import OrderedLots
from ledger.rulebook.schema import AT_SHOP
from ledger.wire import entries
from ledger.wire.entries import CHANGE_TYPES, Change, Entry, lot_key
from ledger.wire.fact_catalogue import BUILT_IN_ATTRIBUTES
from ledger.wire.name_keys import under

MAX_TIER_MOVES = 256  # of a score, kept for facts that come late
DRAWN = "drawn"  # of a pool: the counter of what it gave
OUT = "out/"  # and, before the name of a lease, of what that has of it
SMALL = 1 << 31  # points of a change that are too few to be checked: 2^31 changes of them stay below 2^62


def evolve_entry(account: Account, entry: Entry) -> None:
    """Apply a whole entry: its changes, number and clock."""
    for change in entry.changes:
        evolve(account, change)
    entry_is_over(account)
    if entry.engine == 1:
        forget_moves(account)
    account.number = entry.number
    account.clock = entry.clock


def forget_moves(account: Account) -> None:
    """Keep no moves of tiers that engine 1 decided: snapshots of that time have none, and a fold is to be the same."""
    if account.tier_moves:
        account.tier_moves = {}


def evolve(account: Account, change: Change) -> None:
    """Apply one change in place."""
    apply = APPLY[type(change)]
    apply(account, change)
    if account.bundle is not None:
        count_for(account.bundle, change, apply)


def _scored(account: Account, change: entries.Scored) -> int:
    if account.tier_holds:
        for hold in account.tier_holds.get(change.score, {}).values():
            if change.month >= hold.first:
                hold.value += change.points
    month, part, points = change.month, change.part, change.points
    if month < account.pruned_before and is_dropped(month, account.pruned_before):
        return 0  # that month is dropped; it counts in no score that can still be asked of this account
    months = account.sums.get(change.score)
    if months is None:
        if AT_SHOP in change.score:
            return 0  # it stands on a page of its own
        months = account.sums[change.score] = {}
    parts = months.get(month)
    if parts is None:
        months[month] = {part: points}
    else:
        parts[part] = parts.get(part, 0) + points
    return 0 if abs(points) < SMALL else extent_of_score(account, change.score)


def extent_of_score(account: Account, score: str) -> int:
    """Return the sum of all that a score holds, each without its sign: no sum over months and parts is beyond it."""
    total = sum([abs(points) for parts in account.sums.get(score, {}).values() for points in parts.values()])
    total += sum([abs(points) for key, points in account.once.items() if key.startswith(f"{score}/")])
    return max([total, *[abs(hold.value) for hold in account.tier_holds.get(score, {}).values()]])


def _earned(account: Account, change: entries.Earned) -> int:
    purse = account.purses.get(change.kind)
    if purse is None:
        purse = account.purses[change.kind] = Purse()
    points = change.points
    lots, pending = purse.lots, change.pending_until
    lots[change.lot] = Lot(
        points, 0, points, change.earned_at, change.expires_at, change.rule, pending, change.returnable
    )
    purse.issued += points
    if type(lots) is OrderedLots and not pending:
        lots.changed(change.lot, points)
    due = pending or change.expires_at
    if due < account.next_due_at:
        account.next_due_at = due
    if change.card:
        for terms in account.terms.values():
            for term in terms:
                if term.card == change.card:
                    term.capped += points
                    return max(purse.issued, term.capped)
    return purse.issued


def _first_seen(account: Account, change: entries.FirstSeen) -> None:
    if change.bucket:
        days = account.days.get(change.bucket)
        if days is None:
            days = account.days[change.bucket] = {}
        days[change.rule] = days.get(change.rule, 0) | 1 << int(change.mark[-2:])
    else:
        account.marks.setdefault(change.rule, set()).add(change.mark)


def _counter_added(account: Account, change: entries.CounterAdded) -> int:
    counts = account.counts.get(change.bucket)
    if counts is None:
        counts = account.counts[change.bucket] = {}
    counts[change.rule] = count = counts.get(change.rule, 0) + change.by
    return count


def _expired(account: Account, change: entries.Expired) -> int:
    purse = account.purses[change.kind]
    purse.expired += change.points
    _take(purse, change.lot, change.points)
    return purse.expired


def _spent(account: Account, change: entries.Spent) -> int:
    purse = account.purses[change.kind]
    purse.redeemed += change.points
    _take(purse, change.lot, change.points)
    return purse.redeemed


def _clawed_back(account: Account, change: entries.ClawedBack) -> int:
    purse = account.purses[change.kind]
    purse.clawed_back += change.points
    _take(purse, change.lot, change.points)
    return purse.clawed_back


def _forfeited(account: Account, change: entries.Forfeited) -> int:
    purse = account.purses[change.kind]
    purse.forfeited += change.points
    _take(purse, change.lot, change.points)
    return purse.forfeited


def _repaid(account: Account, change: entries.Repaid) -> int:
    purse = account.purses[change.kind]
    purse.clawed_back += change.points
    purse.debt -= change.points
    _take(purse, change.lot, change.points)
    return purse.clawed_back


def _note(purse: Purse, key: int, points: int) -> None:
    """Tell the lots of a large purse that points of one became spendable, or (below 0) are so no more."""
    lots = purse.lots
    if type(lots) is OrderedLots:
        lots.changed(key, points)


def _take(purse: Purse, key: int, points: int) -> None:
    lot = purse.lots[key]
    lot.left -= points
    if not lot.pending_until:
        _note(purse, key, -points)
    if not lot.left and not lot.held:
        del purse.lots[key]


def _restored(account: Account, change: entries.Restored) -> int:
    purse = account.purses.setdefault(change.kind, Purse())  # a name that came may have spent all it had
    purse.redeemed -= change.points
    return _reopen(account, purse, change)


def _waiting(account: Account, change: entries.Waiting) -> None:
    lot = account.purses[change.kind].lots[change.lot]
    lot.waits = change.waits
    account.next_due_at = min(account.next_due_at, lot.due_at())


def _given_back(account: Account, change: entries.GivenBack) -> int:
    purse = account.purses.setdefault(change.kind, Purse())  # a name that came may have spent all it had
    purse.clawed_back -= change.points
    lot = purse.lots.get(change.lot)
    if lot is None:
        lot = Lot(0, 0, change.earned, change.earned_at, change.expires_at, change.rule, 0, change.returnable)
        purse.lots[change.lot] = lot
    lot.left += change.points
    if not lot.pending_until:
        _note(purse, change.lot, change.points)
    account.next_due_at = min(account.next_due_at, lot.expires_at)
    return lot.left


def _sent(account: Account, change: entries.Sent | entries.Recalled) -> int:
    purse = account.purses[change.kind]
    purse.gone += change.points
    _take(purse, change.lot, change.points)
    return purse.gone


def _received(account: Account, change: entries.Received) -> int:
    purse = account.purses.setdefault(change.kind, Purse())
    points, earned_at, expires_at = change.points, change.earned_at, change.expires_at
    purse.lots[change.lot] = Lot(points, 0, points, earned_at, expires_at, change.rule, 0, returnable=False)
    purse.come += points
    _note(purse, change.lot, points)
    account.next_due_at = min(account.next_due_at, expires_at)
    return purse.come


def _sent_back(account: Account, change: entries.SentBack) -> int:
    purse = account.purses.setdefault(change.kind, Purse())  # a name that came may have spent all it had
    purse.come += change.points
    _reopen(account, purse, change)
    return purse.come


def _reopen(account: Account, purse: Purse, change: entries.Restored | entries.SentBack) -> int:
    """Put points back into their own lot, opened again where it is gone; return what it then has."""
    lot = purse.lots.get(change.lot)
    if lot is None:
        lot = Lot(0, 0, change.earned, change.earned_at, change.expires_at, change.rule, 0, change.returnable)
        purse.lots[change.lot] = lot
    lot.left += change.points
    if not lot.pending_until:
        _note(purse, change.lot, change.points)
    account.next_due_at = min(account.next_due_at, lot.pending_until or lot.expires_at)
    return lot.left


def _forgiven(account: Account, change: entries.Forgiven) -> None:
    account.purses[change.kind].debt -= change.points


def _confirmed(account: Account, change: entries.Confirmed) -> None:
    purse = account.purses[change.kind]
    lot = purse.lots[change.lot]
    if lot.pending_until:
        lot.pending_until = 0
        _note(purse, change.lot, lot.left)
    lot.waits = 0
    account.next_due_at = min(account.next_due_at, lot.expires_at)


def _refrozen(account: Account, change: entries.Refrozen) -> None:
    purse = account.purses[change.kind]
    lot = purse.lots[change.lot]
    if not lot.pending_until:
        _note(purse, change.lot, -lot.left)
    lot.pending_until = change.pending_until
    account.next_due_at = min(account.next_due_at, change.pending_until)


def _debt_incurred(account: Account, change: entries.DebtIncurred) -> int:
    purse = account.purses.setdefault(change.kind, Purse())
    purse.debt += change.points
    return purse.debt


def _paid_in_cash(account: Account, change: entries.PaidInCash) -> int:
    purse = account.purses.setdefault(change.kind, Purse())
    purse.cash_shortfall_fen += change.fen
    return purse.cash_shortfall_fen


def _written_off(account: Account, change: entries.WrittenOff) -> int:
    purse = account.purses.setdefault(change.kind, Purse())
    purse.written_off += change.points
    return purse.written_off


def _held(account: Account, change: entries.Held) -> None:
    purse = account.purses[change.kind]
    lot = purse.lots[change.lot]
    lot.left -= change.points
    lot.held += change.points
    if not lot.pending_until:
        _note(purse, change.lot, -change.points)
    hold = account.holds.get(change.hold)
    if hold is None:
        hold = account.holds[change.hold] = OpenHold(change.kind, change.until_at, {})
        account.next_due_at = min(account.next_due_at, change.until_at)
    hold.parts[change.lot] = hold.parts.get(change.lot, 0) + change.points


def _captured(account: Account, change: entries.Captured) -> int:
    purse = account.purses[change.kind]
    lot = purse.lots[change.lot]
    lot.held -= change.points
    purse.redeemed += change.points
    if not lot.left and not lot.held:
        del purse.lots[change.lot]
    _end_part(account, change.hold, change.lot, change.points)
    return purse.redeemed


def _released(account: Account, change: entries.Released) -> None:
    purse = account.purses[change.kind]
    lot = purse.lots[change.lot]
    lot.held -= change.points
    lot.left += change.points
    if not lot.pending_until:
        _note(purse, change.lot, change.points)
    account.next_due_at = min(account.next_due_at, lot.pending_until or lot.expires_at)
    _end_part(account, change.hold, change.lot, change.points)


def _end_part(account: Account, hold: str, lot: int, points: int) -> None:
    parts = account.holds[hold].parts
    parts[lot] -= points
    if not parts[lot]:
        del parts[lot]
        if not parts:
            del account.holds[hold]


def _idle_moved(account: Account, change: entries.IdleMoved) -> None:
    account.purses.setdefault(change.kind, Purse()).idle_until = change.until_at
    account.next_due_at = min(account.next_due_at, change.until_at)


def _idle_ended(account: Account, change: entries.IdleEnded) -> None:
    purse = account.purses[change.kind]
    purse.idle_until = 0
    purse.idle_ended = lot_key(account.number + 1, 0)


def _scored_once(account: Account, change: entries.ScoredOnce) -> int:
    account.once[f"{change.score}/{change.part}/{change.rule}"] = change.points
    for hold in account.tier_holds.get(change.score, {}).values():
        hold.value += change.points
    return extent_of_score(account, change.score)


def _attribute_set(account: Account, change: entries.Rated | entries.CreditSet) -> None:
    (attribute,) = change.__struct_fields__
    setattr(account, attribute, getattr(change, attribute))


def _tier_moved(account: Account, change: entries.TierMoved) -> None:
    if AT_SHOP in change.score:
        return  # it stands on a page of its own
    account.tiers[change.score] = change.after
    moves = account.tier_moves.get(change.score)
    if moves is None:
        moves = account.tier_moves[change.score] = [(0, change.before)]
    elif len(moves) > MAX_TIER_MOVES:
        del moves[0]
    moves.append((change.at, change.after))


def _tier_held(account: Account, change: entries.TierHeld) -> None:
    holds = account.tier_holds.setdefault(change.score, {})
    holds[change.tier] = TierHold(change.until_at, change.value, change.first, change.needs)
    account.next_due_at = min(account.next_due_at, change.until_at)


def _tier_hold_ended(account: Account, change: entries.TierHoldEnded) -> None:
    holds = account.tier_holds[change.score]
    del holds[change.tier]
    if not holds:
        del account.tier_holds[change.score]


def _tier_granted(account: Account, change: entries.TierGranted) -> None:
    account.grants[change.grant] = TierGrant(change.score, change.tier, change.until_at)
    account.next_due_at = min(account.next_due_at, change.until_at)


def _tier_grant_ended(account: Account, change: entries.TierGrantEnded) -> None:
    del account.grants[change.grant]


def _attribute_told(account: Account, change: entries.AttributeTold) -> None:
    account.attributes[change.attribute] = (change.value, change.since_at)
    if change.attribute in BUILT_IN_ATTRIBUTES:
        setattr(account, change.attribute, change.value)


def _history_pruned(account: Account, change: entries.HistoryPruned) -> None:
    month = change.month
    account.pruned_before = month
    for terms in account.terms.values():  # the last term that has begun stays: it is shown if later ones are taken out
        last = max((i for i, term in enumerate(terms) if term.start <= change.at), default=0)
        terms[:last] = [term for term in terms[:last] if term.until >= change.at]
    for moves in account.tier_moves.values():  # what held at the cut stays as the first
        while len(moves) > 1 and moves[1][0] <= change.at:
            del moves[0]
    for terms in account.terms.values():
        for term in terms:
            forget_days(term, month)
    for buckets in (*account.sums.values(), account.counts, account.days):
        for bucket in [b for b in buckets if is_dropped(b, month)]:
            del buckets[bucket]


def _term_opened(account: Account, change: entries.TermOpened) -> None:
    start, until = change.from_at, change.until_at
    bought_at = change.bought_at or start
    term = Term(change.card, change.product, start, until, change.trial, bought_at, until - start)
    terms = account.terms.setdefault(change.membership, [])
    place = len(terms)
    while place and terms[place - 1].start > start:
        place -= 1  # an upgrade begins now, before those that have not begun
    terms.insert(place, term)
    account.next_due_at = min(account.next_due_at, term.until)
    if change.trial:
        account.trials[change.membership] = account.trials.get(change.membership, 0) + 1


def _term_moved(account: Account, change: entries.TermMoved) -> None:
    term = find_term(account, change.membership, change.card)
    term.start, term.until = change.from_at, change.until_at
    account.next_due_at = min(account.next_due_at, term.until)
    if change.why not in ("moved-up", "laid-behind"):
        term.cut_at = term.until
        term.upgraded = change.why == "upgraded"
    else:
        if change.why == "laid-behind":
            term.ended = False
        if term.months:
            term.anchor = term.start
            if not term.cut_at:
                term.span = term.until - term.start
    if change.why == "taken-out":
        account.terms[change.membership].remove(term)
    if change.pending_until:
        move_lapse(account, change.pending_until)


def _term_anchored(account: Account, change: entries.TermAnchored) -> None:
    term = find_term(account, change.membership, change.card)
    term.months, term.anchor = change.months, change.anchor_at


def _term_ended(account: Account, change: entries.TermEnded) -> None:
    find_term(account, change.membership, change.card).ended = True


def _trial_converted(account: Account, change: entries.TrialConverted) -> None:
    find_term(account, change.membership, change.card).converted = True


def _trial_reverted(account: Account, change: entries.TrialReverted) -> None:
    find_term(account, change.membership, change.card).converted = False


def _benefit_used(account: Account, change: entries.BenefitUsed) -> None:
    used = find_term(account, change.membership, change.card).used
    key = quota_key(change.benefit, change.bucket)
    used[key] = used.get(key, 0) + 1


def _benefit_counted(account: Account, change: entries.BenefitCounted) -> None:
    if not change.line and not change.shop:
        counts = account.counts.setdefault(change.bucket, {})
        key = f"benefit/{change.benefit}"
        counts[key] = counts.get(key, 0) + 1


def _benefit_given_back(account: Account, change: entries.BenefitGivenBack) -> None:
    if change.line or change.shop:
        return
    if change.card:
        used, key = find_term(account, change.membership, change.card).used, quota_key(change.benefit, change.bucket)
    else:
        used, key = account.counts[change.bucket], f"benefit/{change.benefit}"
    used[key] -= 1
    if not used[key]:
        del used[key]


def _right_given(account: Account, change: entries.RightGiven) -> None:
    for term in account.terms.get(change.membership, ()):
        if term.card == change.card:
            term.rights += 1


def _right_ended(account: Account, change: entries.RightEnded) -> None:
    for term in account.terms.get(change.membership, ()):
        if term.card == change.card:
            term.rights -= 1


def _drawn(account: Account, change: entries.Drawn) -> int:
    return _count(account, change.bucket, DRAWN, change.n)


def _put_back(account: Account, change: entries.PutBack) -> None:
    _count(account, change.bucket, DRAWN, -change.n)


def _leased(account: Account, change: entries.Leased) -> int:
    return _count(account, change.bucket, f"{OUT}{change.lease}", change.n)


def _count(account: Account, bucket: int, name: str, by: int) -> int:
    """Change a counter of a pool, which is gone where it is 0, and return what it comes to."""
    counts = account.counts.setdefault(bucket, {})
    count = counts[name] = counts.get(name, 0) + by
    if not count:
        del counts[name]
    return count


def _seated(account: Account, change: entries.Seated) -> None:
    account.seats[change.who] = Seat(change.membership)


def _unseated(account: Account, change: entries.Unseated) -> None:
    del account.seats[change.who]


def _seat_moved(account: Account, change: entries.SeatMoved) -> None:
    key = under(account.bundle.acting, change.house) if account.bundle is not None else change.house
    seat = account.seats.get(key)
    if seat is None or seat.n != change.n:
        seat = account.seats[key] = Seat(change.membership, change.n)
    start, until = change.from_at, change.until_at
    if start < until:
        seat.terms.append(Term(change.card, change.product, start, until, False, start, until - start))


def _frozen(account: Account, change: entries.Frozen) -> None:
    account.frozen = True


def _unfrozen(account: Account, change: entries.Unfrozen) -> None:
    account.frozen = False


def _closed(account: Account, change: entries.Closed) -> None:
    account.closed = True


def _reopened(account: Account, change: entries.Reopened) -> None:
    account.closed = False


def _for_the_reader(
    account: Account, change: entries.Withheld | entries.Multiplied | entries.Joined | entries.Resettled | entries.Told
) -> None:
    """It says why nothing came, or what follows; the account stands as it was."""


# By class: matching one class after the other costs more than most of these do.
APPLY: Mapping[type[Change], Callable[[Account, Any], int | None]] = {
    entries.Earned: _earned,
    entries.Scored: _scored,
    entries.Expired: _expired,
    entries.Spent: _spent,
    entries.ClawedBack: _clawed_back,
    entries.Repaid: _repaid,
    entries.Forfeited: _forfeited,
    entries.FirstSeen: _first_seen,
    entries.CounterAdded: _counter_added,
    entries.Withheld: _for_the_reader,
    entries.Waiting: _waiting,
    entries.Multiplied: _for_the_reader,
    entries.Joined: _for_the_reader,
    entries.GivenBack: _given_back,
    entries.Forgiven: _forgiven,
    entries.Confirmed: _confirmed,
    entries.Refrozen: _refrozen,
    entries.Restored: _restored,
    entries.DebtIncurred: _debt_incurred,
    entries.PaidInCash: _paid_in_cash,
    entries.WrittenOff: _written_off,
    entries.Held: _held,
    entries.Captured: _captured,
    entries.Released: _released,
    entries.Sent: _sent,
    entries.Received: _received,
    entries.SentBack: _sent_back,
    entries.Recalled: _sent,
    entries.IdleMoved: _idle_moved,
    entries.IdleEnded: _idle_ended,
    entries.ScoredOnce: _scored_once,
    entries.Rated: _attribute_set,
    entries.CreditSet: _attribute_set,
    entries.AttributeTold: _attribute_told,
    entries.Resettled: _for_the_reader,
    entries.TierMoved: _tier_moved,
    entries.TierHeld: _tier_held,
    entries.TierHoldEnded: _tier_hold_ended,
    entries.TierGranted: _tier_granted,
    entries.TierGrantEnded: _tier_grant_ended,
    entries.HistoryPruned: _history_pruned,
    entries.TermOpened: _term_opened,
    entries.TermAnchored: _term_anchored,
    entries.TermMoved: _term_moved,
    entries.TermEnded: _term_ended,
    entries.TrialConverted: _trial_converted,
    entries.TrialReverted: _trial_reverted,
    entries.BenefitUsed: _benefit_used,
    entries.BenefitGivenBack: _benefit_given_back,
    entries.BenefitCounted: _benefit_counted,
    entries.RightGiven: _right_given,
    entries.RightEnded: _right_ended,
    entries.Frozen: _frozen,
    entries.Unfrozen: _unfrozen,
    entries.Closed: _closed,
    entries.Reopened: _reopened,
    entries.Drawn: _drawn,
    entries.PutBack: _put_back,
    entries.Leased: _leased,
    entries.Seated: _seated,
    entries.Unseated: _unseated,
    entries.SeatMoved: _seat_moved,
    entries.Told: _for_the_reader,
    **OF_NAMES,
}
assert APPLY.keys() == set(CHANGE_TYPES), "a change that no account can take"
