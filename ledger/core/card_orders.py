"""What a card earned at its rate, and what is taken back of it where the card is refunded whole.

Each line that earned at the card's rate counts from then on as having earned what the rule would have given that the
card's rule stands in for. Points that the card released from a trial are frozen again, unless another card was bought.
Source: orders.md 10.
"""

from typing import Any

import msgspec
from msgspec import Struct

from ledger.core.account import Term, term_at
from ledger.core.draft import Draft
from ledger.core.evaluate import amount_of, meets, multiplier_of
from ledger.core.lots import claw_back, collect, expire, lot_page
from ledger.core.pages import Award, CardOrdersPage, CardPage, OrderPage, PageLine, kept_of
from ledger.rulebook.compiled import ProgrammeVersion, Rule
from ledger.wire.entries import Refrozen, TrialReverted
from ledger.wire.facts import CardBack, CardTakenBack
from ledger.wire.name_keys import named, under
from ledger.wire.times import DAY

ORDERS_A_PAGE = 1_000


class _Claim(Struct, gc=False):
    """Points to be taken back: of an award of a line that earned at the card's rate, or `spent` ones of a trial.

    `name` is the one that the line's order was under.
    """

    name: str
    lot: int
    award: Award
    line: PageLine
    spent: int = 0


# -- as lines complete -------------------------------------------------------------------------------------------------


def remember(draft: Draft, data: Any, page: OrderPage, line: PageLine) -> None:
    """Keep which card each award of a line counts against, and what the ordinary rule would have given for it.

    Only cards of memberships of which the version takes back; the order is put on the card's pages once.
    """
    for award in line.awards:
        rule = draft.version.rules[award.rule]
        if rule.member not in draft.version.claws_back:
            continue
        term = term_at(draft.account, rule.member or "", draft.occurred)
        if term is not None:
            award.card = term.card
            award.ordinary = ordinary_of(draft, draft.version, draft.occurred, data, page, line, rule)
            put_order(draft, term.card, data.order)


def has_rate(draft: Draft, term: Term) -> bool:
    """Return True if what is bought in a term earns at its card's rate: not of one that was refunded whole since.

    So an order that is told late earns what it has left if it was told in time.
    """
    if term.until > draft.clock:
        return True
    page = draft.pages.get(f"card/{term.card}")
    return not (isinstance(page, CardPage) and page.is_taken_back)


def put_order(draft: Draft, card: str, order: str) -> None:
    """Put an order that earned at a card's rate on the card's pages, once in a row.

    Of a member with several names it may be under another name than the card: that name is put there with it.
    """
    page = draft.pages.get(f"card/{card}")
    name, holder = draft.name, draft.holder_of(f"card/{card}")
    called = order if name == holder else under(name, order)
    if not isinstance(page, CardPage) or page.orders[-1:] == [called]:
        return
    draft.goes_on_as(holder)
    if len(page.orders) == ORDERS_A_PAGE:
        draft.put_own(f"card-orders/{card}/{page.full}", CardOrdersPage(page.orders))
        page.full += 1
        page.orders = []
    page.orders.append(called)
    draft.put_own(f"card/{card}", page)
    draft.goes_on_as(name)


def ordinary_of(
    draft: Draft, version: ProgrammeVersion, at: int, data: Any, page: OrderPage, line: PageLine, rule: Rule
) -> int:
    """Return what the rule that a card's rule stands in for would have given for a line that completed at an instant.

    After the caps of the line and the order; caps of periods are neither asked nor counted. 0 where there is none, or
    it gives something else. A rule at the same membership's rate is passed over for the one that it stands in for.
    """
    ordinary = stood_in_for(version, rule)
    if ordinary is None or (ordinary.kind, ordinary.key[: -len(ordinary.name)]) != (
        rule.kind,
        rule.key[: -len(rule.name)],
    ):
        return 0
    if not ordinary.since <= at < ordinary.until or not meets(ordinary.clauses, line, data):
        return 0
    if ordinary.member is not None and term_at(draft.account, ordinary.member, at) is None:
        return 0
    if ordinary.who is not None and ordinary.name in (draft.unentitled or ()):
        return 0
    if ordinary.award.first is not None and line.category in draft.account.marks.get(ordinary.name, ("",)):
        return 0
    times = multiplier_of(ordinary, line, data, at, draft.unentitled or ())
    points = amount_of(ordinary.amount, line.paid_fen, line.category, line.quantity, times)
    if ordinary.line_cap:
        points = min(points, ordinary.line_cap)
    if ordinary.order_bucket is not None:
        points = min(points, max(0, ordinary.order_bucket.points - _counted(version, page, line, data, ordinary)))
    return draft.bounded(points)


def stood_in_for(version: ProgrammeVersion, rule: Rule) -> Rule | None:
    """Return the ordinary rule along `instead_of`: the first that is not at the same membership's rate."""
    found = version.rules.get(rule.award.instead_of or "")
    while found is not None and found.member == rule.member:
        found = version.rules.get(found.award.instead_of or "")
    return found


def _counted(version: ProgrammeVersion, page: OrderPage, line: PageLine, data: Any, ordinary: Rule) -> int:
    """What the lines before this one gave, or would have given, by a rule that has a cap for the order."""
    bucket = ordinary.order_bucket
    each = bucket.each if bucket is not None else ""
    total = 0
    for other in page.lines:
        if other is line:
            break
        if each and bucket is not None and bucket.of_line and getattr(other, each) != getattr(line, each):
            continue
        for award in other.awards:
            rule = version.rules.get(award.rule)
            if award.rule == ordinary.name:
                total += award.given
            elif rule is not None and award.card and stood_in_for(version, rule) is ordinary:
                total += award.ordinary
    return total


# -- as a card is bought -----------------------------------------------------------------------------------------------


def is_other_card(draft: Draft, term: Term, trial: Term, card: str) -> bool:
    """Return True if a term is of another card that was bought for a trial's points, and was not refunded."""
    if term.trial or term.card == card or term.bought_at < trial.bought_at:
        return False
    page = draft.pages.get(f"card/{term.card}")
    return isinstance(page, CardPage) and not page.refunded


# -- as it was refunded, or given back, from before its term -----------------------------------------------------------


def taken_out_of(draft: Draft, membership: str, card: str) -> Term | None:
    """Return the term of a card that was taken out, as what its orders earn from now on goes by; None of another.

    Points of a trial are free once another card was bought for them.
    """
    term = _taken_out(draft, card)[1]
    if term is None:
        return None
    lapses = term.until + draft.version.programme.memberships[membership].release_days * DAY
    others = draft.account.terms.get(membership, ())
    is_free = term.trial and any(
        other.bought_at < lapses and is_other_card(draft, other, term, term.card) for other in others
    )
    return msgspec.structs.replace(term, converted=True) if is_free else term


def count_taken_out(draft: Draft, card: str, points: int) -> None:
    """Count points against the cap of a card that was taken out; of one that is laid its term counts them."""
    key, term = _taken_out(draft, card)
    page = draft.pages.get(key)
    if page is not None and term is not None:
        term.capped = draft.bounded(term.capped + points)
        draft.pages.put(key, page)


def _taken_out(draft: Draft, card: str) -> tuple[str, Term | None]:
    """Where the term of a card that was taken out is kept, and that term; one that a claim gave has a page for this."""
    for key in (f"card/{card}", f"free-card/{card}"):
        page = draft.pages.get(key)
        if isinstance(page, CardPage):
            return key, page.taken_out
    return "", None


# -- as it is refunded whole -------------------------------------------------------------------------------------------


_Orders = dict[tuple[str, str], OrderPage]  # by the name that each is under, and its id


def take_back(draft: Draft, card: str, page: CardPage, refund_fen: int) -> None:
    """Take back what a card gave that is refunded whole: what its rate gave more, and points of a trial.

    Orders whose name lives elsewhere by now are told of there.
    """
    draft.refund_fen = refund_fen
    orders, elsewhere = _orders_of(draft, card, page)
    claims = _freeze_again(draft, card, page, orders) + _claims_of(orders, card)
    _meet(draft, claims, orders)
    for name, names in elsewhere.items():
        for start in range(0, len(names), ORDERS_A_PAGE):
            told = CardBack(frm=draft.name, card=card, orders=names[start : start + ORDERS_A_PAGE])
            draft.tell(name, CardTakenBack, told)
    page.is_taken_back = True


def taken_back_elsewhere(draft: Draft, data: CardBack) -> None:
    """Decide that a card was refunded whole by whose rate orders of this name earned while both were one member's.

    Nobody is paid back here: what is missing is owed.
    """
    orders: _Orders = {}
    for name in data.orders:
        order = draft.pages.get(f"order/{name}")
        if isinstance(order, OrderPage):
            orders[draft.name, name] = order
    _meet(draft, _claims_of(orders, data.card), orders)


def _claims_of(orders: _Orders, card: str) -> list[_Claim]:
    return [
        _Claim(name, award.lot, award, line)
        for (name, _), order in orders.items()
        for line in order.lines
        for award in line.awards
        if award.card == card
    ]


def _meet(draft: Draft, claims: list[_Claim], orders: _Orders) -> None:
    """Take claims back in the order of their lots, each under the name of its order, and keep the orders."""
    acting = draft.name
    claims.sort(key=lambda claim: claim.lot)
    for claim in claims:
        award, line = claim.award, claim.line
        draft.goes_on_as(claim.name)
        if claim.spent:
            collect(draft, award.kind, claim.spent, award.rule, line.line)
            continue
        award.is_ordinary = True
        award.given = max(award.ordinary, award.less)
        claw_back(draft, award, kept_of(line, award.counted), line.line)
    for (name, order), page in orders.items():
        draft.goes_on_as(name)
        draft.put_own(f"order/{order}", page)
    draft.goes_on_as(acting)


def _orders_of(draft: Draft, card: str, page: CardPage) -> tuple[_Orders, dict[str, list[str]]]:
    """The orders that earned at a card's rate, in the order in which they did; by name, those that live elsewhere."""
    called: list[str] = []
    for number in range(page.full):
        full = draft.pages.get(f"card-orders/{card}/{number}")
        assert isinstance(full, CardOrdersPage), "it was put there when it was full"
        called += full.orders
    holder = draft.name
    found: _Orders = {}
    elsewhere: dict[str, list[str]] = {}
    for one in dict.fromkeys([*called, *page.orders]):
        of, order = named(one)
        if not draft.goes_on_as(of or holder):
            elsewhere.setdefault(of, []).append(order)
            continue
        known = draft.pages.get(f"order/{order}")
        if isinstance(known, OrderPage):
            found[draft.name, order] = known
    draft.goes_on_as(holder)
    return found, elsewhere


def _freeze_again(draft: Draft, card: str, page: CardPage, orders: _Orders) -> list[_Claim]:
    """Freeze what is left of points that a card released from a trial; return claims for what of them was spent.

    Where another card was bought since, nothing is frozen: the points wait for that one's refund.
    """
    if not page.released:
        return []
    terms = draft.account.terms.get(page.membership, [])
    laid = next((term for term in terms if term.trial and term.card == page.trial), None)
    trial = laid or _taken_out(draft, page.trial)[1]
    other = next((term for term in terms if trial is not None and is_other_card(draft, term, trial, card)), None)
    if other is not None:
        kept = draft.pages.get(f"card/{other.card}")
        assert isinstance(kept, CardPage)
        kept.released, kept.trial = kept.released + page.released, page.trial
        draft.pages.put(f"card/{other.card}", kept)
        return []
    release = draft.version.programme.memberships[page.membership].release_days * DAY
    until = trial.until + release if trial is not None else draft.clock
    if laid is not None:
        draft.emit(TrialReverted(page.membership, laid.card))
    left: dict[int, int] = {}
    for kind, key in page.released:
        lot = draft.account.purse(kind).lots.get(key)
        gone = lot_page(draft, key)
        left[key] = (lot.left + lot.held if lot is not None else 0) + gone.expired + gone.forfeited - gone.met
        if lot is not None and (lot.left or lot.held):
            draft.emit(Refrozen(kind, key, lot.left, until))
            if until <= draft.clock and lot.left:
                expire(draft, kind, key, lot, until)
    of_trial = draft.pages.get(f"card/{page.trial}")
    if isinstance(of_trial, CardPage):
        for name, order in _orders_of(draft, page.trial, of_trial)[0].items():
            orders.setdefault(name, order)
    return [
        claim
        for (name, _), order in orders.items()
        for line in order.lines
        for award in line.awards
        for claim in _spent_of(name, award, line, left)
    ]


def _spent_of(name: str, award: Award, line: PageLine, left: dict[int, int]) -> list[_Claim]:
    """The claims for what was spent of an award's lots, of which so much is left or is gone by itself.

    From now on the award holds only the rest: a return does not claim it again.
    """
    claims = []
    for grown in award.grown:
        spent = max(0, grown.held - left[grown.lot]) if grown.lot in left else 0
        if spent:
            grown.held -= spent
            award.held -= spent
            claims.append(_Claim(name, grown.lot, award, line, spent))
    own = award.held - sum(grown.held for grown in award.grown)
    spent = max(0, own - left[award.lot]) if award.lot in left else 0
    if spent:
        award.held -= spent
        claims.append(_Claim(name, award.lot, award, line, spent))
    return claims
