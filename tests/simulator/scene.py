"""A scene: a ledger, its stream, the processes around it, and the laws that are checked after each turn."""

import sqlite3
from collections import deque
from random import Random
from typing import Any

from ledger.errors import PointsLedgerError
from tests.simulator.laws import PartitionTruth
from tests.simulator.ledgers import Files, SimulatedLedger
from tests.simulator.story import Fact, Telling
from tests.simulator.ways import Ways
from tests.simulator.world import DEEPEST, SAID, Crash, Process, Violation, World
from tests.support.histories_of_members import ABOUT

LEAST_OFTEN, MOST_OFTEN = 2, 15  # turns that a process is away
LEAST_DOWN, MOST_DOWN = 10, 60  # that a journal is down, which is an hour
DOWN_SECONDS = 3_600
WHILE_MOVING = 0.9  # how seldom something is told while names move, so that it is not all told before they have moved


class Scene:
    """Processes that take turns; what feeds the ledger, and what they are, is a subclass's to say."""

    ways: Ways
    waiting: deque[Telling]
    truths: dict[int, PartitionTruth]

    def __init__(self, world: World, files: Files) -> None:
        self.world = world
        self.files = files
        self.auditor = Process(world, "auditor", is_disturbed=False)
        self.ledger = SimulatedLedger(files, self.auditor)
        self.processes: list[Any] = []
        self.away: dict[str, int] = {}  # until which turn a process does nothing
        world.interrupt = self.others_have_a_turn

    # -- turns -------------------------------------------------------------------------------------------------------

    def ready(self) -> list[Any]:
        """The processes that may have a turn now."""
        turns = self.world.turns
        return [p for p in self.processes if p not in self.world.running and self.away.get(p.name, 0) <= turns]

    def step(self) -> None:
        """Let one process have a turn, and check the laws."""
        world = self.world
        world.steps += 1
        world.passes(world.order.choice((0.001, 0.02, 0.2)))
        if world.strikes("power-cut"):
            self.loses_power()
        self.journals_go_down_and_come_back()
        self.happens()
        ready = self.ready()
        if ready:
            self.turn(world.order.choice(ready))
        else:
            world.turns += 1
        self.check()

    def others_have_a_turn(self) -> None:
        """Within a turn of one process, at a call of the store, let others have theirs."""
        if len(self.world.running) >= DEEPEST:
            return
        for _ in range(self.world.order.choice((1, 1, 1, 2, 4))):
            ready = self.ready()
            if ready:
                self.turn(self.world.order.choice(ready))

    def turn(self, process: Any) -> None:
        """One turn of a process, to its end or the process's."""
        world = self.world
        world.turns += 1
        world.note(f"{world.turns} {process.name}")
        if world.strikes("stall"):
            self.leaves(process)
            return
        world.running.append(process)
        try:
            process.check()
            process.turn()
        except Crash:
            self.ended(process)
        except (PointsLedgerError, sqlite3.Error) as error:
            world.note(f"{process.name} ends: {error}")
            self.gave_up(process, error)
        except Exception as error:
            raise Violation("availability", f"{process.name} falls over: {type(error).__name__}: {error}") from error
        finally:
            world.running.remove(process)

    def leaves(self, process: Any) -> None:
        """A process does nothing for a while."""
        self.away[process.name] = self.world.turns + self.world.order.randint(LEAST_OFTEN, MOST_OFTEN)

    def loses_power(self) -> None:
        """All end at once, and what was not synced is gone."""
        for process in list(self.processes):
            process.alive = False
            if process not in self.world.running:
                self.ended(process)
        for disk in (*self.files.journals.values(), self.files.inbox):
            disk.loses_power()

    def journals_go_down_and_come_back(self) -> None:
        """A partition is down for an hour: nobody reaches its journal."""
        world, disks = self.world, list(self.files.journals.values())
        for disk in disks:
            if disk.down_until and (disk.down_until <= world.turns or world.is_healed):
                disk.down_until = 0
                world.passes(DOWN_SECONDS)
        if about_of(world.seed) and world.strikes("partition-down"):
            world.order.choice(disks).down_until = world.turns + world.order.randint(LEAST_DOWN, MOST_DOWN)

    def ended(self, process: Any) -> None:
        """A process is dead: another one takes its place after a while."""
        process.alive = False
        if process in self.processes:
            self.processes[self.processes.index(process)] = process.successor()
        self.leaves(process)

    def gave_up(self, process: Any, error: Exception) -> None:
        """A process ended by itself with an error, which is one only where the world made it up."""
        if SAID not in str(error):
            raise Violation("availability", f"{process.name} ends: {error}")
        process.close()
        self.ended(process)

    # -- what is told ------------------------------------------------------------------------------------------------

    def tells_next(self) -> Telling | None:
        """Take what is told next, which now and then overtakes others; None where somebody looks first."""
        world, at = self.world, 0
        if len(self.waiting) > 1 and world.strikes("delay"):
            at = world.order.randrange(min(6, len(self.waiting)))
        telling = self.waiting[at]
        if self._looks_first(telling.fact):
            return None
        is_merge = telling.fact["type"] == "member.merged.v1"
        if self.ways.move_names and not is_merge and world.order.random() < WHILE_MOVING:
            return None
        del self.waiting[at]
        return telling._replace(fact=self._as_names_live(telling.fact))

    def _as_names_live(self, fact: Fact) -> Fact:
        """Return what an operator says who knows where names live: that the head of one is to let it go."""
        if fact["type"] != "member.unmerged.v1":
            return fact
        for head, account in self.ways.accounts().items():
            bundle = account.bundle
            taken = bundle.names.get(fact["data"]["name"]) if bundle is not None and bundle.alias is None else None
            if taken is not None:
                return fact | {"subject": head, "data": {"name": taken.through or fact["data"]["name"]}}
        return fact

    def _looks_first(self, fact: Fact) -> bool:
        """Return True if an operator waits until names that move have come: before they part, or their head moves."""
        if fact["type"] == "member.merged.v1":
            members = (truth.members.get(fact["subject"]) for truth in self.truths.values())
            if all(member is None or member.account.bundle is None for member in members):
                return False  # of a member that was never merged nobody expects anything
        elif fact["type"] != "member.unmerged.v1":
            return False
        return not self.world.is_healed and (self.ways.move_names or not self.is_decided)

    # -- what a subclass says ----------------------------------------------------------------------------------------

    def happens(self) -> None:
        """What happens around the processes before a turn."""
        raise NotImplementedError

    def check(self) -> None:
        """Check the laws after a turn. Raises `Violation`."""
        raise NotImplementedError

    @property
    def is_decided(self) -> bool:
        """Return True if all that the streams have is decided."""
        raise NotImplementedError

    def is_quiet(self) -> bool:
        """Return True if nothing is left to do."""
        raise NotImplementedError


def about_of(seed: int) -> str:
    """Return what the members of a seed do with each other, a kind of `histories_of_members`; most do nothing (empty).

    Of each fifth seed they know each other, and of three such seeds one is of servers.
    """
    return list(ABOUT)[seed // 15 % len(ABOUT)] if seed % 5 == 4 else ""


def choice_by_seed(seed: int, what: str) -> Random:
    """Return the chance of one part of a scene, which no other part's draws disturb."""
    return Random(f"{seed} {what}")
