"""Facts of 2025, told by the day: each at noon in Shanghai."""

from datetime import datetime
from typing import Any

from ledger.wire.times import to_instant

Fact = dict[str, Any]
LINE = {"line": "1", "sku": "s", "category": "phone", "quantity": 1, "paid_fen": 80_000}


def at(text: str) -> int:
    return to_instant(datetime.fromisoformat(f"2025-{text}T12:00:00+08:00"))


def fact(kind: str, name: str, day: str, member: str = "m-1", **data: Any) -> Fact:
    time = f"2025-{day}T12:00:00+08:00"
    head = {"specversion": "1.0", "id": name, "source": "/shop", "type": f"{kind}.v1", "subject": member, "time": time}
    return {**head, "data": data} if data else head


def order(name: str, day: str) -> Fact:
    return fact("order.completed", f"{name}-done", day, order=name, lines=[LINE])


def returned(name: str, day: str) -> Fact:
    lines = [{"line": "1", "quantity": 1, "refund_fen": 80_000}]
    return fact("order.returned", f"{name}-back", day, **{"order": name, "return": f"T-{name}", "lines": lines})
