"""What rules cost that a fact does not meet: the same facts decided by books that differ in those alone.

Deciding is timed by itself, in microseconds of the processor, the books in turn and the least of each.
"""

import gc
import time
from pathlib import Path

from benchmarks.measure import Figures
from ledger.core.account import Account
from ledger.core.decide import decide
from ledger.core.pages import PagesInMemory
from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import shipped
from ledger.wire.fact_codec import decode
from ledger.wire.facts import Fact

MANY = 200
MOST = 20_000  # facts
PLAIN, FEW, WITH_MANY, UNASKED, ASKED = (
    "jd",
    "8 rules more, all met",
    "and 192 not met",
    "a who not asked",
    "a who asked",
)
MET = ("clothes", "beauty", "garden", "toys", "home", "phone", "sports", "books")  # of the made-up traffic
WHO = "who = { card = { plus = { active = true } } }\n"


def rules(path: Path, rounds: int) -> Figures:
    """Microseconds a fact by the name of its book."""
    lines = path.read_bytes().splitlines()[:MOST]
    facts = [decode(line) for line in lines]
    found: dict[str, float] = {}
    for _ in range(rounds):
        for name, toml in _books().items():
            found[name] = min(found.get(name, float("inf")), _micros(toml, facts))
    return {"facts": len(facts), "micros": found}


def _books() -> dict[str, str]:
    jd = shipped("jd")
    few = jd + "".join(_rule(place, f'category = {{ in = ["{name}"] }}') for place, name in enumerate(MET))
    others = (_unmet(place) for place in range(len(MET), MANY))
    return {
        PLAIN: jd,
        FEW: few,
        WITH_MANY: few + "".join(others),
        UNASKED: jd + _rule(0, 'activity = { in = ["unknown"] }', on="activity.done", keys=WHO),
        ASKED: jd + _rule(0, 'category = { in = ["unknown"] }', keys=WHO),
    }


def _unmet(place: int) -> str:
    """A rule that no fact of the traffic meets: by its category, its shop, its channel, its tag, or its dates."""
    match place % 5:
        case 0:
            return _rule(place, f'category = {{ in = ["category-{place}"] }}')
        case 1:
            return _rule(place, f'shop = {{ in = ["shop-{place}"] }}')
        case 2:
            return _rule(place, f'channel = {{ in = ["channel-{place}"] }}')
        case 3:
            return _rule(place, f'pay = {{ in = ["pay-{place}"] }}')
        case _:
            return _rule(place, 'channel = { not_in = ["none"] }', keys="from = 2019-06-18\nuntil = 2019-06-19\n")


def _rule(place: int, when: str, on: str = "order.completed", keys: str = "") -> str:
    each = 'each = "line"\n' if on == "order.completed" else ""
    return (
        f'\n[[award]]\nrule = "more.{place}"\nname = "{place}"\non = "{on}"\n{each}kind = "beans"\n{keys}'
        f"when = {{ {when} }}\ngive = {{ points = 1 }}\n"
    )


def _micros(toml: str, facts: list[tuple[Fact, int]]) -> float:
    book = Programme([toml])
    accounts: dict[str, Account] = {}
    pages: dict[str, PagesInMemory] = {}
    gc.collect()
    gc.disable()
    started = time.process_time()
    for fact, occurred in facts:
        member = fact.subject
        if member not in accounts:
            accounts[member], pages[member] = Account(), PagesInMemory()
        account = accounts[member]
        decide(account, pages[member], fact, occurred, book, recorded=occurred, backlog=True)
        account.number += 1
    seconds = time.process_time() - started
    gc.enable()
    return seconds * 1e6 / len(facts)
