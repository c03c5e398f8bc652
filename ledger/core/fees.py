"""What a card costs a member, who may open one, and when money back for it is due.

A purchase is a fact: the money is paid. So nothing is refused; the entry notes what is not as the book says. The shop
asks before, and is answered from the same functions (`projections.what_if.quote`).
"""

from ledger.core.account import Term
from ledger.core.draft import Draft
from ledger.core.pages import CardPage
from ledger.core.who import who_fails
from ledger.wire.times import DAY


def price_of(draft: Draft, product: str) -> int | None:
    """The price of a card to this member at the fact's instant, in fen: the first of its list that holds; else None."""
    for price in draft.version.prices[product]:
        if price.since <= draft.occurred and who_fails(draft, price.who) is None:
            return price.fen
    return None


def bars(draft: Draft, product: str) -> str | None:
    """The first condition that keeps this member from opening a card, with what was found; None where none does."""
    gate = draft.version.gates[product]
    return who_fails(draft, gate.who) if gate.since <= draft.occurred < gate.until else None


def note_opening(draft: Draft, product: str, paid_fen: int | None) -> None:
    """Note a card that is not for this member, or that was paid another price; `paid_fen` is None where none was."""
    barred = bars(draft, product)
    if barred is not None:
        draft.note("not-eligible", who=barred[:512])
        return
    price = price_of(draft, product) if paid_fen is not None else None
    if price is not None and paid_fen is not None and price != paid_fen:
        draft.note("price-differs", paid_fen=paid_fen, price_fen=price)


def note_refund(draft: Draft, term: Term, page: CardPage, refund_fen: int) -> None:
    """Note more money back than was paid, or money back that the book's rule for the card does not give."""
    if 0 <= page.paid_fen < refund_fen:
        draft.note("refund-above-price", refund_fen=refund_fen, paid_fen=page.paid_fen)
        return
    found = draft.version.products.get(term.product)
    rule = found[1].refund if found is not None else None
    if rule is None:
        return
    if rule.unused and is_used(term):
        draft.note("refund-not-due", why="used")
    elif rule.within_days is not None and draft.occurred - term.bought_at > rule.within_days * DAY:
        draft.note("refund-not-due", why="late")


def is_used(term: Term) -> bool:
    """Return True if a card gave something: a benefit that was not given back, points at its rate, a line's right."""
    return term.capped > 0 or term.rights > 0 or any(times > 0 for times in term.used.values())
