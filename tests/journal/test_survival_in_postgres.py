"""What a ledger in PostgreSQL survives: the server or the writer killed in the middle, an answer lost, two owners.

After each: what the journals hold is what an undisturbed run leaves, leaf by leaf, and it derives again.
"""

import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import pytest

from ledger.journal.database import migrate
from ledger.journal.port import Fenced, Unavailable
from projections.answers.stats import stats
from projections.audit.replay import replay
from projections.audit.verify import verify
from tests.support.contents import Contents, contents
from tests.support.databases import OwnServer, programs_or_skip
from tests.support.histories import LONG_AGO
from tests.support.ledgers import SmallLedger, histories_of, write_facts

ROOT = Path(__file__).parents[2]
FACTS: list[Any] = histories_of(Random(21), members=6, length=50, start=LONG_AGO)
for _at in range(0, len(FACTS), 40):
    FACTS[_at:_at] = [b"{"]
BATCH = 25


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """What a run that nobody disturbs leaves, in a folder."""
    small = SmallLedger(tmp_path_factory.mktemp("undisturbed") / "ledger")
    small.hears(FACTS)
    small.decides(BATCH)
    found = contents(small.ledger)
    small.close()
    return found


@pytest.fixture
def place(postgres: str) -> str:
    migrate(postgres, partitions=4)
    return postgres


def heard(place: str) -> SmallLedger:
    small = SmallLedger(place)
    small.hears(FACTS)
    return small


def assert_undisturbed(place: str, undisturbed: Contents) -> None:
    """Decide what is left; then nothing is lost, doubled or changed, it derives again, and the books balance."""
    small = heard(place)
    small.decides(BATCH)
    found = contents(small.ledger)
    for name, rows in undisturbed.items():
        assert found[name] == rows, name
    assert verify(small.ledger)["broken"] == [] and replay(small.ledger)["differences"] == []
    assert stats(small.ledger, max(small.ledger.journal(p).head().recorded for p in range(4))).balanced
    small.close()


# -- the server is killed --------------------------------------------------------------------------------------------


def killed_while_it_writes(server: OwnServer, undisturbed: Contents, chance: Random, times: int) -> None:
    migrate(server.address, partitions=4)
    failed = 0
    for _ in range(times):
        small = heard(server.address)
        owners = [small.owner(partition, batch=1) for partition in range(4)]
        killer = threading.Timer(0.02 + chance.random() * 0.2, server.kill)
        killer.start()
        try:
            while [owner for owner in owners if owner.step() is not None]:
                pass
        except Unavailable:
            failed += 1
        killer.join()
        small.close()
        server.start()
    assert failed, "it was never killed in the middle"
    assert_undisturbed(server.address, undisturbed)


def test_the_server_killed_while_it_writes(own_postgres: OwnServer, undisturbed: Contents) -> None:
    killed_while_it_writes(own_postgres, undisturbed, Random(1), times=5)


@pytest.mark.campaign
def test_the_server_killed_while_it_writes_again_and_again(own_postgres: OwnServer, undisturbed: Contents) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print("seed", seed)
    killed_while_it_writes(own_postgres, undisturbed, Random(seed), times=60)


# -- a connection is cut ---------------------------------------------------------------------------------------------


class Proxy:
    """Passes bytes on between a client and the server, until it is to cut at a COMMIT: before it, or its answer."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.cut_at = ""  # "before": COMMIT never arrives; "after": it is done, and its answer is lost
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server))
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            while True:
                ready, _, _ = select.select([client, server], [], [], 60)
                for end in ready:
                    data = end.recv(1 << 16)
                    if not data:
                        return
                    is_commit = end is client and b"COMMIT" in data and bool(self.cut_at)
                    if is_commit and self.cut_at == "before":
                        self.cuts += 1
                        return
                    (server if end is client else client).sendall(data)
                    if is_commit:
                        assert server.recv(1 << 16), "the server answered; nobody hears it"
                        self.cuts += 1
                        return

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def proxy(place: str) -> Iterator[Proxy]:
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(place)
    if parts["host"] not in ("127.0.0.1", "localhost"):
        pytest.skip("the proxy stands before a server on this machine only")
    found = Proxy(int(str(parts["port"])))
    yield found
    found.close()


@pytest.mark.parametrize("cut_at", ["before", "after"])
def test_the_connection_is_cut_at_a_commit(cut_at: str, place: str, proxy: Proxy, undisturbed: Contents) -> None:
    through = place.replace(place.rpartition(":")[2].partition("/")[0], str(proxy.port), 1)
    small = heard(through)
    partition = small.ledger.partition_of("m-1")
    for number in range(3):
        owner = small.owner(partition, BATCH)
        before = small.ledger.journal(partition).head()
        proxy.cut_at = cut_at
        with pytest.raises(Unavailable):
            owner.step()
        proxy.cut_at = ""
        assert proxy.cuts == number + 1
        after = small.ledger.journal(partition).head()
        assert (after != before) == (cut_at == "after"), "nobody tried it again"
        again = small.owner(partition, BATCH)  # it reads where it stands
        assert again.position == after.offset
        again.step()
    small.close()
    assert_undisturbed(place, undisturbed)


# -- the writer is killed --------------------------------------------------------------------------------------------

# Decides a file of facts in a database; it is killed, or stops, before its n-th step: a statement, a COPY, or a COMMIT.
WRITER = """
import os, signal, sys
import psycopg
from tests.support.ledgers import SmallLedger

place, facts, batch, left, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])

def next_is(step):
    global left
    left -= 1
    print("STEP", " ".join(str(step).split())[:60], flush=True)
    if left == 0:
        os.kill(os.getpid(), how)

def before(owner, name, says):
    whole = getattr(owner, name)
    def counted(self, *given, **named):
        next_is(says(*given, **named))
        return whole(self, *given, **named)
    setattr(owner, name, counted)

before(psycopg.Cursor, "execute", lambda query, *_, **__: query)
before(psycopg.Cursor, "copy", lambda statement, *_, **__: statement)
before(psycopg.Copy, "set_types", lambda *_: "SENDING")
before(psycopg.Transaction, "__exit__", lambda *_: "COMMIT")
small = SmallLedger(place)
small.hears(open(facts, "rb").read().splitlines())
small.decides(batch)
print("DONE", flush=True)
os._exit(0)
"""


def writer(place: str, facts: Path, step: int, how: int = signal.SIGKILL) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, place, str(facts), str(BATCH), str(step), str(int(how))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    return write_facts(tmp_path / "facts.ndjson", FACTS)


def killed_at_steps(place: str, facts: Path, undisturbed: Contents, choose: Callable[[list[str]], list[int]]) -> None:
    """The writer is killed before one step after another, each time going on from what the last one left."""
    steps = steps_of(place + "?points_schema=whole", facts)
    assert_undisturbed(place + "?points_schema=whole", undisturbed)
    for number in choose(steps):
        schema = f"{place}?points_schema=killed_{number}"
        migrate(schema, partitions=4)
        run = writer(schema, facts, number)
        run.communicate(timeout=100)
        assert run.returncode == -signal.SIGKILL, number
        assert_undisturbed(schema, undisturbed)


def second_of_each_kind(steps: list[str]) -> list[int]:
    """Of each kind of step that writes, its second time (or else its first), counted from 1."""
    kinds: dict[str, list[int]] = {}
    for number, step in enumerate(steps, 1):
        if any(word in step for word in ("INSERT", "UPDATE", "COPY", "COMMIT")):
            kinds.setdefault(re.sub(r"whole_\d", "whole", step), []).append(number)
    tables = " ".join(kinds)
    assert all(name in tables for name in ("stored_events", "pages", "receipts", "shard", "parked", "sources"))
    return [numbers[:2][-1] for numbers in kinds.values()]


def test_the_writer_killed_before_each_kind_of_write(place: str, facts: Path, undisturbed: Contents) -> None:
    killed_at_steps(place, facts, undisturbed, second_of_each_kind)


@pytest.mark.campaign
def test_the_writer_killed_before_each_of_its_steps(place: str, facts: Path, undisturbed: Contents) -> None:
    killed_at_steps(place, facts, undisturbed, lambda steps: list(range(1, len(steps) + 1)))


# -- two owners ------------------------------------------------------------------------------------------------------


def wait_until_stopped(run: "subprocess.Popen[str]") -> None:
    """Wait for a process to have stopped itself."""
    found, status = os.waitpid(run.pid, os.WUNTRACED)
    assert found == run.pid and os.WIFSTOPPED(status)


@pytest.mark.parametrize("where", ["between two batches", "in the middle of a batch", "while it sends entries"])
def test_an_owner_that_was_stopped_wakes_after_another_has_committed(
    where: str, place: str, facts: Path, undisturbed: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ledger.journal.postgres_server as store

    impatient = store._SETTINGS.replace(f"'{store.IDLE_SECONDS}s'", "'1s'").replace(f"'{store.LOCK_SECONDS}s'", "'2s'")
    assert impatient.count("'1s'") == impatient.count("'2s'") == 1
    monkeypatch.setattr(store, "_SETTINGS", impatient)
    impatience = f"import ledger.journal.postgres_server as store\nstore._SETTINGS = '''{impatient}'''\n"
    monkeypatch.setitem(globals(), "WRITER", impatience + WRITER)
    steps = steps_of(place + "?points_schema=whole", facts)
    fence = [number for number, step in enumerate(steps, 1) if "SET head = head +" in step][1]
    copy = next(number for number, step in enumerate(steps, 1) if "COPY" in step and number > fence)
    at = {"between two batches": fence - 1, "in the middle of a batch": copy, "while it sends entries": copy + 1}[where]
    assert steps[fence - 2].strip() == "STEP", "the connection is looked at, before the transaction begins"
    assert steps[copy].strip() == "STEP SENDING"
    old = writer(place, facts, at, signal.SIGSTOP)
    wait_until_stopped(old)
    living = heard(place)
    living.decides(BATCH)  # it waits for the row that the old one holds until its session is ended
    before = contents(living.ledger)
    old.send_signal(signal.SIGCONT)
    said, errors = old.communicate(timeout=100)
    assert "DONE" not in said
    expected = Fenced if where == "between two batches" else Unavailable
    assert f"{expected.__name__}: " in errors, errors
    assert contents(living.ledger) == before
    living.close()
    assert_undisturbed(place, undisturbed)


def steps_of(place: str, facts: Path) -> list[str]:
    migrate(place, partitions=4)
    said, errors = writer(place, facts, -1).communicate(timeout=100)
    assert said.endswith("DONE\n"), errors
    return [line for line in said.splitlines() if line.startswith("STEP")]


# -- a full disk -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own that is soon full."""
    place = Path(mkdtemp(prefix="points-disk-"))
    place.chmod(0o711)
    command = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=0711", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        place.rmdir()
        pytest.skip("a small file system cannot be mounted here: it takes the rights of root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)
    place.rmdir()


def test_on_a_full_disk_nothing_is_half_written_and_it_goes_on_once_there_is_room(
    small_disk: Path, undisturbed: Contents
) -> None:
    server = OwnServer(programs_or_skip(), small_disk)
    try:
        migrate(server.address, partitions=4)
        small = heard(server.address)
        partition = small.ledger.partition_of("m-1")
        small.owner(partition, BATCH).step()
        before = small.ledger.journal(partition).head()
        ballast = small_disk / "ballast"
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        ballast.write_bytes(bytes(free))
        with pytest.raises(Unavailable, match="No space left"):
            small.owner(partition, batch=len(FACTS)).step()
        assert small.ledger.journal(partition).head() == before
        ballast.unlink()
        small.close()
        assert_undisturbed(server.address, undisturbed)
    finally:
        server.stop()
