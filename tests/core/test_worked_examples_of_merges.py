"""Members who become one and are parted again: the contract's worked numbers, and every state of its table (F)."""

import json

import pytest

from tests.core.test_worked_examples_of_gifts import BOOK
from tests.support.shop import OPERATORS
from tests.support.town import Town


def town_of(**beans: int) -> Town:
    """A town whose members have beans to the end of 2026."""
    town = Town(BOOK, "2025-04-01 10:00")
    for name, points in beans.items():
        town.opens(name, f"L{name}", points, "2027-01-01")
    return town


def merges(town: Town, name: str, into: str) -> str:
    return town.tells(name, "member.merged", source=OPERATORS, into=into)


def parts(town: Town, head: str, name: str) -> str:
    return town.tells(head, "member.unmerged", source=OPERATORS, name=name)


def spendable(town: Town, *names: str) -> list[int]:
    return [town.member(name).purse().spendable() for name in names]


def earns(town: Town, name: str, order: str, beans: int) -> str:
    return town.tells(name, "order.completed", order=order, lines=[{"line": "1", "paid_fen": beans * 100}])


def takes_back(town: Town, name: str, order: str, fen: int = 0) -> str:
    lines = [{"line": "1", "quantity": 1, "refund_fen": fen}]
    return town.tells(name, "order.returned", **{"return": f"T-{order}-{name}"}, order=order, lines=lines)


def done(town: Town) -> list[str]:
    answers = town.delivers_all()
    town.check()
    town.check_streams()
    return answers


def test_a_name_moves_with_its_lots_and_its_orders_come_back_under_either_name() -> None:
    town = town_of(B=50)
    earns(town, "A", "O1", 100)
    town.spends("A", 30, "R1")
    assert merges(town, "A", "B") == "accepted"
    done(town)
    assert spendable(town, "A", "B") == [0, 120]
    assert (town.member("A").purse().gone, town.member("B").purse().come) == (70, 70)
    assert takes_back(town, "A", "O1") == "accepted: forwarded"
    done(town)
    assert spendable(town, "B") == [20]
    assert town.tells("A", "redemption.reversed", redemption="R1") == "accepted: forwarded"
    done(town)
    assert spendable(town, "B") == [50]
    assert (town.member("B").purse().redeemed, town.member("A").purse().redeemed) == (-30, 30)
    assert parts(town, "B", "A") == "accepted"
    done(town)
    assert spendable(town, "A", "B") == [30, 20]
    assert town.in_transit == 0


def test_equal_orders_of_two_names_do_not_meet() -> None:
    town = town_of()
    earns(town, "A", "O1", 20)
    earns(town, "B", "O1", 7)
    merges(town, "A", "B")
    done(town)
    assert spendable(town, "B") == [27]
    takes_back(town, "B", "O1")
    done(town)
    assert spendable(town, "B") == [20], "of B's own order"
    takes_back(town, "A", "O1")
    done(town)
    assert spendable(town, "B") == [0]


def test_along_a_chain_a_fact_follows_and_where_the_middle_parted_it_waits_there() -> None:
    town = town_of(A=100, B=10, C=1)
    earns(town, "A", "O1", 20)
    merges(town, "A", "B")
    done(town)
    merges(town, "B", "C")
    done(town)
    assert spendable(town, "A", "B", "C") == [0, 0, 131]
    takes_back(town, "A", "O1")
    assert [town.delivers(), town.delivers()] == ["accepted: forwarded", "accepted"], "at B, at C"
    assert spendable(town, "C") == [111]
    assert parts(town, "C", "A") == "ignored: merged-through"
    earns(town, "A", "O2", 5)
    town.delivers()  # it is on its way from B to C
    letter = town.post.pop()
    assert parts(town, "C", "B") == "accepted"
    while town.post[-1].kind != "member.moved.v1":
        town.delivers(len(town.post) - 1)
    town.post.append(letter)
    assert town.delivers(1) == "accepted: handed-back"
    assert town.delivers(1) == "accepted: waits", "B is still an alias: what C gave back is on its way"
    done(town)
    assert spendable(town, "A", "B", "C") == [0, 115, 1]
    assert town.member("B").last.reason == "" and town.member("B").account.bundle.names.keys() == {"A"}
    parts(town, "B", "A")
    done(town)
    assert spendable(town, "A", "B", "C") == [105, 10, 1]


def test_an_alias_hands_on_nothing_for_a_name_that_parted_from_it_before() -> None:
    town = town_of(A=100, B=10, C=1)
    merges(town, "A", "B")
    done(town)
    earns(town, "A", "O2", 5)
    letter = town.post.pop()  # a fact for A, late on its way to B
    parts(town, "B", "A")
    town.delivers_all()
    merges(town, "B", "C")
    town.delivers_all()
    assert spendable(town, "A", "B", "C") == [100, 0, 11]
    town.post.append(letter)
    assert town.delivers() == "accepted: handed-back", "A did not go to C with B"
    assert town.delivers() == "accepted"
    assert spendable(town, "A", "B", "C") == [105, 0, 11]
    assert not town.post
    done(town)


def test_what_is_refused_says_why() -> None:
    town = town_of(A=1, B=1, C=1)
    assert merges(town, "A", "A") == "ignored: merge-cycle"
    assert merges(town, "A", "pool/campaigns.x") == "ignored: not-a-member"
    assert parts(town, "A", "B") == "ignored: unknown-alias"
    assert merges(town, "A", "B") == "accepted"
    assert merges(town, "A", "C") == "ignored: merge-busy"
    assert town.tells("A", "account.closed", source=OPERATORS) == "ignored: merge-busy"
    town.delivers()
    assert merges(town, "B", "C") == "ignored: merge-busy", "it takes A in"
    assert town.tells("B", "account.closed", source=OPERATORS) == "ignored: merge-busy"
    done(town)
    assert merges(town, "A", "C") == "ignored: alias"
    assert town.member("A").last.figures == {"head": "B"}
    assert town.tells("A", "account.closed", source=OPERATORS) == "ignored: alias"
    merges(town, "B", "A")
    assert done(town)[-1].endswith("merge-cycle"), "B's other name asks B"
    town.tells("C", "account.closed", source=OPERATORS)
    assert merges(town, "C", "B") == "ignored: account-closed"
    merges(town, "B", "C")
    assert done(town)[-1] == "accepted: account-closed"
    assert spendable(town, "B") == [2]


@pytest.mark.parametrize("order", [(0, 0), (1, 0)])
def test_of_two_who_want_to_be_each_other_none_is_lost(order: tuple[int, int]) -> None:
    town = town_of(A=70, B=50)
    assert merges(town, "A", "B") == merges(town, "B", "A") == "accepted"
    for place in order:
        assert town.delivers(place) == "accepted: merge-busy"
    done(town)
    assert spendable(town, "A", "B") == [70, 50]
    merges(town, "A", "B")
    done(town)
    assert spendable(town, "A", "B") == [0, 120]


def test_what_comes_back_to_a_lot_whose_name_has_parted_goes_on_to_it() -> None:
    town = town_of(A=100, B=50)
    merges(town, "A", "B")
    done(town)
    town.spends("B", 150, "R")
    parts(town, "B", "A")
    done(town)
    assert spendable(town, "A", "B") == [0, 0]
    town.tells("B", "redemption.reversed", redemption="R")
    done(town)
    assert spendable(town, "A", "B") == [100, 50]


def test_debt_of_a_name_meets_the_lots_where_it_goes_and_what_is_left_comes_back_with_it() -> None:
    town = town_of(B=40)
    earns(town, "A", "O1", 100)
    town.spends("A", 100, "R")
    takes_back(town, "A", "O1")
    assert town.member("A").purse().debt == 100
    merges(town, "A", "B")
    done(town)
    assert spendable(town, "B") == [0] and town.member("B").purse().debt == 60
    parts(town, "B", "A")
    done(town)
    assert [town.member(name).purse().debt for name in "AB"] == [60, 0]


def test_a_hold_moves_and_where_names_part_what_it_holds_is_its_own_names() -> None:
    town = town_of(A=10, B=50)
    town.tells("A", "hold.requested", hold="H", kind="beans", points=5, until="2026-12-01T00:00:00+08:00")
    merges(town, "A", "B")
    done(town)
    town.tells("B", "hold.requested", hold="H", kind="beans", points=50, until="2026-12-01T00:00:00+08:00")
    done(town)
    assert town.member("B").last.reason == "already", "one member has one hold of a name"
    town.tells("B", "hold.requested", hold="G", kind="beans", points=53, until="2026-12-01T00:00:00+08:00")
    assert spendable(town, "B") == [2]
    parts(town, "B", "A")
    done(town)
    assert [town.member(name).purse().held() for name in "AB"] == [5, 53]
    assert spendable(town, "A", "B") == [2, 0]
    town.tells("A", "hold.released", hold="H")
    town.tells("B", "hold.released", hold="G")
    done(town)
    assert spendable(town, "A", "B") == [7, 53]


def test_a_gift_made_under_a_name_returns_to_where_its_lots_live() -> None:
    town = town_of(A=1_000, B=1, C=1)
    merges(town, "A", "B")
    done(town)
    town.gives("A", "C", 500, "G")
    done(town)
    assert spendable(town, "B", "C") == [501, 451]
    assert town.gives("B", "A", 10, "G2") == "refused: to-self"
    parts(town, "B", "A")
    done(town)
    town.reverses("A", "G")
    done(town)
    assert spendable(town, "A", "B", "C") == [1_000, 1, 1]


def test_pages_leave_in_pieces_and_what_changed_meanwhile_comes_with_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.core.decisions.merges.PIECE_PAGES", 2)
    monkeypatch.setattr("ledger.core.decisions.merges.PIECE_BYTES", 900)
    town = town_of(B=1)
    for number in range(5):
        earns(town, "A", f"O{number}", 10)
    merges(town, "A", "B")
    town.delivers()
    town.delivers()
    takes_back(town, "A", "O0")  # its page is out
    earns(town, "A", "O9", 7)
    answers = [town.delivers() for _ in range(len(town.post))]
    while town.post:
        town.post.reverse()  # parts come in the other order
        answers.append(town.delivers())
        town.check()
    town.check_streams()
    assert spendable(town, "A", "B") == [0, 48]
    assert takes_back(town, "A", "O0") == takes_back(town, "A", "O9") == "accepted: forwarded"
    assert "ignored: already" in done(town)
    assert spendable(town, "B") == [41]
    assert sum(json.loads(letter.raw)["type"] == "member.pages.v1" for letter in town.sent) > 2
    assert sum(json.loads(letter.raw)["type"] == "member.moved.v1" for letter in town.sent) > 1


@pytest.mark.parametrize(("old", "head"), [("A", "B"), ("B", "A")])
def test_a_return_of_an_order_that_only_the_other_name_knew_meets_it(old: str, head: str) -> None:
    town = town_of(C=1)
    earns(town, "A", "O1", 100)
    assert takes_back(town, "B", "O1", 40_00) == "accepted: unknown-order"
    merges(town, old, head)
    done(town)
    assert spendable(town, old, head) == [0, 0], "the whole line is back"


def test_a_frozen_name_freezes_its_head_and_alone_it_is_frozen_still() -> None:
    town = town_of(A=10, B=1)
    town.tells("A", "account.frozen", source=OPERATORS, reason="fraud")
    merges(town, "A", "B")
    done(town)
    assert town.spends("B", 1, "R") == "refused: account-frozen"
    parts(town, "B", "A")
    done(town)
    assert town.spends("B", 1, "R2") == "accepted"
    assert town.spends("A", 1, "R3") == "refused: account-frozen"
