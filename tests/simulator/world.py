"""The simulated world: its clock, its chance, its trace, and the processes that take turns in one thread.

All chance comes from one seed, each part of the world with a generator of its own. Wherever a process calls the store
another one may be given a turn, so that turns interleave as they do between real processes.
"""

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from random import Random
from threading import get_ident
from types import SimpleNamespace
from typing import Any

SECOND = 1_000_000
SAID = "(simulated)"  # in every error that the world makes up
ROOMS = ("ledger.", "consumers.", "projections.", "service.")
DEEPEST = 3  # turns within turns

# How often a fault strikes where it may, by its kind.
RATES = {
    "store-fails": 0.004,  # a statement
    "store-full": 0.002,
    "commit-fails": 0.01,
    "answer-lost": 0.01,  # it committed, and nobody hears so
    "crash": 0.002,  # at any call of the store: a transaction in it is torn
    "crash-before-commit": 0.006,
    "crash-after-commit": 0.006,
    "power-cut": 0.003,  # a turn: all processes end, and what was not synced is gone
    "interleave": 0.12,  # a call of the store: another process has a turn first
    "stall": 0.03,  # a turn: a process does nothing for a while, and is taken for dead
    "broker-away": 0.02,
    "ack-lost": 0.01,
    "resend": 0.06,  # a producer sends a fact twice
    "delay": 0.1,
    "clock-ahead": 0.004,  # of a broker, when it stamps a record
    "bad-record": 0.03,
    "marker": 0.04,
    "rebalance": 0.02,
    "recreate": 0.006,
    "cut-tail": 0.002,
    "retention": 0.004,
    "compact": 0.003,
    "publish-book": 0.01,
    "retry-letter": 0.02,
    "session-lost": 0.01,
    "partition-down": 0.004,  # a turn: for an hour nobody reaches a journal
    "late-copy": 0.03,  # of what an account told another: it arrives behind what is sent again
    "told-lost": 0.2,  # the topic loses what it had acknowledged of a name or seat that moves
    "resend-told": 0.02,
    "repost": 0.08,
}

BETWEEN = ("late-copy", "told-lost")  # faults of what accounts tell each other


class Crash(BaseException):
    """A process ends here and now, whatever it was doing."""


class Violation(BaseException):  # which no code of the product catches
    """A law does not hold: which, and the figures."""

    def __init__(self, law: str, what: str) -> None:
        super().__init__(f"{law}: {what}")
        self.law = law


@dataclass(frozen=True)
class Plan:
    """What a run is made of besides its seed, so that it can be shrunk: `without` are kinds of faults left out.

    `kept` are the places of the facts that are told, all where None. `steps` are the most turns before all is healed.
    """

    without: frozenset[str] = frozenset()
    kept: tuple[int, ...] | None = None
    steps: int = 150


class World:
    """Clock, chance, trace and processes of one run."""

    def __init__(self, seed: int, plan: Plan) -> None:
        self.seed = seed
        self.plan = plan
        self.chance = Random(f"{seed} faults")
        self.order = Random(f"{seed} order")
        self.now = 0  # microseconds since 1970 UTC
        self.monotonic = 1_000.0
        self.faults: Counter[str] = Counter()
        self.is_calm = False  # nothing strikes but what is `BETWEEN` accounts
        self.is_healed = False  # nothing strikes at all
        self.steps = 0
        self.turns = 0
        self.writing = 0  # transactions that are open
        self.running: list[Any] = []  # processes whose turn it is, one within another
        self.interrupt: Callable[[], None] = lambda: None  # give somebody else a turn
        self.lines: deque[str] = deque(maxlen=400)
        self._trace = sha256()

    # -- chance ------------------------------------------------------------------------------------------------------

    def strikes(self, kind: str) -> bool:
        """Return True if a fault strikes now; it is counted."""
        struck = self.chance.random() < RATES[kind]
        if not struck or self.is_healed or (self.is_calm and kind not in BETWEEN) or kind in self.plan.without:
            return False
        self.faults[kind] += 1
        if kind != "interleave":
            self.note(f"! {kind}")
        return True

    # -- trace -------------------------------------------------------------------------------------------------------

    def note(self, what: str) -> None:
        """Add a line to the trace."""
        self.lines.append(what)
        self._trace.update(what.encode() + b"\n")

    @property
    def trace(self) -> str:
        """Return the SHA-256 of all that happened."""
        return self._trace.hexdigest()

    # -- time --------------------------------------------------------------------------------------------------------

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.monotonic += seconds
        self.now += round(seconds * SECOND)

    def leap(self, instant: int) -> None:
        """Let the wall's clock show an instant, unless it is past."""
        self.now = max(self.now, instant)

    @contextmanager
    def clocks(self) -> Iterator[None]:
        """Let every clock that the product reads, and every pause it makes, be the world's: in this thread.

        A thread that another test left behind keeps the real ones, and cannot move this world.
        """
        ours: dict[str, Callable[..., Any]] = {
            "monotonic": lambda: self.monotonic,
            "perf_counter": lambda: self.monotonic,
            "time": lambda: self.now / SECOND,
            "time_ns": lambda: self.now * 1000,
            "sleep": self.passes,
        }
        ours = {name: _in_this_thread(clock, getattr(time, name)) for name, clock in ours.items()}
        module = SimpleNamespace(**ours)
        places = _clocks_of_the_product(tuple(ours))
        for room, attribute, name, _ in places:
            setattr(room, attribute, ours[name] if name else module)
        try:
            yield
        finally:
            for room, attribute, _, value in places:
                setattr(room, attribute, value)


def _in_this_thread(ours: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    """Return what calls `ours` in the thread that is running now, and `real` in any other."""
    mine = get_ident()
    return lambda *given: ours(*given) if get_ident() == mine else real(*given)


@lru_cache
def _clocks_of_the_product(names: tuple[str, ...]) -> list[tuple[Any, str, str, Any]]:
    """Return where the product's modules hold a clock: module, attribute, whose function it is or "", and its value."""
    real = {id(getattr(time, name)): name for name in names} | {id(time): ""}
    rooms = [room for name, room in list(sys.modules.items()) if name.startswith(ROOMS)]
    return [
        (room, attribute, real[id(value)], value)
        for room in rooms
        for attribute, value in vars(room).items()
        if id(value) in real
    ]


class Process:
    """A process of the product; a turn is a piece of its loop. `alive` is False once it crashed."""

    def __init__(self, world: World, name: str, *, is_disturbed: bool = True) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.is_disturbed = is_disturbed

    def strikes(self, kind: str) -> bool:
        """Return True if a fault strikes this process now."""
        return self.is_disturbed and self.world.strikes(kind)

    def check(self) -> None:
        """Raise `Crash` where the process is dead: it does nothing more."""
        if not self.alive:
            raise Crash

    def dies(self) -> None:
        """End here and now."""
        self.alive = False
        raise Crash

    def reaches(self, call: str, *, is_writing: bool = False) -> None:
        """A call of the store: others may have a turn before it, and the process may end at it."""
        self.check()
        if not is_writing and not self.world.writing and self.strikes("interleave"):
            self.world.interrupt()
            self.check()
        if self.strikes("crash"):
            self.world.note(f"{self.name} crashes at {call}")
            self.dies()
