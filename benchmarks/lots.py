"""What a redemption costs a member who holds many lots: `python -m benchmarks.lots`, in CPU time of one process."""

import sys
from time import process_time

from ledger.core.account import Account
from ledger.core.decide import decide
from ledger.core.evolve import evolve
from ledger.core.pages import PagesInMemory
from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import shipped
from ledger.wire.entries import ACCEPTED, Earned, lot_key
from ledger.wire.fact_codec import decode
from ledger.wire.times import DAY, SECOND, to_text

HELD = (1_000, 10_000, 150_000)  # lots
REDEMPTIONS = 20
ROUNDS = 5
START = 1_772_294_400 * SECOND  # 2026-03-01


def member(lots: int) -> Account:
    """An account that holds so many lots of a bean each, of which those of a day end together."""
    account = Account()
    for number in range(1, lots + 1):
        ends = START + (100 + number % 300) * DAY
        evolve(account, Earned("beans", lot_key(number, 0), 1, "r", START, ends))
    account.number, account.clock = lots, START
    return account


def redemption_us(book: Programme, lots: int) -> float:
    """Microseconds of CPU of a redemption of one bean, the first one left out: the least of several rounds."""
    account, pages = member(lots), PagesInMemory()
    least = float("inf")
    for part in range(ROUNDS + 1):
        facts = [decode(_redemption(part, number)) for number in range(REDEMPTIONS if part else 1)]
        began = process_time()
        for fact, occurred in facts:
            decision = decide(account, pages, fact, occurred, book, recorded=occurred)
            account.number += 1
            if decision.outcome != ACCEPTED:
                raise AssertionError(decision.reason)
        if part:
            least = min(least, (process_time() - began) / REDEMPTIONS)
    return least * 1e6


def _redemption(part: int, number: int) -> bytes:
    time = to_text(START + (part * REDEMPTIONS + number) * SECOND, 0)
    return (
        f'{{"specversion":"1.0","id":"f-{part}-{number}","source":"/shop","type":"redemption.requested.v1",'
        f'"subject":"m","time":"{time}","data":{{"redemption":"R-{part}-{number}","points":1,"use":"coupon"}}}}'
    ).encode()


def main() -> int:
    """Print what a redemption takes by how many lots are held."""
    book = Programme([shipped("jd")])
    for lots in HELD:
        print(f"{lots:>8,} lots held: {redemption_us(book, lots):>10,.1f} µs of CPU a redemption")
    return 0


if __name__ == "__main__":
    sys.exit(main())
