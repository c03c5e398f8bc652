"""Whom a benefit is for, how often, at what price and when: judged before the fact's own changes, as `who` is."""

from typing import NamedTuple, TypeVar

from ledger.core.account import Term, seat_terms, term_at
from ledger.core.benefits import is_in_grace, term_in_grace
from ledger.core.draft import Draft
from ledger.core.who import attribute_of, who_fails
from ledger.rulebook.compiled import Allowed, Charge, Perk
from ledger.wire.times import day_of, day_text

E = TypeVar("E", Allowed, Charge)


class Offer(NamedTuple):
    """How often a benefit is given to a member (None: without a limit), and what it costs.

    `fails` is the first condition that the member does not meet, with what was found; empty where all are met.
    """

    quota: int | None
    charge: Charge | None
    fails: str


def holder_of(draft: Draft, membership: str) -> Term | None:
    """Return the account's own term of a membership, at the fact's instant or in grace then."""
    term = term_at(draft.account, membership, draft.occurred)
    if term is None:
        term = term_in_grace(draft.account, membership, draft.version, draft.occurred)
    return term


def seat_of(draft: Draft, membership: str) -> tuple[str, Term] | None:
    """Return a member's seat in a house, by what the account knows, and the term that holds there or is in grace.

    Of several houses it is the first by name, and one whose term holds goes before one in grace.
    """
    at, in_grace = draft.occurred, None
    for seat, term in seat_terms(draft.account, membership):
        if term.start <= at < term.until:
            return seat, term
        if in_grace is None and is_in_grace(draft.version, term, at):
            in_grace = seat, term
    return in_grace


def offer_of(draft: Draft, perk: Perk, product: str, shop: str = "", *, asks_who: bool = True) -> Offer:
    """Return what a member is offered who has a card of `product`; whether `who` holds was asked before or not."""
    fails = (who_fails(draft, perk.who, shop) if asks_who else None) or ""
    quota: int | None = None
    charge: Charge | None = None
    if perk.by_product is not None:
        quota = perk.by_product.get(product, 0)
    elif perk.allowed:
        allowed, why = _first(draft, perk.allowed, shop)
        quota, fails = (allowed.times if allowed is not None else 0), fails or why
    if perk.charges:
        charge, why = _first(draft, perk.charges, shop)
        fails = fails or why
    return Offer(quota, charge, fails)


def _first(draft: Draft, entries: tuple[E, ...], shop: str) -> tuple[E | None, str]:
    """Return the first entry of a list that holds for the member, or why the last one does not."""
    fails: str | None = ""
    for entry in entries:
        fails = who_fails(draft, entry.who, shop)
        if fails is None:
            return entry, ""
    return None, fails or ""


def why_closed(draft: Draft, perk: Perk) -> dict[str, int | str] | None:
    """Return why a benefit is not open at the fact's instant, as figures; None where it is."""
    at, offset = draft.occurred, draft.version.offset
    if not perk.since <= at < perk.until:
        return {"open": "not yet" if at < perk.since else "over"}
    day = day_text(day_of(at, offset))
    if perk.last_day and not perk.first_day <= int(day[8:]) <= perk.last_day:
        return {"open": f"days {perk.first_day} to {perk.last_day}", "day": day}
    if perk.month_of:
        told = attribute_of(draft.account, draft.version, perk.month_of)
        month = told[:2] if isinstance(told, str) else ""
        if month != day[5:7]:
            return {"open": f"month of {perk.month_of}", "month": month or "unknown", "day": day}
    return None
