"""What goes otherwise than planned: orders that come to nothing or late, complaints, frozen accounts."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from service.demo.online_retail.members import Chance, Member
from service.demo.online_retail.sales import FEN_PER_PENNY, Order, OrderLine
from service.demo.online_retail.spending import OFFSET_STEP, request, spread
from service.demo.online_retail.wire import BRANCH, OPERATORS, SHOP, Fact, whole_order_fact

FROM_NOW_ON_NOTHING = 10**9  # beans: taken off the guess of what she has, it keeps her from asking again


def cancelled(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """An order paid and then cancelled; where she has the beans, partly in points, which come back."""
    at = chance.day_after(order.at, 1, 20)
    given_up = _another(chance.name("X"), member, order, at)
    points = OFFSET_STEP if member.beans >= OFFSET_STEP <= given_up.settlement_fen // 2 else 0
    if points:
        spread(points, given_up)
        yield request(chance, member, at, points, "offset", given_up)
    yield whole_order_fact("paid", given_up)
    data = {"order": given_up.order, "reason": "changed-mind"}
    end = chance.day_after(at, 1, 3)
    yield Fact(end, "order.cancelled.v1", member.customer, f"{given_up.order}-cancelled", data, SHOP)


def rejected(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """Orders refused at the door: mostly one, at times three in a few days, which costs beans."""
    for _ in range(chance.random.choice((1, 1, 3))):
        at = chance.day_after(order.at, 1, 8)
        refused = _another(chance.name("X"), member, order, at)
        yield whole_order_fact("paid", refused)
        data = {"order": refused.order}
        end = chance.day_after(at, 1, 2)
        yield Fact(end, "order.rejected.v1", member.customer, f"{refused.order}-rejected", data, SHOP)
        member.beans -= 500


def reported_late(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """A sale at the shop's market stall, of which the stream hears days later."""
    at, late = chance.day_after(order.at, 1, 20), timedelta(days=chance.random.randint(2, 12))
    sold = _another(chance.name("B"), member, order, at)
    yield whole_order_fact("completed", sold)._replace(source=BRANCH, late=late)


def _another(name: str, member: Member, order: Order, at: datetime) -> Order:
    """A made-up order of a few pieces of what she ordered before."""
    like = order.lines[0]
    pieces = min(like.quantity, 12)
    full_fen = max(like.full_fen * pieces // like.quantity, FEN_PER_PENNY)
    return Order(name, member.customer, at, False, [OrderLine(like.item, pieces, full_fen)])


def adjusted(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """Beans given for a complaint or taken for a mistake, by one operator and approved by another."""
    points, reason = chance.random.choice(((200, "goodwill"), (500, "goodwill"), (-100, "correction")))
    name = chance.name("adjustment")
    data = {
        "adjustment": name,
        "kind": "beans",
        "points": points,
        "reason": reason,
        "by": "operator-1",
        "approved_by": "operator-2",
    }
    member.beans += min(points, 0)
    at = chance.day_after(order.at, 1, 20)
    yield Fact(at, "points.adjusted.v1", member.customer, name, data, OPERATORS)


def frozen(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """An account frozen for some days, in which a request is refused."""
    name, at = chance.name("freeze"), chance.day_after(order.at, 1, 10)
    member.beans -= FROM_NOW_ON_NOTHING
    yield Fact(at, "account.frozen.v1", member.customer, name, {"reason": "risk-review"}, OPERATORS)
    yield request(chance, member, chance.day_after(at, 1, 2), 20, "draw", spent=False)
    data = {"reason": "cleared"}
    end = chance.day_after(at, 3, 9)
    yield Fact(end, "account.unfrozen.v1", member.customer, f"{name}-over", data, OPERATORS)
