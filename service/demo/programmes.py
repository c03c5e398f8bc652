"""A made-up year of a shipped programme: few members, every kind of fact that its book gives something for.

The same book gives the same facts. What is made up is read off the book: its channels, categories, activities, cards.
"""

import random
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any

import msgspec

from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import Condition, Use
from ledger.wire.times import to_datetime

MEMBERS = 12
MONTHS = 12
SHOPS = ("shop-a", "shop-b")
_SOURCE = "/made-up"


def made_up_year(version: ProgrammeVersion) -> list[bytes]:
    """The facts of a year of a programme from the day on which its book begins, in order of time."""
    maker = _Maker(version)
    found = [fact for number in range(1, MEMBERS + 1) for fact in maker.member(f"member-{number:02}")]
    found.sort(key=lambda fact: (fact["time"], fact["subject"], fact["id"]))
    return [msgspec.json.encode(fact) for fact in found]


class _Maker:
    """What a book names, and the facts that are made of it."""

    def __init__(self, version: ProgrammeVersion) -> None:
        self._version = version
        self._book = version.programme
        self._chance = random.Random(version.programme.programme)
        self._begin = to_datetime(version.since).astimezone(UTC) + timedelta(hours=2)
        saves = [(label, benefit.saves) for label, (_, benefit) in version.benefits.items()]
        self._saving = [label for label, of in saves if of is not None and of.share is not None]
        self._awarded = {award.on for award in self._book.award}
        self._count = 0
        self._member = ""

    def member(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the facts of one member's year."""
        self._member = name
        if any(score.joined for score in self._book.scores.values()):
            for shop in SHOPS:
                yield self._fact(0, "member.joined", shop=shop)
        if self._book.attributes:
            yield self._fact(0, "member.described", attributes=self._attributes())
        if "identity.verified" in self._awarded:
            yield self._fact(1, "identity.verified")
        for label, (_, product) in self._version.products.items():
            if product.price and self._chance.random() < 0.6:
                fen = product.price[-1].fen
                yield self._fact(20 + self._day(), "card.purchased", card=self._id("C"), product=label, paid_fen=fen)
        for month in range(MONTHS):
            yield from self._month(month)

    def _month(self, month: int) -> Iterator[dict[str, Any]]:
        first = 30 * month + 2
        for _ in range(self._chance.randint(1, 4)):
            yield from self._order(first + self._day())
        for on in ("member.signed-in", "shop.visited"):
            if on in self._awarded:
                yield self._fact(first + self._day(), on, **({"shop": SHOPS[0]} if on == "shop.visited" else {}))
        for activity in self._named("activity"):
            told = {"activity": activity, "count": 1, "amount_fen": self._fen()}
            yield self._fact(first + self._day(), "activity.done", done=self._id("D"), **told)
        for label in self._version.benefits:
            if self._chance.random() < 0.3:
                told = {"claim": self._id("B"), "benefit": label, "shop": SHOPS[0]}
                yield self._fact(first + self._day(), "benefit.claimed", **told)
        for name, use in self._book.uses.items():
            if self._chance.random() < 0.3:
                yield self._redemption(first + self._day(), name, use)
        for name, exchange in self._book.exchanges.items():
            if self._chance.random() < 0.3:
                told = {"request": self._id("X"), "exchange": name, "points": exchange.rate[0].take * 10}
                yield self._fact(first + self._day(), "exchange.requested", **told)

    def _order(self, day: int) -> Iterator[dict[str, Any]]:
        """An order, and sometimes a review of its line, or its return."""
        order, category, paid = self._id("O"), self._one_of("category"), self._fen()
        line: dict[str, Any] = {
            "line": "1",
            "sku": "s",
            "category": category,
            "paid_fen": paid,
            "quantity": self._chance.randint(1, 3),
        }
        if self._saving:  # the line names a benefit that saves a share of its list price
            line |= {"saved_by": self._saving[self._count // 2 % len(self._saving)], "list_fen": paid + paid // 10}
        told = {"channel": self._one_of("channel"), "shop": SHOPS[self._count % 2], "tags": self._named("tags")}
        yield self._fact(day, "order.completed", order=order, lines=[line], **told)
        if "review.posted" in self._awarded and self._chance.random() < 0.5:
            review = {"review": self._id("V"), "order": order, "line": "1", "characters": 30, "images": 3}
            yield self._fact(day + 3, "review.posted", **review)
        elif self._chance.random() < 0.1:
            back = [{"line": "1", "quantity": line["quantity"], "refund_fen": paid}]
            yield self._fact(day + 5, "order.returned", **{"return": self._id("T"), "order": order, "lines": back})

    def _redemption(self, day: int, name: str, use: Use) -> dict[str, Any]:
        points = use.exactly or max(use.multiple, use.at_least or 1, 10)
        told: dict[str, Any] = {"redemption": self._id("R"), "kind": use.kinds[0], "points": points, "use": name}
        if use.order:
            told |= {"order": self._id("N"), "settlement_fen": max(self._fen(), 10 * points)}
        if self._book.kinds[use.kinds[0]].each is not None:
            told["shop"] = SHOPS[0]
        return self._fact(day, "redemption.requested", **told)

    def _attributes(self) -> dict[str, str | int]:
        """A value for each attribute of the book."""
        told: dict[str, str | int] = {}
        for name, attribute in self._book.attributes.items():
            if attribute.type == "number":
                told[name] = self._chance.randint(50, 150)
            elif attribute.type == "month-day":
                told[name] = f"{self._chance.randint(1, 12):02}-{self._chance.randint(1, 28):02}"
            else:
                told[name] = self._chance.choice(attribute.values or ("north", "south"))
        return told

    def _named(self, field: str) -> list[str]:
        """The values of a field that the book's rules name, in their order."""
        conditions = [award.when[field] for award in self._book.award if field in award.when]
        conditions += [penalty.when[field] for penalty in self._book.penalties.values() if field in penalty.when]
        return list(dict.fromkeys(value for one in conditions for value in _values(one)))

    def _one_of(self, field: str) -> str:
        return self._chance.choice(self._named(field) or [""])

    def _fen(self) -> int:
        return self._chance.choice((1_990, 9_999, 25_800, 59_900, 120_000, 349_900))

    def _day(self) -> int:
        return self._chance.randint(0, 20)

    def _id(self, letter: str) -> str:
        self._count += 1
        return f"{letter}-{self._count}"

    def _fact(self, day: int, type_: str, **data: Any) -> dict[str, Any]:
        time = self._begin + timedelta(days=day, minutes=self._chance.randint(0, 600))
        return {
            "specversion": "1.0",
            "id": self._id("f"),
            "source": _SOURCE,
            "type": f"{type_}.v1",
            "subject": self._member,
            "time": time.isoformat(),
            "data": data,
        }


def _values(condition: Condition) -> list[str]:
    """The texts that a condition wants."""
    return [
        *(value for value in condition.in_ or () if isinstance(value, str)),
        *([condition.has] if condition.has else []),
    ]
