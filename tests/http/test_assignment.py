"""Which process decides a partition: claims of a database, who takes what, and who leaves what to whom."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from ledger.journal.claims import PostgresClaims
from ledger.journal.database import DatabaseLedger, migrate
from ledger.journal.port import Claims, Unavailable
from service.http import assignment
from service.http.assignment import DatabaseAssignment
from tests.support.served import until

ALL = set(range(8))


@pytest.fixture
def place(postgres: str) -> str:
    migrate(postgres, partitions=8)
    return postgres


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assignment, "CLAIM_SECONDS", 0.05)
    monkeypatch.setattr(assignment, "AGAIN_SECONDS", 0.1)


@contextmanager
def claims_of(place: str) -> Iterator[PostgresClaims]:
    ledger = DatabaseLedger.at(place)
    claims = ledger.claims()
    yield claims
    claims.close()
    ledger.close()


class Process:
    """What another process of a server would be, with its own connections."""

    def __init__(self, place: str, share: Iterable[int] = ALL) -> None:
        self.ledger = DatabaseLedger.at(place)
        self.assignment = DatabaseAssignment(self.ledger, share)
        self.heard: list[int] = []  # partitions it was told to look at,
        self.heard_without: set[int] = set()  # those of them that were not its own to decide,
        self.decided: list[int] = []  # and those that others decided
        self.assignment.start(self._hear, self.decided.extend)

    def _hear(self, partitions: Iterable[int]) -> None:
        told = list(partitions)
        self.heard_without.update(partition for partition in told if not self.assignment.owns(partition))
        self.heard.extend(told)

    @property
    def owns(self) -> set[int]:
        return {partition for partition in ALL if self.assignment.owns(partition)}

    def stop(self) -> None:
        self.assignment.stop()
        self.ledger.close()


@contextmanager
def processes(place: str, count: int = 1) -> Iterator[list[Process]]:
    with ExitStack() as stack:
        found = [Process(place) for _ in range(count)]
        for process in found:
            stack.callback(process.stop)
        yield found


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
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
            )
            with pytest.raises(Unavailable):
                one.take([2])
            assert connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


def test_one_that_stands_by_takes_over(place: str) -> None:
    with processes(place) as (first,):
        until(lambda: first.owns == ALL)
        assert first.assignment.is_settled and not first.assignment.last_error
        with processes(place) as (second,):
            until(lambda: second.assignment.is_settled)
            time.sleep(0.3)  # it asks for them all the time, and is given none
            assert second.owns == set() and first.owns == ALL
            first.assignment.stop()
            assert first.owns == set()
            until(lambda: second.owns == ALL)


def test_the_processes_of_a_server_share_the_partitions_out_and_another_servers_takes_what_one_leaves(
    place: str,
) -> None:
    even, odd = Process(place, {0, 2, 4, 6}), Process(place, {1, 3, 5, 7})
    until(lambda: even.owns == {0, 2, 4, 6} and odd.owns == {1, 3, 5, 7})
    even.assignment.announce(2, has_book=False)
    even.assignment.announce(3, has_book=False)
    until(lambda: odd.assignment.is_settled and even.decided == [])
    with processes(place) as (other,):
        until(lambda: other.decided == [] and other.assignment.is_settled)
        assert other.owns == set()
        odd.stop()
        until(lambda: other.owns == {1, 3, 5, 7})
        time.sleep(0.2)
        assert even.owns == {0, 2, 4, 6}
    even.stop()


def test_what_one_gives_up_another_takes(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with processes(place) as (one,):
        until(lambda: one.owns == ALL)
        one.assignment.give_up(5)
        until(lambda: one.owns == ALL)  # nobody else was there
        monkeypatch.setattr(assignment, "AGAIN_SECONDS", 1_000.0)
        with processes(place) as (other,):
            one.assignment.give_up(5)
            assert 5 not in one.owns
            until(lambda: other.owns == {5} and one.owns == ALL - {5})


def test_notifications_reach_those_whom_they_concern(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with processes(place) as (most,):
        until(lambda: most.owns == ALL)
        monkeypatch.setattr(assignment, "AGAIN_SECONDS", 1_000.0)
        for partition in (1, 3):
            most.assignment.give_up(partition)
        with processes(place) as (few,):
            until(lambda: few.owns == {1, 3} and most.owns == ALL - {1, 3})
            until(lambda: len(few.heard) >= 2)
            most.heard.clear()
            few.heard.clear()
            programmes = most.assignment.programmes
            most.ledger.notify("appended 1 2")
            until(lambda: most.heard == [2] and few.heard == [1])
            few.assignment.announce(3, has_book=True)
            until(lambda: most.decided == [3])
            assert few.decided == [] and most.heard == [2] and few.heard == [1]
            assert most.assignment.programmes == programmes + 1


def test_after_a_lost_connection_all_is_claimed_anew(place: str) -> None:
    with processes(place) as (one,), psycopg.connect(place, autocommit=True) as connection:
        until(lambda: one.owns == ALL)
        assert one.heard_without == set()
        connection.execute(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
        )
        until(lambda: one.heard_without == ALL)
        until(lambda: one.owns == ALL and not one.assignment.last_error)
