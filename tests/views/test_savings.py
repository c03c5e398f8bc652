"""What benefits saved a member, against what the cards cost, and what a card would have saved without one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ledger.journal.open import open_or_create
from ledger.rulebook.compiled import Programme
from ledger.wire.entries import Entry
from ledger.wire.facts import MAX_INT
from projections.answers.savings import SavingsState, TaggedLine, fold_savings, savings_of
from service.cli import run
from tests.support.post_office import PostOffice
from tests.support.shop import OPERATORS, Shop, instant
from tests.support.town import Town

BOOK = """
programme = "club"
name = "会员"
from = 2025-01-01
utc_offset = "+08:00"

[kinds]

[memberships.plus]
name = "PLUS"
products = { "plus.annual" = { days = 365, price = [{ fen = 9_900 }] } }

[memberships.plus.benefits.five-off]
name = "95折"
saves = { share = "5/100" }

[memberships.plus.benefits.shipping]
name = "运费券"
saves = { fen = 600 }

[benefits.hema]
name = "盒马折扣"
saves = { share = "12/100" }
"""


def line(fen: int, paid: int, by: str = "five-off", quantity: int = 1, name: str = "1") -> dict[str, Any]:
    return {"line": name, "quantity": quantity, "paid_fen": paid, "list_fen": fen, "saved_by": by}


def saved(shop: Shop, as_of: str = "") -> dict[tuple[str, str, bool], tuple[int, int, int]]:
    """By card, benefit and whether it was missed: claims, lines and fen."""
    return saved_by(shop.entries, shop.book, instant(as_of) if as_of else instant(shop.now.isoformat()))


def saved_by(
    told: Sequence[Entry], book: Programme, at: int = instant("2025-03-02")
) -> dict[tuple[str, str, bool], tuple[int, int, int]]:
    state = SavingsState()
    for entry in told:
        fold_savings(state, entry)
    rows = savings_of(state, book.nearest(at), at)
    return {(row.card, row.benefit, row.is_missed): (row.times, row.lines, row.saved_fen) for row in rows}


def club(book: str = BOOK) -> Shop:
    return Shop(book, now="2025-03-01 10:00")


def test_a_tagged_line_saves_a_share_of_its_list_price_by_the_card_that_was_held() -> None:
    member = club()
    member.completes("O1", [line(9_999, 9_999)])
    member.buys("plus.annual", card="C1")
    member.completes("O2", [line(9_999, 9_500), line(10_000, 8_800, "hema", name="2")])
    assert saved(member) == {
        ("C1", "five-off", False): (0, 1, 499),
        ("", "hema", False): (0, 1, 1_200),
        ("", "five-off", True): (0, 1, 499),
    }


def test_what_is_saved_under_a_name_is_told_once_where_its_facts_were_decided() -> None:
    town = Town(BOOK, "2025-03-01 10:00")

    def of(name: str) -> dict[tuple[str, str, bool], tuple[int, int, int]]:
        return saved_by(town.member(name).entries, town.book)

    def orders(name: str, order: str) -> None:
        town.tells(name, "order.completed", order=order, lines=[line(9_999, 9_500)])
        town.delivers_all()

    town.tells("A", "card.purchased", card="C1", product="plus.annual", paid_fen=9_900)
    for claim in ("X", "Y"):
        town.tells("A", "benefit.claimed", claim=claim, benefit="shipping")
    orders("A", "O1")
    town.tells("A", "member.merged", source=OPERATORS, into="B")
    town.delivers_all()
    orders("A", "O2")
    orders("B", "O3")
    town.tells("A", "benefit.claimed", claim="Z", benefit="nothing")
    assert of("A") == {("C1", "shipping", False): (2, 0, 1_200), ("C1", "five-off", False): (0, 1, 499)}
    assert of("B") == {("C1", "five-off", False): (0, 2, 998)}, "the head has the card"
    town.tells("A", "benefit.returned", claim="X")
    back = [{"line": "1", "quantity": 1, "refund_fen": 9_500}]
    for order in ("O1", "O2"):
        town.tells("A", "order.returned", **{"return": f"T{order}"}, order=order, lines=back)
    town.delivers_all()
    assert of("A") == {("C1", "shipping", False): (1, 0, 600)}
    assert of("B") == {("C1", "five-off", False): (0, 1, 499)}


def test_a_card_and_a_seat_save_where_their_name_is_and_no_longer() -> None:
    """A has a card, S a seat in a house: while they are B's, B's orders are by them. What A paid is told of A."""
    office = PostOffice(BOOK.replace("days = 365,", "days = 365, seats = 2,"), now="2025-03-01 10:00")
    house, head, buyer, seated = (office.at(name) for name in ("house/lin", "B", "A", "S"))

    def by(order: str) -> str:
        """The card by which an order of the head's saves, empty where none did."""
        before = saved(head)
        head.completes(order, [line(9_999, 9_500)])
        (row,) = (row for row, sums in saved(head).items() if before.get(row) != sums)
        return row[0]

    buyer.buys("plus.annual", card="C1", paid_fen=9_900)
    house.buys("plus.annual", card="H1")
    house.tells("house.joined", house="lin", card="H1", member="S")
    office.delivers_all()
    assert by("O1") == ""
    for name, card in (("A", "C1"), ("S", "house/lin")):
        office.at(name).tells("member.merged", into="B")
        office.delivers_all()
        assert by(f"with {name}") == card
        head.tells("member.unmerged", name=name)
        office.delivers_all()
        assert by(f"without {name}") == ""
    assert [fees(member) for member in (buyer, head, seated)] == [{"C1": 9_900}, {"C1": 0}, {}]
    for member, card in ((buyer, "C1"), (seated, "house/lin")):
        member.completes("O2", [line(9_999, 9_500)])
        assert saved(member) == {(card, "five-off", False): (0, 1, 499)}


def fees(member: Shop) -> dict[str, int]:
    """What each card cost, as far as it is told of this member."""
    state = SavingsState()
    for entry in member.entries:
        fold_savings(state, entry)
    return {name: card.fee_fen for name, card in state.cards.items()}


def test_a_claim_saves_until_it_is_given_back() -> None:
    member = club()
    member.buys("plus.annual", card="C1")
    member.claims("shipping", claim="B1")
    member.claims("shipping", claim="B2")
    assert saved(member) == {("C1", "shipping", False): (2, 0, 1_200)}
    member.gives_claim_back("B1")
    assert saved(member) == {("C1", "shipping", False): (1, 0, 600)}


def test_a_seat_saves_its_member_what_the_house_said_yes_to_and_the_card_of_the_house_the_same() -> None:
    book = BOOK.replace("days = 365,", "days = 365, seats = 2,").replace(
        'name = "运费券"', 'name = "运费券"\nquota = 2\nper = "term"'
    )
    office = PostOffice(book, now="2025-03-01 10:00")
    house, member = office.at("house/lin"), office.at("m")
    house.buys("plus.annual", card="C1")
    house.tells("house.joined", house="lin", card="C1", member="m")
    office.delivers_all()
    member.completes("O1", [line(9_999, 9_500)])
    for claim in ("B1", "B2", "B3"):
        member.claims("shipping", claim=claim)
        office.delivers_all()
    assert member.last.reason == "quota-used"
    assert saved(member) == {
        ("house/lin", "shipping", False): (2, 0, 1_200),
        ("house/lin", "five-off", False): (0, 1, 499),
    }
    member.gives_claim_back("B1")
    office.delivers_all()
    assert saved(member)["house/lin", "shipping", False] == (1, 0, 600)
    assert saved(house) == {("C1", "shipping", False): (1, 0, 600)}


def test_what_comes_back_saves_no_more_whenever_it_came() -> None:
    member = club()
    member.buys("plus.annual", card="C1")
    member.completes("O1", [line(10_000, 9_500, quantity=2)])
    member.returns("O1", [("1", 1, 4_750)])
    assert saved(member) == {("C1", "five-off", False): (0, 1, 250)}
    member.returns("O1", [("1", 1, 4_750)])
    assert saved(member) == {}
    member.returns("O2", [("1", 1, 4_750)])
    member.completes("O2", [line(10_000, 9_500, quantity=2)])
    assert saved(member) == {("C1", "five-off", False): (0, 1, 250)}
    member.amends("O2", [line(20_000, 19_000, quantity=2), line(100, 95, name="2")])
    assert saved(member) == {("C1", "five-off", False): (0, 2, 750 + 5)}


def test_an_unknown_list_price_an_unknown_benefit_and_a_refused_claim_count_nothing() -> None:
    member = club()
    assert member.claims("shipping") == "refused: no-membership"
    member.completes("O1", [line(0, 9_500), line(100, 95, "nothing", name="2"), line(100, 95, "shipping", name="3")])
    assert saved(member) == {}


def test_a_year_old_order_would_save_nothing_by_a_card_of_today() -> None:
    member = club()
    member.completes("O1", [line(10_000, 10_000)])
    assert saved(member, "2026-03-01 10:00") == {("", "five-off", True): (0, 1, 500)}
    assert saved(member, "2026-03-01 10:01") == {}


def test_what_a_benefit_saves_may_change_without_touching_an_entry() -> None:
    member = club()
    member.buys("plus.annual", card="C1")
    member.claims("shipping")
    later = Programme([BOOK, BOOK.replace("from = 2025-01-01", "from = 2025-02-01").replace("fen = 600", "fen = 900")])
    member.book = later
    assert saved(member) == {("C1", "shipping", False): (1, 0, 900)}


@pytest.mark.parametrize("fen", [1, MAX_INT])
def test_the_largest_list_price_is_reckoned_whole(fen: int) -> None:
    state = SavingsState()
    state.lines["O"] = {"1": TaggedLine("hema", instant("2025-03-01"), fen, 0, 1)}
    version = club().book.versions[0]
    (row,) = savings_of(state, version, instant("2025-03-02"))
    assert row.saved_fen == fen * 12 // 100


def told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    """A ledger of one member: an order without a card, a card, an order and a claim."""
    member = club(BOOK + CREDIT)
    member.completes("O1", [line(10_000, 10_000)])
    member.buys("plus.annual", card="C1")
    member.completes("O2", [line(10_000, 9_500)])
    member.claims("shipping")
    member.refunds_card("C1", refund_fen=900)
    facts = "".join(json.dumps(json.loads(entry.fact)) + "\n" for entry in member.entries)
    (tmp_path / "facts.ndjson").write_text(facts, encoding="utf-8")
    open_or_create(tmp_path / "ledger", BOOK + CREDIT)
    ledger = ["--ledger", str(tmp_path / "ledger")]
    assert run(["ingest", "--backlog", str(tmp_path / "facts.ndjson"), *ledger]) == 0
    capfd.readouterr()
    return tmp_path / "ledger"


CREDIT = """
[memberships.plus.benefits.later-payment]
name = "账期"
value = { fen = 5_000_000, days = 30 }
"""


def test_a_member_is_told_what_cards_saved_and_cost_and_what_they_would_have(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ledger = told(tmp_path, capfd)
    assert run(["savings", "m-1", "--as-of", "2025-03-02", "--json", "--ledger", str(ledger)]) == 0
    found = json.loads(capfd.readouterr().out)
    (card,) = found["cards"]
    assert (found["saved_fen"], found["fee_fen"], card["saved_fen"], card["fee_fen"]) == (1_100, 9_000, 1_100, 9_000)
    assert [(one["benefit"], one["saved_fen"]) for one in card["benefits"]] == [("five-off", 500), ("shipping", 600)]
    (missed,) = found["missed"]
    assert (missed["membership"], missed["saved_fen"], missed["prices"]) == ("plus", 500, {"plus.annual": 9_900})
    assert found["worth"] == []
    assert run(["savings", "m-1", "--as-of", "2025-03-02", "--ledger", str(ledger)]) == 0
    screen = capfd.readouterr().out
    assert "saved ¥11.00" in screen and "plus.annual costs ¥99.00" in screen
    assert run(["savings", "nobody", "--ledger", str(ledger)]) == 3


def test_the_view_says_of_all_members_what_is_said_of_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ledger = ["--ledger", str(told(tmp_path, capfd))]
    assert run(["views", "run", *ledger]) == 0
    capfd.readouterr()
    rows = {}
    for query in ("saved", "would-have-saved"):
        assert run(["views", "show", query, "--as-of", "2025-03-02", "--json", *ledger]) == 0
        rows[query] = json.loads(capfd.readouterr().out)["rows"]
    kept = [(row["card"], row["benefit"], row["saved_fen"], row["fee_fen"]) for row in rows["saved"]]
    assert kept == [("C1", "five-off", 500, 9_000), ("C1", "shipping", 600, 9_000)]
    assert [(row["benefit"], row["saved_fen"]) for row in rows["would-have-saved"]] == [("five-off", 500)]
