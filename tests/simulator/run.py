"""One run: a seed makes a world, a scene plays in it, and the laws are checked after every turn."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from traceback import format_exception
from unittest.mock import patch

from ledger.core.account import Account
from ledger.journal import partition as partition_module
from ledger.journal import snapshots
from ledger.rulebook import compiled
from ledger.wire.facts import PROGRAMME_SUBJECT
from tests.simulator.audits import (
    Kept,
    check_audits,
    check_in_transit_as_of,
    check_oracle,
    check_order_of_members,
    check_tampering,
    check_transit,
    check_way_back,
    without_number,
)
from tests.simulator.kafka_scene import KafkaScene
from tests.simulator.laws import PartitionTruth
from tests.simulator.scene import Scene, about_of, choice_by_seed
from tests.simulator.served_scene import ServedScene
from tests.simulator.world import Plan, Violation, World
from tests.support.ledgers import scratch

WHOLE = Plan()
QUIET_STEPS = 3_000
SERVED = 3  # each third seed is a ledger that servers share, the others one that Kafka feeds
VIEWED, TOLD_TWICE = 0.15, 0.3  # of the runs


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


def run(seed: int, plan: Plan = WHOLE) -> Result:
    """Play a seed to its end, or to the first law that does not hold."""
    world = World(seed, plan)
    result = Result(seed)
    with world.clocks(), small_memories():
        scene = None
        try:
            with ExitStack() as stack:
                scene = ServedScene(world, stack) if seed % SERVED == 0 else KafkaScene(world)
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


def play(scene: Scene) -> None:
    """Turns with faults, then without any until nothing is left to do; and what is checked at the end."""
    world = scene.world
    random = choice_by_seed(world.seed, "end")
    with ExitStack() as stack:
        kept = Kept(stack.enter_context(scratch()), random) if random.random() < VIEWED else None
        while world.steps < world.plan.steps:
            scene.step()
            if world.steps in (world.plan.steps // 3, world.plan.steps * 2 // 3):
                check_transit(scene.laws, scene.ledger, scene.ways)
                if kept is not None:
                    kept.follow(scene.ledger)
        world.is_calm = about_of(world.seed) == "merges"  # names take many turns to move
        while world.is_calm and scene.waiting and world.steps < QUIET_STEPS:
            scene.step()
        world.is_healed = True
        while scene.waiting:
            scene.step()
        scene.close_the_day()
        until_quiet(scene)
        if random.random() < TOLD_TWICE:
            tell_all_twice(scene)
        scene.ways.check_at_rest(scene.laws.law)
        check_transit(scene.laws, scene.ledger, scene.ways)
        check_in_transit_as_of(scene.laws, scene.ledger, scene.ways, random)
        check_audits(scene.laws, scene.ledger)
        check_oracle(scene.laws)
        check_order_of_members(scene.laws)
        if kept is not None:
            kept.follow(scene.ledger)
            kept.check(scene.laws, scene.ledger)
        for partition in scene.truths:
            world.note(f"{partition} ends with {scene.ledger.journal(partition).head()}")
        check_way_back(scene.laws)
        check_tampering(scene.laws, scene.ledger, random)


def until_quiet(scene: Scene) -> None:
    """Turns until all that was told is decided and published."""
    last = scene.world.steps + QUIET_STEPS
    while not scene.is_quiet():
        if scene.world.steps >= last:
            raise Violation("liveness", "all is healed, and it does not come to an end")
        scene.step()


def tell_all_twice(scene: Scene) -> None:
    """Law 4: the whole topic read twice changes no account, as it stands at its clock.

    A late fact may let something fall due before the clock; the member's next entry says so, be it a duplicate's.
    """
    if not scene.is_whole():
        return
    before = {name: account for truth in scene.truths.values() for name, account in standing(scene, truth)}
    scene.tells_all_again()
    until_quiet(scene)
    for truth in scene.truths.values():
        for name, account in standing(scene, truth):
            same = account == before[name]
            scene.laws.law("law 4", same, f"{name}: the topic read twice changes the account")


def standing(scene: Scene, truth: PartitionTruth) -> Iterator[tuple[str, Account]]:
    """Yield a partition's members and their accounts at their clocks, as a reader sees them."""
    scene.ledger.forget_book()
    for name in truth.members.keys() - {PROGRAMME_SUBJECT}:
        account = scene.ledger.account(name, truth.members[name].account.clock)
        assert account is not None
        yield name, without_number(account)
