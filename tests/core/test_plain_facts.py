"""A fact that the native engine reads itself has the canonical bytes that Python makes; what is odd it hands back."""

from random import Random
from typing import Any

import msgspec
import pytest

from consumers.runtime.intake import Intake
from consumers.stream import AHEAD, BACKLOG, Record
from ledger.journal.partition import FactRecord, with_fact
from ledger.journal.partitioning import Partitioner
from ledger.wire.fact_catalogue import FOLLOW_UPS
from ledger.wire.fact_codec import BadFact, canonical, decode
from ledger.wire.facts import (
    FACT_TYPES,
    HouseJoined,
    HouseLeft,
    ProgrammePublished,
    TransferRequested,
    TransferReversed,
)
from ledger.wire.times import SECOND
from service.demo.traffic import traffic
from tests.support.plain import made_fact, mutated


def by_python(raw: bytes) -> tuple[bytes, int] | None:
    """The canonical bytes and the instant; None for what is no fact."""
    try:
        fact, occurred = decode(raw)
    except BadFact:
        return None
    return canonical(fact), occurred


def fuzz(native: Any, seed: int, count: int) -> int:
    """Compare mutants of made-up facts; returns how many were read."""
    random, read = Random(seed), 0
    for _ in range(count):
        raw = mutated(random, made_fact(random))
        found = native.canonical(raw)
        if found is not None:
            read += 1
            assert found == by_python(raw), raw
    return read


@pytest.mark.parametrize("kind", FACT_TYPES)
def test_facts_of_every_type_are_read_but_a_published_book_gifts_houses_and_follow_ups(native: Any, kind: Any) -> None:
    random, read = Random(1), 0
    for _ in range(60):
        raw = msgspec.json.encode(made_fact(random, kind))
        found = native.canonical(raw)
        assert found is None or found == by_python(raw), raw
        read += found is not None
    assert bool(read) == (
        kind not in {ProgrammePublished, TransferRequested, TransferReversed, HouseJoined, HouseLeft, *FOLLOW_UPS}
    )


def test_mutants_have_pythons_bytes_or_are_handed_back(native: Any) -> None:
    assert 500 < fuzz(native, 1, 5_000) < 4_500


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(100, 160))
def test_a_million_mutants_have_pythons_bytes_or_are_handed_back(native: Any, seed: int) -> None:
    assert fuzz(native, seed, 50_000)


def test_nothing_of_plain_traffic_is_handed_back(native: Any) -> None:
    handed_back = [raw for raw in traffic(3_000, 200, 7, days=30) if native.canonical(raw) != by_python(raw)]
    assert handed_back == []


HEAD = b'{"specversion":"1.0","id":"1","source":"/s","subject":"m","time":"2025-01-01T00:00:00Z","type":'


@pytest.mark.parametrize(
    "rest",
    [
        b'"shop.visited.v1"}',
        b'"shop.visited.v1","data":["s"]}',
        b'"shop.visited.v1","data":{"shop":"s"},"id":"1"}',
        b'"shop.visited.v1","data":{"shop":"s","shop":"s"}}',
        b'"shop.visited.v1","data":{"shop":"\\u0073"}}',
        b'"shop.visited.v1","data":{"shop":"s","more":{}}}',
        b'"member.described.v1","data":{"attributes":{"a":1,"a":2}}}',
        b'"qq.bound.v1","data":null}',
        b'"programme.published.v1","data":{"toml":"x"}}',
    ],
)
def test_what_is_odd_is_handed_back(native: Any, rest: bytes) -> None:
    assert native.canonical(HEAD + b'"shop.visited.v1","data":{"shop":"s"}}') is not None
    assert native.canonical(HEAD + rest) is None


def test_records_are_taken_as_python_takes_them(native: Any) -> None:
    random = Random(3)
    intake = Intake(1, frozenset({"/operators", "1"}), Partitioner(2), frozenset({"m-1"}))
    read, taken = intake.with_native(native).read_plain, 0
    assert read is not None
    for offset in range(4_000):
        fact = made_fact(random)
        if random.random() < 0.9:
            fact["subject"] = random.choice(("m-1", "m-2", "m-3", "programme"))
        raw = mutated(random, fact) if random.random() < 0.2 else msgspec.json.encode(fact)
        known = by_python(raw)
        recorded = (known[1] if known else 0) + random.choice((0, 1, -299, -301, 90_000)) * SECOND
        key = fact["subject"] if random.random() < 0.95 else "m-1"
        backlog = random.choice((0, 0, BACKLOG, BACKLOG | AHEAD))
        fault, pushed = random.choice(("", "", "", "no-key")), random.choice((0, 0, 5 * SECOND))
        record = Record(offset, recorded, backlog, key, raw, fault=fault, pushed=pushed)
        (found,) = read([record])
        if found is not None:
            taken += 1
            wanted = intake.check(record, {})
            assert with_fact(found) == wanted
            names = [name for name in FactRecord.__struct_fields__ if name != "fact"] + ["member", "source", "id"]
            assert [getattr(found, name) for name in names] == [getattr(wanted, name) for name in names]
    assert taken > 300
