"""Which troubles come when: a seed decides them all beforehand, by who is in trouble.

Each group (brokers, databases, consumers, servers) has one trouble after the other; those of different groups meet.
"""

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

GROUPS: Mapping[str, int] = {"broker": 3, "database": 2, "consumer": 4, "server": 2}  # and how many of each there are
# By group: the kinds, how often each comes beside the others, and for how long at most (seconds).
KINDS: Mapping[str, Mapping[str, tuple[int, float]]] = {
    "broker": {
        "kill": (4, 6.0),
        "stop": (3, 12.0),
        "kill-controller": (1, 5.0),
        "cut-from-brokers": (2, 12.0),
        "cut-from-all": (2, 12.0),
        "cut-one-way": (1, 10.0),
    },
    "database": {
        "kill": (3, 3.0),
        "kill-standby": (1, 3.0),
        "stop": (2, 15.0),
        "stop-standby": (1, 8.0),
        "fail-over": (4, 1.0),
        "cut-standby": (2, 8.0),
        "cut-from-all": (2, 12.0),
    },
    "consumer": {
        "kill": (5, 0.0),
        "stop": (4, 25.0),
        "cut-from-brokers": (2, 15.0),
        "cut-from-databases": (2, 15.0),
        "cut-from-all": (1, 15.0),
        "cut-one-way": (1, 10.0),
    },
    "server": {
        "kill": (3, 0.0),
        "kill-first": (2, 0.0),
        "stop": (3, 15.0),
        "cut-from-brokers": (1, 12.0),
        "cut-from-databases": (1, 12.0),
        "cut-from-all": (1, 12.0),
    },
}
UNCLEAN = "lead-uncleanly"  # of a broker that was dead while others acknowledged, and they are dead now
UNCLEAN_SECONDS = 15.0  # for which it is dead alone
CALM_SECONDS = (2.0, 9.0)  # between two troubles of a group
SHORTEST = 0.3  # seconds that a trouble which lasts goes on


class Trouble(NamedTuple):
    """A trouble to come: when (seconds from the start), of whom, what, which of them, and for how long."""

    at: float
    group: str
    kind: str
    target: int
    seconds: float


def schedule(seed: int, seconds: float, *, can_cut: bool = True, is_unclean: bool = False) -> list[Trouble]:
    """Return the troubles of a campaign, by their instants; without those that cut somebody off where nobody can be.

    Where it `is_unclean` a broker that lags is made leader, halfway.
    """
    found: list[Trouble] = []
    for group, count in GROUPS.items():
        chance = Random(f"{seed} {group}")
        kinds = {kind: of for kind, of in KINDS[group].items() if can_cut or not kind.startswith("cut")}
        names, weights = list(kinds), [weight for weight, _ in kinds.values()]
        at = chance.uniform(*CALM_SECONDS)
        while at < seconds:
            kind = chance.choices(names, weights)[0]
            most = kinds[kind][1]
            lasting = round(chance.uniform(min(SHORTEST, most), most), 1)
            found.append(Trouble(round(at, 1), group, kind, chance.randrange(count), lasting))
            at += lasting + chance.uniform(*CALM_SECONDS)
        if group == "broker" and is_unclean:
            found.append(Trouble(round(seconds / 2, 1), group, UNCLEAN, chance.randrange(count), UNCLEAN_SECONDS))
    return sorted(found)
