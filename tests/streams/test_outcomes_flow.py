"""What a partition's entries are sent as: the same whether they were handed over as committed or read back."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from consumers.kafka import publisher
from consumers.kafka.publisher import Outcomes
from consumers.runtime.owner import PartitionOwner
from ledger.journal.port import StoredRow
from tests.support.histories import LONG_AGO
from tests.support.ledgers import SmallLedger, histories_of


class _Writer:
    """Takes what is sent, and acknowledges it when it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self._waiting: list[Any] = []

    def send_all(self, _topic: str, _partition: int, records: Sequence[Any], on_delivered: Any) -> None:
        self.sent += records
        self._waiting.append(on_delivered)

    def acknowledge(self) -> None:
        for on_delivered in self._waiting:
            on_delivered(0)
        self._waiting.clear()


@pytest.mark.parametrize("seed", range(3))
def test_entries_that_are_handed_over_are_sent_once_in_order_as_if_they_were_read_back(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)
    monkeypatch.setattr(publisher, "MOST_FRESH", 40)
    monkeypatch.setattr(publisher, "SENT_TOGETHER", 8)
    small = SmallLedger(tmp_path / "ledger")
    small.hears(histories_of(random, members=30, length=20, start=LONG_AGO))
    owner = PartitionOwner(small.ledger, 0, batch=7)
    owner.acquire()
    flow, writer = Outcomes(small.ledger, 0, "outcomes"), _Writer()

    def take(rows: Sequence[StoredRow]) -> None:
        flow.take(rows) if random.random() < 0.75 else setattr(flow, "may_have_more", True)

    owner.on_entries = take
    read_back = set()
    scan = flow._journal.scan_rows_of

    def counted(after: int, upto: int) -> Any:
        for rows in scan(after, upto):
            read_back.update(row[0] for row in rows)
            yield rows

    monkeypatch.setattr(flow._journal, "scan_rows_of", counted)
    while owner.step(small.stream) is not None:
        for _ in range(random.choice([0, 0, 0, 1, 3])):
            flow.send(writer, random.choice([5, 30, 1_000]), random.choice([2_000, 1 << 20]))  # type: ignore[arg-type]
    while flow.may_have_more:
        flow.send(writer, 1_000, 1 << 20)  # type: ignore[arg-type]
    assert not flow.is_done, "nothing is acknowledged yet"
    writer.acknowledge()
    assert flow.is_done and flow.acknowledged == len(writer.sent) > 100
    read = len(read_back)
    alone, all_of_it = Outcomes(small.ledger, 0, "outcomes"), _Writer()
    alone.send(all_of_it, 10_000, 1 << 30)  # type: ignore[arg-type]
    assert writer.sent == all_of_it.sent
    assert 0 < read < len(writer.sent), "some were handed over, some were not"
    small.close()
