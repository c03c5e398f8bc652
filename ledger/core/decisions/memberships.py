"""Paid, coded and tried memberships: cards that are bought, and given back."""

from ledger.core.account import Term, term_at
from ledger.core.card_orders import take_back
from ledger.core.draft import Draft
from ledger.core.fees import note_opening, note_refund
from ledger.core.lots import repay_or_expire
from ledger.core.openings import opening_of
from ledger.core.pages import CardPage
from ledger.core.terms import end_if_over, lay, lay_behind_the_last, move_up
from ledger.wire.entries import Confirmed, TermMoved, TrialConverted
from ledger.wire.facts import Card, CardRefund, CodedCard
from ledger.wire.times import DAY


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
    frozen = [] if is_trial else _frozen(draft, membership)  # as it stood: a trial that this ends is not over before it
    if not is_trial:
        running = term_at(draft.account, membership, draft.occurred)
        if running is not None and running.trial:
            draft.emit(TermMoved(membership, running.card, running.start, draft.occurred, "bought"))
            end_if_over(draft, membership, running)
            move_up(draft, membership, terms.index(running) + 1)
        elif running is not None and running.product in product.upgrades:
            upgraded = running
            _end_upgraded(draft, membership, running)
    if upgraded is None:
        lay_behind_the_last(draft, membership, data, product, is_trial=is_trial)
    else:
        lay(draft, membership, data, product, draft.occurred, draft.occurred, is_trial=False)
        move_up(draft, membership, terms.index(upgraded) + 2, is_upgrade=True)
    page = CardPage(membership)
    if draft.engine >= 2:
        page.paid_fen = data.paid_fen if isinstance(data, Card) else 0
    if not is_trial:
        trial, released = _release_pending(draft, membership, frozen)
        if trial and membership in draft.version.claws_back and draft.engine >= 2:
            page.trial, page.released = trial, released
    draft.pages.put(f"card/{data.card}", page)


def _end_upgraded(draft: Draft, membership: str, running: Term) -> None:
    """End a running term where a better card is bought, and say what of it was not used."""
    unused = running.until - draft.occurred
    draft.figures["upgraded"] = running.card
    draft.figures["unused_days"] = unused // DAY
    page = draft.pages.get(f"card/{running.card}")
    if isinstance(page, CardPage) and page.paid_fen >= 0:
        draft.figures["unused_fen"] = page.paid_fen * unused // running.span
    draft.emit(TermMoved(membership, running.card, running.start, draft.occurred, "upgraded"))
    end_if_over(draft, membership, running)


def _frozen(draft: Draft, membership: str) -> list[Term]:
    """Return the trials of a membership whose points still wait for a card.

    What has lapsed by the clock stays so, also for orders of the trial that come to be known later (contract §3: a card
    releases them "at the latest 30 days after the trial's end"; engine 1 gave those orders spendable points).
    """
    release = draft.version.programme.memberships[membership].release_days * DAY
    lapsed_by = draft.clock if draft.engine >= 2 else 0
    terms = draft.account.terms.get(membership, ())
    return [term for term in terms if term.trial and not term.converted and term.until + release > lapsed_by]


def _release_pending(draft: Draft, membership: str, frozen: list[Term]) -> tuple[str, list[tuple[str, int]]]:
    """A card was bought: the frozen points of the trial become spendable. Returns its card, and the kinds and lots."""
    trial, released = "", []
    lapsed_by = draft.clock if draft.engine >= 2 else 0
    for term in frozen:
        draft.emit(TrialConverted(membership, term.card))
        trial = term.card
    for kind, purse in draft.account.purses.items():
        for key, lot in sorted(purse.lots.items()):
            if lot.pending_until > lapsed_by and (lot.left or lot.held) and not lot.waits:
                rule = draft.version.rules.get(lot.rule)
                if draft.engine >= 2 and rule is not None and rule.member not in (None, membership):
                    continue  # it waits for a card of another membership
                draft.emit(Confirmed(kind, key, lot.left))
                released.append((kind, key))
                repay_or_expire(draft, kind, key, draft.clock)
    if released and not trial and draft.engine >= 2:
        trial = _trial_of(draft, released[0][1])
    return trial, released


def _trial_of(draft: Draft, lot: int) -> str:
    """Return the card of the trial in which a lot was earned: one that was taken out, and is laid no more."""
    earned = opening_of(draft, lot)
    return earned.card if earned is not None else ""


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
    end_if_over(draft, page.membership, term)
    move_up(draft, page.membership, place + 1 if has_begun else place)
    page.refunded = True
    if not has_begun and draft.engine >= 2:
        page.taken_out = term
    found = draft.version.products.get(term.product)
    is_whole = 0 < page.paid_fen <= data.refund_fen
    if is_whole and found is not None and found[1].on_refund == "claw-back" and draft.engine >= 2:
        take_back(draft, card, page, data.refund_fen)
    draft.pages.put(f"card/{card}", page)
