"""What fuzzing found and reached keeps its promise, without a fuzzer: the kept inputs, the seeds, and long ones."""

import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from ledger.rulebook.bounded_toml import DEEPEST, read_toml
from ledger.rulebook.schema import shipped
from ledger.wire.fact_codec import BadFact, decode
from ledger.wire.facts import MAX_BYTES
from tests.fuzz.__main__ import MOST_FILES, PACKS, packed
from tests.fuzz.targets import TARGETS, Facts, Target, as_input, facts_of_each_type
from tests.support.histories import encode

MOST_PACKED_BYTES = 300_000


@pytest.fixture(scope="module", params=TARGETS, ids=lambda make: make.name)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    made = request.param()
    yield made
    made.close()


def test_what_was_reached_before_keeps_its_promise(target: Target) -> None:
    kept = packed(target.name)
    assert kept
    for data in [*kept, *target.seeds()]:
        target.check(data)


def test_what_is_kept_is_little() -> None:
    assert sum(path.stat().st_size for path in PACKS.iterdir()) <= MOST_PACKED_BYTES
    assert all(1 <= len(packed(make.name)) <= MOST_FILES for make in TARGETS)


def long_inputs(target: str) -> Iterator[bytes]:
    """Inputs whose cost could grow with the square of their length; the shorter limits of fuzzing do not show it."""
    deep = b"[" * 30_000 + b"]" * 30_000
    strings = (b'"' * 65_000, b'"\\' * 32_000, b'"\\"' + b'\\"' * 32_000, b'"' + b"]" * 30_000 + b'"', b"\\" * 65_000)
    match target:
        case "facts":
            fact = encode(next(facts_of_each_type()))[:-1]
            yield from (b"[" * 17 + text for text in strings)
            yield from (text + b"[" * 17 for text in strings)
            yield from (
                deep,
                b'{"a":' * 13_000,
                b'"type"' * 10_000,
                b'{"type":1,' * 6_000,
                b'{"a":' + b"9" * 65_000 + b"}",
            )
            yield from (fact + b',"z":[' + many + b"1]}" for many in (b"{}," * 20_000, b"1.12345678," * 5_900))
            yield from (fact + b',"type":"a"' * 5_800 + b"}", fact + b',"t":"' + b"\\\\" * 30_000 + b'u0000"}')
            yield from (b"x" * size for size in (MAX_BYTES + 1, 1_000_000))
        case "books":
            yield from (
                b"a=" + deep,
                b"a=" + b"9" * 60_000,
                b"a='''" + b"'" * 60_000,
                b'a="' + b"\\u0041" * 10_000 + b'"',
            )
            yield from (b".".join([part] * 15_000) + b"=1" for part in (b"a", b'"a"', b"'a'", b"a ", b'"\\""'))
            yield from (b"[" + b".".join([b"a"] * 30_000) + b"]", b"a" * 65_000, b"a={" + b"b={" * 3_000 + b"}" * 3_000)
            yield from (b'x={a = """ " """, ' + b".".join([b"b"] * 30_000) + b"=1}", *strings)
            yield from (b"".join(b"[a.b%d]\n" % n for n in range(5_000)), b"[[a]]\n" * 9_000)
        case _:
            bodies = (deep, b'{"x":' + deep + b"}", b'{"member":"\xff"}', b"\xff", b'{"a":' * 10_000, *strings)
            for path in ("quotes", "facts", "facts:bulk", "checkpoints", "adjustments", "redemptions"):
                kind = "application/x-ndjson" if path.endswith("bulk") else "application/json"
                yield from (as_input("POST", f"/v1/{path}", f"content-type: {kind}", body) for body in bodies)
            yield from (as_input("GET", f"/v1/members/{'%2F' * 20_000}?as_of={'9' * 60_000}", "accept: x", b""),)


def test_long_inputs_are_met_in_a_time_that_grows_with_their_length(target: Target) -> None:
    for data in long_inputs(target.name):
        target.check(data)


def test_a_record_is_decoded_in_bounded_memory() -> None:
    for data in [*long_inputs("facts"), *Facts().seeds()]:
        tracemalloc.start()
        try:
            with suppress(BadFact):
                decode(data)
            assert tracemalloc.get_traced_memory()[1] < 16 << 20
        finally:
            tracemalloc.stop()


def test_a_key_of_very_many_parts_is_refused_wherever_it_stands() -> None:
    for part in ("a", '"a"', "'a b'", "a ", '"\\""'):
        key = " . ".join([part] * (DEEPEST + 1))
        for text in (f"{key} = 1", f"x = 1\n[{key}]", f"x = {{ {key} = 1 }}", f'x = {{ a = """ " """, {key} = 1 }}'):
            with pytest.raises(ValueError, match=rf"a key of more than {DEEPEST} parts"):
                read_toml(text)
    assert read_toml(f"{'.'.join(['a'] * DEEPEST)} = 1")
    assert read_toml(f"x = [{', '.join(['1.5', chr(34) + 'a.b.c' + chr(34)] * 300)}]\n# {'.' * 999}\n{shipped('jd')}")


def test_a_target_that_breaks_its_promise_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks of a target can fail."""

    def decodes_anything(_: bytes) -> None:
        raise BadFact("no-reason", "a reason that nobody knows")

    monkeypatch.setattr("tests.fuzz.targets.decode", decodes_anything)
    with pytest.raises(AssertionError, match="no-reason"):
        Facts().check(b"{}")


def test_a_native_engine_that_reads_another_fact_is_told(native: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Facts()
    seeds = [seed for seed in facts.seeds() if native.canonical(seed) is not None]
    assert seeds
    monkeypatch.setattr("tests.fuzz.targets.canonical", lambda _: b"{}")
    monkeypatch.setattr(Facts, "_meet_again", lambda *_: None)
    with pytest.raises(AssertionError, match="specversion"):
        facts.check(seeds[0])
