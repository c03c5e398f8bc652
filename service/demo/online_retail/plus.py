"""PLUS: trials, terms and their renewals, cards from a partner's code, refunds, claims of free shipping.

Some buy the annual card before their score is 201. The shop has their money, so the card opens, with the note
`not-eligible`: about fifty entries of the demo show what that looks like.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from service.demo.online_retail.members import Chance, Member
from service.demo.online_retail.sales import Order
from service.demo.online_retail.wire import Fact

CARDS = {  # product: price in fen, days of its term
    "plus.annual": (14_900, 365),
    "plus.quarter": (4_900, 90),
    "plus.month": (1_900, 30),
    "plus.trial": (0, 30),
}


LESS_FEN = 5_000  # off the annual card for whoever has this much of the score
LESS_FROM = 5_000


def at_its_price(fact: Fact, member: Member) -> Fact:
    """A fact of a card when its time has come: the annual one is bought, and given back, at the price of that day."""
    data = fact.data
    if fact.type == "card.purchased.v1" and data["product"] == "plus.annual":
        less = LESS_FEN if member.score_at(fact.at) >= LESS_FROM else 0
        member.paid_fen[data["card"]] = data["paid_fen"] - less
        return fact._replace(data={**data, "paid_fen": data["paid_fen"] - less})
    if fact.type == "card.refunded.v1" and data["card"] in member.paid_fen:
        return fact._replace(data={**data, "refund_fen": member.paid_fen[data["card"]]})
    return fact


def card(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """A member's first card: a trial that may lead to a year, or a term of some length with its renewals."""
    if member.has_card:
        return
    member.has_card = True
    at = chance.day_after(order.at, 1, 10)
    match chance.random.randrange(10):
        case 0 | 1 | 2 | 3:
            yield from _trial(chance, member, at)
        case 4 | 5 | 6:
            yield from _terms(chance, member, at, "plus.annual", 1)
        case 7:
            yield from _terms(chance, member, at, "plus.quarter", chance.random.randint(1, 4))
        case 8:
            yield from _terms(chance, member, at, "plus.month", chance.random.randint(1, 8))
        case _:
            yield _coded_card(chance, member, at, chance.random.choice(("plus.annual", "plus.quarter")))


def _trial(chance: Chance, member: Member, at: datetime) -> Iterator[Fact]:
    name, end = chance.name("card"), at + timedelta(days=CARDS["plus.trial"][1])
    member.trial_from, member.trial_until = at, end
    member.plus_from, member.plus_until = at, end
    yield Fact(at, "card.trial-started.v1", member.customer, name, {"card": name, "product": "plus.trial"})
    if not chance.once_in(3):
        bought = chance.day_after(at, 5, 55)
        member.trial_until = min(end, bought)
        yield from _terms(chance, member, bought, "plus.annual", 1)


def _terms(chance: Chance, member: Member, at: datetime, product: str, terms: int) -> Iterator[Fact]:
    price_fen, days = CARDS[product]
    member.plus_from = member.plus_from if member.plus_until >= at else at
    for _ in range(terms):
        name = chance.name("card")
        data = {"card": name, "product": product, "paid_fen": price_fen}
        yield Fact(at, "card.purchased.v1", member.customer, name, data)
        member.plus_until = at + timedelta(days=days)
        at = chance.day_after(at, days - 4, days - 1)  # renewed in the term's last days
    if product == "plus.month" and chance.once_in(2):
        for _ in range(7):  # two more than a month's card has
            yield _claim(chance, member, chance.day_after(member.plus_from, 1, 20))
    elif terms == 1 and chance.once_in(12):
        back = chance.day_after(member.plus_until - timedelta(days=days), 1, 6)
        member.plus_until = back
        data = {"card": name, "refund_fen": price_fen}
        yield Fact(back, "card.refunded.v1", member.customer, f"{name}-refunded", data)


def _coded_card(chance: Chance, member: Member, at: datetime, product: str) -> Fact:
    name = chance.name("card")
    member.plus_from, member.plus_until = at, at + timedelta(days=CARDS[product][1])
    data = {"card": name, "product": product, "code": f"PARTNER-{name}"}
    return Fact(at, "card.code-redeemed.v1", member.customer, name, data)


def claim(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """Free shipping of an order, by a PLUS member."""
    if member.plus_from <= order.at < member.plus_until:
        yield _claim(chance, member, order.at + timedelta(minutes=chance.random.randint(1, 9)), order)


def _claim(chance: Chance, member: Member, at: datetime, order: Order | None = None) -> Fact:
    name = chance.name("claim")
    data = {"claim": name, "benefit": "shipping"}
    if order:
        data["order"] = order.order
    return Fact(at, "benefit.claimed.v1", member.customer, name, data)
