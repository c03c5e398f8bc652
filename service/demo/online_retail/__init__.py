"""A real shop's year as facts: UCI Online Retail, and around it what a loyalty ledger also gets to hear.

The sales and returns are real, orders `O…` and returns `R…`: 406,829 lines of 4,372 customers. Reviews,
cards, redemptions and the rest are made up from a seed (see `habits`). Source and licence: LICENSE.md.

    python -m service.demo.online_retail > year.ndjson
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from heapq import heappop, heappush
from itertools import count, islice

from service.demo.online_retail.habits import HABITS
from service.demo.online_retail.lines import BEGIN, LAST
from service.demo.online_retail.members import Chance, Member
from service.demo.online_retail.plus import at_its_price
from service.demo.online_retail.sales import MOVED, Order, Return, read_sales
from service.demo.online_retail.spending import tender
from service.demo.online_retail.wire import BRANCH, SHOP, Fact, encode, order_data, return_fact

__all__ = ["BRANCH", "SEED", "facts"]

SEED = 2015  # of the shipped year: the year the data was published


def facts(limit: int | None = None, seed: int = SEED, until: date | None = None) -> Iterator[bytes]:
    """The year's facts as lines of NDJSON without their ends, the first `limit` or all, in order of time.

    `until` is the day in London of the last sale, 2025-12-05 where it is left out.

    Streamed: what is kept is the members, the sales that something comes back of, and what is planned.
    Only facts from `BRANCH` stand later than their time. A few facts are sent twice, byte for byte.
    """
    moved = MOVED if until is None else until - LAST.date()
    return islice((encode(fact) for fact in _Year(seed, moved).facts()), limit)


class _Year:
    """The year as it unfolds; what habits have planned waits in a heap by the time it arrives."""

    def __init__(self, seed: int, moved: timedelta) -> None:
        self._moved = moved
        self._chance = Chance(seed, BEGIN + moved)
        self._members: dict[str, Member] = {}
        self._ahead: list[tuple[datetime, int, Fact]] = []
        self._planned = count()

    def facts(self) -> Iterator[Fact]:
        """Every fact up to the shop's last line; what was planned for later does not happen."""
        for sale in read_sales(self._moved):
            while self._ahead and self._ahead[0][0] <= sale.at:
                fact = heappop(self._ahead)[2]
                yield at_its_price(fact, self._members[fact.customer])
            member = self._members.setdefault(sale.customer, Member(sale.customer))
            if isinstance(sale, Return):
                member.note_return(sale)
                yield return_fact(sale)
            else:
                yield from self._order(member, sale)

    def _order(self, member: Member, order: Order) -> Iterator[Fact]:
        yield from tender(self._chance, member, order)
        yield from self._sold(order)
        member.note_order(order)
        for times, habit in HABITS:
            if self._chance.random.randrange(1_000) < times:
                for fact in habit(self._chance, member, order):
                    heappush(self._ahead, (fact.arrives, next(self._planned), fact))

    def _sold(self, order: Order) -> Iterator[Fact]:
        """An order, half of them also as paid; a few are sent twice."""
        random = self._chance.random
        channel = random.choice(("app", "app", "app", "web", "mini-program"))
        data = order_data(order, channel, random.choice(("jd-pay", "", "")))
        if random.randrange(2):
            yield Fact(order.at, "order.paid.v1", order.customer, f"{order.order}-paid", data, SHOP)
        completed = Fact(order.at, "order.completed.v1", order.customer, f"{order.order}-done", data, SHOP)
        for _ in range(2 if self._chance.once_in(500) else 1):
            yield completed
