"""The shop's lines as orders and returns, years later and in fen.

Lines of one customer with the same time and kind are one order or one return. The shop's returns name no
order: they go back to the latest earlier sale of the item to the customer; where there is none, to no order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from typing import NamedTuple

from service.demo.online_retail.lines import Item, Line, read_lines

# Of the shipped year. Whole weeks, so that every day keeps its weekday: 2010-12-01 becomes 2024-11-27. The time of day
# stays.
MOVED = timedelta(weeks=730)
FEN_PER_PENNY = 9  # a fixed rate, near that of the day: £1 is ¥9
NO_ORDER = ""  # of a return whose sale is not in the record


@dataclass(slots=True)
class OrderLine:
    """A line of an order. `full_fen` is what it costs in cash and points; `points` were tendered on it."""

    item: Item
    quantity: int
    full_fen: int
    points: int = 0

    @property
    def paid_fen(self) -> int:
        """The cash for the whole line (a point is worth one fen)."""
        return self.full_fen - self.points


@dataclass(slots=True)
class Order:
    """An order, completed at `at` (local time). A line's id is its place, from "1"."""

    order: str
    customer: str
    at: datetime
    abroad: bool
    lines: list[OrderLine]

    @property
    def settlement_fen(self) -> int:
        """What was to be paid before points."""
        return sum(line.full_fen for line in self.lines)


class ReturnedLine(NamedTuple):
    """Pieces that come back of a line of an order, the cash for them in fen and the points given back."""

    line: str
    item: Item
    quantity: int
    refund_fen: int
    points: int


@dataclass(slots=True)
class Return:
    """What comes back at once of one order, or of none that is known (`NO_ORDER`)."""

    return_: str
    customer: str
    at: datetime
    order: str
    lines: list[ReturnedLine] = field(default_factory=list)


@dataclass(slots=True)
class _Sold:
    """A line that something may come back of: pieces returned and points given back so far."""

    order: str
    line: str
    sale: OrderLine
    returned: int = 0
    points_back: int = 0

    def take_back(self, quantity: int) -> int:
        """Note pieces that come back; the answer is the points that come with them, their share."""
        self.returned += quantity
        share = self.sale.points * min(self.returned, self.sale.quantity) // self.sale.quantity
        back, self.points_back = share - self.points_back, share
        return back


def read_sales(moved: timedelta = MOVED) -> Iterator[Order | Return]:
    """The year's orders and returns in order of time, numbered as they come, `moved` from the days of the record.

    An order's points may be set while it is out, before the next is asked for: later returns go by them.
    """
    sales = _Sales(moved)
    for _, minute in groupby(read_lines(), key=lambda line: line.at):
        for lines in _invoices(minute):
            if lines[0].quantity > 0:
                yield sales.order(lines)
            else:
                yield from sales.returns(lines)


@cache
def _coming_back() -> frozenset[tuple[str, Item]]:
    """Customers and items of which something comes back at some time: a first look at the whole record."""
    return frozenset((line.customer, line.item) for line in read_lines() if line.quantity < 0)


def _invoices(minute: Iterable[Line]) -> Iterable[list[Line]]:
    """The lines of a minute by customer and kind, in the order in which each first appears."""
    invoices: dict[tuple[str, bool], list[Line]] = {}
    for line in minute:
        invoices.setdefault((line.customer, line.quantity > 0), []).append(line)
    return invoices.values()


class _Sales:
    """What is known of the year so far. Only the few sales that something comes back of are kept."""

    def __init__(self, moved: timedelta) -> None:
        self._moved = moved
        self._coming_back = _coming_back()
        self._latest: dict[tuple[str, Item], list[_Sold]] = {}
        self._orders = 0
        self._returns = 0

    def order(self, lines: list[Line]) -> Order:
        """The next order, remembered for what will come back of it."""
        self._orders += 1
        first = lines[0]
        abroad = first.country != "United Kingdom"
        sold = [OrderLine(line.item, line.quantity, line.quantity * _unit_fen(line)) for line in lines]
        order = Order(f"O{self._orders}", first.customer, first.at + self._moved, abroad, sold)
        self._remember(order)
        return order

    def returns(self, lines: list[Line]) -> Iterable[Return]:
        """What comes back at once, one return for each order that it goes back to."""
        returns: dict[str, Return] = {}
        for number, line in enumerate(lines, 1):
            sold = self._sale_of(line)
            order = sold.order if sold else NO_ORDER
            if order not in returns:
                self._returns += 1
                returns[order] = Return(f"R{self._returns}", line.customer, line.at + self._moved, order)
            returns[order].lines.append(_returned(line, number, sold))
        return returns.values()

    def _remember(self, order: Order) -> None:
        latest: dict[tuple[str, Item], list[_Sold]] = {}
        for number, line in enumerate(order.lines, 1):
            key = (order.customer, line.item)
            if key in self._coming_back:
                latest.setdefault(key, []).append(_Sold(order.order, str(number), line))
        self._latest.update(latest)

    def _sale_of(self, line: Line) -> _Sold | None:
        """Of the latest order with the item its last line with pieces left, or else its last line."""
        lines = self._latest.get((line.customer, line.item))
        if lines is None:
            return None
        return next((sold for sold in reversed(lines) if sold.returned < sold.sale.quantity), lines[-1])


def _unit_fen(line: Line) -> int:
    return line.unit_pence * FEN_PER_PENNY


def _returned(line: Line, number: int, sold: _Sold | None) -> ReturnedLine:
    """A line that comes back at its own price, points first; of an unknown order it keeps its own number."""
    quantity = -line.quantity
    points = sold.take_back(quantity) if sold else 0
    price_fen = quantity * _unit_fen(line)
    name = sold.line if sold else str(number)
    return ReturnedLine(name, line.item, quantity, max(0, price_fen - points), points)
