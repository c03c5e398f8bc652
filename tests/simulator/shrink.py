"""Makes a failing run smaller: fewer kinds of faults, fewer facts, as long as the same law does not hold."""

from dataclasses import replace

from tests.simulator.run import Result, run
from tests.simulator.world import Plan


def shrink(failed: Result, plan: Plan, most: int) -> tuple[Plan, Result]:
    """Return the smallest plan that was found in `most` runs, and what its run comes to."""
    found = _Shrinking(failed, plan, most)
    found.leave_out_facts()
    for kind in sorted(failed.faults):
        found.take(replace(found.plan, without=found.plan.without | {kind}))
    found.leave_out_facts()
    return found.plan, found.best


class _Shrinking:
    """The smallest run so far."""

    def __init__(self, failed: Result, plan: Plan, left: int) -> None:
        self.plan = plan
        self.best = failed
        self._left = left

    def take(self, smaller: Plan) -> bool:
        """Take a smaller plan where its run fails alike."""
        if not self._left:
            return False
        self._left -= 1
        found = run(self.best.seed, smaller)
        if found.law != self.best.law:
            return False
        self.plan, self.best = smaller, found
        return True

    def leave_out_facts(self) -> None:
        """Leave facts out, by halves down to one."""
        kept = self.plan.kept if self.plan.kept is not None else tuple(range(self.best.facts))
        size = len(kept) // 2
        while size:
            at = 0
            while at < len(kept):
                without = kept[:at] + kept[at + size :]
                if self.take(replace(self.plan, kept=without)):
                    kept = without
                else:
                    at += size
            size //= 2
