"""One member at an instant: points in lots, scores by part, memberships with what is left of their quotas."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from msgspec import UNSET
from msgspec.structs import replace

from ledger.core.account import Account, Lot, Purse, Seat, Term, copy_account, current_of, current_term
from ledger.core.benefits import is_in_grace
from ledger.core.decide import run_to
from ledger.core.draft import Draft
from ledger.core.pages import PagesInMemory
from ledger.core.scores import parts_at, score_month, value_at
from ledger.core.standing import own_place, tier_name, tier_now
from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import Programme, ProgrammeVersion
from ledger.rulebook.rankings import DAYS, LIFE, MONTHS, YEAR, Ranking, period_at, window_of
from ledger.wire import answers
from ledger.wire.entries import TierMoved, birth_of, entry_of
from ledger.wire.entry_json import bucket_text
from ledger.wire.name_keys import named
from ledger.wire.times import DAY, MAX_INSTANT, Zone, month_text, to_text
from projections.answers.benefits import benefits_alone, benefits_of, draft_at, quotas_of
from projections.answers.members import account_of
from projections.answers.shops import ShopScores, next_tier, shops_of_member


def show_member(ledger: Ledger, member: str, as_of: int, known_at: int | None = None) -> answers.Member:
    """Return a member at an instant. Raises `UnknownMember`."""
    account, book = account_of(ledger, member, as_of, known_at), ledger.books(known_at).of(member)
    shops = shops_of_member(ledger, member, book.nearest(as_of), as_of, known_at)
    return describe_account(member, account, book, as_of, shops)


def describe_account(
    member: str, account: Account, book: Programme, as_of: int, shops: ShopScores | None = None
) -> answers.Member:
    """Return an account that was run to `as_of` as its member is told, under the version of the book that holds.

    `shops` are the scores that are kept for each shop, which the account has not.
    """
    shops = ShopScores() if shops is None else shops
    version = book.nearest(as_of)
    programme, offset = version.programme, version.offset
    keyed = version.keyed_scores | version.keyed_kinds
    kinds = [
        *(kind for kind in programme.kinds if kind not in keyed),
        *(kind for kind in account.purses if kind not in programme.kinds),
    ]
    terms = {name: current_term(account, name, as_of) for name in programme.memberships}
    draft = draft_at(account, book, as_of, shops.pages(version))
    falls = next_falls(account, book, as_of)
    bundle = account.bundle
    return answers.Member(
        member,
        to_text(as_of, offset),
        account.number,
        account.frozen,
        {kind: _purse(account, kind, offset) for kind in kinds},
        {
            name: describe_score(account, version, name, as_of, falls.get(name))
            for name in programme.scores
            if name not in keyed
        }
        | {key: score for _, key, score in shops.describe(version, as_of)},
        {name: _membership(draft, name, term) for name, term in terms.items() if term is not None},
        benefits_alone(draft, shops.begun(version)),
        account.closed,
        dict(_seats(account, version, as_of)) or UNSET,
        bundle.alias.head if bundle is not None and bundle.alias is not None else UNSET,
        list(bundle.names) if bundle is not None and bundle.names else UNSET,
    )


def balances_of(shown: answers.Member) -> answers.Balances:
    """Return a member's balances without their lots."""
    points = {
        kind: answers.Balance(purse.spendable, purse.pending, purse.held, purse.debt)
        for kind, purse in shown.points.items()
    }
    return answers.Balances(shown.member, shown.as_of, points)


def open_lots(purse: Purse) -> list[tuple[int, Lot, int | None]]:
    """Lots with something left and their ends (None: they have none), the soonest to go first."""
    lots = [(key, lot, purse.end_of(lot)) for key, lot in purse.lots.items() if lot.left]
    lots.sort(key=lambda found: (found[2], found[0]))
    return [(key, lot, end if end < MAX_INSTANT else None) for key, lot, end in lots]


def describe_score(
    account: Account, version: ProgrammeVersion, name: str, as_of: int, fall: TierMoved | None
) -> answers.Score:
    """Return a score with its tier and parts at the instant that the account was run to.

    `fall` is how the tier moves next where nothing else comes.
    """
    ranking, zone = version.rankings[name], version.offset
    value, tier = value_at(account, version, name, as_of), tier_now(account, version, name, as_of)
    hold = account.tier_holds.get(name, {}).get(tier)
    granted = [grant.until for grant in account.grants.values() if (grant.score, grant.tier) == (name, tier)]
    own = tier_name(ranking, own_place(account, ranking, value))
    is_by_value = any(one.name == tier and value >= one.at_least for one in ranking.tiers)
    because: answers.Because = "value" if is_by_value and own == tier else "held" if own == tier else "granted"
    return answers.Score(
        value,
        tier,
        month_text(score_month(version, name, as_of)),
        parts_at(account, version, name, as_of),
        UNSET if hold is None else to_text(hold.until, zone),
        to_text(max(granted), zone) if granted else UNSET,
        because if tier else UNSET,
        UNSET if fall is None else to_text(fall.at, zone),
        UNSET if fall is None else fall.after,
        next_tier(ranking, tier, value),
    )


def next_falls(account: Account, book: Programme, as_of: int) -> dict[str, TierMoved]:
    """Return by score how its tier moves next, where nothing but time comes to an account that was run to `as_of`."""
    version = book.nearest(as_of)
    if not version.rankings:
        return {}
    ends = [hold.until for holds in account.tier_holds.values() for hold in holds.values()]
    ends += [grant.until for grant in account.grants.values()]
    ends += [as_of + _days_counted(ranking) * DAY for ranking in version.rankings.values()]
    found: dict[str, TierMoved] = {}
    # No tier hangs on points, and thousands of lots that end one after the other take a second.
    scored = copy_account(replace(account, purses={}, holds={}))
    for change in run_to(scored, book, min(max(ends), MAX_INSTANT - 1), PagesInMemory()):
        if isinstance(change, TierMoved):
            found.setdefault(change.score, change)
    return found


def _days_counted(ranking: Ranking) -> int:
    """After how many days all that a score counts now has aged out of it, or more."""
    if ranking.window == MONTHS:
        return (ranking.span + 3) * 31
    return {DAYS: ranking.span + 2, YEAR: 367, LIFE: 0}[ranking.window]


def score_months(account: Account, version: ProgrammeVersion, name: str, as_of: int) -> dict[str, dict[str, int]]:
    """Points of each part by what the score counts at an instant, the oldest first: its months, days, year or life."""
    ranking, sums = version.rankings[name], account.sums.get(name, {})
    parts = version.programme.scores[name].parts
    first, last = window_of(ranking, period_at(ranking, as_of, version.offset))
    buckets = range(first, last + 1) if ranking.window == MONTHS else sorted(b for b in sums if first <= b <= last)
    return {bucket_text(b): {part: sums.get(b, {}).get(part, 0) for part in parts} for b in buckets}


def _seats(account: Account, version: ProgrammeVersion, as_of: int) -> Iterator[tuple[str, answers.Seat]]:
    """Yield what a member's seats give, by house."""
    houses: dict[str, list[Seat]] = {}
    for key, seat in account.seats.items():
        houses.setdefault(named(key)[1], []).append(seat)
    for house, seats in sorted(houses.items()):  # where several names sit in one, what the latest word says holds
        terms = sorted((term for seat in seats for term in seat.terms), key=lambda term: term.start)
        term = current_of(terms, as_of)
        if term is not None:
            seat = next(seat for seat in seats if term in seat.terms)
            start, until = to_text(term.start, version.offset), to_text(term.until, version.offset)
            state = state_of(term, version, as_of)
            yield house, answers.Seat(seat.membership, state, term.product, term.card, start, until)


def state_of(term: Term, version: ProgrammeVersion, instant: int) -> Literal["trial", "active", "grace", "ended"]:
    """Return the state of a current term at an instant."""
    if not term.start <= instant < term.until:
        return "grace" if is_in_grace(version, term, instant) else "ended"
    return "trial" if term.trial else "active"


def together(lots: Sequence[answers.Lot]) -> list[list[answers.Lot]]:
    """Return lots in rows: those that an entry opened by one rule and that expire together share one."""
    rows: dict[tuple[Any, ...], list[answers.Lot]] = {}
    for lot in lots:
        rows.setdefault((lot.account, lot.entry, lot.rule, lot.expires_at, lot.pending, lot.pending_until), []).append(
            lot
        )
    return list(rows.values())


def opened_at(account: Account, key: int) -> str:
    """Return the name of the account that opened a lot, empty where it is this one."""
    birth = birth_of(key)
    return account.bundle.known[birth - 1] if birth and account.bundle is not None else ""


def _purse(account: Account, kind: str, offset: Zone) -> answers.Purse:
    purse = account.purse(kind)
    lots = [_lot(*found, offset, opened_at(account, found[0])) for found in open_lots(purse)]
    return answers.Purse(purse.spendable(), purse.pending(), purse.held(), purse.debt, lots)


def _lot(key: int, lot: Lot, end: int | None, offset: Zone, of: str) -> answers.Lot:
    return answers.Lot(
        entry_of(key),
        lot.rule,
        lot.earned,
        lot.left,
        to_text(lot.earned_at, offset),
        None if end is None else to_text(end, offset),
        bool(lot.pending_until),
        to_text(lot.pending_until, offset) if 0 < lot.pending_until < MAX_INSTANT else UNSET,
        of,
    )


def _membership(draft: Draft, name: str, term: Term) -> answers.Membership:
    version = draft.version
    left = {label: max(quota - used, 0) for label, quota, used in quotas_of(draft, name, term)}
    start, until = to_text(term.start, version.offset), to_text(term.until, version.offset)
    state, benefits = state_of(term, version, draft.occurred), benefits_of(draft, name, term)
    return answers.Membership(state, term.product, start, until, left, benefits)
