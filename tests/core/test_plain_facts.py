"""A fact that the native engine reads itself has the canonical bytes that Python makes; what is odd it hands back."""

from random import Random
from typing import Any

import msgspec
import pytest

from consumers.runtime.intake import Intake, Sources
from consumers.stream import AHEAD, BACKLOG, Record
from ledger.journal.partition import FactRecord, with_fact
from ledger.journal.partitioning import Partitioner
from ledger.wire.fact_catalogue import FOLLOW_UPS
from ledger.wire.fact_codec import BadFact, canonical, decode
from ledger.wire.facts import (
    FACT_TYPES,
    ExchangeConfirmed,
    ExchangeFailed,
    HouseJoined,
    HouseLeft,
    MemberMerged,
    MemberUnmerged,
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


BY_PYTHON = {
    *(ProgrammePublished, TransferRequested, TransferReversed, HouseJoined, HouseLeft),
    *(ExchangeConfirmed, ExchangeFailed, MemberMerged, MemberUnmerged),
    *FOLLOW_UPS,
}


@pytest.mark.parametrize("kind", FACT_TYPES)
def test_facts_of_every_type_are_read_but_those_that_python_alone_decides(native: Any, kind: Any) -> None:
    random, read = Random(1), 0
    for _ in range(60):
        raw = msgspec.json.encode(made_fact(random, kind))
        found = native.canonical(raw)
        assert found is None or found == by_python(raw), raw
        read += found is not None
    assert bool(read) == (kind not in BY_PYTHON)


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
    random, read, taken = Random(3), INTAKE.with_native(native).read_plain, 0
    assert read is not None
    for offset in range(4_000):
        record = made_record(random, offset)
        (found,) = read([record])
        if found is not None:
            taken += 1
            wanted = INTAKE.check(record, {})
            assert with_fact(found) == wanted
            names = [name for name in FactRecord.__struct_fields__ if name != "fact"] + ["member", "source", "id"]
            assert [getattr(found, name) for name in names] == [getattr(wanted, name) for name in names]
    assert taken > 250, "each type of fact more makes it a few fewer"


def test_batches_have_pythons_facts_and_dead_letters(native: Any) -> None:
    assert len(take_alike(native, 5, 4_000)) > 8


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(100, 120))
def test_a_million_records_have_pythons_facts_and_dead_letters(native: Any, seed: int) -> None:
    assert take_alike(native, seed, 50_000)


def take_alike(native: Any, seed: int, count: int) -> set[str]:
    """Compare what batches of made-up records come to, to the last word of a dead letter; returns their reasons."""
    random, by_native, reasons = Random(seed), INTAKE.with_native(native), set[str]()
    offset = 0
    while offset < count:
        size = random.choice((1, 1, 2, 20))
        records = [made_record(random, offset + place) for place in range(size)]
        facts, parked = by_native.take(records, {})
        assert ([with_fact(fact) for fact in facts], parked) == INTAKE.take(records, {}), records
        reasons.update(letter.reason for letter in parked)
        offset += size
    return reasons


INTAKE = Intake(1, Partitioner(2), Sources(operators=frozenset({"/operators", "1"}), grantors=frozenset({"m-1"})))


def made_record(random: Random, offset: int) -> Record:
    """A record of a made-up fact, whose bytes and place may be odd."""
    fact = made_fact(random)
    if random.random() < 0.9:
        fact["subject"] = random.choice(("m-1", "m-2", "m-3", "programme"))
    raw = mutated(random, fact) if random.random() < 0.2 else msgspec.json.encode(fact)
    known = by_python(raw)
    recorded = (known[1] if known else 0) + random.choice((0, 1, -299, -301, 90_000)) * SECOND
    key = fact["subject"] if random.random() < 0.95 else "m-1"
    backlog = random.choice((0, 0, BACKLOG, BACKLOG | AHEAD))
    fault, pushed = random.choice(("", "", "", "no-key")), random.choice((0, 0, 5 * SECOND))
    return Record(offset, recorded, backlog, key, raw, fault=fault, pushed=pushed)
