"""Where one partition cannot be decided, `ingest` decides the others to the end, and then says so."""

from pathlib import Path

import pytest

from consumers.runtime.ingest import CannotDecide, ingest
from ledger.journal.folder import FolderLedger
from ledger.journal.ledger import Settings, new_id
from projections.audit.replay import replay
from projections.audit.verify import verify
from tests.support.ledgers import write_facts
from tests.support.served import grant

MEMBERS = 20


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_damaged_journal_lets_the_others_be_decided_and_is_caught_up_once_it_is_mended(
    tmp_path: Path, jobs: int
) -> None:
    folder = tmp_path / "ledger"
    ledger = FolderLedger.at_or_created(folder, settings=Settings(2, id=new_id()))
    homes = {f"m-{n}": ledger.partition_of(f"m-{n}") for n in range(MEMBERS)}
    facts = [grant(f"m-{n % MEMBERS}", f"g-{n}", 1) for n in range(10 * MEMBERS)]
    file = str(write_facts(tmp_path / "facts", facts))
    with ledger.writing():
        ingest(ledger, [str(write_facts(tmp_path / "first", facts[:MEMBERS]))], backlog=True)
    ledger.close()
    damaged = folder / "partition-0.db"  # the one that is decided first
    whole = damaged.read_bytes()
    damaged.write_bytes(b"not a journal" * 2_000)

    ledger = FolderLedger.at(folder)
    with ledger.writing(), pytest.raises(CannotDecide, match=r"partition-0\.db.*run the same command again"):
        ingest(ledger, [file], backlog=True, jobs=jobs)
    decided = ledger.journal(1).head().entries
    if jobs == 1:
        assert decided == 11 * list(homes.values()).count(1) > 0
    ledger.close()

    damaged.write_bytes(whole)
    ledger = FolderLedger.at(folder)
    with ledger.writing():
        ingest(ledger, [file], backlog=True, jobs=jobs)
    assert sum(ledger.heads().values()) == len(facts) + MEMBERS  # which came twice
    assert verify(ledger)["broken"] == [] and replay(ledger, from_topic=True)["differences"] == []
    ledger.close()
