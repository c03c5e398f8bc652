"""Which process decides a partition: claims of a database, who takes what, and who leaves what to whom."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from ledger.journal.claims import PostgresClaims
from ledger.journal.database import DatabaseLedger, migrate
from ledger.journal.port import Claims, Unavailable
from service.http import sharing
from service.http.deciders import ALONE, Part
from service.http.sharing import SharedDatabase

ALL = set(range(8))


@pytest.fixture
def place(postgres: str) -> str:
    migrate(postgres, partitions=8)
    return postgres


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(sharing, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(sharing, "INBOX_SECONDS", 1_000.0)  # only news make anybody look


@contextmanager
def claims_of(place: str) -> Iterator[PostgresClaims]:
    ledger = DatabaseLedger.at(place)
    claims = ledger.claims()
    yield claims
    claims.close()
    ledger.close()


class Process:
    """What another process of a server would be, with its own connections."""

    def __init__(self, place: str, part: Part) -> None:
        self.ledger = DatabaseLedger.at(place)
        self.sharing = SharedDatabase(self.ledger, part)
        self.heard: list[int] = []
        self.heard_without: set[int] = set()  # those it was told of while they were not its own to decide
        self.sharing.start(self._hear)

    def _hear(self, partitions: Iterable[int]) -> None:
        told = list(partitions)
        self.heard_without.update(partition for partition in told if not self.sharing.decides(partition))
        self.heard.extend(told)

    @property
    def decides(self) -> set[int]:
        return {partition for partition in ALL if self.sharing.decides(partition)}

    def stop(self) -> None:
        self.sharing.stop()
        self.ledger.close()


@contextmanager
def processes(place: str, *parts: Part) -> Iterator[list[Process]]:
    with ExitStack() as stack:
        found = [Process(place, part) for part in parts]
        for process in found:
            stack.callback(process.stop)
        yield found


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; the test's own bound ends it."""
    while not holds():
        time.sleep(0.01)


def test_a_claim_is_one_sessions_and_ends_with_it(place: str) -> None:
    ledger = DatabaseLedger.at(place)
    one = ledger.claims()
    with claims_of(place) as other:
        assert one.take([1, 2, 3]) == {1, 2, 3} and one.take([2]) == {2}
        assert other.take([3, 4]) == {4} and one.taken() == {1, 2, 3, 4}
        one.release([3, 7])
        assert other.take([3]) == {3}
        one.close()
        until(lambda: other.take([1, 2]) == {1, 2})
    ledger.close()
    assert Claims().take([1]) == {1}


def test_claims_are_gone_with_the_connection(place: str) -> None:
    with claims_of(place) as one:
        one.take([1])
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
            )
            with pytest.raises(Unavailable):
                one.take([2])
            assert connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


def test_each_takes_what_it_is_meant_for_and_the_orphans_later(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "ORPHAN_SECONDS", 0.3)
    with processes(place, Part(0, 2), Part(1, 2)) as (even, odd):
        until(lambda: even.decides == {0, 2, 4, 6} and odd.decides == {1, 3, 5, 7})
        assert even.sharing.is_settled and not even.sharing.trouble
        odd.sharing.stop()
        assert odd.decides == set()
        until(lambda: even.decides == ALL)
        with processes(place, Part(1, 2)) as (again,):  # it is started again, and is left what it is meant for
            until(lambda: again.decides == {1, 3, 5, 7} and even.decides == {0, 2, 4, 6})


def test_one_that_stands_by_takes_over(place: str) -> None:
    with processes(place, ALONE) as (first,):
        until(lambda: first.decides == ALL)
        with processes(place, ALONE) as (second,):
            until(lambda: second.sharing.is_settled)
            time.sleep(0.3)  # it asks for them all the time, and is given none
            assert second.decides == set() and first.decides == ALL
            first.sharing.stop()
            until(lambda: second.decides == ALL)


def test_what_one_gives_up_another_takes(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with processes(place, ALONE) as (one,):
        until(lambda: one.decides == ALL)
        one.sharing.give_up(5)
        until(lambda: one.decides == ALL)  # nobody else was there
        monkeypatch.setattr(sharing, "AGAIN_SECONDS", 1_000.0)
        with processes(place, ALONE) as (other,):
            one.sharing.give_up(5)
            assert 5 not in one.decides
            until(lambda: other.decides == {5} and one.decides == ALL - {5})


def test_news_reach_those_whom_they_concern(place: str) -> None:
    with processes(place, Part(0, 2), Part(1, 2)) as (even, odd):
        until(lambda: even.decides == {0, 2, 4, 6} and odd.decides == {1, 3, 5, 7})
        until(lambda: min(len(even.heard), len(odd.heard)) >= 4 + 8)  # what was claimed, and all at the start
        even.heard.clear()
        odd.heard.clear()
        books = even.sharing.books
        even.ledger.notify("appended 1 2")
        until(lambda: even.heard == [2] and odd.heard == [1])
        odd.sharing.announce(3, has_book=True)
        until(lambda: even.heard == [2, 3] and odd.heard == [1])
        assert even.sharing.books == books + 1


def test_after_a_lost_connection_all_is_settled_anew(place: str) -> None:
    with processes(place, ALONE) as (one,), psycopg.connect(place, autocommit=True) as connection:
        until(lambda: one.decides == ALL)
        assert one.heard_without == set()
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
        )
        until(lambda: one.heard_without == ALL)
        until(lambda: one.decides == ALL and not one.sharing.trouble)
