"""A partition is down while the others go on, and what accounts tell each other comes late, twice and in any order.

Every protocol goes through it. Once all is delivered, nothing is on its way, lost or doubled.
"""

from pathlib import Path
from random import Random

import pytest

from consumers.local.port import InboxLine
from ledger.journal.ledger import Ledger
from tests.streams import test_pools_survive as pools
from tests.support.ledgers import SmallLedger, scratch
from tests.support.protocols import POOL, PROTOCOLS, Protocol, check_at_rest

ROUNDS_DOWN, MOST_ROUNDS = 12, 2_000
TWICE = 0.3


class Deliveries:
    """Owners of a small ledger's partitions, and what their entries left, each of it to be delivered some time."""

    def __init__(self, folder: Path, protocol: Protocol, seed: int) -> None:
        self.random = Random(seed)
        self.small = SmallLedger(folder / "ledger", book=protocol.book)
        protocol.begin(self.small.ledger)
        self.owners = {partition: self.small.owner(partition, batch=3) for partition in self.ledger.partitions}
        self.held: list[InboxLine] = []
        self.small.hears(protocol.before)
        self.goes_on_to_the_end()

    @property
    def ledger(self) -> Ledger:
        return self.small.ledger

    def keep(self, lines: list[InboxLine]) -> list[tuple[int, int]]:
        """Take what is told, and some of it twice, as a stream does."""
        for line in lines:
            self.held += [line] * (2 if self.random.random() < TWICE else 1)
        return [(line.partition, 0) for line in lines]

    def goes_on(self, down: int = -1) -> bool:
        """Let every owner but that of the partition that is down decide and tell; True if one had something to do."""
        self.random.shuffle(self.held)
        for _ in range(self.random.randint(0, len(self.held))):
            line = self.held.pop()
            self.small.stream.append(line.value, line.partition)
        has_decided = False
        for partition, owner in self.random.sample(list(self.owners.items()), len(self.owners)):
            if partition != down:
                has_decided |= owner.step() is not None
                owner.tells(self.keep)
        return has_decided

    def goes_on_to_the_end(self) -> None:
        for _ in range(MOST_ROUNDS):
            if not self.goes_on() and not self.held:
                return
        pytest.fail(f"{len(self.held)} follow-ups are on their way for ever")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(1, 40))])
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_a_partition_is_down_and_afterwards_nothing_is_lost_or_doubled(protocol: Protocol, seed: int) -> None:
    with scratch() as folder:
        deliveries = Deliveries(folder, protocol, seed)
        small = deliveries.small
        small.hears(protocol.facts)
        down = deliveries.random.choice([small.ledger.partition_of(fact["subject"]) for fact in protocol.facts])
        for _ in range(ROUNDS_DOWN):
            deliveries.goes_on(down)
        assert small.stream.end(down) > deliveries.owners[down].position, "what waits for it"
        deliveries.owners[down] = small.owner(down, batch=3)  # it begins with what is on disk
        deliveries.goes_on_to_the_end()
        check_at_rest(small.ledger)
        protocol.check(small.ledger)
        small.close()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(1, 40))])
def test_a_pool_that_is_lowered_while_it_is_asked_gives_no_more_and_takes_nothing_back(seed: int) -> None:
    lower = POOL.book.replace("budget = 95", "budget = 45").replace("stock = 7", "stock = 3")
    lower = lower.replace("from = ", "from = 2025-11-11 # instead of ", 1)
    head = {"specversion": "1.0", "id": "b", "source": "/operators", "type": "programme.published.v1"}
    book = {**head, "subject": "programme", "time": "2025-11-11T09:00:00+08:00", "data": {"toml": lower, "by": "ops"}}
    with scratch() as folder:
        deliveries = Deliveries(folder, POOL, seed)
        small = deliveries.small
        asked = deliveries.random.randint(8, len(POOL.facts))
        small.hears(POOL.facts[:asked])
        for _ in range(deliveries.random.randint(2, 6)):
            deliveries.goes_on()
        small.publishes(book)
        small.hears(POOL.facts[asked:])
        deliveries.goes_on_to_the_end()
        check_at_rest(small.ledger)
        budget, stock = pools.agreed(small.ledger)
        assert 40 <= budget <= 90 and 3 <= stock <= 7
        small.close()
