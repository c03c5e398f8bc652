"""Worked examples of budgets and stocks that members share: asked, drawn or empty, confirmed or lapsed.

How to read them: test_worked_examples.py; several accounts of one ledger: tests/support/post_office.py.
"""

import pytest

from ledger.core.account import Account
from ledger.core.evolve import DRAWN, OUT
from ledger.rulebook.checks import parse_programme
from ledger.rulebook.schema import BadProgramme
from ledger.wire.murmur import partition_of
from tests.support.post_office import PostOffice

HEAD = """
programme = "corner"
name = "街角"
from = 2025-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2025-01-01, days = 365 }]
"""
AWARD = """
[[award]]
rule = "double"
name = "双倍"
on = "order.completed"
each = "line"
kind = "beans"
campaign = "party"
give = { points = 1, per_fen = 100 }
"""
CAMPAIGN = """
[campaigns.party]
name = "派对"
kind = "beans"
budget = 15
"""
STOCK = """
[benefits.ticket]
name = "门票"
quota = 1
per = "year"
stock = 2
"""
PARTY, TICKETS = "pool/campaigns.party", "pool/benefits.ticket"
TEN = [("books", 1, 1_000)]  # 10 beans out of the budget


def budget_of(more: str = "", award: str = "", **how: int) -> PostOffice:
    """A ledger whose book has a budget of 15."""
    return PostOffice(HEAD + AWARD + award + CAMPAIGN + more, **how)


def stock_of(more: str = "", **how: int) -> PostOffice:
    """A ledger whose book has 2 tickets."""
    return PostOffice(HEAD + STOCK + more, **how)


def drawn(office: PostOffice, pool: str, bucket: int = 0) -> int:
    """What a pool, or a lease, has given."""
    return office.at(pool).account.counts.get(bucket, {}).get(DRAWN, 0)


def out(account: Account, lease: str, bucket: int = 0) -> int:
    """What a lease has of its pool, as either of them has it."""
    return account.counts.get(bucket, {}).get(f"{OUT}{lease}", 0)


# -- the numbers of two-accounts.md C ----------------------------------------------------------------------------------


def test_a_stock_is_first_come_first_served_by_its_own_stream() -> None:
    office = stock_of()
    for name in "ABC":
        assert office.at(name).claims("ticket", claim=f"{name}1") == "accepted: asked"
    office.delivers("pool.asked", frm="A")
    office.delivers("pool.asked", frm="B")
    assert office.delivers("pool.asked", frm="C") == "accepted: pool-empty"
    assert office.at("A").gives_claim_back("A1") == "accepted"  # before the yes has come
    assert office.delivers("pool.answered", to="A") == "accepted: given-up"
    assert drawn(office, TICKETS) == 2
    assert office.delivers("pool.returned") == "accepted"
    assert drawn(office, TICKETS) == 1
    assert office.delivers("pool.answered", to="B") == "accepted"
    assert office.delivers("pool.answered", to="C") == "accepted: pool-empty"
    assert office.at("C").last.figures == {"claim": "C1"}
    assert office.at("C").claims("ticket", claim="C2") == "accepted: asked"  # the quota is free again
    office.delivers_all()
    assert office.at("C").last.reason == ""
    assert drawn(office, TICKETS) == 2
    assert office.at("C").claims("ticket", claim="C3") == "refused: quota-used"


def test_a_budget_gives_all_or_nothing_and_what_lapsed_counts_as_nothing_in_later_returns() -> None:
    office = budget_of()
    first, second = office.at("A"), office.at("B")
    first.completes("O1", TEN)
    second.completes("O2", TEN)
    assert (first.beans, first.pending) == (0, 10)
    office.delivers_all()
    assert (first.beans, first.pending) == (10, 0)
    assert (second.beans, second.pending, second.purse.expired) == (0, 0, 10)
    assert second.last.reason == "pool-empty"
    second.returns("O2", [("1", 1, 1_000)])
    assert (second.debt, second.purse.clawed_back) == (0, 0)
    assert drawn(office, PARTY) == 10


def test_leases_take_blocks_and_the_last_one_is_told_that_nothing_is_left() -> None:
    office = PostOffice(HEAD + STOCK.replace("stock = 2", "stock = 3\nlease = 2"), partitions=2)
    names = [name for name in map(str, range(20)) if _birth(name) == 0][:2]
    names += [name for name in map(str, range(20)) if _birth(name) == 1][:2]
    for name in names:
        office.at(name).claims("ticket", claim=f"{name}-1")
        office.delivers_all()
    assert [office.at(name).last.reason for name in names] == ["", "", "", "pool-empty"]
    leases = sorted(name for name in office.residents if "@" in name)
    assert [drawn(office, lease) for lease in leases] == [2, 1]
    root = office.at(TICKETS).account
    assert [out(root, lease) for lease in leases] == [2, 1]
    assert [out(office.at(lease).account, lease) for lease in leases] == [2, 1]


def test_a_lowered_limit_calls_back_what_leases_have_free_and_nothing_that_is_drawn() -> None:
    book = HEAD + STOCK.replace("stock = 2", "stock = 4\nlease = 3")
    lower = book.replace("stock = 4", "stock = 1").replace("lease = 3", "lease = 1").replace("2025-01-01", "2025-12-01")
    office = PostOffice(book, lower)
    office.at("A").claims("ticket", claim="A1")
    office.delivers_all()
    (lease,) = [name for name in office.residents if "@" in name]
    root = office.at(TICKETS).account
    assert (out(root, lease), drawn(office, lease)) == (3, 1)
    office.at("B").claims("ticket", claim="B1", at="2025-12-01 10:00")
    office.delivers_all()
    assert office.at("B").last.reason == "pool-empty"
    assert (out(root, lease), drawn(office, lease)) == (1, 1)


def test_a_book_without_leases_has_back_what_those_before_it_had_free() -> None:
    book = HEAD + STOCK.replace("stock = 2", "stock = 4\nlease = 3")
    later = book.replace("\nlease = 3", "").replace("from = 2025-01-01\nutc", "from = 2025-12-01\nutc")
    office = PostOffice(book, later)
    for name in "ABCDE":
        office.at(name).claims("ticket", claim=f"{name}1", at="" if name == "A" else "2025-12-01 10:00")
        office.delivers_all()
    assert [office.at(name).last.reason for name in "ABCDE"] == ["", "", "", "", "pool-empty"]
    (lease,) = [name for name in office.residents if "@" in name]
    assert [letter.type for letter in office.delivered].count("lease.recalled") == 1
    assert (out(office.at(TICKETS).account, lease), drawn(office, TICKETS), drawn(office, lease)) == (1, 3, 1)


@pytest.mark.parametrize("how", ["is_closed", "is_frozen"])
def test_the_leases_of_a_pool_that_is_closed_or_frozen_give_nothing_more(how: str) -> None:
    office = PostOffice(HEAD + STOCK.replace("stock = 2", "stock = 4\nlease = 3"))
    office.at("A").claims("ticket", claim="A1")
    office.delivers_all()
    getattr(office.at(TICKETS), how)()
    office.delivers_all()
    office.at("B").claims("ticket", claim="B1")
    office.delivers_all()
    assert (office.at("A").last.reason, office.at("B").last.reason) == ("", "pool-closed")
    office.at(TICKETS).is_reopened() if how == "is_closed" else office.at(TICKETS).is_unfrozen()
    for name in "CDEF":
        office.at(name).claims("ticket", claim=f"{name}1")
        office.delivers_all()
    assert [office.at(name).last.reason for name in "CDEF"] == ["", "", "", "pool-empty"]


def test_a_lease_that_is_closed_gives_back_what_it_has_free() -> None:
    office = PostOffice(HEAD + STOCK.replace("stock = 2", "stock = 4\nlease = 3"))
    office.at("A").claims("ticket", claim="A1")
    office.delivers_all()
    (lease,) = [name for name in office.residents if "@" in name]
    office.at(lease).is_closed()
    office.delivers_all()
    assert (out(office.at(TICKETS).account, lease), out(office.at(lease).account, lease)) == (1, 1)


# -- what comes back, before the answer and after it -------------------------------------------------------------------

REFILL = CAMPAIGN + "refill = true\n"


def test_a_part_return_while_asked_comes_from_the_waiting_lot_and_never_makes_debt() -> None:
    office = PostOffice(HEAD + AWARD + REFILL)
    member = office.at("A")
    member.completes("O1", TEN)
    member.returns("O1", [("1", 0, 400)])
    assert (member.pending, member.debt, member.purse.clawed_back) == (6, 0, 4)
    office.delivers("pool.asked")
    office.delivers("pool.answered")
    assert (member.beans, member.pending, drawn(office, PARTY)) == (6, 0, 10)
    office.delivers("pool.returned")
    assert drawn(office, PARTY) == 6
    member.returns("O1", [("1", 1, 600)])
    office.delivers_all()
    assert (member.beans, member.debt, drawn(office, PARTY)) == (0, 0, 0)


def test_a_whole_return_while_asked_gives_the_ask_up_and_the_yes_goes_back_also_without_refill() -> None:
    office = budget_of()
    member = office.at("A")
    member.completes("O1", TEN)
    member.returns("O1", [("1", 1, 1_000)])
    assert (member.pending, member.purse.clawed_back) == (0, 10)
    office.delivers("pool.asked")
    assert drawn(office, PARTY) == 10
    assert office.delivers("pool.answered") == "accepted: given-up"
    office.delivers_all()
    assert (drawn(office, PARTY), member.beans, member.debt) == (0, 0, 0)


def test_without_refill_what_a_return_takes_back_stays_drawn() -> None:
    office = budget_of()
    member = office.at("A")
    member.completes("O1", TEN)
    office.delivers_all()
    member.returns("O1", [("1", 1, 1_000)])
    office.delivers_all()
    assert (member.beans, drawn(office, PARTY)) == (0, 10)


def test_an_amended_line_asks_for_what_is_more() -> None:
    office = budget_of()
    member = office.at("A")
    member.completes("O1", TEN)
    member.amends("O1", [("books", 1, 1_800)])
    assert member.pending == 18
    office.delivers_all()  # 10, then 8 of which the budget has 5
    assert (member.beans, member.purse.expired, drawn(office, PARTY)) == (10, 8, 10)
    member.returns("O1", [("1", 1, 1_800)])
    assert (member.beans, member.debt, member.purse.clawed_back) == (0, 0, 10)


def test_what_lapsed_counts_as_nothing_where_an_amended_line_is_given_more() -> None:
    office = budget_of()
    office.at("A").completes("O1", TEN)
    member = office.at("B")
    member.completes("O2", TEN)
    office.delivers_all()
    assert (member.beans, member.purse.expired) == (0, 10)
    member.amends("O2", [("books", 1, 1_300)])
    office.delivers_all()
    assert member.beans == 3
    member.returns("O2", [("1", 0, 650)])  # K of the 3 that were given, and not of 13
    assert member.beans == 1


def test_an_answer_that_comes_twice_or_after_the_end_of_its_points_changes_nothing_more() -> None:
    office = budget_of()
    member = office.at("A")
    member.completes("O1", TEN)
    office.delivers("pool.asked")
    member.signs_in(at="2027-01-01")  # the points would have ended on 2026-11-11
    assert member.pending == 10
    office.delivers("pool.answered")
    assert (member.beans, member.pending, member.purse.expired) == (0, 0, 10)
    assert office.delivers_again() == "ignored: duplicate"


def test_points_that_are_confirmed_repay_debt_first() -> None:
    office = budget_of()
    member = office.at("A")
    member.is_adjusted(-3)
    member.completes("O1", TEN)
    assert (member.debt, member.pending) == (3, 10)
    office.delivers_all()
    assert (member.debt, member.beans) == (0, 7)


def test_a_closed_account_gives_up_what_it_asked() -> None:
    office = PostOffice(HEAD + AWARD + CAMPAIGN + STOCK)
    member = office.at("A")
    member.completes("O1", TEN)
    member.claims("ticket", claim="T1")
    member.is_closed()
    assert (member.pending, member.purse.forfeited) == (0, 10)
    member.is_reopened()
    office.delivers_all()
    assert (drawn(office, PARTY), drawn(office, TICKETS)) == (0, 0)
    assert member.beans == 0
    assert member.claims("ticket", claim="T2") == "accepted: asked"  # the quota did not count the first


# -- claims ------------------------------------------------------------------------------------------------------------

PRICED = """
price = [{ kind = "beans", points = 30 }]
gives = [{ kind = "coins", points = 7 }]

[kinds.coins]
name = "币"
expiry = [{ from = 2025-01-01, days = 30 }]
"""


def test_the_price_is_held_until_the_stock_answers_and_a_no_costs_nothing() -> None:
    office = stock_of(PRICED)
    for name in "ABC":
        office.at(name).is_granted(40)
        office.at(name).claims("ticket", claim=f"{name}1", at="2025-11-11 12:00")
    assert (office.at("A").beans, office.at("A").purse.held(), office.at("A").purse.redeemed) == (10, 30, 0)
    assert office.at("A").account.purse("coins").issued == 0
    office.delivers_all()
    assert (office.at("A").beans, office.at("A").purse.held(), office.at("A").purse.redeemed) == (10, 0, 30)
    (coins,) = office.at("A").account.purse("coins").lots.values()
    assert (coins.left, coins.earned_at) == (7, office.at("A").last.occurred)  # as of when it was claimed
    assert (office.at("C").beans, office.at("C").purse.held(), office.at("C").purse.redeemed) == (40, 0, 0)
    assert office.at("A").gives_claim_back("A1") == "accepted"
    office.delivers_all()
    assert (office.at("A").beans, office.at("A").account.purse("coins").spendable()) == (40, 0)
    assert drawn(office, TICKETS) == 2  # the book does not say `refill`


def test_a_claim_that_comes_back_refills_a_stock_whose_book_says_so() -> None:
    office = stock_of("refill = true")
    office.at("A").claims("ticket", claim="A1")
    office.delivers_all()
    office.at("A").gives_claim_back("A1")
    office.delivers_all()
    assert drawn(office, TICKETS) == 0
    assert office.at("A").gives_claim_back("A1") == "ignored: already"


def test_an_order_that_is_cancelled_gives_up_the_claim_that_was_made_for_it() -> None:
    office = stock_of("returns_with_order = true")
    member = office.at("A")
    member.pays("O1", TEN)
    member.claims("ticket", claim="A1", order="O1")
    member.cancels("O1")
    office.delivers_all()
    assert drawn(office, TICKETS) == 0
    assert member.claims("ticket", claim="A2") == "accepted: asked"


def test_no_hold_has_the_name_of_a_price_that_is_held() -> None:
    office = stock_of(PRICED)
    member = office.at("A")
    member.is_granted(100)
    member.claims("ticket", claim="A1")
    assert member.holds("claim/A1", 5, until="2026-01-01") == "ignored: already"
    assert member.captures("claim/A1", 5) == "ignored: unknown-hold"
    other = office.at("B")
    other.is_granted(100)
    other.holds("claim/B1", 5, until="2026-01-01")
    assert other.claims("ticket", claim="B1") == "ignored: already"
    assert other.releases("claim/B1") == "accepted"
    assert other.claims("ticket", claim="B1") == "ignored: already"  # a capture of that name would end the price


def test_no_card_takes_the_name_of_one_that_a_claim_is_about_to_open() -> None:
    card = '\n[memberships.gold]\nname = "金卡"\n[memberships.gold.products.month]\ndays = 30\n'
    office = stock_of('gives = [{ opens = "month" }]\n' + card)
    member = office.at("A")
    member.claims("ticket", claim="A1")
    assert member.buys("month", card="claim/A1") == "ignored: already"
    office.delivers_all()
    assert [term.card for term in member.account.terms["gold"]] == ["claim/A1"]


def test_a_stock_by_the_month_counts_in_the_month_of_the_claim() -> None:
    office = stock_of('stock_per = "month"', now="2025-11-30 23:59")
    for name in "ABC":
        office.at(name).claims("ticket", claim=f"{name}1")
    office.at("D").claims("ticket", claim="D1", at="2025-12-01")
    office.delivers("pool.asked", frm="D")  # a later month does not make room in the one before, nor take any
    office.delivers_all()
    assert [office.at(name).last.reason for name in "ABCD"] == ["", "", "pool-empty", ""]
    november = 2025 * 12 + 10
    assert [drawn(office, TICKETS, november), drawn(office, TICKETS, november + 1)] == [2, 1]


def test_claims_that_wait_count_where_a_member_may_have_so_many_tiers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.core.decisions.benefits.MAX_GRANTS", 1)
    score = (
        '\n[scores.level]\nname = "级"\nsettle = "at-once"\nwindow = "life"\nparts = { p = "分" }\n'
        'tiers = [{ at_least = 10, name = "gold" }]\n'
    )
    more = 'gives = [{ score = "level", tier = "gold", days = 10 }]\n' + score
    office = PostOffice(HEAD + STOCK.replace("quota = 1", "quota = 9") + more)
    member = office.at("A")
    assert member.claims("ticket", claim="A1") == "accepted: asked"
    assert member.claims("ticket", claim="A2") == "refused: too-many-grants"
    office.delivers_all()
    assert len(member.account.grants) == 1


# -- campaigns ---------------------------------------------------------------------------------------------------------


def test_a_member_is_given_no_more_of_a_campaign_than_its_bound_counted_as_asked() -> None:
    office = budget_of("each_member = 12")
    member = office.at("A")
    member.completes("O1", TEN)
    member.completes("O2", TEN)
    assert member.awarded == [10, 2]
    member.completes("O3", TEN)
    assert member.awarded == [10, 2]
    office.delivers_all()
    assert (member.beans, drawn(office, PARTY)) == (12, 12)


def test_a_campaign_holds_between_its_dates_and_for_whom_it_is() -> None:
    more = (
        'from = 2025-11-11\nuntil = 2025-11-12\nwho = { attribute = { kind = { in = ["person"] } } }\n'
        '[attributes.kind]\nname = "客户"'
    )
    office = budget_of(more, now="2025-11-10 10:00")
    member = office.at("A")
    member.tells("member.described", attributes={"kind": "person"})
    member.completes("O1", TEN)
    member.completes("O2", TEN, at="2025-11-11")
    member.completes("O3", TEN, at="2025-11-12")
    office.at("B").completes("O4", TEN, at="2025-11-11")
    assert (member.awarded, office.at("B").awarded) == ([10], [])


def test_a_pool_that_is_closed_or_frozen_gives_nothing() -> None:
    office = budget_of()
    office.at(PARTY).is_frozen()
    office.at("A").completes("O1", TEN)
    office.delivers_all()
    assert office.at("A").last.reason == "pool-closed"
    office.at(PARTY).is_unfrozen()
    office.at("A").completes("O2", TEN)
    office.delivers_all()
    assert office.at("A").beans == 10


def test_a_pool_is_no_member() -> None:
    office = budget_of()
    assert office.at(PARTY).completes("O1", TEN) == "ignored: not-a-member"
    assert office.at(PARTY).redeems(1) == "refused: not-a-member"


def test_a_pool_that_has_not_read_the_newest_book_goes_by_what_the_ask_carries() -> None:
    office = budget_of()
    office.books = (HEAD + AWARD + CAMPAIGN.replace("budget = 15", "budget = 5"),)
    office.at(PARTY)  # born with another book
    office.books = (HEAD + AWARD + CAMPAIGN,)
    office.at("A").completes("O1", TEN)
    office.delivers_all()
    assert office.at("A").beans == 10


def test_an_entry_that_asks_twice_gives_each_ask_its_name() -> None:
    office = budget_of(award=AWARD.replace('"double"', '"triple"'))
    member = office.at("A")
    member.completes("O1", [("books", 1, 500)])
    office.delivers_all()
    assert (member.beans, drawn(office, PARTY)) == (10, 10)


# -- books that say it wrongly -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (AWARD, 'award[0] (rule "double").campaign: there is no [campaigns.party]'),
        (CAMPAIGN.replace("beans", "coins"), "campaigns.party.kind: there is no [kinds.coins]"),
        (CAMPAIGN + "each_member = 16", "campaigns.party.each_member: is above the budget of 15"),
        (CAMPAIGN + "lease = 16", "campaigns.party.lease: is above the budget of 15"),
        (CAMPAIGN + "budgets = 1", "campaigns.party: no key `budgets`; there are name, kind, budget, each_member"),
        (
            AWARD.replace('kind = "beans"', 'score = "s"\npart = "p"')
            + CAMPAIGN
            + '[scores.s]\nname = "s"\nparts = { p = "p" }',
            "campaign: a budget is of points",
        ),
        (AWARD + "pending = { days = 3 }" + CAMPAIGN, "campaign: what it gives waits for the budget's answer"),
        (
            AWARD.replace("order.completed", "tier.reached")
            .replace('each = "line"\n', "")
            .replace(", per_fen = 100", "")
            + CAMPAIGN,
            "campaign: tier.reached may come as time passes",
        ),
        (STOCK + "lease = 3", "benefits.ticket.lease: is above the stock of 2"),
        (STOCK.replace("stock = 2", "refill = true"), "benefits.ticket.refill: is of a stock, and there is no `stock`"),
        (STOCK.replace("stock = 2", "stock = 0"), "benefits.ticket.stock: Expected `int` >= 1"),
    ],
)
def test_a_book_that_says_a_budget_or_a_stock_wrongly_is_refused(more: str, said: str) -> None:
    with pytest.raises(BadProgramme) as refused:
        parse_programme(HEAD + more)
    assert said in str(refused.value)


def _birth(name: str) -> int:
    return partition_of(name, 2)
