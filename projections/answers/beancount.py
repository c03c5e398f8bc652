"""Postings as a beancount file: double entry that `bean-check` accepts, with a commodity for each kind of points.

A member's points are a liability, so what is given is an expense and what is redeemed, expired or clawed back an
income. A posting adds to the account it comes from and takes from the account it goes to.
"""

from collections.abc import Iterator
from itertools import groupby

from ledger.core import postings
from ledger.wire.times import day_of, day_text, to_text
from projections.answers.tables import Row, Table

ACCOUNTS = {
    postings.SPENDABLE: "Liabilities:Points:Spendable",
    postings.PENDING: "Liabilities:Points:Pending",
    postings.HELD: "Liabilities:Points:Held",
    postings.ISSUED: "Expenses:Points:Issued",
    postings.REDEEMED: "Income:Points:Redeemed",
    postings.EXPIRED: "Income:Points:Expired",
    postings.CLAWED_BACK: "Income:Points:Clawed-Back",
    postings.FORFEITED: "Income:Points:Forfeited",
    postings.IN_TRANSIT: "Liabilities:Points:In-Transit",
    postings.CLAIMED: "Income:Points:Claimed",
    postings.DEBT: "Assets:Points:Debt",
    postings.WRITTEN_OFF: "Expenses:Points:Written-Off",
    postings.CASH_SHORTFALL: "Assets:Cash-Shortfall",
}
MONEY = "FEN"
OPENED = "1970-01-01"
MOST = 24  # characters of a commodity


class Commodities:
    """A name for each kind that beancount takes as a commodity: in capitals, a letter first, none of them twice."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def name(self, kind: str) -> str:
        """Return the commodity of a kind, the same whenever it is asked for."""
        if kind not in self.of:
            letters = kind.upper().strip(".-")
            base = (letters if letters[:1].isalpha() else f"X{letters}")[:MOST].rstrip(".-")
            base, taken, number = base if len(base) > 1 else f"{base}X", {MONEY, *self.of.values()}, 1
            name = base
            while name in taken:
                number += 1
                name = f"{base[: MOST - 4]}{number}"
            self.of[kind] = name
        return self.of[kind]


def pieces_of(table: Table) -> Iterator[str]:
    """Return the file of a table of postings in pieces."""
    commodities = Commodities()
    yield "".join(f"{OPENED} open {account}\n" for account in ACCOUNTS.values())
    yield f'{OPENED} commodity {MONEY}\n  name: "a hundredth of the money of the book"\n'
    for (member, entry, at, version), group in groupby(table.rows, key=lambda row: (row[0], row[1], row[2], row[10])):
        rows = list(group)
        for kind in dict.fromkeys(row[3] for row in rows):
            if kind not in commodities.of:
                yield f'{OPENED} commodity {commodities.name(kind)}\n  name: "{kind}"\n'
        told = f"entry {entry}" if entry is not None else "fell due"
        head = [f"{day_text(day_of(at, table.offset))} * {_quoted(member)} {_quoted(told)}"]
        head += [f'  at: "{to_text(at, table.offset)}"']
        head += [f"  entry: {entry}", f"  version: {_quoted(version)}"] if entry is not None else []
        yield "\n".join([*head, *(line for row in rows for line in _legs(row, commodities)), ""])


def _legs(row: Row, commodities: Commodities) -> Iterator[str]:
    """The two legs of a posting; points that were paid for in money leave at what was paid."""
    kind, source, destination, points, fen, lot, rule = row[3:10]
    commodity = commodities.name(kind)
    came, price = (f"{fen} {MONEY}", f" @@ {fen} {MONEY}") if fen is not None else (f"{points} {commodity}", "")
    yield f"  {ACCOUNTS[source]}  {came}"
    yield from (f"    {name}: {_quoted(value)}" for name, value in (("lot", lot), ("rule", rule)) if value)
    yield f"  {ACCOUNTS[destination]}  -{points} {commodity}{price}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
