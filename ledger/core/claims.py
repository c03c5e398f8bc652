"""What a claim of a benefit costs and gives, and how all of it comes back."""

from collections.abc import Mapping

from ledger.core.asks import GIVEN_UP, WAITS, ask_of_claim, end, put_back
from ledger.core.benefits import quota_key
from ledger.core.draft import Draft
from ledger.core.lots import capture_hold, claw_back, earn, release_hold, restore, spend, take
from ledger.core.pages import Award, ClaimPage, OrderPage, QuotaPage, RedemptionPage
from ledger.core.terms import end_free, open_free
from ledger.core.tiers import grant_tier, withdraw_tier
from ledger.rulebook.compiled import Perk
from ledger.rulebook.schema import AT_SHOP, Gift
from ledger.wire.entries import (
    DAY_BUCKETS,
    BenefitCounted,
    BenefitGivenBack,
    BenefitUsed,
    Earned,
    Held,
)
from ledger.wire.times import DAY, MAX_INSTANT

GRANT = "claim/"  # before a claim's name: what a card or a tier is called that it gave


def purse_of(draft: Draft, kind: str, shop: str) -> str:
    """Return the purse of a kind that a claim means; declines one that is kept for each shop where none is named."""
    if kind not in draft.version.keyed_kinds:
        return kind
    if not shop:
        draft.decline("shop-missing", kind=kind)
    return f"{kind}{AT_SHOP}{shop}"


def pay(draft: Draft, claim: str, purse: str, points: int) -> None:
    """Burn what a claim costs (there is enough of it)."""
    parts = spend(draft, purse, points, f"claim/{claim}")
    draft.pages.put(f"claim-price/{claim}", RedemptionPage(purse, "", parts))


def price_of(claim: str) -> str:
    """Return the name of the hold that keeps the price of a claim while its stock is asked."""
    return f"{GRANT}{claim}"


def hold_price(draft: Draft, claim: str, purse: str, points: int) -> None:
    """Keep what a claim costs until its stock has answered (there is enough of it); it has no other end."""
    for key, part in take(draft, purse, points):
        draft.emit(Held(purse, key, part, draft.hold_key(price_of(claim)), MAX_INSTANT))


def pay_held(draft: Draft, claim: str) -> None:
    """Burn the price that is held for a claim, if it has one."""
    key_of_hold = draft.hold_key(price_of(claim))
    hold = draft.account.holds.get(key_of_hold)
    if hold is None:
        return
    parts = capture_hold(draft, key_of_hold, hold)
    draft.pages.put(f"claim-price/{claim}", RedemptionPage(hold.kind, "", parts))


def give_up(draft: Draft, claim: str, page: ClaimPage) -> None:
    """Let a claim that was given nothing be over: its quota counts it no more, its price is released."""
    page.is_returned = True
    count_back(draft, claim, page)
    key_of_hold = draft.hold_key(price_of(claim))
    hold = draft.account.holds.get(key_of_hold)
    if hold is not None:
        release_hold(draft, key_of_hold, hold, draft.clock)
    draft.pages.put(f"claim/{claim}", page)


def give(draft: Draft, claim: str, gifts: tuple[Gift, ...], purses: Mapping[str, str], page: ClaimPage) -> None:
    """Give what a claim gives, in the book's order: points, cards, a tier. Its page keeps what may come back.

    `purses` are those of the kinds of points.
    """
    for gift in gifts:
        if gift.opens is not None:
            card = cards_of(draft, claim, gifts)[len(page.opened)]
            page.opened.append(open_free(draft, card, gift.opens))
        elif gift.score is not None and gift.tier is not None:
            until = min(draft.occurred + (gift.days or 0) * DAY, MAX_INSTANT)
            if until > draft.clock:  # else the claim comes later than what it gave would have lasted
                grant_tier(draft, GRANT + claim, gift.score, gift.tier, until)
                page.has_tier = True
        elif gift.kind is not None and gift.points is not None and draft.has_room_for(purses[gift.kind]):
            rule, purse = f"benefit.{page.benefit}", purses[gift.kind]
            page.awards.append(_earn(draft, claim, rule, purse, gift.points, gift.days))


def cards_of(draft: Draft, claim: str, gifts: tuple[Gift, ...]) -> list[str]:
    """Return what the cards are called that a claim opens, in the book's order."""
    return _named(claim, [draft.version.products[gift.opens][0] for gift in gifts if gift.opens is not None])


def _named(claim: str, memberships: list[str]) -> list[str]:
    """The first card has the claim's name; each that follows its membership's too, for a cap counts by the card."""
    return [f"{GRANT}{claim}/{membership}" if place else GRANT + claim for place, membership in enumerate(memberships)]


def _earn(draft: Draft, claim: str, rule: str, kind: str, points: int, days: int | None) -> Award:
    at, lot = draft.occurred, draft.next_lot()
    expires_at = min(at + days * DAY, MAX_INSTANT) if days else draft.version.expires_at(kind, at)
    earn(draft, Earned(kind, lot, points, rule, at, expires_at, page=claim, uncapped=points, returnable=True))
    return Award(rule, points, points, kind, lot, expires_at)


def count_at_shop(draft: Draft, benefit: str, shop: str, bucket: int, by: int) -> int:
    """Change how often a benefit was given at a shop in a bucket, and return how often it then was."""
    key = f"benefit/{benefit}/{shop}"
    page = draft.pages.get(key)
    page = page if isinstance(page, QuotaPage) else QuotaPage()
    used = page.used.get(bucket, 0) + by
    if by:
        page.used[bucket] = used
        if not used:
            del page.used[bucket]
        draft.pages.put(key, page)
    return used


def give_back(draft: Draft, claim: str, page: ClaimPage) -> None:
    """Give a claim back: to the quota that counted it, the points it cost, the points, cards and tier it gave.

    All of that is done under the name that the claim stands under, whose order ended or who asked for it back.
    """
    acting = draft.name
    draft.goes_on_as(draft.holder_of(f"claim/{claim}"))
    _give_back(draft, claim, page)
    draft.goes_on_as(acting)


def _give_back(draft: Draft, claim: str, page: ClaimPage) -> None:
    found = ask_of_claim(draft, claim, page.benefit)
    if found is not None and found[1].state == WAITS:
        end(draft, *found, GIVEN_UP)
        give_up(draft, claim, page)
        return
    if found is not None and found[1].refill:
        put_back(draft, *found, 1)
    page.is_returned = True
    count_back(draft, claim, page)
    price = draft.pages.get(f"claim-price/{claim}")
    if isinstance(price, RedemptionPage):
        restore(draft, f"claim/{claim}", price, sum(part.points for part in price.parts), f"claim-price/{claim}")
    for award in page.awards:
        claw_back(draft, award, 0, "")
    for card, membership in zip(_named(claim, page.opened), page.opened, strict=True):
        end_free(draft, membership, card)
    if page.has_tier:
        withdraw_tier(draft, GRANT + claim)
    draft.pages.put(f"claim/{claim}", page)


def count(draft: Draft, perk: Perk | None, page: ClaimPage) -> None:
    """Count a claim at its card and, where its quota does, at the account; an unknown benefit by its card."""
    if page.card:
        of_term = page.bucket if perk is None or perk.counted == "term" else 0
        draft.emit(BenefitUsed(page.membership, page.card, page.benefit, of_term))
    if perk is not None and perk.counted == "account":
        page.by_account = True
        draft.emit(BenefitCounted(page.benefit, page.bucket))


def count_back(draft: Draft, claim: str, page: ClaimPage) -> None:
    """Count a claim back in its bucket; where that is dropped, nothing is left that counts it."""
    benefit, bucket = page.benefit, page.bucket
    if page.card:
        of_term = 0 if page.by_account or page.shop or page.line else bucket
        terms = draft.account.terms.get(page.membership, ())
        used = next((term.used for term in terms if term.card == page.card), {})
        if of_term >= DAY_BUCKETS and quota_key(benefit, of_term) not in used:
            of_term = 0  # old days are counted together
        if used.get(quota_key(benefit, of_term)):
            draft.emit(BenefitGivenBack(page.membership, page.card, benefit, of_term, claim))
    if page.line:
        order = draft.pages.get(f"order/{page.order}")
        line = order.line(page.line) if isinstance(order, OrderPage) else None
        if isinstance(order, OrderPage) and line is not None and line.claimed and line.claimed.get(benefit):
            line.claimed[benefit] -= 1
            draft.pages.put(f"order/{page.order}", order)
            draft.emit(BenefitGivenBack("", "", benefit, bucket, claim, order=page.order, line=page.line))
    elif page.shop:
        if count_at_shop(draft, benefit, page.shop, bucket, 0):
            count_at_shop(draft, benefit, page.shop, bucket, -1)
            draft.emit(BenefitGivenBack("", "", benefit, bucket, claim, page.shop))
    elif page.by_account and draft.account.counts.get(bucket, {}).get(f"benefit/{benefit}"):
        draft.emit(BenefitGivenBack("", "", benefit, bucket, claim))
