"""The simulator: the same seed is the same run, each planted bug is found, and what fails is made smaller."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from consumers.runtime import shared
from tests.simulator.__main__ import seeds_for
from tests.simulator.planted import BUGS, BUGS_OF_SERVERS, Bug, a_receipt_skipped
from tests.simulator.planted_between import BUGS_BETWEEN
from tests.simulator.run import run
from tests.simulator.shrink import shrink
from tests.simulator.world import Plan

ROOT = Path(__file__).parents[2]
MOST_TURNS = 20_000  # in which a planted bug is found


def test_two_runs_of_a_seed_are_the_same_to_the_last_step() -> None:
    seed = 11
    one, other = run(seed), run(seed)
    assert one == other and one.trace and one.turns > 100
    code = f"from tests.simulator.run import run; print(run({seed}).trace)"
    again = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout.strip() == one.trace


def test_a_thread_that_another_test_left_behind_moves_no_world() -> None:
    ended = threading.Event()

    def left_behind() -> None:
        while not ended.is_set():
            shared.time.sleep(0.001)  # as those of a server's processes do, whose other end has gone

    thread = threading.Thread(target=left_behind, daemon=True)
    thread.start()
    try:
        assert run(11) == run(11)
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 9, 34, 49, 79])  # members know each other from 4 on
def test_all_laws_hold_in_some_seeds(seed: int) -> None:
    result = run(seed)
    assert not result.law, "\n".join([result.what, *result.lines[-40:]])
    assert result.faults and min(result.checked[law] for law in ("law 1", "law 2", "law 4", "law 5", "law 8")) > 0


@pytest.mark.parametrize("bug", [*BUGS, *BUGS_OF_SERVERS, *BUGS_BETWEEN], ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    turns = 0
    for seed in seeds_for(bug):
        with bug():
            result = run(seed)
        turns += result.turns
        if result.law or turns > MOST_TURNS:
            break
    if not result.law:
        pytest.fail(f"not found in {turns:,} turns")
    assert "falls over" not in result.what, "what the simulator lacks is no bug that it found"


def test_what_fails_is_made_smaller_and_fails_alike() -> None:
    with a_receipt_skipped():
        failed = next(result for seed in range(2, 9) if (result := run(seed)).law)
        plan, smallest = shrink(failed, Plan(), most=25)
        assert run(failed.seed, plan).what == smallest.what
    assert smallest.law == failed.law
    assert smallest.facts + smallest.faults.total() < failed.facts + failed.faults.total()
