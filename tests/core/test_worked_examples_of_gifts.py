"""Worked examples of gifts between members: two-accounts.md, B, with its numbers.

How to read them: test_worked_examples.py.
"""

import pytest

from ledger.core.account import Purse
from ledger.core.decisions.transfers import MOST_MOVED
from ledger.rulebook.checks import parse_programme
from ledger.rulebook.schema import BadProgramme
from ledger.wire.entries import IGNORED
from tests.support.shop import OPERATORS, moment
from tests.support.town import Town

BOOK = """
programme = "corner"
name = "街角"
from = 2017-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2017-01-01, end_of_month_after = 1 }]

[kinds.coins]
name = "币"
expiry = [{ from = 2017-01-01, days = 365 }]

[attributes.region]
name = "地区"

[uses.any]
name = "兑换"
kinds = ["beans"]

[transfers.gift]
name = "赠豆"
kind = "beans"
fee = "1/10"

[transfers.market]
name = "券集市"
kind = "beans"
cap = [{ per = "month", points = 500 }]
who = { attribute = { region = { in = ["north"] } } }

[transfers.short]
name = "限时赠豆"
kind = "beans"
keeps_expiry = false

[[award]]
rule = "purchase"
name = "购物返豆"
on = "order.completed"
each = "line"
kind = "beans"
give = { points = 1, per_fen = 100 }
"""
MAY, SEPTEMBER = "2025-06-01", "2025-10-01"
LINE = [{"line": "1", "paid_fen": 70_000, "quantity": 1}]


def town_with_two_lots(book: str = BOOK) -> Town:
    """A has O1 of 700 (to May), which an order gave, and 600 (to September)."""
    town = Town(book, "2025-04-10 10:00")
    assert town.tells("A", "order.completed", order="O1", lines=LINE) == "accepted"
    assert town.opens("A", "O2", 600, SEPTEMBER) == "accepted"
    assert town.lots("A") == [(700, "2025-05-31"), (600, "2025-09-30")]
    return town


def figures(town: Town, name: str) -> tuple[int, int, int]:
    purse = town.member(name).purse()
    return purse.redeemed, purse.gone, purse.come


def test_what_a_member_may_give_and_be_given_has_room_for_what_comes_back() -> None:
    town = town_with_two_lots()
    town.member("A").account.purses["beans"].come = MOST_MOVED - 1_000
    assert town.gives("A", "B", 1_001, "G1") == "refused: out-of-range"
    assert town.gives("A", "B", 1_000, "G2") == "accepted"
    town.member("B").account.purses["beans"] = Purse(gone=MOST_MOVED - 899)
    assert town.delivers() == "accepted: sent-back"
    assert town.delivers() == "accepted"


def test_debited_the_earning_order_comes_back_arrived_recalled_and_recalled_again() -> None:
    town = town_with_two_lots()
    assert town.gives("A", "B", 1_000, "G1") == "accepted"
    assert town.lots("A") == [(300, "2025-09-30")]
    assert figures(town, "A") == (100, 900, 0)
    assert town.in_transit == 900
    town.check()

    back = [{"line": "1", "quantity": 1, "refund_fen": 70_000}]
    assert town.tells("A", "order.returned", **{"return": "T1"}, order="O1", lines=back) == "accepted"
    purse = town.member("A").purse()
    assert (purse.clawed_back, purse.debt, purse.spendable()) == (300, 400, 0)
    assert town.in_transit == 900

    assert town.delivers_all() == ["accepted"]
    assert town.lots("B") == [(700, "2025-05-31"), (200, "2025-09-30")]
    assert figures(town, "B") == (0, 0, 900)
    assert town.in_transit == 0

    assert town.spends("B", 650, "R1") == "accepted"
    assert town.reverses("A", "G1") == "accepted"
    town.delivers()
    assert figures(town, "B") == (650, 250, 900)
    assert town.in_transit == 250
    town.check()
    town.delivers()
    purse = town.member("A").purse()
    assert (purse.come, purse.debt, purse.spendable()) == (250, 150, 0)
    assert town.in_transit == 0

    assert town.tells("B", "redemption.reversed", redemption="R1") == "accepted"
    assert town.reverses("A", "G1") == "accepted"
    town.delivers_all()
    purse = town.member("A").purse()
    assert (purse.debt, purse.come, purse.redeemed) == (0, 900, 0)
    assert town.lots("A") == [(500, "2025-05-31"), (100, "2025-09-30")]
    assert figures(town, "B") == (0, 900, 900) and town.lots("B") == []
    assert town.reverses("A", "G1") == "ignored: already"
    town.check()
    town.check_streams()


def test_a_closed_receiver_sends_back_and_what_is_due_by_then_expires() -> None:
    town = town_with_two_lots()
    town.tells("B", "account.closed", source=OPERATORS)
    town.gives("A", "B", 1_000, "G1")
    assert town.delivers() == "accepted: sent-back"
    assert town.member("B").purse().come == 0 and town.in_transit == 900
    town.tells("A", "account.frozen", at="2025-06-02 10:00", source=OPERATORS)
    assert town.delivers() == "accepted", "a frozen account takes what comes back"
    purse = town.member("A").purse()
    assert town.lots("A") == [(600, "2025-09-30")]
    assert (purse.expired, purse.redeemed, purse.come) == (700, 0, 900)
    assert town.reverses("A", "G1") == "ignored: already"
    town.check()


def test_the_fee_is_rounded_up() -> None:
    town = town_with_two_lots()
    town.gives("A", "B", 15, "G1")
    assert figures(town, "A") == (2, 13, 0)
    town.gives("A", "B", 5, "G2")
    assert figures(town, "A") == (3, 17, 0)
    assert town.gives("A", "B", 1, "G3") == "refused: below-least"
    assert town.member("A").last.figures == {"asked": 1, "at_least": 2}
    town.delivers_all()
    town.check()


def test_a_member_who_begins_with_a_gift_and_one_who_is_frozen_take_it() -> None:
    town = town_with_two_lots()
    town.tells("C", "account.frozen", source=OPERATORS)
    town.gives("A", "B", 500, "G1")
    town.gives("A", "C", 500, "G2")
    assert town.delivers_all() == ["accepted", "accepted"]
    assert town.lots("B") == [(450, "2025-05-31")]
    assert town.lots("C") == [(200, "2025-05-31"), (250, "2025-09-30")]
    town.check()


def test_points_that_arrive_repay_debt_and_what_is_past_expires() -> None:
    town = town_with_two_lots()
    town.opens("B", "L", 100, SEPTEMBER)
    data = {"adjustment": "D", "points": -300, "reason": "r", "by": "ann", "approved_by": "bob"}
    town.tells("B", "points.adjusted", source=OPERATORS, **data)
    assert town.member("B").purse().debt == 200
    town.gives("A", "B", 1_000, "G1")
    town.now = moment("2025-06-02 10:00")
    town.tells("B", "account.frozen", source=OPERATORS)
    town.delivers()
    purse = town.member("B").purse()
    assert (purse.expired, purse.debt, purse.spendable()) == (700, 0, 0), "200 of September repay"
    town.check()


def test_a_recall_that_comes_first_sends_the_gift_back_as_it_arrives() -> None:
    town = town_with_two_lots()
    town.gives("A", "B", 1_000, "G1")
    town.reverses("A", "G1")
    assert town.delivers(1) == "accepted"
    assert town.delivers() == "accepted: sent-back"
    assert town.delivers() == "accepted"
    assert town.in_transit == 0
    assert town.lots("A") == [(700, "2025-05-31"), (600, "2025-09-30")]
    assert figures(town, "A") == (0, 900, 900)
    town.check()


def test_a_recall_of_what_a_closed_receiver_sent_back_leaves_nothing_behind() -> None:
    town = town_with_two_lots()
    town.tells("B", "account.closed", source=OPERATORS)
    town.gives("A", "B", 1_000, "G1")
    town.reverses("A", "G1")
    town.delivers()
    assert town.delivers() == "accepted"
    town.delivers_all()
    assert town.lots("A") == [(700, "2025-05-31"), (600, "2025-09-30")]
    town.check()


def test_a_closed_sender_forfeits_what_comes_back() -> None:
    town = town_with_two_lots()
    town.tells("B", "account.closed", source=OPERATORS)
    town.gives("A", "B", 1_000, "G1")
    town.tells("A", "account.closed", source=OPERATORS)
    town.delivers_all()
    purse = town.member("A").purse()
    assert (purse.forfeited, purse.spendable(), purse.come) == (1_300, 0, 900)
    town.check()


def test_what_is_given_on_is_reached_down_the_chain_the_last_first() -> None:
    town = town_with_two_lots()
    town.gives("A", "B", 500, "G1", "short")
    town.delivers_all()
    town.gives("B", "C", 500, "G1", "short")
    town.delivers_all()
    town.reverses("A", "G1")
    town.delivers_all()
    assert town.member("A").purse().come == 0, "B has none of it"
    town.reverses("B", "G1")
    town.delivers_all()
    town.reverses("A", "G1")
    town.delivers_all()
    assert town.lots("A") == [(700, "2025-05-31"), (600, "2025-09-30")]
    town.check()


def test_points_may_end_as_those_do_that_are_earned_now() -> None:
    book = BOOK.replace("end_of_month_after = 1", "days = 30")
    town = Town(book, "2025-04-10 10:00")
    town.opens("A", "L", 600, SEPTEMBER)
    town.gives("A", "B", 600, "G1", "short")
    town.delivers()
    ((points, day),) = town.lots("B")
    assert points == 600 and "2025-05-09" <= day <= "2025-05-10"


def test_the_order_of_refusals() -> None:
    town = Town(BOOK, "2025-04-10 10:00")
    town.opens("A", "L", 1_000, SEPTEMBER)
    ask = {"transfer": "G1", "rule": "nose", "to": "A", "points": 2_000, "kind": "fish"}

    def refused(**changed: object) -> str:
        ask.update(changed)
        return town.tells("A", "transfer.requested", **ask)

    town.tells("A", "account.frozen", source=OPERATORS)
    assert refused() == "refused: account-frozen"
    town.tells("A", "account.unfrozen", source=OPERATORS)
    assert refused() == "refused: unknown-transfer"
    assert refused(rule="market") == "refused: unknown-kind"
    assert refused(kind="coins") == "refused: unknown-kind", "another kind than the transfer's"
    assert refused(kind="beans") == "refused: to-self"
    assert refused(to="pool/campaigns.x") == "refused: not-a-member"
    assert refused(to="programme") == "refused: not-a-member"
    assert refused(to="B") == "refused: not-entitled"
    town.tells("A", "member.described", attributes={"region": "north"})
    assert refused() == "refused: cap-full"
    assert refused(points=500) == "accepted"
    assert refused() == "ignored: already"
    assert refused(transfer="G2", points=1) == "refused: cap-full"
    assert refused(rule="short", points=501) == "refused: beans-short"
    town.delivers_all()
    town.reverses("A", "G1")
    town.delivers_all()
    assert refused(transfer="G3", rule="market", points=1) == "refused: cap-full", "no room comes back"
    town.tells("A", "account.closed", source=OPERATORS)
    assert refused(transfer="G4") == "refused: account-closed"
    assert town.reverses("B", "G1") == "ignored: unknown-transfer"


def test_two_gifts_whose_names_look_alike_are_two() -> None:
    town = Town(BOOK, "2025-04-10 10:00")
    town.opens("a", "L", 100, SEPTEMBER)
    town.opens("a/b", "L", 100, SEPTEMBER)
    town.gives("a", "B", 100, "b/c", "short")
    town.gives("a/b", "B", 100, "c", "short")
    assert town.delivers_all() == ["accepted", "accepted"]
    assert town.member("B").purse().come == 200


def test_a_gift_of_more_lots_than_travel_together_is_refused_with_what_would_go() -> None:
    town = Town(BOOK, "2025-04-10 10:00")
    for lot in range(1_001):
        town.opens("A", f"L{lot}", 1, SEPTEMBER)
    assert town.gives("A", "B", 1_001, "G1", "short") == "refused: too-many-lots"
    assert town.member("A").last.figures == {"asked": 1_001, "lots": 1_001, "most": 1_000, "most_lots": 1_000}
    assert town.gives("A", "B", 1_000, "G2", "short") == "accepted"
    town.delivers_all()
    town.check()


def test_a_letter_that_comes_again_is_a_duplicate() -> None:
    town = town_with_two_lots()
    town.gives("A", "B", 1_000, "G1")
    (letter,) = town.post
    town.delivers()
    assert town.hears("B", letter.raw) == "ignored: duplicate"
    assert town.member("B").last.outcome == IGNORED and town.member("B").purse().come == 900


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ('fee = "1/1"', "transfers.gift.fee: burns all that is given"),
        ('kind = "stones"', "transfers.gift.kind: there is no [kinds.stones]"),
        ('cap = [{ per = "order", points = 1 }]', 'transfers.gift.cap: per = "order" is for uses'),
        ('cap = [{ per = "day", points = 1 }, { per = "day", points = 2 }]', "the same `per` stands twice"),
    ],
)
def test_a_book_that_says_it_wrong_is_refused(change: str, problem: str) -> None:
    key = change.split(" ")[0]
    table = {"name": '"赠豆"', "kind": '"beans"'} | {key: change.partition(" = ")[2]}
    gift = "\n".join(f"{name} = {value}" for name, value in table.items())
    book = BOOK.replace('[transfers.gift]\nname = "赠豆"\nkind = "beans"\nfee = "1/10"', f"[transfers.gift]\n{gift}")
    with pytest.raises(BadProgramme, match=problem.replace("[", r"\[").replace("]", r"\]")):
        parse_programme(book)
