"""What members do that earns something and costs nothing: reviews, answers, shares, sign-ins, strolls."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from service.demo.online_retail.catalogue import sku
from service.demo.online_retail.members import Chance, Member
from service.demo.online_retail.sales import Order
from service.demo.online_retail.wire import Fact, stamp

# What a new member may make known of herself, and once in how many times she does.
KNOWN_OF_HER = (("identity.verified", 3), ("wechat.bound", 4), ("qq.bound", 8), ("profile.completed", 6))
SEASONS = ("winter-sale", "spring-fair", "618", "double-11")  # campaigns, one a quarter


def review(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """A review of a line, most within the 60 days that count, a third with photos.

    Some are removed again, and some lines are reviewed twice.
    """
    line = str(chance.random.randint(1, len(order.lines)))
    for _ in range(2 if chance.once_in(50) else 1):
        name = chance.name("review")
        at = chance.day_after(order.at, 61, 80) if chance.once_in(25) else chance.day_after(order.at, 1, 45)
        characters = chance.random.randint(0, 9) if chance.once_in(5) else chance.random.randint(10, 300)
        data = {"review": name, "order": order.order, "line": line, "characters": characters}
        if chance.once_in(3):
            data["images"] = chance.random.randint(1, 5)
        yield Fact(at, "review.posted.v1", member.customer, name, data)
        if chance.once_in(30):
            gone = chance.day_after(at, 1, 20)
            yield Fact(gone, "review.removed.v1", member.customer, f"{name}-removed", {"review": name})


def answer(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """An answer to another member's question about something bought."""
    name = chance.name("answer")
    data = {"answer": name, "sku": _some_sku(chance, order)}
    yield Fact(chance.day_after(order.at, 1, 60), "question.answered.v1", member.customer, name, data)


def share(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """Something bought, shown to friends; now and then more of it than a score counts."""
    for _ in range(chance.random.choice((1, 1, 1, 2, 7))):
        name = chance.name("share")
        data = {
            "share": name,
            "sku": _some_sku(chance, order),
            "via": chance.random.choice(("wechat", "moments", "link")),
        }
        yield Fact(chance.day_after(order.at, 1, 12), "item.shared.v1", member.customer, name, data)


def sign_in(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """A few days of signing in one after the other, now and then twice a day (which earns once)."""
    for day in range(1, chance.random.randint(2, 6)):
        for _ in range(2 if chance.once_in(20) else 1):
            at = chance.day_after(order.at, day, day)
            yield Fact(at, "member.signed-in.v1", member.customer, chance.name("sign-in"))


def shop_visit(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """A stroll through other shops of the mall, now and then through more than five (which earn no more)."""
    at = chance.day_after(order.at, 1, 20)
    for number in range(chance.random.choice((1, 2, 2, 3, 3, 7))):
        data = {"shop": f"shop-{chance.random.randint(100, 140)}"}
        stop = at + timedelta(minutes=3 * number)
        yield Fact(stop, "shop.visited.v1", member.customer, chance.name("visit"), data)


def account(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """What a new member makes known of herself in the days after her first order."""
    if member.orders == 1:
        for kind, times in KNOWN_OF_HER:
            if chance.once_in(times):
                name = chance.name(kind.split(".")[0])
                yield Fact(chance.day_after(order.at, 1, 15), f"{kind}.v1", member.customer, name)


def standing(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """What others think of a member: her credit, her reputation (a few one-star ones)."""
    at = chance.day_after(order.at, 1, 30)
    if chance.once_in(2):
        data = {"score": chance.random.randint(10, 110)}
        yield Fact(at, "credit.scored.v1", member.customer, chance.name("credit"), data)
    else:
        data = {"stars": chance.random.choice((1, 3, 4, 5, 5, 5))}
        yield Fact(at, "reputation.rated.v1", member.customer, chance.name("reputation"), data)


def grant(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """Beans of the campaign of the season, half of them with an end of their own."""
    name, at = chance.name("grant"), chance.day_after(order.at, 1, 20)
    points = chance.random.choice((10, 20, 50, 100, 200, 500, 1_000))
    campaign = f"{SEASONS[(at.month - 1) // 3]}-{at.year}"
    data: dict[str, Any] = {"grant": name, "campaign": campaign, "kind": "beans", "points": points}
    if chance.once_in(2):
        data["expires"] = stamp(chance.day_after(at, 1, 120))
    yield Fact(at, "campaign.granted.v1", member.customer, name, data)


def _some_sku(chance: Chance, order: Order) -> str:
    return sku(chance.random.choice(order.lines).item)
