"""Records of Kafka that the native engine takes itself are those that Python makes; what is odd it leaves to Python."""

from random import Random
from typing import Any

import pytest

from consumers.kafka.buffers import RECORDED, WHOLE, Buffer, Fetched
from consumers.kafka.port import Headers, Hole, Start
from consumers.stream import Record
from ledger.journal.native import plain_records
from ledger.wire.facts import MAX_BYTES

STAMP = 1_800_000_000_000  # of the broker, in milliseconds
AT = STAMP * 1_000
KEYS = (b"m-1", "会员 Ω".encode(), b"\0", b"", None, b"\xff", b"\xed\xa0\x80")
VALUES = (b'{"id":"1"}', b"\xff", b" ", b"{" * MAX_BYTES, None, b"", b"\0\0\0\0\7{}", b"{" * (MAX_BYTES + 1))
DECLARED = (b"%d" % (AT - 5_000_000), b"0", b"%d" % (AT + 300_000_000), b"%d" % (AT + 301_000_000), b"9" * 16)
ODD = (b"", b"-1", b" 1", b"1_0", b"9" * 17, "１".encode(), None)
STAMPS = (STAMP, STAMP + 1, STAMP - 999, STAMP - 1_001, 0, -1, -(1 << 62), (1 << 52) - 1, 1 << 52)


def headers(random: Random) -> Any:
    """Headers of a record: mostly none, or one that declares when it was recorded."""
    kind = random.randrange(8)
    if kind < 3:
        return random.choice(((), []))
    if kind < 6:
        return [(RECORDED, random.choice(DECLARED if random.random() < 0.8 else ODD))]
    other = random.choice(((WHOLE, b"7 " + b"0" * 64), ("ce_id", b"1"), ("trace", b"x"), ("trace", None)))
    return [other] if kind < 7 else [(RECORDED, DECLARED[0]), other]


def usual(random: Random, values: tuple[Any, ...], usual: int = 1) -> Any:
    """One of the first values mostly, or else any."""
    return random.choice(values[:usual] if random.random() < 0.9 else values)


def rows(random: Random, count: int) -> list[Fetched]:
    """Rows as a client fetches them: mostly plain, next to each other, of a clock that is mostly right."""
    offset, made = 4, list[Fetched]()
    for _ in range(count):
        offset += usual(random, (1, 1, 0, -1, 2, 9), 2)
        told: Headers = headers(random)
        value = usual(random, VALUES, 3)
        made.append((offset, usual(random, STAMPS, 4), random.random() < 0.97, usual(random, KEYS, 3), value, told))
    return made


def seen(buffer: Buffer, after: int) -> tuple[Any, ...]:
    """All that can be seen of a buffer."""
    records = [
        tuple(getattr(one, name) for name in Record.__struct_fields__) for one in buffer.read(after, 999, 1 << 62)
    ]
    return records, list(buffer.holes), buffer.last, len(buffer), buffer.is_full, buffer.has_room


@pytest.mark.parametrize("takes_backlog", [True, False])
def test_both_make_the_same_records_of_whatever_is_fetched(native: Any, takes_backlog: bool) -> None:
    taken = 0
    for seed in range(60):
        random = Random(seed)
        fetched, most, stops = rows(random, 40), random.choice((1, 20_000, 1 << 30)), random.random() < 0.5
        by_python, by_either = (
            Buffer(Start(4, AT - 2_000), most, takes_backlog, stops_at_holes=stops, take_plain=take_plain)
            for take_plain in (None, plain_records(native))
        )
        for first in range(0, 40, 10):  # fetched some at a time
            by_python.extend(fetched[first : first + 10])
            by_either.extend(fetched[first : first + 10])
            assert seen(by_either, 4) == seen(by_python, 4), seed
        while by_python.holes:
            by_python.holes.popleft(), by_either.holes.popleft()
        found = by_either.read(4, 999, 1 << 62)
        taken += sum(type(one) is not Record for one in found)
        middle = found[len(found) // 2].offset
        assert seen(by_either, middle) == seen(by_python, middle), seed
    assert taken > 400


def test_plain_records_are_taken_up_to_the_first_that_is_not(native: Any) -> None:
    plain = [(offset, STAMP + offset, True, b"m-1", b"{}", ()) for offset in range(6)]
    odd: list[Fetched] = [*plain[:3], (3, STAMP, True, None, b"{}", ()), *plain[4:]]
    for fetched, first, last, count in (
        (plain, 0, -1, 6),
        (plain, 2, 1, 4),
        (plain, 2, 2, 0),
        (odd, 0, -1, 3),
        (odd, 6, 5, 0),
    ):
        records, latest, size = plain_records(native)(fetched, first, last, 0, False)
        assert [one.offset for one in records] == list(range(first, first + count)) and size == 2 * count
        assert latest == (1_000 * (STAMP + first + count - 1) if count else 0)
    buffer = Buffer(Start(), 1 << 20, False, stops_at_holes=True, take_plain=plain_records(native))
    buffer.extend([*plain[:2], *plain[4:]])
    assert list(buffer.holes) == [Hole(2, 3)] and buffer.last == 5
