"""A ledger in PostgreSQL whose partitions are split: while others append and decide, killed, and read afterwards."""

from contextlib import closing, suppress
from pathlib import Path
from random import Random
from threading import Event, Thread

import pytest

from consumers.local.open import open_inbox
from consumers.local.port import CannotAppend, InboxLine
from consumers.runtime.ingest import ingest
from consumers.runtime.split import split
from ledger.journal.database import migrate
from ledger.journal.ledger import Ledger, LedgerLocked
from ledger.journal.open import open_ledger
from ledger.journal.port import Fenced, JournalError
from projections.audit.replay import replay
from projections.audit.transit import transit
from projections.audit.verify import verify
from tests.cli.test_cli import HERE, in_a_process
from tests.support.histories import LONG_AGO
from tests.support.histories_of_members import book_of_members, facts_of_members
from tests.support.ledgers import histories_of, merged, write_facts

BORN, TIMES = 2, 2


def files_of(folder: Path) -> tuple[Path, Path]:
    """What comes before a split and behind it."""
    random = Random(3)
    lines = merged(random, [facts_of_members(random, "gifts"), histories_of(random, 6, 12, LONG_AGO)])
    half = len(lines) // 2
    return write_facts(folder / "a.ndjson", lines[:half]), write_facts(folder / "b.ndjson", lines[half - 10 :])


def takes_in(address: str, path: Path) -> None:
    with closing(open_ledger(address)) as ledger:
        ingest(ledger, [str(path)], backlog=True)


def is_whole(ledger: Ledger) -> None:
    assert verify(ledger)["broken"] == []
    assert replay(ledger, from_topic=True)["differences"] == []
    found = transit(ledger)
    assert found.faults == [] and found.on_its_way == 0 and found.told > 5


def test_killed_again_and_again_it_is_split_and_goes_on(postgres: str, tmp_path: Path) -> None:
    migrate(postgres, partitions=BORN, book=book_of_members(Random(1)))
    first, later = files_of(tmp_path)
    takes_in(postgres, first)
    command = ("--ledger", postgres, "split", "--times", TIMES, "--json")
    for failpoint in ("split-entries", "split-closed", "split-moved", "split-switched"):
        ran = in_a_process(*command, env={**HERE, "POINTS_FAILPOINT": failpoint})
        assert ran.returncode == -9, failpoint + ran.stderr
        with closing(open_ledger(postgres)) as ledger:
            assert dict(ledger.accounts(1 << 51))
    ran = in_a_process(*command, "--of", BORN)
    assert ran.returncode == 0 and '"went_on":true' in ran.stdout, ran.stderr
    takes_in(postgres, later)
    with closing(open_ledger(postgres)) as ledger:
        assert len(ledger.partitions) == BORN * TIMES
        is_whole(ledger)
        assert all(ledger.journal(p).head().entries > ledger.branch(p).entries for p in ledger.partitions)


def test_others_append_and_decide_meanwhile_and_who_knows_fewer_partitions_writes_nothing_more(
    postgres: str, tmp_path: Path
) -> None:
    migrate(postgres, partitions=BORN, book=book_of_members(Random(1)))
    first, later = files_of(tmp_path)
    takes_in(postgres, first)
    lines = later.read_bytes().splitlines()
    stop = Event()
    with closing(open_ledger(postgres)) as before, closing(open_ledger(postgres)) as splitting:
        inbox = open_inbox(before, feeding=True)

        def appends() -> None:
            with suppress(CannotAppend):
                for line in lines:
                    key = line.split(b'"subject": "')[1].split(b'"')[0].decode()
                    if stop.is_set():
                        return
                    inbox.append([InboxLine(before.partition_of(key), 0, 1, key, line)])

        with splitting.making(range(BORN, BORN * TIMES)), pytest.raises(LedgerLocked, match="by another process"):
            split(before, TIMES)
        thread = Thread(target=appends)
        thread.start()
        try:
            split(splitting, TIMES)
        finally:
            stop.set()
            thread.join(60)
        with pytest.raises((Fenced, JournalError), match="was split from 2 into 4 partitions: start again"):
            before.writer(0)
        with pytest.raises(CannotAppend, match="it was split"):
            inbox.append([InboxLine(0, 1, 0, "m-1", b"{}")])
        inbox.close()
    takes_in(postgres, later)
    with closing(open_ledger(postgres)) as ledger:
        is_whole(ledger)
