"""kill -9 at any instant, run the same command again: the result is that of an undisturbed run, byte for byte.

And a disk that is full: a clear error, nothing half written, and the same command goes on once there is room.
"""

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from consumers.local.open import open_inbox
from consumers.runtime.ingest import ingest
from ledger.journal.open import open_ledger, open_or_create
from projections.audit.replay import replay
from projections.audit.verify import verify
from tests.support.contents import Contents
from tests.support.contents import contents as contents_of
from tests.support.histories import LONG_AGO
from tests.support.ledgers import histories_of, scratch, write_facts

ROOT = Path(__file__).parents[2]
FILES, IN_A_FILE = 24, 400


@pytest.fixture(scope="module")
def files() -> Iterator[list[Path]]:
    """Files of facts, some of them no facts, one cut off in its last line: each is fed in a transaction of its own."""
    lines: list = histories_of(Random(5), members=40, length=FILES * IN_A_FILE // 40, start=LONG_AGO)
    for at in range(0, len(lines), 700):
        lines[at:at] = [b"{", b"\xff", b"x" * 70_000]
    size = len(lines) // FILES + 1
    with scratch() as folder:
        parts = [lines[n * size : (n + 1) * size] for n in range(FILES)]
        yield [write_facts(folder / f"facts-{n}.ndjson", part) for n, part in enumerate(parts)]


@pytest.fixture(scope="module")
def undisturbed(files: list[Path]) -> Contents:
    with scratch() as folder:
        assert completes(start(folder / "ledger", files))
        return contents(folder / "ledger")


def start(ledger: Path, files: Sequence[Path], jobs: int = 2, **more: object) -> "subprocess.Popen[str]":
    """`points ingest FILES --backlog --jobs 2` in a session of its own."""
    command = [sys.executable, "-m", "service.cli", "--ledger", str(ledger), "ingest", "--json", "--backlog"]
    return subprocess.Popen(
        [*command, "--jobs", str(jobs), *map(str, files)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **more,  # type: ignore[call-overload]
    )


def completes(run: "subprocess.Popen[str]") -> bool:
    run.communicate(timeout=100)
    return run.returncode == 0


def contents(folder: Path) -> Contents:
    """All that a ledger holds, and every account as its owner and as a reader would fold it."""
    ledger = open_ledger(folder)
    found = contents_of(ledger)
    inbox = open_inbox(ledger)
    for partition in ledger.partitions:
        found[f"inbox {partition}"] = list(inbox.read(partition, -1, 1 << 40))
    inbox.close()
    ledger.close()
    return found


def decided(folder: Path) -> int:
    """How many entries there are by now."""
    total = 0
    for path in folder.glob("partition-*.db"):
        try:
            db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=0)
            total += db.execute("SELECT head FROM shard").fetchone()[0]
            db.close()
        except (sqlite3.Error, TypeError):
            continue
    return total


def wait_for(happened: Callable[[], bool], run: "subprocess.Popen[str]") -> None:
    while run.poll() is None and not happened():
        time.sleep(0.002)


def kill_somewhere(chance: Random, folder: Path, run: "subprocess.Popen[str]", facts: int) -> str:
    """Wait for an instant by chance and kill by chance: everything, the feeding process, or one worker."""
    moment = chance.choice(("birth", "early", "anywhere", "anywhere", "anywhere"))
    if moment == "birth":
        wait_for(folder.exists, run)
        time.sleep(chance.random() * 0.05)
    elif moment == "early":
        time.sleep(chance.random() * 0.8)
    else:
        target = decided(folder) + chance.random() * (facts - decided(folder))
        wait_for(lambda: decided(folder) >= target, run)
        time.sleep(chance.random() * 0.01)
    whom = chance.choice(("everything", "everything", "the feeder", "a worker"))
    try:
        if whom == "everything":
            os.killpg(run.pid, signal.SIGKILL)
        elif whom == "the feeder":  # its workers find themselves alone, or meet the next run
            run.kill()
        elif workers := children_of(run.pid):
            os.kill(chance.choice(workers), signal.SIGKILL)
    except ProcessLookupError:
        pass  # it was done before
    if whom == "a worker":
        _, said = run.communicate(timeout=60)
        assert "Traceback" not in said
    else:
        run.communicate(timeout=60)
    return f"{moment}, {whom}"


def children_of(process: int) -> list[int]:
    found = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [int(pid) for pid, parent in (line.split() for line in found.splitlines()) if int(parent) == process]


def disturbed_run(seed: int, files: list[Path], undisturbed: Contents) -> None:
    chance = Random(seed)
    facts = sum(rows[0][0] for name, rows in undisturbed.items() if name.startswith("head"))
    with scratch() as folder:
        story = []
        for _ in range(chance.randint(1, 3)):
            run = start(folder / "ledger", files)
            story.append(kill_somewhere(chance, folder / "ledger", run, facts))
        last = start(folder / "ledger", files)
        said, errors = last.communicate(timeout=100)
        assert last.returncode == 0, (seed, story, errors)
        found = contents(folder / "ledger")
        for name, rows in undisturbed.items():
            assert found[name] == rows, (seed, story, name, said)
        ledger = open_ledger(folder / "ledger")
        assert verify(ledger)["broken"] == []
        ledger.close()


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_instant_the_same_command_ends_as_an_undisturbed_run(
    seed: int, files: list[Path], undisturbed: Contents
) -> None:
    disturbed_run(seed, files, undisturbed)


def test_a_worker_that_dies_stops_the_run_which_says_the_way_out(files: list[Path], undisturbed: Contents) -> None:
    with scratch() as folder:
        run = start(folder / "ledger", files)
        wait_for(lambda: decided(folder / "ledger") > 0, run)
        os.kill(children_of(run.pid)[-1], signal.SIGKILL)
        _, said = run.communicate(timeout=60)
        assert run.returncode == 4
        assert said.strip() == ("points: a worker process died; what was decided is kept: run the same command again")
        assert completes(start(folder / "ledger", files))
        assert contents(folder / "ledger") == undisturbed


@pytest.mark.campaign
@pytest.mark.parametrize("seed", [random.SystemRandom().getrandbits(32) for _ in range(50)])
def test_killed_again_and_again_it_still_ends_as_an_undisturbed_run(
    seed: int, files: list[Path], undisturbed: Contents
) -> None:
    disturbed_run(seed, files, undisturbed)


# `points` that is killed before its n-th SQL statement; a line of standard error for each that it came to do.
KILLED_BEFORE = """
import os, signal, sqlite3, sys

left = int(sys.argv.pop(1))

def next_is(sql):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    print("SQL", " ".join(sql.split())[:48], file=sys.stderr)

class Cursor(sqlite3.Cursor):
    def execute(self, sql, *given):
        next_is(sql)
        return super().execute(sql, *given)
    def executemany(self, sql, *given):
        next_is(sql)
        return super().executemany(sql, *given)

class Connection(sqlite3.Connection):
    def cursor(self, factory=Cursor):
        return super().cursor(factory)
    def execute(self, *given):
        return self.cursor().execute(*given)
    def executemany(self, *given):
        return self.cursor().executemany(*given)
    def commit(self):
        next_is("COMMIT by the library")
        super().commit()

connect = sqlite3.connect
sqlite3.connect = lambda *given, **named: connect(*given, **{**named, "factory": Connection})
from service.cli import main
main()
"""


def killed_before(statement: int, ledger: Path, files: Sequence[Path]) -> "subprocess.CompletedProcess[str]":
    arguments = ["--ledger", str(ledger), "ingest", "--backlog", "--jobs", "1", *map(str, files)]
    return subprocess.run(
        [sys.executable, "-c", KILLED_BEFORE, str(statement), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def killed_at_statements(choose: Callable[[list[str]], Sequence[int]]) -> None:
    """Small files; the run is killed before some of its statements, each time on a ledger of its own."""
    facts: list = histories_of(Random(3), members=6, length=20, start=LONG_AGO)
    with scratch() as folder:
        files = [write_facts(folder / f"{n}.ndjson", [*facts[n::3], b"{"]) for n in range(3)]
        whole = killed_before(-1, folder / "whole", files)
        assert whole.returncode == 0, whole.stderr
        undisturbed = contents(folder / "whole")
        statements = [line for line in whole.stderr.splitlines() if line.startswith("SQL ")]
        for number in choose(statements):
            folder_of_it = folder / f"killed-before-{number}"
            assert killed_before(number, folder_of_it, files).returncode == -signal.SIGKILL, number
            ledger = open_or_create(folder_of_it)
            with ledger.writing():
                ingest(ledger, [str(file) for file in files], backlog=True)
            ledger.close()
            assert contents(folder_of_it) == undisturbed, statements[number - 1]


def once_for_each_that_writes(statements: list[str]) -> list[int]:
    """Of each kind of statement that writes or commits, its second time (or else its first), counted from 1."""
    kinds: dict[str, list[int]] = {}
    for number, statement in enumerate(statements, 1):
        if statement.split()[1] in ("INSERT", "UPDATE", "COMMIT"):
            kinds.setdefault(statement, []).append(number)
    tables = " ".join(kinds)
    assert all(name in tables for name in ("stored_events", "pages", "receipts", "feeds", "partition_0", "spans"))
    return [numbers[:2][-1] for numbers in kinds.values()]


def test_killed_before_each_kind_of_write_the_same_command_ends_as_an_undisturbed_run() -> None:
    killed_at_statements(once_for_each_that_writes)


@pytest.mark.campaign
def test_killed_before_each_of_its_statements_it_ends_as_an_undisturbed_run() -> None:
    killed_at_statements(lambda statements: range(1, len(statements) + 1))


def test_an_undisturbed_run_derives_again_from_the_stream(files: list[Path]) -> None:
    with scratch() as folder:
        assert completes(start(folder / "ledger", files, jobs=1))
        ledger = open_ledger(folder / "ledger")
        assert replay(ledger, from_topic=True)["differences"] == []
        ledger.close()


def test_one_process_and_two_make_the_same_ledger(files: list[Path], undisturbed: Contents) -> None:
    with scratch() as folder:
        assert completes(start(folder / "ledger", files, jobs=1))
        assert contents(folder / "ledger") == undisturbed


@pytest.mark.parametrize(("jobs", "most"), [(1, 1_500_000), (2, 300_000), (2, 1_500_000)])
def test_on_a_full_disk_it_says_so_and_goes_on_once_there_is_room(
    jobs: int, most: int, files: list[Path], undisturbed: Contents
) -> None:
    """No file may grow beyond `most` bytes: what a full disk does to whoever writes."""

    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails instead, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    with scratch() as folder:
        for _ in range(2):
            run = start(folder / "ledger", files, jobs, preexec_fn=little_room)
            _, errors = run.communicate(timeout=100)
            assert run.returncode == 4, errors
            lines = errors.strip().splitlines()
            assert "Traceback" not in errors
            assert lines[-1].startswith("points: ") and ("disk" in lines[-1] or "full" in lines[-1]), errors
        ledger = open_ledger(folder / "ledger")
        assert verify(ledger)["broken"] == []
        ledger.close()
        assert completes(start(folder / "ledger", files, jobs))
        assert contents(folder / "ledger") == undisturbed
