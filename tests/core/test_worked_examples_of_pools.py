"""Worked examples of budgets and stocks that members share: asked, drawn or empty, confirmed or lapsed.

How to read them: test_worked_examples.py; several accounts of one ledger: tests/support/post_office.py.
"""

from ledger.core.account import Account
from ledger.core.evolve import DRAWN, OUT
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


def _birth(name: str) -> int:
    from ledger.wire.murmur import partition_of

    return partition_of(name, 2)
