"""Members who are together more than one account holds, or hear of more than a fact can hand on: what is said then."""

import json

import pytest

from ledger.core import room
from ledger.core.decisions import merges as merging
from ledger.core.decisions.forwarding import MOST_BYTES
from ledger.wire.facts import MAX_BYTES
from tests.core.test_worked_examples_of_merges import done, merges, parts, spendable, town_of


def test_accounts_that_are_together_more_than_one_may_hold_stay_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "MOST_TOGETHER", 200)
    town = town_of(A=100, B=100, C=1, D=201)
    assert merges(town, "D", "C") == "ignored: too-large-together" and not town.post
    merges(town, "A", "B")
    assert done(town)[-1] == "accepted"
    assert merges(town, "C", "B") == "accepted"
    assert done(town)[-1] == "accepted: too-large-together"
    assert town.member("B").last.figures == {"points": 201, "most": 200}, "what came counts, too"
    assert spendable(town, "A", "B", "C") == [0, 200, 1] and not town.in_transit
    monkeypatch.setattr(room, "MOST_APART", 199)
    assert parts(town, "B", "A") == "ignored: out-of-range"
    monkeypatch.setattr(room, "MOST_APART", 200)
    assert parts(town, "B", "A") == "accepted"
    town.delivers_all()
    assert spendable(town, "A", "B") == [100, 100]


def test_a_fact_too_long_to_be_handed_on_says_to_whom_it_is_to_be_sent() -> None:
    town = town_of(A=1, B=1)
    merges(town, "A", "B")
    done(town)
    for subject, answer in (("A", "ignored: too-long-for-alias"), ("B", "accepted")):
        assert town.hears(subject, long_order(subject)) == answer
    assert town.member("A").last.figures["head"] == "B" and not town.post


def long_order(subject: str) -> bytes:
    """An order whose fact is as long as a fact may be, but for some bytes."""
    names = [str(number).ljust(128, "行") for number in range(1_000)]
    head = {"specversion": "1.0", "id": "large", "source": "/shop", "type": "order.completed.v1", "subject": subject}
    lines = [{"line": name, "category": name, "sku": "货" * 75, "paid_fen": 100, "quantity": 2} for name in names]
    fact = head | {"time": "2025-04-01T10:00:00+08:00", "data": {"order": "O1", "lines": lines}}
    raw = json.dumps(fact, ensure_ascii=False, separators=(",", ":")).encode()
    assert MOST_BYTES < len(raw) <= MAX_BYTES, len(raw)
    return raw
