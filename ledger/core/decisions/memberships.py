"""Paid, coded and tried memberships: terms that follow one another, and the benefits they give by quota."""

from ledger.core.account import Term, term_at
from ledger.core.benefits import bucket_of, times_used
from ledger.core.draft import Draft
from ledger.core.lots import repay_or_expire
from ledger.core.pages import SEEN, CardPage
from ledger.wire.entries import BenefitUsed, Confirmed, TermEnded, TermMoved, TermOpened, TrialConverted
from ledger.wire.facts import Card, CardRefund, Claim, CodedCard
from ledger.wire.times import DAY, MAX_INSTANT


def open_card(draft: Draft, data: Card | CodedCard, *, is_trial: bool = False) -> None:
    """Decide a card that was bought, came by code, or is tried."""
    if draft.pages.get(f"card/{data.card}") is not None:
        draft.decline("already")
    found = draft.version.products.get(data.product)
    if found is None:
        draft.decline("unknown-product", product=data.product)
    membership, product = found
    terms = draft.account.terms.get(membership, [])
    if product.trial != is_trial:
        draft.decline("not-a-trial" if is_trial else "not-for-sale", product=data.product)
    if is_trial and (draft.account.trials.get(membership) or any(term.until > draft.occurred for term in terms)):
        draft.decline("trial-used")
    if not is_trial:
        running = term_at(draft.account, membership, draft.occurred)
        if running is not None and running.trial:
            draft.emit(TermMoved(membership, running.card, running.start, draft.occurred, "bought"))
            _end_if_over(draft, membership, running)
            _move_up(draft, membership, terms.index(running) + 1)
    start = max([draft.occurred, *(term.until for term in draft.account.terms.get(membership, ()))])
    until = min(start + product.days * DAY, MAX_INSTANT)
    draft.emit(TermOpened(membership, data.card, data.product, start, until, is_trial, draft.occurred))
    draft.pages.put(f"card/{data.card}", CardPage(membership))
    if not is_trial:
        _release_pending(draft, membership)


def _end_if_over(draft: Draft, membership: str, term: Term) -> None:
    if term.until <= draft.clock and not term.ended and term in draft.account.terms[membership]:
        draft.emit(TermEnded(membership, term.card, term.until))


def _move_up(draft: Draft, membership: str, first: int) -> None:
    """Lay the terms from place `first` on again: each from its card's instant, or where the one before now ends."""
    terms = draft.account.terms[membership]
    for place in range(first, len(terms)):
        term = terms[place]
        start = max(term.bought_at, terms[place - 1].until if place else 0)
        until = start + term.span
        if term.cut_at:
            until = max(start, min(until, term.cut_at))
        if start != term.start:
            draft.emit(TermMoved(membership, term.card, start, until, "moved-up"))


def _release_pending(draft: Draft, membership: str) -> None:
    """A card was bought: the frozen points of the trial become spendable."""
    for term in draft.account.terms[membership]:
        if term.trial and not term.converted:
            draft.emit(TrialConverted(membership, term.card))
    for kind, purse in draft.account.purses.items():
        for key, lot in sorted(purse.lots.items()):
            if lot.pending_until and lot.left and not lot.waits:
                draft.emit(Confirmed(kind, key, lot.left))
                repay_or_expire(draft, kind, key, draft.clock)


def refund_card(draft: Draft, data: CardRefund) -> None:
    """Take what is left of a card's interval out; the terms that follow it move up."""
    card = data.card
    page = draft.pages.get(f"card/{card}")
    if not isinstance(page, CardPage):
        draft.decline("unknown-card", card=card)
    if page.refunded:
        draft.decline("already")
    terms = draft.account.terms[page.membership]
    place = next((i for i, term in enumerate(terms) if term.card == card), None)
    if place is None or terms[place].until <= draft.occurred:
        draft.decline("card-ended", card=card)
    term = terms[place]
    end = max(term.start, draft.occurred)
    has_begun = term.start <= draft.occurred
    release = draft.version.programme.memberships[page.membership].release_days * DAY
    lapse = end + release if term.trial and not term.converted else 0
    why = "refunded" if has_begun else "taken-out"
    draft.emit(TermMoved(page.membership, card, term.start, end, why, lapse))
    _end_if_over(draft, page.membership, term)
    _move_up(draft, page.membership, place + 1 if has_begun else place)
    page.refunded = True
    draft.pages.put(f"card/{card}", page)


def claim(draft: Draft, data: Claim) -> None:
    """Decide a claim of a benefit against the quota of the card that holds at its instant."""
    found = draft.version.benefits.get(data.benefit)
    if found is None:
        draft.decline("unknown-benefit", benefit=data.benefit)
    membership, benefit = found
    term = term_at(draft.account, membership, draft.occurred)
    if term is None:
        draft.decline("no-membership", membership=membership)
    if benefit.quota is not None:
        quota = benefit.quota.get(term.product)
        if quota is None:
            draft.decline("not-in-card", benefit=data.benefit, product=term.product)
        used = times_used(term, data.benefit, benefit, draft.month)
        if used >= quota:
            draft.decline("quota-used", benefit=data.benefit, quota=quota, used=used)
    draft.emit(BenefitUsed(membership, term.card, data.benefit, bucket_of(benefit, draft.month)))
    draft.pages.put(f"claim/{data.claim}", SEEN)
