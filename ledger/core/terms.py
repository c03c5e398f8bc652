"""Terms of memberships: laid one behind the other, ended before their time, and moved up as others go."""

from ledger.core.account import Term
from ledger.core.benefits import is_in_grace
from ledger.core.draft import Draft
from ledger.core.pages import SEEN, CardPage
from ledger.rulebook.schema import Product
from ledger.wire.entries import TermAnchored, TermEnded, TermMoved, TermOpened
from ledger.wire.facts import Card, CodedCard
from ledger.wire.times import DAY, MAX_INSTANT, months_later


def lay_behind_the_last(
    draft: Draft, membership: str, data: Card | CodedCard, product: Product, *, is_trial: bool
) -> None:
    """Lay a card's term where the last one ends, also if that was within its grace, or else from now on."""
    terms = draft.account.terms.get(membership, ())
    start = max([draft.occurred, *(term.until for term in terms)])
    last = terms[-1] if terms else None
    if last is not None and not is_trial and is_in_grace(draft.version, last, draft.occurred):
        start = last.until
    is_chained = last is not None and last.months and last.until == start and not last.cut_at
    lay(draft, membership, data, product, start, last.anchor if is_chained and last else start, is_trial=is_trial)


def lay(
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


def end_if_over(draft: Draft, membership: str, term: Term) -> None:
    """Say that a term has ended where its end is past."""
    if term.until <= draft.clock and not term.ended and term in draft.account.terms[membership]:
        draft.emit(TermEnded(membership, term.card, term.until))


def move_up(draft: Draft, membership: str, first: int, *, is_upgrade: bool = False) -> None:
    """Lay the terms from place `first` on again: each from its card's instant, or where the one before now ends.

    A term by the calendar that is so laid anew ends by its own start; one that came with a name has what was left.
    """
    terms = draft.account.terms[membership]
    why = "laid-behind" if is_upgrade else "moved-up"
    for place in range(first, len(terms)):
        term = terms[place]
        start = max(term.bought_at, terms[place - 1].until if place else 0)
        if start == term.start:
            continue
        span = term.span if draft.account.bundle is None or term.cut_at else term.until - term.start
        until = months_later(start, term.months, draft.version.offset) if term.months else start + span
        if term.cut_at:
            until = max(start, min(until, term.cut_at))
        draft.emit(TermMoved(membership, term.card, start, min(until, MAX_INSTANT), why))
        if is_upgrade:
            end_if_over(draft, membership, term)


def open_free(draft: Draft, card: str, product: str) -> str:
    """Lay a card that was not bought behind those that its membership has. Returns the membership."""
    membership, found = draft.version.products[product]
    lay_behind_the_last(draft, membership, CodedCard(card, product), found, is_trial=False)
    draft.pages.put(f"card/{card}", SEEN)
    return membership


def end_free(draft: Draft, membership: str, card: str) -> None:
    """End what is left of a card that was not bought at the fact's instant; the terms that follow it move up."""
    terms = draft.account.terms.get(membership, ())
    place = next((i for i, term in enumerate(terms) if term.card == card), None)
    if place is None or terms[place].until <= draft.occurred:
        return
    term = terms[place]
    has_begun = term.start <= draft.occurred
    why = "given-back" if has_begun else "taken-out"
    draft.emit(TermMoved(membership, card, term.start, max(term.start, draft.occurred), why))
    if not has_begun:
        draft.pages.put(f"free-card/{card}", CardPage(membership, refunded=True, paid_fen=0, taken_out=term))
    end_if_over(draft, membership, term)
    move_up(draft, membership, place + 1 if has_begun else place)
