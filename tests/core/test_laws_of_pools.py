"""Laws over made-up histories of several members who draw from shared budgets and stocks.

The follow-ups are delivered in any order, late and twice. The books of the pools and those of the members agree when
nothing is on its way, and at no time is more drawn than there is.
"""

from random import Random

import pytest

from ledger.core.account import Account, decode_account, encode_account
from ledger.core.asks import WAITS
from ledger.core.decide import Repetition, decide
from ledger.core.evolve import DRAWN, OUT, evolve_entry
from ledger.core.pages import AskPage, PagesInMemory
from ledger.rulebook.compiled import POOL, Programme
from ledger.wire.fact_codec import decode_canonical
from tests.support.post_office import PostOffice, Resident

BOOK = """
programme = "corner"
name = "街角"
from = 2025-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2025-01-01, days = 40 }]

[[award]]
rule = "plain"
name = "返豆"
on = "order.completed"
each = "line"
kind = "beans"
give = { points = 1, per_fen = 1_000 }

[[award]]
rule = "double"
name = "双倍"
on = "order.completed"
each = "line"
kind = "beans"
campaign = "party"
give = { points = 1, per_fen = 100 }

[campaigns.party]
name = "派对"
kind = "beans"
budget = 60
each_member = 45
refill = %(refill)s
%(budget_lease)s

[benefits.ticket]
name = "门票"
quota = 2
per = "ever"
price = [{ kind = "beans", points = 3 }]
gives = [{ kind = "beans", points = 4 }]
stock = 4
refill = %(refill)s
returns_with_order = true
%(stock_lease)s
"""
LIMITS = {f"{POOL}campaigns.party": 60, f"{POOL}benefits.ticket": 4}
MEMBERS = "ABCD"


def a_ledger(random: Random) -> PostOffice:
    leased = random.random() < 0.5
    book = BOOK % {
        "refill": random.choice(["true", "false"]),
        "budget_lease": f"lease = {random.randint(1, 25)}" if leased else "",
        "stock_lease": f"lease = {random.randint(1, 3)}" if leased else "",
    }
    return PostOffice(book, partitions=random.choice([1, 2, 3]))


def something_happens(office: PostOffice, random: Random, day: int) -> None:
    """A member buys, returns, claims, gives back, is closed or goes on."""
    member = office.at(random.choice(MEMBERS))
    at = f"2025-11-{1 + day // 10:02} {day % 10 + 8:02}:00"
    order, claim = f"{member.name}-{random.randint(1, 4)}", f"{member.name}-T{random.randint(1, 4)}"
    match random.randrange(12):
        case 0 | 1 | 2:
            lines = [("books", 2, random.randint(1, 20) * 200) for _ in range(random.randint(1, 2))]
            member.completes(order, lines, at=at)
        case 3:
            member.returns(order, [("1", 1, random.randint(1, 2_000))], at=at, back=f"R{day}")
        case 4:
            member.returns(order, [(random.choice("12"), 2, 4_000)], at=at, back=f"R{day}")
        case 5 | 6 | 7:
            member.claims("ticket", at=at, claim=claim, order=order)
        case 8:
            member.gives_claim_back(claim, at=at)
        case 9:
            member.cancels(order, at=at)
        case 10:
            member.is_granted(random.randint(1, 9), at=at)
        case _:
            member.is_reopened(at=at) if member.account.closed else member.is_closed(at=at)


def check(office: PostOffice) -> None:
    """What holds at any time."""
    for name, resident in office.residents.items():
        for purse in resident.account.purses.values():
            came = purse.issued
            gone = purse.redeemed + purse.expired + purse.clawed_back + purse.forfeited
            assert came == purse.spendable() + purse.pending() + purse.held() + gone, name  # law 2
            assert purse.debt >= 0
            assert all(lot.left >= 0 and lot.held >= 0 for lot in purse.lots.values()), name
        counts = resident.account.counts.get(0, {})
        assert all(count > 0 for count in counts.values()), name
        pool = name.partition("@")[0]
        if name == pool and pool in LIMITS:
            out = sum(count for counter, count in counts.items() if counter.startswith(OUT))
            assert counts.get(DRAWN, 0) + out <= LIMITS[pool]
    for pool, limit in LIMITS.items():
        assert drawn_of(office, pool) <= limit


def drawn_of(office: PostOffice, pool: str) -> int:
    """What a pool and its leases have given together."""
    accounts = [one.account for name, one in office.residents.items() if name.partition("@")[0] == pool]
    return sum(account.counts.get(0, {}).get(DRAWN, 0) for account in accounts)


def check_at_rest(office: PostOffice) -> None:
    """What holds when nothing is on its way."""
    confirmed = dict.fromkeys(LIMITS, 0)
    for name in MEMBERS:
        member = office.at(name)
        for page in member.pages.values():
            if isinstance(page, AskPage):
                assert page.state != WAITS
                if page.state == 1:
                    confirmed[page.pool.partition("@")[0]] += page.n - page.back
        assert all(not lot.waits for purse in member.account.purses.values() for lot in purse.lots.values())
        assert not member.account.holds
    assert confirmed == {pool: drawn_of(office, pool) for pool in LIMITS}
    for pool in LIMITS:
        root = office.at(pool).account.counts.get(0, {})
        for counter, count in root.items():
            if counter.startswith(OUT):
                lease = office.at(counter.removeprefix(OUT)).account.counts.get(0, {})
                assert lease[counter] == count
                assert lease.get(DRAWN, 0) <= count


def check_derives(resident: Resident) -> None:
    """An account follows from its own stream alone: laws 1 and 6."""
    folded, again, pages = Account(), Account(), PagesInMemory()
    seen: dict[tuple[str, str], tuple[int, bytes]] = {}
    for entry in resident.entries:
        evolve_entry(folded, entry)
        fact, occurred = decode_canonical(entry.fact)
        first = seen.setdefault((fact.source, fact.id), (entry.number, entry.fact))
        repeats = None if first[0] == entry.number else Repetition(first[0], first[1] == entry.fact)
        book: Programme = resident.book
        recorded = entry.recorded
        found = decide(again, pages, fact, occurred, book, recorded=recorded, limits=resident.limits, repeats=repeats)
        again.number += 1
        assert (found.changes, found.outcome, found.reason) == (entry.changes, entry.outcome, entry.reason)
    for account in (folded, again):
        account.next_due_at, account.next_month_at = resident.account.next_due_at, resident.account.next_month_at
        account.placed_by = resident.account.placed_by
        assert decode_account(encode_account(account)) == decode_account(encode_account(resident.account))


def play(seed: int) -> None:
    """One made-up history."""
    random = Random(seed)
    office = a_ledger(random)
    for day in range(80):
        something_happens(office, random, day)
        while office.waiting and random.random() < 0.6:
            office.delivers_any(random)
            if random.random() < 0.2:
                office.delivers_again(random.randrange(len(office.delivered)))
            check(office)
    office.delivers_all(random, twice=0.2)
    check(office)
    check_at_rest(office)
    for resident in office.residents.values():
        check_derives(resident)


@pytest.mark.parametrize("seed", range(12))
def test_pools_and_members_agree_whatever_the_order_of_what_they_tell_each_other(seed: int) -> None:
    play(seed)


@pytest.mark.campaign
def test_pools_and_members_agree_in_many_histories() -> None:
    for seed in range(100, 1_100):
        play(seed)
