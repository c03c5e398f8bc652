"""A partition of a ledger in PostgreSQL is moved to another server: nothing is lost, and everything finds it there."""

import json
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import httpx
import psycopg
import pytest

from consumers.local.open import open_inbox
from consumers.local.port import InboxLine
from ledger.errors import WrongUse
from ledger.journal.database import DatabaseLedger, migrate
from ledger.journal.moving import cancel, check_movable, move, places
from ledger.journal.port import BeingSplit, JournalError, Unavailable
from ledger.journal.postgres_server import name_of
from ledger.journal.pruned import Span
from projections.audit.replay import replay
from projections.audit.verify import verify
from service.cli import run
from service.state_in_postgres import TableState
from tests.support.contents import Contents, contents
from tests.support.databases import OwnServer, Server
from tests.support.histories import LONG_AGO
from tests.support.kafka_shop import points_in_a_process
from tests.support.ledgers import histories_of, write_facts
from tests.support.served import ROOT, environment, grant, points, served, until

PARTITIONS = 3
N = 1  # that is moved
PRUNED = ("2018-06", "2020-01")  # entries from before these are pruned
CLOSED_AT = {"move-fenced", "move-stamped", "move-switched"}  # steps at which whoever appends waits


@pytest.fixture
def other(postgres_server: Server) -> Iterator[str]:
    """The address of a second database."""
    address = postgres_server.database()
    yield address
    postgres_server.drop(address)


@pytest.fixture
def place(postgres: str, tmp_path: Path) -> str:
    migrate(postgres, partitions=PARTITIONS)
    ingest(postgres, tmp_path, 1)
    return postgres


def ingest(place: str, folder: Path, seed: int) -> None:
    """Facts of many kinds, and two that cannot be read."""
    lines: list[object] = histories_of(Random(seed), members=12, length=25, start=LONG_AGO)
    lines[30:30] = [b"{", b"\xff"]
    path = write_facts(folder / f"facts-{seed}.ndjson", lines)
    assert run(["--ledger", place, "ingest", "--backlog", str(path)]) in (0, 3)


@pytest.fixture
def ledger(place: str) -> Iterator[DatabaseLedger]:
    with closing(DatabaseLedger.at(place)) as opened:
        yield opened


def is_whole(place: str) -> None:
    with closing(DatabaseLedger.at(place)) as opened:
        assert verify(opened)["broken"] == [] and replay(opened)["differences"] == []


def contents_at(place: str) -> Contents:
    with closing(DatabaseLedger.at(place)) as opened:
        return contents(opened)


def test_a_partition_is_moved_and_all_is_as_it_was(
    place: str, other: str, ledger: DatabaseLedger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents_at(place)
    assert run(["--ledger", place, "partitions", "move", str(N), "--to", other, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"] > 50
    done = move(ledger, N, other)
    assert done.entries == ledger.journal(N).head().entries > 50 and done.left.startswith(f"points_{N}_moved_")
    assert contents_at(place) == before
    is_whole(place)
    assert [found.server for found in places(ledger)].count(ledger.topology.server_at(other).name) == 1
    with pytest.raises(WrongUse, match="stands there already"):
        move(ledger, N, other)
    ingest(place, tmp_path, 2)
    assert run(["--ledger", place, "store", "settings"]) == 0, "journals agree"
    move(ledger, N, "main")
    is_whole(place)
    assert run(["--ledger", place, "partitions", "list"]) == 0
    assert "open" in capsys.readouterr().out


def test_killed_again_and_again_the_same_again_goes_on(place: str, other: str, tmp_path: Path) -> None:
    before = contents_at(place)
    command = ("partitions", "move", str(N), "--to", other)
    steps = ("begun", "entries", "pages", "pages:2", "closed", "copied", "stamped", "switched", "renamed")
    for step in steps:
        killed = points_in_a_process(place, *command, environment={"POINTS_FAILPOINT": f"move-{step}"})
        assert killed.returncode == -signal.SIGKILL, step + killed.stderr
    again = points_in_a_process(place, *command)
    assert again.returncode == 0, again.stderr
    assert contents_at(place) == before
    ingest(place, tmp_path, 2)
    is_whole(place)
    with psycopg.connect(place) as database:
        assert database.execute("SELECT to_regclass(%s)", (f"points_{N}.shard",)).fetchone() == (None,)


def test_a_move_is_given_up_and_the_partition_is_decided_where_it_stands(
    place: str, other: str, tmp_path: Path
) -> None:
    command = ("partitions", "move", str(N), "--to", other)
    killed = points_in_a_process(place, *command, environment={"POINTS_FAILPOINT": "move-copied"})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with closing(DatabaseLedger.at(place)) as closed, pytest.raises(BeingSplit, match="partitions move"):
        closed.writer(N)
    assert run(["--ledger", place, *command, "--cancel"]) == 0
    with closing(DatabaseLedger.at(place)) as opened, pytest.raises(WrongUse, match="under way"):
        cancel(opened, N, other)
    ingest(place, tmp_path, 2)
    is_whole(place)


@pytest.mark.parametrize("step", ["switched", "renamed"])
def test_settings_that_are_lost_behind_the_switch_are_put_back_and_the_same_again_goes_on(
    place: str, other: str, tmp_path: Path, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("partitions", "move", str(N), "--to", other)
    killed = points_in_a_process(place, *command, environment={"POINTS_FAILPOINT": f"move-{step}"})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    ingest(place, tmp_path, 2)
    before = contents_at(place)
    with psycopg.connect(place, autocommit=True) as database:
        database.execute("DELETE FROM points.ledger")
    assert run(["--ledger", place, "store", "settings"]) == (step == "renamed"), "a journal is missing"
    assert run(["--ledger", place, "store", "settings", "--put-back"]) == 0
    with closing(DatabaseLedger.at(place)) as opened, pytest.raises(JournalError):
        opened.writer(N)
    assert run(["--ledger", place, "partitions", "list"]) == (4 if step == "renamed" else 0)
    assert "points partitions move" in capsys.readouterr().out
    assert run(["--ledger", place, *command, "--cancel"]) == 2
    assert "is decided on" in capsys.readouterr().err
    assert run(["--ledger", place, *command]) == 0
    assert contents_at(place) == before
    is_whole(place)


@pytest.mark.parametrize("is_source", [True, False])
def test_a_server_that_goes_away_in_the_middle_is_named_and_the_same_again_goes_on(
    place: str, other: str, ledger: DatabaseLedger, is_source: bool
) -> None:
    gone = place if is_source else other

    def cut(_: int) -> None:
        with psycopg.connect(gone, autocommit=True) as database:
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    with pytest.raises(Unavailable, match=f"^{re.escape(name_of(gone))}, .* the same command goes on"):
        move(ledger, N, other, cut)
    assert [(found.state, found.moves_to) for found in places(ledger)] == [("open", ""), ("open", other), ("open", "")]
    assert move(ledger, N, other).entries > 50
    assert {(found.state, found.moves_to) for found in places(ledger)} == {("open", "")}
    is_whole(place)


def test_the_list_says_of_which_partitions_the_server_is_away(
    place: str, ledger: DatabaseLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.put_moved(N, f"{place}-away")
    assert run(["--ledger", place, "partitions", "list", "--json"]) == 4
    found = {one["partition"]: one for one in json.loads(capsys.readouterr().out)}
    assert (found[0]["state"], found[N]["state"], found[2]["state"]) == ("open", "unreadable", "open")
    assert "does not exist" in found[N]["problem"] and found[N]["entries"] == -1
    assert run(["--ledger", place, "partitions", "list"]) == 4
    assert f"partition {N}: " in capsys.readouterr().out


def test_what_cannot_be_moved_is_refused(place: str, other: str, ledger: DatabaseLedger, tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="no 3"):
        check_movable(ledger, 3, other)
    with pytest.raises(WrongUse, match="password"):
        check_movable(ledger, N, "postgresql://me:secret@host/x")
    with pytest.raises(WrongUse, match="already"):
        check_movable(ledger, N, "main")
    with pytest.raises(WrongUse, match="of this ledger already"):
        check_movable(ledger, N, f"{place}?application_name=x")
    with pytest.raises(JournalError, match="does not exist"):
        check_movable(ledger, N, f"{place}x")
    migrate(other, partitions=PARTITIONS)
    with pytest.raises(JournalError, match="no copy that is being made"):
        move(ledger, N, other)
    assert run(["--ledger", str(tmp_path / "folder"), "partitions", "list"]) == 2


def test_entries_that_come_while_it_is_copied_are_copied_too(
    place: str, other: str, ledger: DatabaseLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.journal.moving.AT_ONCE", 40)
    seen: list[int] = []

    def come(entries: int) -> None:
        seen.append(entries)
        if len(seen) == 1:
            ingest(place, tmp_path, 2)
            assert run(["--ledger", place, "store", "settings", "--operator", "/back-office"]) == 0

    move(ledger, N, other, come)
    with closing(DatabaseLedger.at(place)) as opened:
        assert opened.settings.operators == ("/back-office",)
    assert run(["--ledger", place, "store", "settings"]) == 0, "journals agree"
    assert sum(seen) > 100
    is_whole(place)


def test_a_server_goes_on_through_a_move(place: str, own_postgres: OwnServer, tmp_path: Path) -> None:
    other = own_postgres.address
    with closing(DatabaseLedger.at(place)) as ledger:
        member = next(f"m-{n}" for n in range(100) if ledger.partition_of(f"m-{n}") == N)
    given = threading.Event()
    taken: list[str] = []

    def give(url: str) -> None:
        with httpx.Client(base_url=url, timeout=60) as http:
            while not given.is_set():
                name = f"moving-{len(taken)}"
                if http.post("/v1/facts", json=grant(member, name, 1)).status_code in (200, 202):
                    taken.append(name)

    with served(tmp_path / "one", database=place) as server, server.client() as http:
        until(lambda: http.get("/health/ready").status_code == 200)
        giving = threading.Thread(target=give, args=(server.url,))
        giving.start()
        try:
            until(lambda: len(taken) > 3)
            moving = [*points(place), "partitions", "move", str(N), "--to", other, "--json"]
            moved = subprocess.run(moving, cwd=ROOT, env=environment(), capture_output=True, check=False, timeout=120)
            assert moved.returncode == 0, moved.stderr
            so_far = len(taken)
            until(lambda: len(taken) > so_far + 3)
        finally:
            given.set()
            giving.join()
        until(lambda: http.get("/health/ready").status_code == 200)
        until(lambda: http.get(f"/v1/members/{member}").json()["points"]["beans"]["spendable"] == len(taken))
    is_whole(place)


def test_what_is_appended_at_any_step_of_a_move_is_there_after_it(
    place: str, other: str, ledger: DatabaseLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(DatabaseLedger.at(place)) as front, closing(open_inbox(front, feeding=True)) as inbox:
        begin = inbox.end(N)
        threads: list[threading.Thread] = []
        given: list[tuple[int, int]] = []

        def append(step: str) -> None:
            line = InboxLine(N, 1, 0, "m", step.encode())
            given.extend(inbox.append([line]))

        def at_step(step: str) -> None:
            threads.append(threading.Thread(target=append, args=(step,)))
            threads[-1].start()
            if step not in CLOSED_AT:
                threads[-1].join(60)

        with monkeypatch.context() as patched:
            patched.setattr("ledger.journal.moving.failpoint", at_step)
            move(ledger, N, other)
        for thread in threads:
            thread.join(60)
        assert inbox.end(N) == begin + len(threads) == begin + len(given) and len(given) > 8
        assert [record.offset for record in inbox.read(N, begin, 100)] == sorted(offset for _, offset in given)


def test_a_reader_that_stays_finds_a_partition_again_wherever_it_is_moved(
    place: str, other: str, ledger: DatabaseLedger, tmp_path: Path
) -> None:
    with closing(DatabaseLedger.at(place)) as reader:
        entries = reader.journal(N).head().entries
        for to in (other, "main"):
            move(ledger, N, to)
            with pytest.raises(Unavailable, match="is gone"):
                reader.journal(N).head()
            assert reader.journal(N).head().entries == entries


def test_split_after_a_move_new_partitions_stand_beside_their_parent(place: str, other: str, tmp_path: Path) -> None:
    with closing(DatabaseLedger.at(place)) as ledger:
        move(ledger, N, other)
    assert run(["--ledger", place, "split", "--times", "2"]) == 0
    ingest(place, tmp_path, 2)
    is_whole(place)
    with closing(DatabaseLedger.at(place)) as ledger:
        assert ledger.topology.address_of(N + PARTITIONS) == other and len(ledger.partitions) == 2 * PARTITIONS
        move(ledger, N, "main")
        assert ledger.topology.address_of(N + PARTITIONS) == other
    ingest(place, tmp_path, 3)
    is_whole(place)
    assert run(["--ledger", place, "split", "--times", "2"]) == 0, "and once more"
    ingest(place, tmp_path, 4)
    is_whole(place)


def test_a_partition_is_pruned_and_moved_pruned_while_it_is_moved_and_moved_back(
    place: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTS_FOLDER", str(tmp_path / "folder"))
    archive = str(tmp_path / "archive")
    assert run(["--ledger", place, "views", "run"]) == run(["--ledger", place, "archive", "export", archive]) == 0

    def prune(before: str) -> None:
        pruning = ("archive", "prune", archive, "--before", before, "--reason", "retention")
        assert run(["--ledger", place, *pruning]) == 0

    def pruned() -> list[Span]:
        with closing(DatabaseLedger.at(place)) as opened:
            return list(opened.journal(N).pruned_spans())

    prune(PRUNED[0])
    first, before = pruned(), contents_at(place)
    with closing(DatabaseLedger.at(place)) as opened:
        move(opened, N, other)
    assert pruned() == first != [] and contents_at(place) == before
    killed = points_in_a_process(
        place, "partitions", "move", str(N), "--to", "main", environment={"POINTS_FAILPOINT": "move-pages"}
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    prune(PRUNED[1])
    second, before = pruned(), contents_at(place)
    assert second != first
    assert run(["--ledger", place, "partitions", "move", str(N), "--to", "main"]) == 0
    assert pruned() == second and contents_at(place) == before
    is_whole(place)


def test_a_partition_that_was_moved_is_archived_pruned_and_split(
    place: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTS_FOLDER", str(tmp_path / "folder"))
    archive = str(tmp_path / "archive")
    with closing(DatabaseLedger.at(place)) as ledger:
        move(ledger, N, other)
    for seed, before in enumerate(PRUNED, 2):
        assert run(["--ledger", place, "views", "run"]) == run(["--ledger", place, "archive", "export", archive]) == 0
        found = contents_at(place)["accounts"]
        pruning = ("archive", "prune", archive, "--before", before, "--reason", "retention")
        assert run(["--ledger", place, *pruning]) == 0
        assert contents_at(place)["accounts"] == found
        assert run(["--ledger", place, "split", "--times", "2"]) == 0
        ingest(place, tmp_path, seed)
    with closing(DatabaseLedger.at(place)) as ledger:
        move(ledger, N + PARTITIONS, "main")
        assert ledger.topology.address_of(N + 3 * PARTITIONS) == other
        pruned = [partition for partition in ledger.partitions if ledger.journal(partition).pruned_spans()]
        assert N in pruned and max(pruned) >= PARTITIONS, "of parents, and of copies"
    is_whole(place)
    assert run(["--ledger", place, "archive", "export", archive]) == 0
    assert run(["replay", "--from-archive", archive]) == run(["verify", "--from-archive", archive]) == 0


def test_a_partition_that_is_being_split_is_not_moved(place: str, other: str) -> None:
    for step in ("split-closed", "split-moved"):
        killed = points_in_a_process(place, "split", "--times", "2", environment={"POINTS_FAILPOINT": step})
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        with closing(DatabaseLedger.at(place)) as ledger, pytest.raises(BeingSplit, match="points split"):
            move(ledger, N, other)
    assert run(["--ledger", place, "split", "--times", "2"]) == 0
    is_whole(place)


def test_bytes_of_a_dead_letter_that_are_dropped_while_it_is_copied_do_not_come_back(
    place: str, other: str, ledger: DatabaseLedger
) -> None:
    partition = next(p for p in ledger.partitions if list(ledger.journal(p).parked(-1)))
    (letter, *_) = ledger.journal(partition).parked(-1)
    dropped: list[int] = []

    def drop(_: int) -> None:
        if not dropped:
            dropped.append(letter.offset)
            assert (
                run(["--ledger", place, "dead-letters", "drop", f"{partition}:{letter.offset}", "--reason", "r"]) == 0
            )

    move(ledger, partition, other, drop)
    with closing(open_inbox(ledger, feeding=True)) as inbox:
        (record,) = inbox.read(partition, letter.offset - 1, 1)
        assert record.value == b"" and dropped
    is_whole(place)


def test_it_is_moved_while_one_server_waits_for_the_work_of_another(
    place: str, other: str, ledger: DatabaseLedger
) -> None:
    with closing(TableState(place)) as one, closing(TableState(place)) as two:
        has_waited = threading.Event()

        def wait() -> None:
            with two.alone("deliver"):
                has_waited.set()

        waiting = threading.Thread(target=wait)
        with one.alone("deliver"):
            waiting.start()
            with psycopg.connect(place, autocommit=True) as database:
                asked = "SELECT 1 FROM pg_stat_activity WHERE query LIKE %s HAVING count(*) = 2"
                until(lambda: database.execute(asked, ("SELECT pg%advisory_lock(hashtextext%",)).fetchone() == (1,))
            move(ledger, N, other)
            assert not has_waited.is_set()
        waiting.join(60)
        assert has_waited.is_set()
    is_whole(place)
