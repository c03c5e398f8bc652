"""Law 8: a byte changed, an entry dropped, two swapped: the chain recomputed and the replay each find and name it."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ledger.core.account import Account, encode_account
from ledger.journal.open import open_ledger
from ledger.journal.port import EntryRow
from ledger.rulebook.schema import shipped, version_of
from ledger.wire.entries import Entry
from ledger.wire.entry_codec import decode_entry, encode_entry
from projections.audit.replay import replay
from projections.audit.verify import verify
from tests.cli.test_cli import points
from tests.support.histories import LONG_AGO
from tests.support.ledgers import histories_of, ingested, scratch
from tests.support.tampering import stamp_anew

many = settings(
    max_examples=60,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
FACTS: list = histories_of(Random(11), members=5, length=60, start=LONG_AGO)
FRACTION = st.floats(0, 1, exclude_max=True)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A ledger of five members, and some lines that are no facts."""
    with scratch() as place:
        ledger = ingested(place, [*FACTS[:50], b"{", b"\xff", b'{"specversion":"1.0"}', *FACTS[50:]])
        ledger.close()
        yield place / "ledger"


class Tampered:
    """A copy of a ledger, a partition of which somebody changes behind its back."""

    def __init__(self, folder: Path, partition: int) -> None:
        self.partition = partition
        self.ledger = open_ledger(folder)
        self.rows = list(self.ledger.journal(partition).scan())
        self._file = folder / f"partition-{partition}.db"

    def runs(self, sql: str, *values: Any) -> None:
        """Change the file."""
        db = sqlite3.connect(self._file)
        with db:
            db.execute(sql, values)
        db.close()

    @property
    def broken(self) -> list[tuple[int, int]]:
        """The (partition, place) that the chain names."""
        return [(at["partition"], at["place"]) for at in verify(self.ledger)["broken"]]

    def differences(self, from_topic: bool = True) -> list[dict[str, Any]]:
        """What the replay names of the partition."""
        found = replay(self.ledger, from_topic=from_topic)["differences"]
        return [at for at in found if at["partition"] == self.partition]

    def flips(self, which: float, where: float, bit: int) -> tuple[EntryRow, set[str]]:
        """Flip a bit of an entry; the entry and which of its fields say something else now (none: unreadable)."""
        row = self.rows[int(which * len(self.rows))]
        state = bytearray(row.state)
        state[int(where * len(state))] ^= 1 << bit
        self.runs("UPDATE stored_events SET state = ? WHERE rowid = ?", bytes(state), row.sequence)
        was = decode_entry(row.state)
        try:
            now = decode_entry(bytes(state))
        except (msgspec.MsgspecError, ValueError):
            return row, {"unreadable"}
        return row, {name for name in Entry.__struct_fields__ if getattr(was, name) != getattr(now, name)}

    def names(self, row: EntryRow, from_topic: bool = False) -> bool:
        """Whether the replay names an entry: by its place, its member or its position."""
        position = f"{self.partition}:{decode_entry(row.state).offset}"
        return any(
            at.get("place") == row.sequence or at.get("member") == row.member or at.get("position") == position
            for at in self.differences(from_topic)
        )


@contextmanager
def tampered(folder: Path, partition: int = -1) -> Iterator[Tampered]:
    if partition < 0:  # the one with most entries
        partition = max(range(4), key=lambda p: (folder / f"partition-{p}.db").stat().st_size)
    with scratch() as place:
        shutil.copytree(folder, place / "copy")
        copy = Tampered(place / "copy", partition)
        try:
            yield copy
        finally:
            copy.ledger.close()


def test_an_untouched_ledger_is_whole_and_derives_again(folder: Path) -> None:
    ledger = open_ledger(folder)
    checked = verify(ledger)
    assert checked["broken"] == []
    assert [p["partition"] for p in checked["partitions"]] == [0, 1, 2, 3]
    assert sum(p["entries"] for p in checked["partitions"]) == len(FACTS)
    for again in (replay(ledger), replay(ledger, from_topic=True), replay(ledger, jobs=2)):
        assert again["differences"] == [] and again["entries"] == len(FACTS) and again["accounts"] == 5
    ledger.close()


def test_the_chain_is_sha256_of_the_link_before_and_the_leaf(folder: Path) -> None:
    ledger = open_ledger(folder)
    for checked in verify(ledger)["partitions"]:
        link = bytes(32)
        for row in ledger.journal(checked["partition"]).scan():
            link = sha256(link + sha256(row.state).digest()).digest()
            assert row.link == link
        assert checked["link"] == link.hex()
    ledger.close()


@many
@given(which=FRACTION, where=FRACTION, bit=st.integers(0, 7))
def test_any_bit_of_any_entry_that_is_flipped_is_named_by_the_chain(
    folder: Path, which: float, where: float, bit: int
) -> None:
    with tampered(folder) as copy:
        row, _ = copy.flips(which, where, bit)
        assert (copy.partition, row.sequence) in copy.broken


@settings(many, max_examples=50)
@given(which=FRACTION, where=FRACTION, bit=st.integers(0, 7))
def test_a_bit_that_is_flipped_in_what_was_decided_is_named_by_the_replay(
    folder: Path, which: float, where: float, bit: int
) -> None:
    with tampered(folder) as copy:
        row, changed = copy.flips(which, where, bit)
        assert copy.names(row) or changed <= {"fact", "received", "recorded", "offset", "backlog"}


@settings(many, max_examples=50)
@given(which=FRACTION, where=FRACTION, bit=st.integers(0, 7))
def test_a_bit_that_is_flipped_in_the_fact_too_is_named_by_the_replay_from_the_topic(
    folder: Path, which: float, where: float, bit: int
) -> None:
    with tampered(folder) as copy:
        row, changed = copy.flips(which, where, bit)
        assert copy.names(row, from_topic=True) or changed <= {"backlog"}


@settings(many, max_examples=20)
@given(which=FRACTION)
def test_an_entry_that_is_dropped_is_named(folder: Path, which: float) -> None:
    with tampered(folder) as copy:
        row = copy.rows[int(which * len(copy.rows))]
        copy.runs("DELETE FROM stored_events WHERE rowid = ?", row.sequence)
        assert (copy.partition, row.sequence) in copy.broken
        assert copy.differences()


@settings(many, max_examples=20)
@given(which=FRACTION)
def test_an_entry_that_is_dropped_with_the_numbers_closed_up_behind_it_is_named(folder: Path, which: float) -> None:
    with tampered(folder) as copy:
        row = copy.rows[int(which * len(copy.rows))]
        copy.runs("DELETE FROM stored_events WHERE rowid = ?", row.sequence)
        for later in copy.rows[row.sequence :]:
            copy.runs("UPDATE stored_events SET rowid = rowid - 1 WHERE rowid = ?", later.sequence)
            if later.member == row.member:
                number = "originator_version = originator_version - 1"
                copy.runs(f"UPDATE stored_events SET {number} WHERE rowid = ?", later.sequence - 1)
        copy.runs("UPDATE shard SET head = head - 1")
        assert any(partition == copy.partition for partition, _ in copy.broken)
        assert copy.differences()


@settings(many, max_examples=20)
@given(which=FRACTION, other=FRACTION)
def test_two_entries_that_are_swapped_are_both_named(folder: Path, which: float, other: float) -> None:
    with tampered(folder) as copy:
        first = copy.rows[int(which * len(copy.rows))]
        second = copy.rows[int(other * len(copy.rows))]
        if first.state == second.state:
            return
        copy.runs("UPDATE stored_events SET state = ? WHERE rowid = ?", second.state, first.sequence)
        copy.runs("UPDATE stored_events SET state = ? WHERE rowid = ?", first.state, second.sequence)
        assert {(copy.partition, first.sequence), (copy.partition, second.sequence)} <= set(copy.broken)
        assert copy.differences()


def test_a_link_that_was_changed_is_named_and_the_ones_behind_it_are_not(folder: Path) -> None:
    with tampered(folder) as copy:
        copy.runs("UPDATE stored_events SET link = ? WHERE rowid = 5", bytes(32))
        assert copy.broken == [(copy.partition, 5), (copy.partition, 6)]


def test_a_chain_that_was_cut_short_does_not_reach_its_head(folder: Path) -> None:
    with tampered(folder) as copy:
        copy.runs("DELETE FROM stored_events WHERE rowid > ?", len(copy.rows) - 3)
        assert copy.broken
        missing = {"field": "entries", "stored": len(copy.rows) - 3, "derived": len(copy.rows)}
        assert {"partition": copy.partition, **missing} in copy.differences(from_topic=False)


def test_a_snapshot_that_was_changed_is_named_by_the_replay(folder: Path) -> None:
    with tampered(folder) as copy:
        account = Account(number=64, clock=1)
        copy.runs("INSERT OR REPLACE INTO accounts VALUES (?, 20, ?)", copy.rows[0].member, encode_account(account))
        assert [at["field"] for at in copy.differences()] == ["account"]


def test_receipts_that_are_missing_changed_or_of_no_fact_are_named_by_the_replay(folder: Path) -> None:
    with tampered(folder) as copy:
        copy.runs("DELETE FROM receipts WHERE place = 2")
        copy.runs("UPDATE receipts SET place = 9000 WHERE place = 5")
        copy.runs("UPDATE receipts SET place = 1 WHERE place = 7")
        copy.runs("INSERT INTO receipts VALUES (1, 'an id of no fact', 'm-1', 3)")
        found = copy.differences()
        assert {at["field"] for at in found} == {"receipt"}
        named = {(at["place"], at["stored"]) for at in found if at["derived"] != "no such fact"}
        assert named == {(2, "none"), (5, "place 9000"), (7, "place 1")}, "beyond the head there is no entry"
        (strange,) = (at for at in found if at["derived"] == "no such fact")
        assert (strange["place"], strange["member"]) == (3, "m-1") and "an id of no fact" in strange["stored"]
        copy.runs("DELETE FROM receipts")
        assert len(copy.differences()) == len({at["place"] for at in copy.differences()}) > 20


def test_a_replay_under_another_book_says_so_once_a_partition(folder: Path) -> None:
    with tampered(folder) as copy:
        book = Path(copy.ledger.place) / "book.toml"
        book.write_text(book.read_text(encoding="utf-8").replace("at_least = 201", "at_least = 202"), encoding="utf-8")
        stamp_anew(Path(copy.ledger.place))
        edited = open_ledger(copy.ledger.place)
        found = replay(edited)["differences"]
        edited.close()
        assert 0 < len({at["partition"] for at in found}) == len(found)
        assert {at["field"] for at in found} == {"version"} and all("edited" in at["derived"] for at in found)
        assert sum(at["entries"] for at in found) > 50


def test_a_replay_of_what_another_engine_decided_says_so_once_a_partition(folder: Path) -> None:
    with tampered(folder) as copy:
        for row in copy.rows:
            state = encode_entry(msgspec.structs.replace(decode_entry(row.state), engine=99))
            copy.runs("UPDATE stored_events SET state = ? WHERE rowid = ?", state, row.sequence)
        (found,) = copy.differences(from_topic=False)
        assert (found["field"], found["stored"], found["entries"]) == ("engine", "99", len(copy.rows))


LATER = shipped("jd").replace("from = 2017-09-14", "from = 2025-06-01", 1)
PUBLISHED = {
    "specversion": "1.0",
    "id": "book-2",
    "source": "/operators",
    "type": "programme.published.v1",
    "subject": "programme",
    "time": "2025-05-01T00:00:00+08:00",
    "data": {"toml": LATER},
}


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE programmes SET toml = replace(toml, 'at_least = 201', 'at_least = 202')",
        "UPDATE programmes SET toml = 'no rule book'",
        "UPDATE programmes SET version = '0123456789abcdef'",
        "DELETE FROM programmes",
    ],
)
def test_a_published_text_that_was_edited_is_named_at_the_entry_that_published_it(edit: str) -> None:
    with scratch() as place:
        ledger = ingested(place, [*FACTS[:40], PUBLISHED, *FACTS[40:80]])
        (at,) = (book.sequence for book in ledger.journal(1).published())
        ledger.close()
        with tampered(place / "ledger", 1) as copy:
            assert copy.broken == []
            copy.runs(edit)
            assert copy.broken == [(1, at)]
        named = points("--ledger", place / "ledger", "verify")
        assert named.code == 0 and "no broken place" in named.out, named.err
        with sqlite3.connect(place / "ledger" / "partition-1.db") as db:
            db.execute(edit)
        db.close()
        named = points("--ledger", place / "ledger", "verify")
        assert named.code == 1 and "the stored text of version" in named.out, named.err


def test_a_text_that_nobody_published_is_named(folder: Path) -> None:
    with tampered(folder, 1) as copy:
        copy.runs("INSERT INTO programmes VALUES (3, ?, ?)", version_of(LATER), LATER)
        assert copy.broken == [(1, 3)]


def test_an_edited_book_toml_is_named_once_a_partition(folder: Path) -> None:
    with tampered(folder) as copy:
        book = Path(copy.ledger.place) / "book.toml"
        book.write_text(book.read_text(encoding="utf-8").replace("at_least = 201", "at_least = 202"), encoding="utf-8")
        stamp_anew(Path(copy.ledger.place))
        edited = open_ledger(copy.ledger.place)
        found = verify(edited)["broken"]
        edited.close()
        assert 0 < len({at["partition"] for at in found}) == len(found)
        assert all("was book.toml edited?" in at["problem"] for at in found)
