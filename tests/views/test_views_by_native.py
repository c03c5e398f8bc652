"""Views that the native engine folds come to the rows that Python folds, over made-up histories, books and names.

`make engine` builds the native engine. Without it these tests are skipped; with POINTS_TEST_ENGINE=required they fail.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ledger.journal.engines import VARIABLE
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_or_create
from ledger.journal.port import Damaged
from ledger.rulebook.compiled import NOT_MEMBERS
from projections.views import by_native, rebuild, runner
from projections.views.by_native import is_native
from projections.views.files import Folder
from projections.views.registry import BUILT_IN
from projections.views.sql import plain_rows
from projections.views.view import View
from tests.streams.test_names_that_move import takes
from tests.support.books import FEATURES, made_book
from tests.support.histories import LONG_AGO, book_history
from tests.support.histories_of_members import ABOUT, book_of_members, facts_of_members
from tests.support.ledgers import histories_of, scratch

VIEWS: tuple[View, ...] = tuple(view for view in BUILT_IN if is_native(view))
NOW = 1_900_000_000_000_000
BY_CHANCE = sorted(FEATURES.keys() - {"reached"})  # a book that gives for tiers is folded by Python
MANY = 40  # seeds in a campaign
SEEDS = [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(3, MANY))]


@pytest.fixture(autouse=True)
def at_one_instant(native: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members are counted at one instant, whenever a view is built."""
    monkeypatch.setattr(rebuild, "present", lambda: NOW)


def built(ledger: Ledger, place: Path, views: Sequence[View]) -> dict[str, list[Any]]:
    """What builds of views keep, each member with what the member counts for."""
    found = {}
    with closing(Folder(place)) as store:
        runner.run(ledger, store, views)
        for view in views:
            live = store.live(view.name)
            assert live is not None
            with store.opened(live, view) as build, build.reading() as batch:
                counted = {of.member: of.counted for _, of in batch.members()}
                found[view.name] = [*plain_rows(batch, view), sorted(counted.items())]
    return found


def folded_alike(ledger: Ledger, place: Path, views: Sequence[View] = VIEWS) -> tuple[set[str], set[str]]:
    """Build views by either engine, compare what they keep, and return who was folded natively and who by Python."""
    natively: set[str] = set()
    handed_back: set[str] = set()

    class Watched(by_native.NativeFold):
        def take(self, folded: Any, parts: Any, now: int) -> by_native.Folded:
            found = super().take(folded, parts, now)
            natively.update(set(found.members) - found.handed_back)
            handed_back.update(found.handed_back)
            return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "python")
        by_python = built(ledger, place / "python", views)
        assert not natively and any(len(rows) > 1 for rows in by_python.values())
        patch.setenv(VARIABLE, "native")
        patch.setattr(by_native, "NativeFold", Watched)
        by_native_rows = built(ledger, place / "native", views)
    for name, rows in by_python.items():
        assert by_native_rows[name] == rows, name
    return natively, handed_back


@pytest.mark.parametrize("seed", SEEDS)
def test_views_of_the_shipped_book_are_folded_natively_to_the_same_rows(seed: int) -> None:
    facts = histories_of(Random(seed), members=4, length=120, start=LONG_AGO)
    with scratch() as place, closing(open_or_create(place / "ledger")) as ledger:
        takes(ledger, place, facts)
        assert folded_alike(ledger, place) == ({f"m-{number}" for number in range(4)}, set())


@pytest.mark.parametrize("seed", SEEDS)
def test_views_of_a_made_up_book_are_folded_natively_to_the_same_rows(seed: int) -> None:
    random = Random(seed)
    book = made_book(random, {name for name in BY_CHANCE if random.random() < FEATURES[name]})
    facts = [fact for number in range(3) for fact in book_history(random, 80, book, f"m-{number}")]
    with scratch() as place, closing(open_or_create(place / "ledger", book)) as ledger:
        takes(ledger, place, facts)
        natively, handed_back = folded_alike(ledger, place)
        assert natively | handed_back == {"m-0", "m-1", "m-2"} and natively


@pytest.mark.parametrize(
    ("about", "seed"),
    [
        ("merges", 0),
        ("houses", 0),
        ("merges", 12),  # a lot that waits for a pool does not expire
        *(pytest.param(about, seed, marks=pytest.mark.campaign) for about in ABOUT for seed in range(1, MANY)),
    ],
)
def test_members_of_whom_the_engine_does_not_do_all_are_folded_by_python(about: str, seed: int) -> None:
    random = Random(seed)
    with scratch() as place, closing(open_or_create(place / "ledger", book_of_members(random))) as ledger:
        takes(ledger, place, facts_of_members(random, about))
        natively, handed_back = folded_alike(ledger, place)
        assert handed_back or about == "gifts"
        assert not any(member.startswith(NOT_MEMBERS) for member in natively)


def test_a_view_made_from_one_that_is_native_is_folded_by_python() -> None:
    class Mine(type(VIEWS[0])):  # type: ignore[misc]
        pass

    assert not is_native(Mine())


def test_native_views_beside_others_and_in_small_batches_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with scratch() as place, closing(open_or_create(place / "ledger")) as ledger:
        takes(ledger, place, histories_of(Random(9), members=5, length=40, start=LONG_AGO))
        monkeypatch.setattr(rebuild, "BATCH", 60)  # of two members, of whom one that has as many is streamed
        natively, _ = folded_alike(ledger, place, BUILT_IN)
        assert natively


@pytest.mark.parametrize("in_memory", [0, 20_000, 60_000])
def test_native_views_of_a_ledger_that_does_not_fit_into_memory_are_the_same(
    in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scratch() as place, closing(open_or_create(place / "ledger")) as ledger:
        takes(ledger, place, histories_of(Random(9), members=5, length=40, start=LONG_AGO))
        monkeypatch.setattr("ledger.journal.by_member.IN_MEMORY", in_memory)
        monkeypatch.setattr("ledger.journal.by_member.PASSES", 50)
        natively, _ = folded_alike(ledger, place)
        assert natively == {f"m-{number}" for number in range(5)}


def test_an_entry_that_cannot_be_read_is_named_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    with scratch() as place, closing(open_or_create(place / "ledger")) as ledger:
        takes(ledger, place, histories_of(Random(9), members=1, length=10, start=LONG_AGO))
        (journal,) = [one for one in map(ledger.journal, ledger.partitions) if one.head().entries]
        with closing(sqlite3.connect(journal.name)) as db, db:
            db.execute("UPDATE stored_events SET state = x'80' WHERE rowid = 3")
        said = []
        for engine in ("python", "native"):
            monkeypatch.setenv(VARIABLE, engine)
            with pytest.raises(Damaged) as raised:
                built(ledger, place / engine, VIEWS)
            said.append(str(raised.value))
        assert said[0] == said[1]
