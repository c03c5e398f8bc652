"""One member at an instant: points in lots, scores by part, memberships with what is left of their quotas."""

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import UNSET

from ledger.core.account import Account, Lot, Purse, Term, current_term
from ledger.core.benefits import bucket_of, is_in_grace, times_used
from ledger.core.draft import Draft
from ledger.core.pages import PagesInMemory
from ledger.core.perks import offer_of, why_closed
from ledger.core.scores import parts_at, score_month, value_at
from ledger.core.standing import tier_now
from ledger.journal.ledger import Ledger
from ledger.journal.port import EntryRow
from ledger.rulebook.compiled import Programme, ProgrammeVersion
from ledger.rulebook.rankings import MONTHS, period_at, window_of
from ledger.wire import answers
from ledger.wire.entries import LOT_BITS, Entry
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import bucket_text
from ledger.wire.times import MAX_INSTANT, Zone, month_text, to_text
from projections.answers.members import account_of
from projections.answers.shops import describe_shops, entries_until


def show_member(ledger: Ledger, member: str, as_of: int, known_at: int | None = None) -> answers.Member:
    """Return a member at an instant. Raises `UnknownMember`."""
    account, book = account_of(ledger, member, as_of, known_at), ledger.book_known_at(known_at)
    version = book.nearest(as_of)
    shops: dict[str, answers.Score] = {}
    if version.keyed_scores:
        rows = ledger.journal(ledger.partition_of(member)).entries_of(member)
        shops = describe_shops(entries_until(map(_entry, rows), as_of, known_at), version, as_of)
    return describe_account(member, account, book, as_of, shops)


def _entry(row: EntryRow) -> Entry:
    return decode_entry(row.state)


def describe_account(
    member: str, account: Account, book: Programme, as_of: int, shops: Mapping[str, answers.Score] = {}
) -> answers.Member:
    """Return an account that was run to `as_of` as its member is told, under the version of the book that holds.

    `shops` are the scores that are kept for each shop, which the account has not.
    """
    version = book.nearest(as_of)
    programme, offset = version.programme, version.offset
    keyed = version.keyed_scores | version.keyed_kinds
    kinds = [
        *(kind for kind in programme.kinds if kind not in keyed),
        *(kind for kind in account.purses if kind not in programme.kinds),
    ]
    terms = {name: current_term(account, name, as_of) for name in programme.memberships}
    draft = draft_at(account, book, as_of)
    return answers.Member(
        member,
        to_text(as_of, offset),
        account.number,
        account.frozen,
        {kind: _purse(account.purse(kind), offset) for kind in kinds},
        {name: describe_score(account, version, name, as_of) for name in programme.scores if name not in keyed}
        | dict(shops),
        {name: _membership(draft, name, term) for name, term in terms.items() if term is not None},
        dict(_benefits(draft)),
        account.closed,
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


def describe_score(account: Account, version: ProgrammeVersion, name: str, as_of: int) -> answers.Score:
    """Return a score with its tier and parts at the instant that the account was run to."""
    tier = tier_now(account, version, name, as_of)
    hold = account.tier_holds.get(name, {}).get(tier)
    granted = [grant.until for grant in account.grants.values() if (grant.score, grant.tier) == (name, tier)]
    return answers.Score(
        value_at(account, version, name, as_of),
        tier,
        month_text(score_month(version, name, as_of)),
        parts_at(account, version, name, as_of),
        UNSET if hold is None else to_text(hold.until, version.offset),
        to_text(max(granted), version.offset) if granted else UNSET,
    )


def score_months(account: Account, version: ProgrammeVersion, name: str, as_of: int) -> dict[str, dict[str, int]]:
    """Points of each part by what the score counts at an instant, the oldest first: its months, days, year or life."""
    ranking, sums = version.rankings[name], account.sums.get(name, {})
    parts = version.programme.scores[name].parts
    first, last = window_of(ranking, period_at(ranking, as_of, version.offset))
    buckets = range(first, last + 1) if ranking.window == MONTHS else sorted(b for b in sums if first <= b <= last)
    return {bucket_text(b): {part: sums.get(b, {}).get(part, 0) for part in parts} for b in buckets}


def state_of(term: Term, version: ProgrammeVersion, instant: int) -> Literal["trial", "active", "grace", "ended"]:
    """Return the state of a current term at an instant."""
    if not term.start <= instant < term.until:
        return "grace" if is_in_grace(version, term, instant) else "ended"
    return "trial" if term.trial else "active"


def quotas_of(draft: Draft, name: str, term: Term) -> Iterator[tuple[str, int, int]]:
    """Yield each benefit that a running term of a membership limits, how often it may be used, and how often it was.

    Rights of lines and quotas by shop are not among them.
    """
    version = draft.version
    if state_of(term, version, draft.occurred) == "ended":
        return
    for label in version.programme.memberships[name].benefits:
        perk = version.perks[label]
        if perk.membership != name or perk.counted in ("line", "shop"):
            continue
        if perk.by_product is not None and term.product not in perk.by_product:
            continue
        offer = offer_of(draft, perk, term.product)
        if offer.quota is not None and not offer.fails:
            bucket = bucket_of(perk, draft.book, version, term, draft.occurred)
            yield label, offer.quota, times_used(draft.account, perk, term, bucket)


def quotas_alone(draft: Draft) -> Iterator[tuple[str, int, int]]:
    """Yield each benefit that stands by itself and is limited for the member, as `quotas_of` does those of a card."""
    for label in draft.version.programme.benefits:
        perk = draft.version.perks[label]
        if perk.of_line or perk.counted == "shop":
            continue
        offer = offer_of(draft, perk, "")
        if offer.quota is not None and not offer.fails:
            bucket = bucket_of(perk, draft.book, draft.version, None, draft.occurred)
            yield label, offer.quota, times_used(draft.account, perk, None, bucket)


def draft_at(account: Account, book: Programme, instant: int) -> Draft:
    """Return a decision at an instant that has not begun: to ask what holds for an account that was run to it."""
    version = book.nearest(instant)
    number, month = account.number + 1, version.month(instant)
    return Draft(account, PagesInMemory(), book, version, number, instant, instant, month)


def _benefits(draft: Draft) -> Iterator[tuple[str, answers.Benefit]]:
    """Each benefit that stands by itself: what is left of it, whether it is this member's, and whether it is open."""
    for label in draft.version.programme.benefits:
        perk = draft.version.perks[label]
        if perk.of_line:
            continue
        offer = offer_of(draft, perk, "")
        left: int | None = None
        if offer.quota is not None and perk.counted != "shop":
            bucket = bucket_of(perk, draft.book, draft.version, None, draft.occurred)
            left = max(offer.quota - times_used(draft.account, perk, None, bucket), 0)
        yield label, answers.Benefit(left, not offer.fails, why_closed(draft, perk) is None)


def _purse(purse: Purse, offset: Zone) -> answers.Purse:
    lots = [_lot(*found, offset) for found in open_lots(purse)]
    return answers.Purse(purse.spendable(), purse.pending(), purse.held(), purse.debt, lots)


def _lot(key: int, lot: Lot, end: int | None, offset: Zone) -> answers.Lot:
    return answers.Lot(
        key >> LOT_BITS,
        lot.rule,
        lot.earned,
        lot.left,
        to_text(lot.earned_at, offset),
        None if end is None else to_text(end, offset),
        bool(lot.pending_until),
        to_text(lot.pending_until, offset) if lot.pending_until else UNSET,
    )


def _membership(draft: Draft, name: str, term: Term) -> answers.Membership:
    version = draft.version
    left = {label: max(quota - used, 0) for label, quota, used in quotas_of(draft, name, term)}
    start, until = to_text(term.start, version.offset), to_text(term.until, version.offset)
    return answers.Membership(state_of(term, version, draft.occurred), term.product, start, until, left)
