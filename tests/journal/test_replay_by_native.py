"""A replay finds the same by either engine: what is as it was, and what was changed by hand, to the last word.

`make engine` builds the native engine. Without it these tests are skipped; with POINTS_TEST_ENGINE=required they fail.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from consumers.runtime.ingest import ingest
from ledger.core.account import decode_account, encode_account
from ledger.errors import PointsLedgerError
from ledger.journal.engines import VARIABLE
from ledger.journal.open import open_ledger, open_or_create
from ledger.wire.entries import Entry
from ledger.wire.entry_codec import decode_entry, encode_entry
from projections.audit.replay import replay
from tests.journal.test_every_table import LINES
from tests.support.flips import of_a_file, spots
from tests.support.ledgers import scratch, write_facts

TABLES = ("stored_events", "receipts", "pages", "accounts", "sources", "programmes")


@pytest.fixture(scope="module")
def whole(native: Any) -> Iterator[Path]:
    """A ledger that Python decided, with a book that was published and snapshots."""
    with decided_by("python") as place:
        yield place


@contextmanager
def decided_by(engine: str) -> Iterator[Path]:
    with scratch() as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, engine)
        patch.setattr("ledger.journal.snapshots.SNAPSHOT_EVERY", 20)
        with closing(open_or_create(place / "ledger")) as ledger, ledger.writing():
            ingest(ledger, [str(write_facts(place / "facts.ndjson", LINES))], backlog=True)
        yield place / "ledger"


def found(place: Path, by: str) -> dict[str, Any]:
    try:
        with closing(open_ledger(place)) as ledger:
            answer = replay(ledger, by=by)
    except PointsLedgerError as error:
        return {"differences": str(error)}
    assert answer["by"] == by
    return answer


def both(place: Path) -> dict[str, Any]:
    """What both find, which is the same."""
    by_python, by_native = found(place, "python"), found(place, "native")
    for name in ("entries", "accounts", "difference_count", "differences"):
        assert by_native.get(name) == by_python.get(name), name
    return by_native


@pytest.mark.parametrize("engine", ["python", "native"])
def test_what_either_engine_decided_both_derive_and_only_publications_are_handed_back(engine: str, native: Any) -> None:
    with decided_by(engine) as place:
        answer = both(place)
    assert (answer["differences"], list(answer["handed_back"])) == ([], ["publication"])


def test_what_is_changed_in_any_table_is_named_alike(whole: Path) -> None:
    changed_everywhere(whole, 1, 1, 0.2)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(10, 40))
def test_what_is_changed_in_any_table_is_named_alike_over_a_long_campaign(whole: Path, seed: int) -> None:
    changed_everywhere(whole, seed, 12, 1)


def changed_everywhere(whole: Path, seed: int, rows: int, share: float) -> None:
    random = Random(seed)
    path = max(whole.glob("partition-*.db"), key=lambda file: file.stat().st_size)
    with closing(sqlite3.connect(path)) as db:
        planned = [spot for spot in spots(of_a_file(db), random, rows) if spot.table in TABLES]
    for spot in planned:
        if random.random() > share:
            continue
        with scratch() as place:
            shutil.copytree(whole, place / "ledger")
            with closing(sqlite3.connect(place / "ledger" / path.name, isolation_level=None)) as db:
                is_changed = of_a_file(db).change(spot, random)
            if is_changed:
                both(place / "ledger")


@pytest.mark.parametrize("in_memory", [0, 20_000, 60_000])
def test_a_ledger_that_does_not_fit_into_memory_is_replayed_alike(
    whole: Path, in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.journal.by_member.IN_MEMORY", in_memory)
    monkeypatch.setattr("ledger.journal.by_member.PASSES", 50)
    assert both(whole)["difference_count"] == 0
    path = max(whole.glob("partition-*.db"), key=lambda file: file.stat().st_size)
    with scratch() as place:
        shutil.copytree(whole, place / "ledger")
        with closing(sqlite3.connect(place / "ledger" / path.name)) as db, db:
            db.execute(
                "UPDATE stored_events SET originator_version = originator_version + 1000 WHERE rowid % 20 IN (0, 7)"
            )
            db.execute("UPDATE stored_events SET state = x'80' WHERE rowid % 30 = 1")
        assert both(place / "ledger")["difference_count"]
        with closing(sqlite3.connect(place / "ledger" / path.name)) as db, db:
            db.execute("UPDATE stored_events SET originator_id = CAST(x'80' AS TEXT) WHERE rowid = 9")
        both(place / "ledger")


Change = Callable[[Entry], Entry]
FORGED: dict[str, Change] = {
    "figures": lambda entry: msgspec.structs.replace(entry, figures={**entry.figures, "bonus": 7}),
    "outcome": lambda entry: msgspec.structs.replace(entry, outcome=(entry.outcome + 1) % 3),
    "changes": lambda entry: msgspec.structs.replace(entry, changes=[]),
    "clock": lambda entry: msgspec.structs.replace(entry, clock=entry.clock + 1),
    "recorded": lambda entry: msgspec.structs.replace(entry, recorded=entry.recorded + 86_400_000_000),
    "engine of before": lambda entry: msgspec.structs.replace(entry, engine=1),
    "engine to come": lambda entry: msgspec.structs.replace(entry, engine=77),
    "version": lambda entry: msgspec.structs.replace(entry, version="0" * 16),
    "a sku that is too long": lambda entry: msgspec.structs.replace(
        entry, fact=entry.fact.replace(b'"data":{', b'"data":{"note":"' + b"x" * 2_000 + b'",', 1)
    ),
    "a fact below zero": lambda entry: msgspec.structs.replace(entry, fact=entry.fact.replace(b'_fen":', b'_fen":-')),
    "another member's fact": lambda entry: msgspec.structs.replace(
        entry, fact=entry.fact.replace(b'"subject":"', b'"subject":"x')
    ),
    "another's entry": lambda entry: msgspec.structs.replace(entry, member=entry.member + "x"),
    "a fact that comes again": lambda entry: msgspec.structs.replace(
        entry, fact=entry.fact.replace(b'"id":"', b'"id":"x')
    ),
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_entry_is_named_alike(whole: Path, how: str) -> None:
    """It is a whole entry, and reads well."""
    random = Random(how)
    path = max(whole.glob("partition-*.db"), key=lambda file: file.stat().st_size)
    with scratch() as place:
        shutil.copytree(whole, place / "ledger")
        with closing(sqlite3.connect(place / "ledger" / path.name)) as db, db:
            rows = db.execute("SELECT rowid, state FROM stored_events").fetchall()
            for rowid, state in random.sample(rows, 3):
                forged = encode_entry(FORGED[how](decode_entry(state)))
                db.execute("UPDATE stored_events SET state = ? WHERE rowid = ?", (forged, rowid))
        both(place / "ledger")


def test_a_snapshot_of_an_older_layout_or_that_looks_early_is_as_good_and_any_other_is_named(whole: Path) -> None:
    path = next(path for path in sorted(whole.glob("partition-*.db")) if snapshots(path))
    for change, count in ((as_before, 0), (looks_early, 0), (richer, 1), (looks_late, 1), (behind_the_end, 1)):
        with scratch() as place:
            shutil.copytree(whole, place / "ledger")
            with closing(sqlite3.connect(place / "ledger" / path.name)) as db, db:
                member, number, state = snapshots(path)[0]
                db.execute(
                    "UPDATE accounts SET number = ?, state = ? WHERE member = ?", (*change(number, state), member)
                )
            assert both(place / "ledger")["difference_count"] == count, change


def snapshots(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT member, number, state FROM accounts ORDER BY member").fetchall()


def as_before(number: int, state: bytes) -> tuple[int, bytes]:
    return number, msgspec.msgpack.encode(msgspec.msgpack.decode(state)[:-1])


def looks_early(number: int, state: bytes) -> tuple[int, bytes]:
    account = decode_account(state)
    account.next_due_at = account.next_month_at = 0
    return number, encode_account(account)


def looks_late(number: int, state: bytes) -> tuple[int, bytes]:
    account = decode_account(state)
    account.next_month_at += 1
    return number, encode_account(account)


def richer(number: int, state: bytes) -> tuple[int, bytes]:
    account = decode_account(state)
    account.credit += 1
    return number, encode_account(account)


def behind_the_end(number: int, state: bytes) -> tuple[int, bytes]:
    return number + 1_000, state
