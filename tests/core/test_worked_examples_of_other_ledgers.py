"""Worked examples of exchanges with another ledger: two-accounts.md, E, with its numbers and each row of its states.

How to read them: test_worked_examples.py.
"""

from random import Random

import pytest

from ledger.core.account import Account, Purse
from ledger.core.evolve import evolve_entry
from ledger.rulebook.checks import parse_programme
from ledger.rulebook.schema import BadProgramme
from ledger.wire.entries import Told
from tests.support.post_office import PostOffice, Resident
from tests.support.shop import instant
from tests.support.town import balances

MALL = """
programme = "mall"
name = "商城"
from = 2017-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2017-01-01, days = 3650 }]

[uses.any]
name = "兑换"
kinds = ["beans"]

[exchanges.nights]
name = "换酒店积分"
takes = "beans"
gives = "points"
rate = [{ from = 2017-01-01, take = 3, give = 1 }]
cap = [{ per = "month", points = 3_000 }]
ledger = "hotel"

[exchanges.miles]
name = "换里程"
takes = "beans"
gives = "miles"
rate = [{ from = 2017-01-01, take = 100, give = 12 }]
ledger = "airline"
answer_within = 6

[exchanges.odd]
name = "换不存在的积分"
takes = "beans"
gives = "nothing"
rate = [{ from = 2017-01-01, take = 1, give = 1 }]
ledger = "hotel"
"""
HOTEL = """
programme = "hotel"
name = "酒店"
from = 2017-01-01
utc_offset = "+08:00"

[kinds.points]
name = "酒店积分"
expiry = [{ from = 2017-01-01, days = 30 }]

[uses.any]
name = "兑换"
kinds = ["points"]
"""
AIRLINE = "/partners/airline"


def mall(beans: int = 300, expires: str = "2027-01-01", now: str = "2025-11-01 10:00") -> PostOffice:
    """A mall whose member m has beans, and a hotel, which know each other."""
    mall, hotel = PostOffice(MALL, called="mall", now=now), PostOffice(HOTEL, called="hotel", now=now)
    mall.others, hotel.others = {"hotel": hotel}, {"mall": mall}
    mall.at("m").is_granted(beans, expires=expires)
    return mall


def asks(member: Resident, points: int = 300, exchange: str = "nights", request: str = "X", at: str = "") -> str:
    return member._tell("exchange.requested", at, {"request": request, "exchange": exchange, "points": points})


def spends(member: Resident, points: int, name: str = "S", kind: str = "beans", at: str = "") -> str:
    data = {"redemption": name, "points": points, "use": "any", "kind": kind}
    return member._tell("redemption.requested", at, data)


def undoes(member: Resident, at: str = "") -> str:
    return member._tell("exchange.reversed", at, {"request": "X"})


def confirms(member: Resident, at: str = "", source: str = AIRLINE) -> str:
    return member._tell("exchange.confirmed", at, {"request": "X"}, source=source)


def fails(member: Resident, at: str = "") -> str:
    return member._tell("exchange.failed", at, {"request": "X", "reason": "no such number"}, source=AIRLINE)


def beans(member: Resident) -> tuple[int, int, int, int]:
    """What of the beans is spendable, held, redeemed and owed."""
    purse = member.account.purse("beans")
    return purse.spendable(), purse.held(), purse.redeemed, purse.debt


def points_of(office: PostOffice) -> Purse:
    return office.others["hotel"].at("m").account.purse("points")


# -- a ledger of ours --------------------------------------------------------------------------------------------------


def test_held_until_the_other_ledger_has_given() -> None:
    """Number 1."""
    office = mall()
    m = office.at("m")
    assert asks(m) == "accepted: exchange-asked"
    assert m.last.figures == {"ledger": "hotel", "gives": "points", "given": 100}
    assert beans(m) == (0, 300, 0, 0)
    assert office.delivers("exchange.asked") == "accepted"
    assert (points_of(office).spendable(), points_of(office).issued) == (100, 100)
    hotel = office.others["hotel"]
    assert hotel.waiting[0].fact["source"] == "ledger/hotel/0" and hotel.waiting[0].ledger == "mall"
    assert hotel.delivers("exchange.answered") == "accepted"
    assert beans(m) == (0, 0, 300, 0)


def test_what_is_given_ends_with_what_was_taken_or_by_its_own_kind() -> None:
    for expires, day in (("2025-11-10", "2025-11-10"), ("2027-01-01", "2025-12-01")):
        office = mall(expires=expires)
        asks(office.at("m"), at="2025-11-01 00:00")
        office.delivers()
        (lot,) = points_of(office).lots.values()
        assert office.others["hotel"].at("m").last.changes[0].rule == "exchange.mall"
        assert lot.expires_at == instant(day)


def test_no_gives_the_points_back() -> None:
    office = mall()
    m, hotel = office.at("m"), office.others["hotel"]
    assert asks(m, exchange="odd") == "accepted: exchange-asked"
    assert office.delivers() == "accepted: exchange-failed"
    assert hotel.at("m").last.figures["why"] == "unknown-kind"
    assert hotel.delivers() == "accepted: exchange-failed"
    assert beans(m) == (300, 0, 0, 0)
    assert undoes(m) == "ignored: exchange-ended"
    hotel.at("m")._tell("account.closed", "", {"reason": "left"}, source="/operators")
    asks(m, request="Y")
    assert office.delivers() == "accepted: exchange-failed"
    assert hotel.at("m").last.figures["why"] == "account-closed"


def test_closed_meanwhile_what_was_given_is_written_off() -> None:
    office = mall()
    m, hotel = office.at("m"), office.others["hotel"]
    asks(m)
    office.delivers()
    m._tell("account.closed", "", {"reason": "left"}, source="/operators")
    assert hotel.delivers() == "accepted: late-confirmed"
    purse = m.account.purse("beans")
    assert (purse.forfeited, purse.written_off, purse.debt) == (300, 300, 0)


def test_undone_while_all_that_was_given_is_there() -> None:
    office = mall()
    m, hotel = office.at("m"), office.others["hotel"]
    asks(m)
    assert undoes(m) == "ignored: exchange-asked"
    office.delivers(), hotel.delivers()
    guest = hotel.at("m")
    assert spends(guest, 40, "R", "points") == "accepted"
    assert undoes(m) == "accepted"
    assert office.delivers() == "accepted: given-spent"
    assert hotel.delivers() == "accepted: given-spent"
    assert beans(m) == (0, 0, 300, 0)
    guest._tell("redemption.reversed", "", {"redemption": "R"})
    assert undoes(m) == "accepted"
    assert office.delivers() == "accepted"
    assert (points_of(office).spendable(), points_of(office).clawed_back) == (0, 100)
    assert hotel.delivers() == "accepted"
    assert beans(m) == (300, 0, 0, 0)
    assert undoes(m) == "ignored: already"


def test_each_comes_again_and_counts_once() -> None:
    office = mall()
    asks(office.at("m"))
    office.delivers()
    assert office.delivers_again() == "ignored: duplicate"
    office.others["hotel"].delivers()
    assert office.others["hotel"].delivers_again() == "ignored: duplicate"
    assert (beans(office.at("m")), points_of(office).issued) == ((0, 0, 300, 0), 100)


# -- a partner ---------------------------------------------------------------------------------------------------------


def test_a_partner_that_is_silent_times_out_and_a_late_yes_is_paid() -> None:
    """Number 2: until day 7; day 8: 300 spendable, 200 spent; confirmed day 9: 100 spent, debt 200."""
    office = mall()
    m = office.at("m")
    assert asks(m, exchange="miles") == "accepted: exchange-asked"
    assert not office.waiting, "a partner reads the outcome"
    assert m.last.figures == {"ledger": "airline", "gives": "miles", "given": 36}
    spends(m, 200, at="2025-11-08 10:00")
    assert beans(m) == (100, 0, 200, 0)
    assert confirms(m, "2025-11-09 10:00") == "accepted: late-confirmed"
    assert m.last.figures == {"request": "X", "asked": 300, "short": 200}
    assert beans(m) == (0, 0, 300, 200)


def test_a_lot_that_ends_while_it_is_held_is_released_and_expired() -> None:
    """Number 3."""
    office = mall(expires="2025-11-05")
    m = office.at("m")
    asks(m, exchange="miles")
    m._tell("member.signed-in", "2025-11-06 10:00", {})
    assert beans(m) == (0, 300, 0, 0)
    m._tell("member.signed-in", "2025-11-07 10:00", {})
    assert (beans(m), m.account.purse("beans").expired) == ((0, 0, 0, 0), 300)


def test_the_first_answer_of_a_partner_stands() -> None:
    for first, second in ((confirms, fails), (fails, confirms)):
        m = mall().at("m")
        asks(m, exchange="miles")
        assert first(m).startswith("accepted")
        before = beans(m)
        assert before == ((0, 0, 300, 0) if first is confirms else (300, 0, 0, 0))
        assert second(m) == first(m) == "ignored: exchange-ended"
        assert beans(m) == before


def test_a_partner_that_fails_late_leaves_things_as_they_are() -> None:
    m = mall().at("m")
    asks(m, exchange="miles")
    assert fails(m, "2025-11-20 10:00") == "accepted: exchange-failed"
    assert beans(m) == (300, 0, 0, 0)
    assert confirms(m) == "ignored: exchange-ended"


def test_its_own_lots_pay_a_late_yes_first() -> None:
    office = mall(expires="2026-12-01")
    m = office.at("m")
    asks(m, exchange="miles")
    m.is_granted(500, expires="2026-01-01")
    assert confirms(m, "2025-11-09 10:00") == "accepted: late-confirmed"
    assert [lot.left for _, lot in sorted(m.account.purse("beans").lots.items())] == [500], "not the soonest to end"


def test_on_a_closed_account_a_yes_is_written_off_and_opened_again_it_is_debt() -> None:
    for is_open, short in ((False, (300, 0)), (True, (0, 300))):
        m = mall().at("m")
        asks(m, exchange="miles")
        m._tell("account.closed", "", {"reason": "left"}, source="/operators")
        if is_open:
            m._tell("account.reopened", "", {"reason": "back"}, source="/operators")
        assert confirms(m) == "accepted: late-confirmed"
        assert (m.account.purse("beans").written_off, m.account.purse("beans").debt) == short


def test_what_a_partner_gave_is_not_undone_and_nobody_else_answers() -> None:
    m = mall().at("m")
    asks(m, exchange="miles")
    assert confirms(m, source="/partners/hotel") == "ignored: unknown-exchange"
    assert confirms(m) == "accepted"
    assert undoes(m) == "ignored: given-spent"
    assert m._tell("exchange.confirmed", "", {"request": "Z"}, source=AIRLINE) == "ignored: unknown-exchange"


def test_a_hold_of_the_same_name_is_the_members_own() -> None:
    m = mall(600).at("m")
    hold = {"hold": "exchange/X", "kind": "beans", "points": 100, "until": "2025-11-30T00:00:00+08:00"}
    asks(m, exchange="miles")
    assert m._tell("hold.requested", "2025-11-08 10:00", hold) == "accepted"
    assert confirms(m, "2025-11-09 10:00") == "accepted: late-confirmed"
    assert beans(m) == (200, 100, 300, 0)
    other = mall(600).at("m")
    assert other._tell("hold.requested", "", hold) == "accepted"
    assert asks(other, exchange="miles") == "ignored: already"


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_it_is_checked_as_every_exchange() -> None:
    m = mall().at("m")
    assert asks(m, 301) == "refused: not-a-multiple"
    assert asks(m, 303) == "refused: beans-short"
    assert asks(m, 3_003) == "refused: cap-full"
    assert asks(m) == "accepted: exchange-asked"
    assert asks(m) == "ignored: already"


def test_a_book_says_what_a_partner_needs() -> None:
    parse_programme(MALL.replace('gives = "miles"', 'gives = "beans"'))  # a kind of the same name in the other ledger
    within = MALL.replace('gives = "miles"', 'gives = "beans"').replace('ledger = "airline"', "")
    with pytest.raises(BadProgramme, match="gives: is the kind that it takes"):
        parse_programme(within.replace("answer_within = 6", ""))
    coins = within.replace(
        "[uses.any]", '[kinds.coins]\nname = "币"\nexpiry = [{ from = 2017-01-01, days = 30 }]\n\n[uses.any]', 1
    )
    with pytest.raises(BadProgramme, match="answer_within: is for an exchange with a partner"):
        parse_programme(coins.replace('gives = "beans"', 'gives = "coins"'))


# -- any delivery ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_in_any_order_of_delivery_both_ledgers_agree(seed: int) -> None:
    random = Random(seed)
    office = mall(3_000)
    hotel, names = office.others["hotel"], ["a", "b", "c"]
    asked: list[tuple[str, str]] = []
    for name in names:
        office.at(name).is_granted(1_000, expires="2027-01-01")
    for day in range(2, 26):
        name, at = random.choice(names), f"2025-11-{day:02} 10:00"
        member, guest = office.at(name), hotel.at(name)
        match random.randrange(8):
            case 0 | 1 | 2:
                asks(member, 30 * random.randint(1, 8), random.choice(["nights", "nights", "odd"]), f"X{day}", at)
                asked.append((name, f"X{day}"))
            case 3 if asked:
                who, request = random.choice(asked)
                office.at(who)._tell("exchange.reversed", at, {"request": request})
            case 4:
                spends(guest, random.randint(1, 60), f"R{day}", "points", at)
            case 5 if random.random() < 0.2:
                random.choice([member, guest])._tell("account.closed", at, {"reason": "left"}, source="/operators")
            case 6 if random.random() < 0.5:
                spends(member, random.randint(1, 50), f"S{day}", at=at)
            case _:
                pass
        for side in (office, hotel):
            while side.waiting and random.random() < 0.5:
                side._deliver(side.waiting.pop(random.randrange(len(side.waiting))))
                if random.random() < 0.3:
                    assert side.delivers_again(random.randrange(len(side.delivered))) == "ignored: duplicate"
    while office.waiting or hotel.waiting:
        office.delivers_all(random, 0.3)
        hotel.delivers_all(random, 0.3)
    given = 0
    for side in (office, hotel):
        for resident in side.residents.values():
            folded = Account()
            for entry in resident.entries:
                evolve_entry(folded, entry)
            assert folded.purses == resident.account.purses
            for kind, purse in resident.account.purses.items():
                balances(kind, purse)
            assert not any(name.startswith("exchange/") for name in resident.account.holds), "nothing waits for ever"
    for name in names:
        states = [page for key, page in office.at(name).pages.items() if key.startswith("exchange/")]
        given += sum(page.given for page in states if page.state == 1)
    purses = [hotel.at(name).account.purse("points") for name in names]
    assert given == sum(purse.issued - purse.clawed_back for purse in purses), "given there is taken here, and no more"
    assert any(
        isinstance(change, Told) for name in names for entry in office.at(name).entries for change in entry.changes
    )
