"""How names come to an account and leave it: the account holds the sums over its names, each name its share of them.

What is counted is so kept twice while a member has several names: as decisions read it, and by name. When a name
leaves, the sums are made anew of the shares that stay, which is exact whatever happened in between.
Source: two-accounts.md F.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ledger.core.account import Account, Alias, Bundle, Lot, Merger, OpenHold, Purse, Taken, Term, TierHold
from ledger.core.burning import OrderedLots
from ledger.wire import entries
from ledger.wire.entries import Change, owner_of
from ledger.wire.fact_catalogue import BUILT_IN_ATTRIBUTES
from ledger.wire.name_keys import LINE, named, under

_encode = msgspec.json.Encoder().encode
_decode_share = msgspec.json.Decoder(Account).decode
_decode_term = msgspec.json.Decoder(Term).decode


def of_which(account: Account, key: str) -> tuple[str, str]:
    """Return the name of the account that a hold is of, empty for its own, and how that name calls it.

    Whoever asks for a hold names it as he likes: only a name that is here can have one.
    """
    name, own = named(key)
    return (name, own) if account.bundle is not None and name in account.bundle.names else ("", key)


def share_text(account: Account, name: str) -> str:
    """Return what an account counts under a name (empty: its own), as JSON."""
    bundle = account.bundle
    share = bundle.shares[name] if bundle is not None and bundle.shares else _own_share(account)
    return _text(msgspec.structs.replace(share, purses={}))


def share_of(text: str) -> Account:
    """Return what is counted under a name from its JSON."""
    return _decode_share(text)


def _text(share: Account) -> str:
    """Return a share as JSON, whatever order its sets have in memory."""
    return _encode(msgspec.to_builtins(share, str_keys=True, order="deterministic")).decode()


def term_text(term: Term) -> str:
    """Return a term as JSON."""
    return _encode(term).decode()


def term_of(text: str) -> Term:
    """Return a term from its JSON."""
    return _decode_term(text)


def _own_share(account: Account) -> Account:
    """Return what is counted in an account that has but one name."""
    found = {field: getattr(account, field) for field in _COUNTED}
    purses = {kind: Purse(debt=purse.debt) for kind, purse in account.purses.items() if purse.debt}
    return _copied(Account(**found, purses=purses))


def _copied(share: Account) -> Account:
    return _decode_share(_text(share))


_COUNTED = (
    "frozen",
    *sorted(BUILT_IN_ATTRIBUTES),
    "sums",
    "once",
    "counts",
    "marks",
    "days",
    "trials",
    "tiers",
    "pruned_before",
    "attributes",
    "tier_holds",
    "grants",
    "seats",
)  # the fields of an account that shares have: no lots, terms or holds of points, which say themselves whose they are


# -- sums over names ---------------------------------------------------------------------------------------------------


def _add_up(account: Account, bundle: Bundle) -> None:
    """Make the sums of an account anew of its shares, its own first and then in the order in which names came."""
    found = Account()
    for name in ("", *bundle.names):
        share = bundle.shares.get(name)
        if share is not None:
            _add(found, _copied(share), name)
    for field in _COUNTED:
        if field != "tiers":  # the member is placed anew
            setattr(account, field, getattr(found, field))
    ends = [hold.until for holds in account.tier_holds.values() for hold in holds.values()]
    account.next_due_at = min([account.next_due_at, *ends, *(grant.until for grant in account.grants.values())])


def _add(total: Account, share: Account, name: str) -> None:
    total.frozen |= share.frozen
    for attribute in BUILT_IN_ATTRIBUTES:
        setattr(total, attribute, getattr(total, attribute) or getattr(share, attribute))
    total.pruned_before = max(total.pruned_before, share.pruned_before)
    for score, months in share.sums.items():
        for month, parts in months.items():
            _sum_into(total.sums.setdefault(score, {}).setdefault(month, {}), parts)
    _sum_into(total.once, share.once)
    for bucket, counts in share.counts.items():
        _sum_into(total.counts.setdefault(bucket, {}), counts)
    for rule, marks in share.marks.items():
        total.marks.setdefault(rule, set()).update(marks)
    for month, days in share.days.items():
        found = total.days.setdefault(month, {})
        for rule, bits in days.items():
            found[rule] = found.get(rule, 0) | bits
    _sum_into(total.trials, share.trials)
    for attribute, told in share.attributes.items():
        if attribute not in total.attributes or total.attributes[attribute][1] < told[1]:
            total.attributes[attribute] = told
    for score, holds in share.tier_holds.items():
        for tier, hold in holds.items():
            known = total.tier_holds.setdefault(score, {}).get(tier)
            total.tier_holds[score][tier] = hold if known is None else _both(known, hold)
    for house, seat in share.seats.items():
        total.seats[under(name, house)] = seat  # each name has one of its own, and words of it of its own
    for grant, granted in share.grants.items():
        if grant not in total.grants or total.grants[grant].until < granted.until:
            total.grants[grant] = granted


def _sum_into(total: dict[str, int], more: dict[str, int]) -> None:
    for key, count in more.items():
        total[key] = total.get(key, 0) + count


def _both(one: TierHold, other: TierHold) -> TierHold:
    """Return the hold of a tier that two names have reached."""
    first, needs = min(one.first, other.first), max(one.needs, other.needs)
    return TierHold(max(one.until, other.until), one.value + other.value, first, needs)


# -- what is counted while there are several ---------------------------------------------------------------------------


def count_for(bundle: Bundle, change: Change, apply: Callable[[Account, Any], object]) -> None:
    """Count a change that the account has taken for the name it is under; `apply` is what the account did with it."""
    if not bundle.shares:
        return
    how = _SHARED.get(type(change))
    if how is not None:
        how(bundle, change, apply)


def _for_the_name(bundle: Bundle, change: Change, apply: Callable[[Account, Any], object]) -> None:
    apply(bundle.shares[bundle.acting], change)


def _for_all(bundle: Bundle, change: Change, apply: Callable[[Account, Any], object]) -> None:
    for share in bundle.shares.values():
        apply(share, change)


def _for_whose_it_is(
    bundle: Bundle,
    change: entries.TierHoldEnded | entries.TierGrantEnded,
    apply: Callable[[Account, Any], object],
) -> None:
    """End a hold or grant of a tier in the shares that have it."""
    for share in bundle.shares.values():
        if isinstance(change, entries.TierGrantEnded):
            is_there = change.grant in share.grants
        else:
            is_there = change.tier in share.tier_holds.get(change.score, {})
        if is_there:
            apply(share, change)


def _given_back(bundle: Bundle, change: entries.BenefitGivenBack, apply: Callable[[Account, Any], object]) -> None:
    """Count a claim back where it was counted: under this name, or else the first that did."""
    if change.card or change.line or change.shop:
        return
    for name in (bundle.acting, *bundle.shares):
        if bundle.shares[name].counts.get(change.bucket, {}).get(f"benefit/{change.benefit}"):
            apply(bundle.shares[name], change)
            return


def _indebted(
    bundle: Bundle,
    change: entries.DebtIncurred | entries.DebtMoved,
    apply: Callable[[Account, Any], object],
) -> None:
    _owe(bundle.shares[bundle.acting], change.kind, change.points)


def _repaid(bundle: Bundle, change: entries.Repaid | entries.Forgiven, apply: Callable[[Account, Any], object]) -> None:
    """Let debt go: first of the name whose lot pays, or whose penalty it was, then of the others in their order."""
    points, first = change.points, bundle.acting
    if isinstance(change, entries.Repaid):
        owner = owner_of(change.lot)
        first = bundle.known[owner - 1] if owner else ""
    for name in (first, *bundle.shares):
        share = bundle.shares.get(name)
        part = min(points, share.purse(change.kind).debt) if share is not None else 0
        if share is not None and part:
            _owe(share, change.kind, -part)
            points -= part


def _owe(share: Account, kind: str, points: int) -> None:
    share.purses.setdefault(kind, Purse()).debt += points


def _note_whose(bundle: Bundle, change: entries.TermOpened | entries.TermCame) -> None:
    """Note whose a term is: the name that acts, unless that is the account's own."""
    key = f"{change.membership}/{change.card}"
    if bundle.acting:
        bundle.cards[key] = bundle.acting
    else:
        bundle.cards.pop(key, None)  # another's term of that card was taken out


def _opened_term(bundle: Bundle, change: entries.TermOpened, apply: Callable[[Account, Any], object]) -> None:
    if change.trial:
        trials = bundle.shares[bundle.acting].trials
        trials[change.membership] = trials.get(change.membership, 0) + 1
    _note_whose(bundle, change)


_SHARED: Mapping[type[Change], Callable[[Bundle, Any, Callable[[Account, Any], object]], None]] = {
    entries.Scored: _for_the_name,
    entries.ScoredOnce: _for_the_name,
    entries.Rated: _for_the_name,
    entries.CreditSet: _for_the_name,
    entries.AttributeTold: _for_the_name,
    entries.FirstSeen: _for_the_name,
    entries.CounterAdded: _for_the_name,
    entries.BenefitCounted: _for_the_name,
    entries.TierHeld: _for_the_name,
    entries.TierGranted: _for_the_name,
    entries.SeatMoved: _for_the_name,
    entries.Frozen: _for_the_name,
    entries.Unfrozen: _for_all,
    entries.HistoryPruned: _for_all,
    entries.TierHoldEnded: _for_whose_it_is,
    entries.TierGrantEnded: _for_whose_it_is,
    entries.BenefitGivenBack: _given_back,
    entries.DebtIncurred: _indebted,
    entries.DebtMoved: _indebted,
    entries.Repaid: _repaid,
    entries.Forgiven: _repaid,
    entries.TermOpened: _opened_term,
}


# -- names, lots, holds and terms that come and leave ------------------------------------------------------------------


def _bundle(account: Account) -> Bundle:
    if account.bundle is None:
        account.bundle = Bundle()
    return account.bundle


def _under(account: Account, change: entries.Under) -> None:
    _bundle(account).acting = change.name


def _name_known(account: Account, change: entries.NameKnown) -> None:
    _bundle(account).known.append(change.name)


def _merging(account: Account, change: entries.Merging) -> None:
    names = change.names.split(LINE)
    merger = Merger(change.state, change.to, change.era, names, change.i) if change.state else None
    _bundle(account).merger = merger


def _awaited(account: Account, change: entries.Awaited) -> None:
    awaited = _bundle(account).awaited
    if change.frm:
        awaited[change.name] = change.frm
    else:
        awaited.pop(change.name, None)


def _aliased(account: Account, change: entries.Aliased) -> None:
    alias = Alias(change.head, change.era, change.names.split(LINE)) if change.head else None
    _bundle(account).alias = alias


def _name_came(account: Account, change: entries.NameCame) -> None:
    bundle = _bundle(account)
    if not bundle.shares:
        bundle.shares[""] = _own_share(account)
    bundle.shares[change.name] = share_of(change.share)
    if change.name:
        bundle.names[change.name] = Taken(change.era, change.through)
    _add_up(account, bundle)


def _name_left(account: Account, change: entries.NameLeft) -> None:
    """Take a name's share out; an account that has but one name left needs no shares, and an alias has nothing."""
    bundle = _bundle(account)
    if not bundle.shares:
        bundle.shares[""] = _own_share(account)
    bundle.names.pop(change.name, None)
    bundle.shares.pop(change.name)
    if not change.name:
        bundle.shares[""] = Account()
        account.tiers, account.tier_moves = {}, {}
    _add_up(account, bundle)
    if not bundle.names:
        bundle.shares.clear()
        bundle.cards.clear()


def _moved_out(account: Account, change: entries.MovedOut) -> int:
    purse = account.purses[change.kind]
    lot = purse.lots[change.lot]
    lot.left -= change.points
    lot.held -= change.held
    if not lot.pending_until and type(purse.lots) is OrderedLots:
        purse.lots.changed(change.lot, -change.points)
    if not lot.left and not lot.held:
        del purse.lots[change.lot]
    purse.gone += change.points + change.held
    return purse.gone


def _moved_in(account: Account, change: entries.MovedIn) -> int:
    purse = account.purses.setdefault(change.kind, Purse())
    lot = purse.lots.get(change.lot)
    if lot is None:
        pending = change.pending_until, change.returnable, change.waits
        lot = Lot(0, 0, change.earned, change.earned_at, change.expires_at, change.rule, *pending)
        purse.lots[change.lot] = lot
    lot.left += change.points
    lot.held += change.held
    if not lot.pending_until and type(purse.lots) is OrderedLots:
        purse.lots.changed(change.lot, change.points)
    purse.come += change.points + change.held
    account.next_due_at = min(account.next_due_at, lot.due_at())
    return purse.come


def _hold_left(account: Account, change: entries.HoldLeft) -> None:
    del account.holds[change.hold]


def _hold_came(account: Account, change: entries.HoldCame) -> None:
    hold = account.holds.setdefault(change.hold, OpenHold(change.kind, change.until_at, {}))
    hold.parts[change.lot] = hold.parts.get(change.lot, 0) + change.points
    account.next_due_at = min(account.next_due_at, change.until_at)


def _hold_shifted(account: Account, change: entries.HoldShifted) -> None:
    lots = account.purses[change.kind].lots
    lot, points = lots[change.lot], change.points
    known = lots.get(change.to_lot)
    if known is None:
        known = lots[change.to_lot] = Lot(0, 0, 0, lot.earned_at, lot.expires_at, lot.rule, 0, lot.returnable)
    known.held += points
    known.earned += points
    lot.held -= points
    if not lot.left and not lot.held:
        del lots[change.lot]
    parts = account.holds[change.hold].parts
    parts[change.lot] -= points
    if not parts[change.lot]:
        del parts[change.lot]
    parts[change.to_lot] = parts.get(change.to_lot, 0) + points


def _debt_moved(account: Account, change: entries.DebtMoved) -> int:
    purse = account.purses.setdefault(change.kind, Purse())
    purse.debt += change.points
    return purse.debt


def _term_came(account: Account, change: entries.TermCame) -> None:
    term = term_of(change.term)
    terms = account.terms.setdefault(change.membership, [])
    place = len(terms)
    while place and terms[place - 1].start > term.start:
        place -= 1
    terms.insert(place, term)
    account.next_due_at = min(account.next_due_at, term.until)
    bundle = _bundle(account)
    _note_whose(bundle, change)


def _term_left(account: Account, change: entries.TermLeft) -> None:
    bundle = _bundle(account)
    terms = account.terms[change.membership]
    place = next(i for i, term in enumerate(terms) if term.card == change.card)
    del terms[place]
    if not terms:
        del account.terms[change.membership]
    bundle.cards.pop(f"{change.membership}/{change.card}", None)


def _delayed(account: Account, change: entries.Delayed) -> None:
    _bundle(account).delayed.append(change.number)


def _decided_late(account: Account, change: entries.DecidedLate) -> None:
    _bundle(account).delayed.remove(change.number)


def entry_is_over(account: Account) -> None:
    """Let an account act under its own name again, as it does where an entry begins."""
    if account.bundle is not None:
        account.bundle.acting = ""


OF_NAMES: Mapping[type[Change], Callable[[Account, Any], int | None]] = {
    entries.Under: _under,
    entries.NameKnown: _name_known,
    entries.Merging: _merging,
    entries.Awaited: _awaited,
    entries.Aliased: _aliased,
    entries.NameCame: _name_came,
    entries.NameLeft: _name_left,
    entries.MovedOut: _moved_out,
    entries.MovedIn: _moved_in,
    entries.HoldLeft: _hold_left,
    entries.HoldCame: _hold_came,
    entries.HoldShifted: _hold_shifted,
    entries.DebtMoved: _debt_moved,
    entries.TermCame: _term_came,
    entries.TermLeft: _term_left,
    entries.Delayed: _delayed,
    entries.DecidedLate: _decided_late,
}
# Those of them by which an account is the sum of its names, whatever else of it is kept.
OF_SHARES: frozenset[type[Change]] = frozenset({entries.Under, entries.Aliased, entries.NameCame, entries.NameLeft})
