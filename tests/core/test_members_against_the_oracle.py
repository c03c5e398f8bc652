"""Members who give each other points and draw from pools, against the oracle: after every entry both say the same.

What accounts leave for each other is delivered late, in any order, and some of it twice.
"""

import json
from datetime import datetime
from random import Random
from typing import Any

import pytest

from tests.core.test_against_the_oracle import differences
from tests.support.histories_of_members import book_of_members, facts_of_members
from tests.support.oracle import NEVER, instant
from tests.support.oracle_of_members import OracleOfMembers
from tests.support.post_office import PostOffice

INSTANTS = ("at", "earned_at", "expires_at")


class Pair:
    """A ledger and the oracle of it, which hear the same."""

    def __init__(self, random: Random) -> None:
        book = book_of_members(random)
        partitions = random.choice((1, 2, 3))
        self.random = random
        self.office = PostOffice(book, partitions=partitions)
        self.oracle = OracleOfMembers(book, partitions=partitions)

    def hears(self, fact: dict[str, Any]) -> None:
        """Both decide a fact, and say and leave the same."""
        name, before = fact["subject"], len(self.office.waiting)
        resident = self.office.at(name)
        told = resident.hears(fact)
        said = self.oracle.take(fact)
        found = dict(differences(resident, self.oracle, said, told, name))
        assert not found, f"ledger / oracle: {found} after {json.dumps(fact)}"
        left = [(one.to, one.type, plain(one.fact["data"])) for one in self.office.waiting[before:]]
        ours = [(to, kind, plain(data)) for to, kind, data in self.oracle.told_by(name)]
        assert left == ours, f"left after {json.dumps(fact)}"

    def delivers(self, likely: float) -> None:
        """Deliver what waits, in any order, and some of it again, as long as chance has it."""
        random, office = self.random, self.office
        while office.waiting and random.random() < likely:
            letter = office.waiting.pop(random.randrange(len(office.waiting)))
            office.delivered.append(letter)
            self.hears(letter.fact)
            if random.random() < 0.1:
                self.hears(random.choice(office.delivered).fact)


def plain(data: dict[str, Any]) -> dict[str, Any]:
    """What is said of a follow-up, without the name of the version and what is as it is where it is left out."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        if key in INSTANTS and value is not None:
            value = value if isinstance(value, datetime) else instant(value)
            value = None if value >= NEVER else value
        if key == "lots":
            value = [plain(lot) for lot in value]
        if key != "version" and (value or value is False):
            found[key] = value
    return found


def play(seed: int) -> None:
    """One made-up history."""
    random = Random(seed)
    pair = Pair(random)
    likely = random.choice((0.3, 0.7, 0.95))
    for fact in facts_of_members(random):
        pair.hears(fact)
        pair.delivers(likely)
    pair.delivers(1.0)


@pytest.mark.parametrize("seed", range(8))
def test_members_and_pools_are_what_the_oracle_says_after_every_entry(seed: int) -> None:
    play(seed)


@pytest.mark.campaign
def test_they_are_so_in_many_histories() -> None:
    for seed in range(100, 2_100):
        play(seed)
