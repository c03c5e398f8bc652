"""How members spend their beans: on an order, a coupon, a draw, a telephone, at an auction."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from service.demo.online_retail.lines import Item
from service.demo.online_retail.members import Chance, Member
from service.demo.online_retail.sales import Order, OrderLine
from service.demo.online_retail.wire import OPERATORS, Fact, stamp, whole_order_fact

BEFORE = timedelta(days=162)  # the year, beans of an older system were earned: 2024-06-18 of the shipped one
OFFSET_STEP = 1_000  # points: an offset is a multiple of it, and at most half of the settlement
TOP_UP = Item(99_999, "PHONE TOP-UP, MANUAL")  # made up; its category is virtual
# For no order: use and points.
USES = (
    ("coupon", 100),
    ("coupon", 300),
    ("coupon", 500),
    ("service", 200),
    ("data", 150),
    ("draw", 20),
    ("draw", 20),
)


def tender(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """What stands before an order: now and then points for it, set on its lines if she will be given them.

    Before the first order some members get the beans that they have from an older system.
    """
    if member.orders == 0 and chance.once_in(60):
        yield _opening_lot(chance, member, order.at)
    most = min(member.beans, order.settlement_fen // 2) // OFFSET_STEP
    if most > 0 and chance.once_in(8):
        steps = chance.random.randint(1, min(most, 5))
        spread(steps * OFFSET_STEP, order)
        first = 1 if steps > 1 and chance.once_in(10) else steps  # some ask twice for one order
        for part in (first, steps - first):
            if part:
                yield request(chance, member, order.at, part * OFFSET_STEP, "offset", order)
    elif order.settlement_fen >= 2 * OFFSET_STEP and chance.once_in(120):
        # Too much to be given: the shop is refused, and the whole order is paid in cash.
        too_much = OFFSET_STEP * (1 + max(member.beans * 20, order.settlement_fen) // OFFSET_STEP)
        yield request(chance, member, order.at, too_much, "offset", order, spent=False)


def spread(points: int, order: Order) -> None:
    """Set an order's points on its lines by their share, the odd ones where there is most room."""
    whole = order.settlement_fen
    for line in order.lines:
        line.points = points * line.full_fen // whole
    left = points - sum(line.points for line in order.lines)
    for line in sorted(order.lines, key=lambda line: -line.paid_fen):
        extra = min(left, line.paid_fen)
        line.points += extra
        left -= extra


def _opening_lot(chance: Chance, member: Member, at: datetime) -> Fact:
    name, points = chance.name("lot"), chance.random.randint(1, 40) * 50
    member.beans += points
    earned = chance.began.date() - BEFORE
    expires = max(earned.year + 2, at.year + 1)
    data = {
        "lot": name,
        "kind": "beans",
        "points": points,
        "earned_at": f"{earned}T00:00:00+08:00",
        "expires_at": f"{expires}-01-01T00:00:00+08:00",
    }
    return Fact(at, "lot.opened.v1", member.customer, name, data, OPERATORS)


def request(
    chance: Chance,
    member: Member,
    at: datetime,
    points: int,
    use: str,
    order: Order | None = None,
    *,
    spent: bool = True,
) -> Fact:
    """A request for points, for an order or for none; `spent` where it will be given."""
    name = chance.name("redemption")
    data: dict[str, Any] = {"redemption": name, "kind": "beans", "points": points, "use": use}
    if order:
        data |= {"order": order.order, "settlement_fen": order.settlement_fen}
    if spent:
        member.beans -= points
    return Fact(at, "redemption.requested.v1", member.customer, name, data)


def redeem(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """Beans for a coupon, a service, data or a draw; a few reversed, a few asked for without having them."""
    use, points = chance.random.choice(USES)
    spent = points <= member.beans
    if not spent:
        if not chance.once_in(4):
            return
        points = 20 if use == "draw" else 500_000
    at = chance.day_after(order.at, 2, 20)
    asked = request(chance, member, at, points, use, spent=spent)
    yield asked
    if spent and use != "draw" and chance.once_in(8):
        data: dict[str, Any] = {"redemption": asked.id}
        if chance.once_in(2):
            data["points"] = points // 2
        back = chance.day_after(at, 1, 9)
        yield Fact(back, "redemption.reversed.v1", member.customer, f"{asked.id}-reversed", data)


def top_up(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """A phone topped up partly with beans: at most a fifth of it, on an order of its own."""
    full_fen = chance.random.choice((5_000, 10_000, 20_000))
    points = full_fen // 5
    if points > member.beans:
        return
    at = chance.day_after(order.at, 1, 30)
    bought = Order(chance.name("T"), member.customer, at, False, [OrderLine(TOP_UP, 1, full_fen, points)])
    yield request(chance, member, at, points, "top-up", bought)
    yield whole_order_fact("completed", bought)


def hold(chance: Chance, member: Member, order: Order) -> Iterator[Fact]:
    """Beans held for an auction: captured in whole or in part, released, or left to end by itself."""
    name, points = chance.name("hold"), chance.random.randint(1, 30) * 10
    given = points <= member.beans
    at = chance.day_after(order.at, 2, 25)
    until = stamp(at + timedelta(days=7))
    data: dict[str, Any] = {"hold": name, "kind": "beans", "points": points, "until": until}
    yield Fact(at, "hold.requested.v1", member.customer, name, data)
    if not given:
        return  # refused: it never was
    member.beans -= points
    then, end = chance.day_after(at, 1, 5), chance.random.randrange(10)
    if end < 6:
        data = {"hold": name, "points": points if end < 4 else points // 2}
        yield Fact(then, "hold.captured.v1", member.customer, f"{name}-captured", data)
    elif end < 9:
        yield Fact(then, "hold.released.v1", member.customer, f"{name}-released", {"hold": name})
