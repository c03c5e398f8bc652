"""What accounts do with each other, one story a protocol, each of which comes out the same whatever happens meanwhile.

A story is told as facts: some that come first, and those during which a test lets things go wrong.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from ledger.journal.ledger import Ledger
from ledger.wire.entries import ACCEPTED
from ledger.wire.entry_codec import decode_entry
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.facts import PoolAnswered
from projections.audit.replay import replay
from projections.audit.transit import transit
from tests.core.test_worked_examples_of_gifts import BOOK as GIFTS
from tests.core.test_worked_examples_of_houses import BOOK as HOUSES
from tests.core.test_worked_examples_of_other_ledgers import AIRLINE
from tests.core.test_worked_examples_of_other_ledgers import MALL as EXCHANGES
from tests.streams import test_follow_ups as gifts
from tests.streams import test_names_that_move as names
from tests.streams import test_pools_survive as pools
from tests.support.bundles import problems_of_names

Fact = dict[str, Any]
HOUSE, SEATED, QUOTA = "house/lin", ("m-1", "m-2", "m-6"), 5


class Protocol(Struct, frozen=True):
    """A book, what comes first, what comes then, and what the ledger has to say when nothing is on its way."""

    name: str
    book: str
    before: list[Fact]
    facts: list[Fact]
    check: Callable[[Ledger], None]
    partners: tuple[str, ...] = ()

    def begin(self, ledger: Ledger) -> None:
        """Have the settings of a ledger name those that the story hears of."""
        if self.partners:
            with ledger.writing():
                ledger.change_settings(msgspec.structs.replace(ledger.settings, partners=self.partners))


def check_at_rest(ledger: Ledger) -> None:
    """Nothing is on its way, nothing is lost or doubled, names agree, and every decision is derived again."""
    found = transit(ledger)
    assert (found.faults, found.waiting, found.in_transit) == ([], [], {})
    assert not list(problems_of_names(dict(ledger.accounts(gifts.NOW))))
    assert replay(ledger)["differences"] == []


def seats_first() -> list[Fact]:
    """A house has a card with two seats, who is to sit there has points."""
    lot = {"kind": "beans", "points": 500, "earned_at": "2025-01-01T00:00:00Z", "expires_at": "2999-12-01T00:00:00Z"}
    facts = [gifts.fact("lot.opened", name, f"l-{name}", 0, {"lot": "L", **lot}, "/operators") for name in SEATED]
    facts.append(gifts.fact("card.purchased", HOUSE, "h", 1, {"card": "C1", "product": "club.year", "paid_fen": 1}))
    return facts + [joined(name) for name in SEATED[:2]]


def joined(name: str) -> Fact:
    return gifts.fact("house.joined", HOUSE, f"j-{name}", 2, {"house": "lin", "card": "C1", "member": name})


def seats() -> list[Fact]:
    """Members claim more than the quota that they share; one leaves, another comes, and the card is upgraded."""
    facts = [
        gifts.fact("benefit.claimed", name, f"c-{name}-{n}", 3, {"claim": f"T{n}", "benefit": benefit})
        for n, benefit in enumerate(("coupon", "coupon", "monthly", "coupon"))
        for name in SEATED[:2]
    ]
    facts.append(gifts.fact("house.left", HOUSE, "out", 4, {"house": "lin", "member": SEATED[1]}))
    facts.append(joined(SEATED[2]))
    facts.append(gifts.fact("card.purchased", HOUSE, "up", 5, {"card": "C2", "product": "club.big", "paid_fen": 1}))
    facts += [gifts.fact("benefit.returned", name, f"r-{name}", 6, {"claim": "T0"}) for name in SEATED[:2]]
    return facts


def check_seats(ledger: Ledger) -> None:
    """Each seat has the house's terms; what members were given and keep is what the house counts, within the quota."""
    accounts = dict(ledger.accounts(gifts.instant("2025-04-12")))
    house = accounts[HOUSE]
    assert set(house.seats) == {SEATED[0], SEATED[2]}
    laid = {(term.card, term.start, term.until) for term in house.terms["club"] if term.start < term.until}
    for name in SEATED:
        told = {(term.card, term.start, term.until) for term in accounts[name].seats[HOUSE].terms}
        assert told == (laid if name in house.seats else set())
        assert not accounts[name].holds, "a price is held for ever"
    given = Counter[str]()
    for entry in gifts.entries_of(ledger):
        fact, _ = decode_canonical(entry.fact)
        if isinstance(fact, PoolAnswered) and entry.outcome == ACCEPTED and fact.data.yes:
            given["all"] += 1
    back = sum(b'"pool.returned.v1"' in decode_entry(row.state).fact for row in taken_by_house(ledger))
    used = sum(sum(term.used.values()) for term in house.terms["club"])
    assert used == given["all"] - back <= 2 * QUOTA


def taken_by_house(ledger: Ledger) -> list[Any]:
    journal = ledger.journal(ledger.partition_of(HOUSE))
    return [row for row in journal.scan() if row.member == HOUSE and decode_entry(row.state).outcome == ACCEPTED]


def parting() -> list[Fact]:
    """What comes under the old name, and the end of it: whichever comes first."""
    return [*names.later(), gifts.fact("member.unmerged", names.HEAD, "u", 7, {"name": names.OLD}, "/operators")]


def check_parted(ledger: Ledger) -> None:
    """Both are members of their own again. The return was decided while they were one, or behind that.

    While they were one, 7 of the head's that would have ended paid for it, and 13 of a lot of the head's.
    """
    accounts = dict(ledger.accounts(gifts.NOW))
    old, head = 400 + 20 + 90, 500
    found = names.spendable(ledger)
    assert (found[names.OLD], found[names.HEAD]) in ((old, head - 13), (old - 20, head)) and found[names.OTHER] == 400
    bundles = [accounts[name].bundle for name in (names.OLD, names.HEAD)]
    assert all(bundle is not None and bundle.alias is None and not bundle.names for bundle in bundles)


def check_merged(ledger: Ledger) -> None:
    assert names.spendable(ledger) == {names.OLD: 0, names.HEAD: 400 + 500 + 90, names.OTHER: 400}


def on(day: int, fact: Fact) -> Fact:
    """Return a fact as one of another day of the month."""
    return {**fact, "time": fact["time"].replace("-10T", f"-{day:02}T")}


def asked() -> list[Fact]:
    """Members who have 300 beans ask for the miles of a partner, for all of them; then one becomes another's name."""
    lot = {"kind": "beans", "points": 300, "earned_at": "2025-01-01T00:00:00Z", "expires_at": "2999-12-01T00:00:00Z"}
    names = [*OUTSIDE, *HEADS.values()]
    facts = [gifts.fact("lot.opened", name, f"l-{name}", 0, {"lot": "L", **lot}, "/operators") for name in names]
    data = {"request": "X", "exchange": "miles", "points": 300}
    facts += [gifts.fact("exchange.requested", name, f"x-{name}", 1, data) for name in OUTSIDE]
    return [*facts, merged("moved")]


def merged(name: str) -> Fact:
    return gifts.fact("member.merged", name, f"m-{name}", 2, {"into": HEADS[name]}, "/operators")


def answers() -> list[Fact]:
    """What a partner answers, in time (the 11th) or after the 16th, and each time again; names move meanwhile."""
    facts = [merged("moved-late")]
    spent = {"redemption": "R", "points": 200, "use": "any"}
    for name in ("late", "moved-late"):
        facts.append(on(18, gifts.fact("redemption.requested", name, f"r-{name}", 0, spent)))
    for name in OUTSIDE:
        kind, data = "exchange.confirmed", {"request": "X"}
        if "no" in name.split("-"):
            kind, data = "exchange.failed", {**data, "reason": "no"}
        for time in () if name == "silent" else (1, 2):
            told = gifts.fact(kind, name, f"y-{name}-{time}", time, data, AIRLINE)
            facts.append(on(19 if "late" in name else 11, told))
    part = gifts.fact("member.unmerged", HEADS["moved"], "u", 3, {"name": "moved"}, "/operators")
    return sorted([*facts, on(11, part)], key=lambda one: one["time"])


def check_answers(ledger: Ledger) -> None:
    """What the partner gave was paid once, late by what there is or as debt, and nothing is held.

    Of two names it is told together: which of them paid depends on who was where.
    """
    found: dict[str, list[int]] = {}
    for name, account in ledger.accounts(gifts.instant("2025-05-01")):
        assert not account.holds, name
        purse, sums = account.purse("beans"), found.setdefault(HEADS.get(name, name), [0, 0, 0])
        for place, points in enumerate((purse.spendable(), purse.redeemed + purse.clawed_back, purse.debt)):
            sums[place] += points
    assert found == {
        "yes": [0, 300, 0],
        "no": [300, 0, 0],
        "silent": [300, 0, 0],
        "late": [0, 300, 200],
        "late-no": [300, 0, 0],
        "head": [300, 300, 0],
        "other": [100, 500, 0],
    }


OUTSIDE = ("yes", "no", "silent", "late", "late-no", "moved", "moved-late")
HEADS = {"moved": "head", "moved-late": "other"}
MERGE = Protocol("merge", GIFTS, [], names.story(), check_merged)
PART = Protocol("part", GIFTS, names.story(), parting(), check_parted)
SEATS = Protocol("seats", HOUSES, seats_first(), seats(), check_seats)
GIFT = Protocol("gift", GIFTS, [], gifts.gifts(), gifts.check_all_arrived)
POOL = Protocol("pool", pools.BOOK, [], pools.facts(), pools.check)
PARTNER = Protocol("partner", EXCHANGES, asked(), answers(), check_answers, (AIRLINE,))
PROTOCOLS = (GIFT, POOL, SEATS, MERGE, PART, PARTNER)
