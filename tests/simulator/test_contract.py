"""The simulated store and inbox, while nothing disturbs them, are what any store and inbox must be."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from ledger.journal.ledger import Settings
from ledger.journal.port import EntryRow
from ledger.rulebook.schema import shipped
from tests.simulator.disk import Disk
from tests.simulator.ledgers import Files, SimulatedJournal, SimulatedLedger
from tests.simulator.world import Plan, Process, World
from tests.support.inbox_contract import PARTITIONS, InboxContract
from tests.support.store_contract import StoreContract


def nobody_disturbed() -> Process:
    return Process(World(0, Plan()), "store", is_disturbed=False)


class _Disks(defaultdict[Path, Disk]):
    def __missing__(self, place: Path) -> Disk:
        self[place] = Disk(str(place))
        return self[place]


class TestTheSimulatedStoreKeepsOurContract(StoreContract):
    @pytest.fixture(autouse=True)
    def _disks(self) -> None:
        self.disks = _Disks()

    def open(self, place: Path) -> Any:
        return SimulatedJournal(self.disks[place], nobody_disturbed(), create=True)

    def test_readers_see_nothing_of_a_batch_before_it_is_committed(self, store: Any, place: Path) -> None:
        """Nobody reads meanwhile: others have turns between the calls of a process, and none within a transaction."""
        turns: list[str] = []
        process = Process(World(0, Plan()), "owner")
        process.strikes = lambda kind: kind == "interleave"  # type: ignore[method-assign]
        process.world.interrupt = lambda: turns.append("another process")
        owner = SimulatedJournal(self.disks[place], process)
        with owner.transaction(1, owner.acquire()) as batch:
            assert turns
            turns.clear()
            batch.append([EntryRow(1, "m-1", 1, b"a", bytes(32))])
            assert batch.page("m-1", "order/O1") is None and not turns


class TestTheSimulatedInboxKeepsOurContract(InboxContract):
    @pytest.fixture
    def ledger(self) -> Iterator[SimulatedLedger]:  # type: ignore[override]
        files = Files(Settings(PARTITIONS, id="7" * 32), shipped("jd"))
        process = nobody_disturbed()
        files.born(process)
        with patch("consumers.local.open._open", lambda ledger, *, create=False: ledger.inbox_of(create=create)):
            yield files.opened(process)
