"""The laws over made-up claims: what is claimed can come back whole, and an account is the fold of its entries."""

from random import Random

import pytest

from ledger.core.account import Account, encode_account
from ledger.core.evolve import evolve_entry
from ledger.core.pages import ClaimPage
from ledger.wire.entry_codec import decode_entry, encode_entry
from ledger.wire.times import DAY, to_datetime
from tests.core.test_worked_examples_of_benefits import (
    AT_SHOPS,
    BIRTHDAY,
    BOOK,
    CLEANING,
    EXCHANGE_180,
    FIRST_PACK,
    FREE_MEAL,
    SILVER,
    VIDEO,
)
from tests.support.shop import Shop, instant

ALL = (FREE_MEAL, CLEANING, FIRST_PACK, VIDEO, SILVER, EXCHANGE_180, BIRTHDAY, AT_SHOPS)
EVER = '[memberships.plus.benefits.welcome]\nname = "开卡礼"\nquota = 1\nper = "ever"\n'
DAILY = '[memberships.plus.benefits.daily]\nname = "日券"\nquota = 1\nper = "day"\nreturns_with_order = true\n'
NAMES = ["meal", "cleaning", "first-pack", "video", "silver", "exchange-180", "birthday", "tea", "welcome", "daily"]


def told(seed: int) -> Shop:
    """A member's year and a half of orders, cards, returns and claims, some of them given back."""
    random = Random(seed)
    shop = Shop(BOOK + "".join(ALL) + EVER + DAILY, now="2025-01-05 10:00", request_max_age_days=500)
    at = instant("2025-01-05 10:00")
    claims: list[str] = []
    for number in range(90):
        at += random.randrange(12 * DAY)
        moment = to_datetime(at - random.choice((0, 0, 0, random.randrange(20 * DAY)))).isoformat()
        match random.randrange(9):
            case 0 | 1:
                lines = [(random.choice(("computer", "books")), 1, random.randrange(100, 300_000)) for _ in range(2)]
                shop.completes(f"O{number}", lines, moment, shop=random.choice(("shop-a", "shop-b", "self")))
            case 2:
                shop.buys(random.choice(("plus.annual", "plus.month", "video.month")), moment, card=f"C{number}")
            case 3:
                shop.is_granted(random.randrange(1, 3_000), moment)
            case 4:
                shop.returns(f"O{random.randrange(number + 1)}", [("1", 1, random.randrange(1, 300_000))], moment)
            case 5:
                birthday = f"{random.randrange(1, 13):02}"
                shop.tells("member.described", moment, attributes={"birthday": birthday})
            case 6 if claims:
                shop.gives_claim_back(random.choice(claims), moment)
            case 7 if random.random() < 0.3:
                shop.refunds_card(f"C{random.randrange(number + 1)}", moment)
            case _:
                for _ in range(random.randrange(1, 5)):
                    name = f"B{len(shop.entries)}"
                    more = {"shop": random.choice(("shop-a", "shop-b"))} if random.random() < 0.7 else {}
                    order = {"order": f"O{random.randrange(number + 1)}", "line": random.choice("12")}
                    if shop.claims(random.choice(NAMES), moment, claim=name, **more, **order) == "accepted":
                        claims.append(name)
    return shop


@pytest.mark.parametrize("seed", range(30))
def test_an_account_is_the_fold_of_its_entries_and_keeps_its_sums(seed: int) -> None:
    shop = told(seed)
    folded = Account()
    for entry in shop.entries:
        evolve_entry(folded, decode_entry(encode_entry(entry)))
    for account in (folded, shop.account):  # of which the one may say sooner that nothing is due, and is never late
        account.next_due_at = account.next_month_at = 0
        account.placed_by = ""
    assert encode_account(folded) == encode_account(shop.account)
    for kind, purse in shop.account.purses.items():
        out = purse.redeemed + purse.expired + purse.clawed_back + purse.forfeited
        assert purse.issued == purse.spendable() + purse.pending() + purse.held() + out, kind
    used = [times for terms in shop.account.terms.values() for term in terms for times in term.used.values()]
    counted = [times for bucket in shop.account.counts.values() for times in bucket.values()]
    assert all(times > 0 for times in (*used, *counted))
    assert all(term.rights >= 0 for terms in shop.account.terms.values() for term in terms)


@pytest.mark.parametrize("seed", range(30))
def test_every_claim_can_be_given_back_and_leaves_no_count_price_card_or_tier(seed: int) -> None:
    shop = told(seed)
    for key, page in list(shop.pages.items()):
        if isinstance(page, ClaimPage):
            name, was_returned = key.removeprefix("claim/"), page.is_returned
            said = shop.gives_claim_back(name, to_datetime(shop.account.clock).isoformat())
            assert said == ("ignored: already" if was_returned else "accepted")
            assert page.is_returned and all(award.held == 0 for award in page.awards)
            price = shop.pages.get(f"claim-price/{name}")
            assert price is None or all(part.restored == part.points for part in price.parts)
    account = shop.account
    assert not [key for bucket in account.counts.values() for key in bucket if key.startswith("benefit/")]
    assert not [term.card for terms in account.terms.values() for term in terms if term.used]
    clock = account.clock
    opened = [t for terms in account.terms.values() for t in terms if t.card.startswith("claim/")]
    assert all(term.until <= clock for term in opened)
    assert not [name for name in account.grants if name.startswith("claim/")]


def test_these_histories_claim_what_there_is_to_claim() -> None:
    claimed = {page.benefit for seed in range(12) for page in told(seed).pages.values() if isinstance(page, ClaimPage)}
    assert claimed == set(NAMES)
