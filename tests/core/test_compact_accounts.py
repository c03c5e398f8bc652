"""An account that lies in the native engine's memory in few bytes is the same afterwards, to the last stored byte."""

from random import Random
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from msgspec import Struct

from ledger.core.account import Account, Bundle, Lot, Purse, encode_account

LEAST, MOST = -(1 << 63), (1 << 63) - 1
DAY = 86_400_000_000
NUMBERS = (
    0,
    1,
    -1,
    31,
    32,
    -32,
    -33,
    1 << 13,
    (1 << 40) - 1,
    1 << 40,
    -(1 << 40),
    1 << 62,
    MOST - 1,
    MOST,
    LEAST,
    LEAST + 1,
)
UNITS = (1, 1_000, 1_000_000, 3_600_000_000, DAY)
TEXTS = ("", "a", "purchase.beans", "豆" * 128, "x" * 200)


def number(random: Random) -> int:
    """A number at a bound, a small one, or an instant that lies a round distance from others."""
    match random.randrange(4):
        case 0:
            return random.choice(NUMBERS)
        case 1:
            return random.randrange(-100_000, 1_000_000)
        case 2:
            return random.randrange(LEAST, MOST + 1)
        case _:
            unit = random.choice(UNITS)
            return 1_750_000_000_000_000 // unit * unit + random.randrange(-400, 400) * unit


def made(kind: Any, random: Random) -> Any:
    """A value of a type of an account."""
    if kind is int:
        return number(random)
    if kind is bool:
        return random.random() < 0.5
    if kind is str:
        return random.choice(TEXTS) if random.random() < 0.7 else f"K-{random.randrange(1 << 40)}"
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind(*(made(one, random) for one in get_type_hints(kind).values()))
    inner = get_args(kind)
    match get_origin(kind):
        case one if one is UnionType:
            return None if Bundle in inner else made(random.choice(inner), random)
        case one if one is tuple:
            return tuple(made(each, random) for each in inner)
        case one if one is dict and inner[1] is Lot:  # in the order of their keys, as a purse has them
            keys = {made(int, random) for _ in range(random.choice((0, 1, 5, 100)))}
            return {key: made(Lot, random) for key in sorted(keys)}
        case one if one is dict:
            return {made(inner[0], random): made(inner[1], random) for _ in range(random.choice((0, 1, 1, 20)))}
        case one:
            return one(made(inner[0], random) for _ in range(random.randrange(3)))


@pytest.mark.parametrize("seed", range(4))
def test_an_account_that_lay_in_memory_in_few_bytes_is_the_same(native: Any, seed: int) -> None:
    random = Random(seed)
    stored = [encode_account(made(Account, random)) for _ in range(10)]
    twice = stored * 20  # from the 32nd time on a text is written as a number
    assert native.kept(twice) == twice


def test_an_empty_account_and_one_of_nothing_but_bounds_are_the_same(native: Any) -> None:
    bounds = Account(number=MOST, clock=LEAST, next_due_at=MOST, next_month_at=LEAST)
    bounds.purses["beans"] = Purse({n: Lot(n, n, n, n, n, "", n, True, n) for n in sorted(NUMBERS)}, *[MOST, LEAST] * 6)
    stored = [encode_account(Account()), encode_account(bounds)]
    assert native.kept(stored) == stored
