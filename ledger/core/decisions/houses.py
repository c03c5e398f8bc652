"""Houses, whose cards seat members: who sits there, what their seats give, and the quotas that they share.

A house is an account of its own, `house/ID`. Cards that are bought for it lay their terms there, and it has no points.
Whatever moves its terms is told to each who sits there; a member's claim by a seat is asked of the house, which counts
it as a member's own card counts a claim. Source: two-accounts.md D.
"""

from typing import Final

from ledger.core.account import Term, is_dropped
from ledger.core.benefits import bucket_of, quota_key, times_used
from ledger.core.claims import count, count_back
from ledger.core.draft import Draft
from ledger.core.pages import ClaimPage
from ledger.core.perks import holder_of
from ledger.rulebook.compiled import HOUSE, NOT_MEMBERS, Perk
from ledger.rulebook.schema import MAX_SEATS
from ledger.wire.entries import DAY_BUCKETS, Closed, Reopened, Seated, SeatMoved, TermMoved, TermOpened, Unseated
from ledger.wire.facts import (
    MAX_SEAT_TERMS,
    PROGRAMME_SUBJECT,
    Leaving,
    PoolAnswer,
    PoolAnswered,
    PoolAsk,
    PoolReturn,
    SeatChange,
    SeatChanged,
    Seating,
    SeatTerm,
)
from ledger.wire.times import to_datetime, to_instant

MAX_HOUSES: Final = 100  # that a member is told of, those that were left counted


# -- the house ---------------------------------------------------------------------------------------------------------


def join(draft: Draft, data: Seating) -> None:
    """Decide that a member takes a seat of a card that the house has now or later."""
    _check_house(draft, data.house)
    seats, who = draft.account.seats, data.member
    if who == PROGRAMME_SUBJECT or who.startswith(NOT_MEMBERS):
        draft.decline("not-a-member", to=who)
    if who in seats:
        draft.decline("already")
    laid = [(name, term) for name, terms in draft.account.terms.items() for term in terms if term.card == data.card]
    if not laid or laid[0][1].until <= draft.occurred:
        draft.decline("unknown-card", card=data.card)
    membership, term = laid[0]
    taken, most = sum(seat.membership == membership for seat in seats.values()), seats_of(draft, term)
    if taken >= most or len(seats) >= MAX_SEATS:
        draft.decline("seats-full", seats=most, taken=taken)
    draft.emit(Seated(who, membership, data.card))
    _tell(draft, who, membership, _terms_of(draft, membership))


def leave(draft: Draft, data: Leaving) -> None:
    """Decide that a member leaves; what was claimed by the seat stands."""
    _check_house(draft, data.house)
    seat = draft.account.seats.get(data.member)
    if seat is None:
        draft.decline("no-seat", member=data.member)
    draft.emit(Unseated(data.member, seat.membership))
    _tell(draft, data.member, seat.membership, [])


def tell_seats(draft: Draft) -> None:
    """Tell each who sits in a house what became of its terms in this entry."""
    moved = {change.membership for change in draft.changes if isinstance(change, TermOpened | TermMoved)}
    if any(isinstance(change, Closed | Reopened) for change in draft.changes):
        moved.update(seat.membership for seat in draft.account.seats.values())
    terms = {membership: _terms_of(draft, membership) for membership in moved}
    for who, seat in draft.account.seats.items():
        if seat.membership in terms:
            _tell(draft, who, seat.membership, terms[seat.membership])


def ask(draft: Draft, data: PoolAsk) -> None:
    """Decide a claim by a seat: who sits there now, by a card active at the claim's time, while its quota lasts."""
    perk = draft.version.perks.get(data.benefit) if data.version in draft.book.by_name else None
    draft.figures.update(member=data.frm, membership=data.membership, benefit=data.benefit, claim=data.claim)
    page = ClaimPage(data.membership, "", data.benefit, data.bucket)
    why = _why_not(draft, data, perk, page)
    if why:
        draft.note(why)
    else:
        count(draft, perk, page)
        draft.pages.put(_claim_key(data), page)
    draft.tell(data.frm, PoolAnswered, PoolAnswer(frm=draft.name, ask=data.ask, yes=not why, reason=why))


def returned(draft: Draft, data: PoolReturn) -> None:
    """Decide that a claim by a seat came back: its quota counts it no more."""
    page = draft.pages.get(_claim_key(data))
    if not isinstance(page, ClaimPage) or page.is_returned:
        draft.decline("unknown-ask", ask=data.ask)
    draft.figures.update(member=data.frm, benefit=page.benefit)
    page.is_returned = True
    count_back(draft, f"{data.frm}/{data.ask}", page)
    draft.pages.put(_claim_key(data), page)


def _why_not(draft: Draft, data: PoolAsk, perk: Perk | None, page: ClaimPage) -> str:
    """Return why a claim is not given, or empty, with the card and bucket that count it on its page.

    Of a version that is not known here, what the ask carries holds.
    """
    account, seat = draft.account, draft.account.seats.get(data.frm)
    if account.closed or account.frozen:
        return "house-closed"
    if seat is None or seat.membership != data.membership:
        return "no-seat"
    term = holder_of(draft, data.membership)
    if term is None or not seats_of(draft, term):
        return "no-membership"
    limit, page.card = data.limit, term.card
    if perk is not None:
        page.bucket = bucket_of(perk, draft.book, draft.version, term, draft.occurred) if perk.is_of_holder else 0
        if perk.by_product is not None:
            limit = perk.by_product.get(term.product, 0)
    if page.bucket >= DAY_BUCKETS and is_dropped(page.bucket, account.pruned_before):
        return "house-closed"  # of a time so long past that what was used of it is not known any more
    if perk is None:
        used = term.used.get(quota_key(data.benefit, page.bucket), 0)
    else:
        used = times_used(account, perk, term, page.bucket)
    if used < limit:
        return ""
    draft.figures.update(quota=limit, used=used)
    return "quota-used"


def _check_house(draft: Draft, house: str) -> None:
    if draft.name == HOUSE or draft.name != HOUSE + house.removeprefix(HOUSE):
        draft.decline("not-a-house", house=house)


def seats_of(draft: Draft, term: Term) -> int:
    """Return how many members a term's card seats: by today's version, or where that has it no more by its own."""
    for version in (draft.version, draft.book.nearest(term.bought_at)):
        if term.product in version.products:
            return version.products[term.product][1].seats or 0
    return 0


def _terms_of(draft: Draft, membership: str) -> list[Term]:
    """Return the terms of a membership that seats have a part in: from the last that ended on, so many at most."""
    if draft.account.closed:
        return []
    terms = draft.account.terms.get(membership, ())
    seated = [term for term in terms if term.start < term.until and seats_of(draft, term)]
    ended = sum(term.until <= draft.clock for term in seated)
    return seated[max(0, ended - 1) :][:MAX_SEAT_TERMS]


def _tell(draft: Draft, who: str, membership: str, terms: list[Term]) -> None:
    """Tell who sits in a house the terms of the seat; none are left where it begins as it ends."""
    told = [SeatTerm(term.card, term.product, to_datetime(term.start), to_datetime(term.until)) for term in terms]
    now = to_datetime(draft.occurred)
    first = told[0] if told else SeatTerm("", "", now, now)
    change = SeatChange(
        frm=draft.name,
        house=draft.name.removeprefix(HOUSE),
        n=draft.number,
        membership=membership,
        card=first.card,
        product=first.product,
        from_=first.from_,
        until=first.until,
        later=told[1:],
    )
    draft.tell(who, SeatChanged, change)


def _claim_key(data: PoolAsk | PoolReturn) -> str:
    return f"ask/{data.frm}/{data.ask}"


# -- the member --------------------------------------------------------------------------------------------------------


def change_seat(draft: Draft, data: SeatChange) -> None:
    """Decide what a house says of a member's seat: its latest word holds, in whatever order they come."""
    seats = draft.account.seats
    known = seats.get(draft.seat_key(data.frm))
    if known is not None and known.n >= data.n:
        draft.decline("seat-older", house=data.frm, n=data.n, latest=known.n)
    if known is None and len(seats) >= MAX_HOUSES:
        draft.decline("too-many-houses", most=MAX_HOUSES)
    for term in (SeatTerm(data.card, data.product, data.from_, data.until), *data.later):
        start, until = to_instant(term.from_), to_instant(term.until)
        draft.emit(SeatMoved(data.frm, data.n, data.membership, term.card, term.product, start, until))
