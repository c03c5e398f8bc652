"""Members who give, draw from pools, sit in houses, exchange with others, merge and part, against the oracle.

After every entry both say the same. What accounts leave for each other is delivered late, in any order, and some of it
twice.
"""

import json
from datetime import datetime
from random import Random
from typing import Any

import pytest

from tests.core.test_against_the_oracle import differences
from tests.support.histories_of_members import ABOUT, book_of_members, facts_of_members
from tests.support.histories_of_names import book_of_names, facts_of_names
from tests.support.oracle import NEVER, instant
from tests.support.oracle_of_members import OracleOfMembers
from tests.support.post_office import Letter, PostOffice

NAMES = "names"
KINDS = [*ABOUT, NAMES, NAMES]
MOVES = ("merge.", "member.", "lot.")  # of these the oracle says less: their pages, lots and sums are the ledger's own
Left = tuple[str, str, dict[str, Any]]  # to whom, of which type, with what
INSTANTS = ("at", "earned_at", "expires_at", "expires", "from", "until")


class Pair:
    """A ledger and the oracle of it, which hear the same; and a pair that it exchanges with."""

    other: "Pair"

    def __init__(self, random: Random, book: str, called: str) -> None:
        partitions = random.choice((1, 2, 3))
        self.random = random
        self.office = PostOffice(book, partitions=partitions, called=called)
        self.oracle = OracleOfMembers(book, partitions=partitions)

    def hears(self, fact: dict[str, Any]) -> None:
        """Both decide a fact, and say and leave the same."""
        name, before = fact["subject"], len(self.office.waiting)
        resident = self.office.at(name)
        told = resident.hears(fact)
        said = self.oracle.take(fact)
        found = dict(differences(resident, self.oracle, said, told, name))
        assert not found, f"ledger / oracle: {found} after {json.dumps(fact)}"
        said_to = self.oracle.told_by(name)
        left = [
            (f"{one.ledger}/{one.to}" if one.ledger else one.to, one.type, plain(as_said(one, said_to)))
            for one in self.office.waiting[before:]
        ]
        ours = [(to, kind, plain(data)) for to, kind, data in said_to]
        assert left == ours, f"left {left} / {ours} after {json.dumps(fact)[:2000]}"

    def delivers(self, likely: float) -> None:
        """Deliver what waits, in any order, and some of it again, as long as chance has it."""
        random, office = self.random, self.office
        while office.waiting and random.random() < likely:
            letter = office.waiting.pop(random.randrange(len(office.waiting)))
            office.delivered.append(letter)
            self.delivers_one(letter)
            if random.random() < 0.1:
                self.delivers_one(random.choice(office.delivered))

    def delivers_one(self, letter: Letter) -> None:
        """Deliver a follow-up to an account here or there."""
        (self.other if letter.ledger else self).hears(letter.fact)


def as_said(letter: Letter, said: list[Left]) -> dict[str, Any]:
    """What a follow-up says; of one that moves a name only what the oracle says of such."""
    data: dict[str, Any] = letter.fact["data"]
    known = {key for _, kind, its in said if kind == letter.type for key in its}
    return {key: data.get(key) for key in known} if letter.type.startswith(MOVES) else data


def plain(data: dict[str, Any]) -> dict[str, Any]:
    """What is said of a follow-up, without the name of the version and what is as it is where it is left out."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        if key in INSTANTS and value is not None:
            value = value if isinstance(value, datetime) else instant(value)
            value = None if value >= NEVER else value
        if key in ("lots", "later"):
            value = [plain(one) for one in value]
        if key == "fact":
            value = value["source"], value["id"]
        if key != "version" and (value or value is False):
            found[key] = value
    return found


def play(seed: int) -> None:
    """One made-up history, of each kind in turn."""
    random = Random(seed)
    about = KINDS[seed % len(KINDS)]
    book = book_of_names(random) if about == NAMES else book_of_members(random)
    pair, other = Pair(random, book, "here"), Pair(random, book.replace('ledger = "there"', 'ledger = "here"'), "there")
    pair.other, other.other = other, pair
    likely = random.choice((0.3, 0.7, 0.95))
    facts = facts_of_names(random) if about == NAMES else facts_of_members(random, about, has_peer=True)
    for fact in facts:
        (other if random.random() < 0.1 and "exchange" not in fact["type"] else pair).hears(fact)
        pair.delivers(likely)
        other.delivers(likely)
    while pair.office.waiting or other.office.waiting:
        pair.delivers(1.0)
        other.delivers(1.0)


@pytest.mark.parametrize("seed", range(16))
def test_members_and_pools_are_what_the_oracle_says_after_every_entry(seed: int) -> None:
    play(seed)


@pytest.mark.campaign
def test_they_are_so_in_many_histories() -> None:
    for seed in range(100, 4_100):
        play(seed)
