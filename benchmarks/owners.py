"""64 partitions, 8 owners, members by Zipf's law: how even the load is, and what happens when an owner dies.

A simulation: members go to partitions by murmur2, owners get partitions from the assignor of kafka-python that
`points consume` asks for, and each owner decides so many facts a second, one after the other. A fact of a partition
that has just changed hands costs more the first time that its member is met, since the member has to be read.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import TopicPartition

from benchmarks.measure import Figures, say
from consumers.kafka.settings import KafkaSettings
from ledger.wire.murmur import partition_of

PARTITIONS, OWNERS, MEMBERS = 64, 8, 1_000_000
A_FACT, A_MEMBER = 52e-6, 51e-6  # seconds of an owner: to decide one, and to read one (docs/engine.md)
DETECTED = KafkaSettings().session_timeout_seconds  # until the group knows that an owner is dead
TAKEN = 2.0  # from then until another decides its partitions
SKEWS = (0.8, 1.0)
LOADS = (0.5, 0.7, 0.8)  # of what eight owners can decide
STEP = 0.1  # seconds
TOPIC = "facts"


class _Member(NamedTuple):
    """A member of the group, as the assignor is given it."""

    member_id: str
    metadata: Any


class _Cluster:
    """What the assignor asks of a cluster."""

    def topics(self) -> set[str]:
        """Return the one topic."""
        return {TOPIC}

    def partitions_for_topic(self, _: str) -> set[int]:
        """Return the partitions of the one topic."""
        return set(range(PARTITIONS))


@dataclass
class Crowd:
    """Members by rank: `upto` is how likely a fact is of one of the first so many, `home` is each one's partition."""

    upto: list[float]
    home: bytes

    def share_by_partition(self) -> list[float]:
        """Return which part of the facts each partition gets."""
        found, before = [0.0] * PARTITIONS, 0.0
        for partition, upto in zip(self.home, self.upto, strict=True):
            found[partition] += upto - before
            before = upto
        return found


def owners() -> Figures:
    """The figures of a group by skew: evenness, and by load what an owner's death costs."""
    home = bytes(partition_of(f"m-{rank}", PARTITIONS) for rank in range(1, MEMBERS + 1))
    found: Figures = {"partitions": PARTITIONS, "owners": OWNERS, "members": MEMBERS, "skews": {}}
    for skew in SKEWS:
        say(f"{PARTITIONS} partitions of {OWNERS} owners, Zipf {skew}")
        crowd = Crowd(_zipf(MEMBERS, skew), home)
        shares = crowd.share_by_partition()
        held = shared_out([f"owner-{n}" for n in range(OWNERS)], {})
        by_owner = {owner: sum(shares[p] for p in partitions) for owner, partitions in held.items()}
        busiest = max(by_owner, key=lambda owner: by_owner[owner])
        left = shared_out([owner for owner in held if owner != busiest], held)
        back = shared_out(list(held), left)
        found["skews"][str(skew)] = {
            "first_member": crowd.upto[0],
            "partition": max(shares) * PARTITIONS,
            "owner": by_owner[busiest] * OWNERS,
            "kept": sum(len(set(mine) & set(left[owner])) for owner, mine in held.items() if owner in left),
            "moved_back": sum(len(set(mine) - set(left.get(owner, ()))) for owner, mine in back.items()),
            "loads": {str(load): _after_a_death(crowd, set(held[busiest]), left, shares, load) for load in LOADS},
        }
    return found


def shared_out(members: Sequence[str], held: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """Return which partitions the assignor gives to each member, where they hold some already."""
    now = {member: list(held.get(member, ())) for member in members}
    while True:
        metadata = []
        for member, partitions in now.items():
            assignor = CooperativeStickyAssignor()
            assignor.member_assignment = [TopicPartition(TOPIC, partition) for partition in partitions]
            metadata.append(_Member(member, assignor.metadata({TOPIC})))
        given = CooperativeStickyAssignor().assign(_Cluster(), metadata)
        then = {
            member: sorted(place.partition for place in assignment.partitions()) for member, assignment in given.items()
        }
        if then == now:
            return then
        now = then  # what one is to give up is given away in a second round


def _zipf(members: int, skew: float) -> list[float]:
    """Return how likely a fact is of one of the first so many members."""
    upto, total = [], 0.0
    for rank in range(1, members + 1):
        total += rank**-skew
        upto.append(total)
    return [value / total for value in upto]


def _after_a_death(
    crowd: Crowd, orphans: set[int], left: Mapping[str, list[int]], shares: Sequence[float], load: float
) -> Figures:
    """Return how many facts wait when an owner's partitions are taken over, and for how long anything waits from then.

    `seconds` is None where more comes to an owner than it can decide.
    """
    random, rate = Random(1), load * OWNERS / A_FACT
    owner_of = {partition: owner for owner, mine in left.items() for partition in mine}
    fullest = max(sum(shares[partition] for partition in mine) for mine in left.values()) * rate * A_FACT
    found: Figures = {"fullest": fullest, "backlog": 0, "seconds": None}
    waiting = dict.fromkeys(left, 0.0)  # seconds of work that an owner has before it
    to_come = dict.fromkeys(left, 0.0)  # and will have, of partitions that are not its yet
    met: set[int] = set()
    steps, down = 0, round((DETECTED + TAKEN) / STEP)
    while fullest < 1:
        for _ in range(round(rate * STEP)):
            rank = bisect_left(crowd.upto, random.random())
            partition = crowd.home[rank]
            cost = A_FACT
            if partition in orphans and rank not in met:
                met.add(rank)
                cost += A_MEMBER
            if partition in orphans and steps < down:
                found["backlog"] += 1
                to_come[owner_of[partition]] += cost
            else:
                waiting[owner_of[partition]] += cost
        steps += 1
        if steps == down:
            waiting = {owner: work + to_come[owner] for owner, work in waiting.items()}
        waiting = {owner: max(0.0, work - STEP) for owner, work in waiting.items()}
        if steps > down and max(waiting.values()) < STEP:
            found["seconds"] = (steps - down) * STEP
            break
    return found
