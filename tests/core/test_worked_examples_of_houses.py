"""Worked examples of houses: who sits there, what a seat gives, and quotas that several members share.

How to read them: test_worked_examples.py; several accounts of one ledger: tests/support/post_office.py.
"""

import pytest

from ledger.core.decisions.houses import MAX_HOUSES
from ledger.rulebook.checks import parse_programme
from ledger.rulebook.schema import BadProgramme
from tests.support.post_office import PostOffice, Resident

BOOK = """
programme = "club"
name = "会员"
from = 2025-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2025-01-01, days = 365 }]

[[award]]
rule = "welcome"
name = "欢迎"
on = "card.purchased"
kind = "beans"
give = { points = 50 }

[[award]]
rule = "rate"
name = "会员加倍"
on = "order.completed"
each = "line"
kind = "beans"
member = "club"
give = { points = 10, per_fen = 100 }

[[award]]
rule = "plain"
name = "会员"
on = "order.completed"
each = "line"
kind = "beans"
who = { card = { club = { in = ["club.year", "club.big"] } } }
give = { points = 1, per_fen = 100 }

[memberships.club]
name = "会员卡"
[memberships.club.products]
"club.year" = { days = 100, seats = 2 }
"club.big" = { days = 100, seats = 3, upgrades = ["club.year"] }
"club.single" = { days = 100 }

[memberships.club.benefits.coupon]
name = "券"
quota = { "club.year" = 5, "club.big" = 6, "club.single" = 1 }
per = "term"

[memberships.club.benefits.monthly]
name = "月券"
quota = 1
per = "month"
price = [{ kind = "beans", points = 30 }]
gives = [{ kind = "beans", points = 100 }]
"""
LIN, ZHAO = "house/lin", "house/zhao"


def house_of(*members: str, seats: str = "club.year", now: str = "2025-06-01 10:00", book: str = BOOK) -> PostOffice:
    """A ledger with a house that has a card, in which these members sit."""
    office = PostOffice(book, now=now)
    assert office.at(LIN).buys(seats, card="C1") == "accepted"
    for member in members:
        assert joins(office, member) == "accepted"
    office.delivers_all()
    return office


def joins(office: PostOffice, member: str, at: str = "", house: str = LIN, card: str = "C1") -> str:
    return office.at(house).tells("house.joined", at, house=house.removeprefix("house/"), card=card, member=member)


def leaves(office: PostOffice, member: str, at: str = "", house: str = LIN) -> str:
    return office.at(house).tells("house.left", at, house=house.removeprefix("house/"), member=member)


def used(office: PostOffice, house: str = LIN, card: str = "C1") -> dict[str, int]:
    """What of the quotas of a house's card is used, by benefit and bucket."""
    return next(term.used for terms in office.at(house).account.terms.values() for term in terms if term.card == card)


def until(member: Resident, house: str = LIN) -> list[str]:
    """The cards that a member's seat in a house gives, by what the member was told."""
    return [term.card for term in member.account.seats[house].terms] if house in member.account.seats else []


# -- the numbers of two-accounts.md D ----------------------------------------------------------------------------------


def test_a_card_seats_as_many_as_it_has_seats_and_who_leaves_makes_room() -> None:
    office = house_of("A", "B")
    assert joins(office, "C") == "ignored: seats-full"
    assert leaves(office, "A") == "accepted"
    assert joins(office, "C") == "accepted"
    office.delivers_all()
    assert [until(office.at(name)) for name in "ABC"] == [[], ["C1"], ["C1"]]


def test_all_who_sit_there_share_one_quota_and_what_comes_back_is_there_for_each() -> None:
    office = house_of("A", "B")
    for number, name in enumerate("AAABB"):
        assert office.at(name).claims("coupon", claim=f"{name}{number}") == "accepted: asked"
        office.delivers_all()
        assert office.at(name).last.reason == ""
    assert used(office) == {"coupon:0": 5}
    office.at("A").claims("coupon", claim="A5")
    office.delivers_all()
    assert (office.at("A").last.reason, office.at("A").last.figures) == ("quota-used", {"claim": "A5"})
    assert office.at("B").gives_claim_back("B4") == "accepted"
    office.delivers_all()
    assert used(office) == {"coupon:0": 4}
    office.at("A").claims("coupon", claim="A6")
    office.delivers_all()
    assert (office.at("A").last.reason, used(office)) == ("", {"coupon:0": 5})


def test_a_claim_of_day_29_that_is_asked_after_a_refund_of_day_30_is_judged_at_day_29() -> None:
    office = house_of("A")
    assert office.at("A").claims("coupon", claim="late", at="2025-06-30 09:00") == "accepted: asked"
    assert office.at("A").claims("coupon", claim="later", at="2025-07-01 11:00") == "accepted: asked"
    assert office.at(LIN).refunds_card("C1", at="2025-07-01 10:00") == "accepted"
    assert office.delivers("pool.asked", to=LIN) == "accepted"
    assert office.delivers("pool.asked", to=LIN) == "accepted: no-membership"
    office.delivers_all()
    assert office.at("A").claims("coupon", at="2025-07-01 12:00") == "refused: no-membership"
    assert (
        office.at("A").claims("coupon", claim="by-hand", at="2025-06-30 10:00") == "accepted: asked"
    )  # the seat had it


# -- the house ---------------------------------------------------------------------------------------------------------


def test_a_seat_is_refused_by_who_sits_there_the_card_and_the_room_in_this_order() -> None:
    office = house_of("A", "B")
    house = office.at(LIN)
    assert house.tells("house.joined", house="zhao", card="C1", member="C") == "ignored: not-a-house"
    office.at("house/").buys("club.year", card="C1")
    assert (
        office.at("house/").tells("house.joined", house="house/", card="C1", member="C") == "ignored: not-a-house"
    )  # it has no name
    assert office.at("A").tells("house.joined", house="A", card="C1", member="C") == "ignored: not-a-house"
    for name in ("house/zhao", "pool/benefits.x", "programme"):
        assert joins(office, name) == "ignored: not-a-member"
    assert joins(office, "A", card="no such") == "ignored: already"
    assert joins(office, "C", card="no such") == "ignored: unknown-card"
    assert joins(office, "C") == "ignored: seats-full"
    assert house.last.figures == {"seats": 2, "taken": 2}
    assert leaves(office, "C") == "ignored: no-seat"
    assert house.buys("club.single", card="C2") == "accepted"
    assert joins(office, "C", card="C2") == "ignored: seats-full"  # a card without seats
    assert joins(office, "C", at="2026-01-01") == "ignored: unknown-card"  # its term is over


def test_a_card_that_begins_later_seats_members_from_the_start() -> None:
    office = house_of()
    office.at(LIN).buys("club.big", card="C2", paid_fen=1)  # behind the first: no upgrade of it, since it is one
    assert joins(office, "A", card="C2") == "accepted"
    office.delivers_all()
    assert until(office.at("A"))[-1] == "C2"


def test_a_house_has_neither_points_nor_facts_of_members() -> None:
    office = house_of()
    house = office.at(LIN)
    assert house.account.purses == {}  # the rule on card.purchased gives it nothing
    assert house.completes("O1", [("books", 1, 10_000)]) == "ignored: not-a-member"
    assert house.claims("coupon") == "refused: not-a-member"
    assert house.is_adjusted(5) == "ignored: not-a-member"
    assert house.tells("member.described", attributes={"kind": "family"}) != "ignored: not-a-member"
    assert office.at("A").buys("club.single") == "accepted"
    assert office.at("A").beans == 50


def test_a_renewal_an_upgrade_and_a_refund_tell_each_who_sits_there() -> None:
    office = house_of("A", "B")
    house = office.at(LIN)
    house.buys("club.year", card="C2")
    assert [(letter.to, letter.type) for letter in office.waiting] == [("A", "seat.changed"), ("B", "seat.changed")]
    office.delivers_all()
    assert until(office.at("A")) == until(office.at("B")) == ["C1", "C2"]
    house.refunds_card("C2")
    office.delivers_all()
    assert until(office.at("B")) == ["C1"]
    house.buys("club.big", card="C3", at="2025-06-11 10:00")
    assert joins(office, "C", card="C3") == "accepted"  # it has one seat more
    office.delivers_all()
    terms = office.at("A").account.seats[LIN].terms
    assert [(term.card, term.product) for term in terms] == [("C1", "club.year"), ("C3", "club.big")]
    assert terms[0].until == terms[1].start


def test_a_seat_is_told_so_many_terms_from_the_last_that_ended_on() -> None:
    office = house_of("A")
    for number in range(2, 8):
        office.at(LIN).buys("club.year", card=f"C{number}")
    office.delivers_all()
    assert until(office.at("A")) == ["C1", "C2", "C3", "C4"]
    office.at(LIN).buys("club.year", card="C8", at="2026-01-01")  # in the third term
    office.delivers_all()
    assert until(office.at("A")) == ["C2", "C3", "C4", "C5"]


def test_a_card_with_fewer_seats_takes_nobodys_and_seats_nobody_else() -> None:
    office = house_of("A", "B", "C", seats="club.big")
    office.at(LIN).buys("club.year", card="C2")
    office.delivers_all()
    assert until(office.at("C")) == ["C1", "C2"]
    leaves(office, "A")
    assert joins(office, "D", card="C2") == "ignored: seats-full"
    leaves(office, "B")
    assert joins(office, "D", card="C2") == "accepted"


def test_a_house_that_is_closed_gives_nothing_and_tells_so() -> None:
    office = house_of("A")
    office.at("A").claims("coupon", claim="c1")
    office.at(LIN).is_closed()
    assert office.delivers("pool.asked") == "accepted: house-closed"
    office.delivers_all()
    assert until(office.at("A")) == []
    assert office.at("A").claims("coupon", claim="c2") == "refused: no-membership"
    office.at(LIN).is_reopened()
    office.delivers_all()
    office.at("A").claims("coupon", claim="c3")
    office.delivers_all()
    assert office.at("A").last.reason == ""
    office.at(LIN).is_frozen()
    office.at("A").claims("coupon", claim="c4")
    office.delivers_all()
    assert (office.at("A").last.reason, used(office)) == ("house-closed", {"coupon:0": 1})


# -- the member --------------------------------------------------------------------------------------------------------


def test_the_latest_word_of_a_house_holds_in_whatever_order_they_come() -> None:
    office = house_of("A")
    leaves(office, "A", at="2025-06-02")
    joins(office, "A", at="2025-06-03")
    leaves(office, "A", at="2025-06-04")
    first, second, third = office.waiting
    office.waiting = [third, first, second]
    assert office.delivers("seat.changed") == "accepted"
    assert [office.delivers("seat.changed") for _ in range(2)] == ["ignored: seat-older"] * 2
    assert until(office.at("A")) == []


def test_a_seat_meets_who_card_and_is_no_card_for_a_rules_member() -> None:
    office = house_of("A")
    office.at("A").completes("O1", [("books", 1, 10_000)])
    assert office.at("A").awarded == [100]  # of the rule for whom the card holds, and not at its rate
    leaves(office, "A")
    office.delivers_all()
    office.at("A").completes("O2", [("books", 1, 10_000)])
    assert office.at("A").awarded == [100]


def test_the_own_card_goes_first_and_the_seat_where_its_quota_is_used_up() -> None:
    office = house_of("A")
    office.at("A").buys("club.single", card="own")
    assert office.at("A").claims("coupon", claim="c1") == "accepted"
    assert office.at("A").claims("coupon", claim="c2") == "accepted: asked"
    office.delivers_all()
    assert (used(office), used(office, "A", "own")) == ({"coupon:0": 1}, {"coupon:0": 1})


def test_who_left_before_the_ask_arrives_has_no_seat_and_pays_nothing_and_who_leaves_behind_it_keeps_the_claim() -> (
    None
):
    office = house_of("A")
    member = office.at("A")
    member.is_granted(60)
    assert member.claims("monthly", claim="c1") == "accepted: asked"
    assert (member.beans, member.purse.held()) == (30, 30)
    leaves(office, "A")
    assert office.delivers("pool.asked") == "accepted: no-seat"
    assert office.delivers("pool.answered") == "accepted: no-seat"
    assert (member.beans, member.purse.held(), used(office)) == (60, 0, {})
    office.delivers_all()
    joins(office, "A")
    office.delivers_all()
    member.claims("monthly", claim="c2")
    office.delivers("pool.asked")
    leaves(office, "A")
    office.delivers_all()
    assert (member.beans, member.purse.held()) == (130, 0)  # 30 paid, 100 given
    assert used(office) == {f"monthly:{2025 * 12 + 5}": 1}


def test_a_claim_given_up_before_the_answer_goes_back_to_its_bucket() -> None:
    office = house_of("A")
    office.at("A").claims("coupon", claim="c1")
    assert office.at("A").gives_claim_back("c1") == "accepted"
    assert office.delivers("pool.asked") == "accepted"
    assert used(office) == {"coupon:0": 1}
    assert office.delivers("pool.answered") == "accepted: given-up"
    assert office.delivers("pool.returned") == "accepted"
    assert used(office) == {}
    assert office.delivers_again() == "ignored: duplicate"


def test_a_quota_of_a_month_counts_in_the_month_of_the_claim_whenever_it_is_asked() -> None:
    office = house_of("A", "B")
    for name in "AB":
        office.at(name).is_granted(100)
    office.at("A").claims("monthly", claim="june", at="2025-06-30 10:00")
    office.at("B").claims("monthly", claim="july", at="2025-07-01 10:00")
    office.delivers("pool.asked", frm="B")
    office.delivers("pool.asked", frm="A")
    assert sorted(used(office).values()) == [1, 1]
    office.delivers_all()
    assert [office.at(name).last.reason for name in "AB"] == ["", ""]


def test_a_member_of_two_houses_claims_at_the_first_whose_card_runs() -> None:
    office = house_of("A")
    office.at(ZHAO).buys("club.year", card="Z1", at="2025-07-01 10:00")
    joins(office, "A", house=ZHAO, card="Z1")
    office.delivers_all()
    member = office.at("A")
    assert list(member.account.seats) == [LIN, ZHAO]
    member.claims("coupon", claim="c1", at="2025-07-02 10:00")
    assert member.last.figures["pool"] == LIN
    office.at(LIN).refunds_card("C1", at="2025-07-03 10:00")
    office.delivers_all()
    member.claims("coupon", claim="c2", at="2025-07-04 10:00")
    assert member.last.figures["pool"] == ZHAO
    office.delivers_all()
    assert (used(office, ZHAO, "Z1"), used(office)) == ({"coupon:0": 1}, {"coupon:0": 1})


def test_a_member_is_told_of_so_many_houses_and_no_more() -> None:
    office = PostOffice(BOOK, now="2025-06-01 10:00")
    for number in range(MAX_HOUSES + 1):
        house = f"house/{number}"
        office.at(house).buys("club.year", card="C1")
        joins(office, "A", house=house)
    office.delivers_all()
    assert (office.at("A").last.reason, len(office.at("A").account.seats)) == ("too-many-houses", MAX_HOUSES)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seats = 2", "seats = 0", "memberships.club.products.club.year.seats: Expected `int` >= 1"),
        ("seats = 2", "seats = 501", "memberships.club.products.club.year.seats: Expected `int` <= 500"),
        ('name = "券"', 'name = "券"\nstock = 3', "products.club.year.seats: a claim by a seat asks the house"),
    ],
)
def test_a_book_whose_seats_cannot_be_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(BadProgramme) as refused:
        parse_programme(BOOK.replace(old, new))
    assert said in str(refused.value)
