"""Facts on their way out: what happened, when it arrives, and its bytes as a CloudEvent."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from service.demo.online_retail.catalogue import category, sku
from service.demo.online_retail.members import LONDON
from service.demo.online_retail.sales import Order, OrderLine, Return

SHOP = "/shop/orders"
MEMBERS = "/shop/members"  # what members do besides buying
BRANCH = "/shop/branch"  # a stall that reports its sales days later: these facts alone come out of order
OPERATORS = "/operators"


class Fact(NamedTuple):
    """A fact: `at` is local time in London, `late` how much later the stream gets it."""

    at: datetime
    type: str
    customer: str
    id: str
    data: Mapping[str, Any] = {}
    source: str = MEMBERS
    late: timedelta = timedelta()

    @property
    def arrives(self) -> datetime:
        """When the stream gets it (local time)."""
        return self.at + self.late


def encode(fact: Fact) -> bytes:
    """The fact as one line of NDJSON, without the line's end."""
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": fact.id,
            "source": fact.source,
            "type": fact.type,
            "subject": f"m-{fact.customer}",
            "time": stamp(fact.at),
            "data": fact.data,
        }
    )


def stamp(at: datetime) -> str:
    """A local time with London's offset of that day: RFC 3339."""
    return at.replace(tzinfo=LONDON).isoformat()


def order_data(order: Order, channel: str, pay: str) -> dict[str, Any]:
    """The data of a paid or completed order; what stands at its default is left out."""
    data: dict[str, Any] = {
        "order": order.order,
        "lines": [_line_data(number, line) for number, line in enumerate(order.lines, 1)],
    }
    if channel != "app":
        data["channel"] = channel
    if pay:
        data["pay"] = pay
    if order.abroad:
        data["tags"] = ["abroad"]
    return data


def whole_order_fact(step: str, order: Order) -> Fact:
    """The fact of a made-up order, "paid" or "completed"."""
    name = f"{order.order}-{step}"
    return Fact(order.at, f"order.{step}.v1", order.customer, name, order_data(order, "app", ""), SHOP)


def return_fact(back: Return) -> Fact:
    """The fact of a return."""
    lines = [
        {"line": line.line, "quantity": line.quantity, "refund_fen": line.refund_fen}
        | ({"points": line.points} if line.points else {})
        for line in back.lines
    ]
    data = {"order": back.order, "return": back.return_, "lines": lines}
    return Fact(back.at, "order.returned.v1", back.customer, back.return_, data, SHOP)


def _line_data(number: int, line: OrderLine) -> dict[str, Any]:
    data: dict[str, Any] = {
        "line": str(number),
        "sku": sku(line.item),
        "category": category(line.item),
        "quantity": line.quantity,
        "paid_fen": line.paid_fen,
    }
    if line.points:
        data["points"] = line.points
    return data
