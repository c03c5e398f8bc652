"""Paid, coded and tried memberships: terms that follow one another, and the benefits they give by quota."""

from ledger.core.account import Term, term_at
from ledger.core.benefits import bucket_of, is_in_grace, term_in_grace, times_used
from ledger.core.card_orders import take_back
from ledger.core.claims import give_back
from ledger.core.draft import Draft
from ledger.core.fees import note_opening, note_refund
from ledger.core.lots import repay_or_expire
from ledger.core.pages import NOT_PAYABLE, CardPage, ClaimPage, OrderPage
from ledger.rulebook.schema import Product
from ledger.wire.entries import BenefitUsed, Confirmed, TermAnchored, TermEnded, TermMoved, TermOpened, TrialConverted
from ledger.wire.facts import Card, CardRefund, Claim, ClaimReturn, CodedCard
from ledger.wire.times import DAY, MAX_INSTANT, months_later


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
    note_opening(draft, data.product, data.paid_fen if isinstance(data, Card) else None)
    upgraded: Term | None = None
    if not is_trial:
        running = term_at(draft.account, membership, draft.occurred)
        if running is not None and running.trial:
            draft.emit(TermMoved(membership, running.card, running.start, draft.occurred, "bought"))
            _end_if_over(draft, membership, running)
            _move_up(draft, membership, terms.index(running) + 1)
        elif running is not None and running.product in product.upgrades:
            upgraded = running
            _end_upgraded(draft, membership, running)
    if upgraded is None:
        _lay_behind_the_last(draft, membership, data, product, is_trial=is_trial)
    else:
        _lay(draft, membership, data, product, draft.occurred, draft.occurred, is_trial=False)
        _move_up(draft, membership, terms.index(upgraded) + 2, is_upgrade=True)
    page = CardPage(membership)
    if draft.engine >= 2:
        page.paid_fen = data.paid_fen if isinstance(data, Card) else 0
    if not is_trial:
        trial, released = _release_pending(draft, membership)
        if trial and membership in draft.version.claws_back and draft.engine >= 2:
            page.trial, page.released = trial, released
    draft.pages.put(f"card/{data.card}", page)


def _lay_behind_the_last(
    draft: Draft, membership: str, data: Card | CodedCard, product: Product, *, is_trial: bool
) -> None:
    """Lay a card's term where the last one ends, also if that was within its grace, or else from now on."""
    terms = draft.account.terms.get(membership, ())
    start = max([draft.occurred, *(term.until for term in terms)])
    last = terms[-1] if terms else None
    if last is not None and not is_trial and is_in_grace(draft.version, last, draft.occurred):
        start = last.until
    is_chained = last is not None and last.months and last.until == start and not last.cut_at
    _lay(draft, membership, data, product, start, last.anchor if is_chained and last else start, is_trial=is_trial)


def _lay(
    draft: Draft,
    membership: str,
    data: Card | CodedCard,
    product: Product,
    start: int,
    anchor: int,
    *,
    is_trial: bool,
) -> None:
    """Open a term; one by the calendar ends on the local day and at the time of day of `anchor`."""
    months = product.calendar_months
    until = months_later(start, months, draft.version.offset, anchor) if months else start + (product.days or 0) * DAY
    until = min(until, MAX_INSTANT)
    draft.emit(TermOpened(membership, data.card, data.product, start, until, is_trial, draft.occurred))
    if months:
        draft.emit(TermAnchored(membership, data.card, months, anchor))


def _end_upgraded(draft: Draft, membership: str, running: Term) -> None:
    """End a running term where a better card is bought, and say what of it was not used."""
    unused = running.until - draft.occurred
    draft.figures["upgraded"] = running.card
    draft.figures["unused_days"] = unused // DAY
    page = draft.pages.get(f"card/{running.card}")
    if isinstance(page, CardPage) and page.paid_fen >= 0:
        draft.figures["unused_fen"] = page.paid_fen * unused // running.span
    draft.emit(TermMoved(membership, running.card, running.start, draft.occurred, "upgraded"))
    _end_if_over(draft, membership, running)


def _end_if_over(draft: Draft, membership: str, term: Term) -> None:
    if term.until <= draft.clock and not term.ended and term in draft.account.terms[membership]:
        draft.emit(TermEnded(membership, term.card, term.until))


def _move_up(draft: Draft, membership: str, first: int, *, is_upgrade: bool = False) -> None:
    """Lay the terms from place `first` on again: each from its card's instant, or where the one before now ends.

    A term by the calendar that is so laid anew ends by its own start.
    """
    terms = draft.account.terms[membership]
    why = "laid-behind" if is_upgrade else "moved-up"
    for place in range(first, len(terms)):
        term = terms[place]
        start = max(term.bought_at, terms[place - 1].until if place else 0)
        if start == term.start:
            continue
        until = months_later(start, term.months, draft.version.offset) if term.months else start + term.span
        if term.cut_at:
            until = max(start, min(until, term.cut_at))
        draft.emit(TermMoved(membership, term.card, start, min(until, MAX_INSTANT), why))
        if is_upgrade:
            _end_if_over(draft, membership, term)


def _release_pending(draft: Draft, membership: str) -> tuple[str, list[tuple[str, int]]]:
    """A card was bought: the frozen points of the trial become spendable. Returns its card, and the kinds and lots."""
    trial, released = "", []
    for term in draft.account.terms[membership]:
        if term.trial and not term.converted:
            draft.emit(TrialConverted(membership, term.card))
            trial = term.card
    for kind, purse in draft.account.purses.items():
        for key, lot in sorted(purse.lots.items()):
            if lot.pending_until and (lot.left or lot.held) and not lot.waits:
                draft.emit(Confirmed(kind, key, lot.left))
                released.append((kind, key))
                repay_or_expire(draft, kind, key, draft.clock)
    return trial, released


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
    note_refund(draft, term, page, data.refund_fen)
    end = max(term.start, draft.occurred)
    has_begun = term.start <= draft.occurred
    release = draft.version.programme.memberships[page.membership].release_days * DAY
    lapse = end + release if term.trial and not term.converted else 0
    why = "refunded" if has_begun else "taken-out"
    draft.emit(TermMoved(page.membership, card, term.start, end, why, lapse))
    _end_if_over(draft, page.membership, term)
    _move_up(draft, page.membership, place + 1 if has_begun else place)
    page.refunded = True
    found = draft.version.products.get(term.product)
    is_whole = 0 < page.paid_fen <= data.refund_fen
    if is_whole and found is not None and found[1].on_refund == "claw-back" and draft.engine >= 2:
        take_back(draft, card, page, data.refund_fen)
    draft.pages.put(f"card/{card}", page)


def claim(draft: Draft, data: Claim) -> None:
    """Decide a claim of a benefit against the quota of the card that holds at its instant."""
    found = draft.version.benefits.get(data.benefit)
    if found is None:
        draft.decline("unknown-benefit", benefit=data.benefit)
    membership, benefit = found
    order = OrderPage()
    if benefit.returns_with_order and data.order:
        page = draft.pages.get(f"order/{data.order}")
        order = page if isinstance(page, OrderPage) else order
        if order.status in NOT_PAYABLE:
            draft.decline("order-ended", order=data.order, status=NOT_PAYABLE[order.status])
    term = term_at(draft.account, membership, draft.occurred)
    if term is None:
        term = term_in_grace(draft.account, membership, draft.version, draft.occurred)
    if term is None:
        draft.decline("no-membership", membership=membership)
    if benefit.quota is not None:
        quota = benefit.quota.get(term.product)
        if quota is None:
            draft.decline("not-in-card", benefit=data.benefit, product=term.product)
        used = times_used(term, data.benefit, benefit, draft.month)
        if used >= quota:
            draft.decline("quota-used", benefit=data.benefit, quota=quota, used=used)
    bucket = bucket_of(benefit, draft.month)
    draft.emit(BenefitUsed(membership, term.card, data.benefit, bucket))
    draft.pages.put(f"claim/{data.claim}", ClaimPage(membership, term.card, data.benefit, bucket))
    if benefit.returns_with_order and data.order:
        order.claims.append(data.claim)
        draft.pages.put(f"order/{data.order}", order)


def return_claim(draft: Draft, data: ClaimReturn) -> None:
    """Decide that a claim of a benefit is given back."""
    page = draft.pages.get(f"claim/{data.claim}")
    if not isinstance(page, ClaimPage):
        draft.decline("unknown-claim", claim=data.claim)
    if page.is_returned:
        draft.decline("already")
    give_back(draft, data.claim, page)
