"""What every store of views must do, as cases that each of them runs: inherit, and say how to open one."""

from contextlib import closing
from random import Random
from typing import Any, ClassVar

import pytest

from ledger.journal.port import JournalError
from projections.answers.tables import columns
from projections.views import runner
from projections.views.compare import compare, switch
from projections.views.port import Build, NotBuilt, ViewStore
from projections.views.registry import BUILT_IN, FOR_SQL
from projections.views.runner import Following
from projections.views.snapshot import snapshot
from projections.views.view import Options, SumTable, View
from tests.support.ledgers import SmallLedger, histories_of

VIEWS = (*BUILT_IN, FOR_SQL)


class Counter(View):
    """A view for what a store does with sums."""

    name = "counter"
    about = "sums"
    tables: ClassVar[tuple[SumTable, ...]] = (SumTable("sums", columns("name number:integer"), ("one", "two")),)
    queries = ()


COUNTER = Counter()


def back_and_forth(build: Build) -> None:
    """A batch whose position would go down in the end."""
    with build.writing() as batch:
        batch.write([], {"sums": [("a", 1, 1, 1)]})
        batch.move({0: (5, b"link")})
        batch.move({0: (4, b"back")})


class ViewStoreContract:
    """Cases of the store. `open` opens it at a place, and another one at the same place where it is asked again.

    `ledger` is a fixture: a small ledger, which is told more.
    """

    def open(self, place: Any) -> ViewStore:
        raise NotImplementedError

    @pytest.fixture
    def store(self, place: Any) -> ViewStore:
        store = self.open(place)
        store.make()
        return store

    def test_sums_are_exact_in_the_order_of_their_keys_and_gone_at_nothing(self, store: ViewStore) -> None:
        most, (table,) = (1 << 63) - 1, COUNTER.tables
        name = store.begin(COUNTER)
        with store.opened(name, COUNTER) as build:
            for sign in (1, 1, -1):
                with build.writing() as batch:
                    rows = [("b", 2, most, 5), ("a", 1, 1, -1), ("Z", 3, 1, 0), ("é", 4, 1, 0)]
                    batch.write([], {"sums": [(*row[:2], sign * row[2], sign * row[3]) for row in rows]})
            with build.writing() as batch:
                batch.write([], {"sums": [("b", 2, most, 0), ("a", 1, -1, 1)]})
            with build.reading() as batch:
                found = list(batch.sums(table))
                assert found == [(("Z", 3), [1, 0]), (("b", 2), [2 * most, 5]), (("é", 4), [1, 0])]
                assert list(batch.sums(table, ("a", "c"))) == found[1:2]
                assert batch.run("SELECT count(*) FROM sums") == [(3,)]

    def test_a_batch_that_fails_leaves_nothing(self, store: ViewStore) -> None:
        with store.opened(store.begin(COUNTER), COUNTER) as build:
            with pytest.raises(JournalError):
                back_and_forth(build)
            with build.writing() as batch:
                assert batch.positions() == {} and not list(batch.sums(COUNTER.tables[0]))
                batch.move({3: (5, b"link")})
            with build.reading() as batch:
                assert (batch.positions(), batch.ends()) == ({3: 5}, {3: (5, b"link")})

    def test_builds_have_names_and_one_of_them_is_live(self, store: ViewStore, place: Any) -> None:
        assert store.live("counter") is None and store.builds("counter") == []
        with pytest.raises(NotBuilt), store.open_live(COUNTER):
            pass
        first, second = store.begin(COUNTER), store.begin(COUNTER)
        assert (first.again, second.again) == (1, 2) and store.builds("counter") == [first, second]
        store.switch(COUNTER, first)
        assert self.open(place).live("counter") == first and store.beside("counter") == second
        store.switch(COUNTER, second)
        assert store.live("counter") == second and store.beside("counter") is None
        store.drop_old("counter")
        assert store.builds("counter") == [second] and store.size(second) > 0
        store.remove(second)
        assert store.builds("counter") == [] and store.live("counter") is None

    def test_a_reader_sees_one_state_while_another_writes(self, store: ViewStore, place: Any) -> None:
        name = store.begin(COUNTER)
        with store.opened(name, COUNTER) as ours, self.open(place).opened(name, COUNTER) as theirs:
            with ours.reading() as reader:
                assert reader.positions() == {}
                with theirs.writing() as writer:
                    writer.move({1: (7, b"x")})
                assert reader.positions() == {}
            with ours.reading() as reader:
                assert reader.positions() == {1: 7}

    def test_one_process_follows_a_view_and_another_lets_it(self, store: ViewStore, place: Any) -> None:
        other = self.open(place)
        first = store.claim("books")
        assert first is not None and other.claim("books") is None
        second = other.claim("liability")
        assert second is not None
        first.close()
        again = other.claim("books")
        assert again is not None
        for claim in (second, again):
            claim.close()

    def test_another_view_or_other_tables_are_refused(self, store: ViewStore) -> None:
        name = store.begin(COUNTER)

        class Other(Counter):
            name = "other"

        class Wider(Counter):
            tables: ClassVar[tuple[SumTable, ...]] = (SumTable("sums", columns("name"), ("one",)),)

        for view, why in ((Other(), "not of other"), (Wider(), "raise its version")):
            with pytest.raises(JournalError, match=why), store.opened(name, view):
                pass

    def test_a_build_that_was_begun_for_more_than_the_ledger_has_now_is_refused(
        self, store: ViewStore, ledger: SmallLedger
    ) -> None:
        view = VIEWS[0]
        with store.opened(store.begin(view), view) as build, build.writing() as batch:
            batch.begin_building({partition: head + 1 for partition, head in ledger.ledger.heads().items()})
        with pytest.raises(runner.OfAnotherLedger, match="restored from an older copy"):
            runner.run(ledger.ledger, store, [view])
        store.switch(view, runner.rebuild(ledger.ledger, store, view))
        assert runner.run(ledger.ledger, store, [view]) == {view.name: 0}
        assert store.live_positions(view.name) == {at: head for at, head in ledger.ledger.heads().items() if head}

    def test_builds_that_stay_open_are_followed_and_others_may_write_them_or_take_their_place(
        self, store: ViewStore, place: Any, ledger: SmallLedger
    ) -> None:
        view, views = VIEWS[0], VIEWS[:5]
        seed = iter(range(100, 200))

        def told() -> int:
            before = ledger.ledger.count()
            ledger.hears(histories_of(Random(next(seed)), 2, 5))
            ledger.decides()
            return ledger.ledger.count() - before

        with closing(Following(ledger.ledger, store)) as following:
            following.bring_up(views)
            count = told()
            assert following.bring_up(views) == (dict.fromkeys((one.name for one in views), count), {})
            told()
            runner.run(ledger.ledger, self.open(place), views[:2])
            assert following.bring_up(views[:2]).done == dict.fromkeys((one.name for one in views[:2]), 0)
            other = runner.rebuild(ledger.ledger, store, view)
            switch(ledger.ledger, store, view)
            count = told()
            assert following.bring_up([view]) == ({view.name: count}, {}) and store.live(view.name) == other
            for build in store.builds(view.name):  # and another gets the name
                store.remove(build)
            runner.run(ledger.ledger, self.open(place), [view])
            told()
            assert following.bring_up(views).troubles == {}
        for one in views:
            runner.rebuild(ledger.ledger, store, one)
            assert compare(ledger.ledger, store, one)["differences"] == [], one.name

    def test_a_view_rebuilt_is_the_view_kept(self, store: ViewStore, ledger: SmallLedger) -> None:
        opened = ledger.ledger
        runner.run(opened, store, VIEWS)
        ledger.hears(histories_of(Random(6), 4, 30))
        ledger.decides()
        assert sum(runner.run(opened, store, VIEWS).values()) > 0
        for view in VIEWS:
            rebuilt = runner.rebuild(opened, store, view)
            found = compare(opened, store, view)
            assert found["rows"] and found["differences"] == [], view.name
            assert switch(opened, store, view) == rebuilt == store.live(view.name)
        for view in BUILT_IN:
            with snapshot(opened, store, view, None) as taken:
                for query in view.queries:
                    list(query.rows(taken, Options()).rows)
                assert taken.standing is not None and taken.standing.behind == 0
