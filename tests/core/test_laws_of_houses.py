"""Laws over made-up histories of members who sit in houses, and claim out of the quotas that they share there.

The words of houses and members are delivered in any order, late and twice. What houses counted and what members were
given agree when nothing is on its way, and at no time is more given than a quota has.
"""

from collections import Counter
from random import Random

import pytest

from ledger.core.asks import DRAWN, WAITS
from ledger.core.pages import AskPage
from ledger.wire.entries import BenefitUsed, Seated
from tests.core.test_laws_of_pools import check_derives
from tests.core.test_worked_examples_of_houses import BOOK, LIN, ZHAO, joins, leaves
from tests.support.post_office import PostOffice

HOUSES, MEMBERS = (LIN, ZHAO), "ABCD"
SEATS = {"club.year": 2, "club.big": 3, "club.single": 0}
QUOTAS = {"club.year": 5, "club.big": 6, "club.single": 1}


def something_happens(office: PostOffice, random: Random, turn: int) -> None:
    """A house buys or gives back a card, is joined, left or closed; a member claims, gives back, buys a card."""
    at = f"2025-{6 + turn // 25:02}-{1 + turn % 25:02} 10:00"
    house, name = random.choice(HOUSES), random.choice(MEMBERS)
    member, card = office.at(name), f"{house}-{random.randint(1, 4)}"
    claim = f"{name}-{random.randint(1, 20)}"
    earlier = f"2025-{6 + turn // 25:02}-{1 + random.randint(0, turn % 25):02} 09:00"
    match random.randrange(14):
        case 0:
            office.at(house).buys(random.choice(["club.year", "club.big", "club.single"]), at=at, card=card)
        case 1:
            office.at(house).refunds_card(card, at=at)
        case 2 | 3 | 4:
            joins(office, name, at=at, house=house, card=card)
        case 5:
            leaves(office, name, at=at, house=house)
        case 6 if random.random() < 0.3 or office.at(house).account.closed:
            closed = office.at(house).account.closed
            office.at(house).is_reopened(at=at) if closed else office.at(house).is_closed(at=at)
        case 7 if random.random() < 0.2:
            member.buys("club.single", at=at, card=f"own-{turn}")
        case 8:
            claims = [key.removeprefix("claim/") for key in member.pages if key.startswith("claim/")]
            member.gives_claim_back(random.choice([*claims[-2:], claim]), at=at)
        case 9 if random.random() < 0.1 or member.account.closed:
            member.is_reopened(at=at) if member.account.closed else member.is_closed(at=at)
        case _:
            member.claims(random.choice(["coupon", "monthly"]), at=random.choice([at, earlier]), claim=claim)


def check(office: PostOffice, told: dict[tuple[str, str], int]) -> None:
    """What holds at any time; `told` is the highest word of each house that a member had."""
    for house in HOUSES:
        account = office.at(house).account
        assert not account.purses and not account.sums
        for change in office.at(house).last.changes:
            if isinstance(change, Seated):
                (term,) = (term for terms in account.terms.values() for term in terms if term.card == change.card)
                assert len(account.seats) <= SEATS[term.product]
            elif isinstance(change, BenefitUsed):
                assert office.at(house).last.figures["member"] in account.seats
        for term in (term for terms in account.terms.values() for term in terms):
            for key, used in term.used.items():
                benefit = key.partition(":")[0]
                assert 0 < used <= (QUOTAS[term.product] if benefit == "coupon" else 1), (house, key)
    for name in MEMBERS:
        account = office.at(name).account
        for house, seat in account.seats.items():
            assert seat.n >= told.get((name, house), 0)
            told[name, house] = seat.n
        for purse in account.purses.values():
            gone = purse.redeemed + purse.expired + purse.clawed_back + purse.forfeited
            assert purse.issued == purse.spendable() + purse.pending() + purse.held() + gone  # law 2
            assert purse.debt >= 0


def check_at_rest(office: PostOffice) -> None:
    """What holds when nothing is on its way: quotas used are claims given, and each knows who sits where."""
    given: Counter[str] = Counter()
    for name in MEMBERS:
        member = office.at(name)
        for page in member.pages.values():
            if isinstance(page, AskPage):
                assert page.state != WAITS
                given[page.pool] += page.state == DRAWN and not page.back
        assert not member.account.holds
    for house in HOUSES:
        account = office.at(house).account
        terms = [term for terms in account.terms.values() for term in terms]
        assert sum(sum(term.used.values()) for term in terms) == given[house]
        seated = [(term.card, term.start, term.until) for term in terms if term.product != "club.single"]
        seated = [] if account.closed else [term for term in seated if term[1] < term[2]]
        for name in MEMBERS:
            seat = office.at(name).account.seats.get(house)
            known = [(term.card, term.start, term.until) for term in seat.terms] if seat is not None else []
            if name not in account.seats:
                assert known == []
            else:  # what ended long ago is told no more
                assert known == seated[len(seated) - len(known) :]
                assert all(term in known for term in seated if term[2] > account.clock)


def play(seed: int) -> None:
    """One made-up history."""
    random, told = Random(seed), dict[tuple[str, str], int]()
    office = PostOffice(BOOK, now="2025-06-01 09:00")
    for house in HOUSES:
        office.at(house).buys("club.year", card=f"{house}-1")
    for name in MEMBERS:
        office.at(name).is_granted(500)
    for turn in range(100):
        something_happens(office, random, turn)
        while office.waiting and random.random() < 0.7:
            office.delivers_any(random)
            check(office, told)
            if random.random() < 0.2:
                office.delivers_again(random.randrange(len(office.delivered)))
        check(office, told)
    office.delivers_all(random, twice=0.2)
    check(office, told)
    check_at_rest(office)
    for resident in office.residents.values():
        check_derives(resident)


@pytest.mark.parametrize("seed", range(12))
def test_houses_and_members_agree_whatever_the_order_of_what_they_tell_each_other(seed: int) -> None:
    play(seed)


@pytest.mark.campaign
def test_houses_and_members_agree_in_many_histories() -> None:
    for seed in range(100, 1_100):
        play(seed)
