"""What a fact for an old name of a member came to in the end: followed from entry to entry, whatever way it went."""

from typing import Any, cast

import pytest

from ledger.journal.ledger import Ledger
from ledger.journal.port import EntryRow
from ledger.wire.answers import Decision
from ledger.wire.entries import Entry
from ledger.wire.entry_codec import encode_entry
from ledger.wire.entry_json import describe_decision, fact_head
from projections.answers.last_word import is_open, last_word
from tests.core.test_laws_of_merges import Merging
from tests.core.test_worked_examples_of_merges import merges, parts, town_of
from tests.support.town import PARTITIONS, Town

ZONE = 8 * 3600 * 1_000_000


class TownLedger:
    """The entries of a town, as a ledger that was split once and as the journal of each of its partitions."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self.book = self
        self.offset = ZONE

    def partition_of(self, member: str) -> int:
        return PARTITIONS(member) + PARTITIONS.partitions

    def born_in(self, partition: int) -> int:
        return partition % PARTITIONS.partitions

    def journal(self, partition: int) -> "TownLedger":
        return self

    def entries_of(self, member: str, after: int, limit: int) -> list[EntryRow]:
        return [row(entry) for entry in self._town.member(member).entries[after : after + limit]]

    def received(self, names: list[tuple[str, str, str]]) -> dict[tuple[str, str, str], EntryRow]:
        found = {}
        for source, name, member in names:
            for entry in self._town.member(member).entries:
                head = fact_head(entry)
                if (head.source, head.id) == (source, name):
                    found.setdefault((source, name, member), row(entry))
        return found


def row(entry: Entry) -> EntryRow:
    return EntryRow(0, entry.member, entry.number, encode_entry(entry), b"")


def ended(town: Town, entry: Entry) -> Decision | None:
    """What came of the fact of an entry, as it is known now."""
    return last_word(cast(Ledger, TownLedger(town)), describe_decision(entry, b"", ZONE))


def ends(town: Town, name: str, **about: Any) -> None:
    """The fact that a name was told last ended so."""
    told = ended(town, town.member(name).last)
    assert told is not None and {key: getattr(told, key) for key in about} == about


def test_a_redemption_under_an_old_name_ends_at_the_head() -> None:
    town = town_of(A=70, B=50)
    town.spends("B", 10, "R0")
    ends(town, "B", member="B", outcome="accepted", type="redemption.requested.v1")
    merges(town, "A", "B")
    town.delivers_all()
    town.spends("A", 100, "R1")
    asked = town.member("A").last
    assert ended(town, asked) is None, "it is on its way"
    town.delivers()
    ends(town, "A", member="B", outcome="accepted", reason="", type="member.forwarded.v1")
    town.spends("A", 100, "R2")
    town.delivers()
    ends(town, "A", member="B", outcome="refused", reason="beans-short")
    first = ended(town, asked)
    assert first is not None and first.number == town.member("B").last.number - 1, "each its own"


def test_one_that_waits_ends_in_the_entry_that_brings_the_name() -> None:
    town = town_of(A=100, B=10, C=1)
    for name, into in (("A", "B"), ("B", "C")):
        merges(town, name, into)
        town.delivers_all()
    town.spends("A", 105, "R1")
    asked = town.member("A").last
    town.delivers()  # it is on its way from B to C
    letter = town.post.pop()
    parts(town, "C", "B")
    while town.post[-1].kind != "member.moved.v1":
        town.delivers(len(town.post) - 1)
    town.post.append(letter)
    assert [town.delivers(1), town.delivers(1)] == ["accepted: handed-back", "accepted: waits"]
    assert ended(town, asked) is None
    town.delivers_all()
    told = ended(town, asked)
    assert told is not None
    assert (told.member, told.type, told.outcome, told.reason) == ("B", "member.moved.v1", "accepted", "")
    assert town.member("B").purse().spendable() == 5


@pytest.mark.parametrize("seed", range(2))
def test_whatever_was_handed_on_has_a_last_word_once_nothing_is_on_its_way(seed: int) -> None:
    story = Merging(seed, closes=False)
    story.runs(60)
    story.rest()
    handed_on = 0
    for name in story.names:
        for entry in story.town.member(name).entries:
            told = ended(story.town, entry)
            assert told is not None and not is_open(told), entry
            handed_on += told.member != name
    assert handed_on
