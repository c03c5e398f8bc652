"""Worker processes that wait for their work: forked where that is safe, ended where no work comes."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ledger.journal.processes import WaitingWorkers, Workers

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0

# In a process of its own: a test process runs other threads.
ALONE = """
import os
from ledger.journal.processes import WaitingWorkers, Workers
from tests.journal.test_processes import parent_of

waiting = WaitingWorkers(3)
workers = Workers(parent_of, [(1,), (2,)], waiting=waiting)
told = sorted(workers.messages())
waiting.close()
workers.close(60)
assert told == [(1, os.getpid()), (2, os.getpid())], told
children = open(f"/proc/self/task/{os.getpid()}/children").read()
print("left:", children.split())
"""


def parent_of(pipe: object, number: int) -> None:
    """Send a number and who started this process."""
    pipe.send((number, os.getppid()))  # type: ignore[attr-defined]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system does not say how many threads run")
def test_workers_that_wait_are_given_work_and_the_others_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout) == (0, "left: []\n"), done.stderr


def test_none_waits_beside_another_thread_and_the_work_is_done_all_the_same() -> None:
    over = threading.Event()
    other = threading.Thread(target=over.wait, args=(PATIENCE,))
    other.start()
    try:
        waiting = WaitingWorkers(1)
        assert not waiting._waiting
        workers = Workers(parent_of, [(7,)], waiting=waiting)
        assert list(workers.messages()) == [(7, os.getpid())]
        workers.close(PATIENCE)
    finally:
        over.set()
        other.join()
