"""Members of several names who sit in houses, have cards, holds and purses that are empty: two-accounts.md F, with D.

How to read them: test_worked_examples.py; several accounts of one ledger: tests/support/post_office.py and town.py.
"""

import json

import pytest

from ledger.wire.facts import MAX_BYTES
from ledger.wire.times import SECOND, to_text
from tests.core.test_worked_examples_of_benefits import AT_SHOPS
from tests.core.test_worked_examples_of_benefits import BOOK as CLAIMS
from tests.core.test_worked_examples_of_houses import BOOK, house_of, joins, leaves, used
from tests.core.test_worked_examples_of_merges import done, merges, parts, spendable, takes_back, town_of
from tests.core.test_worked_examples_of_pools import HEAD, STOCK, drawn
from tests.core.test_worked_examples_of_pools import TICKETS as POOL
from tests.support.post_office import PostOffice
from tests.support.shop import OPERATORS
from tests.support.town import Town


def merged(office: PostOffice, name: str, into: str) -> None:
    assert office.at(name).tells("member.merged", into=into) == "accepted"
    office.delivers_all()


def claims(office: PostOffice, claim: str) -> str:
    """What comes of a claim of B's by a seat."""
    office.at("B").claims("coupon", claim=claim)
    office.delivers_all()
    return office.at("B").last.reason


# -- seats -------------------------------------------------------------------------------------------------------------


def test_two_names_that_sit_in_one_house_have_two_seats_until_one_leaves() -> None:
    office = house_of("A", "B")
    merged(office, "A", "B")
    assert claims(office, "first") == ""
    leaves(office, "A")
    office.delivers_all()
    assert claims(office, "second") == "", "B still sits there"
    assert office.at("B").shown["seats"]["house/lin"]["state"] == "active"
    leaves(office, "B")
    office.delivers_all()
    assert claims(office, "third") == "no-membership"
    assert used(office) == {"coupon:0": 2}


def test_the_seat_that_is_left_is_that_of_the_other_name() -> None:
    office = house_of("A", "B")
    merged(office, "A", "B")
    leaves(office, "B")
    office.delivers_all()
    assert claims(office, "C1") == ""
    assert [key for key in office.at("house/lin").pages if key.startswith("ask/A/")]


def test_words_of_a_house_about_two_names_do_not_outrun_each_other() -> None:
    office = house_of("A")
    merged(office, "A", "B")
    joins(office, "B")
    leaves(office, "A")
    office.delivers("seat.changed", to="A")
    assert office.delivers("member.forwarded") == "accepted", "A has left"
    assert office.delivers("seat.changed", to="B") == "accepted", "an older word, about another seat"
    assert claims(office, "C1") == ""
    assert office.at("B").tells("member.unmerged", name="A") == "accepted"
    office.delivers_all()
    assert [len(office.at(name).account.seats["house/lin"].terms) for name in "AB"] == [0, 1]


# -- cards -------------------------------------------------------------------------------------------------------------


def buys(town: Town, name: str, product: str, card: str = "C1") -> str:
    return town.tells(name, "card.purchased", card=card, product=product, paid_fen=9_900)


def test_accounts_that_each_have_a_card_of_one_name_stay_two() -> None:
    town = Town(BOOK, "2025-06-01 10:00")
    buys(town, "A", "club.single")
    buys(town, "B", "club.year")
    merges(town, "A", "B")
    done(town)
    assert (town.member("A").last.reason, town.member("B").last.figures) == ("same-card", {"card": "C1"})
    town.tells("A", "card.refunded", card="C1", refund_fen=9_900)
    ends = [town.member(name).account.terms["club"][0].until - town.member(name).account.clock for name in "AB"]
    assert ends[0] == 0 < ends[1]


@pytest.mark.parametrize("late", ["A", "B"])
def test_a_card_of_one_name_that_is_bought_while_they_merge_keeps_its_term(late: str) -> None:
    town = Town(BOOK, "2025-06-01 10:00")
    buys(town, "B" if late == "A" else "A", "club.single")
    merges(town, "A", "B")
    if late == "B":
        assert town.delivers() == "accepted", "A is taken in"
    buys(town, late, "club.year")
    done(town)
    town.tells("B", "member.described", at="2027-06-01 10:00", attributes={})
    assert all(term.ended for term in town.member("B").account.terms["club"])


def terms(town: Town, name: str) -> list[tuple[str, str, str]]:
    """The terms of a member that are not over: the card, and the days on which each begins and ends."""
    account = town.member(name).account
    laid = [term for term in account.terms.get("club", []) if term.until > account.clock]
    return [(t.card, *(to_text(at, 8 * 3_600 * SECOND)[5:10] for at in (t.start, t.until))) for t in laid]


CARDS = BOOK.replace('"club.single" = { days = 100 }', '"club.single" = { days = 30 }')


def two_cards() -> Town:
    """A and B are one since 1 June. A has had the card CA of 30 days since 27 May, B buys CB, for behind it."""
    town = Town(CARDS, "2025-05-27 10:00")
    buys(town, "A", "club.single", "CA")
    town.tells("B", "member.described", at="2025-06-01 10:00", attributes={})
    merges(town, "A", "B")
    done(town)
    buys(town, "B", "club.single", "CB")
    assert terms(town, "B") == [("CA", "05-27", "06-26"), ("CB", "06-26", "07-26")]
    return town


def test_a_card_that_waited_behind_one_that_left_with_its_name_begins_then() -> None:
    town = two_cards()
    town.tells("B", "member.described", at="2025-06-05 10:00", attributes={})
    parts(town, "B", "A")
    done(town)
    assert terms(town, "A") == [("CA", "05-27", "06-26")]
    assert terms(town, "B") == [("CB", "06-05", "07-05")]


def test_a_card_that_waited_behind_one_that_left_begins_where_those_that_stay_end() -> None:
    """C's comes last, behind both; A's is not over where A leaves, and B's moves up, and C's behind it."""
    town = two_cards()
    buys(town, "C", "club.single", "CC")
    merges(town, "C", "B")
    done(town)
    assert terms(town, "B")[2] == ("CC", "07-26", "08-25")
    parts(town, "B", "A")
    done(town)
    assert terms(town, "B") == [("CB", "06-01", "07-01"), ("CC", "07-01", "07-31")]


def test_cards_of_names_that_move_together_keep_their_order() -> None:
    """B's card waits behind A's, which runs; both become C's, where no card is, and come back to B."""
    town = two_cards()
    laid = terms(town, "B")
    merges(town, "B", "C")
    done(town)
    assert terms(town, "C") == laid
    parts(town, "C", "B")
    done(town)
    assert terms(town, "B") == laid


def test_what_is_left_of_a_card_that_came_is_all_that_is_left_where_it_moves_up() -> None:
    """Of A's card 25 days are left. They are laid behind B's, which is given back on 5 June."""
    town = Town(CARDS, "2025-05-27 10:00")
    buys(town, "A", "club.single", "CA")
    town.tells("B", "card.purchased", at="2025-06-01 10:00", card="CB", product="club.single", paid_fen=9_900)
    merges(town, "A", "B")
    done(town)
    assert terms(town, "B") == [("CB", "06-01", "07-01"), ("CA", "07-01", "07-26")]
    town.tells("B", "card.refunded", at="2025-06-05 10:00", card="CB", refund_fen=9_900)
    assert terms(town, "B") == [("CA", "06-05", "06-30")]


# -- holds and purses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hold", ["~zz", "~B\nx", "~\nx", "~A\nx"])
def test_a_hold_may_be_called_as_names_are(hold: str) -> None:
    town = town_of(A=100, B=50)
    town.tells("A", "hold.requested", hold=hold, points=10, use="any", until="2025-12-01T00:00:00+08:00")
    town.tells("A", "hold.requested", hold=f"{hold}2", points=5, use="any", until="2025-12-01T00:00:00+08:00")
    merges(town, "A", "B")
    done(town)
    assert not town.member("A").account.holds
    town.tells("A", "hold.captured", hold=hold, points=10)
    done(town)
    assert town.member("B").purse().redeemed == 10
    parts(town, "B", "A")
    done(town)
    assert town.tells("A", "member.described", at="2025-12-05 10:00", attributes={}) == "accepted"
    assert spendable(town, "A", "B") == [90, 50]


def test_what_a_name_spent_whole_comes_back_where_nobody_had_points_of_that_kind() -> None:
    town = town_of(A=30)
    town.spends("A", 30, "R1")
    town.opens("A", "L2", 20, "2027-01-01")
    town.gives("A", "C", 20, "G1")
    done(town)
    merges(town, "A", "B")
    done(town)
    assert "beans" not in town.member("B").account.purses
    assert town.tells("A", "redemption.reversed", redemption="R1") == "accepted: forwarded"
    done(town)
    assert spendable(town, "B") == [30]
    parts(town, "B", "A")
    done(town)
    assert spendable(town, "A", "B") == [30, 0]


def test_a_gift_comes_back_where_nobody_had_points_of_that_kind() -> None:
    town = town_of(A=20)
    town.gives("A", "C", 20, "G1")
    done(town)
    merges(town, "A", "B")
    done(town)
    town.reverses("A", "G1")
    done(town)
    assert spendable(town, "B", "C") == [20, 0]


# -- shops -------------------------------------------------------------------------------------------------------------


def test_the_tier_at_a_shop_is_that_of_the_sum_while_names_are_one() -> None:
    town = Town(CLAIMS + AT_SHOPS.replace("quota = 1", "quota = 9"), "2025-06-01 10:00")
    names = iter(range(9))

    def tea(name: str) -> str:
        claim = f"B{next(names)}"
        town.tells(name, "benefit.claimed", claim=claim, benefit="tea", shop="shop-a")
        done(town)
        is_alias = name == "A" and town.member("A").account.bundle.alias
        return town.member("B" if is_alias else name).last.reason

    for name in "AB":
        lines = [{"line": "1", "paid_fen": 60_00, "category": "tea"}]
        town.tells(name, "order.completed", order="O", shop="shop-a", lines=lines)
    assert town.tells("B", "benefit.claimed", claim="early", benefit="tea", shop="shop-a") == "refused: not-entitled"
    merges(town, "A", "B")
    done(town)
    assert [tea("A"), tea("B")] == ["", ""]
    back = [{"line": "1", "quantity": 1, "refund_fen": 30_00}]
    town.tells("A", "order.returned", **{"return": "T"}, order="O", lines=back)
    done(town)
    assert [tea("B"), tea("A")] == ["not-entitled", "not-entitled"], "the sum has fallen"
    lines = [{"line": "1", "paid_fen": 60_00, "category": "tea"}]
    town.tells("B", "order.completed", order="O2", shop="shop-a", lines=lines)
    assert tea("A") == "", "the tier is there again, whoever asks"
    parts(town, "B", "A")
    done(town)
    assert [tea("A"), tea("B")] == ["not-entitled", ""]


# -- pages -------------------------------------------------------------------------------------------------------------


def test_an_order_as_large_as_a_fact_may_be_moves_and_its_lines_come_back() -> None:
    town = town_of(A=1, B=1)
    lines = [
        {"line": str(n).ljust(128, "行"), "paid_fen": 100, "quantity": 1, "category": str(n).ljust(128, "类")}
        for n in range(1_000)
    ]
    head = {"specversion": "1.0", "id": "large", "source": "/shop", "type": "order.completed.v1", "subject": "A"}
    fact = head | {"time": "2025-04-01T10:00:00+08:00", "data": {"order": "large", "lines": lines}}
    assert town.hears("A", json.dumps(fact, ensure_ascii=False, separators=(",", ":")).encode()) == "accepted"
    merges(town, "A", "B")
    done(town)
    assert max(len(letter.raw) for letter in town.sent) < MAX_BYTES * 3 // 4
    assert spendable(town, "A", "B") == [0, 1_002]
    back = {"line": lines[7]["line"], "quantity": 1, "refund_fen": 100}
    town.tells("A", "order.returned", **{"return": "T", "order": "large", "lines": [back]})
    done(town)
    parts(town, "B", "A")
    done(town)
    assert spendable(town, "A", "B") == [1_000, 1]
    assert takes_back(town, "A", "large") == "ignored: unknown-line"


def test_a_second_return_under_the_name_that_never_saw_the_order_reaches_it_too() -> None:
    """Of A's order of 2 pieces and 100 beans B is told both returns: one before they are one, and one after."""
    town = town_of(C=1)
    town.tells("A", "order.completed", order="O1", lines=[{"line": "1", "quantity": 2, "paid_fen": 100_00}])

    def returns(name: str) -> None:
        back = [{"line": "1", "quantity": 1, "refund_fen": 50_00}]
        town.tells("B", "order.returned", **{"return": name}, order="O1", lines=back)
        done(town)

    returns("T1")
    merges(town, "A", "B")
    done(town)
    assert spendable(town, "B") == [50]
    returns("T2")
    assert spendable(town, "B") == [0]


@pytest.mark.parametrize(("seen_by", "left"), [("redemption", 50), ("cancellation", 150)])
def test_a_return_that_another_name_remembers_meets_an_order_that_has_not_completed(seen_by: str, left: int) -> None:
    """A has 50 beans and an order that it redeemed for, or cancelled, before it completes; B is told of its return.

    The return is netted as the order completes, and the 10 beans come back; a cancellation drops what was remembered.
    """
    town = town_of(A=50, C=1)
    if seen_by == "redemption":
        asked = {"redemption": "R", "points": 10, "use": "any", "order": "O1", "settlement_fen": 100_00}
        assert town.tells("A", "redemption.requested", **asked) == "accepted"
    else:
        town.tells("A", "order.cancelled", order="O1")
    takes_back(town, "B", "O1", 100_00)
    merges(town, "A", "B")
    done(town)
    town.tells("A", "order.completed", order="O1", lines=[{"line": "1", "paid_fen": 100_00}])
    done(town)
    assert spendable(town, "B") == [left]


# -- tiers -------------------------------------------------------------------------------------------------------------

LEVEL = """
programme = "corner"
name = "街角"
from = 2024-01-01
utc_offset = "+08:00"

[kinds]

[scores.level]
name = "等级"
settle = "at-once"
window = "year"
hold = { days = 400 }
parts = { spent = "消费" }
tiers = [{ at_least = 10, name = "silver" }]

[memberships.club]
name = "会员卡"
products = { "club.day" = { days = 1 } }

[[award]]
rule = "spent"
name = "消费"
on = "order.completed"
each = "line"
score = "level"
part = "spent"
give = { points = 1, per_fen = 100 }
"""


@pytest.mark.parametrize("is_granted", [True, False])
def test_a_tier_that_a_name_brings_ends_when_it_would_have_ended(is_granted: bool) -> None:
    """Of A, until 5 February 2026: granted until then, or reached on 1 January 2025 and held for 400 days."""
    town = Town(LEVEL, "2025-01-01 00:00")
    if is_granted:
        until = "2026-02-05T00:00:00+08:00"
        town.tells("A", "tier.granted", source=OPERATORS, grant="T", score="level", tier="silver", until=until)
    else:
        town.tells("A", "order.completed", order="O", lines=[{"line": "1", "paid_fen": 10_00}])
    merges(town, "A", "B")
    done(town)

    def tier(name: str, at: str) -> str:
        assert town.tells(name, "member.described", at=at, attributes={}).startswith("accepted")
        return town.member(name).account.tiers.get("level", "")

    assert [tier("B", "2026-02-04 23:59"), tier("B", "2026-02-05 00:00")] == ["silver", ""]


@pytest.mark.parametrize(("first", "second"), [("A", "B"), ("B", "A")])
def test_a_tier_that_two_names_hold_is_held_by_each_until_its_own_end_once_they_have_parted(
    first: str, second: str
) -> None:
    """One reached it on 1 January 2025 and the other on 1 June, for 400 days each."""
    town = Town(LEVEL, "2025-01-01 00:00")
    for name, at in ((first, "2025-01-01 00:00"), (second, "2025-06-01 00:00")):
        lines = [{"line": "1", "paid_fen": 10_00}]
        town.tells(name, "order.completed", at=at, order="O", lines=lines)
    merges(town, "A", "B")
    done(town)
    town.tells("B", "card.purchased", card="K", product="club.day", paid_fen=1)
    town.tells("B", "member.described", at="2025-07-01 00:00", attributes={})  # a card ended: what is due next is asked
    parts(town, "B", "A")
    done(town)
    ends = ((first, "2026-02-04 23:59", "2026-02-05 00:00"), (second, "2026-07-05 23:59", "2026-07-06 00:00"))
    for name, before, end in ends:
        for at, tier in ((before, "silver"), (end, "")):
            town.tells(name, "member.described", at=at, attributes={})
            assert town.member(name).account.tiers.get("level", "") == tier, at


# -- what is asked of pools and houses ---------------------------------------------------------------------------------

TICKETS = HEAD + STOCK.replace("quota = 1", "quota = 3").replace("stock = 2", "stock = 9")
TIED = 'returns_with_order = true\nquota = { "club.year" = 5'


def asks(office: PostOffice, *names: str) -> None:
    """Each name claims a ticket, as its first fact, so that all these asks are called the same."""
    for name in names:
        assert office.at(name).claims("ticket", claim=f"C-{name}") == "accepted: asked"


def tickets(office: PostOffice, name: str) -> int:
    return office.at(name).shown["benefits"]["ticket"]["left"]


@pytest.mark.parametrize("is_another_asked", [True, False])
def test_a_closing_gives_up_what_every_name_asked_also_where_two_asks_are_called_the_same(
    is_another_asked: bool,
) -> None:
    office = PostOffice(TICKETS)
    asks(office, "A", "B")
    letters, office.waiting = office.waiting, []
    merged(office, "A", "B")
    if is_another_asked:
        assert office.at("B").claims("ticket", claim="C3") == "accepted: asked"
    office.waiting += letters
    assert office.at("B").tells("account.closed") == "accepted"
    office.delivers_all()
    assert drawn(office, POOL) == 0
    office.at("B").tells("account.reopened")
    assert office.at("B").tells("member.unmerged", name="A") == "accepted"
    office.delivers_all()
    assert [tickets(office, name) for name in "AB"] == [3, 3]


def test_what_a_closing_gives_up_is_counted_back_under_the_name_that_counted_it() -> None:
    office = PostOffice(TICKETS)
    asks(office, "B")
    office.delivers_all()
    asks(office, "A")
    letters, office.waiting = office.waiting, []
    merged(office, "A", "B")
    office.at("B").tells("account.closed")
    office.at("B").tells("account.reopened")
    office.at("B").tells("member.unmerged", name="A")
    office.waiting += letters
    office.delivers_all()
    assert [tickets(office, name) for name in "AB"] == [3, 2]
    assert drawn(office, POOL) == 1


def test_an_order_that_a_seat_of_another_name_was_claimed_for_is_the_ones_who_has_it() -> None:
    """B sits, and a coupon is claimed for an order of A's. The house has it back when the order is cancelled."""
    office = house_of("B", book=BOOK.replace('quota = { "club.year" = 5', TIED))
    merged(office, "A", "B")
    office.at("A").claims("coupon", claim="C1", order="O1")
    office.delivers_all()
    assert used(office) == {"coupon:0": 1}
    office.at("A").tells("order.cancelled", order="O1")
    office.delivers_all()
    assert used(office) == {}
    office.at("A").claims("coupon", claim="C2", order="O2")
    office.delivers_all()
    office.at("A").completes("O2", [("books", 1, 1_000)])
    office.delivers_all()
    office.at("B").tells("member.unmerged", name="A")
    office.delivers_all()
    assert [office.at(name).beans for name in "AB"] == [10, 0]


# -- facts that wait ---------------------------------------------------------------------------------------------------

RAISED = (
    LEVEL.replace(
        "[kinds]",
        """
[kinds.beans]
name = "豆"
expiry = [{ from = 2024-01-01, days = 900 }]
""",
    )
    + """
[[award]]
rule = "reached"
name = "升级"
on = "tier.reached"
kind = "beans"
give = { points = 7 }

[[award]]
rule = "silver"
name = "银卡"
on = "order.completed"
kind = "beans"
who = { tier = { level = { in = ["silver"] } } }
give = { points = 3 }
"""
)


@pytest.mark.parametrize("is_late", [True, False])
def test_facts_that_waited_for_a_name_are_decided_as_if_each_had_an_entry_of_its_own(is_late: bool) -> None:
    """By A's first order silver is reached, for 7 beans; its second one earns 3 more as silver. All of it is A's."""
    town = Town(RAISED, "2025-01-01 00:00")
    merges(town, "A", "B")
    while town.post[0].kind != "member.moved.v1":
        town.delivers()
    moved = town.post.pop(0)
    if not is_late:
        town.post.insert(0, moved)
        done(town)
    for order in ("O1", "O2"):
        town.tells("A", "order.completed", order=order, lines=[{"line": "1", "paid_fen": 10_00}])
    if is_late:
        assert [town.delivers(), town.delivers()] == ["accepted: waits", "accepted: waits"]
        town.post.append(moved)
    done(town)
    assert spendable(town, "B") == [10]
    parts(town, "B", "A")
    done(town)
    assert spendable(town, "A", "B") == [10, 0]


def test_an_order_whose_return_met_that_of_another_name_is_known_once_they_have_parted() -> None:
    """A is told a return of B's order, which takes 20 beans of it while they are one; then A is told of its end."""
    town = town_of(C=1)
    town.tells("B", "order.completed", order="O1", lines=[{"line": "1", "quantity": 2, "paid_fen": 40_00}])
    assert takes_back(town, "A", "O1", 20_00) == "accepted: unknown-order"
    merges(town, "A", "B")
    done(town)
    assert spendable(town, "B") == [20]
    parts(town, "B", "A")
    done(town)
    assert town.tells("A", "order.cancelled", order="O1") == "accepted"
    assert spendable(town, "A", "B") == [0, 20]
