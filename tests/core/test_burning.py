"""A large purse keeps its lots in burn order: what it takes is what sorting all of them takes, to the last byte."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from ledger.core import burning
from ledger.core.account import Account, Lot, Purse, encode_account
from ledger.core.burning import LARGE, OrderedLots
from ledger.core.evolve import evolve
from ledger.wire.entries import Confirmed, Earned, Held, Refrozen, Released, Restored, Spent, lot_key
from ledger.wire.entry_codec import encode_entry
from tests.support.histories import amended_history, changed_history, history
from tests.support.shop import Shop

Make = Callable[[Random, int], list[dict[str, Any]]]


def told(make: Make, seed: int) -> tuple[list[bytes], bytes, Account]:
    shop = Shop()
    for fact in make(Random(seed), 250):
        shop.hears(fact)
        for purse in shop.account.purses.values():
            assert purse.spendable() == Purse(dict(purse.lots)).spendable()
    return [encode_entry(entry) for entry in shop.entries], encode_account(shop.account), shop.account


@pytest.mark.parametrize("make", [history, changed_history, amended_history])
@pytest.mark.parametrize("seed", range(4))
def test_a_history_comes_to_the_same_bytes_with_its_lots_in_order(
    make: Make, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries, account, _ = told(make, seed)
    monkeypatch.setattr(burning, "LARGE", 1)
    ordered, ordered_account, found = told(make, seed)
    assert (ordered, ordered_account) == (entries, account)
    assert any(type(purse.lots) is OrderedLots for purse in found.purses.values()), "there was a burn"


@pytest.mark.parametrize("burn", ["soonest", "oldest"])
def test_whatever_becomes_of_its_lots_a_large_purse_burns_as_one_that_sorts_them(burn: str) -> None:
    random, account = Random(7), Account()
    gone: list[tuple[int, Lot]] = []
    for number in range(1, 4_000):
        purse = account.purses.get("beans", Purse())
        free = [key for key, lot in purse.lots.items() if lot.left and not lot.pending_until]
        some = random.choice(free) if free else 0
        match random.choice(("earn", "spend", "spend", "restore", "freeze", "hold")) if len(free) > LARGE else "earn":
            case "earn":
                lot, ends = lot_key(number, 0), random.randrange(10, 500)
                pending = random.choice((0, 0, 0, 5))
                evolve(account, Earned("beans", lot, random.randrange(1, 40), "r", 0, ends, pending))
                if pending and random.random() < 0.7:
                    evolve(account, Confirmed("beans", lot, purse.lots[lot].left if purse.lots else 0))
            case "spend":
                points = random.randrange(1, 120)
                taken = purse.burn(points, burn)
                assert taken == by_sorting(purse, points, burn), number
                for lot, part in taken:
                    gone.append((lot, purse.lots[lot]))
                    evolve(account, Spent("beans", lot, part, "R"))
            case "restore" if gone:
                key, old = gone.pop(random.randrange(len(gone)))
                evolve(account, Restored("beans", key, 1, "R", "r", old.earned, 0, old.expires_at, False))
            case "freeze":
                evolve(account, Refrozen("beans", some, purse.lots[some].left, 5))
                if random.random() < 0.5:
                    evolve(account, Confirmed("beans", some, purse.lots[some].left))
            case "hold":
                evolve(account, Held("beans", some, purse.lots[some].left, "H", 10_000))
                evolve(account, Released("beans", some, purse.lots[some].held, "H"))
        assert purse.spendable() == Purse(dict(purse.lots)).spendable(), number
    assert type(account.purses["beans"].lots) is OrderedLots


def by_sorting(purse: Purse, points: int, burn: str) -> list[tuple[int, int]]:
    """What a burn takes where nothing is kept in order."""
    taken = []
    lots = [(0 if burn == "oldest" else lot.expires_at, key, lot) for key, lot in purse.lots.items()]
    for _, key, lot in sorted(lots, key=lambda one: one[:2]):
        if points and lot.left and not lot.pending_until:
            taken.append((key, min(points, lot.left)))
            points -= taken[-1][1]
    return taken


def test_the_order_may_change_with_the_version_of_the_book() -> None:
    account = Account()
    for number in range(1, LARGE + 10):
        evolve(account, Earned("beans", lot_key(number, 0), 1, "r", 0, 10_000 - number))
    purse = account.purses["beans"]
    for burn in ("soonest", "oldest", "soonest"):
        assert purse.burn(5, burn) == by_sorting(purse, 5, burn)
