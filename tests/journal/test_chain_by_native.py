"""The native engine follows a chain over no entry that Python does not read just so.

`make engine` builds it. Without it these tests are skipped; with POINTS_TEST_ENGINE=required they fail.
"""

from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import msgspec
import pytest

from ledger.wire.entry_codec import decode_entry, leaf_of, link_after
from ledger.wire.unreadable import UNREADABLE
from tests.support import engine_history

BEFORE = (0, bytes(32), -(1 << 63))


@cache
def states() -> list[bytes]:
    """Entries of this version's layout, of every kind of fact that the recorded histories have."""
    found = [
        row.state for path in engine_history.files() for rows in engine_history.read(path)[1].values() for row in rows
    ]
    return [state for state in found if msgspec.msgpack.encode(decode_entry(state))[3:-1] == state[3:]]


def follows(native: Any, state: bytes, before: bytes) -> bool:
    """Whether the engine takes an entry over a link that is right; one that is unreadable stands where `before` did."""
    try:
        entry = decode_entry(state)
    except UNREADABLE:
        entry = decode_entry(before)
    row = (1, entry.member, entry.number, state, link_after(BEFORE[1], leaf_of(state)))
    try:
        behind = native.follow_chain(BEFORE, 0, 1, [entry.version], [row])
    except OverflowError:  # of an integer beyond 64 bits
        return False
    if behind is not None:
        assert behind == (1, row[4], decode_entry(state).offset)
    return behind is not None


@pytest.fixture(scope="module")
def of_partition_0(native: Any) -> list[bytes]:
    """Entries that the engine takes as they are: all of partition 0."""
    del native
    return [_at_home(state) for state in states()]


def _at_home(state: bytes) -> bytes:
    fields = msgspec.msgpack.decode(state, type=list[Any])
    return _packed([*fields[:2], 0, *fields[3:]])


def _packed(fields: list[Any]) -> bytes:
    """An entry's bytes, whose own array always says its length in two bytes."""
    state = b"".join(msgspec.msgpack.encode(field) for field in fields)
    return b"\xdc" + len(fields).to_bytes(2, "big") + state


def test_whole_entries_of_all_histories_are_followed(native: Any, of_partition_0: list[bytes]) -> None:
    assert len(of_partition_0) > 500
    assert [state for state in of_partition_0 if not follows(native, state, state)] == []


def flipped(state: bytes, random: Random) -> bytes:
    at = random.randrange(len(state))
    return state[:at] + bytes([state[at] ^ 1 << random.randrange(8)]) + state[at + 1 :]


def dropped(state: bytes, random: Random) -> bytes:
    at = random.randrange(len(state))
    return state[:at] + state[at + random.randint(1, 3) :]


def added(state: bytes, random: Random) -> bytes:
    at = random.randrange(len(state) + 1)
    return state[:at] + random.randbytes(random.randint(1, 3)) + state[at:]


ODD: list[Any] = [None, True, 0, -1, 1 << 63, -(1 << 63), 1.5, "", "earned", "错", b"x", [], ["earned"], {}, {"a": [1]}]


def of_another_type(state: bytes, random: Random) -> bytes:
    """One value of the entry, of its figures or of a change is another, lacks or is there twice."""
    fields = msgspec.msgpack.decode(state, type=list[Any])
    of: Any = fields
    while nested := [
        value for value in (of.values() if isinstance(of, dict) else of) if isinstance(value, list | dict)
    ]:
        if random.random() < 0.3:
            break
        of = random.choice(nested)
    if isinstance(of, dict):
        of[random.choice([*of, "new"])] = random.choice(ODD)
    elif not of or random.random() < 0.2:
        of.append(random.choice(ODD))
    elif random.random() < 0.2:
        del of[random.randrange(len(of))]
    else:
        of[random.randrange(len(of))] = random.choice(ODD)
    return _packed(fields)


CHANGES: list[Callable[[bytes, Random], bytes]] = [flipped, dropped, added, of_another_type]


@pytest.mark.parametrize("seed", range(4))
def test_no_changed_entry_is_followed_that_python_does_not_read(
    native: Any, of_partition_0: list[bytes], seed: int
) -> None:
    changed_everywhere(native, of_partition_0, seed, 1_500)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(10, 30))
def test_none_is_over_a_long_campaign(native: Any, of_partition_0: list[bytes], seed: int) -> None:
    changed_everywhere(native, of_partition_0, seed, 100_000)


def changed_everywhere(native: Any, entries: list[bytes], seed: int, count: int) -> None:
    random = Random(seed)
    followed = 0
    for _ in range(count):
        before = random.choice(entries)
        followed += follows(native, random.choice(CHANGES)(before, random), before)
    assert followed > count // 20  # a flipped bit of an amount is another amount
