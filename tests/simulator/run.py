"""One run: a seed makes a world, a scene plays in it, and the laws are checked after every turn."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from traceback import format_exception
from unittest.mock import patch

from ledger.journal import partition as partition_module
from ledger.journal import snapshots
from ledger.rulebook import compiled
from tests.simulator.kafka_scene import KafkaScene
from tests.simulator.world import Plan, Violation, World

QUIET_STEPS = 3_000


@dataclass
class Result:
    """What became of a run; `law` is empty where all held."""

    seed: int
    steps: int = 0
    turns: int = 0
    facts: int = 0
    entries: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    law: str = ""
    what: str = ""
    trace: str = ""
    lines: list[str] = field(default_factory=list)


_version = lru_cache(maxsize=64)(compiled.ProgrammeVersion)


@contextmanager
def small_memories() -> Iterator[None]:
    """Caches and snapshots as a ledger of many members has them, with a few; books are compiled once a process."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(snapshots, "SNAPSHOT_EVERY", 6))
        stack.enter_context(patch.object(snapshots, "SNAPSHOT_ON_EVICTION", 2))
        stack.enter_context(patch.object(snapshots, "HOT_BYTES", 12_000))
        stack.enter_context(patch.object(snapshots, "ENCODED_BYTES", 4_000))
        stack.enter_context(patch.object(partition_module, "PAGES", 8))
        stack.enter_context(patch.object(compiled, "ProgrammeVersion", _version))
        stack.enter_context(patch.object(gc, "collect", lambda: 0))  # nothing here waits for it
        yield


def run(seed: int, plan: Plan = Plan()) -> Result:
    """Play a seed to its end, or to the first law that does not hold."""
    world = World(seed, plan)
    result = Result(seed)
    with world.clocks(), small_memories():
        scene = None
        try:
            scene = KafkaScene(world)
            play(scene)
        except Violation as violation:
            result.law, result.what = violation.law, str(violation)
            result.lines.extend(format_exception(violation))
    result.steps, result.turns, result.faults = world.steps, world.turns, world.faults
    result.trace = world.trace
    result.lines[:0] = world.lines
    if scene is not None:
        result.facts, result.checked = scene.facts, scene.laws.checked
        result.entries = sum(len(truth.entries) for truth in scene.truths.values())
    return result


def play(scene: KafkaScene) -> None:
    """Turns with faults, then without any until nothing is left to do."""
    world = scene.world
    while world.steps < world.plan.steps:
        scene.step()
    world.is_healed = True
    while scene.waiting:
        scene.step()
    scene.close_the_day()
    last = world.steps + QUIET_STEPS
    while not scene.is_quiet():
        if world.steps >= last:
            raise Violation("liveness", "all is healed, and it does not come to an end")
        scene.step()
