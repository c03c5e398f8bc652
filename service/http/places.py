"""Who may have how many requests being answered: places by caller, a few for those that showed no key.

Where a caller's places are full, a request of the same caller that waits for its client (for a body to come, for an
answer to be read) gives its place up to the new one. So slow requests take no place from quick ones.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from service.http import metrics
from service.http.bounds import OWN_REQUESTS, UNKNOWN_REQUESTS, Bounds
from service.http.problems import Problem

LATE_SECONDS = 0.25  # that a request with a key has waited for its client before it gives its place up
CLOSE = {"Connection": "close"}


class Who(NamedTuple):
    """Who asks: by the id of a key, or by an address without one."""

    name: str
    is_known: bool


class Placed(Protocol):
    """A request that has a place."""

    def seconds_late(self) -> float:
        """Return how long it has waited for its client beyond the least rate; below 0 where it does not wait."""

    def give_up(self) -> None:
        """End it: its place was given to another."""


class Places:
    """The requests that are being answered, by caller. Used in the event loop only."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._by_caller: dict[Who, dict[Placed, None]] = {}
        self._unknown: dict[Placed, Who] = {}
        self._known: dict[Placed, Who] = {}

    def take(self, who: Who, one: Placed) -> None:
        """Give a request a place. Raises `Problem` where there is none."""
        mine = self._by_caller.get(who, {})
        bounds = self._bounds
        if who.is_known:
            if len(mine) >= bounds.key_requests:
                self._make_room(mine, LATE_SECONDS, _caller_has(len(mine)))
            elif len(self._known) >= bounds.requests and len(mine) >= OWN_REQUESTS:
                self._make_room(mine, LATE_SECONDS, _server_has(len(self._known)))
        elif len(mine) >= bounds.unknown_requests:
            self._make_room(mine, 0, _caller_has(len(mine)))
        elif len(self._unknown) >= UNKNOWN_REQUESTS:
            self._make_room(self._unknown, 0, _server_has(len(self._unknown)))
        self._by_caller.setdefault(who, {})[one] = None
        self._owners(who)[one] = who

    def free(self, one: Placed) -> None:
        """Take a place back, where it was not given up."""
        who = self._known.get(one) or self._unknown.get(one)
        if who is not None:
            del self._owners(who)[one]
            del self._by_caller[who][one]
            if not self._by_caller[who]:
                del self._by_caller[who]

    def _owners(self, who: Who) -> dict[Placed, Who]:
        return self._known if who.is_known else self._unknown

    def _make_room(self, crowd: Iterable[Placed], late: float, problem: Problem) -> None:
        """End the request that has waited longest for its client; raise `problem` where none has for `late` seconds."""
        slowest = max(crowd, key=lambda one: one.seconds_late())
        if slowest.seconds_late() < late:
            metrics.TURNED_AWAY.labels("request").inc()
            raise problem
        metrics.TURNED_AWAY.labels("slow").inc()
        self.free(slowest)
        slowest.give_up()


def _caller_has(count: int) -> Problem:
    detail = f"{count:,} requests of yours are being answered; wait for one of them"
    return Problem("too-many-requests", detail, CLOSE | {"Retry-After": "1"})


def _server_has(count: int) -> Problem:
    return Problem("busy", f"{count:,} requests are being answered", CLOSE)
