"""Benefits that are claimed: by quota and price, with what they give, in one decision or not at all."""

from ledger.core.account import Term
from ledger.core.asks import begin, begin_at_house, tiers_asked
from ledger.core.awards import apply_rules
from ledger.core.benefits import bucket_of, times_used
from ledger.core.claims import cards_of, count, count_at_shop, give, give_back, hold_price, pay, price_of, purse_of
from ledger.core.draft import Draft
from ledger.core.pages import NOT_PAYABLE, SEEN, AskPage, ClaimedAskPage, ClaimPage, OrderPage, PageLine
from ledger.core.perks import holder_of, offer_of, seat_of, why_closed
from ledger.core.rights import check_line
from ledger.core.tiers import MAX_GRANTS
from ledger.rulebook.compiled import Perk, Pool
from ledger.wire.entries import BenefitCounted
from ledger.wire.facts import MAX_INT, Claim, ClaimReturn


def claim(draft: Draft, data: Claim) -> None:
    """Decide a claim of a benefit: whose it is, whether it is open, its quota and its price."""
    perk = draft.version.perks.get(data.benefit)
    if perk is None:
        draft.decline("unknown-benefit", benefit=data.benefit)
    benefit, account, sent_to = perk.benefit, draft.account, draft.name
    order: OrderPage | None = None
    if data.order and (perk.of_line or benefit.returns_with_order):
        found = draft.pages.get(f"order/{data.order}")
        order = found if isinstance(found, OrderPage) else None
        if order is not None and benefit.returns_with_order and order.status in NOT_PAYABLE:
            draft.decline("order-ended", order=data.order, status=NOT_PAYABLE[order.status])
    line: PageLine | None = None
    card, product = "", ""
    if perk.of_line:
        line, right = check_line(draft, perk, data, order)
        card, product = right.card, right.product
    term, house = None, ""
    if perk.membership and perk.is_judged_at_claim:
        term, house = _holder(draft, perk)
        card, product = term.card, term.product
        if perk.by_product is not None and product not in perk.by_product:
            draft.decline("not-in-card", benefit=data.benefit, product=product)
    offer = offer_of(draft, perk, product, data.shop, asks_who=perk.is_judged_at_claim)
    if offer.fails:
        draft.decline("not-entitled", who=offer.fails[:512])
    if perk.counted == "shop" and not data.shop:
        draft.decline("not-entitled", who="shop, is not named")
    closed = why_closed(draft, perk)
    if closed is not None:
        draft.decline("not-open", **closed)
    bucket = bucket_of(perk, draft.book, draft.version, term, draft.occurred)
    if house and perk.is_of_holder:
        used = 0  # the house knows
    elif perk.counted == "term":
        used = times_used(account, perk, term, bucket)
    else:
        used = _used(draft, perk, data, bucket, line)
    if offer.quota is not None and used >= offer.quota:
        draft.decline("quota-used", benefit=data.benefit, quota=offer.quota, used=used)
    charge = offer.charge
    purses = {gift.kind: purse_of(draft, gift.kind, data.shop) for gift in benefit.gives if gift.kind is not None}
    if charge is not None:
        purses[charge.kind] = purse_of(draft, charge.kind, data.shop)
        spendable = account.purse(purses[charge.kind]).spendable()
        if charge.points > spendable:
            draft.decline(f"{charge.kind}-short", asked=charge.points, spendable=spendable)
    if any(gift.tier for gift in benefit.gives) and len(account.grants) + tiers_asked(draft) >= MAX_GRANTS:
        draft.decline("too-many-grants", most=MAX_GRANTS)
    if any(draft.pages.get(f"card/{card}") is not None for card in cards_of(draft, data.claim, benefit.gives)):
        draft.decline("already")
    if (perk.stock is not None or house) and draft.pages.get(f"hold/{price_of(data.claim)}") is not None:
        draft.decline("already")  # whoever ends a hold of that name would end the price
    page = ClaimPage(perk.membership, card if term is not None and not house else "", data.benefit, bucket)
    if not house or not perk.is_of_holder:
        _count(draft, perk, data, page, line, card)
    if perk.stock is not None or house:
        if charge is not None:
            hold_price(draft, data.claim, purses[charge.kind], charge.points)
        for named in cards_of(draft, data.claim, benefit.gives):
            draft.pages.put(f"card/{named}", SEEN)  # what the yes is to open keeps its name till then
        if perk.stock is not None:
            _ask(draft, perk.stock, data)
        else:
            limit = offer.quota if offer.quota is not None and perk.is_of_holder else MAX_INT
            _ask_house(draft, house, perk.membership, bucket, limit, data)
    else:
        if charge is not None:
            pay(draft, data.claim, purses[charge.kind], charge.points)
        give_all(draft, perk, data, page)
    draft.pages.put(f"claim/{data.claim}", page)
    if benefit.returns_with_order and data.order:
        order = order or OrderPage()
        order.claims = (*order.claims, data.claim)
    draft.goes_on_as(sent_to)  # whoever sits in the house, the order is not theirs
    if order is not None:
        draft.pages.put(f"order/{data.order}", order)


def give_all(draft: Draft, perk: Perk, data: Claim, page: ClaimPage) -> None:
    """Give what a claim gives, and what rules give for it."""
    gifts = perk.benefit.gives
    purses = {gift.kind: purse_of(draft, gift.kind, data.shop) for gift in gifts if gift.kind is not None}
    give(draft, data.claim, gifts, purses, page)
    rules = draft.version.rules_on("benefit.claimed")
    if rules:
        page.awards += apply_rules(draft, rules, data, data.claim, may_return=True)


def _holder(draft: Draft, perk: Perk) -> tuple[Term, str]:
    """Return the term by which a benefit is claimed, and the house where that is a seat's: the member's own card first.

    The seat is next where the quota of the own card is used up. Declines where there is neither.
    """
    own, seat = holder_of(draft, perk.membership), seat_of(draft, perk.membership)
    if seat is None or perk.stock is not None:
        if own is None:
            draft.decline("no-membership", membership=perk.membership)
        return own, ""
    if own is not None:
        quota = offer_of(draft, perk, own.product, asks_who=False).quota if perk.is_of_holder else None
        bucket = bucket_of(perk, draft.book, draft.version, own, draft.occurred)
        if quota is None or times_used(draft.account, perk, own, bucket) < quota:
            return own, ""
    return seat[1], draft.sit_as(seat[0])


def _ask(draft: Draft, stock: Pool, data: Claim) -> None:
    """Ask the stock for a piece; what the claim gives comes with the yes."""
    ask = AskPage(stock.subject, 1, draft.month if stock.by_month else 0, stock.refill)
    begin(draft, stock, ask, _waits(draft, ask, data))


def _ask_house(draft: Draft, house: str, membership: str, bucket: int, limit: int, data: Claim) -> None:
    """Ask the house in which a member sits; what the claim gives comes with the yes."""
    ask = AskPage(house, 1, bucket, refill=True)
    begin_at_house(draft, ask, _waits(draft, ask, data), membership, limit)


def _waits(draft: Draft, ask: AskPage, data: Claim) -> int:
    """Let a claim wait for an ask. Returns the lot that names it, which nothing else in the entry has for a name."""
    lot = draft.next_lot()
    ask.claim, ask.benefit, ask.order, ask.line, ask.shop = data.claim, data.benefit, data.order, data.line, data.shop
    draft.pages.put(f"claim-ask/{data.claim}", ClaimedAskPage(draft.lot_name(lot)))
    draft.note("asked", claim=data.claim, pool=ask.pool)
    return lot


def _used(draft: Draft, perk: Perk, data: Claim, bucket: int, line: PageLine | None) -> int:
    """How often a benefit was given that no card counts: to the account, at a shop, or for a line."""
    if line is not None:
        return line.claimed.get(perk.name, 0) if line.claimed else 0
    if perk.counted == "shop":
        return count_at_shop(draft, perk.name, data.shop, bucket, 0)
    return times_used(draft.account, perk, None, bucket)


def _count(draft: Draft, perk: Perk, data: Claim, page: ClaimPage, line: PageLine | None, card: str) -> None:
    """Count a claim where its quota does; a card that gives it is used by that in any case.

    `card` is the one that gave a line its right.
    """
    count(draft, perk, page)
    if line is not None:
        line.claimed = line.claimed or {}
        line.claimed[perk.name] = line.claimed.get(perk.name, 0) + 1
        page.order, page.line = data.order, data.line
        draft.emit(BenefitCounted(perk.name, page.bucket, perk.membership, card, order=data.order, line=data.line))
    elif perk.counted == "shop":
        page.shop = data.shop
        count_at_shop(draft, perk.name, data.shop, page.bucket, 1)
        draft.emit(BenefitCounted(perk.name, page.bucket, shop=data.shop))


def return_claim(draft: Draft, data: ClaimReturn) -> None:
    """Decide that a claim of a benefit is given back, with all that it cost and gave."""
    page = draft.pages.get(f"claim/{data.claim}")
    if not isinstance(page, ClaimPage):
        draft.decline("unknown-claim", claim=data.claim)
    if page.is_returned:
        draft.decline("already")
    give_back(draft, data.claim, page)
