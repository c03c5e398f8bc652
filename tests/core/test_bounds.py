"""Every integer of an account, a page and an entry has a bound, and a fact that would pass one is out of range."""

from collections.abc import Iterator
from hashlib import sha256
from random import Random
from typing import Any

import msgspec
import pytest

from ledger.core.account import Account, copy_account, decode_account, encode_account
from ledger.core.decide import Limits, run_to
from ledger.core.draft import MAX_TOTAL
from ledger.core.evolve import evolve_entry
from ledger.core.pages import PagesInMemory, encode_page
from ledger.journal.partition import FactRecord, decided_with_care, entry_from
from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import shipped
from ledger.wire.entries import Entry, Expired
from ledger.wire.entry_codec import decode_entry, encode_entry
from ledger.wire.fact_codec import canonical, decode
from ledger.wire.facts import MAX_INT
from projections.answers.to_json import to_json
from tests.support.accounts import alike
from tests.support.histories import amended_history, changed_history, encode, history
from tests.support.shop import Shop, instant

SIGNED = 1 << 63  # what a column of either store, and an integer of JSON readers, holds
LINE_CAP = 'cap = [{ per = "line", points = 1_000 }]\n'
LIMITS = Limits(1 << 60)
_EDGES = (MAX_INT, MAX_INT - 1, MAX_INT >> 1, 1)
_AMOUNTS = ("paid_fen", "points", "refund_fen", "quantity", "settlement_fen")


def book_of(shortfall: str, rate: int) -> Programme:
    """The shipped book where a fen earns `rate` points, and no line has a cap."""
    toml = shipped("jd").replace('shortfall = "cash"', f'shortfall = "{shortfall}"')
    for old in ("points = 1, per_fen = 100", "points = 10, per_fen = 10_000, floor_fen = 1_000"):
        assert old in toml
        toml = toml.replace(old, f"points = {rate}, per_fen = 1")
    assert toml.count(LINE_CAP) == 1
    return Programme([toml.replace(LINE_CAP, "").replace("50_000", "1_099_511_627_776")])


def at_the_edge(random: Random, value: Any) -> Any:
    """Data of a fact with its amounts at the bounds of the wire; every tenth order has a thousand lines."""
    if isinstance(value, list):
        return [at_the_edge(random, one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {
        key: random.choice(_EDGES) * (-1 if isinstance(one, int) and one < 0 else 1)
        if key in _AMOUNTS and random.random() < 0.8
        else at_the_edge(random, one)
        for key, one in value.items()
    }
    if "lines" in found and found["lines"] and random.random() < 0.1:
        first = found["lines"][0]
        found["lines"] = [{**first, "line": f"{n + 1}"} for n in range(1_000)]
    return found


def integers(value: Any) -> Iterator[int]:
    """All integers in what is kept, as it is encoded."""
    match value:
        case bool():
            return
        case int():
            yield value
        case dict():
            for key, one in value.items():
                yield from integers(key)
                yield from integers(one)
        case list() | tuple():
            for one in value:
                yield from integers(one)


def decided(book: Programme, facts: list[dict[str, Any]]) -> tuple[Account, PagesInMemory, list[Entry]]:
    """Decide facts of one member as an owner does that has met the bound once."""
    account, pages, entries = Account(), PagesInMemory(), list[Entry]()
    seen: set[str] = set()
    for fact in facts:
        if fact["id"] in seen:
            continue
        seen.add(fact["id"])
        raw = encode(fact)
        decoded, occurred = decode(raw)
        item = FactRecord(len(entries), occurred, True, decoded, occurred, canonical(decoded), sha256(raw).digest())
        account, decision = decided_with_care(account, pages, item, book, LIMITS, None)
        account.number += 1
        entries.append(entry_from(decision, item, account.number, 0))
        for kept in (encode_account(account), encode_entry(entries[-1])):
            assert all(-SIGNED <= n < SIGNED for n in integers(msgspec.msgpack.decode(kept, strict=False)))
    return account, pages, entries


@pytest.mark.parametrize("shortfall", ["clamp", "debt", "cash"])
@pytest.mark.parametrize("rate", [1 << 8, 1 << 9])
@pytest.mark.parametrize("seed", range(3))
def test_facts_at_the_edge_of_every_integer_are_decided_or_out_of_range(shortfall: str, rate: int, seed: int) -> None:
    random = Random(f"{shortfall} {rate} {seed}")
    made = (history, changed_history, amended_history)[seed % 3](random, 90)
    facts = [{**fact, "data": at_the_edge(random, fact["data"])} if "data" in fact else fact for fact in made]
    account, pages, entries = decided(book_of(shortfall, rate), facts)
    assert all(
        -SIGNED <= n < SIGNED for page in pages.values() for n in integers(msgspec.msgpack.decode(encode_page(page)))
    )
    assert any(entry.reason == "out-of-range" for entry in entries) and any(entry.changes for entry in entries)
    folded = Account()
    for entry in entries:
        evolve_entry(folded, decode_entry(encode_entry(entry)))
    assert alike(folded) == alike(account) == alike(decode_account(encode_account(account)))
    to_json([entry.changes for entry in entries])


def order(number: int, lines: int, paid_fen: int) -> dict[str, Any]:
    data = [
        {"line": f"{n}", "sku": "s", "category": "virtual", "quantity": 1, "paid_fen": paid_fen} for n in range(lines)
    ]
    return {
        "specversion": "1.0",
        "id": f"f{number}",
        "source": "/shop",
        "type": "order.completed.v1",
        "subject": "m-1",
        "time": "2025-05-01T10:00:00+08:00",
        "data": {"order": f"O{number}", "lines": data},
    }


def test_the_months_of_a_score_stay_within_range_however_many_orders_complete() -> None:
    book = book_of("cash", 1)
    account, _, entries = decided(book, [order(n, 100, MAX_INT) for n in range(12)])
    beyond = [entry for entry in entries if entry.reason == "out-of-range"]
    assert 0 < len(beyond) < len(entries) and not any(entry.changes or entry.outcome != 2 for entry in beyond)
    assert MAX_TOTAL // 2 < sum(account.sums["jd-value"][2025 * 12 + 4].values()) <= MAX_TOTAL


def test_a_question_is_answered_where_time_alone_would_pass_a_bound() -> None:
    shop = Shop(now="2025-11-11")
    shop.is_granted(10)
    purse = shop.account.purses["beans"]
    purse.expired = MAX_TOTAL
    asked, book = copy_account(shop.account), shop.book
    changes = run_to(asked, book, instant("2028-01-01"), PagesInMemory())
    assert [type(change) for change in changes] == [Expired]
    assert (asked.purses["beans"].expired, asked.purses["beans"].spendable()) == (MAX_TOTAL + 10, 0)
