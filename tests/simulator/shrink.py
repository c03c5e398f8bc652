"""Makes a failing run smaller: fewer kinds of faults, fewer facts, as long as the same law does not hold."""

import time
from collections.abc import Iterator
from dataclasses import replace

from tests.simulator.run import Result, run
from tests.simulator.world import RATES, Plan


def shrink(failed: Result, plan: Plan, seconds: float) -> tuple[Plan, Result]:
    """Return the smallest plan that was found in some seconds, and what its run comes to."""
    until = time.monotonic() + seconds
    best = failed
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for smaller in _smaller(plan, best):
            if time.monotonic() > until:
                return plan, best
            found = run(failed.seed, smaller)
            if found.law == failed.law:
                plan, best, is_smaller = smaller, found, True
    return plan, best


def _smaller(plan: Plan, best: Result) -> Iterator[Plan]:
    """Yield plans that lack something, the most first."""
    if best.steps < plan.steps:
        yield replace(plan, steps=best.steps)
    for kind in sorted(set(RATES) - plan.without):
        if best.faults[kind]:
            yield replace(plan, without=plan.without | {kind})
    kept = plan.kept if plan.kept is not None else tuple(range(best.facts))
    size = len(kept) // 2
    while size:
        for at in range(0, len(kept), size):
            yield replace(plan, kept=kept[:at] + kept[at + size :])
        size //= 2
