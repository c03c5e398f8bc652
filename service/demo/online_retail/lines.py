"""The shop's own record: every line of every invoice of a year, as the shop wrote it down.

`lines.csv.zst` is a CSV that leaves out what the row above says already:

| column | meaning |
|---|---|
| minutes | since the row above (the first: since `BEGIN`); empty for 0 |
| customer | the shop's customer number; empty where it is that of the row above |
| country | of the customer; empty where it is that of the row above |
| item | a name when the item is first seen, afterwards its number: 0 for the first name, 1 for the second … |
| quantity | pieces; below zero in a return |
| unit_price_pence | price of a piece in pence |

Nothing is lost by it: `pack` made the file from the shop's lines, and `read_lines` makes them again.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from importlib.resources import files
from typing import NamedTuple

import zstandard

BEGIN = datetime(2010, 12, 1)
LAST = datetime(2011, 12, 9, 12, 50)  # the last line of the record
COLUMNS = ("minutes", "customer", "country", "item", "quantity", "unit_price_pence")


class Item(NamedTuple):
    """What is sold: its number in the order of first appearance, and its name."""

    number: int
    name: str


class Line(NamedTuple):
    """A line of an invoice at the shop's local time; `quantity` is in pieces, below zero in a return."""

    at: datetime
    customer: str
    country: str
    item: Item
    quantity: int
    unit_pence: int


def read_lines() -> Iterator[Line]:
    """Every line in the order of the record, read as a stream."""
    at, customer, country = BEGIN, "", ""
    items: list[Item] = []
    for minutes, new_customer, new_country, item, quantity, pence in _rows():
        if minutes:
            at += timedelta(minutes=int(minutes))
        customer = new_customer or customer
        country = new_country or country
        if item.isdecimal():
            known = items[int(item)]
        else:
            known = Item(len(items), item)
            items.append(known)
        yield Line(at, customer, country, known, int(quantity), int(pence))


def pack(source: Iterable[Sequence[str]]) -> bytes:
    """The file's bytes from rows of time, customer, kind, item, quantity, unit_price_pence, country."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    numbers: dict[str, int] = {}
    at, customer, country = BEGIN, "", ""
    for time, new_customer, _, item, quantity, pence, new_country in source:
        minutes = (datetime.fromisoformat(time) - at) // timedelta(minutes=1)
        writer.writerow(
            (
                minutes or "",
                "" if new_customer == customer else new_customer,
                "" if new_country == country else new_country,
                numbers.get(item, item),
                quantity,
                pence,
            )
        )
        numbers.setdefault(item, len(numbers))
        at, customer, country = at + timedelta(minutes=minutes), new_customer, new_country
    return zstandard.ZstdCompressor(level=19).compress(text.getvalue().encode())


def _rows() -> Iterator[list[str]]:
    with (
        files(__package__).joinpath("lines.csv.zst").open("rb") as packed,
        zstandard.ZstdDecompressor().stream_reader(packed) as plain,
        io.TextIOWrapper(plain, encoding="utf-8", newline="") as text,
    ):
        rows = csv.reader(text)
        next(rows)  # the header
        yield from rows
